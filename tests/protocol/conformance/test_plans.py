"""Every module of every plan is accounted for, once."""

from __future__ import annotations

import ast

import pytest

from tests.protocol.conformance import document
from tests.protocol.conformance.plans import NOTES, OPEN, PLANS, Plan, function_name, functions_of, is_tested
from tests.vectors_dir import shared

SKIPPING = {"skip", "skipif", "xfail", "importorskip"}


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.title)
def test_every_module_is_tested_or_open_with_a_reason_and_never_both(plan: Plan) -> None:
    assert len(set(plan.modules)) == len(plan.modules)
    reasons = OPEN.get(plan.name, {})
    assert set(reasons) <= set(plan.modules)
    for module in plan.modules:
        assert is_tested(plan, module) != (module in reasons), module
        assert reasons.get(module, "a reason").strip(), module


def test_every_note_is_about_a_module_that_is_tested() -> None:
    assert set(NOTES) <= {module for plan in PLANS for module in plan.modules if is_tested(plan, module)}


def test_every_test_of_a_plan_is_named_after_one_of_its_modules() -> None:
    for file in {plan.file for plan in PLANS if plan.file is not None}:
        named = {function_name(module) for plan in PLANS if plan.file == file for module in plan.modules}
        assert set(functions_of(file)) <= named, file


def test_no_module_passes_by_being_skipped_or_expected_to_fail() -> None:
    for file in {plan.file for plan in PLANS if plan.file is not None}:
        for function in functions_of(file).values():
            names = {node.attr for node in ast.walk(function) if isinstance(node, ast.Attribute)}
            assert not names & SKIPPING, function.name


def test_the_plans_hold_the_modules_the_suite_publishes() -> None:
    sections = shared("oidc-conformance-modules.md").read_text("utf-8").split("\n## ")
    for plan in PLANS:
        (section,) = [text for text in sections if f": `{plan.name}`" in text.partition("\n")[0]]
        listed = tuple(line.split("`")[1] for line in section.splitlines() if line.startswith("- `"))
        assert plan.modules == listed or "Same module list as Basic OP" in section, plan.name


def test_the_document_says_what_the_tests_say() -> None:
    assert document.DOCUMENT.read_text("utf-8") == document.render(document.all_pass())
