"""The words of a printed certificate, in both languages, of a record its holder may print.

What a certificate of each kind says and in which order is decided here; every sentence comes from the catalogues through
`words_zh` and `words_en`. Dates are calendar dates of Asia/Shanghai. A certificate names a verification code that opens
the whole record; which of the holder's codes may be printed a second time is decided here too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import ClassVar, Final, Literal, Protocol, get_args

from credentials.copyright.registration import LICENCES
from credentials.creditbank.record import show_credits
from credentials.diploma import LEVELS
from credentials.errors import CredentialsError
from credentials.formats.pdf_render import CertificateRefused, CertificateView, Row
from credentials.model import HeldCredential, Share
from credentials.sharing import DAY_S, MAX_DAYS
from credentials.status import Status

# A printed code lives as long as any code may; one with five of its six months left serves for the next print too.
CODE_DAYS: Final = MAX_DAYS
REUSED_WITH_DAYS_LEFT: Final = 150

Kind = Literal["diploma", "credit_record", "copyright_registration"]
_KINDS: Final[Mapping[str, Kind]] = {kind: kind for kind in get_args(Kind)}
# Whose name stands at the head, and the rows below it in the order of the paper certificates; a claim not held has none.
_HOLDER: Final[Mapping[Kind, str]] = {"diploma": "name", "credit_record": "name", "copyright_registration": "author"}
_ROWS: Final[Mapping[Kind, tuple[str, ...]]] = {
    "diploma": (
        "name", "student_number", "major", "level", "duration_years", "period_of_study", "certificate_number",
        "degree_certificate_number",
    ),
    "credit_record": (
        "name", "achievement", "achievement_code", "credits_hundredths", "hours_learned", "grade", "recognised_on",
        "number",
    ),
    "copyright_registration": ("title", "author", "number", "file_sm3", "licence", "registered_on"),
}  # fmt: skip
_PERIOD: Final = frozenset({"enrolment_date", "graduation_date"})
_STUDIES: Final = _PERIOD | {"major", "duration_years"}
# China has kept one time without daylight saving since 1992, and nothing here is older.
_SHANGHAI: Final = timezone(timedelta(hours=8))
_HAN_DIGITS: Final = "〇一二三四五六七八九"


class CertificateNotInForce(CredentialsError):
    """A record that is revoked, suspended or superseded (`rule`): a school puts no new seal on it."""

    code: ClassVar[str] = "credentials.certificate_not_in_force"


class Words(Protocol):
    """A catalogue of one language: the sentence of a code with its parameters put in."""

    def __call__(self, code: str, **params: str | int) -> str:
        """Return the sentence."""
        ...


@dataclass(frozen=True, slots=True)
class _Language:
    """One language's words, and how it writes a number within a sentence."""

    words: Words
    numeral: Callable[[int], str]

    def day(self, day: date) -> str:
        month = self.words(f"certificate.month.{day.month}")
        return self.words("certificate.date", year=day.year, month=day.month, month_name=month, day=day.day)

    def month(self, day: date) -> str:
        month = self.words(f"certificate.month.{day.month}")
        return self.words("certificate.month_of_year", year=self.numeral(day.year), month_name=month)

    def span(self, years: str) -> str:
        """Say years of study: whole or half ones, as diplomas state them."""
        whole, _, half = years.partition(".")
        return self.words("certificate.span_half" if half else "certificate.span", years=self.numeral(int(whole)))


def _han(number: int) -> str:
    """Write a number digit by digit, as years are read: 二〇二六."""
    return "".join(_HAN_DIGITS[int(digit)] for digit in str(number))


def printable(held: HeldCredential) -> Kind:
    """Return the kind of a record that may be printed. Raises `CertificateNotInForce`, and `CertificateRefused`: kind."""
    if held.status is not Status.VALID:
        raise CertificateNotInForce(field="status", rule=held.status.name.lower())
    if held.kind not in _KINDS:
        raise CertificateRefused(field="kind", rule="kind")
    return _KINDS[held.kind]


def printed_before(shares: Iterable[Share], held: HeldCredential, *, now: int) -> Share | None:
    """Return an open share of the record that a print may name again: all fields, no limit, and months left to live."""
    for share in shares:
        whole = share.credential == held.id and set(share.fields) == set(held.selectable) and share.view_limit is None
        if whole and share.open_at(now) and share.valid_until - now > REUSED_WITH_DAYS_LEFT * DAY_S:
            return share
    return None


def certificate_view(
    held: HeldCredential, *, share: Share, address: str, printed_at: int, words_zh: Words, words_en: Words
) -> CertificateView:
    """Return every word of the certificate of a record.

    `share` is the code it names, `address` the verification address the code is appended to, `printed_at` the time
    (seconds since the epoch) its words are as of. Raises `CertificateRefused`: what `printable` raises; claim, where a
    claim is not of its form.
    """
    kind = printable(held)
    zh, en = _Language(words_zh, _han), _Language(words_en, str)
    until, today = _day_of(share.valid_until), _day_of(printed_at)
    return CertificateView(
        kind=kind,
        title_zh=words_zh(f"certificate.title.{kind}"),
        title_en=words_en(f"certificate.title.{kind}"),
        school_zh=held.issuer_name,
        school_en="",  # the register holds no English names of schools
        holder_name=_text(held, _HOLDER[kind]),
        holder_name_en="",
        statement_zh=_statement(kind, held, zh),
        statement_en=_statement(kind, held, en),
        rows=tuple(_rows(kind, held, zh, en)),
        table_columns=(),
        table_rows=(),
        number=held.number,
        link=f"{address}/{share.code}",
        code=share.code.replace("-", ""),
        verify_zh=words_zh("certificate.verify", date=zh.day(until)),
        verify_en=words_en("certificate.verify", date=en.day(until)),
        notice_zh=words_zh(f"certificate.notice.{kind}"),
        notice_en=words_en(f"certificate.notice.{kind}"),
        as_of_zh=words_zh("certificate.as_of", date=zh.day(today)),
        as_of_en=words_en("certificate.as_of", date=en.day(today)),
    )


def _day_of(seconds: int) -> date:
    return datetime.fromtimestamp(seconds, _SHANGHAI).date()


def _text(held: HeldCredential, name: str) -> str:
    value = held.claims.get(name)
    if not isinstance(value, str):
        raise CertificateRefused(field=name, rule="claim")
    return value


def _day(held: HeldCredential, name: str) -> date:
    try:
        return date.fromisoformat(_text(held, name))
    except ValueError as error:
        raise CertificateRefused(field=name, rule="claim") from error


def _credits(held: HeldCredential) -> str:
    hundredths = held.claims.get("credits_hundredths")
    if type(hundredths) is not int or hundredths < 0:
        raise CertificateRefused(field="credits_hundredths", rule="claim")
    return show_credits(hundredths)


def _rows(kind: Kind, held: HeldCredential, zh: _Language, en: _Language) -> Iterable[Row]:
    for name in _shown(kind, held):
        yield _row(name, _value(held, name, zh), _value(held, name, en), zh, en)
    issued = _day_of(held.issued_at)
    yield _row("issued_on", zh.day(issued), en.day(issued), zh, en)


def _shown(kind: Kind, held: HeldCredential) -> Iterable[str]:
    for name in _ROWS[kind]:
        if name == "period_of_study":
            yield name if held.claims.keys() >= _PERIOD else "graduation_date"
        elif name in held.claims:
            yield name


def _row(name: str, value: str, value_en: str, zh: _Language, en: _Language) -> Row:
    code = f"certificate.label.{name}"
    return Row(zh.words(code), en.words(code), value, "" if value_en == value else value_en)


def _value(held: HeldCredential, name: str, language: _Language) -> str:
    """Return what a row says in words of the language."""
    words = language.words
    if name == "period_of_study":
        begun, ended = (language.day(_day(held, one)) for one in ("enrolment_date", "graduation_date"))
        return words("certificate.period", begun=begun, ended=ended)
    value = held.claims[name]
    if name == "credits_hundredths":
        return _credits(held)
    if name.endswith(("_date", "_on")):
        return language.day(_day(held, name))
    if name == "level" and value in LEVELS:
        return words(f"credentials.level.{value}")
    if name == "licence" and value in LICENCES:
        return words(f"batch.licence_{value}")
    if name == "duration_years":
        return words("certificate.years", years=str(value))
    return str(value)


def _statement(kind: Kind, held: HeldCredential, language: _Language) -> str:
    """Return the sentence that certifies: of a diploma in the wording the certificates of its level have on paper."""
    words = language.words
    if kind == "credit_record":
        return words(
            "certificate.statement.credit_record",
            name=_text(held, "name"), achievement=_text(held, "achievement"), credits=_credits(held),
        )  # fmt: skip
    if kind == "copyright_registration":
        date_words = language.day(_day(held, "registered_on"))
        return words("certificate.statement.copyright_registration", date=date_words)
    level = held.claims.get("level")
    # A record of before the studies were asked for, or of a level named later, says what it surely knows.
    if level not in LEVELS or not held.claims.keys() >= _STUDIES:
        return words("certificate.statement.diploma", name=_text(held, "name"))
    return words(
        f"certificate.statement.diploma.{level}",
        name=_text(held, "name"),
        major=_text(held, "major"),
        span=language.span(_text(held, "duration_years")),
        begun=language.month(_day(held, "enrolment_date")),
        ended=language.month(_day(held, "graduation_date")),
    )
