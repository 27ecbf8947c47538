"""The published log over HTTP and at the shell: served as it lies, exported, checked, brought back."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from adapters.cli import main
from adapters.kek import create_kek
from adapters.ledger_sentences import ledger_sentence
from adapters.parts import open_parts
from adapters.publication import LogFolder
from adapters.settings import Settings, check_settings
from ledger.checkpoint import verify_checkpoint
from ledger.errors import CheckpointRefused, IntegrityBroken
from ledger.layout import parse_path
from ledger.publication_document import LogDocument
from ledger.publication_fsck import fsck_files
from tests.ledger.parts import entries
from tests.protocol.full_service import ISSUER, full_service
from tests.services.tables import make_tables

Run = Callable[[Coroutine[Any, Any, None]], None]
NOW = 1_790_000_000


def _pairs(start: int, stop: int) -> list[tuple[bytes, bytes]]:
    return [(one.body, one.idempotency_key) for one in entries(start, stop)]


def test_every_file_is_served_as_it_lies_with_what_caches_need(tmp_path: Path, run: Run) -> None:
    async def story() -> None:
        async with (
            full_service(tmp_path) as service,
            httpx.AsyncClient(transport=httpx.ASGITransport(app=service.app), base_url=ISSUER) as http,
        ):
            await service.parts.ledger.append(_pairs(0, 300))
            await service.parts.ledger.anchor_now()
            await service.parts.ledger.publish_now()
            folder = service.parts.log_folder
            served = 0
            for name in folder.names():
                if name.startswith("keys/") or name == "counts":
                    assert (await http.get(f"/log/{name}")).status_code == 404, name
                    continue
                data = (folder.root / name).read_bytes()
                answer = await http.get(f"/log/{name}")
                assert (answer.status_code, answer.content) == (200, data), name
                assert answer.headers["access-control-allow-origin"] == "*"
                lasting = name not in {"checkpoint", "log.json"}
                assert answer.headers["cache-control"] == (
                    "public, max-age=31536000, immutable" if lasting else "public, max-age=5"
                )
                assert "set-cookie" not in answer.headers
                kind = "application/octet-stream" if "tile" in name else None
                kind = "text/plain; charset=utf-8" if name.startswith(("note/", "checkpoint")) else kind
                assert kind in {None, answer.headers["content-type"]}, name
                head = await http.head(f"/log/{name}")
                assert (head.status_code, head.headers["content-length"]) == (200, str(len(data)))
                known = await http.get(f"/log/{name}", headers={"if-none-match": answer.headers["etag"]})
                assert (known.status_code, known.content) == (304, b"")
                served += 1
            assert served > 10
            document = LogDocument.parse((await http.get("/log/log.json")).content)
            note = (await http.get("/log/checkpoint")).content
            assert verify_checkpoint(note, log=document.identity).size == 300
            # The pages of the same log stay where they were.
            assert (await http.get("/log", headers={"accept": "text/html"})).status_code == 200
            assert (await http.get("/log/7/receipt.json")).status_code == 200
            # Nobody publishes any more, so that what is taken away stays away.
            await service.parts.ledger.close()
            shutil.rmtree(service.parts.log_folder.root)
            answer = await http.get("/log/checkpoint", headers={"accept": "text/html"})
            assert answer.status_code == 404
            assert answer.headers["content-type"] == "application/json"

    run(story())


NOT_NAMES = (
    "tile/0/0",
    "tile/0/x000/000",
    "tile/0/000/",
    "tile/0/000.p/0",
    "tile/0/000.p/256",
    "tile/0/001",
    "tile/0/%30%30%30",
    "tile/0/..%2f..%2fcheckpoint",
    "tile/%2e%2e/log.json",
    "tile/entries/../../../ledger.sqlite3",
    "tile/0",
    "tile/",
    "note/",
    "note/3%30%30",
    "note/0300",
    "note/300/",
    "anchor/file",
    "sm3/log.json",
    "keys/000",
    "note/300.keys",
    "tile/0/000%00",
    "tile/.new/0",
)


def test_only_canonical_names_are_served(tmp_path: Path, run: Run) -> None:
    async def story() -> None:
        async with full_service(tmp_path) as service:
            await service.parts.ledger.append(_pairs(0, 300))
            await service.parts.ledger.publish_now()
            for name in NOT_NAMES:
                status, body = await _raw(service.app, f"/log/{name}")
                assert (status, b'"error"' in body) == (404, True), (name, body)

    run(story())


async def _raw(app: Any, target: str) -> tuple[int, bytes]:
    """Ask with the path exactly as it stands: a client library would tidy it first."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "https",
        "path": unquote(target),
        "raw_path": target.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", ISSUER.removeprefix("https://").encode()), (b"accept", b"application/json")],
        "client": ("192.0.2.1", 1),
        "server": ("192.0.2.2", 443),
    }
    await app(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


def _deployment(folder: Path) -> tuple[Settings, list[str]]:
    folder.mkdir()
    given = {"data_dir": str(folder), "issuer": ISSUER}
    settings = check_settings(given)
    create_kek(settings.kek_file, random_bytes=random.Random(3).randbytes)
    make_tables(settings.database_url)
    config = folder.with_suffix(".toml")
    config.write_text("".join(f'{name} = "{value}"\n' for name, value in given.items()))
    return settings, ["--config", str(config)]


def _grow(settings: Settings, start: int, stop: int) -> None:
    async def story() -> None:
        async with open_parts(settings, clock=lambda: NOW + stop, random_bytes=random.Random(5).randbytes) as parts:
            await parts.ledger.append(_pairs(start, stop))
            await parts.ledger.anchor_now()

    asyncio.run(story())


def _told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    code = main(["ledger", *arguments, "--json"])
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, told


def test_a_log_is_exported_checked_lost_and_brought_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings, config = _deployment(tmp_path / "data")
    copy, pinned = tmp_path / "copy", tmp_path / "pinned.json"
    _grow(settings, 0, 300)
    assert _told(capsys, "export", str(copy), *config) == (0, {"dir": str(copy), "size": 300})
    shutil.copy(copy / "log.json", pinned)
    _grow(settings, 300, 310)
    # A clean stop leaves the folder at the database; an older copy is brought up to it.
    assert fsck_files(LogFolder(settings.log_folder), None).size == 310
    assert _told(capsys, "export", str(copy), *config)[1]["size"] == 310
    code, told = _told(capsys, "fsck", str(copy), "--keys", str(pinned))
    assert (code, told["ok"], told["size"], told["findings"]) == (0, True, 310, [])
    assert {str(parse_path(name)) for name in LogFolder(copy).names()} >= {"anchor/file/300", "anchor/file/310"}

    # The database is lost, or an older one is put in its place: nothing is signed, and the sentence says what to do.
    settings.data_dir.joinpath("ledger.sqlite3").unlink()
    for left in settings.data_dir.glob("ledger.sqlite3-*"):
        left.unlink()
    make_tables(settings.database_url, "ledger")
    assert main(["ledger", "fsck", *config]) == 1
    said = capsys.readouterr().err
    assert "shows 310 entries, the database holds no log yet" in said
    assert f"edutrust ledger import {settings.log_folder}" in said
    assert "Traceback" not in said

    # Files of which one is bent are not imported.
    bent = copy / "tile/entries/000"
    bent.chmod(0o644)
    bent.write_bytes(bent.read_bytes().replace(b'"7"', b'"8"'))
    code, told = _told(capsys, "fsck", str(copy))
    assert (code, told["ok"]) == (1, False)
    assert told["findings"] == [{"what": "bundle", "where": "tile/entries/000", "rule": "leaf_hashes"}]
    assert main(["ledger", "import", str(copy), *config]) == 1
    assert "not whole: 1 findings" in capsys.readouterr().err

    assert _told(capsys, "import", str(settings.log_folder), "--keys", str(pinned), *config)[1]["size"] == 310
    assert main(["ledger", "fsck", *config]) == 0
    assert main(["ledger", "import", str(settings.log_folder), *config]) == 1
    assert "not empty" in capsys.readouterr().err
    _grow(settings, 305, 320)
    code, told = _told(capsys, "fsck", str(settings.log_folder))
    assert (code, told["size"]) == (0, 320)


def test_a_folder_of_another_log_is_neither_imported_nor_written_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, first_config = _deployment(tmp_path / "first")
    second, second_config = _deployment(tmp_path / "second")
    _grow(first, 0, 5)
    _grow(second, 5, 8)
    assert main(["ledger", "export", str(first.log_folder), *second_config]) == 1
    assert "signature" in capsys.readouterr().err
    keys = str(second.log_folder / "log.json")
    code, told = _told(capsys, "fsck", str(first.log_folder), "--keys", keys)
    assert code == 1
    assert {"what": "document", "where": "log.json", "rule": "pinned"} in told["findings"]
    assert main(["ledger", "import", str(first.log_folder), "--keys", keys, *second_config]) == 1
    capsys.readouterr()
    assert main(["ledger", "fsck", str(tmp_path / "nowhere")]) == 1
    assert "There is no folder" in capsys.readouterr().err
    assert main(["ledger", "fsck", str(first.log_folder), "--keys", str(tmp_path / "nowhere")]) == 1
    assert "cannot be read" in capsys.readouterr().err
    assert main(["ledger", "fsck", str(first.log_folder), "--keys", str(first.log_folder / "checkpoint")]) == 1
    assert "is not a log.json" in capsys.readouterr().err
    assert main(["ledger", "fsck", "--keys", keys]) == 1
    assert "fsck DIR" in capsys.readouterr().err
    assert main(["ledger", "fsck", str(first.log_folder), *first_config]) == 0
    assert "5 entries and" in capsys.readouterr().out


def test_a_folder_without_counts_is_older_or_was_robbed_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, config = _deployment(tmp_path / "data")
    _grow(settings, 0, 5)
    (settings.log_folder / "counts").unlink()
    for arguments in ([str(settings.log_folder)], ["--deep", *config]):
        assert main(["ledger", "fsck", *arguments]) == 1
        said = capsys.readouterr()
        assert "counts: present" in said.out
        assert f"{settings.log_folder} has no file counts" in said.err
        assert "published before" in said.err
        assert "took it away" in said.err
    # What it is rebuilt from are entries and notes; whoever publishes again counts them again.
    second, second_config = _deployment(tmp_path / "second")
    shutil.copy(settings.kek_file, second.kek_file)
    assert main(["ledger", "import", str(settings.log_folder), *second_config]) == 0
    assert "has no file counts" in capsys.readouterr().err
    _grow(settings, 5, 6)
    code, told = _told(capsys, "fsck", str(settings.log_folder))
    assert (code, told["findings"]) == (0, [])
    assert "counts" not in capsys.readouterr().err


def test_a_data_directory_in_place_of_the_log_in_it_is_named_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, config = _deployment(tmp_path / "data")
    _grow(settings, 0, 5)
    log = settings.log_folder
    without_database = tmp_path / "of-postgresql"
    shutil.copytree(log, without_database / "log")
    for directory in (settings.data_dir, without_database):
        for action in (
            ["fsck", str(directory)],
            ["fsck", str(directory), "--json"],
            ["import", str(directory), *config],
        ):
            assert main(["ledger", *action]) == 1
            out, err = capsys.readouterr()
            assert (out, err.count("\n")) == ("", 1)
            assert f"{directory} is a data directory" in err
            assert f"Give {directory / 'log'} " in err
    assert main(["ledger", "fsck", str(log)]) == 0
    # A log that lost both names of its own is still a log, and so is one with a stray file in it.
    for name in ("log.json", "checkpoint"):
        (without_database / "log" / name).unlink()
    assert main(["ledger", "fsck", str(without_database / "log")]) == 1
    assert "log.json: present" in capsys.readouterr().out
    shutil.copy(settings.data_dir / "ledger.sqlite3", log)
    assert _told(capsys, "fsck", str(log))[1]["findings"] == [
        {"what": "file", "where": "ledger.sqlite3", "rule": "known"}
    ]


def test_the_service_says_who_remembers_more(tmp_path: Path) -> None:
    settings = check_settings({"data_dir": str(tmp_path), "issuer": ISSUER})
    for where, rule, words in (
        ("published", "not_behind", ("is behind", str(tmp_path / "log"), "9 entries", "a log of 4 entries")),
        ("file", "same_history", ("another history", str(tmp_path / "anchors"), "up to 9")),
        ("evm:31337", "not_behind", ("the contract on evm:31337",)),
    ):
        said = ledger_sentence(IntegrityBroken(field="head", rule=rule, where=where, size=9, head=4), settings)
        assert said is not None
        assert all(word in said for word in (*words, "Nothing was signed", "edutrust ledger import"))
    assert "another log" in (ledger_sentence(CheckpointRefused(field="origin", rule="equal"), settings) or "")
    assert "not signed" in (ledger_sentence(CheckpointRefused(field="signature", rule="valid"), settings) or "")
    for other in (IntegrityBroken(field="head", rule="present"), IntegrityBroken(field="tile", rule="present")):
        assert ledger_sentence(other, settings) is None
