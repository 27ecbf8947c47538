"""`edutrust keys` as officers and operators meet it, on either database."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from adapters.cli import main
from adapters.sql.resealing import SEALED_TABLES
from crypto.sealed import SEALED_VERSION

ISSUER = "http://127.0.0.1:8080"
PASSPHRASE = "a passphrase long enough"


class Shell:
    """An operator's shell on one deployment."""

    def __init__(self, folder: Path, database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.capsys = capsys
        self.config = folder / "edutrust.toml"
        self.config.write_text(
            f'issuer = "{ISSUER}"\ndatabase_url = "{database_url}"\nkek_file = "{folder / "safe" / "kek"}"\n', "utf-8"
        )
        self.data_dir = Path(database_url.removeprefix("sqlite:///")) if database_url.startswith("sqlite") else folder
        self.kek_file = folder / "safe" / "kek"
        self.passphrase_file = folder / "passphrase"
        self.passphrase_file.write_text(f"{PASSPHRASE}\n", "utf-8")

    def run(self, *arguments: str) -> tuple[int, str, str]:
        self.capsys.readouterr()
        # A kid may begin with a dash, so it comes last, after `--`.
        at = 1 if arguments[0] == "migrate" else 2
        settings = ("--config", str(self.config), "--data-dir", str(self.data_dir))
        code = main([*arguments[:at], *settings, *arguments[at:]])
        said = self.capsys.readouterr()
        return code, said.out, said.err

    def keys(self, *arguments: str) -> dict[str, Any]:
        """Run an action that succeeds; return what it prints."""
        code, out, err = self.run("keys", arguments[0], "--json", *arguments[1:])
        assert code == 0, err
        told: dict[str, Any] = json.loads(out)
        return told

    def refused(self, *arguments: str) -> str:
        """Run an action that must not succeed; return its one sentence."""
        code, out, err = self.run("keys", arguments[0], "--json", *arguments[1:])
        assert (code, out) == (1, ""), (out, err)
        assert "Traceback" not in err
        assert len(err.strip().splitlines()) == 1, err
        return err

    def as_officer(self, name: str) -> tuple[str, ...]:
        return "--officer-key", str(self.folder / f"{name}.pem"), "--passphrase-file", str(self.passphrase_file)

    def officer(self, name: str, *step: str) -> None:
        key = self.folder / f"{name}.pem"
        if not key.exists():
            self.keys("officer", "new", "--out", str(key), "--passphrase-file", str(self.passphrase_file))
        self.keys("officer", "add", name, "--public", f"{key}.pub", *step)

    def serving(self) -> list[str]:
        return [officer["name"] for officer in self.keys("officer", "list")["officers"]]

    def file(self, name: str, action: str, *arguments: str) -> str:
        """Let an officer ask; return the request's id."""
        request: str = self.keys(action, "--request", *self.as_officer(name), *arguments)["request"]
        return request

    def both(self, action: str, *arguments: str) -> dict[str, Any]:
        """Let wang ask and li approve."""
        request = self.file("wang", action, *arguments)
        return self.keys(action, "--approve", request, *self.as_officer("li"), *arguments)

    def both_refused(self, action: str, *arguments: str) -> str:
        """Let wang ask and li approve what is refused in the end."""
        request = self.file("wang", action, *arguments)
        return self.refused(action, "--approve", request, *self.as_officer("li"), *arguments)


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    """Return a deployment on SQLite with every key and two officers."""
    return deployed(f"sqlite:///{tmp_path}", tmp_path, capsys)


@pytest.fixture
def either(database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    """Return the same, once on each database."""
    return deployed(database_url, tmp_path, capsys)


def deployed(database_url: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    made = Shell(folder, database_url, capsys)
    made.keys("init")
    assert made.run("migrate")[0] == 0
    assert made.run("ledger", "checkpoint")[0] == 0
    made.officer("wang")
    made.officer("li")
    return made


def signing_kids(shell: Shell) -> dict[str, str]:
    return {line["kid"]: line["state"] for line in shell.keys("list")["signing_keys"]}


def actions(shell: Shell) -> list[str]:
    """Return the audit trail's acts on keys, oldest first."""
    import asyncio

    from adapters.commands.keys_open import open_databases
    from adapters.settings import read_settings

    async def read() -> list[str]:
        settings = read_settings(shell.config, {}, {"data_dir": str(shell.data_dir)})
        async with open_databases(settings) as (_, _, audit):
            return [event.action for _, event in reversed(await audit.latest(200)) if event.action.startswith("keys.")]

    return asyncio.run(read())


def test_the_list_shows_every_key_and_no_secret(shell: Shell) -> None:
    told = shell.keys("list")
    assert [line["state"] for line in told["key_encryption_keys"]] == ["active"]
    assert {line["purpose"] for line in told["data_keys"]} >= {"column", "blind-index", "csrf"}
    assert {line["sealed_under"] for line in told["data_keys"]} == {"kek-1"}
    columns = {line["kid"] for line in told["data_keys"] if line["purpose"] == "column"}
    assert {line["sealed_under"] for line in told["signing_keys"]} == columns
    assert {"kid", "purpose", "alg", "owner", "state", "not_before", "not_after", "compromised_at"} <= told[
        "signing_keys"
    ][0].keys()
    secret = shell.kek_file.read_text("utf-8").split()[1]
    assert secret not in json.dumps(told)
    code, out, _ = shell.run("keys", "list")
    assert code == 0
    assert secret not in out
    assert "column" in out


def test_what_endangers_the_secrets_needs_two_different_officers(shell: Shell, tmp_path: Path) -> None:
    for dangerous in (
        ("rotate", "kek"),
        ("retire", "kek-1"),
        ("split", "--shares", "3", "--threshold", "2", "--out", str(tmp_path / "s")),
        ("backup", "--out", str(tmp_path / "b")),
        ("officer", "remove", "li"),
    ):
        assert "Two officers" in shell.refused(*dangerous)
        assert "Say which officer" in shell.refused(*dangerous, "--request")
        request = shell.file("wang", *dangerous)
        assert "cannot approve" in shell.refused(*dangerous, "--approve", request, *shell.as_officer("wang"))
    assert not (tmp_path / "s").exists()
    assert not (tmp_path / "b").exists()
    assert shell.kek_file.read_text("utf-8").count("\n") == 1
    waiting = {request["action"]: request for request in shell.keys("officer", "list")["requests"]}
    assert waiting.keys() == {"rotate.kek", "retire", "split", "backup", "officer.remove"}
    asked = waiting["retire"]["request"]
    assert "something else" in shell.refused("retire", "kek-2", "--approve", asked, *shell.as_officer("li"))


def test_a_request_is_used_once_and_leaves_its_trace(shell: Shell) -> None:
    request = shell.file("wang", "rotate", "kek")
    told = shell.keys("rotate", "kek", "--approve", request, *shell.as_officer("li"))
    assert told["active"] == "kek-2"
    assert "used already" in shell.refused("rotate", "kek", "--approve", request, *shell.as_officer("li"))
    assert actions(shell)[-3:] == ["keys.request.filed", "keys.request.approved", "keys.kek.rotated"]


def test_a_third_officer_joins_by_two_and_an_officer_key_must_be_encrypted_and_ones_own(
    shell: Shell, tmp_path: Path
) -> None:
    shell.keys("officer", "new", "--out", str(tmp_path / "zhao.pem"), "--passphrase-file", str(shell.passphrase_file))
    add = ("officer", "add", "zhao", "--public", str(tmp_path / "zhao.pem.pub"))
    assert "Two officers" in shell.refused(*add)
    assert "not an officer's" in shell.refused(*add, "--request", *shell.as_officer("zhao"))
    shell.both(*add)
    shell.both("officer", "remove", "wang")
    assert "not an officer's" in shell.refused("rotate", "kek", "--request", *shell.as_officer("wang"))
    shell.keys("rotate", "kek", "--request", *shell.as_officer("zhao"))
    (tmp_path / "zhao.pem").chmod(0o644)
    assert "read by others" in shell.refused("rotate", "kek", "--request", *shell.as_officer("zhao"))
    wrong = tmp_path / "wrong"
    wrong.write_text("another passphrase\n", "utf-8")
    assert "does not open" in shell.refused(
        "rotate", "kek", "--request", "--officer-key", str(tmp_path / "li.pem"), "--passphrase-file", str(wrong)
    )


def test_the_key_encryption_key_is_rotated_and_the_old_one_retired(either: Shell) -> None:
    before = signing_kids(either)
    assert "still under this key" in either.both_refused("retire", "kek-1")
    either.both("rotate", "kek")
    assert either.both("retire", "kek-1")["retired"] == "kek-1"
    assert either.kek_file.read_text("utf-8").startswith("kek-2 ")
    assert stat.S_IMODE(either.kek_file.stat().st_mode) == 0o600
    assert [line["state"] for line in either.keys("list")["key_encryption_keys"]] == ["retired", "active"]
    assert signing_kids(either) == before
    assert either.run("ledger", "fsck")[0] == 0


def test_the_column_key_is_rotated_resealed_and_not_retired_too_early(either: Shell) -> None:
    line = next(line for line in either.keys("list")["data_keys"] if line["purpose"] == "column")
    old = line["kid"]
    # Times are whole seconds: a key follows another from a later second on, and this deployment may be younger than one.
    while int(time.time()) <= line["seals_from"]:
        time.sleep(0.02)
    new = either.keys("rotate", "column", "--at-once")["active"]
    assert "left to wait" in either.both_refused("retire", old)
    told = either.keys("reseal")
    assert (told["active"], told["left"], told["unopened"]) == (new, {}, 0)
    assert told["resealed"] == 6 + 2, "the signing keys and the officers; the request above is under the new key"
    assert {line["sealed_under"] for line in either.keys("list")["signing_keys"]} == {new}
    assert either.run("ledger", "fsck")[0] == 0
    assert either.keys("reseal")["resealed"] == 0


def test_a_column_key_known_to_running_processes_waits_for_its_time(shell: Shell) -> None:
    told = shell.keys("rotate", "column")
    states = {line["kid"]: line["state"] for line in shell.keys("list")["data_keys"] if line["purpose"] == "column"}
    assert states[told["active"]] == "pending"
    assert sorted(states.values()) == ["active", "pending"]
    assert "a moment ago" in shell.refused("rotate", "column")


def test_a_signing_key_is_published_then_signs_then_is_retired(shell: Shell) -> None:
    before = {line["kid"] for line in shell.keys("list")["signing_keys"] if line["alg"] == "ES256"}
    first = ("rotate", "signing", "--owner", "idp", "--alg", "ES256")
    told = shell.keys(*first)
    assert told["state"] == "pending"
    assert shell.keys(*first) == told, "too early to sign; nothing changes"
    assert shell.keys(*first, "--at-once") == {"active": told["pending"], "state": "active"}
    (old,) = before
    assert signing_kids(shell)[old] == "retiring"
    shell.both("retire", "--", old)
    assert signing_kids(shell)[old] == "retired"
    line = next(line for line in shell.keys("list")["signing_keys"] if line["kid"] == old)
    assert line["sealed_under"] is None


def test_a_compromised_key_signs_nothing_more_at_once(shell: Shell) -> None:
    kid = next(line["kid"] for line in shell.keys("list")["signing_keys"] if line["alg"] == "RS256")
    assert "future" in shell.refused("retire", "--compromised-at", "2999-01-01T00:00:00Z", "--request", "--", kid)
    told = shell.both("retire", "--compromised-at", "2026-11-01T08:00:00+08:00", "--", kid)
    assert told == {"retired": kid, "compromised_at": 1_793_491_200}
    line = next(line for line in shell.keys("list")["signing_keys"] if line["kid"] == kid)
    assert (line["state"], line["compromised_at"], line["sealed_under"]) == ("retired", 1_793_491_200, None)
    assert shell.run("ledger", "checkpoint")[0] == 0, "the next start makes a successor"
    assert "active" in {line["state"] for line in shell.keys("list")["signing_keys"] if line["alg"] == "RS256"}
    log_key = next(line["kid"] for line in shell.keys("list")["signing_keys"] if line["purpose"] == "checkpoint")
    assert "log" in shell.refused("retire", "--request", *shell.as_officer("wang"), "--", log_key)


def test_a_lost_key_file_comes_back_from_any_threshold_of_the_shares(shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "shares"
    told = shell.both("split", "--shares", "5", "--threshold", "3", "--out", str(folder))
    files = [Path(name) for name in told["files"]]
    assert len(files) == 5
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    kek = shell.kek_file.read_bytes()
    assert all(kek.split()[1] not in file.read_bytes() for file in files)
    line = shell.keys("list")["key_encryption_keys"][0]
    assert (line["shares"], line["threshold"], line["share_set"]) == (5, 3, told["set"])

    def shares(*numbers: int) -> list[str]:
        return [part for number in numbers for part in ("--share", str(files[number]))]

    assert "exists" in shell.refused("recover", *shares(0, 1, 2))
    shell.kek_file.unlink()
    assert "key-encryption key file" in shell.refused("list")
    assert "3 are needed" in shell.refused("recover", *shares(0, 1))
    assert "twice" in shell.refused("recover", *shares(0, 1, 1))
    text = files[2].read_text("utf-8")
    last = text.rstrip()[-1]
    (tmp_path / "mistyped").write_text(text.rstrip()[:-1] + ("7" if last != "7" else "8"), "utf-8")
    assert "mistyped" in shell.refused("recover", *shares(0, 1), "--share", str(tmp_path / "mistyped"))
    assert not shell.kek_file.exists()
    assert shell.keys("recover", *shares(4, 0, 2))["kek"] == "kek-1"
    assert shell.kek_file.read_bytes() == kek
    assert actions(shell)[-1] == "keys.kek.recovered"
    assert shell.run("ledger", "fsck")[0] == 0


def test_shares_of_an_older_key_or_another_deployment_write_nothing(
    shell: Shell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    split = ("split", "--shares", "2", "--threshold", "2", "--out")
    older = shell.both(*split, str(tmp_path / "older"))["files"]
    newer_set = shell.both(*split, str(tmp_path / "newer"))["files"]
    mixed = ("recover", "--share", older[0], "--share", newer_set[1])
    shell.both("rotate", "kek")
    shell.kek_file.unlink()
    assert "not all of one set" in shell.refused(*mixed)
    assert "keyring" in shell.refused("recover", "--share", older[0], "--share", older[1])
    assert not shell.kek_file.exists()


def test_shares_are_printed_only_when_asked_for(shell: Shell) -> None:
    told = shell.both("split", "--shares", "2", "--threshold", "2", "--print")
    assert told["files"] == []
    assert len(told["shares"]) == 2


def test_a_backup_of_keys_is_restored_into_an_empty_deployment_and_nothing_else(
    either: Shell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shares = either.both("split", "--shares", "3", "--threshold", "2", "--out", str(tmp_path / "shares"))["files"]
    file = tmp_path / "keys.backup"
    told = either.both("backup", "--out", str(file))
    assert told["rows"] >= 6 + 6 + 2 + 1
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "never overwritten" in either.both_refused("backup", "--out", str(file))
    before = either.keys("list")
    with_shares = ("--share", shares[0], "--share", shares[2])
    assert "never overwritten" in either.refused("restore", str(file), *with_shares)
    kek = either.kek_file.read_bytes()
    either.kek_file.rename(tmp_path / "moved")
    assert "has keys already" in either.refused("restore", str(file), *with_shares)

    for name, opening in (
        ("by-shares", with_shares),
        ("by-copy", ("--kek", str(tmp_path / "moved"), *officers_present(either, "wang", "li"))),
    ):
        folder = tmp_path / name
        folder.mkdir()
        new = Shell(folder, f"sqlite:///{folder}", capsys)
        assert new.run("migrate")[0] == 0
        if name == "by-copy":
            alone = ("--kek", str(tmp_path / "moved"), *officers_present(either, "wang", "wang"))
            assert "Two different officers" in new.refused("restore", str(file), *alone)
            assert "officer-key twice" in new.refused("restore", str(file), *alone[:4])
        damaged = folder / "damaged"
        damaged.write_bytes(file.read_bytes()[:-1])
        assert "damaged" in new.refused("restore", str(damaged), *opening)
        assert not new.kek_file.exists()
        assert new.keys("restore", str(file), *opening)["rows"] == told["rows"]
        assert new.kek_file.read_bytes() == kek
        after = new.keys("list")
        assert after == before
        assert new.run("ledger", "checkpoint")[0] == 0, "every signing key opens"
        assert signing_kids(new) == {line["kid"]: line["state"] for line in before["signing_keys"]}
        assert new.serving() == ["li", "wang"]


def officers_present(shell: Shell, *names: str) -> tuple[str, ...]:
    return tuple(part for name in names for part in shell.as_officer(name))


# The played story: every kind of sealed value there is


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Play the whole story once; give its data folder."""
    folder = tmp_path_factory.mktemp("story") / "new"
    command = [sys.executable, "-m", "adapters.cli", "demo", "--dir", str(folder), "--json"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "service"


# What the story never makes; each is made in a test of its own.
NOT_IN_THE_STORY = {
    ("idp", "key_officer", "sealed"),
    ("idp", "key_request", "sealed"),
    ("idp", "registry_conflict", "stated"),
    # What a roster of the story does not state, and nobody of it enters.
    *(("idp", "person", name) for name in ("foreign_name", "given_name", "family_name")),
    ("credentials", "status_change", "opening_sealed"),
}


def sealed_values(folder: Path, kids: list[str]) -> dict[tuple[str, str, str], int]:
    """Count the values of every column, of bytes or text, that begin as a value sealed under one of the keys does."""
    found: dict[tuple[str, str, str], int] = {}
    prefixes = tuple(bytes((SEALED_VERSION, len(kid))) + kid.encode() for kid in kids)
    for schema in ("idp", "credentials", "ledger", "audit"):
        connection = sqlite3.connect(folder / f"{schema}.sqlite3")
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            cursor = connection.execute(f'SELECT * FROM "{table}"')  # noqa: S608  # a name SQLite itself gave
            names = [column[0] for column in cursor.description]
            for row in cursor:
                for name, value in zip(names, row, strict=True):
                    if isinstance(value, bytes) and value.startswith(prefixes):
                        place = (schema, table, name)
                        found[place] = found.get(place, 0) + 1
        connection.close()
    return found


def test_after_the_whole_story_every_sealed_value_is_in_the_list_and_is_brought_over(
    played: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "service"
    shutil.copytree(played, folder)
    listed = {(one.schema, one.table, column) for one in SEALED_TABLES for column in one.columns}

    def keys(*arguments: str) -> dict[str, Any]:
        capsys.readouterr()
        assert main(["keys", *arguments, "--data-dir", str(folder), "--json"]) == 0
        told: dict[str, Any] = json.loads(capsys.readouterr().out)
        return told

    old = [line["kid"] for line in keys("list")["data_keys"] if line["purpose"] == "column"]
    before = sealed_values(folder, old)
    assert before.keys() <= listed, "a sealed column that is not in SEALED_TABLES"
    assert listed - before.keys() <= NOT_IN_THE_STORY
    new = keys("rotate", "column", "--at-once")["active"]
    told = keys("reseal")
    assert (told["left"], told["unopened"], told["overtaken"]) == ({}, 0, 0)
    assert told["resealed"] == sum(before.values())
    assert sealed_values(folder, old) == {}
    assert sealed_values(folder, [new]) == before
    assert re.fullmatch(r"column-[0-9a-f]{8}", new)


# At a terminal


def at_a_terminal(*arguments: str, typed: list[tuple[bytes, str]]) -> tuple[int, str]:
    """Run the command at a terminal of its own; type each answer when its question has been shown."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-m", "adapters.cli", *arguments])  # noqa: S606  # fixed arguments
    shown = b""
    for question, answer in typed:
        from_here = len(shown)
        while question not in shown[from_here:]:
            shown += os.read(terminal, 4096)
        os.write(terminal, answer.encode() + b"\n")
    while True:
        try:
            more = os.read(terminal, 4096)
        except OSError:  # the terminal's other end is closed: the command has ended
            break
        if not more:
            break
        shown += more
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()


def test_passphrases_and_shares_are_typed_at_a_terminal(shell: Shell, tmp_path: Path) -> None:
    out = str(tmp_path / "typed.pem")
    asked, again = b"Passphrase of", b"Once more: "
    code, shown = at_a_terminal(
        "keys", "officer", "new", "--out", out, typed=[(asked, PASSPHRASE), (again, f"{PASSPHRASE}!")]
    )
    assert code == 1
    assert "differ" in shown
    code, shown = at_a_terminal("keys", "officer", "new", "--out", out, typed=[(asked, "short"), (again, "short")])
    assert code == 1
    assert "at least 15" in shown
    code, shown = at_a_terminal(
        "keys", "officer", "new", "--out", out, typed=[(asked, PASSPHRASE), (again, PASSPHRASE)]
    )
    assert code == 0, shown
    assert PASSPHRASE not in shown
    files = shell.both("split", "--shares", "3", "--threshold", "2", "--out", str(tmp_path / "shares"))["files"]
    texts = [
        "\n".join(line for line in Path(file).read_text("utf-8").splitlines() if not line.startswith("#"))
        for file in files
    ]
    kek = shell.kek_file.read_bytes()
    shell.kek_file.unlink()
    settings = ("--config", str(shell.config), "--data-dir", str(shell.data_dir))
    code, shown = at_a_terminal(
        "keys",
        "recover",
        *settings,
        typed=[
            (b"Share 1", f"{texts[2].lower()}\n"),
            (b"Share 2", "not a share at all\n"),
            (b"Share 2", f"{texts[0].replace(' ', '-')}\n"),
        ],
    )
    assert code == 0, shown
    assert shell.kek_file.read_bytes() == kek
