"""A sealed PDF: what its signature covers, what a standard reader says of it, and that no changed byte passes."""

from __future__ import annotations

import hashlib
import random
import re
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import pytest
from asn1crypto.x509 import Certificate
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko.sign.validation.status import SignatureCoverageLevel
from pyhanko_certvalidator import ValidationContext
from pypdf import PdfReader

from credentials.errors import CredentialsError, DocumentAltered, Unreadable
from credentials.formats import pdf_cms
from credentials.formats.pdf_cms import ORDER, der_signer, read_certificate, signed_attributes, tlv, write_cms
from credentials.formats.pdf_render import render_certificate
from credentials.formats.pdf_seal import SealRefused, open_sealed_pdf, seal_pdf
from crypto.encoding import rs_from_der, rs_to_der
from crypto.errors import AlgorithmRefused
from crypto.keys import generate_signing_key, thumbprint
from crypto.sm2 import select_backend
from crypto.suites import Alg
from tests.credentials.pdf_samples import (
    ATTACHMENT,
    BUNDLE,
    SEALED_AT,
    certificate_of,
    credit_record,
    fonts,
    page,
    school_key,
    sealed,
)

LIMIT = 1 << 20


def gap_of(data: bytes) -> tuple[int, int]:
    """Return where the gap starts and ends, brackets included."""
    found = re.search(rb"/Contents(<[0-9a-f]+>)>>\nendobj\nxref", data)
    assert found
    return found.start(1), found.end(1)


def refused(data: bytes) -> CredentialsError:
    with pytest.raises((DocumentAltered, Unreadable)) as refusal:
        open_sealed_pdf(data, max_size=LIMIT)
    return refusal.value


def flipped(data: bytes, position: int, bit: int) -> bytes:
    changed = bytearray(data)
    changed[position] ^= 1 << bit
    return bytes(changed)


def with_cms(data: bytes, cms: bytes) -> bytes:
    start, end = gap_of(data)
    contents = cms.hex().encode()
    assert len(contents) <= end - start - 2
    return data[: start + 1] + contents.ljust(end - start - 2, b"0") + data[end - 1 :]


def digest_and_cms(data: bytes) -> tuple[bytes, bytes]:
    start, end = gap_of(data)
    padded = bytes.fromhex(data[start + 1 : end - 1].decode())
    length = 4 + int.from_bytes(padded[2:4], "big")
    return hashlib.sha256(data[:start] + data[end:]).digest(), padded[:length]


def signature_in(cms: bytes) -> bytes:
    """Return the ECDSA signature, the last value of the object."""
    algorithm = tlv(pdf_cms.SEQUENCE, pdf_cms.ECDSA_SHA256_OID)
    start, end = pdf_cms.take(cms, cms.rindex(algorithm) + len(algorithm), pdf_cms.OCTET_STRING)
    assert end == len(cms)
    return cms[start:end]


def test_an_untouched_file_gives_back_the_bundle_the_time_and_the_key_of_its_signer() -> None:
    opened = open_sealed_pdf(sealed(), max_size=LIMIT)
    assert opened.bundle == BUNDLE
    assert opened.attachment_name == ATTACHMENT
    assert opened.signing_time == SEALED_AT
    assert opened.certificate_der == certificate_of(school_key())
    assert thumbprint(opened.signer_public_jwk) == thumbprint(school_key().public.jwk)


def test_a_file_of_several_pages_opens_too() -> None:
    pages = render_certificate(credit_record(90), fonts=fonts())
    data = seal_pdf(
        pages,
        bundle=b"{}",
        attachment_name="a.json",
        sign=der_signer(school_key()),
        certificate_der=certificate_of(school_key()),
        signing_time=SEALED_AT,
    )
    assert open_sealed_pdf(data, max_size=LIMIT).bundle == b"{}"
    assert len(PdfReader(BytesIO(data), strict=True).pages) == len(PdfReader(BytesIO(pages)).pages)


def test_a_pades_validator_finds_one_intact_signature_over_the_whole_file() -> None:
    signatures: Any = PdfFileReader(BytesIO(sealed()), strict=True).embedded_signatures
    assert len(signatures) == 1
    signature = signatures[0]
    roots = [pdf_certificate()]
    status = validate_pdf_signature(signature, ValidationContext(trust_roots=roots, allow_fetching=False))
    assert status.intact
    assert status.valid
    assert status.coverage is SignatureCoverageLevel.ENTIRE_FILE
    assert status.md_algorithm == "sha256"
    assert signature.sig_object["/SubFilter"] == "/ETSI.CAdES.detached"
    # EN 319 142-1 §6.3: the certificate is referred to, and the time of signing is not a signed attribute.
    present = {attribute["type"].native for attribute in signature.signer_info["signed_attrs"]}
    assert present == {"content_type", "message_digest", "signing_certificate_v2", "cms_algorithm_protection"}


def pdf_certificate() -> Any:
    return Certificate.load(certificate_of(school_key()))


def test_a_general_reader_finds_the_bundle_as_the_one_associated_file() -> None:
    reader = PdfReader(BytesIO(sealed()), strict=True)
    assert list(reader.attachments) == [ATTACHMENT]
    assert reader.attachments[ATTACHMENT] == [BUNDLE]
    catalogue: Any = reader.trailer["/Root"].get_object()
    associated = [reference.get_object() for reference in catalogue["/AF"]]
    assert [(item["/UF"], item["/AFRelationship"]) for item in associated] == [(ATTACHMENT, "/Data")]
    assert reader.pages[0].extract_text() == PdfReader(BytesIO(page())).pages[0].extract_text()


def test_every_single_flipped_bit_of_the_signature_gap_is_refused() -> None:
    data = sealed()
    start, end = gap_of(data)
    for position in range(start, end):
        for bit in range(8):
            assert refused(flipped(data, position, bit)).code in {
                "credentials.document_altered",
                "credentials.unreadable",
            }


def test_two_thousand_flipped_bits_outside_the_gap_are_refused() -> None:
    data = sealed()
    start, end = gap_of(data)
    chosen = random.Random(20_261_122)
    for _ in range(2_000):
        position = chosen.choice((chosen.randrange(start), chosen.randrange(end, len(data))))
        refused(flipped(data, position, chosen.randrange(8)))


def test_every_flipped_bit_after_the_attachment_is_refused() -> None:
    data = sealed()
    start, end = gap_of(data)
    for position in (*range(data.rindex(b"/Type/Filespec"), start), *range(end, len(data))):
        for bit in range(8):
            refused(flipped(data, position, bit))


def test_appended_bytes_are_refused() -> None:
    for value in range(256):
        refused(sealed() + bytes((value,)))
    refused(sealed() + sealed())
    refused(sealed() + b"\n%%EOF\n")


def test_truncated_files_are_refused() -> None:
    data = sealed()
    chosen = random.Random(7)
    for length in (*range(len(data) - 3_000, len(data)), *(chosen.randrange(len(data)) for _ in range(500)), 0):
        refused(data[:length])


def test_bytes_before_the_header_are_refused() -> None:
    assert isinstance(refused(b"\n" + sealed()), Unreadable)


def test_an_incremental_update_is_refused_as_an_alteration() -> None:
    writer: Any = IncrementalPdfFileWriter(BytesIO(sealed()))
    writer.root["/PageMode"] = writer.root["/Type"]
    writer.update_root()
    output = BytesIO()
    writer.write(output)
    changed = output.getvalue()
    assert changed.startswith(sealed())
    assert isinstance(refused(changed), DocumentAltered)


def test_a_changed_word_and_a_changed_bundle_are_alterations() -> None:
    bundle_at = sealed().index(BUNDLE)
    for position in (2_000, bundle_at + 20):
        assert isinstance(refused(flipped(sealed(), position, 0)), DocumentAltered)


def test_the_other_signature_of_the_same_message_is_refused() -> None:
    digest, cms = digest_and_cms(sealed())
    certificate = read_certificate(certificate_of(school_key()))
    raw = rs_from_der(signature_in(cms))
    other = raw[:32] + (ORDER - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
    assert write_cms(certificate, digest, rs_to_der(raw)) == cms
    changed = with_cms(sealed(), write_cms(certificate, digest, rs_to_der(other)))
    assert refused(changed).rule == "lower_s"


def test_a_signed_data_object_in_another_encoding_is_refused() -> None:
    """An unsigned attribute and a longer length are allowed by RFC 5652 and covered by no digest: here they are refused."""
    digest, cms = digest_and_cms(sealed())
    certificate = read_certificate(certificate_of(school_key()))
    assert pdf_cms.verify_cms(cms, digest) == certificate
    signature = tlv(pdf_cms.OCTET_STRING, signature_in(cms))
    others = [
        rewrapped(cms, signature, signature + b"\xa1\x00"),
        rewrapped(cms, certificate.der, certificate.der + certificate.der),
        rewrapped(cms, tlv(pdf_cms.SEQUENCE, pdf_cms.SHA256_OID), tlv(pdf_cms.SEQUENCE, pdf_cms.SHA256_OID, b"\x05\0")),
        rewrapped(cms, tlv(pdf_cms.SEQUENCE, pdf_cms.DATA), tlv(pdf_cms.SEQUENCE, pdf_cms.DATA, tlv(0xA0, b"\4\0"))),
        b"\x30\x83\x00" + cms[2:],
        b"\x30\x80" + cms[4:] + b"\0\0",
        cms + b"\0",
        cms[:-1],
    ]
    assert all(other != cms for other in others)
    for other in others:
        with pytest.raises(DocumentAltered):
            pdf_cms.verify_cms(other, digest)


@pytest.mark.parametrize("dropped", [b"message_digest", b"certificate", b"content_type", b"algorithms"])
def test_a_signature_without_one_of_its_attributes_is_refused(dropped: bytes) -> None:
    """Signed by the school's own key, yet of another shape than what the school writes."""
    marks = {
        b"message_digest": pdf_cms.MESSAGE_DIGEST,
        b"certificate": pdf_cms.SIGNING_CERTIFICATE_V2,
        b"content_type": pdf_cms.CONTENT_TYPE,
        b"algorithms": pdf_cms.ALGORITHM_PROTECTION,
    }
    digest, _ = digest_and_cms(sealed())
    certificate = read_certificate(certificate_of(school_key()))
    attributes = signed_attributes(certificate, digest)
    kept, at = b"", 0
    while at < len(attributes):
        _, end = pdf_cms.take(attributes, at, pdf_cms.SEQUENCE)
        kept += b"" if marks[dropped] in attributes[at:end] else attributes[at:end]
        at = end
    signature = der_signer(school_key())(tlv(pdf_cms.SET, kept))
    full = write_cms(certificate, digest, signature)
    reshaped = rewrapped(full, tlv(pdf_cms.CONTEXT_0, attributes), tlv(pdf_cms.CONTEXT_0, kept))
    assert reshaped != full
    with pytest.raises(DocumentAltered) as refusal:
        pdf_cms.verify_cms(reshaped, digest)
    assert refusal.value.rule == "canonical"
    refused(with_cms(sealed(), reshaped))


def rewrapped(cms: bytes, old: bytes, new: bytes) -> bytes:
    """Replace a part of the object and encode every length around it again."""

    def walk(data: bytes) -> bytes:
        parts, at = b"", 0
        while at < len(data):
            start, end = pdf_cms.take(data, at, data[at])
            whole = data[at:end]
            if whole == old:
                parts += new
            elif data[at] & 0x20 and old in whole:
                parts += tlv(data[at], walk(data[start:end]))
            else:
                parts += whole
            at = end
        return parts

    return walk(cms)


def signed_again(data: bytes) -> bytes:
    """Sign a changed file anew with the school's own key: only its layout is wrong."""
    digest, _ = digest_and_cms(data)
    certificate = read_certificate(certificate_of(school_key()))
    return with_cms(data, pdf_cms.sign_cms(certificate, digest, der_signer(school_key())))


@pytest.mark.parametrize(
    ("pattern", "replacement", "rule"),
    [
        (rb"(/ByteRange\[0 \d+ \d+ \d+)(\d)", rb"\g<1>?", "byte_range"),
        (rb"/M\(D:2026", rb"/M(D:2036", "signature_dictionary"),
        (rb"(?s)(ModDate\(D:)2026(.*/M\(D:)2026", rb"\g<1>2036\g<2>2036", "certificate_validity"),
        (rb"(?s)(ModDate\(D:)202609(.*/M\(D:)202609", rb"\g<1>202613\g<2>202613", "date"),
        (rb"/Params<</ModDate\((.{17})\)/Size (\d)", rb"/Params<</ModDate(\1)/Size 9", "attachment"),
        (rb"/UF\(edutrust", rb"/UF(edutruzt", "objects"),
        (rb"/T\(EduTrustSeal\)/F 132", rb"/T(EduTrustSeal)/F 133", "objects"),
        (rb"/SigFlags 3", rb"/SigFlags 1", "catalogue"),
        (rb"(\n<</Type/Filespec)", rb"\n</Type/Filespec/", "attachment"),
        (rb"/MarkInfo", rb"/ endobj/", "catalogue"),
        (rb"/Type/Catalog/Pages 1 0 R", rb"/ByteRange/Catalog/Pages ", "one_signature"),
        (rb"(\nxref\n\d+ 1\n00)0", rb"\g<1>1", None),
        (rb"/Prev \d", rb"/Prev 0", "trailer"),
    ],
)
def test_a_file_of_another_layout_is_refused_even_when_its_signature_verifies(
    pattern: bytes, replacement: bytes, rule: str | None
) -> None:
    data = sealed()
    if replacement.endswith(b"?"):
        found = re.search(pattern, data)
        assert found
        replacement = found[1] + (b"1" if found[2] != b"1" else b"2")
    last = rule != "one_signature"
    update_at = data.rindex(b"/Type/EmbeddedFile") if last else 0
    changed = data[:update_at] + re.sub(pattern, replacement, data[update_at:], count=1)
    assert changed != data
    assert len(changed) == len(data)
    refusal = refused(signed_again(changed))
    assert rule is None or refusal.rule == rule


def test_a_file_sealed_by_a_stranger_names_the_stranger() -> None:
    stranger = generate_signing_key(Alg.ES256, backend=select_backend(("libcrypto", "gmssl")))
    data = seal_pdf(
        page(),
        bundle=BUNDLE,
        attachment_name=ATTACHMENT,
        sign=der_signer(stranger),
        certificate_der=certificate_of(stranger),
        signing_time=SEALED_AT,
    )
    found = open_sealed_pdf(data, max_size=LIMIT).signer_public_jwk
    assert thumbprint(found) == thumbprint(stranger.public.jwk) != thumbprint(school_key().public.jwk)


def test_a_strangers_signature_under_the_schools_certificate_is_refused() -> None:
    stranger = generate_signing_key(Alg.ES256, backend=select_backend(("libcrypto", "gmssl")))
    digest, _ = digest_and_cms(sealed())
    certificate = read_certificate(certificate_of(school_key()))
    signature = der_signer(stranger)(tlv(pdf_cms.SET, signed_attributes(certificate, digest)))
    assert refused(with_cms(sealed(), write_cms(certificate, digest, signature))).rule in {"signature", "lower_s"}


def foreign_certificate(private: Any, signer: Any, common_name: str, issuer: str) -> bytes:
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(datetime.fromtimestamp(SEALED_AT - 10, UTC))
        .not_valid_after(datetime.fromtimestamp(SEALED_AT + 10, UTC))
    )
    return builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.DER)


def test_a_certificate_that_is_not_self_signed_p256_is_refused() -> None:
    mine, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    larger, rsa_key = ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)
    good = foreign_certificate(mine, mine, "a", "a")
    assert read_certificate(good).not_after == SEALED_AT + 10
    refusals = [
        foreign_certificate(mine, other, "a", "a"),
        foreign_certificate(mine, mine, "a", "b"),
        foreign_certificate(larger, larger, "a", "a"),
        foreign_certificate(rsa_key, rsa_key, "a", "a"),
        good + b"\0",
        good[:-1],
        b"",
        b"\x30\x80" + good[4:],
    ]
    for der in refusals:
        with pytest.raises(DocumentAltered):
            read_certificate(der)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"attachment_name": "a b.json"}, "attachment_name"),
        ({"attachment_name": "a)/AF[1 0 R]"}, "attachment_name"),
        ({"bundle": b""}, "bundle"),
        ({"signing_time": SEALED_AT + 400 * 86_400}, "signing_time"),
        ({"signing_time": -1}, "signing_time"),
        ({"certificate_der": b"\x30\x00"}, "certificate"),
        ({"pdf": b""}, "pdf"),
        ({"pdf": b"%PDF-1.7\nnothing\n%%EOF"}, "pdf"),
        ({"sign": lambda _: bytes(70)}, "signature"),
        ({"sign": lambda _: rs_to_der(b"\x01" * 32 + b"\xff" * 32)}, "signature"),
        ({"sign": lambda _: rs_to_der(b"\x01" * 64)}, "signature"),
    ],
)
def test_what_cannot_be_sealed_is_refused(changes: dict[str, Any], field: str) -> None:
    arguments: dict[str, Any] = {
        "pdf": page(),
        "bundle": BUNDLE,
        "attachment_name": ATTACHMENT,
        "sign": der_signer(school_key()),
        "certificate_der": certificate_of(school_key()),
        "signing_time": SEALED_AT,
    }
    arguments.update(changes)
    with pytest.raises(SealRefused) as refusal:
        seal_pdf(arguments.pop("pdf"), **arguments)
    assert refusal.value.field == field


def test_a_sealed_file_is_not_sealed_again() -> None:
    with pytest.raises(SealRefused):
        seal_pdf(
            sealed(),
            bundle=BUNDLE,
            attachment_name=ATTACHMENT,
            sign=der_signer(school_key()),
            certificate_der=certificate_of(school_key()),
            signing_time=SEALED_AT,
        )


def test_a_key_of_another_algorithm_does_not_seal() -> None:
    with pytest.raises(AlgorithmRefused):
        der_signer(generate_signing_key(Alg.SGD_SM3_SM2, backend=select_backend(("libcrypto", "gmssl"))))


def test_a_file_over_the_limit_is_refused_unread() -> None:
    with pytest.raises(Unreadable) as refusal:
        open_sealed_pdf(sealed(), max_size=len(sealed()) - 1)
    assert refusal.value.rule == "too_large"


def test_an_unsealed_page_and_other_files_are_unreadable() -> None:
    assert refused(page()).rule == "not_sealed"
    assert isinstance(refused(b"{}"), Unreadable)
    assert isinstance(refused(b""), Unreadable)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_refused_with_a_code(data: bytes) -> None:
    refused(data)
    refused(b"%PDF-1.7\n/T(EduTrustSeal)/SubFilter/ETSI.CAdES.detached" + data)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=900))
def test_any_signed_data_object_is_refused_with_a_code(cms: bytes) -> None:
    start, end = gap_of(sealed())
    room = (end - start - 2) // 2
    refused(with_cms(sealed(), cms[:room]))
    refused(with_cms(sealed(), (b"\x30\x82" + (room - 4).to_bytes(2, "big") + cms)[:room]))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_mutated_file_is_refused_with_a_code(data: st.DataObject) -> None:
    original = sealed()
    start, end = sorted(data.draw(st.tuples(*(st.integers(0, len(original)),) * 2)))
    inserted = data.draw(st.one_of(st.binary(max_size=30), st.just(original[start:end] * 2)))
    changed = original[:start] + inserted + original[end:]
    if changed != original:
        refused(changed)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_mutated_certificate_is_refused_with_a_code(data: st.DataObject) -> None:
    der = bytearray(certificate_of(school_key()))
    for _ in range(data.draw(st.integers(1, 4))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    if bytes(der) != certificate_of(school_key()):
        with pytest.raises(DocumentAltered):
            read_certificate(bytes(der))
