"""`edutrust ledger follow` and `compare` against real published folders and a real HTTP server."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any, Protocol

import pytest

from adapters.cli import main
from adapters.commands.ledger_follow import EXIT_CODES, FAILED_ROUNDS
from adapters.follow import LogAtUrl, LogInFolder, only_follower, write_atomically
from ledger.checkpoint import verify_checkpoint
from ledger.errors import LedgerUnavailable
from ledger.follow import Verdict
from ledger.follow_state import FollowState
from ledger.merkle import HashAlg
from tests.ledger.following import PublishedLog, flip, serving
from tests.ledger.parts import Keys, entry, make_keys
from tests.services.clock import StillClock

# The logs of these tests signed their first checkpoint so many seconds ago.
AGE_S = 1000


class NewLog(Protocol):
    """Makes a published log, with the test's keys or others."""

    def __call__(self, name: str, other_keys: Keys | None = None) -> PublishedLog:
        """Return a new empty log in a folder of that name."""
        ...


@pytest.fixture
def new_log(tmp_path: Path, keys: Keys) -> Iterator[NewLog]:
    made: list[PublishedLog] = []

    def make(name: str, other_keys: Keys | None = None) -> PublishedLog:
        made.append(PublishedLog(tmp_path / name, other_keys or keys, StillClock(int(time.time()) - AGE_S)))
        return made[-1]

    yield make
    for log in made:
        log.close()


class Shell:
    """A follower's shell: one state, and what the commands said."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.state = folder / "watch" / "follow.json"
        self.evidence = folder / "watch" / "evidence"
        self._capsys = capsys

    def run(self, *arguments: str | Path) -> tuple[int, str, str]:
        self._capsys.readouterr()
        code = main(["ledger", *(str(one) for one in arguments)])
        said = self._capsys.readouterr()
        assert "Traceback" not in said.err
        return code, said.out, said.err

    def follow(self, log: str | Path, *arguments: str | Path) -> tuple[Verdict, dict[str, Any]]:
        code, out, err = self.run("follow", log, "--state", self.state, "--once", "--json", *arguments)
        told: dict[str, Any] = json.loads(out)
        verdict = Verdict(told["verdict"])
        assert code == EXIT_CODES[verdict]
        err = "".join(line for line in err.splitlines(keepends=True) if not line.startswith("Key that the log shows"))
        assert (err == "") is verdict.good
        assert verdict.good or (err.startswith(f"ALARM {verdict.value}: ") and err.count("\n") == 1)
        return verdict, told

    def held(self) -> int:
        return FollowState.parse(self.state.read_bytes()).held.checkpoint.size


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path, capsys)


def test_a_log_is_followed_over_http_from_the_first_round_on(new_log: NewLog, shell: Shell) -> None:
    log = new_log("a")
    log.grow(300)
    with serving(log.folder.parent) as base:
        url = f"{base}/log"
        verdict, told = shell.follow(url, "--keys", log.path("log.json"))
        assert (verdict, told["size"], told["held"], told["evidence"]) == (Verdict.FIRST, 300, None, [])
        assert told["origin"] == log.document.identity.origin
        assert shell.follow(url)[0] is Verdict.SAME
        log.grow(1000)
        verdict, told = shell.follow(url + "/", "--keys", log.path("log.json"), "--stale-after", "5000")
        assert (verdict, told["size"], told["held"]) == (Verdict.GROWN, 1000, 300)
        code, out, _ = shell.run("follow", url, "--state", shell.state, "--once")
        assert (code, out) == (0, f"same: {told['origin']} has 1000 entries, the same trees.\n")
    assert shell.held() == 1000
    assert not shell.evidence.exists()
    assert (shell.state.parent / "follow.json.tiles" / "tile" / "0" / "001").stat().st_size == 8192


def test_keys_are_pinned_once_and_only_when_asked_for(new_log: NewLog, shell: Shell) -> None:
    log = new_log("a")
    log.grow(10)
    code, out, err = shell.run("follow", log.folder, "--state", shell.state, "--once")
    assert (code, out) == (1, "")
    assert "not pinned yet" in err
    assert not shell.state.exists()
    code, _, err = shell.run("follow", log.folder, "--state", shell.state, "--once", "--trust-first")
    keys = json.loads(log.path("log.json").read_bytes())["keys"]
    assert (code, [line.split()[-1] for line in err.splitlines()]) == (0, [one["vkey"] for one in keys])
    # Another log under the same name, which shows its own keys: they are not asked for any more.
    impostor = new_log("b", make_keys())
    impostor.grow(20)
    assert shell.follow(impostor.folder, "--trust-first")[0] is Verdict.UNSIGNED
    code, _, err = shell.run(
        "follow", log.folder, "--state", shell.state, "--once", "--keys", impostor.path("log.json")
    )
    assert code == 1
    assert "another log or other keys" in err
    assert shell.held() == 10


def test_a_fork_ends_with_its_code_and_evidence_that_others_can_verify(
    new_log: NewLog, shell: Shell, keys: Keys
) -> None:
    log, fork = new_log("a"), new_log("b")
    log.grow(300)
    fork.grow(700, salt="other")
    shell.follow(log.folder, "--trust-first")
    before = shell.state.read_bytes()
    for _ in range(2):  # the same alarm seen twice is written once
        verdict, told = shell.follow(fork.folder)
        assert (verdict, told["held"], told["size"], told["trees"]) == (Verdict.FORK, 300, 700, ["sm3", "sha256"])
        assert sorted(told["evidence"]) == sorted(str(path) for path in shell.evidence.iterdir())
    assert shell.state.read_bytes() == before
    a, b = sorted(shell.evidence.glob("*.note"))
    [proof] = shell.evidence.glob("fork-*.json")
    for path in (a, b):
        assert verify_checkpoint(path.read_bytes(), log=keys.identity).origin == keys.identity.origin
    trust = ("--keys", log.path("log.json"))
    assert shell.run("compare", a, b, *trust, "--conflict", proof)[0] == EXIT_CODES[Verdict.FORK]
    assert shell.run("compare", b, a, *trust, "--tiles", fork.folder)[0] == EXIT_CODES[Verdict.FORK]
    assert shell.run("compare", a, b, *trust)[0] == EXIT_CODES[Verdict.UNPROVED]
    assert shell.run("compare", a, a, "--keys", shell.state)[0] == 0


def test_two_notes_of_one_size_are_compared_without_anything_else(new_log: NewLog, shell: Shell) -> None:
    log, fork = new_log("a"), new_log("b")
    log.grow(50)
    fork.grow(50, salt="other")
    notes = log.path("note/50"), fork.path("note/50")
    code, out, err = shell.run("compare", *notes, "--keys", log.path("log.json"), "--json")
    assert (code, json.loads(out)["verdict"]) == (3, "fork")
    assert err == "ALARM fork: two signed checkpoints of size 50 have different SM3 and SHA-256 roots.\n"
    log.grow(60)
    with serving(log.folder) as url:
        arguments = ("compare", log.path("note/50"), log.path("note/60"), "--keys", log.path("log.json"))
        code, out, _ = shell.run(*arguments, "--tiles", url)
    assert code == 0
    assert "grew from 50 to 60 entries; both trees are consistent" in out
    log.path("note/50").chmod(0o644)
    flip(log.path("note/50"), 400)
    code, _, err = shell.run("compare", log.path("note/50"), log.path("note/60"), "--keys", log.path("log.json"))
    assert code == EXIT_CODES[Verdict.UNSIGNED]
    assert "is not a checkpoint signed by this log" in err


def test_two_followers_compare_what_each_was_shown(new_log: NewLog, tmp_path: Path, shell: Shell) -> None:
    """A split view: each reader sees a sound log, and only together they see that there are two."""
    log, other_view = new_log("a"), new_log("b")
    log.grow(50)
    other_view.grow(50, salt="other")
    shell.follow(log.folder, "--trust-first")
    other_state = tmp_path / "other.json"
    assert shell.run("follow", other_view.folder, "--state", other_state, "--once", "--trust-first")[0] == 0
    assert shell.run("compare", shell.state, other_state, "--keys", shell.state)[0] == EXIT_CODES[Verdict.FORK]
    stranger = new_log("c", make_keys())
    stranger.grow(50)
    code, _, err = shell.run("compare", shell.state, other_state, "--keys", stranger.path("log.json"))
    assert code == EXIT_CODES[Verdict.UNSIGNED]
    assert err.count("\n") == 1


def test_a_rolled_back_log_and_a_stale_one_have_their_own_codes(new_log: NewLog, shell: Shell) -> None:
    log = new_log("a")
    old = log.grow(100)
    log.grow(200)
    shell.follow(log.folder, "--trust-first")
    log.path("checkpoint").write_bytes(old)
    verdict, told = shell.follow(log.folder)
    assert (verdict, told["held"], told["size"]) == (Verdict.ROLLBACK, 200, 100)
    assert len(list(shell.evidence.glob("*.note"))) == 2
    assert shell.held() == 200
    log.path("checkpoint").write_bytes(log.path("note/200").read_bytes())
    assert shell.follow(log.folder, "--stale-after", "5000")[0] is Verdict.SAME
    verdict, told = shell.follow(log.folder, "--stale-after", "500")
    assert verdict is Verdict.STALE
    assert told["age"] > 500


def test_a_tile_with_a_flipped_bit_is_named(new_log: NewLog, shell: Shell) -> None:
    log = new_log("a")
    log.grow(100)
    shell.follow(log.folder, "--trust-first")
    log.grow(300)
    flip(log.tile(HashAlg.SM3, 0, 0), 5)
    with serving(log.folder) as url:
        verdict, told = shell.follow(url)
    assert (verdict, told["rule"], told["path"]) == (Verdict.UNPROVED, "signed_root", "sm3/tile/0/000")
    assert shell.held() == 100


def _garbage(handler: SimpleHTTPRequestHandler) -> bool:
    handler.wfile.write(b"\x00\xffnot http at all\r\n\r\n" * 20)
    return True


def _redirect(handler: SimpleHTTPRequestHandler) -> bool:
    handler.send_response(302)
    handler.send_header("Location", "http://127.0.0.1:9/elsewhere")
    handler.end_headers()
    return True


def _server_error(handler: SimpleHTTPRequestHandler) -> bool:
    handler.send_error(500)
    return True


def _short(handler: SimpleHTTPRequestHandler) -> bool:
    handler.send_response(200)
    handler.send_header("Content-Length", "8192")
    handler.end_headers()
    handler.wfile.write(b"x" * 100)
    return True


def _body(data: bytes) -> Callable[[SimpleHTTPRequestHandler], bool]:
    def answer(handler: SimpleHTTPRequestHandler) -> bool:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(data)
        return True

    return answer


def _endless(handler: SimpleHTTPRequestHandler) -> bool:
    handler.send_response(200)
    handler.end_headers()
    try:
        for _ in range(10_000):
            handler.wfile.write(b"x" * 65_536)
    except OSError:
        pass  # the follower hung up, as it should
    return True


@pytest.mark.parametrize(
    ("what", "answer", "verdict"),
    [
        ("checkpoint", _garbage, Verdict.UNREACHABLE),
        ("checkpoint", _redirect, Verdict.UNREACHABLE),
        ("checkpoint", _server_error, Verdict.UNREACHABLE),
        ("checkpoint", _short, Verdict.UNREACHABLE),
        ("checkpoint", _endless, Verdict.UNSIGNED),
        ("checkpoint", _body(b""), Verdict.UNSIGNED),
        ("checkpoint", _body(b"x" * 9000), Verdict.UNSIGNED),
        ("tile", _garbage, Verdict.UNREACHABLE),
        ("tile", _redirect, Verdict.UNREACHABLE),
        ("tile", _server_error, Verdict.UNREACHABLE),
        ("tile", _short, Verdict.UNREACHABLE),
        ("tile", _endless, Verdict.UNPROVED),
        ("tile", _body(b""), Verdict.UNPROVED),
        ("tile", _body(b"x" * 9000), Verdict.UNPROVED),
        ("tile", _body(b"x" * 8192), Verdict.UNPROVED),
    ],
)
def test_a_server_that_answers_garbage_or_too_much_is_refused_and_nothing_is_kept(
    what: str, answer: Callable[[SimpleHTTPRequestHandler], bool], verdict: Verdict, new_log: NewLog, shell: Shell
) -> None:
    log = new_log("a")
    log.grow(256)
    shell.follow(log.folder, "--trust-first")
    log.grow(512)
    with serving(log.folder, lambda handler: what in handler.path and answer(handler)) as url:
        seen, told = shell.follow(url)
    assert seen is verdict
    assert shell.held() == 256
    assert what == "checkpoint" or "tile/" in told["path"]
    # One answer of such a kind does no harm: the next round is as good as ever.
    assert shell.follow(log.folder)[0] is Verdict.GROWN


def test_a_file_longer_than_it_may_be_is_refused_before_it_is_looked_into(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 100)
    with serving(tmp_path) as url, LogAtUrl(url) as over_http:
        for fetch in (over_http.fetch, LogInFolder(tmp_path).fetch):
            assert fetch("file", 100) == b"x" * 100
            assert fetch("absent", 100) is None
            with pytest.raises(LedgerUnavailable) as refused:
                fetch("file", 99)
            assert refused.value.rule == "length"


def test_a_server_that_never_finishes_is_given_up(new_log: NewLog, shell: Shell) -> None:
    log = new_log("a")
    log.grow(10)
    released = threading.Event()

    def answer(_handler: SimpleHTTPRequestHandler) -> bool:
        released.wait(30)
        return True

    with serving(log.folder, answer) as url:
        try:
            verdict, told = shell.follow(url, "--keys", log.path("log.json"))
        finally:
            released.set()
    assert (verdict, told["rule"], told["path"]) == (Verdict.UNREACHABLE, "time", "checkpoint")
    assert not shell.state.exists()


def test_no_server_at_all_is_one_sentence(new_log: NewLog, shell: Shell) -> None:
    log = new_log("a")
    log.grow(10)
    with serving(log.folder) as url:
        pass
    assert shell.follow(url, "--keys", log.path("log.json"))[0] is Verdict.UNREACHABLE
    code, _, err = shell.run("follow", url, "--state", shell.state, "--once", "--trust-first")
    assert code == 1
    assert "does not show its keys" in err


def test_a_follower_that_keeps_running_tries_a_silent_log_again_before_it_gives_up(
    new_log: NewLog, shell: Shell
) -> None:
    log = new_log("a")
    log.grow(10)
    rounds = 0

    def answer(handler: SimpleHTTPRequestHandler) -> bool:
        nonlocal rounds
        rounds += 1
        return _server_error(handler) if rounds == 1 or rounds > 4 else False

    with serving(log.folder, answer) as url:
        code, out, err = shell.run(
            "follow", url, "--state", shell.state, "--keys", log.path("log.json"), "--interval", "1"
        )
    assert code == EXIT_CODES[Verdict.UNREACHABLE]
    assert "first: " in out
    assert err.count("ALARM unreachable") == 1 + FAILED_ROUNDS


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("http://ledger.example/log",), "plain http is for this machine only"),
        (("https://user@ledger.example/log",), "not a plain address"),
        (("https://ledger.example/log?x=1",), "not a plain address"),
        (("ftp://ledger.example/log",), "not a plain address"),
        (("{log}", "--interval", "0"), "1 or more"),
        (("{log}", "--stale-after", "0"), "1 or more"),
        (("{log}", "--keys", "{log}/absent"), "cannot be read"),
        (("{log}", "--keys", "{log}/checkpoint"), "does not hold a log's name and keys"),
        (("{log}/note", "--trust-first"), "has no log.json"),
    ],
)
def test_what_cannot_begin_is_one_clear_sentence(
    arguments: tuple[str, ...], sentence: str, new_log: NewLog, shell: Shell
) -> None:
    log = new_log("a")
    log.grow(3)
    given = [one.replace("{log}", str(log.folder)) for one in arguments]
    code, out, err = shell.run("follow", *given, "--state", shell.state, "--once")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert sentence in err


def test_a_proof_is_made_from_the_published_tiles_and_verified_from_files(
    new_log: NewLog, shell: Shell, tmp_path: Path
) -> None:
    log = new_log("a")
    log.grow(700)
    keys = ("--keys", log.path("log.json"))
    with serving(log.folder) as url:
        for index, alg in ((0, "sha256"), (511, "sm3"), (699, "sm3")):
            code, out, _ = shell.run("proof", str(index), "--from", url, *keys, "--alg", alg)
            assert code == 0
            (tmp_path / "proof").write_text(out)
            (tmp_path / "entry").write_bytes(entry(index).body)
            given = ("verify-proof", tmp_path / "proof", *keys, "--entry", tmp_path / "entry")
            code, out, _ = shell.run(*given, "--json")
            told = json.loads(out)
            assert (code, told["ok"], told["index"], told["size"], told["tree"]) == (0, True, index, 700, alg)
    code, out, _ = shell.run(*given)
    assert code == 0
    assert out.startswith(f"Entry 699 of {log.document.identity.origin}, among 700 signed at ")
    (tmp_path / "entry").write_bytes(entry(698).body)
    code, out, err = shell.run(*given)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "does not prove that entry" in err
    flip(log.tile(HashAlg.SHA256, 0, 1), 77)
    for wrong, more, sentence in (
        ("700", keys, "has no entry 700"),
        ("-1", keys, "has no entry -1"),
        ("300", keys, "path=tile/0/001"),
        ("0", (), "--from needs --keys"),
        ("0", (*keys, "--size", "7"), "not --size"),
        ("0", ("--keys", tmp_path / "absent"), "cannot be read"),
    ):
        code, out, err = shell.run("proof", "--from", log.folder, *more, "--", wrong)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert sentence in err


def test_a_state_that_was_altered_is_refused(new_log: NewLog, shell: Shell) -> None:
    log = new_log("a")
    log.grow(3)
    shell.follow(log.folder, "--trust-first")
    for data in (b"", b"{}", shell.state.read_bytes().replace(b"\\n3\\n", b"\\n2\\n"), b"[" * 70_000):
        shell.state.write_bytes(data)
        code, _, err = shell.run("follow", log.folder, "--state", shell.state, "--once")
        assert code == 1
        assert "is not the state of a follower" in err


def test_one_state_has_one_follower(new_log: NewLog, shell: Shell) -> None:
    log = new_log("a")
    log.grow(3)
    with only_follower(shell.state):
        code, _, err = shell.run("follow", log.folder, "--state", shell.state, "--once", "--trust-first")
    assert code == 1
    assert "Another follower is running" in err
    assert shell.follow(log.folder, "--trust-first")[0] is Verdict.FIRST


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state"
    write_atomically(path, b"old")

    def fails(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("os.fsync", fails)
    with pytest.raises(OSError, match="full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["state"]


def test_the_command_itself_ends_with_the_documented_code(new_log: NewLog, tmp_path: Path) -> None:
    log, fork = new_log("a"), new_log("b")
    log.grow(5)
    fork.grow(5, salt="other")
    for folder, code in ((log.folder, 0), (fork.folder, 3)):
        command = [sys.executable, "-m", "adapters.cli", "ledger", "follow", str(folder), "--once", "--trust-first"]
        done = subprocess.run(
            [*command, "--state", str(tmp_path / "follow.json")], capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stderr
