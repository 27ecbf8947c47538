"""How people are reached: what is taken as an address or a number, and the store's contract about it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.registry.contact import (
    ADDRESS_CHARS_MAX,
    Contact,
    ContactStatement,
    NameParts,
    PostalAddress,
    Provable,
    load_address,
    parse_address,
    parse_email,
    parse_locale,
    parse_phone_number,
    parse_zoneinfo,
    phone_e164,
)
from idp.registry.errors import ContactRefused, PersonUnknown, StatusRefused
from idp.registry.model import AccountStatus
from idp.registry.names import parse_person_name
from tests.conftest import OpenDatabase
from tests.idp.registry.people import NOW, id_number, registry, request
from tests.idp.registry.test_store_people import NOBODY, refused

Run = Callable[[Coroutine[Any, Any, None]], None]

ADDRESS = PostalAddress("重庆市沙坪坝区大学城中路1号\n3栋", "重庆市", "沙坪坝区", "401331")
WHOLE = ContactStatement("lin@mail.example.edu.cn", "15400000001", ADDRESS, "zh-CN", "Asia/Shanghai")
NOTHING = ContactStatement(None, None, None, None, None)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("lin@example.cn", "lin@example.cn"),
        (" Lin.O'Neil+Tag@Mail.EXAMPLE.edu.cn ", "Lin.O'Neil+Tag@mail.example.edu.cn"),
        ("a" * 64 + "@" + "b" * 63 + ".cn", "a" * 64 + "@" + "b" * 63 + ".cn"),
        ("x@xn--fiq228c.xn--fiqs8s", "x@xn--fiq228c.xn--fiqs8s"),
    ],
)
def test_an_email_address_is_an_addr_spec(text: str, read: str) -> None:
    assert parse_email(text) == read


@pytest.mark.parametrize(
    "text",
    [
        "",
        "lin",
        "@example.cn",
        "lin@",
        "lin@localhost",
        "lin@example..cn",
        "lin@-example.cn",
        "lin@example-.cn",
        "lin@192.0.2.1",
        "lin@[192.0.2.1]",
        ".lin@example.cn",
        "lin.@example.cn",
        "l..in@example.cn",
        '"lin"@example.cn',
        "lin@a@example.cn",
        "林@example.cn",
        "lin@学校.cn",
        "lin@example.cn\nBcc: x@example.cn",
        "lin\u202e@example.cn",
        "a" * 65 + "@example.cn",
        "lin@" + "b" * 64 + ".cn",
        "lin@" + "b." * 126 + "cn",
    ],
)
def test_what_is_no_email_address_is_refused(text: str) -> None:
    with pytest.raises(ContactRefused):
        parse_email(text)


@pytest.mark.parametrize(
    ("text", "kept", "released"),
    [
        ("154 0000-0001", "15400000001", "+8615400000001"),
        ("+86 154 0000 0001", "15400000001", "+8615400000001"),
        ("+44 (20) 7946-0018", "+442079460018", "+442079460018"),
    ],
)
def test_a_telephone_number_is_released_as_e164(text: str, kept: str, released: str) -> None:
    assert parse_phone_number(text) == kept
    assert phone_e164(kept) == released


@pytest.mark.parametrize(
    "text", ["", "1540000000", "+861234", "+0123456789", "+1234567890123456", "+44２０７９４６", "call me", "+86 10 6"]
)
def test_what_is_no_telephone_number_is_refused(text: str) -> None:
    with pytest.raises(ContactRefused):
        parse_phone_number(text)


def test_an_address_keeps_its_lines_and_its_parts() -> None:
    read = parse_address(
        " 重庆市沙坪坝区大学城中路1号 \r\n\r\n3栋", region="重庆市", locality=" 沙坪坝区", postal_code="401331"
    )
    assert read == ADDRESS
    assert load_address(read.dump()) == read


@pytest.mark.parametrize(
    ("parts", "rule"),
    [
        (("", "重庆市", "", ""), "address_missing"),
        (("x" * (ADDRESS_CHARS_MAX + 1), "", "", ""), "address_too_long"),
        (("\n".join("1234567"), "", "", ""), "address_too_long"),
        (("x", "y" * 51, "", ""), "address_too_long"),
        (("x\u202ey", "", "", ""), "address_sign"),
        (("x\x00", "", "", ""), "address_sign"),
        (("x", "", "", "4013 31!"), "postal_code"),
        (("x", "", "", "4" * 11), "postal_code"),
    ],
)
def test_an_address_that_cannot_be_written_on_an_envelope_is_refused(parts: tuple[str, ...], rule: str) -> None:
    formatted, region, locality, postal_code = parts
    with pytest.raises(ContactRefused) as caught:
        parse_address(formatted, region=region, locality=locality, postal_code=postal_code)
    assert caught.value.rule == rule


def test_a_language_is_one_of_ours_and_a_zone_has_the_form_of_one() -> None:
    assert parse_locale("zh-CN") == "zh-CN"
    for zone in ("Asia/Shanghai", "Asia/Urumqi", "America/Argentina/Buenos_Aires", "Etc/GMT-8", "UTC"):
        assert parse_zoneinfo(zone) == zone
    for locale in ("", "zh", "bo-CN", "zh-CN; q=1"):
        with pytest.raises(ContactRefused):
            parse_locale(locale)
    for zone in ("", "asia/shanghai", "Asia/../etc/passwd", "Asia/Shanghai\n", "/Asia/Shanghai", "Asia/"):
        with pytest.raises(ContactRefused):
            parse_zoneinfo(zone)


@given(st.text(max_size=80))
def test_reading_any_text_gives_a_value_that_reads_as_itself_or_the_one_refusal(text: str) -> None:
    for parse in (parse_email, parse_phone_number, parse_zoneinfo):
        try:
            read = parse(text)
        except ContactRefused:
            continue
        assert parse(read) == read
    try:
        address = parse_address(text, region=text, locality="", postal_code="")
    except ContactRefused:
        return
    assert parse_address(address.formatted, region=address.region, locality="", postal_code="") == address


def test_what_is_stated_is_sealed_and_is_not_proven_by_being_stated(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with registry(migrated) as (store, db):
            number = (
                await store.enrol_person(request(number=id_number(1), phone="15400000009"), now=NOW)
            ).person.number
            assert await store.contact(number) == Contact(
                ContactStatement(None, "15400000009", None, None, None), email_verified=False, phone_verified=False
            )
            changed = await store.state_contact(number, WHOLE, proven={}, now=NOW + 5)
            assert changed == ("email", "phone", "address", "locale", "zoneinfo")
            assert await store.contact(number) == Contact(WHOLE, email_verified=False, phone_verified=False)
            person = await store.person(number)
            assert (person.locale, person.zoneinfo, person.updated_at) == ("zh-CN", "Asia/Shanghai", NOW + 5)
            row = await db.fetch_one("SELECT email, phone, address FROM person WHERE number = $1", number.value)
            assert row is not None
            kept = b"".join(bytes(row[name]) for name in ("email", "phone", "address"))
            for plain in ("lin@", "15400000001", "重庆市", "401331"):
                assert plain.encode() not in kept
            assert await store.state_contact(number, WHOLE, proven={}, now=NOW + 9) == ()
            assert (await store.person(number)).updated_at == NOW + 5

    run(story())


def test_a_proof_is_of_one_value_and_ends_with_it(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with registry(migrated) as (store, _):
            number = (await store.enrol_person(request(number=id_number(1)), now=NOW)).person.number
            proven = {Provable.EMAIL: True, Provable.PHONE: True}
            await store.state_contact(number, WHOLE, proven=proven, now=NOW)
            assert await store.contact(number) == Contact(WHOLE, email_verified=True, phone_verified=True)
            other = ContactStatement("new@example.cn", WHOLE.phone, None, "en", None)
            changed = await store.state_contact(number, other, proven={}, now=NOW)
            assert set(changed) == {"email", "address", "locale", "zoneinfo", "email_verified"}
            assert await store.contact(number) == Contact(other, email_verified=False, phone_verified=True)
            await store.set_phone(number, "15400000002", now=NOW)
            assert not (await store.contact(number)).phone_verified
            await store.state_contact(number, other, proven=proven, now=NOW)
            await store.state_contact(number, other, proven={Provable.EMAIL: False}, now=NOW)
            assert await store.contact(number) == Contact(other, email_verified=False, phone_verified=True)
            # What is not stated is proven by nobody.
            await store.state_contact(number, NOTHING, proven=proven, now=NOW)
            assert await store.contact(number) == Contact(NOTHING, email_verified=False, phone_verified=False)

    run(story())


def test_the_parts_of_a_name_are_kept_apart_from_it(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with registry(migrated) as (store, _):
            number = (await store.enrol_person(request("司马相如", number=id_number(1)), now=NOW)).person.number
            parts = NameParts(parse_person_name("相如"), parse_person_name("司马"))
            assert await store.set_name_parts(number, parts, now=NOW + 1)
            assert not await store.set_name_parts(number, parts, now=NOW + 2)
            person = await store.person(number)
            assert (person.given_name, person.family_name, person.updated_at) == ("相如", "司马", NOW + 1)
            assert await store.set_name_parts(number, NameParts(None, None), now=NOW + 3)
            assert (await store.person(number)).family_name is None

    run(story())


def test_deleting_a_person_destroys_every_way_to_reach_them(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with registry(migrated) as (store, db):
            number = (await store.enrol_person(request(number=id_number(1)), now=NOW)).person.number
            await store.state_contact(number, WHOLE, proven={Provable.EMAIL: True, Provable.PHONE: True}, now=NOW)
            await store.set_name_parts(number, NameParts(parse_person_name("禾"), None), now=NOW)
            await store.set_status(number, AccountStatus.DELETED, now=NOW)
            assert await store.contact(number) == Contact(NOTHING, email_verified=False, phone_verified=False)
            row = await db.fetch_one("SELECT * FROM person WHERE number = $1", number.value)
            assert row is not None
            assert [name for name, value in dict(row).items() if isinstance(value, bytes | memoryview)] == []
            assert await refused(store.state_contact(number, WHOLE, proven={}, now=NOW), StatusRefused) == "deleted"
            parts = NameParts(None, None)
            assert await refused(store.set_name_parts(number, parts, now=NOW), StatusRefused) == "deleted"
            for call in (store.contact(NOBODY), store.state_contact(NOBODY, WHOLE, proven={}, now=NOW)):
                assert await refused(call, PersonUnknown) == "unknown"

    run(story())
