"""The log checked from outside with the commands alone: a deployment's own database, its published folder, its proofs."""

from __future__ import annotations

import asyncio
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from adapters.cli import main
from adapters.parts import open_parts
from adapters.settings import check_settings
from ledger.checkpoint import LogIdentity
from ledger.merkle import HashAlg
from ledger.proof_file import ProofFile, verify_proof_file
from ledger.publication import NOTE_EVERY_S
from tests.e2e.demo import Demo
from tests.ledger.following import serving
from tests.ledger.parts import entries

COUNT = 300


@dataclass(frozen=True)
class Deployment:
    """A deployment on SQLite with entries in its log."""

    config: Path
    folder: Path
    identity: LogIdentity

    def settings(self) -> tuple[str, ...]:
        """Return what every command is given."""
        return "--config", str(self.config), "--data-dir", str(self.config.parent)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """Make one with the commands, and append through the service."""
    home = tmp_path_factory.mktemp("deployment")
    kek = home / "safe" / "kek"
    config = home / "edutrust.toml"
    config.write_text(
        f'issuer = "http://127.0.0.1:8080"\ndatabase_url = "sqlite:///{home}"\nkek_file = "{kek}"\n', "utf-8"
    )
    given = ["--config", str(config), "--data-dir", str(home)]
    assert main(["keys", "init", *given]) == 0
    assert main(["migrate", *given]) == 0
    settings = check_settings(
        {
            "issuer": "http://127.0.0.1:8080",
            "database_url": f"sqlite:///{home}",
            "kek_file": str(kek),
            "data_dir": str(home),
        }
    )

    async def story() -> LogIdentity:
        now = int(time.time()) - 3 * NOTE_EVERY_S
        async with open_parts(settings, clock=lambda: now, random_bytes=os.urandom) as parts:
            for some in (entries(0, 100), entries(100, COUNT)):
                now += NOTE_EVERY_S  # so that the note of each is kept
                await parts.ledger.append([(one.body, one.idempotency_key) for one in some])
            return parts.ledger.identity

    identity = asyncio.run(story())
    return Deployment(config, settings.log_folder, identity)


def test_a_proof_of_any_entry_is_printed_and_verifies_offline(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    for index, alg in ((0, HashAlg.SHA256), (255, HashAlg.SM3), (COUNT - 1, HashAlg.SHA256)):
        capsys.readouterr()
        assert main(["ledger", "proof", str(index), "--alg", alg.value, *deployment.settings()]) == 0
        said = capsys.readouterr()
        [one] = entries(index, index + 1)
        proved = verify_proof_file(said.out.encode(), body=one.body, log=deployment.identity)
        assert (proved.alg, proved.index, proved.checkpoint.size) == (alg, index, COUNT)
    assert main(["ledger", "proof", "7", "--size", "100", "--json", *deployment.settings()]) == 0
    data = json.loads(capsys.readouterr().out)["proof"].encode()
    [one] = entries(7, 8)
    assert verify_proof_file(data, body=one.body, log=deployment.identity).checkpoint.size == 100
    assert ProofFile.parse(data).alg is HashAlg.SHA256


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((str(COUNT),), f"The log has no entry {COUNT} under that checkpoint.\n"),
        (("-1",), "The log has no entry -1 under that checkpoint.\n"),
        (("200", "--size", "100"), "The log has no entry 200 under that checkpoint.\n"),
        (("7", "--size", "99"), "The log has no checkpoint of size 99.\n"),
    ],
)
def test_a_proof_that_is_not_to_be_had_is_one_sentence(
    arguments: tuple[str, ...], sentence: str, deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["ledger", "proof", *deployment.settings(), *arguments]) == 1
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", sentence)


def test_what_the_deployment_published_can_be_followed_by_a_stranger(
    deployment: Deployment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = tmp_path / "log.json"
    keys.write_bytes((deployment.folder / "log.json").read_bytes())
    state = str(tmp_path / "follow.json")
    with serving(deployment.folder) as url:
        for verdict in ("first", "same"):
            capsys.readouterr()
            assert main(["ledger", "follow", url, "--keys", str(keys), "--state", state, "--once", "--json"]) == 0
            told = json.loads(capsys.readouterr().out)
            assert (told["verdict"], told["size"]) == (verdict, COUNT)
        notes = [str(deployment.folder / "note" / size) for size in ("100", str(COUNT))]
        assert main(["ledger", "compare", *notes, "--keys", state, "--tiles", url]) == 0


def test_a_running_service_is_followed_at_its_own_address(
    running_demo: Demo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, state = f"{running_demo.origin}/log", str(tmp_path / "follow.json")
    for given in ("--trust-first", "--json"):
        capsys.readouterr()
        assert main(["ledger", "follow", url, "--state", state, "--once", given]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] in {"same", "grown"}
