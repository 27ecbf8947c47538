"""The extensions of certificates and revocation lists (RFC 5280 §4.2, §5.2), each read strictly.

What is not known here is kept as it came; whether a critical one may be passed over is for path validation to say,
and it says no.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Flag, auto
from typing import TYPE_CHECKING, Final

from crypto import der

if TYPE_CHECKING:
    from crypto.der import DerReader

OID_SUBJECT_KEY_ID: Final = "2.5.29.14"
OID_KEY_USAGE: Final = "2.5.29.15"
OID_SUBJECT_ALT_NAME: Final = "2.5.29.17"
OID_BASIC_CONSTRAINTS: Final = "2.5.29.19"
OID_NAME_CONSTRAINTS: Final = "2.5.29.30"
OID_CRL_DISTRIBUTION_POINTS: Final = "2.5.29.31"
OID_AUTHORITY_KEY_ID: Final = "2.5.29.35"
OID_EXTENDED_KEY_USAGE: Final = "2.5.29.37"
# Read or acted upon here; any other critical extension means the certificate is not understood.
KNOWN_EXTENSIONS: Final = frozenset(
    {
        OID_SUBJECT_KEY_ID,
        OID_KEY_USAGE,
        OID_SUBJECT_ALT_NAME,
        OID_BASIC_CONSTRAINTS,
        OID_CRL_DISTRIBUTION_POINTS,
        OID_AUTHORITY_KEY_ID,
        OID_EXTENDED_KEY_USAGE,
    }
)

MAX_EXTENSIONS: Final = 64
MAX_GENERAL_NAMES: Final = 256
# Longer than any path; an INTEGER of some megabytes would only slow the comparison.
MAX_PATH_LENGTH: Final = 255

_KEY_USAGE_BITS: Final = 9
_IA5: Final = re.compile(rb"[\x21-\x7e]+", re.ASCII)
# RFC 5280 §4.2.1.6: the tags of GeneralName, primitive or constructed as their types are.
_GENERAL_NAMES: Final = {
    0xA0: "other",
    0x81: "email",
    0x82: "dns",
    0xA3: "x400",
    0xA4: "directory",
    0xA5: "edi",
    0x86: "uri",
    0x87: "ip",
    0x88: "registered_id",
}


class KeyUsage(Flag):
    """The bits of keyUsage in the order of their numbers (RFC 5280 §4.2.1.3)."""

    DIGITAL_SIGNATURE = auto()
    CONTENT_COMMITMENT = auto()
    KEY_ENCIPHERMENT = auto()
    DATA_ENCIPHERMENT = auto()
    KEY_AGREEMENT = auto()
    KEY_CERT_SIGN = auto()
    CRL_SIGN = auto()
    ENCIPHER_ONLY = auto()
    DECIPHER_ONLY = auto()


@dataclass(frozen=True, slots=True)
class Extension:
    """One extension as it came: `value` is the content of its OCTET STRING."""

    oid: str
    critical: bool
    value: bytes


@dataclass(frozen=True, slots=True)
class BasicConstraints:
    """Whether the subject is a CA, and how many CAs may follow it (None: no bound)."""

    ca: bool
    path_length: int | None


@dataclass(frozen=True, slots=True)
class GeneralName:
    """A name of the subject: its kind (dns, uri, email, ip, directory, …) and its content octets."""

    kind: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Extensions:
    """The extensions of a certificate: those this product reads, and all as they came."""

    every: tuple[Extension, ...] = ()
    basic_constraints: BasicConstraints | None = None
    key_usage: KeyUsage | None = None
    extended_key_usage: tuple[str, ...] | None = None
    subject_key_id: bytes | None = None
    authority_key_id: bytes | None = None
    alternative_names: tuple[GeneralName, ...] = ()
    crl_distribution_points: bytes | None = None

    def has(self, oid: str) -> bool:
        """Whether there is an extension of this OID."""
        return any(extension.oid == oid for extension in self.every)

    def is_critical(self, oid: str) -> bool:
        """Whether there is a critical extension of this OID."""
        return any(extension.oid == oid and extension.critical for extension in self.every)


def take_extensions(outer: DerReader) -> tuple[Extension, ...]:
    """Take Extensions: at least one, no OID twice (RFC 5280 §4.2); raise `EncodingRefused`."""
    walk = outer.sequence()
    found: dict[str, Extension] = {}
    while not walk.at_end:
        one = walk.sequence()
        oid = one.oid()
        critical = False
        if one.next_is(der.BOOLEAN):
            critical = one.boolean()
            if not critical:
                raise outer.refuse("der_default")
        value = one.octet_string()
        one.finish()
        if oid in found:
            raise outer.refuse("extension_twice")
        if len(found) == MAX_EXTENSIONS:
            raise outer.refuse("extensions_too_many")
        found[oid] = Extension(oid, critical, value)
    if not found:
        raise outer.refuse("extensions_empty")
    return tuple(found.values())


def understood(every: tuple[Extension, ...], outer: DerReader) -> Extensions:
    """Read the extensions of a certificate that this product knows; raise `EncodingRefused`."""
    values = {extension.oid: outer.inside(extension.value) for extension in every}
    basic, usage = values.get(OID_BASIC_CONSTRAINTS), values.get(OID_KEY_USAGE)
    extended, names = values.get(OID_EXTENDED_KEY_USAGE), values.get(OID_SUBJECT_ALT_NAME)
    subject_key, authority_key = values.get(OID_SUBJECT_KEY_ID), values.get(OID_AUTHORITY_KEY_ID)
    points = next((one.value for one in every if one.oid == OID_CRL_DISTRIBUTION_POINTS), None)
    read = Extensions(
        every,
        None if basic is None else _basic_constraints(basic),
        None if usage is None else _key_usage(usage),
        None if extended is None else _extended_key_usage(extended),
        None if subject_key is None else subject_key.octet_string(),
        None if authority_key is None else take_authority_key_id(authority_key),
        () if names is None else _general_names(names),
        points,
    )
    for oid, walk in values.items():
        if oid in KNOWN_EXTENSIONS - {OID_CRL_DISTRIBUTION_POINTS}:
            walk.finish()
    return read


def _basic_constraints(walk: DerReader) -> BasicConstraints:
    inner = walk.sequence()
    ca = False
    if inner.next_is(der.BOOLEAN):
        ca = inner.boolean()
        if not ca:
            raise walk.refuse("der_default")
    path_length = None if inner.at_end else inner.integer()
    inner.finish()
    if path_length is not None and not (ca and 0 <= path_length <= MAX_PATH_LENGTH):
        raise walk.refuse("path_length_form")
    return BasicConstraints(ca, path_length)


def _key_usage(walk: DerReader) -> KeyUsage:
    """Read the named bits; X.690 §11.2.2: no zero bits at the end, and RFC 5280 §4.2.1.3: at least one bit is set."""
    bits = walk.bit_string()
    number = 8 * len(bits.data) - bits.unused
    if not 1 <= number <= _KEY_USAGE_BITS or not bits.data[-1] >> bits.unused & 1:
        raise walk.refuse("key_usage_form")
    value = int.from_bytes(bits.data, "big") >> bits.unused
    usage = KeyUsage(0)
    for bit in range(number):
        if value >> (number - 1 - bit) & 1:
            usage |= KeyUsage(1 << bit)
    return usage


def _extended_key_usage(walk: DerReader) -> tuple[str, ...]:
    inner = walk.sequence()
    purposes: list[str] = []
    while not inner.at_end and len(purposes) < MAX_EXTENSIONS:
        purposes.append(inner.oid())
    inner.finish()
    if not purposes:
        raise walk.refuse("extended_key_usage_form")
    return tuple(purposes)


def take_authority_key_id(walk: DerReader) -> bytes | None:
    """Take AuthorityKeyIdentifier and return its key identifier (RFC 5280 §4.2.1.1).

    Issuer and serial number stand together or not at all. They are a hint for the search and nothing is decided by them.
    """
    inner = walk.sequence()
    key_id = inner.take(0x80) if inner.next_is(0x80) else None
    if inner.next_is(0xA1):
        inner.take(0xA1)
        inner.take(0x82)
    inner.finish()
    return key_id


def _general_names(walk: DerReader) -> tuple[GeneralName, ...]:
    inner = walk.sequence()
    names: list[GeneralName] = []
    while not inner.at_end and len(names) < MAX_GENERAL_NAMES:
        element = inner.element()
        kind = _GENERAL_NAMES.get(element.tag)
        if kind is None:
            raise walk.refuse("general_name")
        if kind in {"dns", "email", "uri"} and _IA5.fullmatch(element.content) is None:
            raise walk.refuse("general_name")
        if kind == "ip" and len(element.content) not in {4, 16}:
            raise walk.refuse("general_name")
        names.append(GeneralName(kind, element.content))
    inner.finish()
    if not names:
        raise walk.refuse("general_name")
    return tuple(names)
