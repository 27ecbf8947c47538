"""What a browser sent, read once and within bounds: texts by name, and at most one file."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.datastructures import UploadFile
from starlette.requests import Request

# A form of these pages has a dozen fields; a share of a record with every claim ticked has some forty.
MAX_FIELDS = 100
# A pasted bundle: credential, receipt, status list and chain, all in text.
MAX_TEXT_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Typed:
    """What was typed, as typed; `file` is None where none was chosen, `file_too_large` where it passed its bound."""

    texts: Mapping[str, tuple[str, ...]] = field(repr=False)
    file: bytes | None = field(repr=False)
    file_too_large: bool

    def text(self, name: str) -> str:
        """Return the last value of a field, trimmed; empty where there is none."""
        values = self.texts.get(name, ())
        return values[-1].strip() if values else ""

    def all(self, name: str) -> tuple[str, ...]:
        """Return every value of a field."""
        return self.texts.get(name, ())


async def read_form(request: Request, *, max_file_bytes: int) -> Typed:
    """Read a form, urlencoded or multipart. A file past its bound is not kept; the rest of the form is."""
    async with request.form(max_files=1, max_fields=MAX_FIELDS, max_part_size=MAX_TEXT_BYTES) as form:
        texts: dict[str, tuple[str, ...]] = {}
        content: bytes | None = None
        too_large = False
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                data = await value.read(max_file_bytes + 1)
                too_large = len(data) > max_file_bytes
                # A browser sends an empty nameless file where none was chosen.
                content = None if too_large or not (data or value.filename) else data
            else:
                texts[name] = (*texts.get(name, ()), value)
        return Typed(texts, content, too_large)


def whole_number(text: str) -> int | None:
    """Read digits, full-width ones too, as people's keyboards make them; None for anything else."""
    plain = unicodedata.normalize("NFKC", text.strip())
    return int(plain) if plain.isascii() and plain.isdigit() and len(plain) <= MAX_DIGITS else None


MAX_DIGITS = 9
