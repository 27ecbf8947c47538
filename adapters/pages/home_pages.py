"""The front page for anyone, and the home of someone signed in: what is new, what asks for them, where to go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from adapters.ledger_service import LedgerService
from credentials.issuance import Issuance
from credentials.model import BatchState
from credentials.pages.batch_pages import OFFICERS, Register
from credentials.pages.render import Render
from credentials.pages.visitors import for_signed_in, schools_of
from credentials.pages.wallet_pages import card_of
from credentials.wallet import Wallet
from idp.authority.errors import SecondFactorRequired
from idp.authority.model import Actor, Duty
from ledger.checkpoint import verify_checkpoint

NEWS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class HomeDeps:
    """What the front page and the home need."""

    render: Render
    wallet: Wallet
    issuance: Issuance
    register: Register
    ledger: LedgerService


@dataclass(frozen=True, slots=True)
class Ask:
    """Something that waits for the person: where it is, the words of its link, and why (message code)."""

    address: str
    title: str
    code: str
    params: Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Way:
    """Somewhere to go; `title` and `text` are message codes."""

    address: str
    title: str
    text: str


class _HomePages:
    def __init__(self, deps: HomeDeps) -> None:
        self._deps = deps

    async def front(self, request: Request) -> Response:
        checkpoint = verify_checkpoint(await self._deps.ledger.checkpoint(), log=self._deps.ledger.identity)
        size = self._deps.render.translator(request).number(checkpoint.size)
        return self._deps.render(request, "pages/index.html", {"log_size": size})

    async def home(self, request: Request, actor: Actor) -> Response:
        deps, t = self._deps, self._deps.render.translator(request)
        held = await deps.wallet.credentials(actor)
        view = {
            "name": actor.display_name,
            "number": actor.person.value,
            "asks": await self._asks(request, actor),
            "news": [card_of(one, t) for one in held[:NEWS_SHOWN]],
            "more": max(0, len(held) - NEWS_SHOWN),
            "ways": _ways(actor),
        }
        return deps.render(request, "pages/home.html", {"view": view})

    async def _asks(self, request: Request, actor: Actor) -> list[Ask]:
        """Return the batches that wait for the person's approval."""
        deps, t = self._deps, self._deps.render.translator(request)
        asks: list[Ask] = []
        for code in schools_of(actor, frozenset({Duty.APPROVER})):
            try:
                batches = await deps.issuance.batches(actor, code)
            except SecondFactorRequired:
                return [Ask("/batches", t("home.way_batches"), "home.ask_second_factor", {})]
            asks += [
                Ask(
                    f"/batches/{batch.id}",
                    t(f"credentials.kind.{batch.kind}"),
                    "home.ask_approve",
                    {"count": batch.total, "school": (await deps.register.school(code)).name},
                )
                for batch in batches
                if batch.state is BatchState.SUBMITTED and batch.drafter != actor.person
            ]
        return asks


def _ways(actor: Actor) -> list[Way]:
    names = ["wallet"]
    if schools_of(actor, OFFICERS):
        names.append("batches")
    if any(office.is_active and Duty.AUDITOR in office.duties for office in actor.offices):
        names.append("audit")
    names += ["sessions", "platforms", "verify", "log"]
    return [Way(_ADDRESSES[name], f"home.way_{name}", f"home.way_{name}_text") for name in names]


_ADDRESSES = {
    "wallet": "/credentials",
    "batches": "/batches",
    "audit": "/audit",
    "sessions": "/account/sessions",
    "platforms": "/account/platforms",
    "verify": "/verify",
    "log": "/log",
}


def routes(deps: HomeDeps) -> list[Route]:
    """Return the front page and the home."""
    pages = _HomePages(deps)
    return [
        Route("/", pages.front, methods=["GET"]),
        Route("/home", for_signed_in(pages.home), methods=["GET"]),
    ]
