"""`edutrust clients` as an operator meets it, on either database."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from adapters.cli import main
from adapters.sql.engine import open_database
from adapters.sql.idp_access import SqlAccessStore
from idp.clients.registration_tokens import initial_token_digest
from tests.protocol.world import registration
from tests.services.tables import make_tables

Run = Callable[[Coroutine[Any, Any, None]], None]


class Shell:
    """An operator's shell on one deployment."""

    def __init__(self, folder: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._config = folder / "edutrust.toml"
        self._config.write_text(f'issuer = "http://127.0.0.1:8080"\ndatabase_url = "{url}"\n', "utf-8")
        self._folder = folder
        make_tables(url)

    def run(self, action: str, *arguments: str) -> tuple[int, str, str]:
        self._capsys.readouterr()
        settings = ("--config", str(self._config), "--data-dir", str(self._folder))
        code = main(["clients", action, *settings, *arguments])
        said = self._capsys.readouterr()
        return code, said.out, said.err

    def told(self, action: str, *arguments: str) -> dict[str, Any]:
        code, out, err = self.run(action, "--json", *arguments)
        assert code == 0, err
        told: dict[str, Any] = json.loads(out)
        return told

    def refused(self, action: str, *arguments: str) -> str:
        code, out, err = self.run(action, *arguments)
        assert (code, out) == (1, "")
        return err

    def register(self, *documents: dict[str, object]) -> dict[str, Any]:
        path = self._folder / "clients.json"
        path.write_text(json.dumps(documents), "utf-8")
        path.chmod(0o600)
        return self.told("register", str(path))


@pytest.fixture
def shell(tmp_path: Path, database_url: str, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path, database_url, capsys)


def test_platforms_are_registered_listed_shown_and_no_secret_comes_back(shell: Shell) -> None:
    assert shell.run("list")[1] == "No platform is registered.\n"
    assert shell.register(
        registration("one"), registration("two", token_endpoint_auth_method="client_secret_post")
    ) == {
        "registered": ["one", "two"],
        "without_logo": [],
    }
    assert [row["client_id"] for row in shell.told("list")["clients"]] == ["one", "two"]
    shown = shell.told("show", "one")
    assert (shown["state"], shown["origin"], shown["has_secret"]) == ("active", "static", True)
    assert shown["redirect_uris"] == ["https://one.example/callback"]
    assert "secret_hash" not in shown
    assert "redirect_uris" in shell.run("show", "one")[1]


def test_a_platform_is_disabled_enabled_and_deleted(shell: Shell) -> None:
    shell.register(registration("one"))
    assert shell.told("disable", "one")["state"] == "disabled"
    assert shell.told("show", "one")["state"] == "disabled"
    shell.register(registration("one", name_en="Other"))
    assert shell.told("show", "one")["state"] == "disabled"  # a new registration is no pardon
    assert shell.told("enable", "one")["state"] == "active"
    assert shell.told("delete", "one")["deleted"]
    assert "one" in shell.refused("show", "one")
    for action in ("disable", "enable", "delete", "show"):
        assert "No platform" in shell.refused(action, "nobody")


def test_a_file_with_a_mistake_is_refused_by_entry_and_registers_nobody(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text(json.dumps([registration("one"), registration("two", redirect_uris=["http://two.example/"])]))
    assert "entry 1: redirect_uris: plain_http" in shell.refused("register", str(path))
    assert shell.told("list") == {"clients": []}


def test_an_initial_token_is_shown_once_kept_as_a_hash_counted_and_ended(
    shell: Shell, database_url: str, run: Run
) -> None:
    given = shell.told("initial-token", "--uses", "3", "--days", "2", "--policy", "trial", "--note", "the lab")
    assert given["token"].startswith("ia_")
    [listed] = shell.told("initial-tokens")["initial_tokens"]
    assert listed == {name: value for name, value in given.items() if name != "token"}
    assert (listed["uses_left"], listed["policy"], listed["note"]) == (3, "trial", "the lab")
    assert given["token"] not in shell.run("initial-tokens")[1]

    async def looked_up() -> None:
        database = await open_database(database_url, "idp")
        try:
            store = SqlAccessStore(database, region="110000")
            found = await store.initial_token(initial_token_digest(given["token"]), 0)
            assert found is not None
            assert found.token_id == given["token_id"]
        finally:
            await database.close()

    run(looked_up())
    assert shell.told("end-initial-token", given["token_id"])["uses_left"] == 0
    assert shell.told("initial-tokens")["initial_tokens"][0]["uses_left"] == 0
    assert "No token" in shell.refused("end-initial-token", "t-nobody")


@pytest.mark.parametrize(
    "arguments",
    [("--uses", "0"), ("--uses", "21"), ("--days", "0"), ("--days", "31"), ("--days", "8", "--policy", "trial")],
)
def test_an_initial_token_stays_within_its_policy(shell: Shell, arguments: tuple[str, ...]) -> None:
    assert "policy" in shell.refused("initial-token", *arguments)
    assert "note" in shell.refused("initial-token", "--note", "x" * 101)


def test_without_a_deployment_there_is_one_clear_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clients", "list", "--data-dir", str(tmp_path / "nothing")]) == 1
    assert "edutrust migrate" in capsys.readouterr().err
