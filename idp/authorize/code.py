"""The authorization code: what it stands for, bound to client, redirect URI, challenge and session (RFC 9700 §2.1.1)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

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
    resources: tuple[str, ...]
    code_challenge: str | None
    nonce: str | None
    person: str
    session_reference: str
    authentication: Authentication
    id_token_claims: tuple[str, ...] = ()

    def dump(self) -> bytes:
        """Return the payload kept under the code."""
        known = self.authentication
        # Named one by one: `asdict` copies every value and took longer than all the database work of a code.
        members = {
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": self.scope,
            "resources": self.resources,
            "code_challenge": self.code_challenge,
            "nonce": self.nonce,
            "person": self.person,
            "session_reference": self.session_reference,
            "authentication": {"time": known.time, "acr": known.acr.value, "amr": known.amr},
            "id_token_claims": self.id_token_claims,
        }
        return json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode()


def load_grant(payload: bytes) -> AuthorizationGrant:
    """Read back what `dump` wrote."""
    raw: Any = json.loads(payload)  # our own text, from our own store: nothing to be strict about
    known = raw["authentication"]
    authentication = Authentication(known["time"], Acr(known["acr"]), tuple(known["amr"]))
    # The last two are absent from codes that the version before wrote, a minute ago.
    tuples = {name: tuple(raw.get(name, ())) for name in ("scope", "resources", "id_token_claims")}
    return AuthorizationGrant(**{**raw, **tuples, "authentication": authentication})


def code_hash(code: str, client_id: str) -> bytes:
    """Return the hash a token family remembers its code by; another client that presents the code makes another."""
    return sm3(b"authorization code\x00" + f"{client_id}\x00{code}".encode("utf-8", "surrogatepass"))
