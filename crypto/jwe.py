"""JWE in compact form (RFC 7516): encrypt to a key and open with one, under a policy that names `alg` and `enc` together.

What a token says about how to open it is never followed: the key comes from the caller by `kid`, the key algorithm is
the key's own, and the pair must be one the purpose's policy names. Refused: keys in the header, `crit`, `zip` (a few
bytes may become gigabytes, and lengths leak what is inside), the parameters of password-based encryption, and an `epk`
where nothing is agreed upon. Whatever does not open is one `DecryptionFailed` with no field and no rule, raised after
the same work, so that nobody learns from us which part was wrong (RFC 7516 §11.5).

Encryption says nothing about who wrote: tokens are signed, then encrypted (`encrypt_jwt`), and verified after opening.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from crypto.encoding import Json, b64u_decode, b64u_encode, json_object
from crypto.encryption_keys import AGREEMENT, DecryptionKey, RecipientKey, SharedKey
from crypto.errors import AlgorithmRefused, DecryptionFailed, TokenRefused
from crypto.jwe_content import CEK_BYTES, IV_BYTES, open_content, seal_content
from crypto.jwe_keys import establish, fresh, recover
from crypto.jws import KeyLookup, VerifiedJwt, sign_jwt, verify_jwt
from crypto.jws_form import MAX_HEADER_SEGMENT_BYTES, NO_HEADERS, check_kid
from crypto.keys import PublicKey, SigningKey
from crypto.suites import CONTENT_ALGORITHMS, KEY_ALGORITHMS, Enc, EncryptionPolicy, KeyAlg, Policy

RandomBytes = Callable[[int], bytes]
OpeningKey = DecryptionKey | SharedKey
OpeningKeyLookup = Callable[[str | None, KeyAlg], OpeningKey]

# RSA of 8192 bits gives 1366 characters; an IV or a tag takes at most 43.
MAX_ENCRYPTED_KEY_SEGMENT_BYTES: Final = 1400
MAX_SHORT_SEGMENT_BYTES: Final = 64
# CBC pads up to one block; base64url makes four characters of three bytes.
_PADDING_BYTES: Final = 16

# Written by the facade alone.
_OWN_HEADERS: Final = frozenset({"alg", "enc", "kid", "cty", "epk", "apu", "apv"})
# RFC 8725 §3.10 and RFC 7516 §4.1.13; p2s and p2c are PBES2's, iv and tag AES-GCM key wrap's, b64 is no header of a JWE.
REFUSED_HEADERS: Final = frozenset(
    {"jwk", "jku", "x5u", "x5c", "crit", "zip", "b64", "p2s", "p2c", "iv", "tag"},
)


@dataclass(frozen=True, slots=True)
class Opened:
    """A JWE that opened under the policy. Its content has no author until a signature inside is verified."""

    header: Mapping[str, Any] = field(hash=False)
    plaintext: bytes = field(repr=False)
    key: OpeningKey


def encrypt_jwe(
    plaintext: bytes,
    *,
    key: RecipientKey | SharedKey,
    enc: Enc,
    policy: EncryptionPolicy,
    random_bytes: RandomBytes,
    header: Mapping[str, Any] = NO_HEADERS,
) -> str:
    """Return the compact JWE with `alg`, `enc`, `kid` and the policy's `cty`.

    `random_bytes` gives the content key and the IV; ephemeral keys and paddings come from the library's generator.
    `header` adds members; it may not set those of the facade nor any a reader refuses. Raises `AlgorithmRefused`,
    `TokenRefused` or `KeyRefused`.
    """
    policy.require(key.alg, enc)
    if len(plaintext) > policy.max_plaintext_bytes:
        raise TokenRefused(field="payload", rule="too_large")
    established = establish(key, enc, random_bytes)
    protected: dict[str, Any] = {"alg": key.alg.value, "enc": enc.value, "kid": key.kid}
    if policy.cty is not None:
        protected["cty"] = policy.cty
    protected.update(established.header)
    header_segment = _header_segment(protected, header)
    iv = fresh(random_bytes, IV_BYTES[enc])
    ciphertext, tag = seal_content(enc, established.cek, iv, plaintext, aad=header_segment.encode("ascii"))
    parts = (established.encrypted_key, iv, ciphertext, tag)
    return ".".join((header_segment, *(b64u_encode(part) for part in parts)))


def decrypt_jwe(token: str, *, keys: OpeningKeyLookup | Mapping[str, OpeningKey], policy: EncryptionPolicy) -> Opened:
    """Open a compact JWE under a policy and return what it says.

    Raises `TokenRefused` (form, content type, header, unknown key), `EncodingRefused` (base64url, JSON) and
    `AlgorithmRefused` (not the policy's or not the key's), all of them from what everyone can see, and `DecryptionFailed`
    for everything else. A lookup callable raises its own refusal.
    """
    segments = _segments(token, policy)
    header = json_object(b64u_decode(segments[0], field="header"), field="header")
    encrypted_key, iv, ciphertext, tag = (
        b64u_decode(segment, field=name)
        for segment, name in zip(segments[1:], ("encrypted_key", "iv", "ciphertext", "tag"), strict=True)
    )
    alg, enc = _checked_algorithms(header, policy)
    kid = None if "kid" not in header and not policy.kid_required else check_kid(header.get("kid"))
    key = _look_up(keys, kid, alg)
    if key.alg is not alg:
        raise AlgorithmRefused(field="alg", rule="not_the_keys_algorithm")
    if kid is not None and key.kid != kid:
        raise TokenRefused(field="kid", rule="other_key")
    cek = _recovered(key, enc, header, encrypted_key)
    # RFC 7516 §11.5: where no content key was recovered, the work of opening is done all the same.
    used = bytes(CEK_BYTES[enc]) if cek is None else cek
    try:
        plaintext = open_content(enc, used, iv, ciphertext, tag, aad=segments[0].encode("ascii"))
    except DecryptionFailed:
        raise DecryptionFailed from None
    if cek is None:
        # The placeholder is known to everyone: what opens under it was not for us.
        raise DecryptionFailed
    if len(plaintext) > policy.max_plaintext_bytes:
        raise TokenRefused(field="payload", rule="too_large")
    return Opened(MappingProxyType(header), plaintext, key)


def encrypt_jwt(
    claims: Mapping[str, Any],
    *,
    signing_key: SigningKey,
    signing_policy: Policy,
    key: RecipientKey | SharedKey,
    enc: Enc,
    policy: EncryptionPolicy,
    random_bytes: RandomBytes,
) -> str:
    """Return a nested JWT: signed, then encrypted (RFC 7519 §11.2), with `cty` "JWT"; raise as `sign_jwt`, `encrypt_jwe`."""
    if policy.cty != "JWT":
        raise TokenRefused(field="cty", rule="not_a_nested_jwt")
    signed = sign_jwt(claims, key=signing_key, policy=signing_policy)
    return encrypt_jwe(signed.encode("ascii"), key=key, enc=enc, policy=policy, random_bytes=random_bytes)


def decrypt_jwt(
    token: str,
    *,
    keys: OpeningKeyLookup | Mapping[str, OpeningKey],
    policy: EncryptionPolicy,
    signing_keys: KeyLookup | Mapping[str, PublicKey],
    signing_policy: Policy,
) -> VerifiedJwt:
    """Open a nested JWT and verify the token inside; raise as `decrypt_jwe` and `verify_jwt`.

    There is no way to get the claims of an encrypted token that nobody signed.
    """
    opened = decrypt_jwe(token, keys=keys, policy=policy)
    if not _is_content_type(opened.header.get("cty"), "JWT"):
        raise TokenRefused(field="cty", rule="not_a_nested_jwt")
    if not opened.plaintext.isascii():
        raise TokenRefused(field="token", rule="compact_form")
    return verify_jwt(opened.plaintext.decode("ascii"), keys=signing_keys, policy=signing_policy)


def _header_segment(protected: dict[str, Any], header: Mapping[str, Any]) -> str:
    if header.keys() & (_OWN_HEADERS | REFUSED_HEADERS):
        raise TokenRefused(field="header", rule="reserved_header")
    try:
        text = json.dumps({**protected, **header}, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise TokenRefused(field="header", rule="not_json") from None
    segment = b64u_encode(text.encode("ascii"))
    if len(segment) > MAX_HEADER_SEGMENT_BYTES:
        raise TokenRefused(field="header", rule="too_large")
    return segment


def _segments(token: str, policy: EncryptionPolicy) -> list[str]:
    longest = (policy.max_plaintext_bytes + _PADDING_BYTES) // 3 * 4 + 4
    bounds = (
        MAX_HEADER_SEGMENT_BYTES,
        MAX_ENCRYPTED_KEY_SEGMENT_BYTES,
        MAX_SHORT_SEGMENT_BYTES,
        longest,
        MAX_SHORT_SEGMENT_BYTES,
    )
    if len(token) > sum(bounds) + len(bounds) - 1:
        raise TokenRefused(field="token", rule="too_large")
    segments = token.split(".", len(bounds))
    # The encrypted key is empty where the key is direct, the ciphertext where nothing was encrypted.
    if len(segments) != len(bounds) or not segments[0] or not segments[2] or not segments[4]:
        raise TokenRefused(field="token", rule="compact_form")
    if any(len(segment) > bound for segment, bound in zip(segments, bounds, strict=True)):
        raise TokenRefused(field="token", rule="too_large")
    return segments


def _checked_algorithms(header: Mapping[str, Json], policy: EncryptionPolicy) -> tuple[KeyAlg, Enc]:
    refused = REFUSED_HEADERS & header.keys()
    if refused:
        raise TokenRefused(field=min(refused), rule="refused_header")
    cty = header.get("cty")
    if "cty" not in header:
        typed = None in policy.accepted_cty
    else:
        typed = any(name is not None and _is_content_type(cty, name) for name in policy.accepted_cty)
    if not typed:
        raise TokenRefused(field="cty", rule="other_type")
    name, content = header.get("alg"), header.get("enc")
    alg = KEY_ALGORITHMS.get(name) if isinstance(name, str) else None
    if alg is None:
        raise AlgorithmRefused(field="alg", rule="unknown")
    enc = CONTENT_ALGORITHMS.get(content) if isinstance(content, str) else None
    if enc is None:
        raise AlgorithmRefused(field="enc", rule="unknown")
    policy.require(alg, enc)
    if alg not in AGREEMENT and header.keys() & {"epk", "apu", "apv"}:
        raise TokenRefused(field="epk", rule="refused_header")
    return alg, enc


def _is_content_type(value: object, name: str) -> bool:
    """RFC 7515 §4.1.10: media types compare without regard to case."""
    return isinstance(value, str) and value.isascii() and value.lower() == name.lower()


def _look_up(keys: OpeningKeyLookup | Mapping[str, OpeningKey], kid: str | None, alg: KeyAlg) -> OpeningKey:
    if callable(keys):
        return keys(kid, alg)
    key = keys.get(kid) if kid is not None else None
    if key is None:
        raise TokenRefused(field="kid", rule="unknown_key")
    return key


def _recovered(key: OpeningKey, enc: Enc, header: Mapping[str, Json], encrypted_key: bytes) -> bytes | None:
    try:
        return recover(key, enc, header, encrypted_key)
    except DecryptionFailed:
        return None
