"""The refusals of authority. A page turns the first two into a sign-in or a second factor, the others into a 403."""

from __future__ import annotations

from crypto.errors import TrustError


class SignInRequired(TrustError):
    """Nobody is signed in."""

    code = "authority.sign_in_required"


class SecondFactorRequired(TrustError):
    """The person holds the office, but the sign-in behind the request had one factor."""

    code = "authority.second_factor_required"


class NotAuthorised(TrustError):
    """No office of the person covers the act."""

    code = "authority.not_authorised"


class TwoPersonRule(TrustError):
    """Who drafted a thing may not approve it."""

    code = "authority.two_person_rule"


class OfficeRefused(TrustError):
    """An office that contradicts its own rules: duties its kind may not carry, a unit that is none."""

    code = "authority.office_refused"


class SystemOfficeTaken(TrustError):
    """The unit has an active system officer already; there is one at most."""

    code = "authority.system_office_taken"


class SeparationOfDuties(TrustError):
    """The person already holds an office of another kind in this unit."""

    code = "authority.separation_of_duties"


class OfficeUnknown(TrustError):
    """No active office of this identifier."""

    code = "authority.office_unknown"
