"""Clients and people that an operator states in two JSON files, brought in at every start of the service.

For conformance runs and trials: a deployment that stands up with its platforms and a few accounts, without a page being
filled in. Both files are read and checked whole, and against what the databases hold, before anything is written; every
mistake is one line. A second start with the same files changes nothing.

What a file can never do: touch a person who came from anywhere else (a roster, a register, a school's own enrolment), or
anybody who holds an office. People of a file are marked by their source, `demonstration`, which every other source
outranks: once a roster confirms such a person, the file has no say any more.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from adapters.parts import Parts
from adapters.static_facts import FACT_MEMBERS, FACT_SENTENCES, StaticFacts, read_facts, record_facts
from crypto.encoding import json_strict
from crypto.errors import TrustError
from crypto.password import MAX_PASSWORD_CHARACTERS, PasswordMismatch
from idp.audit import SYSTEM, Acts
from idp.clients.model import Client
from idp.clients.registration import CLIENTS_MAX, parse_client
from idp.login.password import PASSWORD_BYTES_MAX
from idp.login.username import USERNAME_CHARS_MAX, normalise
from idp.model import Account, AccountState, Acr
from idp.registry.errors import PersonUnknown
from idp.registry.model import AccountStatus, EnrolmentRequest, Person, ProofingLevel, Source
from idp.registry.names import PersonName, parse_display_name, parse_person_name
from idp.registry.person_number import parse_person_number

FILE_BYTES_MAX: Final = 4 * 1024 * 1024
"""A thousand clients of four kilobytes each."""

USERS_MAX: Final = 200
"""A trial's people. Each start verifies every password once, some 30 ms each on two threads."""

PASSWORD_CHARS_MIN: Final = 8
"""NIST SP 800-63B §5.1.1.2."""

SECOND_FACTOR: Final[Mapping[str, Acr]] = {"none": Acr.ONE, "required": Acr.TWO}
"""What `second_factor` may say; left out, the deployment's own rule holds."""

USER_MEMBERS: Final = frozenset({"username", "password", "display_name", "real_name", "second_factor"}) | FACT_MEMBERS
_SENTENCES: Final[Mapping[str, str]] = {
    **FACT_SENTENCES,
    "readable": "the file cannot be read",
    "too_large": f"more than {FILE_BYTES_MAX} bytes",
    "writable_by_all": "anybody on this machine can write to the file; take that right away (chmod o-w)",
    "array": "must be a JSON array",
    "object": "must be a JSON object",
    "duplicate": "stands in the file twice",
    "unknown_member": "is not a member this version knows",
    "unknown_value": "is not a value this version knows",
    "missing": "must be there",
    "text": "must be a text that is not empty",
    "boolean": "must be true or false",
    "username.form": f"at most {USERNAME_CHARS_MAX} visible characters, without a space at either end",
    "password.length": f"{PASSWORD_CHARS_MIN} to {MAX_PASSWORD_CHARACTERS} characters",
    "second_factor.unknown_value": "must be none or required",
    "client_id.form": "a small letter, then 2 to 39 small letters, digits or hyphens",
    "client_secret.form": "43 to 128 characters of base64url",
    "no_name": "real_name, or a display_name that can stand for it, must be there",
    "of_another_source": "this name belongs to an account that no static file made; it is left alone",
    "holds_an_office": "this account holds an office; officers are never stated in a file",
    "deleted": "this account was deleted; choose another username",
    "recorded_otherwise": "the register has another name on record, and a file does not change it",
}


class StaticFilesRefused(Exception):
    """Files that are not taken. The text has one line for each mistake, and never a value of the file."""

    def __init__(self, problems: Sequence[FileProblem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class FileProblem:
    """One mistake: file name, entry (counted from 0; None is the whole file), field and rule."""

    file: str
    entry: int | None
    field: str
    rule: str

    def __str__(self) -> str:
        place = self.file if self.entry is None else f"{self.file}: entry {self.entry}"
        sentence = _SENTENCES.get(f"{self.field}.{self.rule}", _SENTENCES.get(self.rule))
        return f"{place}: {self.field}: {self.rule}" + ("." if sentence is None else f": {sentence}.")


@dataclass(frozen=True, slots=True)
class StaticUser:
    """One person of the file, parsed. `username` is in its looked-up form; `required` None is the deployment's rule."""

    entry: int
    username: str
    password: str = field(repr=False)
    display_name: str | None
    real_name: PersonName = field(repr=False)
    required: Acr | None
    facts: StaticFacts


@dataclass(frozen=True, slots=True)
class StaticFiles:
    """Both files as read. `warnings` are sentences for the operator."""

    clients: tuple[Client, ...]
    users: tuple[StaticUser, ...]
    users_file: str
    warnings: tuple[str, ...]


def read_static_files(clients: Path | None, users: Path | None) -> StaticFiles:
    """Read and check both files (None: not given). Raises `StaticFilesRefused` with every mistake of both."""
    problems: list[FileProblem] = []
    warnings: list[str] = []
    parsed_clients: tuple[Client, ...] = ()
    parsed_users: tuple[StaticUser, ...] = ()
    if clients is not None:
        parsed_clients = _clients(clients, problems, warnings)
    if users is not None:
        parsed_users = _users(users, problems, warnings)
    if problems:
        raise StaticFilesRefused(problems)
    return StaticFiles(parsed_clients, parsed_users, "" if users is None else str(users), tuple(warnings))


def _entries(path: Path, most: int, problems: list[FileProblem], warnings: list[str]) -> Sequence[object]:
    name = str(path)
    try:
        mode = path.stat().st_mode
        data = path.read_bytes()
    except OSError:
        problems.append(FileProblem(name, None, "file", "readable"))
        return ()
    if mode & stat.S_IWOTH:
        problems.append(FileProblem(name, None, "file", "writable_by_all"))
        return ()
    if len(data) > FILE_BYTES_MAX:
        problems.append(FileProblem(name, None, "file", "too_large"))
        return ()
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        # A warning only: in a container such a file is often mounted with a mode its reader cannot change.
        warnings.append(f"{name} holds secrets and others on this machine can read it: chmod 600 {name}")
    try:
        listed = json_strict(data)
    except TrustError as refused:
        problems.append(FileProblem(name, None, "file", refused.rule or "json"))
        return ()
    if not isinstance(listed, list) or len(listed) > most:
        problems.append(FileProblem(name, None, "file", "array"))
        return ()
    return listed


def _clients(path: Path, problems: list[FileProblem], warnings: list[str]) -> tuple[Client, ...]:
    parsed: list[Client] = []
    for index, item in enumerate(_entries(path, CLIENTS_MAX, problems, warnings)):
        try:
            client = parse_client(item)
        except TrustError as refused:
            problems.append(FileProblem(str(path), index, refused.field or "clients", refused.rule or refused.code))
            continue
        if any(client.client_id == earlier.client_id for earlier in parsed):
            problems.append(FileProblem(str(path), index, "client_id", "duplicate"))
        parsed.append(client)
    return tuple(parsed)


def _users(path: Path, problems: list[FileProblem], warnings: list[str]) -> tuple[StaticUser, ...]:
    parsed: list[StaticUser] = []
    seen: set[str] = set()
    for index, item in enumerate(_entries(path, USERS_MAX, problems, warnings)):
        reader = _UserReader(str(path), index, problems)
        user = reader.read(item)
        if user is None:
            continue
        if user.username in seen:
            reader.refuse("username", "duplicate")
        seen.add(user.username)
        parsed.append(user)
    return tuple(parsed)


class _UserReader:
    """Reads one entry and remembers every mistake of it."""

    def __init__(self, file: str, entry: int, problems: list[FileProblem]) -> None:
        self._file = file
        self._entry = entry
        self._problems = problems

    def refuse(self, member: str, rule: str) -> None:
        self._problems.append(FileProblem(self._file, self._entry, member, rule))

    def read(self, item: object) -> StaticUser | None:
        if not isinstance(item, dict):
            self.refuse("users", "object")
            return None
        before = len(self._problems)
        for unknown in sorted(set(item) - USER_MEMBERS):
            self.refuse(unknown[:40], "unknown_member")
        username = self._username(item)
        password = self._password(item)
        display_name = self._display_name(item)
        real_name = self._real_name(item, display_name)
        stated = item.get("second_factor")
        if "second_factor" in item and (not isinstance(stated, str) or stated not in SECOND_FACTOR):
            self.refuse("second_factor", "unknown_value")
        facts = read_facts(item, self.refuse)
        if len(self._problems) > before or real_name is None:
            return None
        required = SECOND_FACTOR[stated] if isinstance(stated, str) else None
        return StaticUser(self._entry, username, password, display_name, real_name, required, facts)

    def _text(self, item: Mapping[str, object], member: str) -> str:
        value = item.get(member)
        if not isinstance(value, str) or not value:
            self.refuse(member, "text")
            return ""
        return value

    def _username(self, item: Mapping[str, object]) -> str:
        typed = self._text(item, "username")
        if typed and (len(typed) > USERNAME_CHARS_MAX or not typed.isprintable() or typed.strip() != typed):
            self.refuse("username", "form")
        return normalise(typed)

    def _password(self, item: Mapping[str, object]) -> str:
        password = self._text(item, "password")
        if password and not (
            PASSWORD_CHARS_MIN <= len(password) <= MAX_PASSWORD_CHARACTERS
            and len(password.encode("utf-8")) <= PASSWORD_BYTES_MAX
        ):
            self.refuse("password", "length")
        return password

    def _display_name(self, item: Mapping[str, object]) -> str | None:
        if "display_name" not in item:
            return None
        try:
            return parse_display_name(self._text(item, "display_name"))
        except TrustError as refused:
            if item["display_name"]:
                self.refuse("display_name", refused.rule or refused.code)
            return None

    def _real_name(self, item: Mapping[str, object], display_name: str | None) -> PersonName | None:
        if "real_name" not in item and display_name is None:
            self.refuse("real_name", "no_name")
            return None
        stated = display_name if "real_name" not in item else self._text(item, "real_name")
        try:
            return parse_person_name(stated or "")
        except TrustError as refused:
            if stated:
                self.refuse("real_name", refused.rule or refused.code)
            return None


async def bring_in(parts: Parts, files: StaticFiles) -> Mapping[str, Acr]:
    """Register the clients and create or update the people; return the assurance stated for each person number.

    Raises `StaticFilesRefused`, with every mistake, before the first write.
    """
    known = await _known(parts, files)
    acts = Acts(parts.audit, clock=parts.clock)
    await _register(parts, files.clients, acts)
    stated: dict[str, Acr] = {}
    for user in files.users:
        account = known.get(user.username)
        person = await _create(parts, user, acts) if account is None else await _update(parts, user, account, acts)
        if user.required is not None:
            stated[person] = user.required
            # At every start: that somebody may come in with one factor is never older news than this process.
            await acts.record(
                "idp.static.sign_in_stated",
                actor=SYSTEM,
                subject=person,
                result="ok",
                connection=None,
                acr=user.required.value,
            )
    return stated


async def _known(parts: Parts, files: StaticFiles) -> Mapping[str, tuple[Account, Person]]:
    """Return the accounts that are there already, by username; refuse those that are not a file's to change."""
    found: dict[str, tuple[Account, Person]] = {}
    problems: list[FileProblem] = []
    for user in files.users:
        account = await parts.access.account_by_username(user.username)
        if account is None:
            continue
        number = parse_person_number(account.person)
        try:
            person = await parts.registry.person(number)
        except PersonUnknown:
            problems.append(FileProblem(files.users_file, user.entry, "username", "of_another_source"))
            continue
        refused = _not_the_files(person) or (await parts.authority.offices_of(number) and "holds_an_office")
        if refused:
            problems.append(FileProblem(files.users_file, user.entry, "username", refused))
        elif person.real_name != user.real_name:
            problems.append(FileProblem(files.users_file, user.entry, "real_name", "recorded_otherwise"))
        else:
            found[user.username] = (account, person)
    if problems:
        raise StaticFilesRefused(problems)
    return found


def _not_the_files(person: Person) -> str | None:
    if person.status is AccountStatus.DELETED:
        return "deleted"
    if person.provenance.source is not Source.DEMONSTRATION or person.has_id_number:
        return "of_another_source"
    return None


async def _register(parts: Parts, clients: tuple[Client, ...], acts: Acts) -> None:
    changed = []
    for client in clients:
        held = await parts.access.client(client.client_id)
        if held is None or replace(client, state=held.state) != held:
            changed.append(client)
    if changed:
        await parts.access.register_clients(tuple(changed), parts.clock())
    for client in changed:
        await acts.record(
            "idp.static.client_registered", actor=SYSTEM, subject=client.client_id, result="ok", connection=None
        )


async def _create(parts: Parts, user: StaticUser, acts: Acts) -> str:
    now = parts.clock()
    request = EnrolmentRequest(
        real_name=user.real_name,
        foreign_name=None,
        display_name=user.display_name,
        id_number=None,
        birth=None,
        phone=None,
        affiliation=None,
        proofing=ProofingLevel.NONE,
        source=Source.DEMONSTRATION,
    )
    password_hash = await parts.passwords.hash(user.password)
    # Killed between the two writes, a start leaves a person without an account; the next makes another.
    enrolled = await parts.registry.enrol_person(request, now=now)
    person = str(enrolled.person.number)
    await record_facts(parts, enrolled.person, user.facts)
    await parts.access.create_account(Account(person, user.username, AccountState.ACTIVE, password_hash), now)
    await acts.record("idp.static.account_created", actor=SYSTEM, subject=person, result="ok", connection=None)
    return person


async def _update(parts: Parts, user: StaticUser, held: tuple[Account, Person], acts: Acts) -> str:
    """Bring name, facts and password to what the file says. The account's state is an administrator's and stays."""
    account, person = held
    if user.display_name is not None and user.display_name != person.display_name:
        await parts.registry.set_display_name(person.number, user.display_name, now=parts.clock())
    if await record_facts(parts, person, user.facts):
        await acts.record(
            "idp.static.facts_changed", actor=SYSTEM, subject=account.person, result="ok", connection=None
        )
    try:
        await parts.passwords.verify(account.password_hash, user.password)
    except PasswordMismatch:
        fresh = await parts.passwords.hash(user.password)
        await parts.access.set_password(account.person, fresh, parts.clock())
        await acts.record(
            "idp.static.password_changed", actor=SYSTEM, subject=account.person, result="ok", connection=None
        )
    return account.person
