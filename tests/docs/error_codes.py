"""docs/errors.md: every error code of the product, with its HTTP status and what it says. `python -m tests.docs.error_codes` writes it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

from adapters.http.errors import status_of
from adapters.web.catalogue import load
from crypto.errors import TrustError

PACKAGES = ("crypto", "ledger", "idp", "credentials", "adapters")
DOCUMENT = Path(__file__).parents[2] / "docs" / "errors.md"
ROOMS = {
    "authority": "Authority",
    "credentials": "Credentials",
    "crypto": "Cryptography",
    "idp": "Sign-in and OpenID Connect",
    "ledger": "The log",
    "registry": "The register",
}
OTHERS = "The service itself"
# Not for anyone to meet: started by hand, and not part of the service.
NOT_LOADED = ("adapters.sql.migrations", "adapters.web.build_fonts", "adapters.demo")
HEAD = """# Error codes

Every refusal has a stable code. A page shows it with the correlation id; JSON of our own interfaces has it as `error`, and
OAuth answers have the standard's word as `error` (see [the guide](integration.md#errors)) and `<field>: <rule>` as
`error_description`. `field` and `rule` say which parameter and why; they are words for programs and not listed here. Wordings may
change, codes do not. Codes with status 500 are told as `http.internal`.

This page is written by `python -m tests.docs.error_codes` and compared with the code by a test.
"""


def classes() -> Iterator[type[TrustError]]:
    """Yield every error class of the product with a code of its own."""
    for package in PACKAGES:
        for module in pkgutil.walk_packages([str(DOCUMENT.parents[1] / package)], f"{package}."):
            if not module.name.startswith(NOT_LOADED):
                importlib.import_module(module.name)
    waiting: list[type[TrustError]] = [TrustError]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind.__dict__.get("code") and kind.__module__.split(".")[0] in PACKAGES:
            yield kind


def render() -> str:
    """Return the document."""
    en, zh = load()["en"], load()["zh-CN"]
    found = {kind.code: status_of(kind.__new__(kind)) for kind in classes()}
    text = HEAD
    for room, title in [*ROOMS.items(), ("", OTHERS)]:
        mine = sorted(
            code for code in found if (code.split(".")[0] == room if room else code.split(".")[0] not in ROOMS)
        )
        if mine:
            rows = "".join(f"| `{code}` | {found[code]} | {_cell(en(code))} | {_cell(zh(code))} |\n" for code in mine)
            text += f"\n## {title}\n| code | status | English | 中文 |\n|---|---|---|---|\n{rows}"
    return text


def _cell(sentence: str) -> str:
    return sentence.replace("|", "\\|")


if __name__ == "__main__":
    DOCUMENT.write_text(render(), "utf-8")
