"""Clients and people of two files: read whole or refused whole, brought in once, never anybody else's account."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.kek import create_kek
from adapters.parts import Parts, open_parts
from adapters.settings import Settings, check_settings
from adapters.static_files import StaticFilesRefused, bring_in, read_static_files
from crypto.password import PasswordMismatch
from idp.authority.model import Duty, Level, NewOffice, OfficeKind, Unit
from idp.clients.model import ClientState
from idp.login.policy import SignInPolicy
from idp.model import Account, AccountState, Acr
from idp.registry.model import AccountStatus, EnrolmentRequest, ProofingLevel, Source
from idp.registry.names import parse_person_name
from idp.registry.person_number import parse_person_number
from tests.services.tables import make_tables

NOW = 1_795_300_000
SECRET = "Zq3vXo9cT1mK7bWd5RyLh2PsNf8UaGj4EiVxB6tQ0wM"
PASSWORD = "correct horse battery"
OTHER_PASSWORD = "staple correct horse"
CLIENT: Mapping[str, object] = {
    "client_id": "lab-basic",
    "client_name": "Lab",
    "client_secret": SECRET,
    "redirect_uris": ["https://lab.example/callback"],
    "scope": "openid profile",
}
USER: Mapping[str, object] = {
    "username": "lab",
    "password": PASSWORD,
    "display_name": "Lab Person",
    "second_factor": "none",
}
Run = Callable[[Coroutine[Any, Any, None]], None]


def written(folder: Path, name: str, value: object) -> Path:
    path = folder / name
    path.write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())
    path.chmod(0o600)
    return path


def refused(clients: Path | None, users: Path | None) -> set[tuple[str, int | None, str, str]]:
    with pytest.raises(StaticFilesRefused) as caught:
        read_static_files(clients, users)
    assert len(str(caught.value).splitlines()) == len(caught.value.problems)
    return {(Path(one.file).name, one.entry, one.field, one.rule) for one in caught.value.problems}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings of a migrated, empty deployment where everybody needs two factors."""
    made = check_settings({"issuer": "https://id.example.edu.cn", "data_dir": str(tmp_path / "data")})
    assert made.second_factor_for_all
    made.data_dir.mkdir()
    create_kek(made.kek_file, random_bytes=os.urandom)
    make_tables(made.database_url)
    return made


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Parts]:
    async with open_parts(settings, clock=lambda: NOW, random_bytes=os.urandom) as parts:
        yield parts


async def person_of(parts: Parts, username: str) -> Account:
    account = await parts.access.account_by_username(username)
    assert account is not None
    return account


# Reading


def test_every_mistake_of_both_files_is_reported_in_one_go(tmp_path: Path) -> None:
    clients = written(
        tmp_path,
        "clients.json",
        [CLIENT, {**CLIENT, "redirect_uris": []}, CLIENT, {**CLIENT, "client_id": "other", "collour": 1}, 7],
    )
    users = written(
        tmp_path,
        "users.json",
        [
            USER,
            {**USER, "username": " lab", "password": "short", "second_factor": "sometimes", "role": "admin"},
            {**USER, "username": "LAB"},
            {"username": "x", "password": PASSWORD},
            {"username": "y", "password": PASSWORD, "display_name": "Robot 7"},
            {"username": "z", "password": PASSWORD, "display_name": "\u202e", "real_name": 5},
            {},
            "lab",
        ],
    )
    assert refused(clients, users) == {
        ("clients.json", 1, "redirect_uris", "missing"),
        ("clients.json", 2, "client_id", "duplicate"),
        ("clients.json", 3, "collour", "unknown_member"),
        ("clients.json", 4, "clients", "object"),
        ("users.json", 1, "username", "form"),
        ("users.json", 1, "password", "length"),
        ("users.json", 1, "second_factor", "unknown_value"),
        ("users.json", 1, "role", "unknown_member"),
        ("users.json", 2, "username", "duplicate"),
        ("users.json", 3, "real_name", "no_name"),
        ("users.json", 4, "real_name", "sign"),
        ("users.json", 5, "display_name", "invisible"),
        ("users.json", 5, "real_name", "text"),
        ("users.json", 6, "username", "text"),
        ("users.json", 6, "password", "text"),
        ("users.json", 6, "real_name", "no_name"),
        ("users.json", 7, "users", "object"),
    }


@pytest.mark.parametrize(
    ("content", "rule"),
    [(b"[", "json"), (b"{}", "array"), (b"\xff", "utf8"), (b'[{"a":1,"a":2}]', "json_duplicate_member")],
)
def test_a_file_that_is_no_json_array_is_named(tmp_path: Path, content: bytes, rule: str) -> None:
    named = refused(written(tmp_path, "clients.json", content), written(tmp_path, "users.json", content))
    assert named == {("clients.json", None, "file", rule), ("users.json", None, "file", rule)}


def test_a_file_that_is_absent_or_a_folder_is_named(tmp_path: Path) -> None:
    assert refused(tmp_path / "absent", tmp_path) == {
        ("absent", None, "file", "readable"),
        (tmp_path.name, None, "file", "readable"),
    }


def test_a_file_anybody_can_write_is_refused_and_one_others_can_read_is_warned_of(tmp_path: Path) -> None:
    users = written(tmp_path, "users.json", [USER])
    assert read_static_files(None, users).warnings == ()
    users.chmod(0o644)
    assert len(read_static_files(None, users).warnings) == 1
    users.chmod(0o666)
    assert refused(None, users) == {("users.json", None, "file", "writable_by_all")}


def test_no_password_and_no_secret_is_ever_said(tmp_path: Path) -> None:
    users = written(tmp_path, "users.json", [{**USER, "password": "c4nary!"}, {**USER, "second_factor": "c4nary!"}])
    clients = written(tmp_path, "clients.json", [{**CLIENT, "client_secret": "c4nary!"}])
    with pytest.raises(StaticFilesRefused) as caught:
        read_static_files(clients, users)
    assert "c4nary" not in str(caught.value)
    files = read_static_files(None, written(tmp_path, "users.json", [USER]))
    assert PASSWORD not in repr(files)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*USER, "real_name", "x"]), inner),
    max_leaves=12,
)


@given(document=_JSON | st.lists(st.fixed_dictionaries(dict.fromkeys(USER, _JSON)), max_size=3))
def test_whatever_json_a_file_holds_it_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, document: object
) -> None:
    path = written(tmp_path_factory.getbasetemp(), "any.json", document)
    for clients, users in ((path, None), (None, path)):
        with suppress(StaticFilesRefused):
            read_static_files(clients, users)


# Bringing in


def test_a_second_start_with_the_same_files_changes_nothing(settings: Settings, run: Run, tmp_path: Path) -> None:
    files = read_static_files(
        written(tmp_path, "clients.json", [CLIENT]),
        written(tmp_path, "users.json", [USER, {**USER, "username": "plain", "second_factor": "required"}]),
    )

    async def story() -> None:
        async with opened(settings) as parts:
            first = await bring_in(parts, files)
            accounts = [await person_of(parts, name) for name in ("lab", "plain")]
            client = await parts.access.client("lab-basic")
        async with opened(settings) as parts:
            assert await bring_in(parts, files) == first
            assert [await person_of(parts, name) for name in ("lab", "plain")] == accounts
            assert await parts.access.client("lab-basic") == client
        assert first == {accounts[0].person: Acr.ONE, accounts[1].person: Acr.TWO}

    run(story())


def test_a_changed_password_and_name_are_taken_and_the_states_of_administrators_stay(
    settings: Settings, run: Run, tmp_path: Path
) -> None:
    before = read_static_files(
        written(tmp_path, "clients.json", [CLIENT]), written(tmp_path, "users.json", [{**USER, "real_name": "Lab"}])
    )
    after = read_static_files(
        written(tmp_path, "clients.json", [{**CLIENT, "client_name": "Other"}]),
        written(
            tmp_path, "users.json", [{**USER, "real_name": "Lab", "password": OTHER_PASSWORD, "display_name": "New 1"}]
        ),
    )

    async def story() -> None:
        async with opened(settings) as parts:
            await bring_in(parts, before)
            old = await person_of(parts, "lab")
            await parts.access.set_account_state(old.person, AccountState.LOCKED, NOW)
            await parts.access.set_client_state("lab-basic", ClientState.DISABLED, NOW)
            await bring_in(parts, after)
            new = await person_of(parts, "lab")
            assert (new.person, new.state) == (old.person, AccountState.LOCKED)
            await parts.passwords.verify(new.password_hash, OTHER_PASSWORD)
            with pytest.raises(PasswordMismatch):
                await parts.passwords.verify(new.password_hash, PASSWORD)
            assert (await parts.registry.person(parse_person_number(new.person))).display_name == "New 1"
            client = await parts.access.client("lab-basic")
            assert client is not None
            assert (client.name_en, client.state) == ("Other", ClientState.DISABLED)

    run(story())


async def _somebody_else(parts: Parts, username: str, source: Source) -> str:
    request = EnrolmentRequest(
        real_name=parse_person_name("Lab Person"),
        foreign_name=None,
        display_name=None,
        id_number=None,
        birth=None,
        phone=None,
        affiliation=None,
        proofing=ProofingLevel.ROSTER,
        source=source,
    )
    person = str((await parts.registry.enrol_person(request, now=NOW)).person.number)
    await parts.access.create_account(Account(person, username, AccountState.ACTIVE, "$none"), NOW)
    return person


def test_a_file_never_touches_an_account_it_did_not_make_nor_an_officers(
    settings: Settings, run: Run, tmp_path: Path
) -> None:
    people = ["rostered", "officer", "gone", "renamed", "fresh"]
    files = read_static_files(
        written(tmp_path, "clients.json", [CLIENT]),
        written(tmp_path, "users.json", [{**USER, "username": name} for name in people]),
    )

    async def story() -> None:
        async with opened(settings) as parts:
            await _somebody_else(parts, "rostered", Source.SCHOOL_ROSTER)
            officer = parse_person_number(await _somebody_else(parts, "officer", Source.DEMONSTRATION))
            unit = Unit(Level.PROVINCE, settings.region, ("000000",))
            await parts.authority.grant_office(
                NewOffice(officer, unit, OfficeKind.INFORMATION, frozenset({Duty.REGISTRAR})), by=None, now=NOW
            )
            gone = parse_person_number(await _somebody_else(parts, "gone", Source.DEMONSTRATION))
            await parts.registry.set_status(gone, AccountStatus.DELETED, now=NOW)
            with pytest.raises(StaticFilesRefused) as caught:
                await bring_in(parts, files)
            assert [(one.entry, one.rule) for one in caught.value.problems] == [
                (0, "of_another_source"),
                (1, "holds_an_office"),
                (2, "deleted"),
            ]
            # Refused whole: nothing of the good entries and nothing of the other file is there.
            assert await parts.access.account_by_username("fresh") is None
            assert await parts.access.client("lab-basic") is None
            assert (await person_of(parts, "rostered")).password_hash == "$none"

    run(story())


FACTS: Mapping[str, object] = {
    "given_name": "Lab",
    "family_name": "Person",
    "locale": "en",
    "zoneinfo": "Asia/Shanghai",
    "email": "lab@Example.edu.cn",
    "email_verified": True,
    "phone_number": "+86 154 0000 0001",
    "phone_number_verified": False,
    "address": {"formatted": "1 Lab Street\nChongqing", "locality": "Chongqing", "postal_code": "401331"},
}


def test_what_a_file_states_of_reaching_a_person_is_recorded_and_the_rest_is_left_alone(
    settings: Settings, run: Run, tmp_path: Path
) -> None:
    first = read_static_files(None, written(tmp_path, "users.json", [{**USER, **FACTS}]))
    moved = {**USER, "email": "new@example.edu.cn"}
    second = read_static_files(None, written(tmp_path, "users.json", [moved]))

    async def story() -> None:
        async with opened(settings) as parts:
            await bring_in(parts, first)
            number = parse_person_number((await person_of(parts, "lab")).person)
            contact, person = await parts.registry.contact(number), await parts.registry.person(number)
            assert contact.stated.email == "lab@example.edu.cn"
            assert contact.stated.phone == "15400000001"
            assert contact.stated.address is not None
            assert contact.stated.address.formatted == "1 Lab Street\nChongqing"
            assert (contact.stated.locale, contact.stated.zoneinfo) == ("en", "Asia/Shanghai")
            assert (contact.email_verified, contact.phone_verified) == (True, False)
            assert (person.given_name, person.family_name) == ("Lab", "Person")
            await bring_in(parts, second)
            after = await parts.registry.contact(number)
            assert after.stated == replace(contact.stated, email="new@example.edu.cn")
            assert not after.email_verified
            events = [event.action for _, event in await parts.audit.latest(50)]
            assert events.count("idp.static.facts_changed") == 1

    run(story())


@pytest.mark.parametrize(
    ("member", "value", "rule"),
    [
        ("email", "lab", "email_form"),
        ("email", "lab@localhost", "email_domain"),
        ("email", 7, "text"),
        ("phone_number", "call me", "phone_form"),
        ("address", "1 Lab Street", "address_form"),
        ("address", {"street": "x"}, "address_form"),
        ("address", {"formatted": 7}, "address_form"),
        ("address", {"region": "x"}, "address_missing"),
        ("address", {"formatted": "x", "postal_code": "!"}, "postal_code"),
        ("locale", "fr", "locale"),
        ("zoneinfo", "Peking", "zoneinfo"),
        ("given_name", "R2D2", "sign"),
        ("email_verified", True, "without_its_fact"),
        ("phone_number_verified", "yes", "boolean"),
    ],
)
def test_a_fact_that_is_none_is_refused_by_member_and_rule(
    tmp_path: Path, member: str, value: object, rule: str
) -> None:
    users = written(tmp_path, "users.json", [{**USER, member: value}])
    assert refused(None, users) == {("users.json", 0, member, rule)}


def test_a_name_on_record_is_not_changed_by_a_file(settings: Settings, run: Run, tmp_path: Path) -> None:
    first = read_static_files(None, written(tmp_path, "users.json", [USER]))
    second = read_static_files(None, written(tmp_path, "users.json", [{**USER, "real_name": "Somebody"}]))

    async def story() -> None:
        async with opened(settings) as parts:
            await bring_in(parts, first)
            with pytest.raises(StaticFilesRefused, match="entry 0: real_name: recorded_otherwise"):
                await bring_in(parts, second)

    run(story())


def test_one_factor_is_enough_for_whom_the_file_says_so_and_never_for_an_officer_or_where_two_are_asked(
    settings: Settings, run: Run, tmp_path: Path
) -> None:
    unsaid = {member: value for member, value in USER.items() if member != "second_factor"}
    users = [USER, {**USER, "username": "two", "second_factor": "required"}, {**unsaid, "username": "unsaid"}]
    files = read_static_files(None, written(tmp_path, "users.json", users))

    async def story() -> None:
        async with opened(settings) as parts:
            stated = await bring_in(parts, files)
            one, two, silent = [(await person_of(parts, name)).person for name in ("lab", "two", "unsaid")]
            strict = SignInPolicy(parts.authority, second_factor_for_all=True, stated=stated)
            mild = SignInPolicy(parts.authority, second_factor_for_all=False, stated=stated)
            assert [await strict.required_acr(person, Acr.ONE) for person in (one, two, silent)] == [
                Acr.ONE,
                Acr.TWO,
                Acr.TWO,
            ]
            assert [await mild.required_acr(person, Acr.ONE) for person in (one, two, silent)] == [
                Acr.ONE,
                Acr.TWO,
                Acr.ONE,
            ]
            assert await strict.required_acr(one, Acr.TWO) is Acr.TWO
            unit = Unit(Level.PROVINCE, settings.region, ("000000",))
            office = NewOffice(parse_person_number(one), unit, OfficeKind.INFORMATION, frozenset({Duty.REGISTRAR}))
            await parts.authority.grant_office(office, by=None, now=NOW)
            assert await strict.required_acr(one, Acr.ONE) is Acr.TWO
            nobody = SignInPolicy(parts.authority, second_factor_for_all=True, stated={})
            assert await nobody.required_acr(silent, Acr.ONE) is Acr.TWO

    run(story())


def test_every_act_is_in_the_audit_trail(settings: Settings, run: Run, tmp_path: Path) -> None:
    clients = written(tmp_path, "clients.json", [CLIENT])
    first = read_static_files(clients, written(tmp_path, "users.json", [USER]))
    second = read_static_files(clients, written(tmp_path, "users.json", [{**USER, "password": OTHER_PASSWORD}]))

    async def story() -> None:
        async with opened(settings) as parts:
            await bring_in(parts, first)
            await bring_in(parts, second)
            events = [event.action for _, event in reversed(await parts.audit.latest(50))]
        assert [event for event in events if event.startswith("idp.static.")] == [
            "idp.static.client_registered",
            "idp.static.account_created",
            "idp.static.sign_in_stated",
            "idp.static.password_changed",
            "idp.static.sign_in_stated",
        ]

    run(story())
