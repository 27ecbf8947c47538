"""A batch in words: what its officers see at each of its states."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from credentials.model import Batch, BatchState, Preview, PreviewItem, Progress, RowNote
from credentials.pages.batch_files import claim_columns
from credentials.pages.claims import Fact, facts, label_of, value_of
from credentials.pages.listing import Listing
from credentials.pages.refusals import sentence_of
from credentials.pages.render import Translator
from credentials.pages.row_grid import RowState, row_grid

ROWS_A_PAGE = 50
SAMPLE_ROWS = 10
# The page shows the first of them; the file to download has all.
NOTES_SHOWN = 20
# Samples are numbered so that "look at others" always gives others, and a link shows a colleague the same ones.
SAMPLES_MOST = 1000
TONES = {
    BatchState.DRAFT: "plain",
    BatchState.SUBMITTED: "warn",
    BatchState.APPROVED: "warn",
    BatchState.LOGGED: "warn",
    BatchState.DONE: "good",
    BatchState.REJECTED: "bad",
}


@dataclass(frozen=True, slots=True)
class RowView:
    """One row of the batch: its lasting id, its place from 1, and its cells in the order of the columns."""

    id: str
    position: int
    cells: list[str]


@dataclass(frozen=True, slots=True)
class NoteView:
    """One problem: where it is and what is wrong, in words."""

    line: int
    field: str
    sentence: str


@dataclass(frozen=True, slots=True)
class NoteTable:
    """A table of problems: message codes of its heading and lead, the first rows, how many more, where all of them are."""

    title: str
    lead: str
    notes: list[NoteView]
    more: int
    address: str | None


def rows_of(items: tuple[PreviewItem, ...], names: list[str], t: Translator) -> list[RowView]:
    """Return rows with a cell for each of the claims."""
    return [
        RowView(
            item.id,
            item.position + 1,
            [value_of(name, item.claims[name], t) if name in item.claims else "" for name in names],
        )
        for item in items
    ]


def columns_of(names: list[str], t: Translator) -> list[str]:
    """Return the message codes (or plain names) of the columns."""
    return [label_of(name, t) or name for name in names]


def split_columns(preview: Preview, t: Translator) -> tuple[list[Fact], list[str]]:
    """Return what every row says alike, to be told once, and the claims in which rows differ.

    Nothing is left out: a claim is in one of the two. Of a batch of one record all are told as facts.
    """
    alike: list[str] = []
    differing: list[str] = []
    for name in claim_columns(preview):
        first = preview.items[0].claims.get(name)
        same = name in preview.items[0].claims and all(item.claims.get(name) == first for item in preview.items)
        (alike if same else differing).append(name)
    common = {name: preview.items[0].claims[name] for name in alike} if preview.items else {}
    return facts(common, t), differing


def note_tables(preview: Preview, t: Translator) -> list[NoteTable]:
    """Return the refused rows, then the doubtful ones; a table without rows is left out."""
    batch = preview.batch.id
    tables = (
        ("bad_title", "bad_lead", preview.refusals, f"/batches/{batch}/errors.csv"),
        ("odd_title", "odd_lead", preview.warnings, None),
    )
    return [
        NoteTable(title, lead, _notes(found[:NOTES_SHOWN], t), max(0, len(found) - NOTES_SHOWN), address)
        for title, lead, found, address in tables
        if found
    ]


def _notes(found: tuple[RowNote, ...], t: Translator) -> list[NoteView]:
    return [NoteView(n.line, n.field, sentence_of(n.code, n.rule, n.params, t)) for n in found]


def sample_of(preview: Preview, number: int) -> tuple[PreviewItem, ...]:
    """Return the sample of that number: rows by the rank of a hash, so nobody who prepares a batch can place a row in it."""

    def rank(item: PreviewItem) -> bytes:
        return hashlib.sha256(f"{preview.batch.id}:{number}:{item.id}".encode()).digest()

    chosen = sorted(preview.items, key=rank)[:SAMPLE_ROWS]
    return tuple(sorted(chosen, key=lambda item: item.position))


def sampled_listing(preview: Preview, number: int, names: list[str], t: Translator) -> Listing:
    """Return a sample as a list of one page."""
    return Listing(rows_of(sample_of(preview, number), names, t), 1, 1, "")


def grid_of_preview(preview: Preview, t: Translator) -> str:
    """Draw the file row by row: a cross where a line was refused. Empty for a batch of one record."""
    bad_lines = {note.line for note in preview.refusals}
    total = len(preview.items) + len(bad_lines)
    if total <= 1:
        return ""
    # Lines of the file count from 1 with the header; a refusal past the rows that are left stands at the end.
    bad_places = {min(line - 2, total - 1) for line in bad_lines}
    states: list[RowState] = ["refused" if place in bad_places else "waiting" for place in range(total)]
    return _grid(states, len(preview.items), len(bad_lines), 0, t)


def grid_of_progress(progress: Progress, t: Translator) -> str:
    """Draw what is issued and what waits. Empty for a batch of one record."""
    if progress.total <= 1:
        return ""
    waiting = progress.total - progress.logged
    issued: list[RowState] = ["issued"] * progress.logged
    left: list[RowState] = ["waiting"] * waiting
    return _grid(issued + left, progress.total, 0, progress.logged, t)


def _grid(states: list[RowState], good: int, bad: int, done: int, t: Translator) -> str:
    text = t("batch.grid_text", good=t.number(good), bad=t.number(bad), done=t.number(done))
    return row_grid(states, title=t("batch.grid_title"), description=text)


def state_code(batch: Batch) -> str:
    """Return the message code of a batch's state."""
    return f"credentials.batch.{batch.state.value}"
