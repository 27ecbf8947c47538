"""The project keeps its own rules, and each rule notices when it is broken."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.architecture import rules


def kept(check: Callable[[Path, ast.Module, str], Iterator[str]], *packages: str) -> None:
    """Run a rule over every module; fail with every `file: sentence` it found."""
    found = []
    for path in rules.modules(*packages):
        source = path.read_text("utf-8")
        found += [f"{path.relative_to(rules.ROOT)}: {sentence}" for sentence in check(path, ast.parse(source), source)]
    assert not found, "\n" + "\n".join(found)


def test_inner_packages_have_no_clock_no_chance_no_environment() -> None:
    kept(lambda _, tree, __: rules.no_clock_no_chance_no_environment(tree), *rules.INNER)


def test_inner_packages_import_nothing_inside_a_function() -> None:
    kept(lambda _, tree, __: rules.no_import_in_a_function(tree), *rules.INNER)


def test_nothing_happens_at_import_time() -> None:
    kept(lambda _, tree, __: rules.nothing_happens_at_import(tree), *rules.INNER)


def test_modules_and_functions_are_short_enough() -> None:
    kept(rules.short_enough, *rules.PRODUCT, "tests")


def test_nothing_is_left_unfinished() -> None:
    kept(lambda _, tree, source: rules.nothing_unfinished(tree, source), *rules.PRODUCT)


def test_a_package_opens_with_prose_and_loads_nothing() -> None:
    def check(path: Path, tree: ast.Module, source: str) -> Iterator[str]:
        return rules.init_is_prose(tree) if path.name == "__init__.py" else iter(())

    kept(check, *rules.PRODUCT)


def test_every_suppression_says_why() -> None:
    kept(lambda _, __, source: rules.suppressions_have_reasons(source), *rules.PRODUCT, "tests")


def test_a_numbered_procedure_on_the_list_exists() -> None:
    for name in rules.NUMBERED_PROCEDURES:
        file, _, function = name.partition(":")
        tree = ast.parse((rules.ROOT / file).read_text("utf-8"))
        assert any(isinstance(node, ast.FunctionDef) and node.name == function for node in ast.walk(tree)), name


def test_imports_go_down_only() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=rules.ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# Each rule, broken


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "import random",
        "from secrets import token_bytes",
        "from os import urandom",
        "import os\nx = os.environ['A']",
        "import os\ndef f():\n    return os.getenv('A')",
        "from datetime import datetime\ndef f():\n    return datetime.now()",
        "import datetime\ndef f():\n    return datetime.datetime.now()",
        "import datetime\ndef f():\n    return datetime.date.today()",
        "import uuid\ndef f():\n    return uuid.uuid4()",
        "from uuid import uuid4",
        "from time import monotonic",
    ],
)
def test_the_rule_against_clock_and_chance_notices(source: str) -> None:
    assert list(rules.no_clock_no_chance_no_environment(ast.parse(source)))


@pytest.mark.parametrize(
    "source",
    [
        "import os.path",
        "from datetime import UTC, datetime\ndef f(now: int):\n    return datetime.fromtimestamp(now, UTC)",
    ],
)
def test_the_rule_against_clock_and_chance_lets_the_rest_be(source: str) -> None:
    assert not list(rules.no_clock_no_chance_no_environment(ast.parse(source)))


def test_the_rule_against_hidden_imports_notices() -> None:
    assert list(rules.no_import_in_a_function(ast.parse("def f():\n    import os")))
    assert list(rules.no_import_in_a_function(ast.parse("class A:\n    async def f(self):\n        from a import b")))
    assert not list(rules.no_import_in_a_function(ast.parse("import os\ndef f():\n    return os")))


@pytest.mark.parametrize(
    "source",
    [
        "open('a')",
        "register('x')",
        "ENGINE = create_engine('x')",
        "for x in y:\n    pass",
        "with a:\n    pass",
        "X = [load() for _ in y]",
        "def f(a):\n    return open(a)\nX = f('a')",
        "def f(a):\n    print(a)\n    return a\nX = f('a')",
    ],
)
def test_the_rule_against_work_at_import_notices(source: str) -> None:
    assert list(rules.nothing_happens_at_import(ast.parse(source)))


@pytest.mark.parametrize(
    "source",
    [
        "import re\nX = re.compile('a')",
        "X = frozenset({1})",
        "X = Policy(1)",
        "def row(a):\n    return Policy(a, frozenset())\nX = (row(1), row(2))",
        "def f():\n    open('a')",
        "if __name__ == '__main__':\n    main()",
        "X = lambda: open('a')",
    ],
)
def test_the_rule_against_work_at_import_lets_constants_be(source: str) -> None:
    assert not list(rules.nothing_happens_at_import(ast.parse(source)))


def test_the_rule_of_length_notices() -> None:
    path = rules.ROOT / "crypto" / "long.py"
    assert list(rules.short_enough(path, ast.parse(""), "x\n" * 401))
    assert not list(rules.short_enough(path, ast.parse(""), "x\n" * 400))
    long = "def f():\n" + "    x = 1\n" * 70
    assert list(rules.short_enough(path, ast.parse(long), long))
    assert not list(rules.short_enough(path, ast.parse(long[:-10]), long[:-10]))


@pytest.mark.parametrize(
    "source",
    ["# TODO: later", "x = 1  # FIXME", "def f():\n    raise NotImplementedError", "raise NotImplementedError('x')"],
)
def test_the_rule_against_the_unfinished_notices(source: str) -> None:
    assert list(rules.nothing_unfinished(ast.parse(source), source))
    assert not list(rules.nothing_unfinished(ast.parse("x = 'TODO'"), "x = 'TODO'"))


def test_the_rule_of_packages_notices() -> None:
    assert list(rules.init_is_prose(ast.parse("")))
    assert list(rules.init_is_prose(ast.parse('"""Prose."""\nfrom a import b')))
    assert not list(rules.init_is_prose(ast.parse('"""Prose."""')))


@pytest.mark.parametrize(
    "comment", ["# type: ignore", "# noqa", "# noqa: E501", "# type: ignore[arg-type]", "# ruff: noqa: PT012"]
)
def test_the_rule_of_suppressions_notices(comment: str) -> None:
    assert list(rules.suppressions_have_reasons(f"x = 1  {comment}\n"))
    if ":" in comment and comment != "# type: ignore":
        assert not list(rules.suppressions_have_reasons(f"x = 1  {comment}  # the reason\n"))
