"""JSON Canonicalization Scheme (RFC 8785): the one sequence of bytes of a JSON value."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

from crypto.errors import EncodingRefused

# RFC 8785 §3.2.2.3 and RFC 7493 §2.2: a number is an IEEE double, so integers stay exact only up to 2^53 − 1.
MAX_SAFE_INTEGER = 2**53 - 1
# The same depth the strict parser accepts; a value built in memory deeper than that could not be read back.
MAX_DEPTH = 64

_encode_string = json.JSONEncoder(ensure_ascii=False).encode
_encode_plain = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


def jcs(value: object) -> bytes:
    """Return the canonical UTF-8 bytes; raise `EncodingRefused` for what JSON, or I-JSON, cannot hold."""
    if _is_plain(value, 0):
        text = _encode_plain(value)
    else:
        parts: list[str] = []
        _write(value, parts, 0)
        text = "".join(parts)
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise EncodingRefused(rule="json_surrogate") from None


def _is_plain(value: object, depth: int) -> bool:
    """Say whether the standard encoder writes the value as RFC 8785 does, as it does nearly everything we sign.

    That is: no floats, no integers a double cannot hold, and names in ASCII, which sort alike by any rule.
    """
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if isinstance(value, int):
        return kind is int and -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER
    if depth >= MAX_DEPTH:
        return False
    if isinstance(value, dict):
        return all(type(name) is str and name.isascii() and _is_plain(item, depth + 1) for name, item in value.items())
    if isinstance(value, (list, tuple)):
        return all(_is_plain(item, depth + 1) for item in value)
    return False


def _write(value: object, parts: list[str], depth: int) -> None:
    if depth > MAX_DEPTH:
        raise EncodingRefused(rule="json_depth")
    if isinstance(value, str):
        parts.append(_encode_string(value))
    elif value is None or isinstance(value, bool):
        parts.append({None: "null", True: "true", False: "false"}[value])
    elif isinstance(value, int):
        parts.append(_integer(int(value)))
    elif isinstance(value, float):
        parts.append(_number(value))
    elif isinstance(value, Mapping):
        _write_object(value, parts, depth)
    elif isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
        parts.append("[")
        for index, item in enumerate(value):
            if index:
                parts.append(",")
            _write(item, parts, depth + 1)
        parts.append("]")
    else:
        raise EncodingRefused(rule="json_type")


def _write_object(value: Mapping[object, object], parts: list[str], depth: int) -> None:
    names: list[str] = []
    for name in value:
        if not isinstance(name, str):
            raise EncodingRefused(rule="json_member_name")
        names.append(name)
    parts.append("{")
    for index, name in enumerate(sorted(names, key=_utf16)):
        if index:
            parts.append(",")
        parts.extend((_encode_string(name), ":"))
        _write(value[name], parts, depth + 1)
    parts.append("}")


def _utf16(name: str) -> bytes:
    """RFC 8785 §3.2.3: members are ordered by UTF-16 code units, not by code points."""
    return name.encode("utf-16-be", "surrogatepass")


def _integer(value: int) -> str:
    """Write exact integers; beyond 2^53 − 1 only those digits that a double is written with, as read back from a number."""
    if abs(value) > MAX_SAFE_INTEGER and (abs(value) >= 10**21 or _number(float(value)) != str(value)):
        raise EncodingRefused(rule="json_integer_range")
    return str(value)


def _number(value: float) -> str:
    """ECMAScript Number::toString (ECMA-262 §6.1.6.1.20): the shortest digits, exponent below 1e-6 and from 1e21."""
    if not math.isfinite(value):
        raise EncodingRefused(rule="json_number")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = fraction.rstrip("0")
    digits = (whole + fraction).lstrip("0")
    # The decimal point stands after the first `point` digits.
    point = len(whole) + int(exponent or "0") - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    count = len(digits)
    if count <= point <= 21:
        return sign + digits + "0" * (point - count)
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    power = f"{point - 1:+d}"
    return f"{sign}{digits}e{power}" if count == 1 else f"{sign}{digits[0]}.{digits[1:]}e{power}"
