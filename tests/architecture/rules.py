"""The project's own rules as functions over a module's syntax tree. Each yields sentences, empty when kept."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
INNER = ("crypto", "ledger", "idp", "credentials")
PRODUCT = (*INNER, "adapters")

MODULE_MAX_LINES = 400
TEST_MODULE_MAX_LINES = 600
FUNCTION_MAX_LINES = 70
# A verification that follows a numbered list of a standard reads better in one piece; each is named here with the list.
NUMBERED_PROCEDURES: dict[str, str] = {}
NUMBERED_MAX_LINES = 120

# Where a clock, chance, the environment or a file would come in. Inner packages are given these as arguments.
FORBIDDEN_MODULES = frozenset({"random", "secrets", "subprocess", "socket", "dotenv", "time"})
FORBIDDEN_CALLS = {
    "datetime": frozenset({"now", "utcnow", "today"}),
    "date": frozenset({"today"}),
    "os": frozenset({"environ", "environb", "getenv", "urandom", "getrandom"}),
    "uuid": frozenset({"uuid1", "uuid4"}),
    "time": frozenset({"time", "time_ns", "monotonic", "perf_counter", "sleep"}),
    "Path": frozenset({"cwd", "home"}),
}
_UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


def modules(*packages: str) -> Iterator[Path]:
    """Yield every module of some packages."""
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "node_modules" not in path.parts:
                yield path


def dotted(node: ast.expr) -> str:
    """Return `a.b.c` of a chain of names, or an empty text."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        head = dotted(node.value)
        return f"{head}.{node.attr}" if head else ""
    return ""


def no_clock_no_chance_no_environment(tree: ast.Module) -> Iterator[str]:
    """Inner packages: time, randomness and environment are arguments (that is what makes the simulator possible)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] in FORBIDDEN_MODULES:
                    yield f"line {node.lineno}: imports {alias.name}"
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            if node.module.partition(".")[0] in FORBIDDEN_MODULES:
                yield f"line {node.lineno}: imports from {node.module}"
            for alias in node.names:
                if alias.name in FORBIDDEN_CALLS.get(node.module, ()):
                    yield f"line {node.lineno}: imports {node.module}.{alias.name}"
        elif isinstance(node, ast.Attribute):
            owner = dotted(node.value).rpartition(".")[2]
            if node.attr in FORBIDDEN_CALLS.get(owner, ()):
                yield f"line {node.lineno}: uses {owner}.{node.attr}"


def no_import_in_a_function(tree: ast.Module) -> Iterator[str]:
    """Refuse an import inside a function: it hides a cycle or a cost."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    yield f"line {node.lineno}: imports inside {function.name}()"


# What a module may call while it is imported: making constants, types and declarations. Nothing that opens, starts,
# registers or reads.
PURE_CALLS = frozenset(
    {
        "frozenset", "set", "dict", "tuple", "list", "range", "max", "min", "sum", "len", "int", "bytes", "str", "sorted",
        "pow", "zip", "enumerate", "ord", "chr", "namedtuple", "TypeVar", "ParamSpec", "NewType", "MappingProxyType",
        "re.compile", "compile", "map", "get_args", "Path", "field", "dataclass", "Struct", "struct.Struct", "timedelta", "timezone", "Decimal",
        "Fraction", "ip_network", "ipaddress.ip_network", "bytes.fromhex", "int.from_bytes", "str.maketrans", "getattr",
        "logging.getLogger", "lru_cache", "property", "auto", "cast", "parents", "isinstance", "any", "all", "abs", "bool",
        "__import__", "types.MappingProxyType", "object", "Lock",
    }
)  # fmt: skip
PURE_METHODS = frozenset(
    {"join", "split", "encode", "decode", "items", "keys", "values", "format", "strip", "resolve", "bit_length", "to_bytes",
     "union", "hex", "splitlines", "replace", "upper", "lower", "fromhex", "fromkeys", "from_bytes", "digest", "hexdigest"}
)  # fmt: skip


def nothing_happens_at_import(tree: ast.Module) -> Iterator[str]:
    """No engine, registry, file or setting is touched by importing a module. Types of ours may be instantiated."""
    makers = {function.name for function in tree.body if isinstance(function, ast.FunctionDef) and _is_maker(function)}
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom):
            continue
        if isinstance(statement, ast.If) and _is_guard(statement.test):
            continue
        if isinstance(statement, ast.With | ast.AsyncWith | ast.For | ast.While | ast.Try | ast.Delete):
            yield f"line {statement.lineno}: {type(statement).__name__} at import time"
            continue
        for node in _outside_lambdas(statement):
            if isinstance(node, ast.Call) and not _is_pure(node) and dotted(node.func) not in makers:
                yield f"line {node.lineno}: calls {dotted(node.func) or 'something'}() at import time"


def _is_maker(function: ast.FunctionDef) -> bool:
    """Say whether a function only returns a constant made of its arguments: a row of a table, written short."""
    body = [
        statement
        for statement in function.body
        if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
    ]
    return (
        len(body) == 1
        and isinstance(body[0], ast.Return)
        and all(_is_pure(node) for node in ast.walk(body[0]) if isinstance(node, ast.Call))
    )


def _is_guard(test: ast.expr) -> bool:
    return dotted(test) == "TYPE_CHECKING" or (isinstance(test, ast.Compare) and dotted(test.left) == "__name__")


def _outside_lambdas(statement: ast.stmt) -> Iterator[ast.AST]:
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        if not isinstance(node, ast.Lambda):
            yield node
            waiting.extend(ast.iter_child_nodes(node))


def _is_pure(call: ast.Call) -> bool:
    name = dotted(call.func)
    last = name.rpartition(".")[2] if name else call.func.attr if isinstance(call.func, ast.Attribute) else ""
    # A capitalised name makes a value of a type: frozen dataclasses, enumerations, schemas.
    return (
        name in PURE_CALLS
        or last in PURE_METHODS
        or last in PURE_CALLS
        or last[:1].isupper()
        or last[:2] == "_" + last[1:2].upper()
    )


def short_enough(path: Path, tree: ast.Module, source: str) -> Iterator[str]:
    """Modules and functions that a reader holds in mind."""
    lines = source.count("\n") + (not source.endswith("\n"))
    most = TEST_MODULE_MAX_LINES if path.parts[len(ROOT.parts)] == "tests" else MODULE_MAX_LINES
    if lines > most:
        yield f"{lines} lines; a module has at most {most}"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            length = node.end_lineno - node.lineno + 1
            name = f"{path.relative_to(ROOT)}:{node.name}"
            # A migration is a list of tables with their promises; cutting it in two would only hide the second half.
            long = name in NUMBERED_PROCEDURES or "migrations" in path.parts
            limit = NUMBERED_MAX_LINES if long else FUNCTION_MAX_LINES
            if length > limit:
                yield f"line {node.lineno}: {node.name}() has {length} lines; at most {limit}"


def nothing_unfinished(tree: ast.Module, source: str) -> Iterator[str]:
    """No promise to write it later, no function that only says so."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and _UNFINISHED.search(token.string):
            yield f"line {token.start[0]}: {token.string.strip()}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and node.exc is not None:
            raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            if dotted(raised) == "NotImplementedError":
                yield f"line {node.lineno}: raises NotImplementedError"


def init_is_prose(tree: ast.Module) -> Iterator[str]:
    """Ask that a package opens with prose saying what it owns and what it refuses, and loads nothing."""
    if ast.get_docstring(tree) is None:
        yield "has no prose"
    for statement in tree.body[1:]:
        yield f"line {statement.lineno}: holds {type(statement).__name__}; importing one module would load others"


def suppressions_have_reasons(source: str) -> Iterator[str]:
    """`# type: ignore[code]` and `# noqa: CODE` say why, behind a second `#` or in the same comment."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        for match in re.finditer(
            r"#\s*(?:ruff:\s*)?(?:type:\s*ignore(?P<i>\[[^\]]*\])?|noqa(?P<n>:\s*[A-Z0-9, ]+)?)", token.string
        ):
            if not (match["i"] or match["n"]):
                yield f"line {token.start[0]}: a suppression without a code"
            elif not re.search(r"[A-Za-z\u4e00-\u9fff]{3}", token.string[match.end() :]):
                yield f"line {token.start[0]}: a suppression without a reason"
