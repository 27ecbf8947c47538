"""Distinguished names (X.501, RFC 5280 §4.1.2.4): read for people, compared by their bytes.

A CA writes its name into what it issues exactly as it stands in its own certificate (RFC 5280 §4.1.2.6), so issuer and
subject are the same name where their encodings are equal. Folding case and space would make two names of one, and
every implementation folds differently.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from crypto import der

if TYPE_CHECKING:
    from crypto.der import DerReader, Element

OID_COMMON_NAME: Final = "2.5.4.3"
# A province's longest has seven; a name is no place for data.
MAX_NAME_ATTRIBUTES: Final = 32

# RFC 4514 §3, and what certificates of Chinese CAs carry beside it.
_SHORT: Final = {
    OID_COMMON_NAME: "CN",
    "2.5.4.5": "serialNumber",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.25": "DC",
    "1.2.840.113549.1.9.1": "emailAddress",
}
# X.680 §41.4
_PRINTABLE: Final = re.compile(rb"[A-Za-z0-9 '()+,./:=?-]+", re.ASCII)
_SPECIAL: Final = re.compile(r'([,+"\\<>;=])')


@dataclass(frozen=True, slots=True)
class Name:
    """A name: its encoding, by which it is compared, and its attributes (dotted OID, text) in order."""

    encoded: bytes
    attributes: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        """Return `C=CN, O=…, CN=…` for people. Nothing is decided by it."""
        return ", ".join(_SHORT.get(oid, oid) + "=" + _SPECIAL.sub(r"\\\1", text) for oid, text in self.attributes)

    @property
    def common_name(self) -> str | None:
        """The last common name, which stands for the whole among people."""
        return next((text for oid, text in reversed(self.attributes) if oid == OID_COMMON_NAME), None)


def take_name(outer: DerReader) -> Name:
    """Take a Name; raise `EncodingRefused` for strings and forms not read here."""
    element = outer.element()
    if element.tag != der.SEQUENCE:
        raise outer.refuse("der_type")
    relative = outer.inside(element.content)
    attributes: list[tuple[str, str]] = []
    while not relative.at_end:
        before = len(attributes)
        for member in relative.set_of():
            attribute = member.sequence()
            oid, value = attribute.oid(), attribute.element()
            attribute.finish()
            attributes.append((oid, _text(value, outer)))
        if len(attributes) == before:
            raise outer.refuse("name_empty_set")
        if len(attributes) > MAX_NAME_ATTRIBUTES:
            raise outer.refuse("name_too_long")
    return Name(element.encoded, tuple(attributes))


def _text(value: Element, outer: DerReader) -> str:
    """Return the text of a DirectoryString or IA5String (RFC 5280 §4.1.2.4)."""
    content = value.content
    try:
        if value.tag == der.PRINTABLE_STRING and _PRINTABLE.fullmatch(content):
            return content.decode("ascii")
        if value.tag == der.IA5_STRING and content:
            return content.decode("ascii")
        if value.tag == der.UTF8_STRING and content:
            return content.decode("utf-8")
        if value.tag == der.BMP_STRING and content:
            # UCS-2: what UTF-16 would pair up as surrogates is no character here.
            text = content.decode("utf-16-be")
            if 2 * len(text) == len(content):
                return text
    except UnicodeDecodeError:
        pass
    raise outer.refuse("name_string")
