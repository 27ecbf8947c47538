"""Messages: stable codes to sentences, in every language of the product.

One gettext domain a room (`locale/<language>/LC_MESSAGES/<domain>.po`, msgid = code), all merged at start. A code may
stand in one domain only. Parameters are written `{name}` and are put in as text; nothing in a message is executed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import MappingProxyType

from babel.dates import format_date, format_datetime
from babel.messages.pofile import PoFileError, read_po
from babel.numbers import format_decimal

LOCALE_FOLDER = Path(__file__).parent / "locale"
# The language tags the product speaks (BCP 47), the default first, and their folders.
LANGUAGES: Mapping[str, str] = MappingProxyType({"zh-CN": "zh_CN", "en": "en"})
DEFAULT_LANGUAGE = "zh-CN"
# Beijing time, in which the country's schools keep their dates; fixed, so that no time zone database is needed.
SCHOOL_TIME = timezone(timedelta(hours=8))
PLACEHOLDER = re.compile(r"\{([a-z_][a-z0-9_]*)\}")


class CatalogueError(Exception):
    """A catalogue that cannot be read or says one code twice. Raised at start, never while serving."""


@dataclass(frozen=True, slots=True)
class Translator:
    """Called `t` in templates: `t("code", name=value)` gives the message in this reader's language."""

    locale: str
    messages: Mapping[str, str]

    def __call__(self, code: str, **params: str | int) -> str:
        """Return the message of `code` with its parameters put in; the code itself where no catalogue has it."""
        message = self.messages.get(code, code)
        return PLACEHOLDER.sub(lambda m: str(params.get(m[1], m[0])), message) if params else message

    def __contains__(self, code: str) -> bool:
        return code in self.messages

    @property
    def _babel(self) -> str:
        return LANGUAGES[self.locale]

    def date(self, seconds: int) -> str:
        """Return the day of a time (seconds since the epoch) as written in this language, Beijing time."""
        pattern = "y年M月d日" if self.locale == "zh-CN" else "d MMMM y"
        return format_date(datetime.fromtimestamp(seconds, SCHOOL_TIME), format=pattern, locale=self._babel)

    def time(self, seconds: int) -> str:
        """Return day and minute of a time (seconds since the epoch), Beijing time."""
        pattern = "y年M月d日 HH:mm" if self.locale == "zh-CN" else "d MMMM y, HH:mm"
        return format_datetime(datetime.fromtimestamp(seconds, SCHOOL_TIME), pattern, locale=self._babel)

    def machine_time(self, seconds: int) -> str:
        """Return a time as the `datetime` attribute of `<time>` wants it."""
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def number(self, value: int) -> str:
        """Return a whole number with its thousands in groups."""
        return str(format_decimal(value, locale=self._babel))


def load(folder: Path = LOCALE_FOLDER) -> Mapping[str, Translator]:
    """Read every domain of every language. Raises `CatalogueError`."""
    return MappingProxyType(
        {
            language: Translator(locale=language, messages=_messages(folder / name / "LC_MESSAGES"))
            for language, name in LANGUAGES.items()
        }
    )


def _messages(folder: Path) -> Mapping[str, str]:
    merged: dict[str, str] = {}
    for path in sorted(folder.glob("*.po")):
        try:
            with path.open("rb") as file:
                catalogue = read_po(file, abort_invalid=True)
        except (OSError, PoFileError, UnicodeDecodeError) as error:
            raise CatalogueError(f"{path.name} of {folder.parent.name} cannot be read: {error}") from error
        for message in catalogue:
            if not message.id:
                continue
            if not isinstance(message.id, str) or not isinstance(message.string, str) or not message.string.strip():
                raise CatalogueError(f"{message.id} in {path.name} of {folder.parent.name} has no text")
            if message.id in merged:
                raise CatalogueError(f"{message.id} stands twice in the catalogues of {folder.parent.name}")
            merged[message.id] = message.string
    return MappingProxyType(merged)


def language_of(tags: str) -> str | None:
    """Return the first language of ours in a list of tags (`ui_locales`: space separated, most wanted first)."""
    for tag in tags[:200].replace(",", " ").split():
        primary = tag.partition("-")[0].lower()
        for language in LANGUAGES:
            if primary == language.partition("-")[0]:
                return language
    return None


def language_of_header(accept_language: str) -> str | None:
    """Return the most wanted language of ours in an Accept-Language header (RFC 9110 §12.5.4)."""
    wanted: list[tuple[float, int, str]] = []
    for position, part in enumerate(accept_language[:500].split(",")):
        tag, _, rest = part.partition(";")
        weight = re.fullmatch(r"\s*q=(0(?:\.\d{1,3})?|1(?:\.0{1,3})?)\s*", rest)
        quality = float(weight[1]) if weight else 1.0
        language = language_of(tag)
        if language is not None and quality > 0:
            wanted.append((-quality, position, language))
    return min(wanted)[2] if wanted else None
