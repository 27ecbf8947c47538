"""`python -m tests.docs.make_vectors`: make the vectors of docs/profiles anew, with the product and fixed private keys.

SM2 signatures are randomised, so every run makes other tokens of the same keys. The vectors stand in the documents
themselves, in the block after a marker; `test_profiles.py` and `test_jose_profile.py` read them there. Those of the JOSE profile are
made in `jose_vectors.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from credentials.accreditation import AccreditedKey, KeyPurpose, Statement, sign_statement
from credentials.bundle import Bundle
from credentials.diploma import KIND
from credentials.formats import sd_jwt
from credentials.formats.key_binding import KeyBinding, bind
from credentials.judgement import entry_commitment
from credentials.status import pack, sign_status_token
from credentials.trust import TrustAnchors
from crypto.canonical import jcs
from crypto.encoding import b64u_encode
from crypto.keys import SigningKey, signing_key_from_jwk
from crypto.sm3 import sm3
from crypto.suites import Alg, Purpose, policy
from ledger.anchor import sign_evidence
from ledger.checkpoint import Checkpoint, LogIdentity, sign_checkpoint
from ledger.merkle import HashAlg, leaf_hash
from ledger.receipt import LogTrust, Receipt
from tests.docs.jose_vectors import BACKEND, BASE, ISSUED_AT, PROFILES, private_bytes, sm2_key, write_into, write_jose
from tests.ledger.parts import naive_path, naive_root

MINISTRY, PROVINCE, SCHOOL = f"{BASE}/accreditors/000000", f"{BASE}/accreditors/430000", f"{BASE}/schools/4143010532"
STATUS_URI: Final = f"{BASE}/status/l1"
ORIGIN: Final = "id.example.edu.cn/log"
JUDGED_AT: Final = ISSUED_AT + 86_400
TREE_SIZE, INDEX = 5, 3


def ed25519_key(role: str) -> SigningKey:
    """Return the Ed25519 key of a role."""
    seed = private_bytes(role)
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64u_encode(public), "d": b64u_encode(seed)}
    return signing_key_from_jwk(jwk, alg=Alg.EDDSA, backend=BACKEND)


def noise(label: str) -> Callable[[int], bytes]:
    """Return a source of reproducible "random" bytes, so that salts stay the same."""
    counter = 0

    def draw(count: int) -> bytes:
        nonlocal counter
        counter += 1
        return sm3(f"{label} {counter}".encode())[:count]

    return draw


def credential() -> sd_jwt.SdJwt:
    """Issue the diploma of the bundle, with every claim disclosed."""
    holder = sm2_key("holder").public.jwk
    claims = {
        "iss": SCHOOL,
        "iat": ISSUED_AT,
        "nbf": ISSUED_AT,
        "vct": KIND.vct,
        "cnf": {"jwk": {name: holder[name] for name in ("kty", "crv", "x", "y")}},
        "status": {"status_list": {"idx": 5, "uri": STATUS_URI}},
        **KIND.conceal(
            {
                "level": "bachelor",
                "name": "𠮷田禾",
                "school_name": "示例大学",
                "certificate_number": "105321202605000001",
                "graduation_date": "2026-06-20",
            }
        ),
    }
    rules, random_bytes = policy(Purpose.CREDENTIAL), noise("disclosure")
    return sd_jwt.issue(
        claims, key=sm2_key("school"), policy=rules, hash_name="sm3", random_bytes=random_bytes, decoys=1, header={}
    )


def presented(whole: sd_jwt.SdJwt) -> sd_jwt.SdJwt:
    """Show the name and nothing else, to one verifier, as its holder."""
    binding = KeyBinding(f"{BASE}/verify", "nonce-1", ISSUED_AT + 3600)
    return bind(
        whole.subset(lambda path: path == ("name",)),
        key=sm2_key("holder"),
        policy=policy(Purpose.KEY_BINDING),
        binding=binding,
    )


def selective(whole: sd_jwt.SdJwt) -> dict[str, Any]:
    """Return the credential, and a presentation of it."""
    return {
        "issuer_jwk": dict(sm2_key("school").public.jwk),
        "issued": str(whole),
        "presentation": str(presented(whole)),
        "audience": f"{BASE}/verify",
        "nonce": "nonce-1",
        "disclosed": {"name": "𠮷田禾"},
    }


def identity() -> LogIdentity:
    """Return the log by its keys."""
    return LogIdentity(ORIGIN, sm2_key("log").public, ed25519_key("log").public)


def receipt(body: bytes) -> Receipt:
    """Put the entry into a log of five, anchored by a witness."""
    bodies = [f"entry {number}".encode() for number in range(TREE_SIZE)]
    bodies[INDEX] = body
    roots = {alg: naive_root(alg, bodies) for alg in HashAlg}
    checkpoint = Checkpoint(ORIGIN, TREE_SIZE, roots[HashAlg.SHA256], roots[HashAlg.SM3], ISSUED_AT + 60)
    evidence = sign_evidence(
        checkpoint,
        chain="file",
        time=ISSUED_AT + 120,
        reference={"file": "vector"},
        witness=sm2_key("witness"),
    )
    return Receipt(
        ORIGIN, INDEX, body,
        tuple(naive_path(HashAlg.SM3, INDEX, bodies)), tuple(naive_path(HashAlg.SHA256, INDEX, bodies)),
        sign_checkpoint(checkpoint, sm2_key=sm2_key("log"), ed25519_key=ed25519_key("log")), (evidence.statement,),
    )  # fmt: skip


def statements() -> tuple[str, str]:
    """Accredit the province by the ministry, and the school by the province."""

    def key(role: str, purpose: KeyPurpose) -> AccreditedKey:
        return AccreditedKey(sm2_key(role).public, purpose, ISSUED_AT - 86_400, None, None)

    def statement(above: str, subject: str, name: dict[str, str], *keys: AccreditedKey) -> Statement:
        scope = frozenset({KIND.vct}), frozenset({"bachelor"})
        times = ISSUED_AT - 86_400, ISSUED_AT - 86_400, ISSUED_AT + 10**8
        return Statement(above, subject, name, keys, *scope, *times)

    province = statement(MINISTRY, PROVINCE, {"zh-CN": "某省教育厅"}, key("province", KeyPurpose.ACCREDITATION))
    school = statement(
        PROVINCE, SCHOOL, {"zh-CN": "示例大学"}, key("school", KeyPurpose.CREDENTIAL), key("status", KeyPurpose.STATUS)
    )
    return sign_statement(province, key=sm2_key("ministry")), sign_statement(school, key=sm2_key("province"))


def bundle(whole: sd_jwt.SdJwt) -> Bundle:
    """Return everything a stranger needs."""
    opening = noise("opening")(16)
    entry = {
        "v": 1,
        "kind": "credential.issued",
        "commitment": entry_commitment(opening, whole.issuer_jwt),
        "issuer": SCHOOL,
        "batch": "vector",
    }
    status = sign_status_token(
        pack(64, {}), uri=STATUS_URI, issued_at=ISSUED_AT + 1800, expires_at=ISSUED_AT + 90_000, ttl=900,
        key=sm2_key("status"), policy=policy(Purpose.STATUS_LIST),
    )  # fmt: skip
    return Bundle(str(presented(whole)), opening, receipt(jcs(entry)), status, statements())


def trust() -> TrustAnchors:
    """Return whom the stranger believes."""
    witness = sm2_key("witness").public
    return TrustAnchors(
        {MINISTRY: sm2_key("ministry").public}, LogTrust({ORIGIN: identity()}, {witness.kid: witness}), ()
    )


def parts_of(made: Bundle) -> dict[str, Any]:
    """Return the values on the way through a bundle."""
    log, body = identity(), made.receipt.body
    sm2_id, ed25519_id = log.note_keys()
    return {
        "commitment": entry_commitment(made.opening, made.presentation.partition("~")[0]),
        "body": body.decode(),
        "leaf_sm3": leaf_hash(HashAlg.SM3, body).hex(),
        "leaf_sha256": leaf_hash(HashAlg.SHA256, body).hex(),
        "checkpoint": made.receipt.checkpoint_note.decode(),
        "key_id_sm2": sm2_id.hex(),
        "key_id_ed25519": ed25519_id.hex(),
        "facts": {"level": "bachelor", "name": "𠮷田禾"},
    }


def main() -> None:
    """Write the documents' blocks and the files beside them."""
    whole = credential()
    made = bundle(whole)
    write_jose()
    write_into(PROFILES / "sd-jwt-sm3.md", selective(whole))
    write_into(PROFILES / "bundle.md", parts_of(made))
    (PROFILES / "vectors").mkdir(exist_ok=True)
    (PROFILES / "vectors" / "bundle.json").write_bytes(made.to_bytes())
    (PROFILES / "vectors" / "receipt.json").write_bytes(made.receipt.to_json())
    (PROFILES / "vectors" / "trust.json").write_bytes(trust().to_bytes())


if __name__ == "__main__":
    main()
