"""Fills an empty deployment with the demonstration: institutions, divisions, a province of invented people, platforms.

Everything goes through the same stores and rules as real input. The secrets it draws (one sign-in password for all demo
accounts, the platforms' client secrets) are kept in one 0600 file of the data folder, so that a second start finds the
same; in a deployment with people in it, this module is never called.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Final

from adapters.demo.divisions import read_divisions
from adapters.demo.institutions import read_institutions
from adapters.demo.population import DemoProvince, make_population
from adapters.parts import Parts
from crypto.encoding import b64u_encode
from idp.clients.registration import parse_clients
from idp.login.username import normalise
from idp.model import Account, AccountState
from idp.registry.model import Source
from idp.registry.person_number import PersonNumber
from idp.registry.school_list import read_schools

SEED: Final = 20260901  # any number does; the same one makes the same people at every first start
SECRETS_FILE: Final = "demo.json"
CLIENT_SECRET_BYTES: Final = 32
SPOKEN_LETTERS: Final = "abcdefghjkmnpqrstuvwxyz23456789"  # no letters a person confuses when typing
SPOKEN_LENGTH: Final = 12


@dataclass(frozen=True, slots=True)
class DemoSecrets:
    """What was drawn at the first start."""

    password: str = field(repr=False)
    client_secrets: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class DemoPorts:
    """Where the two platforms listen."""

    learning: int
    library: int


def load_or_draw_secrets(parts: Parts) -> DemoSecrets:
    """Return the demo's secrets, drawing and keeping them at the first start."""
    path = parts.settings.data_dir / SECRETS_FILE
    if path.exists():
        kept = json.loads(path.read_text("utf-8"))
        return DemoSecrets(kept["password"], kept["client_secrets"])
    drawn = DemoSecrets(
        password=_password(parts.random_bytes(4 * SPOKEN_LENGTH)),
        client_secrets={
            name: b64u_encode(parts.random_bytes(CLIENT_SECRET_BYTES))
            for name in ("demo-learning", "demo-library", "demo-national")
        },
    )
    _write_private(path, json.dumps(asdict(drawn), ensure_ascii=False))
    return drawn


def _password(noise: bytes) -> str:
    # Four bytes a letter make the remainder's bias smaller than one in a hundred million.
    draws = [int.from_bytes(noise[at : at + 4], "big") for at in range(0, len(noise), 4)]
    letters = "".join(SPOKEN_LETTERS[draw % len(SPOKEN_LETTERS)] for draw in draws)
    return "-".join(letters[at : at + 4] for at in range(0, SPOKEN_LENGTH, 4))


def _write_private(path: Path, text: str) -> None:
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


async def seed(parts: Parts, ports: DemoPorts, *, today: date) -> tuple[DemoProvince, DemoSecrets]:
    """Bring the demonstration in; a second call finds everything there and changes nothing."""
    secrets = load_or_draw_secrets(parts)
    province = make_population(seed=SEED, today=today)
    await register_platforms(parts, ports, secrets)
    # The last person made is the sign of a seeding that ran to its end.
    if await parts.access.account_by_username(normalise(province.people[-1].login)) is None:
        await _import_schools(parts, province)
        await _enrol_people(parts, province, secrets)
    return province, secrets


async def _import_schools(parts: Parts, province: DemoProvince) -> None:
    divisions = read_divisions()
    await parts.registry.load_divisions(divisions.all(), revision=divisions.revision)
    now = parts.clock()
    listed = read_schools(read_institutions(divisions), divisions=divisions)
    await parts.registry.import_schools(listed, source=Source.OFFICIAL_LIST, now=now)
    await parts.registry.import_schools(province.schools, source=Source.DEMONSTRATION, now=now)


async def _enrol_people(parts: Parts, province: DemoProvince, secrets: DemoSecrets) -> None:
    # Everyone has the one password that demo.json tells: hashed once, and the first start is seconds sooner.
    password_hash = await parts.passwords.hash(secrets.password)
    for person in province.people:
        now = parts.clock()
        enrolled = await parts.registry.enrol_person(person.enrolment, now=now)
        number: PersonNumber = enrolled.person.number
        await parts.registry.state_contact(number, person.contact, proven={}, now=now)
        if person.office is not None:
            await parts.authority.grant_office(person.office.for_person(number), by=None, now=now)
        username = normalise(person.login)
        if await parts.access.account_by_username(username) is None:
            account = Account(str(number), username, AccountState.ACTIVE, password_hash)
            await parts.access.create_account(account, now)


def _platform(
    client_id: str,
    names: tuple[str, str],
    base: str,
    alg: str,
    secret: str,
    scopes: tuple[Sequence[str], Sequence[str]],
) -> dict[str, object]:
    return {
        "client_id": client_id,
        "name_zh": names[0],
        "name_en": names[1],
        "redirect_uris": [f"{base}/callback"],
        "post_logout_redirect_uris": [f"{base}/signed-out"],
        "backchannel_logout_uri": f"{base}/backchannel-logout",
        "sector_identifier": f"{client_id}.demo",  # the demo platforms share a host, and must not share subjects
        "client_secret": secret,
        "token_endpoint_auth_method": "client_secret_basic",
        "grant_types": ["authorization_code", "refresh_token"],
        "id_token_signed_response_alg": alg,
        "scopes_required": list(scopes[0]),
        "scopes_optional": list(scopes[1]),
        "client_uri": f"{base}/",
        "filing": {"operator": "演示平台运营方", "icp_number": "演示备案号", "app_filing_number": "演示应用备案号"},
    }


async def register_platforms(parts: Parts, ports: DemoPorts, secrets: DemoSecrets) -> None:
    """Register the demo platforms at their addresses of this start."""
    learning, library = f"http://127.0.0.1:{ports.learning}", f"http://127.0.0.1:{ports.library}"
    registrations = [
        _platform(
            "demo-learning",
            ("青禾学习平台", "Qinghe Learning"),
            learning,
            "ES256",
            secrets.client_secrets["demo-learning"],
            (["openid", "profile"], ["edu", "offline_access"]),
        ),
        _platform(
            "demo-library",
            ("云山图书馆", "Yunshan Library"),
            library,
            "RS256",
            secrets.client_secrets["demo-library"],
            # A library card needs no name: with `openid` alone it meets a pseudonym of its own and nothing else.
            (["openid"], []),
        ),
        # A platform that takes SM2-signed ID tokens; it has no pages of its own, `edutrust demo` plays it.
        _platform(
            "demo-national",
            ("国密示例平台", "National Cryptography Sample"),
            f"{learning}/national",
            "SGD_SM3_SM2",
            secrets.client_secrets["demo-national"],
            (["openid"], ["profile", "offline_access"]),
        ),
    ]
    clients = parse_clients(json.dumps(registrations, ensure_ascii=False).encode())
    await parts.access.register_clients(clients, parts.clock())
