"""The map of what protects what is complete: the code's list of sealed columns is the document's."""

from __future__ import annotations

import re
from pathlib import Path

from adapters.sql.resealing import SEALED_TABLES

DOCUMENT = Path(__file__).parents[2] / "docs" / "cryptography.md"


def test_every_sealed_column_is_named_for_the_assessor_and_no_other() -> None:
    _, _, rest = DOCUMENT.read_text("utf-8").partition("<!-- sealed -->\n")
    rows = [line.split("|")[1:-1] for line in rest.partition("\n\n")[0].splitlines()[2:]]
    written = {place.strip().strip("`"): set(re.findall(r"`([^`]+)`", columns)) for place, columns, *_ in rows}
    assert written == {f"{table.schema}.{table.table}": set(table.columns) for table in SEALED_TABLES}
    assert all("SM4-GCM" in row[2] for row in rows)
