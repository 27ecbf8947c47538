"""The files of the operations guide are ones the product takes, and its table names what the product reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from adapters import static_files
from adapters.static_files import read_static_files
from idp.model import Acr
from tests.docs.test_guides import OPERATIONS

SECTION = OPERATIONS.partition("## Platforms and trial accounts from files\n")[2].partition("\n## ")[0]


def example(folder: Path, name: str) -> Path:
    """Write the example of the guide as a file."""
    path = folder / f"{name}.json"
    path.write_text(OPERATIONS.partition(f"<!-- conformance {name} -->\n```json\n")[2].partition("```")[0], "utf-8")
    path.chmod(0o600)
    return path


def test_the_examples_are_taken_and_one_person_needs_only_a_password(tmp_path: Path) -> None:
    files = read_static_files(example(tmp_path, "clients"), example(tmp_path, "users"))
    assert not files.warnings
    assert len({client.client_id for client in files.clients}) == 2
    assert not any(client.require_pkce for client in files.clients)
    assert Acr.ONE in {user.required for user in files.users}


@pytest.mark.parametrize("name", ["USERS_MAX", "USERNAME_CHARS_MAX", "PASSWORD_CHARS_MIN", "MAX_PASSWORD_CHARACTERS"])
def test_the_bounds_of_the_guide_are_those_of_the_product(name: str) -> None:
    assert re.search(rf"\b{getattr(static_files, name)}\b", SECTION)


def test_the_table_of_members_is_complete() -> None:
    cells = re.findall(r"^\| ([^|]+) \|", SECTION, flags=re.MULTILINE)
    told = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    assert told == static_files.USER_MEMBERS
