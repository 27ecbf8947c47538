"""Who may do what: five levels, three offices, subtree scope, grading, the two-person rule, two factors."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import TrustError
from idp.authority.assurance import ACR_ONE_FACTOR, ACR_TWO_FACTORS, KNOWN_ACRS, satisfies
from idp.authority.decide import may_see, require, require_may_appoint, require_may_dismiss, require_other_person
from idp.authority.errors import (
    NotAuthorised,
    OfficeRefused,
    SecondFactorRequired,
    SignInRequired,
    TwoPersonRule,
)
from idp.authority.model import DUTIES_OF_KIND, Actor, Duty, Level, NewOffice, Office, OfficeKind, Unit
from idp.registry.person_number import new_person_number
from idp.registry.school_code import SchoolCode

_random = random.Random(7)
ANNA, BEN = (new_person_number(_random.randbytes) for _ in range(2))

NATION = Unit(Level.NATION, "000000", ())
PROVINCE = Unit(Level.PROVINCE, "610000", ("000000",))
OTHER_PROVINCE = Unit(Level.PROVINCE, "500000", ("000000",))
CITY = Unit(Level.CITY, "610100", ("000000", "610000"))
COUNTY = Unit(Level.COUNTY, "610112", ("000000", "610000", "610100"))
OTHER_COUNTY = Unit(Level.COUNTY, "610113", ("000000", "610000", "610100"))
SCHOOL = Unit(Level.SCHOOL, "2161000001", ("000000", "610000", "610100", "610112"))
OTHER_SCHOOL = Unit(Level.SCHOOL, "2161000002", ("000000", "610000", "610100", "610113"))
UNIVERSITY = Unit(Level.SCHOOL, "4161010698", ("000000", "610000"))
UNITS = {
    "nation": NATION,
    "province": PROVINCE,
    "other_province": OTHER_PROVINCE,
    "city": CITY,
    "county": COUNTY,
    "other_county": OTHER_COUNTY,
    "school": SCHOOL,
    "other_school": OTHER_SCHOOL,
    "university": UNIVERSITY,
}
INFORMATION, QUERY, SYSTEM = OfficeKind.INFORMATION, OfficeKind.QUERY, OfficeKind.SYSTEM


def office(unit: Unit, kind: OfficeKind, duties: set[Duty] | None = None) -> Office:
    held = DUTIES_OF_KIND[kind] if duties is None else frozenset(duties)
    return Office("o1", ANNA, unit, kind, held, None, 0, None)


def actor(*offices: Office, acr: str = ACR_TWO_FACTORS) -> Actor:
    return Actor(ANNA, "安娜", offices, acr, 0, "s1")


def allowed(who: Actor | None, duty: Duty, target: Unit | SchoolCode) -> bool:
    try:
        return require(who, duty, school=target) in (who.offices if who else ())
    except NotAuthorised:
        return False


# The whole table: an office at the row's unit covers exactly the units named.
SEES = {
    "nation": set(UNITS),
    "province": {"province", "city", "county", "other_county", "school", "other_school", "university"},
    "other_province": {"other_province"},
    "city": {"city", "county", "other_county", "school", "other_school"},
    "county": {"county", "school"},
    "other_county": {"other_county", "other_school"},
    "school": {"school"},
    "other_school": {"other_school"},
    "university": {"university"},
}


@pytest.mark.parametrize("at", UNITS)
def test_an_auditor_reads_their_own_unit_and_what_is_below_and_nothing_else(at: str) -> None:
    who = actor(office(UNITS[at], QUERY))
    assert {name for name, unit in UNITS.items() if allowed(who, Duty.AUDITOR, unit)} == SEES[at]
    assert {name for name, unit in UNITS.items() if may_see(who, unit)} == SEES[at]


@pytest.mark.parametrize("at", UNITS)
@pytest.mark.parametrize("duty", [Duty.REGISTRAR, Duty.APPROVER])
def test_a_registrar_and_an_approver_act_for_their_own_unit_only(at: str, duty: Duty) -> None:
    who = actor(office(UNITS[at], INFORMATION))
    assert {name for name, unit in UNITS.items() if allowed(who, duty, unit)} == {at}


@pytest.mark.parametrize("duty", list(Duty))
def test_a_system_officer_touches_no_data(duty: Duty) -> None:
    who = actor(office(SCHOOL, SYSTEM), office(NATION, SYSTEM))
    assert not allowed(who, duty, SCHOOL)


@pytest.mark.parametrize("held", list(Duty))
@pytest.mark.parametrize("wanted", list(Duty))
def test_one_duty_does_not_stand_for_another(held: Duty, wanted: Duty) -> None:
    kind = QUERY if held is Duty.AUDITOR else INFORMATION
    assert allowed(actor(office(SCHOOL, kind, {held})), wanted, SCHOOL) == (held is wanted)


def test_with_a_bare_school_code_only_school_province_and_nation_are_known() -> None:
    code = SchoolCode(SCHOOL.code)
    at = {name for name, unit in UNITS.items() if allowed(actor(office(unit, QUERY)), Duty.AUDITOR, code)}
    assert at == {"nation", "province", "school"}
    at = {name for name, unit in UNITS.items() if allowed(actor(office(unit, INFORMATION)), Duty.REGISTRAR, code)}
    assert at == {"school"}


def test_a_revoked_office_gives_nothing() -> None:
    gone = replace(office(SCHOOL, INFORMATION), revoked_at=1)
    assert not allowed(actor(gone), Duty.REGISTRAR, SCHOOL)
    assert not may_see(actor(gone), SCHOOL)
    with pytest.raises(NotAuthorised):
        require_may_appoint(
            actor(replace(office(SCHOOL, SYSTEM), revoked_at=1)), NewOffice(BEN, SCHOOL, QUERY, frozenset())
        )


def test_an_office_of_another_person_gives_nothing() -> None:
    theirs = replace(office(SCHOOL, INFORMATION), person=BEN)
    assert not allowed(actor(theirs), Duty.REGISTRAR, SCHOOL)
    system = replace(office(SCHOOL, SYSTEM), person=BEN)
    with pytest.raises(NotAuthorised):
        require_may_appoint(actor(system), NewOffice(BEN, SCHOOL, QUERY, frozenset()))


def test_the_right_office_among_several_is_returned() -> None:
    offices = (office(OTHER_SCHOOL, INFORMATION), office(SCHOOL, INFORMATION), office(NATION, QUERY))
    assert require(actor(*offices), Duty.APPROVER, school=SCHOOL) is offices[1]
    assert require(actor(*offices), Duty.AUDITOR, school=SCHOOL) is offices[2]


# Who is asked for what, in which order


def test_nobody_signed_in_is_asked_to_sign_in() -> None:
    with pytest.raises(SignInRequired):
        require(None, Duty.REGISTRAR, school=SCHOOL)
    with pytest.raises(SignInRequired):
        require_may_appoint(None, NewOffice(BEN, SCHOOL, QUERY, frozenset()))
    assert not may_see(None, SCHOOL)


@pytest.mark.parametrize("acr", [ACR_ONE_FACTOR, "", "urn:edutrust:acr:3", "2", "urn:edutrust:acr:2 "])
def test_an_issuer_with_less_than_two_factors_is_asked_for_the_second(acr: str) -> None:
    who = actor(office(SCHOOL, INFORMATION), office(NATION, SYSTEM), acr=acr)
    with pytest.raises(SecondFactorRequired) as caught:
        require(who, Duty.REGISTRAR, school=SCHOOL)
    assert caught.value.code == "authority.second_factor_required"
    with pytest.raises(SecondFactorRequired):
        require_may_appoint(who, NewOffice(BEN, PROVINCE, SYSTEM, frozenset()))
    with pytest.raises(SecondFactorRequired):
        require_may_dismiss(who, replace(office(PROVINCE, SYSTEM), person=BEN))


def test_nobody_without_the_office_is_asked_for_a_second_factor() -> None:
    with pytest.raises(NotAuthorised):
        require(actor(office(OTHER_SCHOOL, INFORMATION), acr=ACR_ONE_FACTOR), Duty.REGISTRAR, school=SCHOOL)


def test_levels_of_assurance_are_ordered_and_an_unknown_one_is_below_all() -> None:
    assert [[satisfies(acr, required) for required in KNOWN_ACRS] for acr in ("?", *KNOWN_ACRS)] == [
        [False, False],
        [True, False],
        [True, True],
    ]
    with pytest.raises(KeyError):
        satisfies(ACR_TWO_FACTORS, "?")


def test_the_drafter_may_not_approve() -> None:
    approver = actor(office(SCHOOL, INFORMATION))
    assert require_other_person(BEN, approver) is approver
    with pytest.raises(TwoPersonRule):
        require_other_person(ANNA, approver)


# Appointing

# A system officer at the row's unit seats the system officers of exactly these units.
SEATS_SYSTEM = {
    "nation": {"province", "other_province"},
    "province": {"city", "university"},
    "other_province": set(),
    "city": {"county", "other_county"},
    "county": {"school"},
    "other_county": {"other_school"},
    "school": set(),
    "other_school": set(),
    "university": set(),
}


@pytest.mark.parametrize("at", UNITS)
@pytest.mark.parametrize("kind", list(OfficeKind))
def test_a_system_officer_appoints_own_level_users_and_system_officers_directly_below(
    at: str, kind: OfficeKind
) -> None:
    who = actor(office(UNITS[at], SYSTEM))
    may = set()
    for name, unit in UNITS.items():
        try:
            require_may_appoint(who, NewOffice(BEN, unit, kind, frozenset()))
        except NotAuthorised:
            continue
        may.add(name)
        assert require_may_dismiss(who, replace(office(unit, kind), person=BEN)) == who.offices[0]
    assert may == (SEATS_SYSTEM[at] if kind is SYSTEM else {at})


@pytest.mark.parametrize("kind", [INFORMATION, QUERY])
def test_only_a_system_officer_appoints(kind: OfficeKind) -> None:
    with pytest.raises(NotAuthorised):
        require_may_appoint(actor(office(SCHOOL, kind)), NewOffice(BEN, SCHOOL, QUERY, frozenset()))


def test_nobody_appoints_or_dismisses_themselves() -> None:
    who = actor(office(SCHOOL, SYSTEM))
    with pytest.raises(TwoPersonRule) as caught:
        require_may_appoint(who, NewOffice(ANNA, SCHOOL, INFORMATION, frozenset()))
    assert caught.value.rule == "own_office"
    with pytest.raises(TwoPersonRule):
        require_may_dismiss(who, office(SCHOOL, QUERY))


# What cannot be built


@pytest.mark.parametrize(("kind", "duty"), [(k, d) for k in OfficeKind for d in Duty if d not in DUTIES_OF_KIND[k]])
def test_an_office_cannot_carry_a_duty_of_another_kind(kind: OfficeKind, duty: Duty) -> None:
    with pytest.raises(OfficeRefused):
        NewOffice(BEN, SCHOOL, kind, frozenset({duty}))


@pytest.mark.parametrize(
    ("level", "code", "path"),
    [
        (Level.SCHOOL, "610112", ("000000",)),
        (Level.COUNTY, "2161000001", ("000000",)),
        (Level.COUNTY, "61011%", ("000000",)),
        (Level.COUNTY, "６１0112", ("000000",)),
        (Level.COUNTY, "610112", ()),
        (Level.COUNTY, "610112", ("610000",)),
        (Level.NATION, "000000", ("000000",)),
        (Level.NATION, "610000", ()),
        (Level.PROVINCE, "000000", ()),
    ],
)
def test_a_unit_must_have_a_code_of_its_level_and_a_path_from_the_nation(
    level: Level, code: str, path: tuple[str, ...]
) -> None:
    with pytest.raises(OfficeRefused):
        Unit(level, code, path)


@given(st.sampled_from(sorted(UNITS)), st.sampled_from(sorted(UNITS)), st.sampled_from(sorted(UNITS)))
def test_scope_is_a_partial_order(a: str, b: str, c: str) -> None:
    x, y, z = UNITS[a], UNITS[b], UNITS[c]
    assert x.covers(x)
    assert not (x.covers(y) and y.covers(x)) or x == y
    assert not (x.covers(y) and y.covers(z)) or x.covers(z)


def test_every_refusal_of_authority_has_a_code_of_its_own() -> None:
    kinds = (SignInRequired, SecondFactorRequired, NotAuthorised, TwoPersonRule, OfficeRefused)
    assert len({kind.code for kind in kinds}) == len(kinds)
    assert all(issubclass(kind, TrustError) for kind in kinds)
