"""`edutrust ledger anchor` and the settings of chains, as an operator meets them: two real chains, one service."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from adapters.anchor_chains import ChainsRefused, ConfiguredChain, read_chains
from adapters.chain.contract import compile_contract
from adapters.chain.deploying import transact
from adapters.cli import main
from adapters.kek import create_kek
from adapters.parts import open_parts
from adapters.settings import SettingsRefused, check_settings
from adapters.sql.ledger_anchors import SqlAnchorTransactions
from adapters.sql.ledger_open import open_ledger_database
from ledger.anchor import AnchorEvidence
from ledger.anchoring_chain import log_id
from ledger.errors import IntegrityBroken
from tests.adapters.anvil.node import Anvil, anvil
from tests.ledger.parts import entries
from tests.services.tables import make_tables

CONTRACT = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
ORIGIN = "127.0.0.1:8080/log"


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Anvil, Anvil]]:
    with (
        anvil(tmp_path_factory.mktemp("one")) as one,
        anvil(tmp_path_factory.mktemp("two"), "--chain-id", "1337") as two,
    ):
        yield one, two


@dataclass
class Shell:
    """An operator's shell on one deployment with chains."""

    folder: Path
    capsys: pytest.CaptureFixture[str]
    chains: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.values = {
            "issuer": "http://127.0.0.1:8080",
            "data_dir": str(self.folder),
            "anchor_chains": str(self.folder / "chains.json"),
        }
        (self.folder / "edutrust.toml").write_text(
            "".join(f'{name} = "{value}"\n' for name, value in self.values.items()), "utf-8"
        )
        self.key("submitter", Account.create())
        self.configure({"chain_id": 1, "rpc": ["http://127.0.0.1:9"], "contract": CONTRACT, "key_file": self.key_file})
        create_kek(self.folder / "kek", random_bytes=os.urandom)
        make_tables(f"sqlite:///{self.folder}")

    @property
    def key_file(self) -> str:
        return str(self.folder / "submitter.key")

    @property
    def submitter(self) -> LocalAccount:
        account: LocalAccount = Account.from_key(Path(self.key_file).read_text("ascii").strip())
        return account

    def key(self, name: str, account: LocalAccount) -> str:
        path = self.folder / f"{name}.key"
        path.write_text(account.key.hex() + "\n", "ascii")
        return str(path)

    def configure(self, *chains: dict[str, Any]) -> None:
        (self.folder / "chains.json").write_text(json.dumps(chains), "utf-8")

    def run(self, *arguments: str) -> tuple[int, str, str]:
        self.capsys.readouterr()
        code = main(["ledger", "anchor", *arguments, "--config", str(self.folder / "edutrust.toml")])
        said = self.capsys.readouterr()
        return code, said.out, said.err

    def told(self, *arguments: str) -> dict[str, Any]:
        code, out, err = self.run(*arguments, "--json")
        assert (code, err) == (0, "")
        told: dict[str, Any] = json.loads(out)
        return told

    def deploy(self, node: Anvil) -> dict[str, Any]:
        """Deploy on a chain and return its entry of the file, as printed."""
        node.rpc("anvil_setBalance", self.submitter.address, hex(10**20))
        owner = self.key("owner", node.funded())
        told = self.told("deploy", "--rpc", node.url, "--owner-key-file", owner, "--submitter", self.submitter.address)
        [entry] = told["chains"]
        assert told["log"] == ORIGIN
        return {**entry, "key_file": self.key_file, "confirmations": 0}

    def serve_files_only(self, start: int, stop: int) -> None:
        """Let the service grow the log while it knows of no chain, once it has signed for its key."""
        if not start:
            self.serve(0, 0)
        self.serve(start, stop, anchor_chains=None)

    def serve(self, start: int, stop: int, **settings: Any) -> list[AnchorEvidence]:
        """Let the service start, take entries, anchor them, and stop."""
        values = {name: value for name, value in (self.values | settings).items() if value is not None}

        async def story() -> list[AnchorEvidence]:
            async with open_parts(
                check_settings(values), clock=lambda: int(time.time()), random_bytes=os.urandom
            ) as parts:
                await parts.ledger.append([(one.body, one.idempotency_key) for one in entries(start, stop)])
                return await parts.ledger.anchor_now()

        return asyncio.run(story())


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path, capsys)


def test_one_service_anchors_on_several_chains_at_once_and_status_says_so(
    shell: Shell, nodes: tuple[Anvil, Anvil]
) -> None:
    shell.configure(*(shell.deploy(node) for node in nodes))
    anchored = shell.serve(0, 5)
    assert sorted(one.chain for one in anchored) == ["evm:1337", "evm:31337", "file"]
    status = shell.told("status")
    assert (status["log"], status["size"]) == (ORIGIN, 5)
    for chain in status["chains"]:
        assert (chain["head"], chain["lag"], chain["pending"], chain["last_final"]) == (5, 0, 0, 5)
        assert (chain["nonce"], chain["open"], chain["problem"]) == (1, [], None)
        assert chain["submitter"] == shell.submitter.address
    code, out, _ = shell.run("status")
    assert code == 0
    assert f"{ORIGIN}: 5 entries, 2 chains beside the file." in out


def test_status_names_what_does_not_agree_and_ends_with_one(shell: Shell, nodes: tuple[Anvil, Anvil]) -> None:
    one = shell.deploy(nodes[0])
    away = {**one, "chain_id": 5, "rpc": ["http://127.0.0.1:9"]}
    shell.configure(one, away)
    shell.serve(0, 2)
    code, out, _ = shell.run("status", "--json")
    assert code == 1
    said = {chain["chain"]: chain for chain in json.loads(out)["chains"]}
    assert said["evm:31337"]["problem"] is None
    assert (said["evm:5"]["problem"], said["evm:5"]["pending"]) == (
        "ledger.anchor_refused field=chain rule=answers",
        1,
    )
    # A key that the owner never named, and that the log never signed for.
    shell.key("submitter", nodes[0].funded())
    shell.configure(one)
    code, out, _ = shell.run("status", "--json")
    assert code == 1
    assert json.loads(out)["chains"][0]["problem"] == "ledger.anchor_refused field=binding rule=present"
    database = open_ledger_database(f"sqlite:///{shell.folder}")
    SqlAnchorTransactions(database).keep_binding(
        ORIGIN, "evm:31337", one["contract"], shell.submitter.address, "e30.e30.e30"
    )
    database.close()
    assert "field=binding rule=signature" in shell.run("status")[1]


def test_status_tells_of_a_history_that_is_not_the_logs_where_the_service_no_longer_starts(
    shell: Shell, nodes: tuple[Anvil, Anvil]
) -> None:
    entry = shell.deploy(nodes[0])
    contract = nodes[0].web3.eth.contract(address=entry["contract"], abi=compile_contract().abi)
    call = contract.functions.anchor(log_id(ORIGIN), 3, bytes([9]) * 32, bytes(32), [])
    shell.configure(entry)
    shell.serve_files_only(0, 2)
    transact(nodes[0].web3, shell.submitter, call, chain_id=31_337)
    with pytest.raises(IntegrityBroken):
        shell.serve(2, 5)
    assert "ledger.anchor_forked field=size rule=not_ahead" in shell.run("status")[1]
    shell.serve_files_only(2, 5)
    code, out, _ = shell.run("status", "--json")
    assert code == 1
    assert json.loads(out)["chains"][0]["problem"] == "ledger.anchor_forked field=root rule=equal"


def test_a_lost_key_is_taken_over_by_the_owner_and_the_next_anchor_goes_on(
    shell: Shell, nodes: tuple[Anvil, Anvil]
) -> None:
    node = nodes[0]
    entry = shell.deploy(node)
    shell.configure(entry)
    shell.serve(0, 3)
    shell.key("submitter", node.funded())
    assert [one.chain for one in shell.serve(3, 4)] == ["file"], "the contract does not know the new key yet"
    assert "field=submitter rule=named" in shell.run("status")[1]
    owner = str(shell.folder / "owner.key")
    arguments = ("--rpc", node.url, "--owner-key-file", owner, "--contract", entry["contract"])
    shell.told("deploy", *arguments, "--submitter", shell.submitter.address)
    assert "evm:31337" in {one.chain for one in shell.serve(4, 5)}
    assert shell.told("status")["chains"][0]["head"] == 5


def test_the_ownership_is_offered_and_taken(shell: Shell, nodes: tuple[Anvil, Anvil]) -> None:
    node = nodes[0]
    contract, heir = shell.deploy(node)["contract"], node.funded()
    act = ("owner", "--rpc", node.url, "--contract", contract, "--owner-key-file")
    owner, heirs = str(shell.folder / "owner.key"), shell.key("heir", heir)
    code, _, err = shell.run(*act, heirs, "--take")
    assert (code, "not offered" in err) == (1, True)
    assert shell.told(*act, owner, "--offer", heir.address)["offered_to"] == heir.address
    assert shell.told(*act, heirs, "--take") == {"contract": contract, "owner": heir.address}
    assert "owner only" in shell.run(*act, owner, "--offer", heir.address)[2]


@pytest.fixture
def no_collection() -> Iterator[None]:
    """Let stay open what nobody closes: no collection of garbage comes to its help."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
def test_service_and_commands_leave_no_connection_to_a_node_open(shell: Shell, nodes: tuple[Anvil, Anvil]) -> None:
    node, heir = nodes[0], nodes[0].funded()
    before = _connections(node)
    assert before == 1, "the test's own"
    entry = shell.deploy(node)
    assert _connections(node) == before
    shell.configure(entry)
    assert "evm:31337" in {one.chain for one in shell.serve(0, 3)}
    assert _connections(node) == before
    assert shell.told("status")["chains"][0]["head"] == 3
    assert _connections(node) == before
    owner = ("--rpc", node.url, "--owner-key-file", str(shell.folder / "owner.key"))
    shell.told("owner", *owner, "--contract", entry["contract"], "--offer", heir.address)
    assert _connections(node) == before


def _connections(node: Anvil) -> int:
    """Count this process's open connections to a node."""
    found = 0
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the listing's own; a socket that listens
            if str(link.readlink()).startswith("socket:"):
                with socket.socket(fileno=os.dup(int(link.name))) as one:
                    found += one.getpeername()[1:] == (node.port,)
    return found


def test_the_owners_key_is_no_submitter_and_a_file_without_a_key_says_nothing_of_its_content(
    shell: Shell, nodes: tuple[Anvil, Anvil]
) -> None:
    owner = nodes[0].funded()
    act = ("deploy", "--rpc", nodes[0].url, "--owner-key-file")
    code, _, err = shell.run(*act, shell.key("owner", owner), "--submitter", owner.address)
    assert (code, "another key than the owner's" in err) == (1, True)
    (shell.folder / "bad.key").write_text("a secret word", "ascii")
    code, _, err = shell.run(*act, str(shell.folder / "bad.key"), "--submitter", owner.address)
    assert code == 1
    assert "key_file" in err
    assert "secret word" not in err


@pytest.fixture
def read(tmp_path: Path) -> Callable[[Any], tuple[ConfiguredChain, ...]]:
    (tmp_path / "key").write_text("11" * 32, "ascii")

    def read_it(content: Any) -> tuple[ConfiguredChain, ...]:
        text = content if isinstance(content, str) else json.dumps(content).replace("KEY", str(tmp_path / "key"))
        (tmp_path / "chains.json").write_text(text, "utf-8")
        return read_chains(tmp_path / "chains.json")

    return read_it


CHANGES: list[dict[str, Any]] = [
    {"chain_id": 0},
    {"chain_id": True},
    {"chain_id": "7"},
    {"rpc": []},
    {"rpc": "https://a.example"},
    {"rpc": ["ftp://a.example"]},
    {"rpc": ["https://a.example", "https://a.example"]},
    {"rpc": [{}]},
    {"rpc": ["http://["]},
    {"contract": "0x12"},
    {"contract": None},
    {"key_file": "/nowhere/at/all"},
    {"key_file": 1},
    {"confirmations": -1},
    {"confirmations": 1001},
    {"stuck_after_s": 4},
    {"gas": 1.5},
    {"legacy_fees": 1},
    {"milliseconds": None},
]
GOOD: dict[str, Any] = {"chain_id": 7, "rpc": ["https://a.example", "http://b.example:8545"], "contract": CONTRACT, "key_file": "KEY"}  # fmt: skip


def test_a_chain_has_the_values_of_most_chains_where_the_file_leaves_them_out(
    read: Callable[[Any], tuple[ConfiguredChain, ...]], tmp_path: Path
) -> None:
    [chain] = read([GOOD])
    assert chain == ConfiguredChain(7, ("https://a.example", "http://b.example:8545"), CONTRACT, tmp_path / "key")
    assert (chain.confirmations, chain.stuck_after_s, chain.gas, chain.legacy_fees) == (12, 120, 0, None)
    [fisco] = read([{**GOOD, "confirmations": 0, "gas": 500_000, "legacy_fees": True, "milliseconds": True}])
    assert (fisco.confirmations, fisco.gas, fisco.legacy_fees, fisco.milliseconds) == (0, 500_000, True, True)


@pytest.mark.parametrize(
    "bent",
    [
        "no JSON",
        "[]",
        "{}",
        '[{"chain_id": 1, "chain_id": 2}]',
        ["text"],
        [GOOD, GOOD],
        [{**GOOD, "unknown": 1}],
        *([{**GOOD, **change}] for change in CHANGES),
        *([{name: value for name, value in GOOD.items() if name != left_out}] for left_out in GOOD),
    ],
)
def test_a_file_of_chains_that_is_not_what_it_should_be_is_refused(
    read: Callable[[Any], tuple[ConfiguredChain, ...]], bent: Any, tmp_path: Path
) -> None:
    with pytest.raises(ChainsRefused):
        read(bent)
    with pytest.raises(SettingsRefused) as refused:
        check_settings({"data_dir": str(tmp_path), "anchor_chains": str(tmp_path / "chains.json")})
    assert {problem.setting for problem in refused.value.problems} == {"anchor_chains"}


def test_a_chain_named_in_both_places_is_refused(
    read: Callable[[Any], tuple[ConfiguredChain, ...]], tmp_path: Path
) -> None:
    read([GOOD])
    given = {
        "data_dir": str(tmp_path),
        "anchor_chains": str(tmp_path / "chains.json"),
        "evm_rpc_url": "http://127.0.0.1:8545",
        "evm_contract": CONTRACT,
        "evm_chain_id": 7,
        "evm_key_file": str(tmp_path / "key"),
    }
    with pytest.raises(SettingsRefused, match="again"):
        check_settings(given)
    check_settings({**given, "evm_chain_id": 8})
