"""The refusals of the registry. One class a code; the rule says which sentence of the standard was broken."""

from __future__ import annotations

from crypto.errors import TrustError


class RegistryRefused(TrustError):
    """Any refusal of the registry."""

    code = "registry.refused"


class SchoolCodeRefused(RegistryRefused):
    """Not a school code (学校(机构)标识码)."""

    code = "registry.school_code_refused"


class UsccRefused(RegistryRefused):
    """Not a unified social credit code of GB 32100-2015."""

    code = "registry.uscc_refused"


class IdNumberRefused(RegistryRefused):
    """Not a citizen ID number of GB 11643-1999."""

    code = "registry.id_number_refused"


class PersonNumberRefused(RegistryRefused):
    """Not a person number of this register."""

    code = "registry.person_number_refused"


class NameRefused(RegistryRefused):
    """Not a name of a person or an institution."""

    code = "registry.name_refused"


class PhoneRefused(RegistryRefused):
    """Not a mobile number."""

    code = "registry.phone_refused"


class DateRefused(RegistryRefused):
    """Not a calendar date written YYYY-MM-DD."""

    code = "registry.date_refused"


class DivisionRefused(RegistryRefused):
    """Not a division code of GB/T 2260, or not one of the loaded revision."""

    code = "registry.division_refused"


class FileRefused(RegistryRefused):
    """A whole uploaded file that cannot be read as a table."""

    code = "registry.file_refused"


class RowRefused(RegistryRefused):
    """A row of a table that breaks a rule of its own, beside the rules of its values."""

    code = "registry.row_refused"


class SchoolRefused(RegistryRefused):
    """A change of the school register that its rules forbid."""

    code = "registry.school_refused"


class SchoolUnknown(RegistryRefused):
    """No school of this code is registered."""

    code = "registry.school_unknown"


class PersonUnknown(RegistryRefused):
    """No person of this number is registered."""

    code = "registry.person_unknown"


class AffiliationUnknown(RegistryRefused):
    """No affiliation of this identifier is registered."""

    code = "registry.affiliation_unknown"


class AffiliationRefused(RegistryRefused):
    """An affiliation that the rules of the register forbid."""

    code = "registry.affiliation_refused"


class StatusRefused(RegistryRefused):
    """A change of account status that is not allowed."""

    code = "registry.status_refused"


class ConflictUnknown(RegistryRefused):
    """No open conflict of this identifier."""

    code = "registry.conflict_unknown"


class ContactRefused(RegistryRefused):
    """A way to reach a person, or a language or time zone, that is not one."""

    code = "registry.contact_refused"
