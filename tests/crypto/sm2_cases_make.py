"""`python -m tests.crypto.sm2_cases_make`: write `sm2_cases.json` anew, with plain integer arithmetic and fixed seeds."""

from __future__ import annotations

import json
from typing import Final

from tests.crypto.sm2_cases import FILE, Build, Table
from tests.crypto.sm2_cases_der import ciphertext_forms, signature_forms
from tests.crypto.sm2_cases_digests import digests
from tests.crypto.sm2_cases_encryption import openings, openings_refused
from tests.crypto.sm2_cases_points import keys, products
from tests.crypto.sm2_cases_signatures import signatures, signatures_refused

ABOUT: Final = (
    "SM2 over the curve of GB/T 32918.5, SM3, C1C3C2. Bytes are hexadecimal, in a list where {hex, times} stands for a repeated byte. result is "
    "valid, or the code of the refusal and the argument it names; out is what comes out. Private keys here are public."
)
BUILDS: Final[tuple[Build, ...]] = (
    signatures,
    signatures_refused,
    digests,
    keys,
    products,
    openings,
    openings_refused,
    signature_forms,
    ciphertext_forms,
)


def made() -> Table:
    """Return every case, computed."""
    table = Table()
    for build in BUILDS:
        build(table)
    return table


def text(table: Table) -> str:
    """Return the file: a member a line, so that a change shows as one."""
    lines = ",\n".join(json.dumps(case.written(), ensure_ascii=False) for case in table.cases.values())
    return f'{{"about": {json.dumps(ABOUT)},\n"cases": [\n{lines}\n]}}\n'


if __name__ == "__main__":
    FILE.write_text(text(made()), encoding="utf-8")
