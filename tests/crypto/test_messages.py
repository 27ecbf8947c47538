from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

import crypto
from crypto.errors import TrustError

LOCALES = Path(__file__).resolve().parents[2] / "adapters" / "web" / "locale"


def codes() -> set[str]:
    found: set[str] = set()
    for module in pkgutil.iter_modules(crypto.__path__, "crypto."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and issubclass(value, TrustError) and value is not TrustError:
                found.add(value.code)
    return found


@pytest.mark.parametrize("locale", ["zh_CN", "en"])
def test_every_refusal_has_a_message_in_both_languages(locale: str) -> None:
    with (LOCALES / locale / "LC_MESSAGES" / "crypto.po").open("rb") as file:
        catalogue = {str(message.id): str(message.string) for message in read_po(file) if message.id}
    assert all(catalogue.values())
    assert codes() <= catalogue.keys()
    assert {code.split(".")[1] for code in catalogue} == {code.split(".")[1] for code in codes()}


def test_a_refusal_says_its_code_field_and_rule_and_nothing_else() -> None:
    from crypto.errors import KeyRefused

    assert (
        str(KeyRefused(field="n", rule="rsa_too_short", bits=1024)) == "crypto.key_refused field=n rule=rsa_too_short"
    )
    assert str(TrustError()) == "error"
