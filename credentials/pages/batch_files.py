"""The files around a batch: an empty template, the list of problems, the report. CSV that a spreadsheet opens rightly."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from starlette.responses import Response

from credentials.model import Preview
from credentials.pages.claims import in_order, label_of, value_of
from credentials.pages.refusals import sentence_of
from credentials.pages.render import Translator

# Without it, spreadsheets of the country's registrars read UTF-8 as GB 18030.
_BYTE_ORDER_MARK = "\ufeff"
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def cell(text: str) -> str:
    """Return a cell a spreadsheet shows and never computes (CWE-1236)."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def csv_response(rows: Iterable[Sequence[str]], name: str) -> Response:
    """Answer with a CSV file."""
    text = io.StringIO()
    csv.writer(text).writerows([cell(value) for value in row] for row in rows)
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "private, no-store"}
    return Response(
        (_BYTE_ORDER_MARK + text.getvalue()).encode(), media_type="text/csv; charset=utf-8", headers=headers
    )


def problem_rows(preview: Preview, t: Translator) -> list[list[str]]:
    """Return every refused row of a batch: line, column, what is wrong. No value of the rows is in it."""
    head = [t("batch.line"), t("batch.field"), t("batch.rule")]
    notes = [[str(n.line), n.field, sentence_of(n.code, n.rule, n.params, t)] for n in preview.refusals]
    return [head, *notes]


def report_rows(preview: Preview, t: Translator, *, base: str) -> list[list[str]]:
    """Return every record of a batch with its claims and the address its officers manage it at."""
    names = claim_columns(preview)
    head = [t("batch.row"), *(t(label_of(name, t) or name) for name in names), t("batch.record")]
    rows = [
        [
            str(item.position + 1),
            *(value_of(name, item.claims[name], t) if name in item.claims else "" for name in names),
            f"{base}/records/{item.id}",
        ]
        for item in preview.items
    ]
    return [head, *rows]


def claim_columns(preview: Preview) -> list[str]:
    """Return the claims any row of the batch has, in the order people expect."""
    return in_order({name for item in preview.items for name in item.claims})
