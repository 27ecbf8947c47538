from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from crypto.certificates import DOCUMENT_SIGNING, make_document_certificate
from crypto.encoding import b64u_decode
from crypto.errors import AlgorithmRefused, KeyRefused
from crypto.keys import SigningKey
from crypto.suites import Alg

Keys = Mapping[Alg, SigningKey]
ISSUER = "https://idp.example/schools/4111010001"


def made(key: SigningKey) -> bytes:
    return make_document_certificate("示范大学", ISSUER, key, 1_700_000_000, 1_800_000_000, serial=7)


def test_the_certificate_names_the_school_its_key_and_its_only_use(signing_keys: Keys) -> None:
    key = signing_keys[Alg.ES256]
    certificate = x509.load_der_x509_certificate(made(key))
    public = certificate.public_key()
    assert isinstance(public, EllipticCurvePublicKey)
    assert public.public_numbers().x.to_bytes(32, "big") == b64u_decode(key.public.jwk["x"])
    certificate.verify_directly_issued_by(certificate)
    assert certificate.subject.rfc4514_string() == "CN=示范大学"
    assert certificate.serial_number == 7
    assert certificate.not_valid_before_utc == datetime.fromtimestamp(1_700_000_000, UTC)
    extensions = certificate.extensions
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.content_commitment
    assert not usage.value.key_cert_sign
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [DOCUMENT_SIGNING]
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [ISSUER]


def test_the_same_input_gives_the_same_certificate(signing_keys: Keys) -> None:
    assert made(signing_keys[Alg.ES256]) == made(signing_keys[Alg.ES256])


@pytest.mark.parametrize("alg", [alg for alg in Alg if alg is not Alg.ES256])
def test_other_algorithms_seal_no_document(signing_keys: Keys, alg: Alg) -> None:
    with pytest.raises(AlgorithmRefused):
        made(signing_keys[alg])


def test_what_x509_cannot_hold_is_refused(signing_keys: Keys) -> None:
    key = signing_keys[Alg.ES256]
    for name, issuer, end, serial in (
        ("", ISSUER, 1_800_000_000, 7),
        ("x" * 65, ISSUER, 1_800_000_000, 7),
        ("大学", "https://例子", 1_800_000_000, 7),
        ("大学", "https://a\n", 1_800_000_000, 7),
        ("大学", ISSUER, 1_800_000_000, 0),
        ("大学", ISSUER, 1_800_000_000, 2**159),
        ("大学", ISSUER, 1_700_000_000, 7),
    ):
        with pytest.raises(KeyRefused):
            make_document_certificate(name, issuer, key, 1_700_000_000, end, serial=serial)
