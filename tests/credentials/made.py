"""One credential made by hand, without stores, so that every part of its bundle can be got wrong by a test."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from credentials.accreditation import AccreditedKey, KeyPurpose, Statement, sign_statement
from credentials.bundle import Bundle
from credentials.diploma import KIND
from credentials.formats import sd_jwt
from credentials.judgement import entry_commitment
from credentials.status import pack, sign_status_token
from credentials.trust import TrustAnchors
from crypto.canonical import jcs
from crypto.keys import SigningKey, generate_signing_key
from crypto.suites import Alg, Purpose, policy
from ledger.anchor import sign_evidence
from ledger.checkpoint import Checkpoint, LogIdentity, sign_checkpoint
from ledger.merkle import HashAlg, leaf_hash
from ledger.receipt import LogTrust, Receipt
from tests.credentials.world import BACKEND

ISSUER = "https://trust.example/schools/4143010532"
URI = "https://trust.example/status/l1"
ORIGIN = "trust.example/log"
ISSUED_AT = 1_780_000_000
NOW = 1_782_864_000


def new_key(alg: Alg = Alg.SGD_SM3_SM2) -> SigningKey:
    return generate_signing_key(alg, backend=BACKEND)


def accredited(key: SigningKey, purpose: KeyPurpose, times: Mapping[str, int]) -> AccreditedKey:
    """Return an accredited key, in force for ever unless `times` say otherwise."""
    not_before = times.get("not_before", 0)
    return AccreditedKey(key.public, purpose, not_before, times.get("not_after"), times.get("compromised_at"))


@dataclass
class Maker:
    """All keys and all times of a small world; `make` signs what they stand at."""

    root: SigningKey = field(default_factory=new_key)
    school: SigningKey = field(default_factory=new_key)
    status: SigningKey = field(default_factory=new_key)
    holder: SigningKey = field(default_factory=new_key)
    log: SigningKey = field(default_factory=new_key)
    witness: SigningKey = field(default_factory=new_key)
    document: SigningKey = field(default_factory=lambda: new_key(Alg.ES256))
    claims: dict[str, Any] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)
    status_values: dict[int, int] = field(default_factory=dict)
    logged_at: int = ISSUED_AT + 60
    anchored_at: int = ISSUED_AT + 120
    status_at: int = NOW - 3600
    status_until: int = NOW + 3600
    anchored: bool = True
    key_changes: dict[str, int] = field(default_factory=dict)
    document_changes: dict[str, int] = field(default_factory=dict)
    statement_changes: dict[str, Any] = field(default_factory=dict)

    @property
    def trust(self) -> TrustAnchors:
        log = LogIdentity(ORIGIN, self.log.public, None)
        ledger = LogTrust({ORIGIN: log}, {self.witness.kid: self.witness.public})
        return TrustAnchors({"ministry": self.root.public}, ledger, ())

    def statement(self) -> str:
        keys = (
            accredited(self.school, KeyPurpose.CREDENTIAL, self.key_changes),
            accredited(self.status, KeyPurpose.STATUS, {}),
            accredited(self.document, KeyPurpose.DOCUMENT, self.document_changes),
        )
        made = Statement(
            "ministry", ISSUER, {"zh-CN": "湖南大学"}, keys, frozenset({KIND.vct}), frozenset({"bachelor"}),
            ISSUED_AT, 0, NOW + 10**8,
        )  # fmt: skip
        return sign_statement(replace(made, **self.statement_changes), key=self.root)

    def credential(self) -> sd_jwt.SdJwt:
        claims = {
            "iss": ISSUER,
            "iat": ISSUED_AT,
            "nbf": ISSUED_AT,
            "vct": KIND.vct,
            "cnf": {"jwk": {n: self.holder.public.jwk[n] for n in ("kty", "crv", "x", "y")}},
            "status": {"status_list": {"idx": 5, "uri": URI}},
            **KIND.conceal(
                {
                    "level": "bachelor",
                    "name": "李明",
                    "school_name": "湖南大学",
                    "certificate_number": "105321202605000001",
                    "graduation_date": "2026-06-20",
                }
            ),
        } | self.claims
        return sd_jwt.issue(
            {name: value for name, value in claims.items() if value is not ...},
            key=self.school, policy=policy(Purpose.CREDENTIAL), hash_name="sm3", random_bytes=secrets.token_bytes,
            decoys=1, header={},
        )  # fmt: skip

    def token(self, **changes: Any) -> str:
        times = {"issued_at": self.status_at, "expires_at": self.status_until} | changes
        return sign_status_token(
            pack(64, self.status_values), uri=URI, ttl=60, key=self.status, policy=policy(Purpose.STATUS_LIST), **times
        )

    def receipt(self, body: bytes) -> Receipt:
        roots = {alg: leaf_hash(alg, body) for alg in HashAlg}
        checkpoint = Checkpoint(ORIGIN, 1, roots[HashAlg.SHA256], roots[HashAlg.SM3], self.logged_at)
        note = sign_checkpoint(checkpoint, sm2_key=self.log, ed25519_key=None)
        anchors: tuple[str, ...] = ()
        if self.anchored:
            evidence = sign_evidence(
                checkpoint, chain="file", time=self.anchored_at, reference={"file": "x"}, witness=self.witness
            )
            anchors = (evidence.statement,)
        return Receipt(ORIGIN, 0, body, (), (), note, anchors)

    def bundle(self, presentation: sd_jwt.SdJwt | None = None) -> Bundle:
        shown = presentation or self.credential()
        opening = secrets.token_bytes(16)
        body = {
            "v": 1,
            "kind": "credential.issued",
            "commitment": entry_commitment(opening, shown.issuer_jwt),
            "issuer": ISSUER,
            "batch": "b1",
        } | self.body
        return Bundle(str(shown), opening, self.receipt(jcs(body)), self.token(), (self.statement(),))
