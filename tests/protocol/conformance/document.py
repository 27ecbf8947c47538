"""Writes `docs/conformance.md`: runs the modules' tests and says module by module what came of it.

python -m tests.protocol.conformance.document
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

import pytest

from tests.protocol.conformance.plans import FOLDER, NOTES, OPEN, PLANS, Plan, is_tested, node_id

DOCUMENT = FOLDER.parents[2] / "docs" / "conformance.md"
PASSED = "passes"

_HEAD = """\
# Conformance with OpenID Connect, module by module

The OpenID Foundation publishes test plans for providers. For each module of the plans below there is one test named after
it in `tests/protocol/conformance`, written anew from the module's public description: it starts the whole service behind
a real port with TLS and drives it as the suite does, with a plain HTTP client and a browser without scripts.

**The official suite was not run here.** A test that passes says that the service does what we understand the module to
ask, and no more; only the official suite certifies. What the suite leaves to a person's eye (it ends such modules in
REVIEW), the test reads from the page.

A module without a test is *open*, with the reason. Nothing is skipped and no failure is expected. The plans for the
implicit and hybrid flows are no goal: no token of ours travels through the browser (RFC 9700 §2.1.2).

This file is written by `python -m tests.protocol.conformance.document`, which runs the tests; do not edit it.
"""


class _Results:
    """Keeps what pytest says of each test."""

    def __init__(self) -> None:
        self.by_node: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        node = report.nodeid.rpartition("/")[2]
        if report.failed:
            self.by_node[node] = "fails"
        elif report.when == "call":
            self.by_node[node] = PASSED if report.passed else "was not run"


def all_pass() -> Mapping[str, str]:
    """Return the results of a run in which every test passed."""
    return {node_id(plan, module): PASSED for plan in PLANS for module in plan.modules if is_tested(plan, module)}


def render(results: Mapping[str, str]) -> str:
    """Return the document for results by test."""
    counts = ["| plan | modules | pass | open |", "|---|---:|---:|---:|"]
    for plan in PLANS:
        passed = sum(results.get(node_id(plan, module)) == PASSED for module in plan.modules)
        counts.append(f"| {plan.title} | {len(plan.modules)} | {passed} | {len(OPEN.get(plan.name, {}))} |")
    return "\n".join([_HEAD, *counts, "", *(_section(plan, results) for plan in PLANS)])


def _section(plan: Plan, results: Mapping[str, str]) -> str:
    reasons = OPEN.get(plan.name, {})
    lines = [f"## {plan.title}", "", f"`{plan.name}`", "", "| module | test | result |", "|---|---|---|"]
    for module in plan.modules:
        if module in reasons:
            lines.append(f"| `{module}` | – | open: {reasons[module]} |")
        else:
            node = node_id(plan, module)
            note = f" ({NOTES[module]})" if module in NOTES else ""
            lines.append(f"| `{module}` | `{node}` | {results.get(node, 'was not run')}{note} |")
    return "\n".join([*lines, ""])


def main() -> int:
    """Run the tests and write the document; return 1 when one of them does not pass."""
    files = sorted({str(FOLDER / plan.file) for plan in PLANS if plan.file is not None})
    results = _Results()
    status = pytest.main(["-q", "-p", "no:randomly", *files], plugins=[results])
    DOCUMENT.write_text(render(results.by_node), "utf-8")
    return int(status != pytest.ExitCode.OK)


if __name__ == "__main__":
    sys.exit(main())
