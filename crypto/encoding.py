"""Strict encodings: one meaning, one sequence of bytes.

base64url without padding (RFC 7515 §2), JSON without duplicate members (RFC 8259 §4, RFC 7493), and the DER form of
an (r, s) signature (X.690 §10, §8.3). Everything malleable is refused, because what is signed, hashed or compared
here would otherwise have two forms.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from typing import TYPE_CHECKING, Never, TypeAlias

from crypto.errors import EncodingRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

# Deep nesting serves only to exhaust the parser's stack; no document of ours goes past ten.
MAX_JSON_DEPTH = 64
# A 256-bit unsigned integer takes at most a sign octet and 32 octets (X.690 §8.3.2).
SCALAR_BYTES = 32
# SEQUENCE header, then twice INTEGER header and 33 octets: below 128, so a short-form length always serves.
MAX_SIGNATURE_DER_BYTES = 2 + 2 * (2 + SCALAR_BYTES + 1)

_B64U = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
# The last character of an unpadded group carries 4 (or 2) unused bits, which must be zero (RFC 4648 §3.5).
_LAST_OF_TWO = frozenset("AQgw")
_LAST_OF_THREE = frozenset("AEIMQUYcgkosw048")

_TAG_SEQUENCE = 0x30
_TAG_INTEGER = 0x02


def b64u_encode(data: bytes) -> str:
    """Return base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def b64u_decode(text: str, *, field: str | None = None) -> bytes:
    """Decode base64url without padding; raise `EncodingRefused` for anything but the canonical form."""
    if _B64U.fullmatch(text) is None:
        raise EncodingRefused(field=field, rule="base64url_alphabet")
    rest = len(text) % 4
    if rest == 1:
        raise EncodingRefused(field=field, rule="base64url_length")
    if (rest == 2 and text[-1] not in _LAST_OF_TWO) or (rest == 3 and text[-1] not in _LAST_OF_THREE):
        raise EncodingRefused(field=field, rule="base64url_unused_bits")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def b64_decode(text: str, *, field: str | None = None) -> bytes:
    """Decode standard base64 with padding (RFC 4648 §4); raise `EncodingRefused` for any but the canonical form."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError, ValueError):
        raise EncodingRefused(field=field, rule="base64") from None
    if base64.b64encode(data).decode("ascii") != text:
        raise EncodingRefused(field=field, rule="base64_canonical")
    return data


def json_strict(data: bytes | str, *, field: str | None = None) -> Json:
    """Parse JSON; raise `EncodingRefused` for duplicate members, NaN, infinities, lone surrogates, or deep nesting."""
    try:
        text = data if isinstance(data, str) else data.decode("utf-8")
    except UnicodeDecodeError:
        raise EncodingRefused(field=field, rule="utf8") from None
    if text.count("[") + text.count("{") > MAX_JSON_DEPTH and _depth(text) > MAX_JSON_DEPTH:
        raise EncodingRefused(field=field, rule="json_depth")
    try:
        value: Json = json.loads(text, object_pairs_hook=_members, parse_constant=_no_constant, parse_float=_finite)
        if _ESCAPED_SURROGATE.search(text) is not None:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except EncodingRefused as refused:
        raise EncodingRefused(field=field, rule=refused.rule) from None
    except UnicodeEncodeError:
        raise EncodingRefused(field=field, rule="json_surrogate") from None
    except ValueError:
        # JSONDecodeError, and integers past the interpreter's digit limit.
        raise EncodingRefused(field=field, rule="json") from None
    return value


def json_object(data: bytes | str, *, field: str | None = None) -> dict[str, Json]:
    """Parse strictly as `json_strict` does and require an object."""
    value = json_strict(data, field=field)
    if not isinstance(value, dict):
        raise EncodingRefused(field=field, rule="json_object")
    return value


def _members(pairs: Sequence[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise EncodingRefused(rule="json_duplicate_member")
    return members


def _no_constant(_name: str) -> Never:
    raise EncodingRefused(rule="json_number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise EncodingRefused(rule="json_number")
    return number


def _depth(text: str) -> int:
    """Return the deepest nesting, counting no bracket inside a string."""
    depth = deepest = 0
    in_string = escaped = False
    for character in text:
        if in_string:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                in_string = False
        elif character == '"':
            in_string = True
        elif character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


def rs_to_der(raw: bytes) -> bytes:
    """Turn 64 bytes r‖s into DER SEQUENCE { r INTEGER, s INTEGER } (RFC 3279 §2.2.3, GM/T 0009)."""
    if len(raw) != 2 * SCALAR_BYTES:
        raise EncodingRefused(field="signature", rule="length")
    body = _integer(raw[:SCALAR_BYTES]) + _integer(raw[SCALAR_BYTES:])
    return bytes((_TAG_SEQUENCE, len(body))) + body


def rs_from_der(der: bytes) -> bytes:
    """Turn strict DER SEQUENCE { r INTEGER, s INTEGER } into 64 bytes r‖s; raise `EncodingRefused` for any other form."""
    if not 8 <= len(der) <= MAX_SIGNATURE_DER_BYTES or der[0] != _TAG_SEQUENCE or der[1] != len(der) - 2:
        raise EncodingRefused(field="signature", rule="der_sequence")
    r, rest = _take_integer(der[2:])
    s, rest = _take_integer(rest)
    if rest:
        raise EncodingRefused(field="signature", rule="der_trailing")
    return r + s


def _integer(scalar: bytes) -> bytes:
    minimal = scalar.lstrip(b"\0") or b"\0"
    if minimal[0] & 0x80:
        minimal = b"\0" + minimal
    return bytes((_TAG_INTEGER, len(minimal))) + minimal


def _take_integer(data: bytes) -> tuple[bytes, bytes]:
    if len(data) < 3 or data[0] != _TAG_INTEGER or not 1 <= data[1] <= SCALAR_BYTES + 1 or len(data) < 2 + data[1]:
        raise EncodingRefused(field="signature", rule="der_integer")
    content, rest = data[2 : 2 + data[1]], data[2 + data[1] :]
    if content[0] & 0x80:
        raise EncodingRefused(field="signature", rule="der_negative")
    if content[0] == 0 and len(content) > 1 and not content[1] & 0x80:
        # X.690 §8.3.2: the first nine bits are never all zero.
        raise EncodingRefused(field="signature", rule="der_minimal")
    magnitude = content.lstrip(b"\0")
    if len(magnitude) > SCALAR_BYTES:
        raise EncodingRefused(field="signature", rule="der_range")
    return magnitude.rjust(SCALAR_BYTES, b"\0"), rest
