"""The published log read by libraries that were not written here: transparency-dev's, in Go."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from adapters.follow import LogInFolder, NoTiles
from ledger.follow import published_proof
from ledger.merkle import HashAlg
from ledger.proof_file import HEADERS
from ledger.publication_document import verifier_key
from tests.ledger.following import PublishedLog, flip, serving
from tests.ledger.parts import ORIGIN, Keys
from tests.services import go
from tests.services.clock import StillClock

SOURCE = Path(__file__).parent / "c2sp_client"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the client; Go's own cache makes every time but the first quick."""
    binary = tmp_path_factory.mktemp("c2sp") / "c2sp"
    command = [go.program(), "build", "-mod=readonly", "-o", str(binary), "."]
    subprocess.run(command, cwd=SOURCE, check=True, capture_output=True)
    return binary


class Reader:
    """A stock client with the log's Ed25519 key."""

    def __init__(self, client: Path, keys: Keys, folder: Path) -> None:
        self._command = [str(client), "-origin", ORIGIN, "-vkey", verifier_key(ORIGIN, keys.ed25519.public)]
        self._folder = folder

    def read(self, log: PublishedLog, old: bytes, proof: bytes) -> subprocess.CompletedProcess[str]:
        (self._folder / "old").write_bytes(old)
        (self._folder / "proof").write_bytes(proof)
        with serving(log.folder.parent) as base:
            files = ["-old", str(self._folder / "old"), "-proof", str(self._folder / "proof")]
            command = [*self._command, "-url", f"{base}/log/", *files, "-step", "7"]
            return subprocess.run(command, capture_output=True, text=True, check=False)


def proof_of(log: PublishedLog, alg: HashAlg, index: int) -> bytes:
    """Return the tlog-proof file of an entry under the newest checkpoint."""
    fetch = LogInFolder(log.folder).fetch
    return published_proof(log.document.identity, alg, index, fetch=fetch, cache=NoTiles()).to_bytes()


def test_a_stock_client_reads_the_log_its_growth_and_a_proof_file(client: Path, keys: Keys, tmp_path: Path) -> None:
    reader, log = Reader(client, keys, tmp_path), PublishedLog(tmp_path / "a", keys, StillClock(1_782_864_000))
    old: bytes | None = None
    for size in (1, 5, 255, 256, 257, 700, 5000):
        note = log.grow(size)
        done = reader.read(log, old or note, proof_of(log, HashAlg.SHA256, size // 2))
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert (told["size"], told["to"], told["proof"]) == (size, size, size // 2)
        assert told["included"] == len(range(0, size, 7))
        old = note
    log.close()


def test_a_stock_client_refuses_what_we_refuse(client: Path, keys: Keys, tmp_path: Path) -> None:
    clock = StillClock(1_782_864_000)
    reader, log, fork = (
        Reader(client, keys, tmp_path),
        PublishedLog(tmp_path / "a", keys, clock),
        PublishedLog(tmp_path / "b", keys, clock),
    )
    old = log.grow(300)
    log.grow(700)
    proof = proof_of(log, HashAlg.SHA256, 5)
    fork.grow(700, salt="other")
    for data, words in (
        (proof.replace(b"index 5\n", b"index 6\n"), "does not match expected root"),
        (proof_of(log, HashAlg.SM3, 5), "missing expected header"),
        (
            proof_of(log, HashAlg.SM3, 5).replace(HEADERS[HashAlg.SM3].encode(), HEADERS[HashAlg.SHA256].encode()),
            "expected root",
        ),
    ):
        done = reader.read(log, old, data)
        assert done.returncode == 1
        assert done.stderr.startswith("proof file: ")
        assert words in done.stderr
    done = reader.read(fork, old, proof_of(fork, HashAlg.SHA256, 5))
    assert (done.returncode, done.stderr.split(":")[0]) == (1, "consistency")
    flip(log.tile(HashAlg.SHA256, 0, 1), 9)
    assert reader.read(log, old, proof).returncode == 1
    log.close()
    fork.close()
