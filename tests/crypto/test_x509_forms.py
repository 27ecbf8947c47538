"""Forms of certificates and lists that are really signed and still refused: one encoding, no field unread."""

from __future__ import annotations

from functools import cache

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto import der
from crypto.encoding import rs_to_der
from crypto.errors import AlgorithmRefused, KeyRefused, TrustError
from crypto.sm2 import SM2_DEFAULT_ID, Sm2Backend, select_backend
from crypto.sm2_certificates import (
    Certificate,
    CertificateRefused,
    KeyUse,
    parse_certificate,
    read_certificate,
    read_certificates,
)
from crypto.x509_chain import MAX_SIGNATURE_CHECKS, ChainPolicy, Revocation, check_chain
from crypto.x509_crl import parse_crl, read_crl
from tests.crypto import sm2_certificate_forge as forge
from tests.crypto.sm2_certificate_forge import (
    ALGORITHM,
    BASIC_CA,
    FALSE,
    NAME,
    PUBLIC,
    START,
    TRUE,
    USAGE,
    extension,
    extensions,
    forged,
    forged_list,
    name,
    utf8,
)

POLICY = ChainPolicy(
    at=START + 1, use=KeyUse.SIGN, extended_use=None, user_id=SM2_DEFAULT_ID, revocation=Revocation.NOT_ASKED
)


@cache
def loaded() -> Sm2Backend:
    return select_backend(["libcrypto"])


@cache
def good() -> Certificate:
    """One certificate whose bytes stay: a signature differs each time it is made."""
    return parse_certificate(forged(loaded()))


def test_the_forge_makes_certificates_that_are_accepted(libcrypto: Sm2Backend) -> None:
    """Else every refusal below would prove nothing."""
    certificate = parse_certificate(forged(libcrypto))
    check_chain(certificate, [], [certificate], policy=POLICY, crls=[], backend=libcrypto)
    assert parse_crl(forged_list(libcrypto)).revoked == {}


def test_null_parameters_of_the_signature_are_accepted_where_both_places_have_them(libcrypto: Sm2Backend) -> None:
    null = der.sequence(der.oid("1.2.156.10197.1.501"), der.null())
    certificate = parse_certificate(forged(libcrypto, inner=null, outer=null))
    check_chain(certificate, [], [certificate], policy=POLICY, crls=[], backend=libcrypto)


def test_names_are_read_in_every_string_type_that_is_taken(libcrypto: Sm2Backend) -> None:
    subject = name(
        der.tlv(der.PRINTABLE_STRING, b"A School (1)"),
        der.tlv(der.IA5_STRING, b"a@b"),
        utf8("某校"),
        der.tlv(der.BMP_STRING, "某校".encode("utf-16-be")),
    )
    read = parse_certificate(forged(libcrypto, subject=subject)).subject
    assert [text for _, text in read.attributes] == ["A School (1)", "a@b", "某校", "某校"]


class Counting:
    """Counts the signatures a backend checks."""

    def __init__(self, backend: Sm2Backend) -> None:
        self._backend = backend
        self.verified = 0

    def verify(self, public: bytes, message: bytes, signature: bytes, user_id: bytes) -> None:
        self.verified += 1
        self._backend.verify(public, message, signature, user_id)


def test_the_work_of_a_search_is_bounded_however_the_certificates_are_made(libcrypto: Sm2Backend) -> None:
    """Ten certificates of one name and key certify each other: more than a million paths, and none ends."""
    ring = [parse_certificate(forged(libcrypto, serial=der.integer(number))) for number in range(1, 11)]
    counting = Counting(libcrypto)
    with pytest.raises(CertificateRefused) as refused:
        check_chain(ring[0], ring[1:], [], policy=POLICY, crls=[], backend=counting)  # type: ignore[arg-type]  # verifies only
    assert refused.value.rule == "too_many_signatures"
    assert counting.verified == MAX_SIGNATURE_CHECKS


NULL_ALGORITHM = der.sequence(der.oid("1.2.156.10197.1.501"), der.null())
ECDSA = der.sequence(der.oid("1.2.840.10045.4.3.2"))
TIMES = der.time(START) + der.time(START + 1)
P256 = der.oid("1.2.840.10045.3.1.7")
EC = der.oid("1.2.840.10045.2.1")
SM2 = der.oid("1.2.156.10197.1.301")
POINT = der.bit_string(b"\x04" + PUBLIC)
SAN = "2.5.29.17"
BASIC_CONSTRAINTS_NAME = der.oid("2.5.29.19")
KEY_USAGE_NAME = der.oid("2.5.29.15")


def spki(algorithm: bytes, point: bytes = POINT) -> bytes:
    return der.sequence(algorithm, point)


def one(oid: str, value: bytes) -> bytes:
    return extensions(extension(oid, value))


BAD_CERTIFICATES: dict[str, tuple[dict[str, bytes], str]] = {
    "version 1 written out": ({"version": der.explicit(0, der.integer(0))}, "version"),
    "version 2": ({"version": der.explicit(0, der.integer(1))}, "version"),
    "version 4": ({"version": der.explicit(0, der.integer(3))}, "version"),
    "two versions": ({"version": der.explicit(0, der.integer(2), der.integer(2))}, "der_trailing"),
    "version 1 with extensions": ({"version": b""}, "der_trailing"),
    "serial 0": ({"serial": der.integer(0)}, "serial"),
    "serial negative": ({"serial": der.integer(-1)}, "serial"),
    "serial of 21 octets": ({"serial": der.integer(2**160)}, "serial"),
    "serial not minimal": ({"serial": bytes.fromhex("02020001")}, "der_minimal"),
    "no issuer": ({"issuer": der.sequence()}, "issuer_empty"),
    "an empty set in a name": ({"subject": der.sequence(der.tlv(der.SET))}, "name_empty_set"),
    "a name in TeletexString": ({"subject": name(der.tlv(0x14, b"x"))}, "name_string"),
    "an asterisk in PrintableString": ({"subject": name(der.tlv(der.PRINTABLE_STRING, b"*"))}, "name_string"),
    "broken UTF-8": ({"subject": name(der.tlv(der.UTF8_STRING, b"\xff"))}, "name_string"),
    "overlong UTF-8": ({"subject": name(der.tlv(der.UTF8_STRING, b"\xc0\x80"))}, "name_string"),
    "half a BMP character": ({"subject": name(der.tlv(der.BMP_STRING, b"\x00a\x00"))}, "name_string"),
    "surrogates in BMP": ({"subject": name(der.tlv(der.BMP_STRING, "😀".encode("utf-16-be")))}, "name_string"),
    "an empty string": ({"subject": name(utf8(""))}, "name_string"),
    "a long name": ({"subject": name(*[utf8("x")] * 33)}, "name_too_long"),
    "times exchanged": ({"validity": der.sequence(der.time(START + 1), der.time(START))}, "validity_order"),
    "one time": ({"validity": der.sequence(der.time(START))}, "der_truncated"),
    "three times": ({"validity": der.sequence(TIMES, der.time(START))}, "der_trailing"),
    "a time of 2026 in the long form": (
        {"validity": der.sequence(der.time(START), der.tlv(der.GENERALIZED_TIME, b"20261122000000Z"))},
        "der_time_form",
    ),
    "a time with an offset": (
        {"validity": der.sequence(der.time(START), der.tlv(der.UTC_TIME, b"261122000000+0800"))},
        "der_time",
    ),
    "another signature inside": ({"inner": ECDSA}, "signature_algorithms_differ"),
    "NULL inside alone": ({"inner": NULL_ALGORITHM}, "signature_algorithms_differ"),
    "NULL outside alone": ({"outer": NULL_ALGORITHM}, "signature_algorithms_differ"),
    "unused bits of the signature": ({"unused": 1}, "der_unused_bits"),  # type: ignore[dict-item]  # a number of bits
    "something behind the signature": ({"trailing": der.null()}, "der_trailing"),
    "something behind the extensions": ({"behind": extensions(BASIC_CA) + der.null()}, "der_trailing"),
    "an issuer's unique identifier": ({"behind": der.tlv(0x81, b"\0\1") + extensions(BASIC_CA)}, "der_type"),
    "an extension twice": ({"behind": extensions(BASIC_CA, USAGE, BASIC_CA)}, "extension_twice"),
    "an unknown extension twice": (
        {"behind": extensions(extension("1.2.3", b"a"), extension("1.2.3", b"b"))},
        "extension_twice",
    ),
    "no extension": ({"behind": extensions()}, "extensions_empty"),
    "many extensions": (
        {"behind": extensions(*(extension(f"1.2.{number}", b"") for number in range(65)))},
        "extensions_too_many",
    ),
    "not critical written out": (
        {"behind": extensions(der.sequence(der.oid("1.2.3"), FALSE, der.octet_string(b"")))},
        "der_default",
    ),
    "critical as 01": (
        {"behind": extensions(der.sequence(der.oid("1.2.3"), der.tlv(der.BOOLEAN, b"\1"), der.octet_string(b"")))},
        "der_boolean",
    ),
    "something behind an extension": (
        {"behind": extensions(der.sequence(der.oid("1.2.3"), der.octet_string(b""), der.null()))},
        "der_trailing",
    ),
    "not a CA written out": ({"behind": one("2.5.29.19", der.sequence(FALSE))}, "der_default"),
    "a path length without CA": ({"behind": one("2.5.29.19", der.sequence(der.integer(0)))}, "path_length_form"),
    "a negative path length": (
        {"behind": one("2.5.29.19", der.sequence(TRUE, der.integer(-1)))},
        "path_length_form",
    ),
    "a path length of 2^64": (
        {"behind": one("2.5.29.19", der.sequence(TRUE, der.integer(2**64)))},
        "path_length_form",
    ),
    "something behind basicConstraints": ({"behind": one("2.5.29.19", der.sequence() + der.null())}, "der_trailing"),
    "no bit of keyUsage": ({"behind": one("2.5.29.15", der.bit_string(b""))}, "key_usage_form"),
    "zero bits of keyUsage": ({"behind": one("2.5.29.15", der.bit_string(b"\0", 7))}, "key_usage_form"),
    "zero bits at the end of keyUsage": ({"behind": one("2.5.29.15", der.bit_string(b"\x80", 6))}, "key_usage_form"),
    "ten bits of keyUsage": ({"behind": one("2.5.29.15", der.bit_string(b"\x80\x40", 6))}, "key_usage_form"),
    "no extended use": ({"behind": one("2.5.29.37", der.sequence())}, "extended_key_usage_form"),
    "no alternative name": ({"behind": one(SAN, der.sequence())}, "general_name"),
    "an unknown kind of name": ({"behind": one(SAN, der.sequence(der.tlv(0x89, b"x")))}, "general_name"),
    "a host name with a NUL": ({"behind": one(SAN, der.sequence(der.tlv(0x82, b"a\0b")))}, "general_name"),
    "a host name in UTF-8": ({"behind": one(SAN, der.sequence(der.tlv(0x82, "学校".encode())))}, "general_name"),
    "an address of five octets": ({"behind": one(SAN, der.sequence(der.tlv(0x87, bytes(5))))}, "general_name"),
    "an issuer without a serial": (
        {"behind": one("2.5.29.35", der.sequence(der.tlv(0xA1, b"")))},
        "der_truncated",
    ),
    "something behind the key identifier": (
        {"behind": one("2.5.29.14", der.octet_string(b"x") + der.null())},
        "der_trailing",
    ),
    "an RSA key": ({"spki": spki(der.sequence(der.oid("1.2.840.113549.1.1.1"), der.null()))}, "algorithm"),
    "a key on P-256": ({"spki": spki(der.sequence(EC, P256))}, "curve"),
    "a curve spelt out": ({"spki": spki(der.sequence(EC, der.sequence()))}, "explicit_curve"),
    "a key off the curve": (
        {"spki": spki(der.sequence(EC, SM2), der.bit_string(b"\x04" + PUBLIC[:-1] + b"\x14"))},
        "off_curve",
    ),
    "a key at infinity": ({"spki": spki(der.sequence(EC, SM2), der.bit_string(b"\0"))}, "point_form"),
}


@pytest.mark.parametrize(("parts", "rule"), BAD_CERTIFICATES.values(), ids=BAD_CERTIFICATES.keys())
def test_a_certificate_is_refused_by_its_rule(libcrypto: Sm2Backend, parts: dict[str, bytes], rule: str) -> None:
    with pytest.raises(TrustError) as refused:
        parse_certificate(forged(libcrypto, **parts))  # type: ignore[arg-type]  # parts by name
    assert (refused.value.field, refused.value.rule) == ("certificate", rule)
    kinds = {"algorithm", "curve", "explicit_curve", "off_curve", "point_form"}
    assert isinstance(refused.value, KeyRefused) is (rule in kinds)


def test_another_signature_algorithm_is_refused_wherever_it_stands(libcrypto: Sm2Backend) -> None:
    with pytest.raises(AlgorithmRefused):
        parse_certificate(forged(libcrypto, inner=ECDSA, outer=ECDSA))
    with pytest.raises(AlgorithmRefused):
        parse_crl(forge.signed(libcrypto, der.sequence(ECDSA, NAME, der.time(START)), outer=ECDSA))


def test_a_signature_of_another_encoding_is_refused() -> None:
    body = der.sequence(forge.VERSION, der.integer(1), ALGORITHM)
    for signature in (b"", bytes(64), der.sequence(der.integer(1)), der.sequence(der.integer(-1), der.integer(1))):
        with pytest.raises(TrustError) as refused:
            parse_certificate(der.sequence(body, ALGORITHM, der.bit_string(signature)))
        assert refused.value.field == "signature"


def test_a_signature_out_of_range_verifies_nothing(libcrypto: Sm2Backend) -> None:
    good = parse_certificate(forged(libcrypto))
    zero = der.sequence(good.signed, ALGORITHM, der.bit_string(der.sequence(der.integer(0), der.integer(1))))
    with pytest.raises(TrustError) as refused:
        check_chain(parse_certificate(zero), [], [good], policy=POLICY, crls=[], backend=libcrypto)
    assert refused.value.code == "crypto.signature_invalid"


def entry(serial: int, *more: bytes) -> bytes:
    return der.sequence(der.integer(serial), der.time(START), *more)


def reason(value: bytes, *, critical: bool = False) -> bytes:
    return der.sequence(extension("2.5.29.21", value, critical=critical))


REASON = der.tlv(der.ENUMERATED, b"\1")
BAD_LISTS: dict[str, tuple[dict[str, bytes], str]] = {
    "version 1 written out": ({"version": der.integer(0), "behind": b""}, "version"),
    "version 3": ({"version": der.integer(2)}, "version"),
    "no issuer": ({"issuer": der.sequence()}, "issuer_empty"),
    "times exchanged": ({"update": der.time(START + 1) + der.time(START)}, "validity_order"),
    "no entries written out": ({"entries": der.sequence()}, "crl_empty_list"),
    "a serial twice": ({"entries": der.sequence(entry(1), entry(1))}, "crl_serial_twice"),
    "something behind an entry": ({"entries": der.sequence(entry(1, reason(REASON), der.null()))}, "der_trailing"),
    "an unknown reason": ({"entries": der.sequence(entry(1, reason(der.tlv(der.ENUMERATED, b"\7"))))}, "crl_reason"),
    "a reason twice": (
        {"entries": der.sequence(entry(1, der.sequence(*[extension("2.5.29.21", REASON)] * 2)))},
        "extension_twice",
    ),
    "another issuer's entry": (
        {"entries": der.sequence(entry(1, der.sequence(extension("2.5.29.29", NAME, critical=True))))},
        "crl_partial",
    ),
    "an unknown critical extension of an entry": (
        {"entries": der.sequence(entry(1, der.sequence(extension("1.2.3", b"", critical=True))))},
        "critical_extension",
    ),
    "something behind": ({"behind": der.null()}, "der_type"),
    "extensions of version 1": (
        {"version": b"", "behind": der.explicit(0, der.sequence(extension("1.2.3", b"")))},
        "der_trailing",
    ),
    "a delta": (
        {"behind": der.explicit(0, der.sequence(extension("2.5.29.27", der.integer(1), critical=True)))},
        "crl_partial",
    ),
}


@pytest.mark.parametrize(("parts", "rule"), BAD_LISTS.values(), ids=BAD_LISTS.keys())
def test_a_list_is_refused_by_its_rule(libcrypto: Sm2Backend, parts: dict[str, bytes], rule: str) -> None:
    with pytest.raises(TrustError) as refused:
        parse_crl(forged_list(libcrypto, **parts))
    assert (refused.value.field, refused.value.rule) == ("crl", rule)


def test_a_list_of_version_1_and_its_entries_are_read(libcrypto: Sm2Backend) -> None:
    crl = parse_crl(forged_list(libcrypto, version=b"", entries=der.sequence(entry(5), entry(9))))
    assert {serial: found.at for serial, found in crl.revoked.items()} == {5: START, 9: START}
    full = forged_list(libcrypto, entries=der.sequence(entry(5, reason(REASON)), entry(6)))
    assert [found.reason for found in parse_crl(full).revoked.values()] == ["key_compromise", None]


def accept(encoded: bytes, anchor: Certificate) -> None:
    check_chain(parse_certificate(encoded), [], [anchor], policy=POLICY, crls=[], backend=loaded())


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_mutated_bytes_are_read_or_refused_and_never_verify(data: st.DataObject) -> None:
    anchor = good()
    changed = bytearray(anchor.encoded)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    if changed == anchor.encoded:
        return
    with pytest.raises(TrustError):
        accept(bytes(changed), anchor)


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=300))
def test_whatever_bytes_come_only_a_refusal_comes_out(data: bytes) -> None:
    for read in (read_certificate, read_certificates, read_crl):
        with pytest.raises(TrustError):
            read(data)


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_what_is_read_of_mutated_bytes_another_implementation_reads_the_same(data: st.DataObject) -> None:
    """`cryptography` reads SM2 certificates but for their key; what we accept, it accepts, and reads alike."""
    seed = good().encoded
    changed = bytearray(seed)
    for _ in range(data.draw(st.integers(0, 2))):
        changed[data.draw(st.integers(0, len(seed) - 1))] = data.draw(st.integers(0, 255))
    try:
        ours = parse_certificate(bytes(changed))
    except TrustError:
        return
    theirs = x509.load_der_x509_certificate(bytes(changed))
    assert theirs.serial_number == ours.serial
    assert theirs.tbs_certificate_bytes == ours.signed
    assert theirs.signature == rs_to_der(ours.signature)
    assert theirs.issuer.public_bytes() == ours.issuer.encoded
    assert theirs.subject.public_bytes() == ours.subject.encoded
    assert int(theirs.not_valid_before_utc.timestamp()) == ours.not_before
    assert int(theirs.not_valid_after_utc.timestamp()) == ours.not_after
    try:
        extensions = list(theirs.extensions)
    except ValueError:
        # It reads every extension it knows; what we do not and is not critical is left alone (RFC 5280 §4.2). That was
        # one of the two, under another name since the change.
        assert not all(known in changed for known in (BASIC_CONSTRAINTS_NAME, KEY_USAGE_NAME))
        return
    found = [one.value for one in extensions if isinstance(one.value, x509.BasicConstraints)]
    constraints = ours.extensions.basic_constraints
    expected = [] if constraints is None else [(constraints.ca, constraints.path_length)]
    assert [(one.ca, one.path_length) for one in found] == expected
    assert [one.oid.dotted_string for one in extensions] == [one.oid for one in ours.extensions.every]
    assert [one.critical for one in extensions] == [one.critical for one in ours.extensions.every]
