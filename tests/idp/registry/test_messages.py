"""Every refusal of registry and authority is said in both languages, each rule with a sentence of its own."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

from adapters.web.catalogue import PLACEHOLDER, load
from crypto.errors import TrustError
from idp.authority import errors as authority_errors
from idp.authority.model import Duty, Level, OfficeKind
from idp.registry import errors as registry_errors
from idp.registry.model import AccountStatus, AffiliationKind, ProofingLevel, SchoolStatus, Source
from idp.registry.school_code import CATEGORIES

ROOT = Path(__file__).parents[3]
SOURCES = [
    *(ROOT / "idp" / "registry").glob("*.py"),
    *(ROOT / "idp" / "authority").glob("*.py"),
    *(ROOT / "adapters" / "sql").glob("idp_registry*.py"),
    ROOT / "adapters" / "sql" / "idp_authority.py",
    ROOT / "adapters" / "demo" / "institutions.py",
]
KINDS: dict[str, type[TrustError]] = {
    name: kind
    for module in (registry_errors, authority_errors)
    for name, kind in inspect.getmembers(module, inspect.isclass)
    if issubclass(kind, TrustError) and kind is not TrustError
}


def _constant(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def raised_codes() -> set[str]:
    """Find `Kind(…, rule="…")`, `RefusedRow(…, Kind.code, "…")` and `self._refuse(row, field, "…")` in the source."""
    found = {kind.code for kind in KINDS.values()}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            rule = next((_constant(k.value) for k in node.keywords if k.arg == "rule"), None)
            if name in KINDS and rule is not None:
                found.add(f"{KINDS[name].code}.{rule}")
            elif name == "RefusedRow" and (last := _constant(node.args[-1])) is not None:
                kind = node.args[2]
                assert isinstance(kind, ast.Attribute)
                assert isinstance(kind.value, ast.Name)
                found.add(f"{KINDS[kind.value.id].code}.{last}")
            elif name == "_refuse" and (last := _constant(node.args[-1])) is not None:
                found.add(f"registry.school_refused.{last}")
    return found


LABELS = {
    *(f"registry.category.{category}" for category in CATEGORIES),
    *(f"registry.school_status.{status}" for status in SchoolStatus),
    *(f"registry.account_status.{status}" for status in AccountStatus),
    *(f"registry.affiliation_kind.{kind}" for kind in AffiliationKind),
    *(f"registry.source.{source}" for source in Source),
    *(f"registry.proofing.{int(level)}" for level in ProofingLevel),
    *(f"authority.level.{level}" for level in Level),
    *(f"authority.office_kind.{kind}" for kind in OfficeKind),
    *(f"authority.duty.{duty}" for duty in Duty),
    *(f"authority.not_authorised.{duty}" for duty in Duty),
}


def test_the_search_finds_the_refusals() -> None:
    codes = raised_codes()
    assert len(codes) > 90
    assert {
        "registry.id_number_refused.check_digit",
        "registry.row_refused.cell_too_long",
        "registry.school_refused.code_closed",
        "authority.second_factor_required",
    } <= codes


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_every_code_has_a_sentence(language: str) -> None:
    translator = load()[language]
    missing = sorted(code for code in raised_codes() | LABELS if code not in translator)
    assert missing == []


def test_both_languages_use_the_same_parameters() -> None:
    catalogues = load()
    for code, message in catalogues["zh-CN"].messages.items():
        if code.startswith(("registry.", "authority.")):
            other = catalogues["en"].messages[code]
            assert sorted(PLACEHOLDER.findall(message)) == sorted(PLACEHOLDER.findall(other)), code


def test_no_catalogue_entry_is_left_without_use() -> None:
    known = raised_codes() | LABELS
    spare = {
        code for code in load()["en"].messages if code.startswith(("registry.", "authority.")) and code not in known
    }
    assert spare == {
        "registry.fact.real_name",
        "registry.fact.birth",
        "registry.encoding.UTF-8",
        "registry.encoding.GB18030",
    }
