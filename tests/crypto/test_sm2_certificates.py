"""Chains of SM2 certificates made by the `openssl` command: what is accepted, and what each fault is refused for."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from crypto.encoding import rs_from_der
from crypto.errors import AlgorithmRefused, EncodingRefused, KeyRefused, SignatureInvalid, TrustError
from crypto.key_files import read_public
from crypto.sm2 import SM2_DEFAULT_ID, Sm2Backend
from crypto.sm2_certificates import (
    CertificateRefused,
    KeyUse,
    encryption_public_key,
    parse_certificate,
    read_certificate,
    read_certificates,
    signing_public_key,
    verify_issued,
)
from crypto.x509_chain import (
    MAX_CHAIN_CERTIFICATES,
    MAX_INTERMEDIATES,
    check_chain,
)
from crypto.x509_extensions import BasicConstraints, GeneralName, KeyUsage
from tests.crypto.openssl_tool import DEFAULT_ID, openssl
from tests.crypto.sm2_authority import CA, DAY, ENCRYPT, LEAF, SIGN, Party, Pki, checked, policy_for, refusal

SEED = 20261122
DOCUMENT_SIGNING = "1.3.6.1.5.5.7.3.36"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def root(pki: Pki) -> Party:
    return pki.root("root", subject="/C=CN/O=省教育厅/CN=Root")


@pytest.fixture(scope="module")
def city(pki: Pki, root: Party) -> Party:
    return pki.issue(root, "city", CA.replace("CA:TRUE", "CA:TRUE,pathlen:0"), days=1000)


@pytest.fixture(scope="module")
def leaf(pki: Pki, city: Party) -> Party:
    return pki.issue(city, "leaf", SIGN)


# What is read


def test_a_certificate_is_read_field_by_field(pki: Pki, root: Party) -> None:
    extensions = (
        SIGN
        + "subjectAltName=DNS:school.example,URI:https://school.example/,IP:10.0.0.1,email:a@school.example\n"
        + f"extendedKeyUsage={DOCUMENT_SIGNING},emailProtection\ncrlDistributionPoints=URI:http://crl.example/a.crl\n"
    )
    party = pki.issue(root, "fields", extensions, subject="/C=CN/ST=广东/O=某大学/CN=张三/UID=42")
    certificate = party.certificate
    assert certificate.version == 2
    assert certificate.serial == int(openssl("x509", "-in", party.file, "-noout", "-serial").split(b"=")[1], 16)
    assert str(certificate.issuer) == "C=CN, O=省教育厅, CN=Root"
    assert certificate.issuer.encoded == root.certificate.subject.encoded
    assert certificate.subject.common_name == "张三"
    assert str(certificate.subject) == "C=CN, ST=广东, O=某大学, CN=张三, UID=42"
    assert certificate.not_after - certificate.not_before == 365 * DAY
    assert certificate.public == read_public(openssl("pkey", "-in", party.key, "-pubout"))
    assert certificate.fingerprint.hex() == (
        openssl("x509", "-in", party.file, "-noout", "-fingerprint", "-sm3")
        .split(b"=")[1]
        .decode()
        .strip()
        .replace(":", "")
        .lower()
    )
    read = certificate.extensions
    assert read.basic_constraints == BasicConstraints(ca=False, path_length=None)
    assert read.key_usage == KeyUsage.DIGITAL_SIGNATURE | KeyUsage.CONTENT_COMMITMENT
    assert read.extended_key_usage == (DOCUMENT_SIGNING, "1.3.6.1.5.5.7.3.4")
    assert read.subject_key_id is not None
    assert read.authority_key_id == root.certificate.extensions.subject_key_id
    assert read.alternative_names == (
        GeneralName("dns", b"school.example"),
        GeneralName("uri", b"https://school.example/"),
        GeneralName("ip", bytes((10, 0, 0, 1))),
        GeneralName("email", b"a@school.example"),
    )
    assert b"http://crl.example/a.crl" in (read.crl_distribution_points or b"")


def test_every_bit_of_key_usage_is_read_at_its_place(pki: Pki, root: Party) -> None:
    names = ("digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement", "keyCertSign")
    more = ("cRLSign", "encipherOnly", "decipherOnly")
    for name, bit in zip(names + more, KeyUsage, strict=True):
        party = pki.issue(root, f"usage-{name}", f"keyUsage={name}\n")
        assert party.certificate.extensions.key_usage == bit


def test_pem_and_der_are_one_certificate_and_a_bundle_is_read_in_order(leaf: Party, city: Party) -> None:
    der = openssl("x509", "-in", leaf.file, "-outform", "DER")
    assert read_certificate(der) == leaf.certificate
    assert leaf.certificate.encoded == der
    bundle = leaf.file.read_bytes() + city.file.read_bytes()
    assert read_certificates(bundle) == (leaf.certificate, city.certificate)


# What is accepted


def test_a_chain_of_three_is_accepted(libcrypto: Sm2Backend, leaf: Party, city: Party, root: Party) -> None:
    chain = checked(libcrypto, leaf, [city], root)
    assert [each.subject.common_name for each in chain.certificates] == ["leaf", "city", "Root"]
    assert (chain.leaf, chain.anchor) == (leaf.certificate, root.certificate)


def test_openssl_accepts_what_we_accept(leaf: Party, city: Party, root: Party) -> None:
    # OpenSSL 3.0 sets the user ID of the first certificate alone, so each link is shown to it by itself.
    for party, issuer in ((city, root), (leaf, city)):
        openssl(
            "verify",
            "-x509_strict",
            "-partial_chain",
            "-trusted",
            issuer.file,
            "-vfyopt",
            f"distid:{DEFAULT_ID}",
            party.file,
        )


def test_the_key_out_of_a_certificate_verifies_what_its_holder_signed(libcrypto: Sm2Backend, leaf: Party) -> None:
    key = signing_public_key(leaf.certificate, libcrypto)
    signature = openssl(
        *("pkeyutl", "-sign", "-inkey", leaf.key, "-rawin", "-digest", "sm3", "-pkeyopt", f"distid:{DEFAULT_ID}"),
        *("-in", leaf.file),
    )
    key.verify(leaf.file.read_bytes(), rs_from_der(signature), SM2_DEFAULT_ID)


def test_double_certificates_are_told_apart(libcrypto: Sm2Backend, pki: Pki, root: Party) -> None:
    sign, encrypt = pki.issue(root, "both-sign", SIGN), pki.issue(root, "both-encrypt", ENCRYPT)
    checked(libcrypto, sign, [], root, use=KeyUse.SIGN)
    checked(libcrypto, encrypt, [], root, use=KeyUse.ENCRYPT)
    assert refusal(libcrypto, sign, [], root, use=KeyUse.ENCRYPT) == (CertificateRefused, "key_usage", 0)
    assert refusal(libcrypto, encrypt, [], root, use=KeyUse.SIGN) == (CertificateRefused, "key_usage", 0)
    assert encryption_public_key(encrypt.certificate, libcrypto).public == encrypt.certificate.public
    with pytest.raises(CertificateRefused):
        signing_public_key(encrypt.certificate, libcrypto)
    with pytest.raises(CertificateRefused):
        encryption_public_key(sign.certificate, libcrypto)


@pytest.mark.parametrize(("distid", "user_id"), [("ALICE123@YAHOO.COM", b"ALICE123@YAHOO.COM"), ("", b"")])
def test_a_ca_with_its_own_user_id_is_verified_under_it(
    libcrypto: Sm2Backend, pki: Pki, root: Party, distid: str, user_id: bytes
) -> None:
    party = pki.issue(root, f"id-{len(distid)}", SIGN, distid=distid)
    checked(libcrypto, party, [], root, user_id=user_id)
    assert refusal(libcrypto, party, [], root)[0] is SignatureInvalid
    assert refusal(libcrypto, party, [], root, user_id=user_id + b"x")[0] is SignatureInvalid


def test_the_path_is_found_among_others_of_the_same_name(
    libcrypto: Sm2Backend, pki: Pki, leaf: Party, city: Party, root: Party
) -> None:
    namesake = pki.issue(root, "namesake", CA.replace("=hash", "=none"), subject="/CN=city")
    assert checked(libcrypto, leaf, [namesake, leaf, city], root).certificates[1] == city.certificate


# Time


def test_both_ends_of_the_validity_are_inside(libcrypto: Sm2Backend, leaf: Party, city: Party, root: Party) -> None:
    certificate = leaf.certificate
    start = max(party.certificate.not_before for party in (leaf, city, root))
    checked(libcrypto, leaf, [city], root, at=start)
    checked(libcrypto, leaf, [city], root, at=certificate.not_after)
    after = refusal(libcrypto, leaf, [city], root, at=certificate.not_after + 1)
    assert after == (CertificateRefused, "expired", 0)
    before = refusal(libcrypto, leaf, [city], root, at=min(p.certificate.not_before for p in (leaf, city, root)) - 1)
    assert before[:2] == (CertificateRefused, "not_yet_valid")


def test_an_authority_that_has_expired_certifies_nothing(libcrypto: Sm2Backend, pki: Pki, root: Party) -> None:
    short = pki.issue(root, "short-ca", CA, days=10)
    under = pki.issue(short, "under-short", SIGN)
    at = short.certificate.not_after + 1
    assert refusal(libcrypto, under, [short], root, at=at) == (CertificateRefused, "expired", 1)


def test_an_anchor_that_has_expired_anchors_nothing(libcrypto: Sm2Backend, pki: Pki) -> None:
    short = pki.root("short-root", days=5)
    under = pki.issue(short, "under-short-root", SIGN)
    at = short.certificate.not_after + 1
    assert refusal(libcrypto, under, [], short, at=at) == (CertificateRefused, "expired", 1)


# Issuers


def test_a_certificate_of_somebody_else_is_refused(libcrypto: Sm2Backend, pki: Pki, leaf: Party, city: Party) -> None:
    stranger = pki.root("stranger")
    assert refusal(libcrypto, leaf, [city], stranger) == (CertificateRefused, "unknown_issuer", None)


def test_a_missing_intermediate_is_refused(libcrypto: Sm2Backend, leaf: Party, root: Party) -> None:
    assert refusal(libcrypto, leaf, [], root) == (CertificateRefused, "unknown_issuer", None)


def test_an_issuer_of_the_same_name_with_another_key_is_refused(
    libcrypto: Sm2Backend, pki: Pki, leaf: Party, city: Party
) -> None:
    impostor = pki.root("impostor", subject="/C=CN/O=省教育厅/CN=Root", extensions=CA.replace("=hash", "=none"))
    assert refusal(libcrypto, leaf, [city], impostor)[0] in {SignatureInvalid, CertificateRefused}
    unnamed = pki.issue(pki.root("other-root", subject="/CN=same"), "under-other", SIGN.replace("=keyid", "=none"))
    same = pki.root("same-root", subject="/CN=same")
    assert refusal(libcrypto, unnamed, [], same)[0] is SignatureInvalid


def test_a_name_that_differs_in_case_is_another_name(libcrypto: Sm2Backend, pki: Pki, root: Party) -> None:
    one = pki.root("case-one", subject="/CN=Case")
    under = pki.issue(one, "under-case", SIGN)
    other = pki.root("case-two", subject="/CN=CASE")
    assert refusal(libcrypto, under, [], other) == (CertificateRefused, "unknown_issuer", None)


def test_an_authority_key_identifier_that_does_not_fit_is_refused(libcrypto: Sm2Backend, pki: Pki) -> None:
    made = pki.root("aki", subject="/CN=aki")
    under = pki.issue(made, "under-aki", SIGN)
    again = pki.root("aki", subject="/CN=aki", extensions=CA.replace("hash", "00112233"))
    assert refusal(libcrypto, under, [], again) == (CertificateRefused, "unknown_issuer", None)


# Authorities


def under(pki: Pki, authority: Party, name: str) -> Party:
    return pki.issue(authority, f"under-{name}", SIGN.replace("=keyid", "=none"))


NO_CA = {
    "not-ca": (SIGN, "not_a_ca"),
    "no-constraints": ("subjectKeyIdentifier=hash\nkeyUsage=critical,keyCertSign\n", "not_a_ca"),
    "version-1": (None, "not_a_ca"),
    "no-cert-sign": (CA.replace("keyCertSign,", ""), "key_cert_sign"),
    "constrained": (CA + "nameConstraints=critical,permitted;DNS:school.example\n", "name_constraints"),
    "constrained-softly": (CA + "nameConstraints=permitted;DNS:school.example\n", "name_constraints"),
    "policies": (CA + "policyConstraints=critical,requireExplicitPolicy:0\n", "critical_extension"),
    "no-any-policy": (CA + "inhibitAnyPolicy=critical,0\n", "critical_extension"),
    "unknown": (CA + "1.2.3.4=critical,DER:0500\n", "critical_extension"),
}


@pytest.mark.parametrize(("name", "extensions", "rule"), [(name, *rest) for name, rest in NO_CA.items()])
def test_an_authority_that_may_not_certify_is_refused(
    libcrypto: Sm2Backend, pki: Pki, root: Party, name: str, extensions: str | None, rule: str
) -> None:
    authority = pki.issue(root, name, extensions)
    assert refusal(libcrypto, under(pki, authority, name), [authority], root) == (CertificateRefused, rule, 1)


@pytest.mark.parametrize("extensions", ["", LEAF, CA.replace("keyCertSign,", "")])
def test_an_anchor_that_is_no_authority_is_refused(libcrypto: Sm2Backend, pki: Pki, extensions: str) -> None:
    name = f"no-anchor-{len(extensions)}"
    anchor = pki.root(name, extensions=extensions)
    assert refusal(libcrypto, under(pki, anchor, name), [], anchor)[1] in {"not_a_ca", "key_cert_sign"}


def test_the_path_length_is_kept(libcrypto: Sm2Backend, pki: Pki, root: Party, city: Party) -> None:
    school = pki.issue(city, "school", CA)
    member = under(pki, school, "school")
    assert refusal(libcrypto, member, [school, city], root) == (CertificateRefused, "path_length", 2)
    narrow = pki.root("narrow", extensions=CA.replace("CA:TRUE", "CA:TRUE,pathlen:1"))
    first = pki.issue(narrow, "narrow-1", CA)
    second = pki.issue(first, "narrow-2", CA)
    checked(libcrypto, under(pki, first, "narrow-1"), [first], narrow)
    too_deep = refusal(libcrypto, under(pki, second, "narrow-2"), [first, second], narrow)
    assert too_deep == (CertificateRefused, "path_length", 3)


def test_self_issued_authorities_do_not_count_for_the_path_length(libcrypto: Sm2Backend, pki: Pki) -> None:
    old = pki.root("turn", subject="/CN=turn", extensions=CA.replace("CA:TRUE", "CA:TRUE,pathlen:0"))
    new = pki.issue(old, "turn-new", CA, subject="/CN=turn")
    checked(libcrypto, under(pki, new, "turn"), [new], old)


def test_the_length_of_a_chain_is_bounded(libcrypto: Sm2Backend, pki: Pki) -> None:
    parties = [pki.root("long-0")]
    for number in range(1, MAX_CHAIN_CERTIFICATES):
        parties.append(pki.issue(parties[-1], f"long-{number}", CA))
    at_the_bound = under(pki, parties[-2], "long-at")
    checked(libcrypto, at_the_bound, parties[1:-1], parties[0])
    over = under(pki, parties[-1], "long-over")
    assert refusal(libcrypto, over, parties[1:], parties[0])[1] == "chain_too_long"


def test_what_is_handed_over_beside_a_certificate_is_bounded(
    libcrypto: Sm2Backend, pki: Pki, leaf: Party, root: Party
) -> None:
    assert refusal(libcrypto, leaf, [leaf] * (MAX_INTERMEDIATES + 1), root)[1] == "too_many"


# The leaf

BAD_LEAVES = {
    "no usage": (LEAF, "key_usage_missing"),
    "another usage": (LEAF + "keyUsage=critical,keyAgreement\n", "key_usage"),
    "unknown and critical": (SIGN + "1.2.3.4=critical,DER:0500\n", "critical_extension"),
    "policies and critical": (SIGN + "certificatePolicies=critical,1.2.3.4\n", "critical_extension"),
    "for servers alone": (SIGN + "extendedKeyUsage=critical,serverAuth\n", "extended_key_usage"),
    "version 1": (None, "key_usage_missing"),
}


@pytest.mark.parametrize(("extensions", "rule"), BAD_LEAVES.values(), ids=BAD_LEAVES.keys())
def test_a_leaf_that_does_not_serve_is_refused(
    libcrypto: Sm2Backend, pki: Pki, root: Party, extensions: str | None, rule: str
) -> None:
    name = f"bad-leaf-{len(extensions or '')}-{rule}"
    assert refusal(libcrypto, pki.issue(root, name, extensions), [], root) == (CertificateRefused, rule, 0)


def test_an_unknown_extension_that_is_not_critical_is_passed_over(libcrypto: Sm2Backend, pki: Pki, root: Party) -> None:
    checked(libcrypto, pki.issue(root, "soft", SIGN + "1.2.3.4=DER:0500\ncertificatePolicies=1.2.3.4\n"), [], root)


def test_an_extended_use_that_is_asked_for_must_be_there(
    libcrypto: Sm2Backend, pki: Pki, root: Party, leaf: Party, city: Party
) -> None:
    named = pki.issue(root, "extended", SIGN + f"extendedKeyUsage=critical,{DOCUMENT_SIGNING}\n")
    checked(libcrypto, named, [], root, extended_use=DOCUMENT_SIGNING)
    other = refusal(libcrypto, named, [], root, extended_use="1.3.6.1.5.5.7.3.1")
    absent = refusal(libcrypto, leaf, [city], root, extended_use=DOCUMENT_SIGNING)
    assert other == absent == (CertificateRefused, "extended_key_usage", 0)
    anything = pki.issue(root, "anything", SIGN + "extendedKeyUsage=anyExtendedKeyUsage\n")
    assert refusal(libcrypto, anything, [], root, extended_use=DOCUMENT_SIGNING)[1] == "extended_key_usage"


# Other algorithms


def test_keys_and_signatures_of_other_kinds_are_refused_by_name(pki: Pki, root: Party) -> None:
    rsa = pki.root("rsa", algorithm=("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"))
    p256 = pki.root("p256", algorithm=("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"))
    for name, issuer in (("by-rsa", rsa), ("by-p256", p256)):
        party = pki.issue(issuer, name, SIGN, issuer_digest="sha256")
        for each in (party, issuer):
            with pytest.raises(AlgorithmRefused) as refused:
                read_certificate(each.file.read_bytes())
            assert (refused.value.field, refused.value.rule) == ("certificate", "signature_algorithm")
    for name, algorithm, rule in (
        ("of-p256", ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"), "curve"),
        ("of-rsa", ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"), "algorithm"),
    ):
        with pytest.raises(KeyRefused) as wrong:
            read_certificate(pki.issue(root, name, SIGN, algorithm=algorithm).file.read_bytes())
        assert (wrong.value.field, wrong.value.rule) == ("certificate", rule)


# Every byte


def test_no_changed_byte_is_accepted(libcrypto: Sm2Backend, leaf: Party, city: Party, root: Party) -> None:
    """Every byte of the leaf and every byte of the intermediate, each changed to a seeded other value."""
    draw = random.Random(SEED)
    policy = policy_for(leaf.certificate)
    good = [leaf.certificate.encoded, city.certificate.encoded]

    def accept(encoded: Sequence[bytes]) -> None:
        first, second = (parse_certificate(each) for each in encoded)
        check_chain(first, [second], [root.certificate], policy=policy, crls=[], backend=libcrypto)

    accept(good)
    for which in (0, 1):
        for at in range(len(good[which])):
            changed = bytearray(good[which])
            changed[at] ^= draw.randrange(1, 256)
            with pytest.raises(TrustError):
                accept([*good[:which], bytes(changed), *good[which + 1 :]])


def test_a_certificate_cut_short_or_with_more_behind_is_refused(leaf: Party) -> None:
    encoded = leaf.certificate.encoded
    for size in range(len(encoded)):
        with pytest.raises(EncodingRefused):
            parse_certificate(encoded[:size])
    with pytest.raises(EncodingRefused):
        parse_certificate(encoded + b"\0")


def test_the_signature_alone_is_checked_too(libcrypto: Sm2Backend, leaf: Party, city: Party, root: Party) -> None:
    verify_issued(leaf.certificate, city.certificate, SM2_DEFAULT_ID, libcrypto)
    with pytest.raises(SignatureInvalid):
        verify_issued(leaf.certificate, root.certificate, SM2_DEFAULT_ID, libcrypto)
