"""The holder's own records: the list, one record with its life and who looked, and its files to download."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from credentials.model import HeldCredential, Share, StatusChange
from credentials.pages.claims import Fact, facts, title_of
from credentials.pages.life import LifeView, life_of, word_of
from credentials.pages.listing import listing
from credentials.pages.render import Render, Translator
from credentials.pages.visitors import for_signed_in
from credentials.ports import Clock
from credentials.sharing import Sharing
from credentials.status import Status
from credentials.wallet import Wallet
from idp.authority.model import Actor

WALLET_PATH = "/credentials"
CARDS_A_PAGE = 20
# The newest looks are what a holder asks about; each share's own page is not needed to see them.
LOOKS_SHOWN = 50
SHAREABLE = frozenset({Status.VALID, Status.SUSPENDED})


class CertificatePress(Protocol):
    """Sets and seals the PDF certificate of a record."""

    async def certificate(self, actor: Actor, credential_id: str) -> bytes:
        """Return the sealed PDF for its holder. Raises `CredentialUnknown` and the refusals of the typesetter."""
        ...


@dataclass(frozen=True, slots=True)
class WalletDeps:
    """What the holder's pages need; `history` gives a record's changes of status, oldest first."""

    render: Render
    wallet: Wallet
    sharing: Sharing
    press: CertificatePress
    history: Callable[[str], Awaitable[tuple[StatusChange, ...]]]
    clock: Clock


@dataclass(frozen=True, slots=True)
class CardView:
    """One record in the list; `kind` is a message code, `status` a verdict's word."""

    id: str
    title: str
    school: str
    kind: str
    issued_at: int
    status: str


@dataclass(frozen=True, slots=True)
class ShareLine:
    """One share of the record in brief; `state` is a message code."""

    id: str
    code: str
    state: str
    open: bool
    until: int
    views: int


@dataclass(frozen=True, slots=True)
class LookView:
    """One look: when, by which code, by what kind of program (message code), from roughly where."""

    at: int
    code: str
    how: str
    network: str | None


@dataclass(frozen=True, slots=True)
class HeldView:
    """One record as its holder sees it."""

    id: str
    title: str
    school: str
    kind: str
    status: str
    can_share: bool
    can_print: bool
    facts: list[Fact]
    life: LifeView
    shares: list[ShareLine]
    looks: list[LookView]


def card_of(held: HeldCredential, t: Translator) -> CardView:
    """Return a record as lists show it."""
    title, kind = title_of(held.kind, held.claims, t), f"credentials.kind.{held.kind}"
    return CardView(held.id, title, held.issuer_name, kind, held.issued_at, word_of(held.status))


def share_state(share: Share, now: int) -> str:
    """Return the message code of where a share stands."""
    if share.open_at(now):
        return "share.state_open"
    if share.revoked_at is not None:
        return "share.state_ended"
    return "share.state_expired" if now >= share.valid_until else "share.state_used"


class _WalletPages:
    def __init__(self, deps: WalletDeps) -> None:
        self._deps = deps

    async def all(self, request: Request, actor: Actor) -> Response:
        t = self._deps.render.translator(request)
        cards = [card_of(held, t) for held in await self._deps.wallet.credentials(actor)]
        shown = listing(request, cards, size=CARDS_A_PAGE)
        return self._deps.render(request, "credentials/wallet.html", {"listing": shown})

    async def one(self, request: Request, actor: Actor) -> Response:
        deps, t, now = self._deps, self._deps.render.translator(request), self._deps.clock()
        held = await deps.wallet.credential(actor, request.path_params["id"])
        shares = [share for share in await deps.sharing.shares(actor) if share.credential == held.id]
        view = HeldView(
            id=held.id,
            title=title_of(held.kind, held.claims, t),
            school=held.issuer_name,
            kind=f"credentials.kind.{held.kind}",
            status=word_of(held.status),
            can_share=held.status in SHAREABLE,
            # The press sets only what is in force: paper cannot be called back.
            can_print=held.status is Status.VALID,
            facts=facts(held.claims, t),
            life=life_of(held, await deps.history(held.id), t, now=now),
            shares=[
                ShareLine(s.id, s.code, share_state(s, now), s.open_at(now), s.valid_until, s.views) for s in shares
            ],
            looks=await self._looks(actor, shares),
        )
        return deps.render(request, "credentials/credential.html", {"view": view})

    async def _looks(self, actor: Actor, shares: list[Share]) -> list[LookView]:
        looks = [
            LookView(look.at, share.code, f"share.viewer_{look.viewer}", look.network)
            for share in shares
            if share.views
            for look in await self._deps.sharing.look_ups(actor, share.id)
        ]
        return sorted(looks, key=lambda look: look.at, reverse=True)[:LOOKS_SHOWN]

    async def bundle(self, request: Request, actor: Actor) -> Response:
        credential_id = request.path_params["id"]
        held = await self._deps.wallet.credential(actor, credential_id)
        data = await self._deps.wallet.bundle(actor, credential_id)
        return _download(data, "application/json", f"{held.number}.json")

    async def receipt(self, request: Request, actor: Actor) -> Response:
        credential_id = request.path_params["id"]
        held = await self._deps.wallet.credential(actor, credential_id)
        data = await self._deps.wallet.receipt(actor, credential_id)
        return _download(data, "application/json", f"{held.number}-receipt.json")

    async def certificate(self, request: Request, actor: Actor) -> Response:
        credential_id = request.path_params["id"]
        held = await self._deps.wallet.credential(actor, credential_id)
        return _download(
            await self._deps.press.certificate(actor, credential_id), "application/pdf", f"{held.number}.pdf"
        )


def _download(data: bytes, media_type: str, name: str) -> Response:
    """Answer with a file. Record numbers are ASCII letters, digits and dashes, so the name needs no escaping."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "private, no-store"}
    return Response(data, media_type=media_type, headers=headers)


def routes(deps: WalletDeps) -> list[Route]:
    """Return the holder's pages."""
    pages = _WalletPages(deps)
    one = WALLET_PATH + "/{id}"
    return [
        Route(WALLET_PATH, for_signed_in(pages.all), methods=["GET"]),
        Route(one, for_signed_in(pages.one), methods=["GET"]),
        Route(one + "/bundle.json", for_signed_in(pages.bundle, back=one), methods=["GET"]),
        Route(one + "/receipt.json", for_signed_in(pages.receipt, back=one), methods=["GET"]),
        Route(one + "/certificate.pdf", for_signed_in(pages.certificate, back=one), methods=["GET"]),
    ]
