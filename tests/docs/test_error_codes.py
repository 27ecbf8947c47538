"""The list of error codes is the product's."""

from __future__ import annotations

import re

from tests.docs.error_codes import DOCUMENT, classes, render


def test_the_page_of_error_codes_is_what_the_code_says() -> None:
    """After a change: `python -m tests.docs.error_codes`."""
    assert DOCUMENT.read_text("utf-8") == render()


def test_every_code_of_every_class_is_on_the_page() -> None:
    listed = set(re.findall(r"^\| `([a-z0-9_.]+)` \|", DOCUMENT.read_text("utf-8"), flags=re.MULTILINE))
    assert {kind.code for kind in classes()} == listed
    assert {
        "idp.oauth.invalid_grant",
        "credentials.share_unknown",
        "http.internal",
        "crypto.encoding_refused",
    } <= listed
