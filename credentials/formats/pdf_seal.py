"""Sealing a PDF and opening a sealed one: the bundle as an attachment, and one PAdES signature over the whole file.

A sealed file is an unsealed one followed by exactly one update, whose every byte is laid out here: the embedded bundle,
its file specification, the signature field, the catalogue and the first page again (now naming those), the signature
dictionary, the cross-reference table and the trailer, with nothing between them. The reader accepts that layout and no
other, so no general PDF parser ever runs on an uploaded file, and a bundle is found in one place only. Whether the
signer is the school is the caller's question: the reader returns the signer's public key.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from typing import Any, Final

from pypdf import PdfReader
from pypdf.errors import PyPdfError

from credentials.errors import CredentialsError, DocumentAltered, Unreadable
from credentials.formats.pdf_cms import (
    MAX_CERTIFICATE,
    MAX_SIGNATURE_DER,
    read_certificate,
    sign_cms,
    verify_cms,
    write_cms,
)
from crypto.errors import EncodingRefused

HEADER: Final = b"%PDF-1.7\n"
FIELD_NAME: Final = b"/T(EduTrustSeal)"
SUB_FILTER: Final = b"/SubFilter/ETSI.CAdES.detached"
ATTACHMENT_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# The certificate, and the fixed parts of the signed data (under 600 bytes with an issuer name of its own).
MAX_CMS: Final = 2 * MAX_CERTIFICATE
TRAILER_WINDOW: Final = 1024
# Not before 1970, not after 9999: what a PDF date of four digits and this reader can say.
MAX_TIME: Final = 253402300799

TRAILER: Final = re.compile(
    rb"trailer\n<</Size ([1-9]\d{0,7})/Root ([1-9]\d{0,7}) 0 R/Info ([1-9]\d{0,7}) 0 R/Prev ([1-9]\d{0,9})"
    rb"/ID\[<([0-9a-f]{2,128})><([0-9a-f]{32})>\]>>\nstartxref\n([1-9]\d{0,9})\n%%EOF\n\Z"
)
XREF: Final = re.compile(
    rb"xref\n([1-9]\d{0,7}) 1\n(\d{10}) 00000 n \n([1-9]\d{0,7}) 1\n(\d{10}) 00000 n \n([1-9]\d{0,7}) 4\n"
    rb"(\d{10}) 00000 n \n(\d{10}) 00000 n \n(\d{10}) 00000 n \n(\d{10}) 00000 n \n"
)
EMBEDDED: Final = re.compile(
    rb"([1-9]\d{0,7}) 0 obj\n<</Type/EmbeddedFile/Subtype/application#2Fjson/Params<</ModDate\(D:(\d{14})Z\)"
    rb"/Size ([1-9]\d{0,9})>>/Length ([1-9]\d{0,9})>>\nstream\n"
)
FILE_SPECIFICATION: Final = re.compile(rb"\d+ 0 obj\n<</Type/Filespec/F\(([A-Za-z0-9._-]{1,64})\)")
SIGNATURE: Final = re.compile(
    rb"([1-9]\d{0,7}) 0 obj\n<</Type/Sig/Filter/Adobe\.PPKLite/SubFilter/ETSI\.CAdES\.detached/M\(D:(\d{14})Z\)"
    rb"/ByteRange\[0 ([1-9]\d{0,9}) ([1-9]\d{0,9}) ([1-9]\d{0,9})\]/Contents<([0-9a-f]{2,16384})>>>\nendobj\n"
)
END_OF_STREAM: Final = b"\nendstream\nendobj\n"


class SealRefused(CredentialsError):
    """A PDF, bundle, name, certificate or time that cannot be sealed; nothing was written."""

    code = "credentials.seal_refused"


@dataclass(frozen=True, slots=True)
class SealedPdf:
    """What an intact sealed PDF says: its bundle, and who sealed it when (seconds since the epoch, UTC, as claimed)."""

    bundle: bytes
    attachment_name: str
    certificate_der: bytes
    signer_public_jwk: Mapping[str, str]
    signing_time: int


@dataclass(frozen=True, slots=True)
class _Base:
    """Of the unsealed PDF, what its update repeats or refers to. Dictionaries are written without their brackets."""

    size: int
    root: int
    root_entries: bytes
    page: int
    page_entries: bytes
    info: int
    xref_at: int
    first_id: bytes


def seal_pdf(
    pdf: bytes,
    *,
    bundle: bytes,
    attachment_name: str,
    sign: Callable[[bytes], bytes],
    certificate_der: bytes,
    signing_time: int,
) -> bytes:
    """Attach the bundle to the PDF and sign the whole with the key of the certificate (EN 319 142-1, B-B; ISO 32000-1).

    `sign` takes bytes and returns a DER ECDSA-SHA256 signature over them (`pdf_cms.der_signer` makes one of a key);
    `signing_time` is in seconds since the epoch and lies within the certificate's validity. Raises SealRefused. The
    result has been opened again by `open_sealed_pdf` before it is returned.
    """
    if not ATTACHMENT_NAME.fullmatch(attachment_name):
        raise SealRefused(field="attachment_name", rule="characters")
    if not bundle:
        raise SealRefused(field="bundle", rule="empty")
    try:
        certificate = read_certificate(certificate_der)
    except DocumentAltered as error:
        raise SealRefused(field="certificate", rule=error.rule) from error
    if not certificate.not_before <= signing_time <= certificate.not_after:
        raise SealRefused(field="signing_time", rule="certificate_validity")
    base = _read_base(pdf)
    placeholder = write_cms(certificate, bytes(32), bytes(MAX_SIGNATURE_DER))
    gap = 2 * len(placeholder)
    head, tail = _layout(pdf, base, bundle, attachment_name.encode(), _pdf_time(signing_time), gap)
    digest = hashlib.sha256(head + tail).digest()
    try:
        contents = sign_cms(certificate, digest, sign).hex().encode().ljust(gap, b"0")
        sealed = b"".join((head, b"<", contents, b">", tail))
        opened = open_sealed_pdf(sealed, max_size=len(sealed))
    except (CredentialsError, EncodingRefused) as error:
        raise SealRefused(field=error.field, rule=error.rule) from error
    if opened.bundle != bundle or opened.signing_time != signing_time:
        raise SealRefused(field="bundle", rule="layout")
    return sealed


def open_sealed_pdf(data: bytes, *, max_size: int) -> SealedPdf:
    """Open a file `seal_pdf` wrote, and no other. A pure function of the bytes; at most `max_size` of them are read.

    1. The file ends in the update's trailer and cross-reference table, and they name each other.
    2. The update's objects stand one after another, without gaps, up to the end of the file.
    3. The byte ranges are [0, gap) and (gap, end of file], and the gap is the hexadecimal string and its brackets.
    4. The string is lower-case hexadecimal of one signed-data object, then zeros.
    5. That object is what `verify_cms` accepts over the two ranges.
    6. The claimed time lies within the certificate's validity.

    Raises Unreadable for what is no sealed PDF of ours, DocumentAltered for one that was changed after sealing.
    """
    if len(data) > max_size:
        raise Unreadable(field="file", rule="too_large", limit=max_size)
    if not data.startswith(HEADER):
        raise Unreadable(field="file", rule="not_a_pdf")
    if FIELD_NAME not in data or SUB_FILTER not in data:
        raise Unreadable(field="file", rule="not_sealed")
    trailer = TRAILER.search(data, max(0, len(data) - TRAILER_WINDOW))
    table = XREF.match(data, int(trailer[7])) if trailer else None
    if trailer is None or table is None or table.end() != trailer.start():
        raise DocumentAltered(field="file", rule="trailer")
    size, root, page = int(trailer[1]), int(trailer[2]), _page_number(table, int(trailer[2]))
    if int(table[5]) != size - 4 or int(table[1]) >= int(table[3]) or page is None:
        raise DocumentAltered(field="file", rule="cross_reference")
    offsets = {int(table[1]): int(table[2]), int(table[3]): int(table[4])}
    embedded_at, specification_at, field_at, signature_at = (int(table[index]) for index in range(6, 10))
    bundle, name, when = _attachment(data, size - 4, embedded_at, specification_at)
    signature = SIGNATURE.match(data, signature_at)
    if signature is None or int(signature[1]) != size - 1 or signature.end() != table.start() or signature[2] != when:
        raise DocumentAltered(field="file", rule="signature_dictionary")
    fixed = _objects_before_root(size - 4, name, page)
    expected = b"".join(fixed[1:])
    starts_well = data.startswith(fixed[0], specification_at) and field_at == specification_at + len(fixed[0])
    if not starts_well or not data.startswith(expected, field_at) or offsets[root] != field_at + len(expected):
        raise DocumentAltered(field="file", rule="objects")
    _check_catalogue(data, offsets[root], offsets[page], signature_at, (root, page, size - 4, name))
    if data.find(b"/ByteRange", 0, embedded_at) >= 0:
        raise DocumentAltered(field="file", rule="one_signature")
    gap_start, gap_end = signature.start(6) - 1, signature.end(6) + 1
    if (int(signature[3]), int(signature[4]), int(signature[5])) != (gap_start, gap_end, len(data) - gap_end):
        raise DocumentAltered(field="file", rule="byte_range")
    cms = _unpadded(signature[6])
    digest = hashlib.sha256(data[:gap_start])
    digest.update(data[gap_end:])
    certificate = verify_cms(cms, digest.digest())
    signing_time = _epoch(when)
    if not certificate.not_before <= signing_time <= certificate.not_after:
        raise Unreadable(field="certificate", rule="certificate_validity")
    return SealedPdf(bundle, name.decode(), certificate.der, certificate.public_jwk, signing_time)


def _page_number(table: re.Match[bytes], root: int) -> int | None:
    first, second = int(table[1]), int(table[3])
    return second if first == root else first if second == root else None


def _attachment(data: bytes, number: int, at: int, next_at: int) -> tuple[bytes, bytes, bytes]:
    """Return the bundle, its name and the date written beside it."""
    embedded = EMBEDDED.match(data, at)
    if embedded is None or int(embedded[1]) != number or embedded[3] != embedded[4]:
        raise DocumentAltered(field="file", rule="attachment")
    end = embedded.end() + int(embedded[3])
    if not data.startswith(END_OF_STREAM, end) or end + len(END_OF_STREAM) != next_at:
        raise DocumentAltered(field="file", rule="attachment")
    specification = FILE_SPECIFICATION.match(data, next_at)
    if specification is None:
        raise DocumentAltered(field="file", rule="attachment")
    return data[embedded.end() : end], specification[1], embedded[2]


def _check_catalogue(data: bytes, root_at: int, page_at: int, end: int, names: tuple[int, int, int, bytes]) -> None:
    """Require the catalogue and the page to be one object each that ends in what the seal adds to it."""
    root, page, number, name = names
    catalogue, leaf = data[root_at:page_at], data[page_at:end]
    additions = _root_additions(number, name)
    if not catalogue.startswith(b"%d 0 obj\n<<" % root) or not catalogue.endswith(additions + b">>\nendobj\n"):
        raise DocumentAltered(field="file", rule="catalogue")
    if not leaf.startswith(b"%d 0 obj\n<<" % page) or not leaf.endswith(b" %d 0 R]>>\nendobj\n" % (number + 2)):
        raise DocumentAltered(field="file", rule="page")
    if catalogue.count(b"endobj") != 1 or leaf.count(b"endobj") != 1:
        raise DocumentAltered(field="file", rule="catalogue")


def _unpadded(hexadecimal: bytes) -> bytes:
    """Return the signed-data object; after it stand only zeros, fewer than a signature can be shorter by."""
    padded = bytes.fromhex(hexadecimal.decode("ascii")) if len(hexadecimal) % 2 == 0 else b""
    if len(padded) < 4 or padded[:2] != b"\x30\x82":
        raise DocumentAltered(field="signature", rule="der_tag")
    length = 4 + int.from_bytes(padded[2:4], "big")
    if not 0 <= len(padded) - length < MAX_SIGNATURE_DER or any(padded[length:]):
        raise DocumentAltered(field="signature", rule="padding")
    return padded[:length]


def _layout(pdf: bytes, base: _Base, bundle: bytes, name: bytes, when: bytes, gap: int) -> tuple[bytes, bytes]:
    """Return the sealed file up to and after the gap."""
    number = base.size
    embedded = (
        b"%d 0 obj\n<</Type/EmbeddedFile/Subtype/application#2Fjson/Params<</ModDate(D:%sZ)/Size %d>>/Length %d>>\n"
        b"stream\n%s\nendstream\nendobj\n" % (number, when, len(bundle), len(bundle), bundle)
    )
    objects = [
        embedded,
        *_objects_before_root(number, name, base.page),
        b"%d 0 obj\n<<%s%s>>\nendobj\n" % (base.root, base.root_entries, _root_additions(number, name)),
        b"%d 0 obj\n<<%s %d 0 R]>>\nendobj\n" % (base.page, base.page_entries, number + 2),
    ]
    start = pdf if pdf.endswith(b"\n") else pdf + b"\n"
    offsets = [len(start)]
    for written in objects:
        offsets.append(offsets[-1] + len(written))
    embedded_at, specification_at, field_at, root_at, page_at, signature_at = offsets
    before = b"".join((start, *objects))
    identity = hashlib.sha256(before).hexdigest()[:32].encode()
    opening = b"%d 0 obj\n<</Type/Sig/Filter/Adobe.PPKLite%s/M(D:%sZ)" % (number + 3, SUB_FILTER, when)
    closing = b">>\nendobj\n"

    def after_gap(xref_at: int) -> bytes:
        first, second = sorted(((base.root, root_at), (base.page, page_at)))
        table = b"xref\n%d 1\n%010d 00000 n \n%d 1\n%010d 00000 n \n%d 4\n" % (*first, *second, number)
        places = (embedded_at, specification_at, field_at, signature_at)
        rows = b"".join(b"%010d 00000 n \n" % place for place in places)
        return b"%s%s%strailer\n<</Size %d/Root %d 0 R/Info %d 0 R/Prev %d/ID[<%s><%s>]>>\nstartxref\n%d\n%%%%EOF\n" % (
            closing,
            table,
            rows,
            number + 4,
            base.root,
            base.info,
            base.xref_at,
            base.first_id,
            identity,
            xref_at,
        )

    # The numbers in the byte range and in `startxref` count bytes among which they stand: repeat until they agree.
    byte_range, tail = b"", b""
    while True:
        gap_start = signature_at + len(opening) + len(byte_range) + len(b"/Contents")
        gap_end = gap_start + gap + 2
        tail = after_gap(gap_end + len(closing))
        settled = b"/ByteRange[0 %d %d %d]" % (gap_start, gap_end, len(tail))
        if settled == byte_range:
            return before + opening + byte_range + b"/Contents", tail
        byte_range = settled


def _objects_before_root(number: int, name: bytes, page: int) -> tuple[bytes, bytes]:
    """Write the file specification (ISO 32000-2 §7.11.3, §14.13) and the signature field with its empty widget."""
    return (
        b"%d 0 obj\n<</Type/Filespec/F(%s)/UF(%s)/AFRelationship/Data/EF<</F %d 0 R/UF %d 0 R>>>>\nendobj\n"
        % (number + 1, name, name, number, number),
        b"%d 0 obj\n<</Type/Annot/Subtype/Widget/FT/Sig%s/F 132/Rect[0 0 0 0]/P %d 0 R/V %d 0 R>>\nendobj\n"
        % (number + 2, FIELD_NAME, page, number + 3),
    )


def _root_additions(number: int, name: bytes) -> bytes:
    """Name the attachment and the signature field in the catalogue; SigFlags 3 says signed, append only."""
    return (
        b"/AcroForm<</Fields[%d 0 R]/SigFlags 3>>/AF[%d 0 R]/Names<</EmbeddedFiles<</Names[(%s) %d 0 R]>>>>"
        b"/Extensions<</ESIC<</BaseVersion/1.7/ExtensionLevel 2>>>>" % (number + 2, number + 1, name, number + 1)
    )


def _read_base(pdf: bytes) -> _Base:
    """Read the typesetter's own PDF. Raises SealRefused for one that is signed, has attachments, or is no such file."""
    try:
        reader = PdfReader(BytesIO(pdf), strict=True)
        trailer: Any = reader.trailer
        root, page = trailer.raw_get("/Root"), reader.pages[0].indirect_reference
        catalogue: Any = root.get_object()
        leaf: Any = reader.pages[0]
        taken = {"/AcroForm", "/AF", "/Names", "/Extensions"} & set(catalogue)
        if taken or "/Encrypt" in trailer or "/Prev" in trailer or "/Type" in trailer or page is None:
            raise SealRefused(field="pdf", rule="not_plain")
        annotations = [_written(item) for item in leaf.get("/Annots", [])]
        page_entries = b"".join(_entry(key, leaf.raw_get(key)) for key in leaf if key != "/Annots")
        identity = trailer["/ID"][0]
        base = _Base(
            size=int(trailer["/Size"]),
            root=root.idnum,
            root_entries=b"".join(_entry(key, catalogue.raw_get(key)) for key in catalogue),
            page=page.idnum,
            page_entries=page_entries + b"/Annots[" + b" ".join(annotations),
            info=trailer.raw_get("/Info").idnum,
            xref_at=int(pdf[-40:].split(b"startxref")[1].split()[0]),
            first_id=bytes(getattr(identity, "original_bytes", identity)).hex().encode(),
        )
    except (PyPdfError, LookupError, ValueError, TypeError, AttributeError) as error:
        raise SealRefused(field="pdf", rule="not_ours") from error
    if not pdf.startswith(HEADER):
        raise SealRefused(field="pdf", rule="not_ours")
    return base


def _written(value: Any) -> bytes:
    stream = BytesIO()
    value.write_to_stream(stream)
    return stream.getvalue()


def _entry(key: str, value: Any) -> bytes:
    return key.encode("ascii") + b" " + _written(value)


def _pdf_time(seconds: int) -> bytes:
    if not 0 <= seconds <= MAX_TIME:
        raise SealRefused(field="signing_time", rule="range")
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%d%H%M%S").encode()


def _epoch(digits: bytes) -> int:
    try:
        moment = datetime.strptime(digits.decode("ascii"), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError as error:
        raise DocumentAltered(field="signing_time", rule="date") from error
    return int(moment.timestamp())
