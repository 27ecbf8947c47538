"""The RPC nodes of one chain, asked together: what is read is what they agree on.

A node is a stranger's word. One that lags is waited for, one that contradicts another stops everything that depends on
the answer; a single configured node can only be believed, and is an operator's own choice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from requests import Session
from web3 import HTTPProvider, Web3
from web3.exceptions import Web3Exception, Web3RPCError
from web3.middleware import ExtraDataToPOAMiddleware

from ledger.anchoring_transactions import Answer
from ledger.errors import AnchorRefused

RPC_TIMEOUT_S: Final = 5
# Where two or more are configured, so many have to answer before an answer counts.
QUORUM: Final = 2

# What clients say, in lower case: geth, Besu, Nethermind, Erigon, anvil, eth-tester, FISCO BCOS.
_KNOWN: Final = ("already known", "known transaction", "already imported", "already in", "alreadyintxpool")
_NONCE_USED: Final = (
    "nonce too low",
    "nonce_too_low",
    "nonce too old",
    "oldnonce",
    "nonce is too low",
    "noncecheckfail",
    "invalid transaction nonce",
    "transaction nonce is too low",
)
_UNDERPRICED: Final = (
    "underpriced",
    "less than block base fee",
    "gas price below",
    "gas price too low",
    "feetoolow",
    "fee too low",
    "max fee per gas less",
)

Result = TypeVar("Result")


class NodeClient(Web3):
    """A client of a node over HTTP, to be closed by whoever made it: the library itself would end no connection.

    Nothing is retried behind our back: a transaction is sent once, then looked up.
    """

    def __init__(self, rpc_url: str) -> None:
        """Nothing is connected before the first question."""
        self._session = Session()
        super().__init__(
            HTTPProvider(
                rpc_url,
                request_kwargs={"timeout": RPC_TIMEOUT_S},
                session=self._session,
                exception_retry_configuration=None,
            )
        )
        # Blocks of QBFT and PBFT carry their validators' seals in extraData, more than the 32 bytes of Ethereum's own.
        self.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)

    def close(self) -> None:
        """End the connections; whoever asks once more opens a new one."""
        self._session.close()


class Nodes:
    """One or more nodes of the chain of `chain_id`."""

    def __init__(self, nodes: Sequence[Web3], chain_id: int) -> None:
        self._nodes = tuple(nodes)
        self._chain_id = chain_id
        self._of_this_chain: set[int] = set()

    def close(self) -> None:
        """End the connections to them; a chain inside this process has none."""
        for node in self._nodes:
            if isinstance(node, NodeClient):
                node.close()

    @property
    def several(self) -> bool:
        """Tell whether there is more than one, so that there is something to compare."""
        return len(self._nodes) > 1

    def each(self, ask: Callable[[Web3], Result]) -> list[Result]:
        """Return the answer of every node that gives one. AnchorRefused "answers" where those are too few."""
        answers: list[Result] = []
        failure: Exception | None = None
        for number, node in enumerate(self._nodes):
            try:
                self._require_chain(number, node)
                answers.append(ask(node))
            except (Web3Exception, OSError, ValueError) as error:
                failure = error
        if len(answers) < min(QUORUM, len(self._nodes)):
            raise AnchorRefused(field="chain", rule="answers") from failure
        return answers

    def agreed(self, ask: Callable[[Web3], Result]) -> Result:
        """Return what every answering node says. AnchorRefused "disagree" where they contradict each other."""
        answers = self.each(ask)
        if any(answer != answers[0] for answer in answers):
            raise AnchorRefused(field="node", rule="disagree")
        return answers[0]

    def height(self) -> int:
        """Return the newest block that every answering node has."""
        return min(self.each(lambda node: int(node.eth.block_number)))

    def at(self) -> int | None:
        """Return the block at which state is compared: one that all have, or with a single node its newest (None)."""
        return self.height() if self.several else None

    def first(self, ask: Callable[[Web3], Result]) -> Result:
        """Return the answer of the first node that gives one. Refusals of the contract itself are passed on."""
        failure: Exception | None = None
        for number, node in enumerate(self._nodes):
            try:
                self._require_chain(number, node)
                return ask(node)
            except OSError as error:
                failure = error
        raise AnchorRefused(field="chain", rule="answers") from failure

    def send(self, raw: bytes) -> Answer:
        """Give a transaction to every node, once each; see AnchorChain.send."""
        said: set[Answer] = set()
        refused: Exception | None = None
        for number, node in enumerate(self._nodes):
            try:
                self._require_chain(number, node)
                node.eth.send_raw_transaction(raw)
                said.add(Answer.TAKEN)
            except OSError as error:
                refused = error
            except Exception as error:  # noqa: BLE001 - clients have no common class for a refusal; what is not understood is one
                answer = _meaning(error)
                if answer is None:
                    refused = error
                else:
                    said.add(answer)
        for answer in (Answer.TAKEN, Answer.MAYBE, Answer.UNDERPRICED):
            if answer in said:
                return answer
        rule = "answers" if isinstance(refused, OSError) else "taken"
        raise AnchorRefused(field="transaction", rule=rule) from refused

    def _require_chain(self, number: int, node: Web3) -> None:
        """Ask a node once which chain it is on; a transaction for another one must not even be shown to it."""
        if number not in self._of_this_chain:
            if node.eth.chain_id != self._chain_id:
                raise AnchorRefused(field="node", rule="chain_id")
            self._of_this_chain.add(number)


def _meaning(error: Exception) -> Answer | None:
    """Read a refusal; clients agree on words more than on codes."""
    text = str(error.message if isinstance(error, Web3RPCError) else error).lower()
    for words, answer in ((_KNOWN, Answer.TAKEN), (_NONCE_USED, Answer.MAYBE), (_UNDERPRICED, Answer.UNDERPRICED)):
        if any(word in text for word in words):
            return answer
    return None
