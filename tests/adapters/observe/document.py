"""The list in docs/metrics.md, made from the code. `python -m tests.adapters.observe.document` writes it."""

from __future__ import annotations

from pathlib import Path

from adapters.observe.metrics import METRICS, PROCESS_METRICS

DOCUMENT = Path(__file__).parents[3] / "docs" / "metrics.md"
BEGIN, END = "<!-- metrics -->\n", "<!-- /metrics -->\n"


def table() -> str:
    """Return the table's lines."""
    rows = ["| metric | kind | labels | meaning |", "|---|---|---|---|"]
    for metric in METRICS.values():
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        rows.append(f"| `{metric.name}` | {metric.kind.value} | {labels} | {metric.help} |")
    for name, meaning in PROCESS_METRICS.items():
        kind = "counter" if name.endswith("_total") else "gauge"
        rows.append(f"| `{name}` | {kind} | | {meaning} (Linux) |")
    return "\n".join(rows) + "\n"


def written(text: str) -> str:
    """Return the document's text with the table in its place."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}{table()}{END}{tail}"


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text("utf-8")), "utf-8")
