"""Sharing a record: choose what and for how long, check, then a code, a link and a QR code; and ending it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from credentials.errors import ShareRefused, ShareUnknown
from credentials.model import HeldCredential, Share
from credentials.pages.claims import Fact, facts, in_order, label_of, title_of
from credentials.pages.codes import qr_svg
from credentials.pages.forms import Typed, read_form, whole_number
from credentials.pages.refusals import refusal_sentence
from credentials.pages.render import Render, Translator
from credentials.pages.visitors import for_signed_in
from credentials.pages.wallet_pages import WALLET_PATH, share_state
from credentials.ports import Clock, Issuers
from credentials.sharing import DAY_S, MAX_DAYS, MAX_VIEWS, MIN_DAYS, Sharing
from credentials.wallet import Wallet
from idp.authority.model import Actor

SHARE_PATH = "/shares"
DAY_CHOICES = (1, 7, 30, 180)
_OTHER = "other"


@dataclass(frozen=True, slots=True)
class ShareDeps:
    """What the sharing pages need."""

    render: Render
    wallet: Wallet
    sharing: Sharing
    issuers: Issuers
    clock: Clock


@dataclass(frozen=True, slots=True)
class Wish:
    """What the holder typed, and what it comes to; `errors` by field where it comes to nothing yet."""

    fields: tuple[str, ...]
    days_choice: str
    days_typed: str
    views_typed: str
    days: int
    views: int | None
    errors: Mapping[str, str]

    def as_typed(self) -> dict[str, object]:
        """Return the values the form shows again."""
        return {
            "fields": self.fields,
            "days_choice": self.days_choice,
            "days": self.days_typed,
            "views": self.views_typed,
        }

    def as_pairs(self) -> list[tuple[str, str]]:
        """Return the values the check page carries on."""
        rest = [("days_choice", self.days_choice), ("days", self.days_typed), ("views", self.views_typed)]
        return [*(("fields", name) for name in self.fields), *rest]


@dataclass(frozen=True, slots=True)
class CheckView:
    """What is about to be shared."""

    id: str
    title: str
    shown: list[Fact]
    hidden: list[Fact]
    days: int
    until: int
    views: int | None
    typed: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class SharedView:
    """A share as its holder sees it; `qr` is SVG of our own making, `state` a message code."""

    id: str
    credential: str
    title: str
    open: bool
    state: str
    code: str = field(repr=False)
    link: str = field(repr=False)
    qr: str = field(repr=False)
    until: int
    fields: list[Fact]
    views: int
    views_most: int | None


def _wish(typed: Typed, held: HeldCredential, t: Translator) -> Wish:
    errors: dict[str, str] = {}
    fields = tuple(in_order(set(typed.all("fields"))))
    if not set(fields) <= set(held.selectable):
        errors["fields"] = t("share.fields_refused")
        fields = tuple(name for name in fields if name in held.selectable)
    choice, written = typed.text("days_choice"), typed.text("days")
    days = whole_number(written if choice == _OTHER else choice)
    if days is None or not MIN_DAYS <= days <= MAX_DAYS:
        errors["days"] = t("share.days_refused")
    views_written = typed.text("views")
    views = whole_number(views_written) if views_written else None
    if views_written and (views is None or not 1 <= views <= MAX_VIEWS):
        errors["views"] = t("share.limit_refused", most=MAX_VIEWS)
    return Wish(fields, choice, written, views_written, days or 0, views, errors)


class _SharePages:
    def __init__(self, deps: ShareDeps) -> None:
        self._deps = deps

    async def form(self, request: Request, actor: Actor) -> Response:
        held = await self._deps.wallet.credential(actor, request.path_params["id"])
        # Nothing is ticked beforehand: what is not asked for is not shown.
        return self._form(request, held, Wish((), str(DAY_CHOICES[1]), "", "", DAY_CHOICES[1], None, {}))

    async def submitted(self, request: Request, actor: Actor) -> Response:
        """Take the form's three steps: check what was chosen, go back to change it, or create the share."""
        deps, t = self._deps, self._deps.render.translator(request)
        held = await deps.wallet.credential(actor, request.path_params["id"])
        typed = await read_form(request, max_file_bytes=0)
        wish = _wish(typed, held, t)
        if wish.errors:
            return self._form(request, held, wish, 422)
        step = typed.text("step")
        if step == "create":
            try:
                share = await deps.sharing.share(
                    actor, held.id, fields=frozenset(wish.fields), days=wish.days, view_limit=wish.views
                )
            except ShareRefused as refused:
                again = replace(wish, errors={refused.field or "fields": refusal_sentence(refused, t)})
                return self._form(request, held, again, 422)
            return RedirectResponse(f"{SHARE_PATH}/{share.id}", status_code=303)
        return self._check(request, held, wish) if step == "check" else self._form(request, held, wish)

    async def one(self, request: Request, actor: Actor) -> Response:
        deps, t = self._deps, self._deps.render.translator(request)
        share = await self._own(actor, request.path_params["id"])
        held = await deps.wallet.credential(actor, share.credential)
        link = f"{deps.issuers.verification_address}/{share.code}"
        now = deps.clock()
        view = SharedView(
            id=share.id,
            credential=share.credential,
            title=title_of(held.kind, held.claims, t),
            open=share.open_at(now),
            state=share_state(share, now),
            code=share.code,
            link=link,
            qr=qr_svg(link, title=t("share.qr_title", value=share.code)),
            until=share.valid_until,
            fields=_labels({*share.fields, *held.always} & held.claims.keys(), t),
            views=share.views,
            views_most=share.view_limit,
        )
        response = deps.render(request, "credentials/shared.html", {"view": view})
        response.headers["Cache-Control"] = "no-store"
        return response

    async def end(self, request: Request, actor: Actor) -> Response:
        share = await self._deps.sharing.revoke(actor, request.path_params["id"])
        return RedirectResponse(f"{SHARE_PATH}/{share.id}", status_code=303)

    async def _own(self, actor: Actor, share_id: str) -> Share:
        for share in await self._deps.sharing.shares(actor):
            if share.id == share_id:
                return share
        raise ShareUnknown(field="share")

    def _check(self, request: Request, held: HeldCredential, wish: Wish) -> Response:
        t = self._deps.render.translator(request)
        shown = {name: held.claims[name] for name in {*held.always, *wish.fields} if name in held.claims}
        view = CheckView(
            id=held.id,
            title=title_of(held.kind, held.claims, t),
            shown=facts(shown, t),
            hidden=_labels(held.claims.keys() - shown.keys(), t),
            days=wish.days,
            until=self._deps.clock() + wish.days * DAY_S,
            views=wish.views,
            typed=wish.as_pairs(),
        )
        return self._deps.render(request, "credentials/share_check.html", {"view": view})

    def _form(self, request: Request, held: HeldCredential, wish: Wish, status_code: int = 200) -> Response:
        t = self._deps.render.translator(request)
        said = held.claims
        view = {
            "id": held.id,
            "title": title_of(held.kind, said, t),
            "always": facts({name: said[name] for name in held.always if name in said}, t),
            "optional": facts({name: said[name] for name in held.selectable if name in said}, t),
            "day_choices": DAY_CHOICES,
            "views_most": MAX_VIEWS,
        }
        context = {"view": view, "errors": wish.errors, "typed": wish.as_typed()}
        return self._deps.render(request, "credentials/share.html", context, status_code)


def _labels(names: set[str], t: Translator) -> list[Fact]:
    return [Fact(name, label_of(name, t), name, "") for name in in_order(names)]


def routes(deps: ShareDeps) -> list[Route]:
    """Return the sharing pages."""
    pages = _SharePages(deps)
    form = WALLET_PATH + "/{id}/share"
    one = SHARE_PATH + "/{id}"
    return [
        Route(form, for_signed_in(pages.form), methods=["GET"]),
        Route(form, for_signed_in(pages.submitted, back=form), methods=["POST"]),
        Route(one, for_signed_in(pages.one), methods=["GET"]),
        Route(one + "/end", for_signed_in(pages.end, back=one), methods=["POST"]),
    ]
