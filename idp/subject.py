"""Pairwise identifiers: what a platform may know a person and a session by (OpenID Connect Core §8.1).

`sub` = base64url(HMAC-SM3(key, "sub" ‖ sector ‖ person number)). Two sectors cannot join their records, and without the
key nobody gets from a `sub` to the 16-digit person number by trying them all. `sid` is made pairwise in the same way,
or it would undo what the pairwise `sub` protects.
"""

from __future__ import annotations

from crypto.encoding import b64u_encode
from crypto.sm3 import hmac_sm3
from idp.clients.model import Client, SubjectType

KEY_BYTES_MIN = 32
"""HMAC-SM3 keys shorter than the hash are refused (RFC 7518 §3.2 for its HMACs)."""


class SubjectIdentifiers:
    """Computes `sub` and `sid`. Holds the key; a changed key changes every subject, so it never rotates."""

    def __init__(self, key: bytes) -> None:
        if len(key) < KEY_BYTES_MIN:
            raise ValueError("the subject key needs at least 32 bytes")
        self._key = key

    def sub(self, person: str, client: Client) -> str:
        """Return the person's subject identifier at a client: 43 characters."""
        public = client.subject_type is SubjectType.PUBLIC
        return self._derive("public" if public else "sub", "" if public else client.sector_identifier, person)

    def sid(self, session_reference: str, client_id: str) -> str:
        """Return the session's identifier at a client: 43 characters."""
        return self._derive("sid", client_id, session_reference)

    def _derive(self, use: str, scope: str, value: str) -> str:
        return b64u_encode(hmac_sm3(self._key, f"{use}\x00{scope}\x00{value}".encode()))
