"""The commands as an operator and a stranger meet them: the story, its artefacts, and starts that cannot succeed."""

from __future__ import annotations

import json
import os
import random
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.cli import main
from credentials.errors import DocumentAltered, Unreadable
from credentials.trust import TrustAnchors, parse_trust
from credentials.verdict import Outcome
from credentials.verification import verify_file
from tests.scale import trials

EDUTRUST = [sys.executable, "-m", "adapters.cli"]
SEED = 20261122
FLIPS_JSON = trials(400, full=50_000)
FLIPS_PDF = trials(200, full=50_000)
START_S = 120


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Play the story once, as the command does."""
    folder = tmp_path_factory.mktemp("story") / "new"
    done = subprocess.run([*EDUTRUST, "demo", "--dir", str(folder), "--json"], capture_output=True, check=False)
    assert done.stderr == b""
    told: dict[str, Any] = json.loads(done.stdout)
    told["exit_code"] = done.returncode
    return told


def _verify(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    code = main(["verify", *arguments, "--json"])
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, told


def test_the_whole_story_plays_and_leaves_its_artefacts(story: dict[str, Any]) -> None:
    assert [step for step in story["steps"] if not step["ok"]] == []
    assert story["ok"]
    assert story["exit_code"] == 0
    assert len(story["steps"]) >= 12
    assert set(story["artifacts"]) == {"credential", "pdf", "receipt", "trust"}
    assert all(Path(path).stat().st_size > 0 for path in story["artifacts"].values())


@pytest.mark.parametrize("name", ["credential", "pdf", "receipt"])
def test_each_artefact_verifies_offline(story: dict[str, Any], name: str, capsys: pytest.CaptureFixture[str]) -> None:
    artefacts = story["artifacts"]
    code, told = _verify(artefacts[name], "--trust", artefacts["trust"], "--offline", capsys=capsys)
    assert (code, told["verdict"]) == (0, "valid")
    assert told["as_of"]
    assert all(check["result"] == "pass" for check in told["checks"])


def test_a_status_that_cannot_be_fetched_is_unknown_never_valid(
    story: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """The story's service has stopped, so its status list is not to be had."""
    artefacts = story["artifacts"]
    code, told = _verify(artefacts["credential"], "--trust", artefacts["trust"], capsys=capsys)
    assert (code, told["verdict"]) == (3, "unknown")


def test_anchors_of_somebody_else_make_no_green(
    story: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trust = json.loads(Path(story["artifacts"]["trust"]).read_bytes())
    for emptied in ("accreditors", "logs", "anchor_witnesses"):
        path = tmp_path / f"{emptied}.json"
        path.write_text(json.dumps(trust | {emptied: []}, separators=(",", ":"), sort_keys=True), "utf-8")
        code, told = _verify(story["artifacts"]["credential"], "--trust", str(path), "--offline", capsys=capsys)
        assert code in {1, 3}, emptied
        assert told["verdict"] != "valid", emptied


def test_files_that_are_none_of_ours_are_unreadable(
    story: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for position, content in enumerate(
        [b"", b"%PDF-1.7\n", b"{}", b"[]", b"\x00" * 100, "你好".encode(), b'{"type":1}']
    ):
        path = tmp_path / str(position)
        path.write_bytes(content)
        code, told = _verify(str(path), "--trust", story["artifacts"]["trust"], "--offline", capsys=capsys)
        assert (code, told["verdict"]) == (2, "unreadable"), content
    code, _ = _verify(str(tmp_path / "absent"), "--trust", story["artifacts"]["trust"], "--offline", capsys=capsys)
    assert code == 2
    code, _ = _verify(story["artifacts"]["receipt"], "--trust", str(tmp_path / "0"), "--offline", capsys=capsys)
    assert code == 3


@pytest.mark.parametrize(("name", "flips"), [("credential", FLIPS_JSON), ("receipt", FLIPS_JSON), ("pdf", FLIPS_PDF)])
@pytest.mark.soak
def test_no_single_flipped_bit_is_valid(story: dict[str, Any], name: str, flips: int) -> None:
    data = Path(story["artifacts"][name]).read_bytes()
    trust = parse_trust(Path(story["artifacts"]["trust"]).read_bytes())
    now = int(time.time())
    draw = random.Random(SEED)
    for _ in range(flips):
        place = draw.randrange(8 * len(data))
        altered = bytearray(data)
        altered[place // 8] ^= 1 << place % 8
        assert not _is_valid(bytes(altered), trust, now), f"bit {place} (seed {SEED})"


def _is_valid(data: bytes, trust: TrustAnchors, now: int) -> bool:
    try:
        return verify_file(data, trust=trust, now=now, status=None).outcome is Outcome.VALID
    except (Unreadable, DocumentAltered):
        return False  # anything else is raised: the command would have to show it


def test_a_changed_byte_outside_the_bundle_of_a_pdf_is_said_to_be_an_altered_document(
    story: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = bytearray(Path(story["artifacts"]["pdf"]).read_bytes())
    data[200] ^= 0x01
    path = tmp_path / "altered.pdf"
    path.write_bytes(data)
    code, told = _verify(str(path), "--trust", story["artifacts"]["trust"], "--offline", capsys=capsys)
    assert code == 1
    assert "document altered" in told["reason"]


# Starts


def _free_ports() -> int:
    """Return a port whose two successors are free too."""
    while True:
        with socket.socket() as first:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                for offset in (1, 2):
                    with socket.socket() as following:
                        following.bind(("127.0.0.1", port + offset))
            except OSError:
                continue
            return port


def _fails(folder: Path, port: int, *, limit: Callable[[], None] | None = None, demo: bool = True) -> str:
    """Run a start that must fail; return the one sentence it says."""
    command = [*EDUTRUST, "run", "--data-dir", str(folder), "--port", str(port), *(["--demo"] if demo else [])]
    done = subprocess.run(command, capture_output=True, check=False, timeout=START_S, preexec_fn=limit)
    said = done.stderr.decode()
    assert done.returncode not in {0, -11, -6}, said
    assert "Traceback" not in said
    assert len(said.strip().splitlines()) == 1, said
    return said


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int, float]]:
    """Start twice on one folder; give the folder, the port and how long the second start took."""
    folder, port = tmp_path_factory.mktemp("run"), _free_ports()
    first = _run_until_ready(folder, port)
    _stop(first)
    begun = time.monotonic()
    running = _run_until_ready(folder, port)
    took = time.monotonic() - begun
    yield folder, port, took
    _stop(running)


def _stop(running: subprocess.Popen[bytes]) -> None:
    running.terminate()
    assert running.stdout is not None
    running.stdout.read()
    running.stdout.close()
    assert running.wait(timeout=30) == 0


def _run_until_ready(folder: Path, port: int) -> subprocess.Popen[bytes]:
    command = [*EDUTRUST, "run", "--demo", "--data-dir", str(folder), "--port", str(port)]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    stream = running.stdout
    assert stream is not None
    for line in stream:
        if line.startswith(b"READY"):
            return running
    stream.close()
    raise AssertionError(f"the service ended before it was ready, with {running.wait(timeout=30)}")


def test_a_second_service_on_the_same_folder_is_refused(started: tuple[Path, int, float]) -> None:
    folder, _, _ = started
    assert "already running" in _fails(folder, _free_ports())


def test_a_taken_port_is_said_in_one_sentence(started: tuple[Path, int, float], tmp_path: Path) -> None:
    _, port, _ = started
    assert f"Port {port}" in _fails(tmp_path, port)


def test_a_missing_key_encryption_key_stops_the_start(tmp_path: Path) -> None:
    main(["migrate", "--data-dir", str(tmp_path)])
    assert "key-encryption key" in _fails(tmp_path, _free_ports())
    assert "key-encryption key" in _fails(tmp_path, _free_ports(), demo=False)


def test_the_key_of_another_database_stops_the_start(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
        assert main(["keys", "init", "--data-dir", str(folder)]) == 0
        assert main(["migrate", "--data-dir", str(folder)]) == 0
        assert main(["ledger", "checkpoint", "--data-dir", str(folder)]) == 0
    (two / "kek").replace(one / "kek")
    assert "is not the one this database was made with" in _fails(one, _free_ports(), demo=False)


def test_a_broken_database_stops_the_start(tmp_path: Path) -> None:
    assert main(["keys", "init", "--data-dir", str(tmp_path)]) == 0
    (tmp_path / "idp.sqlite3").write_bytes(b"this is no database" * 1000)
    assert "database" in _fails(tmp_path, _free_ports())


def test_a_full_disk_stops_the_start(tmp_path: Path) -> None:
    assert main(["keys", "init", "--data-dir", str(tmp_path)]) == 0
    full = 20_000

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (full, full))

    assert "database" in _fails(tmp_path, _free_ports(), limit=limit)


def test_a_folder_that_cannot_be_made_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", "utf-8")
    assert "data folder" in _fails(tmp_path / "file" / "data", _free_ports())


def test_settings_with_several_mistakes_name_them_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDUTRUST_ISSUER", "http://id.example.edu.cn/")
    monkeypatch.setenv("EDUTRUST_REGION", "50")
    assert main(["migrate", "--data-dir", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert {line.partition(":")[0] for line in said.splitlines()} == {"issuer", "region"}


def test_the_ledger_of_the_story_is_clean_and_one_changed_byte_is_found(
    story: dict[str, Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    data = Path(story["artifacts"]["credential"]).parent / "service"
    # The story's origin is its address of then; the log is named by it.
    origin = json.loads(Path(story["artifacts"]["trust"]).read_bytes())["logs"][0]["origin"]
    config = tmp_path / "config.toml"
    config.write_text(f'log_origin = "{origin}"\n', "utf-8")
    assert main(["ledger", "fsck", "--config", str(config), "--data-dir", str(data), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ok"]
    assert told["size"] >= 202
    database = data / "ledger.sqlite3"
    content = bytearray(database.read_bytes())
    place = content.index(b"credential.issued")
    content[place] ^= 0x01
    database.write_bytes(content)
    assert main(["ledger", "fsck", "--config", str(config), "--data-dir", str(data), "--json"]) == 1
    assert not json.loads(capsys.readouterr().out)["ok"]
    assert os.access(database, os.R_OK)
