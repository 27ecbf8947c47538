"""Every refusal of the ledger can be told to a person in both languages."""

from __future__ import annotations

from pathlib import Path

import pytest
from babel.messages.pofile import read_po

import ledger.errors
from ledger.errors import LedgerError

LOCALES = Path(ledger.errors.__file__).resolve().parents[1] / "adapters" / "web" / "locale"


@pytest.mark.parametrize("locale", ["en", "zh_CN"])
def test_each_code_has_its_sentence_and_no_sentence_is_left_over(locale: str) -> None:
    with (LOCALES / locale / "LC_MESSAGES" / "ledger.po").open("rb") as file:
        catalogue = read_po(file, locale=locale)
    refusals = [one for one in vars(ledger.errors).values() if isinstance(one, type) and issubclass(one, LedgerError)]
    codes = {one.code for one in refusals}
    assert len(codes) == len(refusals) >= 16
    assert {str(message.id) for message in catalogue if message.id} == codes
    assert all(message.string for message in catalogue if message.id)
