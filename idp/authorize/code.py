"""The authorization code: what it stands for, bound to client, redirect URI, challenge and session (RFC 9700 §2.1.1)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from crypto.encoding import json_strict
from crypto.sm3 import sm3
from idp.model import Acr, Authentication

CODE_LIFETIME_S = 60
"""ASVS 5.0.0 10.4.3 at level 3: at most one minute."""


@dataclass(frozen=True, slots=True)
class AuthorizationGrant:
    """What a code redeems."""

    client_id: str
    redirect_uri: str
    scope: tuple[str, ...]
    code_challenge: str | None
    nonce: str | None
    person: str
    session_reference: str
    authentication: Authentication

    def dump(self) -> bytes:
        """Return the payload kept under the code."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":")).encode()


def load_grant(payload: bytes) -> AuthorizationGrant:
    """Read back what `dump` wrote."""
    raw: Any = json_strict(payload)
    known = raw["authentication"]
    authentication = Authentication(known["time"], Acr(known["acr"]), tuple(known["amr"]))
    return AuthorizationGrant(**{**raw, "scope": tuple(raw["scope"]), "authentication": authentication})


def code_hash(code: str) -> bytes:
    """Return the hash a token family remembers its code by."""
    return sm3(b"authorization code\x00" + code.encode("utf-8", "surrogatepass"))
