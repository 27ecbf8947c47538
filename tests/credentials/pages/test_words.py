"""Every message the pages can show stands in both catalogues, and no message waits for a page that is not there."""

from __future__ import annotations

import re
from pathlib import Path

from adapters.web.catalogue import load
from credentials.copyright.registration import LICENCES
from credentials.kinds import KINDS
from credentials.model import Act, BatchState, Reason
from credentials.pages.batch_forms import _LICENCE_ORDER, FORMS
from credentials.verdict import CheckName, Outcome, Result

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "credentials" / "pages", ROOT / "adapters" / "pages"]
OWN = ("page", "verdict", "verify", "wallet", "life", "share", "batch", "record", "listing")
OTHERS = ("index", "home", "log", "audit", "help", "accessibility", "privacy")
CODE = re.compile(rf"""["']((?:{"|".join(OWN + OTHERS)})\.[A-Za-z0-9_.-]*[A-Za-z0-9])["']""")


def _literal_codes() -> set[str]:
    found: set[str] = set()
    for folder in PAGES:
        for path in [*folder.rglob("*.html"), *folder.glob("*.py")]:
            found |= set(CODE.findall(path.read_text("utf-8")))
    return {code for code in found if not code.endswith((".html", ".css", ".js", ".csv"))}


def _made_codes() -> set[str]:
    made = {f"verdict.{one.value}" for one in Outcome} | {
        f"credentials.verdict.{one.value}.sentence" for one in Outcome
    }
    made |= {f"credentials.check.{one.value}" for one in CheckName} | {f"verify.about_{one.value}" for one in CheckName}
    made |= {f"check.{one.value}" for one in Result} | {f"credentials.reason.{one.value}" for one in Reason}
    made |= {f"life.{one.value}" for one in Act}
    made |= {f"credentials.batch.{one.value}" for one in BatchState}
    made |= {f"batch.sentence_{one.value}" for one in BatchState}
    for kind in KINDS.values():
        made |= {f"credentials.kind.{kind.name}", f"batch.about_{kind.name}", f"batch.lead_{kind.name}"}
        made |= {f"credentials.claim.{name}" for name in (*kind.always, *kind.selectable)}
    for name, form in FORMS.items():
        made |= {one.label for one in form.inputs} | {one.hint for one in form.inputs if one.hint}
        if form.file is not None:
            made |= {f"batch.file_{name}", f"batch.file_hint_{name}"}
    made |= {f"batch.licence_{name}" for name in LICENCES} | {f"batch.licence_about_{name}" for name in LICENCES}
    for act in ("suspend", "reinstate", "revoke"):
        made |= {f"record.{part}_{act}" for part in ("act", "about", "check", "effect", "do")}
    made |= {f"verify.ended_{rule}" for rule in ("expired", "revoked", "view_limit")}
    return made | {f"share.viewer_{name}" for name in ("browser", "api", "app")}


def test_every_message_of_the_pages_is_in_both_languages() -> None:
    wanted = _literal_codes() | _made_codes()
    assert len(wanted) > 300
    for language, t in load().items():
        missing = sorted(code for code in wanted if code not in t)
        assert not missing, f"{language}: {missing}"


def test_a_message_names_the_same_parameters_in_both_languages() -> None:
    chinese, english = (t.messages for t in load().values())
    for code in chinese:
        if code.partition(".")[0] in OWN + OTHERS:
            names = [set(re.findall(r"\{([a-z_]+)\}", messages[code])) for messages in (chinese, english)]
            assert names[0] == names[1], code


def test_every_licence_of_the_rules_is_offered() -> None:
    assert set(_LICENCE_ORDER) == LICENCES
