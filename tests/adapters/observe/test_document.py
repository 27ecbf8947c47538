"""docs/metrics.md and the suggested alerts say what the code does."""

from __future__ import annotations

import importlib
import re
from typing import Any

import pytest

from adapters.app import RATE_RULES
from adapters.observe.meters import GRANTS, STATUSES, TOKEN_REFUSALS
from adapters.observe.metrics import METRICS, PROCESS_METRICS, Kind
from tests.adapters.observe.document import DOCUMENT, written

yaml: Any = importlib.import_module("yaml")  # it has no types of its own
PROMETHEUS = DOCUMENT.parent / "prometheus"
LABELS_OF_SCRAPING = {"job", "instance"}
NAME = re.compile(r"\b((?:edutrust|process)_[a-z0-9_]+|up)\b")
SELECTOR = re.compile(r"\b((?:edutrust|process)_[a-z0-9_]+|up)\{([^}]*)\}")
MATCHER = re.compile(r'([a-z_]+)(?:=~|!~|!=|=)"([^"]*)"')
BY = re.compile(r"\bby \(([a-z_, ]+)\)")
KNOWN_VALUES = {
    "status": set(STATUSES),
    "store": {"idp", "credentials", "ledger", "audit", "redis"},
    "reason": {*TOKEN_REFUSALS, "too_soon", "disabled"},
    "grant": set(GRANTS.values()),
    "job": {"edutrust"},
    "limit": {rule.limit.name for rule in RATE_RULES},
    "route": {"/token"},
}


def exposed() -> dict[str, tuple[str, ...]]:
    """Return every name a scrape can hold with its labels."""
    names: dict[str, tuple[str, ...]] = {"up": ()}
    for metric in METRICS.values():
        if metric.kind is Kind.HISTOGRAM:
            names |= {f"{metric.name}_bucket": (*metric.labels, "le")}
            names |= {f"{metric.name}_{part}": metric.labels for part in ("sum", "count")}
        else:
            names[metric.name] = metric.labels
    return names | dict.fromkeys(PROCESS_METRICS, ())


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_the_document_lists_the_metrics_of_the_code() -> None:
    text = DOCUMENT.read_text("utf-8")
    assert text == written(text), "write it again: python -m tests.adapters.observe.document"


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: str(metric.name))
def test_names_follow_the_conventions_of_prometheus(metric: Any) -> None:
    assert re.fullmatch(r"edutrust(_[a-z0-9]+)+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert not re.search(r"_(ms|millis|milliseconds|minutes|kb|percent)(_|$)", metric.name)
    assert metric.help.endswith(".")
    # What could hold who somebody is, or what somebody wrote, is no label.
    assert set(metric.labels) <= {
        "authenticator", "chain", "grant", "job", "limit", "method", "outcome", "reason", "route", "status", "store",
        "version",
    }  # fmt: skip


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_alerts_use_names_labels_and_values_that_exist(rule: dict[str, Any]) -> None:
    names, expression = exposed(), rule["expr"]
    used = set(NAME.findall(expression))
    assert used
    assert used <= names.keys()
    for name, matchers in SELECTOR.findall(expression):
        for label, values in MATCHER.findall(matchers):
            assert label in {*names[name], *LABELS_OF_SCRAPING}, (name, label)
            assert set(values.split("|")) <= KNOWN_VALUES[label], (label, values)
    given = {label for name in used for label in names[name]}
    grouped = {label.strip() for labels in BY.findall(expression) for label in labels.split(",")}
    assert grouped <= given
    quoted = set(re.findall(r"\$labels\.([a-z_]+)", rule["annotations"]["summary"]))
    assert quoted <= grouped
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert re.fullmatch(r"[0-9]+[smh]", rule.get("for", "0s"))


def test_each_alert_has_a_name_of_its_own() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names))


def test_the_scrape_configuration_names_the_rules_and_one_target_a_worker() -> None:
    scrape = yaml.safe_load((PROMETHEUS / "scrape.yml").read_text("utf-8"))
    assert scrape["rule_files"] == ["alerts.yml"]
    [job] = scrape["scrape_configs"]
    assert job["job_name"] == "edutrust"
    assert job["static_configs"] == [{"targets": ["127.0.0.1:9464", "127.0.0.1:9465"]}]
