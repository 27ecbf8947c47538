"""`docs/performance-ledger.md` from the report of one run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

HEAD: Final = """# Performance of the ledger

Written by `python -m benchmarks.ledger --document docs/performance-ledger.md` from one run on the machine named below; run it on
yours. Gas and latency of anchors: `python -m benchmarks.anchoring --json`.

* **Every append** is durable, stands in both trees (SM3 and SHA-256), has an idempotency key that is unique for ever, was read
  back and hashed again, and is under a checkpoint signed with SM2 and Ed25519 before its caller is answered.
* **pymerkle** ran beside it in the same run, in a Python of its own. It keeps one tree of SHA-256 in a SQLite file; it signs
  nothing, reads nothing back and knows no keys.
* **µs CPU** is this process's own CPU time for one entry or proof; the rates are of the whole machine as it was.
* PostgreSQL runs without `fsync`, as in the tests; SQLite flushes every commit.
* **Neighbours**: proofs of entries beside one another, as a batch of diplomas asks for them. **Anywhere**: of entries drawn by
  chance from the whole log, each in a tile that nobody opened before.
"""


def document(report: Mapping[str, Any]) -> str:
    """Return the text; `report` is the JSON report."""
    machine, peer = report["cpu"], report["peer"]
    lines = [
        HEAD,
        f"Measured on {machine['name']}, {machine['cores']} cores, Python {report['python']}; {peer['name']} {peer['version']}.",
        "",
        *_table(report),
    ]
    return "\n".join(lines) + "\n"


def _table(report: Mapping[str, Any]) -> Iterator[str]:
    yield "| | ours | | µs CPU | peer | target | met |"
    yield "|---|---|---|---|---|---|---|"
    for figure in report["figures"]:
        beside = f"{_number(figure['reference_value'])} ({figure['reference']})" if "reference" in figure else ""
        cells = [
            figure["name"],
            _number(figure["value"]),
            figure["unit"],
            _number(figure["cpu_us"]) if "cpu_us" in figure else "",
            beside,
            _number(figure["target"]) if "target" in figure else "",
            ("met" if figure["met"] else "**no**") if "met" in figure else "",
        ]
        yield f"| {' | '.join(cells)} |"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}" if value >= 10 else f"{value:,.2f}"
