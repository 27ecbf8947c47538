"""The user code: short enough to type on a telephone, scarce enough not to be guessed (RFC 8628 §6.1, §5.1).

Eight of twenty consonants: 20⁸ = 2.56 × 10¹⁰ codes, 34.6 bits, the length and the alphabet of §6.1 (no vowels, so no words;
nothing that is read as a digit). That is too few for a secret, and it need not be one: whoever types somebody else's code
gives a device of that somebody access to his *own* account, under his own name in the audit trail, after a page that tells
him what he does. What remains is bounded by `idp.device.guesses`: with a thousand codes out at once, ten tries of one
account in ten minutes find one with probability 4 × 10⁻⁷, and the thousand wrong codes after which everybody is slowed
down with 4 × 10⁻⁵.
"""

from __future__ import annotations

import re
import unicodedata

from crypto.sm3 import hmac_sm3
from idp.model import RandomBytes

ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
"""RFC 8628 §6.1."""

CODE_CHARS = 8
KEY_BYTES_MIN = 32
"""HMAC-SM3 keys shorter than the hash are refused."""

TYPED_CHARS_MAX = 64
"""What is looked at of what was typed: a code with any separators somebody might put in."""

_CODE = re.compile(f"[{ALPHABET}]{{{CODE_CHARS}}}")
_SEPARATORS = re.compile(r"[\s.·_-]")
_EVEN = 256 - 256 % len(ALPHABET)
"""Bytes from here on are thrown away: with them some letters would come more often than others."""


def new_user_code(random_bytes: RandomBytes) -> str:
    """Draw a code, in the form it is looked up by: eight letters, each as likely as any other."""
    letters = ""
    while len(letters) < CODE_CHARS:
        letters += "".join(ALPHABET[byte % len(ALPHABET)] for byte in random_bytes(CODE_CHARS) if byte < _EVEN)
    return letters[:CODE_CHARS]


def shown(user_code: str) -> str:
    """Return the code as people read it: `WDJB-MJHT`."""
    return f"{user_code[:4]}-{user_code[4:]}"


def typed(text: str) -> str | None:
    """Return the code that somebody typed, or None when it cannot be one.

    Width, case and separators do not count (§6.1: the server should ignore what the person cannot be expected to copy).
    """
    folded = unicodedata.normalize("NFKC", text[:TYPED_CHARS_MAX]).upper()
    code = _SEPARATORS.sub("", folded)
    return code if _CODE.fullmatch(code) else None


class UserCodeKeys:
    """Turns what is short into what entries are kept under, so that a look into the store shows no code."""

    def __init__(self, key: bytes) -> None:
        if len(key) < KEY_BYTES_MIN:
            raise ValueError("the key of user codes needs at least 32 bytes")
        self._key = key

    def of_code(self, user_code: str) -> bytes:
        """Return the 32 bytes a code's entry is kept under."""
        return hmac_sm3(self._key, b"device user code\x00" + user_code.encode())

    def of_tries(self, whose: str) -> bytes:
        """Return the 32 bytes a count of tries is kept under."""
        return hmac_sm3(self._key, b"device tries\x00" + whose.encode())
