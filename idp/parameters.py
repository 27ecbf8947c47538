"""Request parameters, parsed once and strictly: each name once, bounded, valid UTF-8 (RFC 6749 §3.1, §3.2).

Only `resource` may come more than once (RFC 8707 §2). Its values are then one text with a line feed between them: no value
holds one, for control characters are refused. `idp.authorize.resources` takes them apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from starlette.requests import ClientDisconnect, Request

from crypto.errors import TrustError

PARAMETERS_MAX = 40
"""More than any endpoint defines; a request with more is not a client's."""

VALUE_CHARS_MAX = 4096
"""Long enough for an id_token_hint (about 1 KB); bounds state and nonce (RFC 9700: length limits)."""

RAW_BYTES_MAX = 16 * 1024
"""A whole query or form; well under what any proxy passes."""

REPEATABLE = frozenset({"resource"})
"""RFC 8707 §2: several resources are several parameters of one name. No other standard here allows a repetition."""

BETWEEN_VALUES = "\n"
"""What stands between the values of a repeated parameter."""

# What needs no decoding and holds no control character: most names and values there are.
_PLAIN = re.compile(r"[A-Za-z0-9_.~:/-]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


class ParametersRefused(TrustError):
    """A query or form that is not the one reading of itself. `field` names the parameter where one is at fault."""

    code = "idp.parameters_refused"


def parse_parameters(raw: str) -> Mapping[str, str]:
    """Parse an `application/x-www-form-urlencoded` text.

    Empty values count as absent (RFC 6749 §3.1). Raises `ParametersRefused` with rule `duplicate`, `encoding`,
    `too_long` or `too_many`; `field` is set for `duplicate`.
    """
    values, duplicate = parse_reporting_duplicate(raw)
    if duplicate is not None:
        raise ParametersRefused(field=duplicate, rule="duplicate")
    return values


def parse_reporting_duplicate(raw: str) -> tuple[Mapping[str, str], str | None]:
    """As `parse_parameters`, but the first repeated name is returned beside the first values.

    The authorization endpoint needs both: where to send the refusal depends on the values that are not in doubt.
    """
    if len(raw) > RAW_BYTES_MAX:
        raise ParametersRefused(rule="too_long")
    values: dict[str, str] = {}
    duplicate: str | None = None
    pairs = [pair for pair in raw.split("&") if pair]
    if len(pairs) > PARAMETERS_MAX:
        raise ParametersRefused(rule="too_many")
    for pair in pairs:
        raw_name, _, raw_value = pair.partition("=")
        name, value = _decode(raw_name), _decode(raw_value)
        if len(value) > VALUE_CHARS_MAX:
            raise ParametersRefused(field=_safe_name(name), rule="too_long")
        if name in values and name in REPEATABLE:
            if value:
                values[name] = f"{values[name]}{BETWEEN_VALUES}{value}" if values[name] else value
        elif name in values:
            duplicate = duplicate or _safe_name(name)
        else:
            values[name] = value
    return {name: value for name, value in values.items() if value}, duplicate


async def read_form(request: Request) -> Mapping[str, str]:
    """Read a form body of at most `RAW_BYTES_MAX`. Raises `ParametersRefused`, also for another media type."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/x-www-form-urlencoded":
        raise ParametersRefused(rule="media_type")
    body, more = bytearray(), True
    while more:  # as `request.stream` reads it, without a generator for each of many small forms
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > RAW_BYTES_MAX:
            raise ParametersRefused(rule="too_long")
    if not body.isascii():
        raise ParametersRefused(rule="encoding")
    return parse_parameters(body.decode("ascii"))


def query_of(request: Request) -> str:
    """Return the raw query as text; bytes outside ASCII become characters the parser refuses."""
    raw: bytes = request.scope["query_string"]
    return raw.decode("ascii", "surrogateescape")


def _decode(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    if _STRAY_PERCENT.search(text):
        raise ParametersRefused(rule="encoding")
    try:
        decoded = unquote_to_bytes(text.replace("+", " ")).decode("utf-8", "strict")
    except UnicodeError:  # also a lone surrogate in the raw text
        raise ParametersRefused(rule="encoding") from None
    if _CONTROL.search(decoded):
        raise ParametersRefused(rule="encoding")
    return decoded


def _safe_name(name: str) -> str:
    # The name reaches logs and pages: only a registered-looking one is repeated.
    return name if re.fullmatch(r"[a-z_]{1,40}", name) else "?"
