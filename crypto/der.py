"""Strict DER (X.690 §8, §10, §11): the one encoding of each value, read and written; BER is refused.

A `DerReader` walks over the elements of a constructed value in order. Every `take` names the type it expects, so there
is no generic tree to interpret and nothing is decoded twice. Lengths are definite and minimal, integers minimal,
booleans 00 or FF, unused bits zero, sets in order; what is left over is refused by `finish`.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from crypto.errors import EncodingRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

# X.690 §8.1.2: universal tags in their one DER form (constructed for SEQUENCE and SET, primitive for the others).
BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTET_STRING: Final = 0x04
NULL: Final = 0x05
OBJECT_IDENTIFIER: Final = 0x06
ENUMERATED: Final = 0x0A
UTF8_STRING: Final = 0x0C
PRINTABLE_STRING: Final = 0x13
IA5_STRING: Final = 0x16
UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18
BMP_STRING: Final = 0x1E
SEQUENCE: Final = 0x30
SET: Final = 0x31

# Certificates and key files stay far below; revocation lists say their own larger bound.
MAX_DER_BYTES: Final = 64 * 1024
# An X.509 certificate needs about ten levels; deeper nesting serves only to exhaust a stack.
MAX_DER_DEPTH: Final = 24
# No OID of ours has more than 12 arcs; UUID arcs (2.25) take 128 bits, which 19 octets of 7 bits hold.
MAX_OID_BYTES: Final = 64

_MULTIPLE_TAG_BYTES: Final = 0x1F
_CONTEXT: Final = 0x80
_CONSTRUCTED: Final = 0x20
_UTC_FORM: Final = re.compile(rb"[0-9]{12}Z", re.ASCII)
_GENERALIZED_FORM: Final = re.compile(rb"[0-9]{14}Z", re.ASCII)
_OID_FORM: Final = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+", re.ASCII)
# RFC 5280 §4.1.2.5.1: a two-digit year from 50 on means 19YY; §4.1.2.5: years from 2050 on take GeneralizedTime.
_UTC_TIME_PIVOT: Final = 50
_FIRST_GENERALIZED_YEAR: Final = 2050


@dataclass(frozen=True, slots=True)
class BitString:
    """The octets of a BIT STRING and how many bits of the last are unused (0 … 7, and zero)."""

    data: bytes
    unused: int = 0


@dataclass(frozen=True, slots=True)
class Element:
    """One element: its identifier octet, its content, and its whole encoding."""

    tag: int
    content: bytes
    encoded: bytes


class DerReader:
    """A walk over consecutive DER elements. `field` names what is read, in every refusal.

    Raises `EncodingRefused` with the field and a rule beginning with `der_`; never anything else.
    """

    __slots__ = ("_at", "_data", "_depth", "field")

    def __init__(self, data: bytes, *, field: str, max_bytes: int = MAX_DER_BYTES, depth: int = 0) -> None:
        if len(data) > max_bytes:
            raise EncodingRefused(field=field, rule="der_too_large")
        if depth > MAX_DER_DEPTH:
            raise EncodingRefused(field=field, rule="der_depth")
        self._data = data
        self._at = 0
        self._depth = depth
        self.field = field

    def refuse(self, rule: str) -> EncodingRefused:
        """Return the refusal of what is read here under a rule."""
        return EncodingRefused(field=self.field, rule=rule)

    @property
    def at_end(self) -> bool:
        """Whether nothing is left."""
        return self._at == len(self._data)

    def finish(self) -> None:
        """Refuse anything that is left."""
        if not self.at_end:
            raise self.refuse("der_trailing")

    def next_is(self, tag: int) -> bool:
        """Whether the next element has this identifier octet."""
        return not self.at_end and self._data[self._at] == tag

    def element(self) -> Element:
        """Take the next element, whatever its type."""
        data, at = self._data, self._at
        if len(data) - at < 2:
            raise self.refuse("der_truncated")
        tag, length, start = data[at], data[at + 1], at + 2
        if tag & _MULTIPLE_TAG_BYTES == _MULTIPLE_TAG_BYTES:
            raise self.refuse("der_tag")
        if length >= 0x80:
            length, start = self._long_length(length & 0x7F, start)
        end = start + length
        if end > len(data):
            raise self.refuse("der_truncated")
        self._at = end
        return Element(tag, data[start:end], data[at:end])

    def _long_length(self, octets: int, start: int) -> tuple[int, int]:
        """Read a length in its long form (X.690 §8.1.3.5, §10.1); 0x80 alone would be the indefinite form of BER."""
        if not 1 <= octets <= 4:
            raise self.refuse("der_length")
        if len(self._data) - start < octets:
            raise self.refuse("der_truncated")
        length = int.from_bytes(self._data[start : start + octets], "big")
        if length < 0x80 or self._data[start] == 0:
            raise self.refuse("der_length")
        return length, start + octets

    def take(self, tag: int) -> bytes:
        """Take the content of the next element, which must have this identifier octet."""
        if not self.next_is(tag):
            raise self.refuse("der_truncated" if self.at_end else "der_type")
        return self.element().content

    def inside(self, content: bytes) -> DerReader:
        """Return a walk over the content of an element taken here, one level deeper."""
        return DerReader(content, field=self.field, max_bytes=len(content), depth=self._depth + 1)

    def sequence(self) -> DerReader:
        """Take a SEQUENCE and return the walk over its elements."""
        return self.inside(self.take(SEQUENCE))

    def set_of(self) -> Iterator[DerReader]:
        """Take a SET OF and yield a walk over each element; they must stand in ascending order (X.690 §11.6)."""
        inner = self.inside(self.take(SET))
        before = b""
        while not inner.at_end:
            encoded = inner.element().encoded
            if encoded < before:
                raise self.refuse("der_set_order")
            before = encoded
            yield self.inside(encoded)

    def explicit(self, number: int) -> DerReader:
        """Take a constructed context tag [number] and return the walk over what it holds."""
        return self.inside(self.take(_CONTEXT | _CONSTRUCTED | number))

    def integer(self) -> int:
        """Take an INTEGER in its minimal form (X.690 §8.3)."""
        return self._integer_of(self.take(INTEGER))

    def enumerated(self) -> int:
        """Take an ENUMERATED, encoded as an INTEGER is (X.690 §8.4)."""
        return self._integer_of(self.take(ENUMERATED))

    def _integer_of(self, content: bytes) -> int:
        if not content:
            raise self.refuse("der_integer")
        if len(content) > 1 and (
            (content[0] == 0 and not content[1] & 0x80) or (content[0] == 0xFF and content[1] & 0x80)
        ):
            raise self.refuse("der_minimal")
        return int.from_bytes(content, "big", signed=True)

    def boolean(self) -> bool:
        """Take a BOOLEAN: 00 or FF (X.690 §11.1)."""
        content = self.take(BOOLEAN)
        if content not in {b"\x00", b"\xff"}:
            raise self.refuse("der_boolean")
        return content == b"\xff"

    def null(self) -> None:
        """Take a NULL."""
        if self.take(NULL):
            raise self.refuse("der_null")

    def octet_string(self) -> bytes:
        """Take an OCTET STRING, primitive as DER has it (X.690 §10.2)."""
        return self.take(OCTET_STRING)

    def bit_string(self) -> BitString:
        """Take a BIT STRING; its unused bits are zero (X.690 §11.2.1)."""
        return self.bit_string_of(self.take(BIT_STRING))

    def bit_string_of(self, content: bytes) -> BitString:
        """Read the content of a BIT STRING that came under an implicit tag."""
        if not content or content[0] > 7 or (len(content) == 1 and content[0]):
            raise self.refuse("der_bit_string")
        if content[-1] & ((1 << content[0]) - 1) and len(content) > 1:
            raise self.refuse("der_unused_bits")
        return BitString(content[1:], content[0])

    def whole_bytes(self) -> bytes:
        """Take a BIT STRING that must hold whole octets."""
        bits = self.bit_string()
        if bits.unused:
            raise self.refuse("der_unused_bits")
        return bits.data

    def oid(self) -> str:
        """Take an OBJECT IDENTIFIER as dotted text (X.690 §8.19)."""
        content = self.take(OBJECT_IDENTIFIER)
        if not 1 <= len(content) <= MAX_OID_BYTES or content[-1] & 0x80:
            raise self.refuse("der_oid")
        arcs: list[int] = []
        value, fresh = 0, True
        for octet in content:
            if fresh and octet == 0x80:
                raise self.refuse("der_oid")
            value = value << 7 | octet & 0x7F
            fresh = not octet & 0x80
            if fresh:
                arcs.append(value)
                value = 0
        first = min(arcs[0] // 40, 2)
        return ".".join(str(arc) for arc in (first, arcs[0] - 40 * first, *arcs[1:]))

    def time(self) -> int:
        """Take a Time of RFC 5280 §4.1.2.5: UTCTime until 2049, GeneralizedTime from 2050; seconds since the epoch."""
        if self.next_is(UTC_TIME):
            content = self.take(UTC_TIME)
            if _UTC_FORM.fullmatch(content) is None:
                raise self.refuse("der_time")
            century = b"19" if int(content[:2]) >= _UTC_TIME_PIVOT else b"20"
            return self._seconds(century + content)
        moment = self.generalized_time()
        if moment < calendar.timegm((_FIRST_GENERALIZED_YEAR, 1, 1, 0, 0, 0)):
            raise self.refuse("der_time_form")
        return moment

    def generalized_time(self) -> int:
        """Take a GeneralizedTime of any year, in seconds and in UTC (RFC 5280 §4.1.2.5.2)."""
        content = self.take(GENERALIZED_TIME)
        if _GENERALIZED_FORM.fullmatch(content) is None:
            raise self.refuse("der_time")
        return self._seconds(content)

    def _seconds(self, text: bytes) -> int:
        pieces = [int(text[:4]), *(int(text[at : at + 2]) for at in range(4, 14, 2))]
        try:
            year, month, day, hour, minute, second = pieces
            return calendar.timegm(datetime(year, month, day, hour, minute, second, tzinfo=UTC).utctimetuple())
        except ValueError:
            raise self.refuse("der_time") from None


def read_der(data: bytes, *, field: str, max_bytes: int = MAX_DER_BYTES) -> DerReader:
    """Return the walk over the one SEQUENCE that `data` must be, with nothing behind it."""
    outer = DerReader(data, field=field, max_bytes=max_bytes)
    inner = outer.sequence()
    outer.finish()
    return inner


def tlv(tag: int, *parts: bytes) -> bytes:
    """Return an element with this identifier octet and the parts, one after another, as its content."""
    content = b"".join(parts)
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def sequence(*parts: bytes) -> bytes:
    """Return a SEQUENCE of encoded parts."""
    return tlv(SEQUENCE, *parts)


def set_of(*parts: bytes) -> bytes:
    """Return a SET OF of encoded parts, brought into order (X.690 §11.6)."""
    return tlv(SET, *sorted(parts))


def explicit(number: int, *parts: bytes) -> bytes:
    """Return a constructed context tag [number] around encoded parts."""
    return tlv(_CONTEXT | _CONSTRUCTED | number, *parts)


def integer(value: int) -> bytes:
    """Return an INTEGER in its minimal form."""
    return tlv(INTEGER, value.to_bytes((8 + (value + (value < 0)).bit_length()) // 8, "big", signed=True))


def boolean(value: bool) -> bytes:
    """Return a BOOLEAN."""
    return tlv(BOOLEAN, b"\xff" if value else b"\x00")


def null() -> bytes:
    """Return NULL."""
    return tlv(NULL)


def octet_string(data: bytes) -> bytes:
    """Return an OCTET STRING."""
    return tlv(OCTET_STRING, data)


def bit_string(data: bytes, unused: int = 0) -> bytes:
    """Return a BIT STRING. The caller has set the unused bits of the last octet to zero."""
    return tlv(BIT_STRING, bytes((unused,)), data)


def oid(dotted: str) -> bytes:
    """Return an OBJECT IDENTIFIER; raise `EncodingRefused` for a text that is none."""
    if _OID_FORM.fullmatch(dotted) is None:
        raise EncodingRefused(field="oid", rule="der_oid")
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    if first < 2 and second >= 40:
        raise EncodingRefused(field="oid", rule="der_oid")
    return tlv(OBJECT_IDENTIFIER, *(_arc(arc) for arc in (40 * first + second, *rest)))


def _arc(value: int) -> bytes:
    octets = [value & 0x7F]
    while value := value >> 7:
        octets.append(0x80 | value & 0x7F)
    return bytes(reversed(octets))


def time(moment: int) -> bytes:
    """Return a Time of RFC 5280 §4.1.2.5 for seconds since the epoch, years 1950 … 9999."""
    try:
        when = datetime.fromtimestamp(moment, UTC)
    except (ValueError, OverflowError, OSError):
        raise EncodingRefused(field="time", rule="der_time") from None
    if when.year < 1900 + _UTC_TIME_PIVOT:
        raise EncodingRefused(field="time", rule="der_time")
    digits = f"{when.year:04}{when:%m%d%H%M%S}Z".encode("ascii")
    if when.year < _FIRST_GENERALIZED_YEAR:
        return tlv(UTC_TIME, digits[2:])
    return tlv(GENERALIZED_TIME, digits)
