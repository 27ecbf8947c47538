"""The public log: its shape, its newest checkpoint, its anchors, and the proof of any entry. Open to anyone."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from adapters.ledger_service import LedgerService
from adapters.pages.tree_picture import PathStep, path_picture, perfect_trees, tree_picture
from credentials.pages.claims import Fact
from credentials.pages.forms import whole_number
from credentials.pages.render import Render, Translator
from crypto.encoding import json_strict
from crypto.errors import TrustError
from ledger.anchor import AnchorEvidence, verify_evidence
from ledger.checkpoint import Checkpoint, verify_checkpoint
from ledger.errors import EntryUnknown
from ledger.merkle import HashAlg, inclusion_ranges, leaf_hash
from ledger.receipt import LogTrust, Receipt, verify_receipt

LOG_PATH = "/log"
ENTRIES_SHOWN = 10
ANCHORS_SHOWN = 10
SHORT_HASH = 8
# Kinds of entry the product writes, and the message codes of their names.
_KINDS = {"credential.issued": "log.kind_issued", "credential.status": "log.kind_status"}


@dataclass(frozen=True, slots=True)
class LogDeps:
    """What the explorer needs; `trust` holds the keys everything shown is checked against first."""

    render: Render
    ledger: LedgerService
    trust: LogTrust


@dataclass(frozen=True, slots=True)
class AnchorView:
    """One anchor: when, where (words), over how many entries, and how to find it there."""

    at: int
    chain: str
    size: str
    reference: str


@dataclass(frozen=True, slots=True)
class EntryView:
    """One entry in the list; `kind` is a message code."""

    index: int
    kind: str
    commitment: str


@dataclass(frozen=True, slots=True)
class PathRow:
    """One neighbour on the path: its hash, and whether it stands on the left."""

    hash: str
    left: bool


@dataclass(frozen=True, slots=True)
class ProofView:
    """An entry with its proof; hashes in hexadecimal. Both paths are what the browser computes again."""

    index: int
    size: int
    proved: bool
    facts: list[Fact]
    body: str
    body_base64: str
    leaf_sm3: str
    root_sm3: str
    root_sha256: str
    path_sm3: list[PathRow]
    path_sha256: list[str]
    picture: str
    anchors: list[AnchorView]


class _LogPages:
    def __init__(self, deps: LogDeps) -> None:
        self._deps = deps

    async def log(self, request: Request) -> Response:
        """Show the log, or go to the entry whose number was typed."""
        note = await self._deps.ledger.checkpoint()
        checkpoint = verify_checkpoint(note, log=self._deps.ledger.identity)
        t = self._deps.render.translator(request)
        typed = request.query_params.get("entry", "").strip()
        errors: dict[str, str] = {}
        if typed:
            index = whole_number(typed)
            if index is not None and index < checkpoint.size:
                return RedirectResponse(f"{LOG_PATH}/{index}", status_code=303)
            rule = "log.entry_refused" if checkpoint.size else "log.empty"
            errors["entry"] = t(rule, last=max(0, checkpoint.size - 1))
        trees = len(perfect_trees(checkpoint.size))
        view = {
            "size": checkpoint.size,
            "last": max(0, checkpoint.size - 1),
            "tree": tree_picture(
                checkpoint.size,
                title=t("log.tree_title"),
                description=t("log.tree_text", size=checkpoint.size, trees=trees),
            ),
            "checkpoint": checkpoint,
            "root_sm3": checkpoint.root_sm3.hex(),
            "root_sha256": checkpoint.root_sha256.hex(),
            "short": _short,
            "note": note.decode(),
            "anchors": await self._anchors(t),
            "entries": await self._latest(checkpoint),
        }
        context = {"view": view, "errors": errors, "typed": {"entry": typed}}
        return self._deps.render(request, "pages/log.html", context, 422 if errors else 200)

    async def entry(self, request: Request) -> Response:
        receipt = await self._receipt(request)
        t = self._deps.render.translator(request)
        return self._deps.render(request, "pages/log_entry.html", {"view": self._proof(receipt, t)})

    async def receipt(self, request: Request) -> Response:
        receipt = await self._receipt(request)
        name = f"receipt-{receipt.leaf_index}.json"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(receipt.to_json(), media_type="application/json", headers=headers)

    async def _receipt(self, request: Request) -> Receipt:
        index = whole_number(request.path_params["index"])
        if index is None:
            raise EntryUnknown(field="index")
        return await self._deps.ledger.receipt(index)

    async def _anchors(self, t: Translator) -> list[AnchorView]:
        witnesses = self._deps.trust.anchor_witnesses
        stored = await self._deps.ledger.anchors(ANCHORS_SHOWN)
        return [_anchor(verify_evidence(one.statement, witnesses=witnesses), t) for one in stored]

    async def _latest(self, checkpoint: Checkpoint) -> list[EntryView]:
        indices = range(checkpoint.size - 1, max(-1, checkpoint.size - 1 - ENTRIES_SHOWN), -1)
        views: list[EntryView] = []
        for index in indices:
            said = _said(await self._deps.ledger.entry(index))
            kind = _KINDS.get(said.get("kind", ""), "log.kind_other")
            views.append(EntryView(index, kind, said.get("commitment", "")))
        return views

    def _proof(self, receipt: Receipt, t: Translator) -> ProofView:
        checkpoint = verify_checkpoint(receipt.checkpoint_note, log=self._deps.ledger.identity)
        proved, anchors = self._checked(receipt)
        index, size = receipt.leaf_index, checkpoint.size
        sides = [start < index for start, _stop in inclusion_ranges(index, size)]
        leaf = leaf_hash(HashAlg.SM3, receipt.body).hex()
        neighbours = [digest.hex() for digest in receipt.path_sm3]
        said = _said(receipt.body)
        kind = t(_KINDS.get(said.get("kind", ""), "log.kind_other"))
        names = [name for name in ("commitment", "issuer", "batch") if name in said]
        picture = path_picture(
            [PathStep(digest[:SHORT_HASH], left) for digest, left in zip(neighbours, sides, strict=True)],
            leaf=t("log.entry_title", index=index),
            root=checkpoint.root_sm3.hex()[:SHORT_HASH],
            title=t("log.path_title"),
            description=t("log.path_text", steps=len(neighbours)),
        )
        return ProofView(
            index=index,
            size=size,
            proved=proved,
            facts=[
                Fact("kind", "log.entry_kind", "", kind),
                *(Fact(name, f"log.{name}", "", said[name]) for name in names),
            ],
            body=receipt.body.decode(errors="replace"),
            body_base64=base64.b64encode(receipt.body).decode(),
            leaf_sm3=leaf,
            root_sm3=checkpoint.root_sm3.hex(),
            root_sha256=checkpoint.root_sha256.hex(),
            path_sm3=[PathRow(digest, left) for digest, left in zip(neighbours, sides, strict=True)],
            path_sha256=[digest.hex() for digest in receipt.path_sha256],
            picture=picture,
            anchors=[_anchor(evidence, t) for evidence in anchors],
        )

    def _checked(self, receipt: Receipt) -> tuple[bool, tuple[AnchorEvidence, ...]]:
        """Prove the receipt as any verifier would; the page says so when it does not hold rather than failing."""
        try:
            return True, verify_receipt(receipt, trust=self._deps.trust).anchors
        except TrustError:
            return False, ()


def _short(root: str) -> str:
    return f"{root[:SHORT_HASH]}…{root[-SHORT_HASH:]}"


def _anchor(evidence: AnchorEvidence, t: Translator) -> AnchorView:
    chain = t("log.chain_file") if evidence.chain == "file" else evidence.chain
    reference = " · ".join(f"{name} {value}" for name, value in sorted(evidence.reference.items()))
    return AnchorView(evidence.time, chain, t.number(evidence.size), reference)


def _said(body: bytes) -> dict[str, str]:
    """Return the texts of an entry; other rooms' entries may have any form, and then nothing is said of them."""
    try:
        value = json_strict(body)
    except TrustError:
        return {}
    return {name: text for name, text in value.items() if isinstance(text, str)} if isinstance(value, dict) else {}


def routes(deps: LogDeps) -> list[Route]:
    """Return the explorer's pages."""
    pages = _LogPages(deps)
    return [
        Route(LOG_PATH, pages.log, methods=["GET"]),
        Route(LOG_PATH + "/{index}", pages.entry, methods=["GET"]),
        Route(LOG_PATH + "/{index}/receipt.json", pages.receipt, methods=["GET"]),
    ]
