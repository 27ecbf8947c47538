"""Revocation lists made by the `openssl` command: what they say of a certificate, and when they say nothing."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from crypto.errors import SignatureInvalid, TrustError
from crypto.sm2 import SM2_DEFAULT_ID, Sm2Backend
from crypto.sm2_certificates import CertificateRefused
from crypto.x509_chain import Revocation
from crypto.x509_crl import RevocationList, Status, check_crl, read_crl, revocation_status
from tests.crypto.openssl_tool import openssl
from tests.crypto.sm2_authority import CA, DAY, SIGN, Party, Pki, checked, refusal

SEED = 20261122


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


@pytest.fixture(scope="module")
def revoked(pki: Pki, city: Party) -> Party:
    return pki.issue(city, "revoked", SIGN)


@pytest.fixture(scope="module")
def city_list(pki: Pki, city: Party, revoked: Party) -> RevocationList:
    return pki.revoke_and_list(city, "city", revoked)


@pytest.fixture(scope="module")
def root_list(pki: Pki, root: Party, city_list: RevocationList) -> RevocationList:
    return pki.revoke_and_list(root, "root")


def asked(crl: RevocationList) -> dict[str, object]:
    return {"revocation": Revocation.REQUIRED, "at": crl.this_update + 60}


def test_a_list_is_read_field_by_field(pki: Pki, city: Party, city_list: RevocationList, revoked: Party) -> None:
    assert city_list.issuer == city.certificate.subject
    assert city_list.next_update == city_list.this_update + 30 * DAY
    assert city_list.authority_key_id == city.certificate.extensions.subject_key_id
    assert {serial: entry.reason for serial, entry in city_list.revoked.items()} == {
        revoked.certificate.serial: "key_compromise"
    }
    path = pki.folder / "ca-city" / "list.pem"
    assert read_crl(openssl("crl", "-in", path, "-outform", "DER")) == city_list


def test_what_is_not_on_the_lists_is_good(
    libcrypto: Sm2Backend, leaf: Party, city: Party, root: Party, city_list: RevocationList, root_list: RevocationList
) -> None:
    checked(libcrypto, leaf, [city], root, [city_list, root_list], **asked(root_list))


def test_what_is_on_the_list_is_revoked(
    libcrypto: Sm2Backend,
    revoked: Party,
    city: Party,
    root: Party,
    city_list: RevocationList,
    root_list: RevocationList,
) -> None:
    checked(libcrypto, revoked, [city], root)
    lists = [city_list, root_list]
    assert refusal(libcrypto, revoked, [city], root, lists, **asked(root_list)) == (CertificateRefused, "revoked", 0)


def test_what_a_revoked_authority_certified_is_refused(
    libcrypto: Sm2Backend, pki: Pki, leaf: Party, city: Party, root: Party, city_list: RevocationList
) -> None:
    fallen = pki.revoke_and_list(root, "fallen", city, reason="CACompromise")
    lists = [city_list, fallen]
    assert refusal(libcrypto, leaf, [city], root, lists, **asked(fallen)) == (CertificateRefused, "revoked", 1)


def test_a_certificate_on_hold_is_revoked(libcrypto: Sm2Backend, pki: Pki, root: Party) -> None:
    held = pki.issue(root, "held", SIGN)
    crl = pki.revoke_and_list(root, "held", held, reason="certificateHold")
    assert refusal(libcrypto, held, [], root, [crl], **asked(crl))[1] == "revoked"


def test_an_unknown_status_is_a_refusal(
    libcrypto: Sm2Backend,
    pki: Pki,
    leaf: Party,
    city: Party,
    root: Party,
    city_list: RevocationList,
    root_list: RevocationList,
) -> None:
    at = asked(root_list)

    def rule(*lists: RevocationList, **changes: object) -> tuple[str | None, object]:
        kind, rule, depth = refusal(libcrypto, leaf, [city], root, lists, **(at | changes))
        assert kind is CertificateRefused
        return rule, depth

    assert rule() == ("status_unknown", 1)
    assert rule(city_list) == ("status_unknown", 1)
    assert rule(root_list) == ("status_unknown", 0)
    assert rule(city_list, root_list, at=root_list.this_update + 31 * DAY) == ("status_unknown", 1)
    other_id = pki.revoke_and_list(root, "other-id", distid="someone")
    assert rule(city_list, other_id) == ("status_unknown", 1)


def test_a_list_serves_only_its_issuer_in_its_time(
    libcrypto: Sm2Backend, pki: Pki, city: Party, root: Party, leaf: Party, city_list: RevocationList
) -> None:
    def rule_of(crl: RevocationList, issuer: Party, at: int) -> str | None:
        with pytest.raises((CertificateRefused, SignatureInvalid)) as refused:
            check_crl(crl, issuer.certificate, at=at, user_id=SM2_DEFAULT_ID, backend=libcrypto)
        assert refused.value.field == "crl"
        status = revocation_status(
            leaf.certificate, issuer.certificate, (crl,), at=at, user_id=SM2_DEFAULT_ID, backend=libcrypto
        )
        assert status is Status.UNKNOWN
        return refused.value.rule

    now = city_list.this_update + 60
    check_crl(city_list, city.certificate, at=now, user_id=SM2_DEFAULT_ID, backend=libcrypto)
    assert rule_of(city_list, root, now) == "crl_issuer"
    assert rule_of(city_list, city, city_list.this_update - 1) == "not_yet_valid"
    assert rule_of(city_list, city, (city_list.next_update or 0) + 1) == "expired"
    assert rule_of(replace(city_list, next_update=None), city, now) == "expired"
    assert rule_of(replace(city_list, signed=city_list.signed[:-1] + b"\0"), city, now) == "issuer_signature"
    namesake = pki.issue(root, "namesake-2", CA, subject="/CN=city")
    assert rule_of(city_list, namesake, now) == "issuer_signature"
    silent = pki.issue(root, "silent", CA.replace(",cRLSign", ""))
    assert rule_of(pki.revoke_and_list(silent, "silent"), silent, now + 60) == "crl_sign"


@pytest.mark.parametrize(
    ("extensions", "rule"),
    [
        ("issuingDistributionPoint=critical,@idp\n[idp]\nonlyuser=TRUE", "crl_partial"),
        ("issuingDistributionPoint=@idp\n[idp]\nonlyCA=TRUE", "crl_partial"),
        ("2.5.29.27=critical,DER:020101", "crl_partial"),
        ("1.2.3.4=critical,DER:0500", "critical_extension"),
    ],
)
def test_a_list_that_is_not_the_whole_is_refused(pki: Pki, root: Party, extensions: str, rule: str) -> None:
    name = f"partial-{len(extensions)}"
    with pytest.raises(CertificateRefused) as refused:
        pki.revoke_and_list(root, name, extensions=extensions)
    assert (refused.value.field, refused.value.rule) == ("crl", rule)


def test_no_changed_byte_of_a_list_makes_a_revoked_certificate_good(
    libcrypto: Sm2Backend, pki: Pki, revoked: Party, city: Party, city_list: RevocationList
) -> None:
    encoded = openssl("crl", "-in", pki.folder / "ca-city" / "list.pem", "-outform", "DER")
    draw = random.Random(SEED)
    at = city_list.this_update + 60
    for place in range(len(encoded)):
        changed = bytearray(encoded)
        changed[place] ^= draw.randrange(1, 256)
        try:
            crl = read_crl(bytes(changed))
        except TrustError:
            continue
        status = revocation_status(
            revoked.certificate, city.certificate, (crl,), at=at, user_id=SM2_DEFAULT_ID, backend=libcrypto
        )
        assert status is Status.UNKNOWN, place
