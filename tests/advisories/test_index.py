"""Every class of advisory has tests named for it, and every one of them has been seen to fail."""

from __future__ import annotations

import pytest

from tests.advisories.index import CLASSES, DOCUMENT, declared, document


@pytest.mark.parametrize("number", CLASSES)
def test_a_class_has_a_test_and_the_test_has_been_seen_red(number: int) -> None:
    mine = [module for module in declared() if number in module.classes]
    assert mine, f"no module names class {number}: {CLASSES[number]}"
    assert any(module.seen_red for module in mine), f"no planted fault is on record for class {number}"


def test_what_is_on_record_as_seen_red_is_a_test_of_the_module() -> None:
    for module in declared():
        assert set(module.seen_red) <= set(module.tests), module.module
        assert module.tests, module.module
        assert set(module.classes) <= set(CLASSES), module.module
        assert module.classes, module.module


def test_the_document_is_what_the_modules_say() -> None:
    assert DOCUMENT.read_text("utf-8") == document(declared()), "run: python -m tests.advisories.index"
