"""Every code, rule and name of this package a reader may meet has a sentence in both languages."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

from adapters.web.catalogue import PLACEHOLDER, load
from credentials import errors
from credentials.copyright.registration import LICENCES
from credentials.diploma import LEVELS
from credentials.kinds import KINDS
from credentials.model import Act, BatchState, Reason
from credentials.status import Status
from credentials.verdict import CheckName, Outcome, Result
from crypto.errors import TrustError

ROOT = Path(__file__).parents[2]
# What a registrar or holder may be told of by rule, and what a verdict page shows beside a check.
TOLD = [ROOT / "credentials" / name for name in
        ("diploma.py", "kind.py", "creditbank/record.py", "copyright/registration.py", "issuance.py", "drafting.py",
         "sharing.py", "status_changes.py", "judgement.py", "formats/key_binding.py")]  # fmt: skip
# Rules whose own code says enough, in sentences that need no more.
BY_CODE = {"missing", "cnf", "claims", "signature", "future", "closed", "item", "digest", "entry_form", "entry_kind",
           "entry_issuer", "issuer", "time", "text"}  # fmt: skip


def rules() -> set[str]:
    found: set[str] = set()
    for path in TOLD:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                named = [k.value for k in node.keywords if k.arg == "rule"]
                if getattr(node.func, "id", "") == "_broken":
                    named.append(node.args[1])
                found |= {n.value for n in named if isinstance(n, ast.Constant) and isinstance(n.value, str)}
            if isinstance(node, ast.Dict):
                pairs = zip(node.keys, node.values, strict=True)
                found |= {
                    v.value for k, v in pairs
                    if isinstance(k, ast.Constant) and k.value == "rule" and isinstance(v, ast.Constant) and isinstance(v.value, str)
                }  # fmt: skip
    return found - BY_CODE


def codes() -> set[str]:
    named = {kind.code for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, TrustError)}
    named -= {TrustError.code}
    named |= {f"credentials.verdict.{one.value}" for one in Outcome}
    named |= {f"credentials.result.{one.value}" for one in Result}
    named |= {f"credentials.check.{one.value}" for one in CheckName}
    named |= {f"credentials.batch.{one.value}" for one in BatchState}
    named |= {f"credentials.act.{one.value}" for one in Act}
    named |= {f"credentials.reason.{one.value}" for one in Reason}
    named |= {f"credentials.status.{one.name.lower()}" for one in Status}
    named |= {f"credentials.level.{one}" for one in LEVELS}
    for kind in KINDS.values():
        named |= {f"credentials.kind.{kind.name}"} | {
            f"credentials.claim.{n}" for n in kind.always | set(kind.selectable)
        }
    return named


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_every_code_has_a_sentence(language: str) -> None:
    messages = load()[language].messages
    assert {code for code in codes() if code not in messages} == set()


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_every_rule_a_reader_meets_has_a_sentence(language: str) -> None:
    messages = load()[language].messages
    owners = [kind.code for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, TrustError)]
    missing = {
        rule for rule in rules()
        if f"credentials.rule.{rule}" not in messages and not any(f"{o}.{rule}" in messages for o in owners)
    }  # fmt: skip
    assert missing == set()


def test_both_languages_say_the_same_codes_with_the_same_parameters() -> None:
    catalogues = load()
    mine = {code for code in catalogues["en"].messages if code.startswith("credentials.")}
    assert mine == {code for code in catalogues["zh-CN"].messages if code.startswith("credentials.")}
    for code in mine:
        chinese, english = (set(PLACEHOLDER.findall(catalogues[lang].messages[code])) for lang in ("zh-CN", "en"))
        assert chinese == english, code


def test_licences_are_told_by_their_spdx_names() -> None:
    assert all(licence.isascii() for licence in LICENCES)
