"""Which class of advisory is tested where, and which planted fault was seen to turn the test red.

Each module of this folder says so itself in two literals, `ADVISORY_CLASSES` and `SEEN_RED`; this reads them without
importing anything. `python -m tests.advisories.index` writes the table of `docs/advisories.md` from them.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
DOCUMENT = FOLDER.parents[1] / "docs" / "advisories.md"

CLASSES: dict[int, str] = {
    1: "redirect addresses: prefix, host, path, user part, loopback",
    2: "script addresses in a registration; form_post and sign-out as open redirectors",
    3: "PKCE left out, emptied, weakened",
    4: "response types, modes and grants that do not exist",
    5: "duplicated, mixed and conflicting parameters; request objects",
    6: "mix-up: `iss`, and an issuer that no request header changes",
    7: "a code used twice, at once, by another client, forged",
    8: "a refresh token used twice, at once, in one second, after a restart, against revocation",
    9: "action tokens (reset, e-mail, invitation)",
    10: "algorithm confusion, keys brought along, `kid` and `crit` tricks",
    11: "one kind of token in the place of another",
    12: "client assertions replayed or too generous",
    13: "token exchange",
    14: "introspection and revocation by another client",
    15: "lock-out by one path and not by another",
    16: "a disabled person, account, client or office that still works",
    17: "consent skipped; a registration token that outlives its client",
    18: "guessing: in parallel, by spellings, by alternating endpoints",
    19: "who has an account: by text, by status, by time",
    20: "session fixation and swap",
    21: "sign-out forged or altered; logout tokens",
    22: "state changed by GET, sign-in forged, framing, script in what is shown",
    23: "a malformed cookie that lets through",
    33: "requests the server is made to send",
    34: "registration abused",
    35: "one request that costs the server too much",
    36: "administration: privilege by impersonation, secrets shown, code run",
    37: "secrets and personal data in logs, addresses, pages",
}
"""Groups A to D and G of the project's list of advisory classes, by their numbers there."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What one module says of itself."""

    module: str
    classes: tuple[int, ...]
    seen_red: dict[str, str]
    tests: tuple[str, ...]


def declared() -> list[Declared]:
    """Read every test module of the folder but the index's own. Raises `KeyError` for one that does not say."""
    return [_read(path) for path in sorted(FOLDER.glob("test_*.py")) if path.name != "test_index.py"]


def _read(path: Path) -> Declared:
    tree = ast.parse(path.read_text("utf-8"))
    said: dict[str, object] = {}
    for node in tree.body:
        target = node.target if isinstance(node, ast.AnnAssign) else None
        if (
            isinstance(target, ast.Name)
            and target.id in {"ADVISORY_CLASSES", "SEEN_RED"}
            and isinstance(node, ast.AnnAssign)
        ):
            assert node.value is not None, path.name
            said[target.id] = ast.literal_eval(node.value)
    classes, seen_red = said["ADVISORY_CLASSES"], said["SEEN_RED"]
    assert isinstance(classes, tuple), path.name
    assert isinstance(seen_red, dict), path.name
    tests = tuple(
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    )
    return Declared(path.name, classes, seen_red, tests)


def document(modules: list[Declared]) -> str:
    """Return `docs/advisories.md`."""
    lines = [
        "# Classes of published advisories, and the tests named for them",
        "",
        "What struck other servers of this kind, by class, with the modules of `tests/advisories` that try it here. A test that",
        "cannot fail shows nothing: the last column lists faults that were planted in the product one at a time, each seen to",
        "turn the test named with it red, and taken out again. Written by `python -m tests.advisories.index`; a test compares.",
        "",
        "| class | what | tests in | faults seen to turn a test red |",
        "|---|---|---|---|",
    ]
    for number, what in CLASSES.items():
        mine = [module for module in modules if number in module.classes]
        faults = [f"`{test}`: {fault}" for module in mine for test, fault in module.seen_red.items()]
        names = ", ".join(f"`{module.module}`" for module in mine)
        lines.append(f"| {number} | {what} | {names} | {'<br>'.join(faults)} |")
    count = sum(len(module.tests) for module in modules)
    lines += ["", f"{len(modules)} modules, {count} test functions, many of them with tables of cases.", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    DOCUMENT.write_text(document(declared()), "utf-8")
