"""The one base of every refusal in the product, and the refusals of cryptography itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping


class TrustError(Exception):
    """A refusal with a stable code, the field at fault and the rule it broke.

    `code` is dotted and never changes once released: catalogues and clients key on it. `params` fill the
    placeholders of the catalogue's message; they never hold secrets or personal data, because they reach logs.
    """

    code: ClassVar[str] = "error"

    def __init__(self, *, field: str | None = None, rule: str | None = None, **params: str | int) -> None:
        super().__init__(self.code, field, rule)
        self.field = field
        self.rule = rule
        self.params: Mapping[str, str | int] = params

    def __str__(self) -> str:
        parts = [self.code]
        if self.field is not None:
            parts.append(f"field={self.field}")
        if self.rule is not None:
            parts.append(f"rule={self.rule}")
        return " ".join(parts)


class EncodingRefused(TrustError):
    """Bytes that are not the one canonical encoding of a value (base64url, DER, JSON, PEM)."""

    code = "crypto.encoding_refused"


class KeyRefused(TrustError):
    """A key that is weak, malformed, off its curve, or not of the kind asked for."""

    code = "crypto.key_refused"


class AlgorithmRefused(TrustError):
    """An algorithm the policy of the purpose does not allow."""

    code = "crypto.algorithm_refused"


class SignatureInvalid(TrustError):
    """A signature or MAC that does not verify. Says nothing about which part differed."""

    code = "crypto.signature_invalid"


class DecryptionFailed(TrustError):
    """A ciphertext that does not open under the key and the associated data."""

    code = "crypto.decryption_failed"


class TokenRefused(TrustError):
    """A JOSE object whose header, type, or claims break the policy it is verified under."""

    code = "crypto.token_refused"
