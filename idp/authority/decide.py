"""The decisions: who may act on which unit, who may appoint whom. Pure; each raises or returns the office it rests on."""

from __future__ import annotations

from idp.authority.assurance import ACR_TWO_FACTORS, satisfies
from idp.authority.errors import NotAuthorised, SecondFactorRequired, SignInRequired, TwoPersonRule
from idp.authority.model import Actor, Duty, Level, NewOffice, Office, OfficeKind, Unit
from idp.registry.division import NATION
from idp.registry.person_number import PersonNumber
from idp.registry.school_code import SchoolCode

REACHES_BELOW = frozenset({Duty.AUDITOR})
"""Duties that cover the subtree. Drafting and approving stay in the unit itself: a bureau cannot issue for a school."""


def _covers(office: Office, duty: Duty, target: Unit | SchoolCode) -> bool:
    """Scope of one office. Given only a school's code, a city or county office does not cover it (its path is unknown)."""
    if not office.is_active or duty not in office.duties:
        return False
    if isinstance(target, SchoolCode):
        if office.unit.level is Level.SCHOOL:
            return office.unit.code == target.value
        return duty in REACHES_BELOW and office.unit.code in {NATION, target.region}
    if duty in REACHES_BELOW:
        return office.unit.covers(target)
    return office.unit.code == target.code


def _two_factors(actor: Actor) -> None:
    if not satisfies(actor.acr, ACR_TWO_FACTORS):
        raise SecondFactorRequired(field="acr", rule="two_factors")


def signed_in(actor: Actor | None) -> Actor:
    """Return the actor; raise `SignInRequired` where nobody is signed in."""
    if actor is None:
        raise SignInRequired
    return actor


def require(actor: Actor | None, duty: Duty, *, school: SchoolCode | Unit) -> Office:
    """Return the office by which the actor may do `duty` for the school or unit.

    A registrar and an approver act for their own unit; an auditor reads their own and every unit below. With a bare
    `SchoolCode` offices of the school, its province and the nation are found; pass the `Unit` for city and county ones.

    Raises `SignInRequired`; `NotAuthorised` when no active office covers it; `SecondFactorRequired` when one does but the
    sign-in had a single factor (S3(十), R23: issuing and administering take two). In that order, so that nobody without
    the office is asked for a second factor.
    """
    holder = signed_in(actor)
    for office in holder.offices:
        if office.person == holder.person and _covers(office, duty, school):
            _two_factors(holder)
            return office
    raise NotAuthorised(field="duty", rule=duty.value)


def require_other_person(drafter: PersonNumber, approver: Actor) -> Actor:
    """Return the approver when they are not the drafter; raise `TwoPersonRule` when they are (R34)."""
    if approver.person == drafter:
        raise TwoPersonRule(field="approver", rule="same_person")
    return approver


def _may_appoint(office: Office, unit: Unit, kind: OfficeKind) -> bool:
    """Grading (逐级分发): own-level users, and the system officers of the units directly below."""
    if not office.is_active or office.kind is not OfficeKind.SYSTEM:
        return False
    if kind is OfficeKind.SYSTEM:
        return unit.superior == office.unit.code
    return unit.code == office.unit.code


def require_may_appoint(actor: Actor | None, new: NewOffice) -> Office:
    """Return the system office by which the actor may grant `new`; same order of refusals as `require`.

    Nobody appoints themselves, whatever the office: raises `TwoPersonRule(rule="own_office")`.
    """
    return _require_grading(actor, new.person, new.unit, new.kind)


def require_may_dismiss(actor: Actor | None, office: Office) -> Office:
    """Return the system office by which the actor may revoke `office`: whoever may grant it may take it back."""
    return _require_grading(actor, office.person, office.unit, office.kind)


def _require_grading(actor: Actor | None, person: PersonNumber, unit: Unit, kind: OfficeKind) -> Office:
    holder = signed_in(actor)
    for office in holder.offices:
        if office.person == holder.person and _may_appoint(office, unit, kind):
            _two_factors(holder)
            if person == holder.person:
                raise TwoPersonRule(field="person", rule="own_office")
            return office
    raise NotAuthorised(field="unit", rule="appoint")


def may_see(actor: Actor | None, unit: Unit) -> bool:
    """Whether a listing may show the unit to the actor: any active office of theirs covers it."""
    return actor is not None and any(o.is_active and o.unit.covers(unit) for o in actor.offices)
