"""The record that binds a transaction key to a log: signed by the log's own key, verified by whoever asks who may send.

A transaction key is made for one chain's curve and kept apart from every other key. What makes it the log's is this
statement and the contract's list of submitters, and both have to say the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from crypto.canonical import jcs
from crypto.encoding import json_strict
from crypto.errors import TrustError
from crypto.jws import sign_jws, verify_jws
from crypto.keys import PublicKey, SigningKey
from crypto.suites import Purpose, policy
from ledger.errors import AnchorRefused

# Told apart by this member from the evidence a witness signs under the same purpose.
KIND: Final = "anchor-submitter"
MAX_BINDING_CHARS: Final = 4096


@dataclass(frozen=True, slots=True)
class SubmitterBinding:
    """From `since` (seconds since the epoch) on, `submitter` sends the log's anchors to `contract` on `chain`."""

    origin: str
    chain: str
    contract: str
    submitter: str
    since: int


def sign_binding(binding: SubmitterBinding, *, log_key: SigningKey) -> str:
    """Return the statement as a compact JWS; `log_key` is the SM2 key that signs the log's checkpoints."""
    claims = {
        "chain": binding.chain,
        "contract": binding.contract,
        "from": binding.since,
        "kind": KIND,
        "log": binding.origin,
        "submitter": binding.submitter,
    }
    return sign_jws(jcs(claims), key=log_key, policy=policy(Purpose.ANCHOR))


def verify_binding(
    statement: str, *, log_key: PublicKey, origin: str, chain: str, contract: str, submitter: str
) -> SubmitterBinding:
    """Return the binding of exactly this key to exactly this log, signed by the log. Raises AnchorRefused."""
    if len(statement) > MAX_BINDING_CHARS:
        raise AnchorRefused(field="binding", rule="length", most=MAX_BINDING_CHARS)
    try:
        payload = verify_jws(statement, keys={log_key.kid: log_key}, policy=policy(Purpose.ANCHOR)).payload
        claims = json_strict(payload)
        canonical = jcs(claims)
    except TrustError as error:
        raise AnchorRefused(field="binding", rule="signature") from error
    since = claims.get("from") if isinstance(claims, dict) else None
    if type(since) is not int or since < 0 or canonical != payload:
        raise AnchorRefused(field="binding", rule="form")
    expected = {
        "chain": chain,
        "contract": contract,
        "from": since,
        "kind": KIND,
        "log": origin,
        "submitter": submitter,
    }
    if claims != expected:
        raise AnchorRefused(field="binding", rule="equal")
    return SubmitterBinding(origin, chain, contract, submitter, since)
