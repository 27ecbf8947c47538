"""What a ledger that will not open says to the operator: what is ahead of it, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from adapters.settings import Settings
from crypto.errors import TrustError
from ledger.errors import CheckpointRefused, IntegrityBroken
from ledger.fsck import Finding

NO_COUNTS: Final = Finding("counts", "counts", "present")
"""A published folder lacks the file that says how many notes and anchors there are."""


def ledger_sentence(refused: TrustError, settings: Settings) -> str | None:
    """Return the sentences for a log that somebody remembers otherwise; None where the refusal is about another thing."""
    folder = settings.log_folder
    if isinstance(refused, CheckpointRefused) and refused.field == "origin":
        return (
            f"{folder} holds another log than log_origin {settings.log_origin}: put that folder in another place, and keep"
            " it for the receipts of the old log. Nothing was signed."
        )
    if isinstance(refused, CheckpointRefused) and refused.field == "signature":
        return (
            f"The newest checkpoint is not signed by this deployment's keys ({refused}): database and {folder}"
            " belong to the log they were made with. Nothing was signed."
        )
    if not isinstance(refused, IntegrityBroken) or "where" not in refused.params or refused.field != "head":
        return None
    where, size, head = refused.params["where"], refused.params["size"], int(refused.params["head"])
    place = {"published": f"the published log in {folder}", "file": f"the anchors in {settings.data_dir / 'anchors'}"}
    who = place.get(str(where), f"the contract on {where}")
    has = "no log yet" if head < 0 else f"a log of {head} entries"
    if refused.rule == "not_behind":
        what = f"The ledger's database is behind: {who} shows {size} entries, the database holds {has}."
    else:
        what = f"The ledger's database holds another history: {who} shows other entries up to {size} than the database."
    return (
        f"{what} Nothing was signed. Restore the newest state of the database, or put the ledger's tables aside and"
        f" rebuild them from the files: edutrust ledger import {folder}"
    )


def counts_sentence(findings: Sequence[Finding], folder: Path) -> str | None:
    """Return what a folder without `counts` may be, None for one that has it: nothing in it tells the two apart."""
    if NO_COUNTS not in findings:
        return None
    return (
        f"{folder} has no file counts, by which notes and anchors that are gone would be missed. It was published before"
        " there was such a file, and gets one as soon as the log is published into it again; or somebody took it away."
    )
