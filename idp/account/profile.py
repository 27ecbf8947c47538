"""`/account/profile`: how the person is reached, and the language and time zone platforms are told.

All of it is the person's own statement and optional: nothing here is needed to sign in, and a platform is told a line of
it only with the person's consent to that scope. Nothing is proven by being typed, so platforms are told that, too.

Whoever sits at an open browser sees the lines masked. To see or change them one signs in again first (ASVS 5.0 §7.5.1),
with the second factor where there is one (§6.3.4). A child below 14 is not asked: how to reach a child is sensitive, and a
guardian would have to consent (PIPL Art 28, 31).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from idp.account.pages import private, record_own_act, to_sign_in
from idp.audit import Acts
from idp.login.totp import TotpAuthenticator
from idp.model import Acr, Clock, Session
from idp.pages.render import Render
from idp.parameters import parse_parameters, query_of, read_form
from idp.registry.contact import (
    Contact,
    ContactStatement,
    PostalAddress,
    parse_address,
    parse_email,
    parse_locale,
    parse_phone_number,
    parse_zoneinfo,
)
from idp.registry.dates import day_of
from idp.registry.errors import ContactRefused
from idp.registry.person_number import PersonNumber, parse_person_number
from idp.registry.store import RegistryStore
from idp.session.sign_in import Sessions

PATH = "/account/profile"

SHOWN_AFTER_SIGN_IN_S = 5 * 60
"""How long after a sign-in the form is shown; later the page asks for another first."""

TAKEN_AFTER_SIGN_IN_S = 15 * 60
"""How long after a sign-in the form is taken: nobody loses what they typed in the ten minutes between."""

ADDRESS_FIELDS = ("address", "address_2", "region", "locality", "postal_code")
FIELDS = ("email", "phone", *ADDRESS_FIELDS, "locale", "zoneinfo")

COVER = "••••"
ADDRESS_SIGNS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class MaskedContact:
    """What somebody at an open browser is shown: enough to recognise a line, too little to use it."""

    email: str
    phone: str
    address: str


class ProfilePage:
    """Handlers of the page."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        registry: RegistryStore,
        totp: TotpAuthenticator,
        acts: Acts,
        render: Render,
        clock: Clock,
    ) -> None:
        self._sessions = sessions
        self._registry = registry
        self._totp = totp
        self._acts = acts
        self._render = render
        self._clock = clock

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [Route(PATH, self.show, methods=["GET"]), Route(PATH, self.change, methods=["POST"])]

    async def show(self, request: Request) -> Response:
        """Show the form after a fresh sign-in, the masked lines otherwise; with `edit`, ask for that sign-in."""
        session = await self._sessions.current(request)
        if session is None:
            return to_sign_in(PATH)
        query = parse_parameters(query_of(request))
        fresh = await self._is_fresh(session, SHOWN_AFTER_SIGN_IN_S)
        if not fresh and query.get("edit") == "yes":
            return await self._sign_in_again(session)
        number = parse_person_number(session.person)
        if await self._is_child(number):
            return self._page(request, {"child": True})
        contact = await self._registry.contact(number)
        context = {"done": query.get("done") == "yes", "contact": contact}
        if not fresh:
            return self._page(request, {**context, "masked": masked(contact)})
        return self._page(request, {**context, "form": form_of(contact.stated)})

    async def change(self, request: Request) -> Response:
        """Take the form: every line of it replaces what is recorded, an empty one removes it."""
        session = await self._sessions.current(request)
        if session is None:
            return to_sign_in(PATH)
        if not await self._is_fresh(session, TAKEN_AFTER_SIGN_IN_S):
            return await self._sign_in_again(session)
        number = parse_person_number(session.person)
        if await self._is_child(number):
            return self._page(request, {"child": True}, 403)
        form = await read_form(request)
        try:
            stated = statement_of(form)
        except ContactRefused as refusal:
            contact = await self._registry.contact(number)
            return self._page(request, {"contact": contact, "form": shown(form), "refusal": refusal}, 422)
        changed = await self._registry.state_contact(number, stated, proven={}, now=self._clock())
        if changed:
            # Which lines, never what they say.
            facts = " ".join(changed)
            await record_own_act(self._acts, request, "idp.profile.changed", session, session.person, facts=facts)
        return RedirectResponse(f"{PATH}?done=yes", status_code=303)

    async def _is_fresh(self, session: Session, seconds: int) -> bool:
        if self._clock() - session.authentication.time > seconds:
            return False
        return session.authentication.acr is Acr.TWO or not await self._totp.enrolled(session.person)

    async def _is_child(self, number: PersonNumber) -> bool:
        person = await self._registry.person(number)
        return person.needs_guardian_on(day_of(self._clock()))

    async def _sign_in_again(self, session: Session) -> Response:
        return to_sign_in(PATH, stronger=await self._totp.enrolled(session.person), fresh=True)

    def _page(self, request: Request, context: Mapping[str, object], status: int = 200) -> Response:
        whole = {"child": False, "done": False, "refusal": None, "form": None, "masked": None, **context}
        return private(self._render(request, "idp/profile.html", whole, status))


def form_of(stated: ContactStatement) -> dict[str, str]:
    """Return what is recorded as the form shows it."""
    address = stated.address or PostalAddress("", "", "", "")
    first, *others = address.formatted.split("\n")
    return {
        "email": stated.email or "",
        "phone": stated.phone or "",
        "address": first,
        "address_2": " ".join(others),
        "region": address.region,
        "locality": address.locality,
        "postal_code": address.postal_code,
        "locale": stated.locale or "",
        "zoneinfo": stated.zoneinfo or "",
    }


def shown(form: Mapping[str, str]) -> dict[str, str]:
    """Return what was typed, to be typed on."""
    return {name: form.get(name, "") for name in FIELDS}


def statement_of(form: Mapping[str, str]) -> ContactStatement:
    """Read the form; an empty line states nothing. Raises `ContactRefused`."""
    typed = {name: form.get(name, "").strip() for name in FIELDS}
    address = None
    if any(typed[name] for name in ADDRESS_FIELDS):
        whole = f"{typed['address']}\n{typed['address_2']}"
        address = parse_address(
            whole, region=typed["region"], locality=typed["locality"], postal_code=typed["postal_code"]
        )
    return ContactStatement(
        email=parse_email(typed["email"]) if typed["email"] else None,
        phone=parse_phone_number(typed["phone"]) if typed["phone"] else None,
        address=address,
        locale=parse_locale(typed["locale"]) if typed["locale"] else None,
        zoneinfo=parse_zoneinfo(typed["zoneinfo"]) if typed["zoneinfo"] else None,
    )


def masked(contact: Contact) -> MaskedContact:
    """Return the lines as an open browser shows them; what is not stated is empty."""
    stated = contact.stated
    local, _, domain = (stated.email or "").rpartition("@")
    phone = stated.phone or ""
    address = "" if stated.address is None else stated.address.region or stated.address.formatted[:ADDRESS_SIGNS_SHOWN]
    return MaskedContact(
        email=f"{local[0]}{COVER}@{domain}" if local else "",
        phone=f"{phone[:3]}{COVER}{phone[-2:]}" if phone else "",
        address=f"{address}{COVER}" if address else "",
    )
