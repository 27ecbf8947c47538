"""anvil, Foundry's Ethereum node, as its authors publish it on npm: installed on first use, started on a free port."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from eth_account import Account
from eth_account.signers.local import LocalAccount
from requests import Session
from web3 import HTTPProvider, Web3
from web3.types import RPCEndpoint

from tests.protocol.clients import programs

FOLDER: Final = Path(__file__).parent
PROGRAM: Final = FOLDER / "node_modules" / "@foundry-rs" / "anvil-linux-amd64" / "bin" / "anvil"
START_S: Final = 60
PURSE_WEI: Final = 10**20


@dataclass
class Anvil:
    """One node. `mine` makes blocks; nothing else does, unless `automine` is on."""

    port: int
    folder: Path
    arguments: tuple[str, ...]
    process: subprocess.Popen[bytes] | None = None
    web3: Web3 = field(init=False)
    session: Session = field(default_factory=Session)

    def __post_init__(self) -> None:
        self.web3 = Web3(HTTPProvider(self.url, session=self.session, exception_retry_configuration=None))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the node where it stopped: its state lies in the folder."""
        command = [
            str(PROGRAM), "--host", "127.0.0.1", "--port", str(self.port), "--accounts", "1", "--silent",
            "--state", str(self.folder / "state.json"), *self.arguments,
        ]  # fmt: skip
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + START_S
        while not self.web3.is_connected():
            assert self.process.poll() is None, "anvil ended"
            assert time.monotonic() < deadline, "anvil does not answer"
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it as an operator would; it writes its state."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(START_S)
            self.process = None

    def rpc(self, method: str, *params: Any) -> Any:
        """Call a method of anvil's own."""
        answer = self.web3.provider.make_request(RPCEndpoint(method), list(params))
        assert "error" not in answer, answer
        return answer["result"]

    def automine(self, *, on: bool) -> None:
        """Make a block for each transaction, or none at all."""
        self.rpc("evm_setAutomine", on)

    def mine(self, blocks: int = 1) -> None:
        self.rpc("anvil_mine", hex(blocks))

    def reorganise(self, depth: int) -> None:
        """Replace the newest blocks by as many others, without the transactions that were in them."""
        self.rpc("anvil_reorg", depth, [])

    def funded(self) -> LocalAccount:
        """Return a new account with a full purse."""
        account: LocalAccount = Account.create()
        self.rpc("anvil_setBalance", account.address, hex(PURSE_WEI))
        return account


@contextlib.contextmanager
def anvil(folder: Path, *arguments: str) -> Iterator[Anvil]:
    """Run a node with its state in the folder; it ends with the block."""
    programs.install(FOLDER)
    node = Anvil(_free_port(), folder, arguments)
    try:
        node.start()
        yield node
    finally:
        node.session.close()
        node.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
