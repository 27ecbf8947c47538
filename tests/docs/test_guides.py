"""The guides say what the product does: settings and defaults, scopes, registration, addresses, commands, errors."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from adapters.cli import build_parser
from adapters.settings import Settings, check_settings
from idp import oauth_errors
from idp.clients.registration import parse_clients
from idp.metadata import configuration
from idp.oauth_errors import OAuthError, RequestShown
from idp.scopes import CLAIMS_OF_SCOPE

DOCS = Path(__file__).parents[2] / "docs"
INTEGRATION = (DOCS / "integration.md").read_text("utf-8")
OPERATIONS = (DOCS / "operations.md").read_text("utf-8")


def rows(text: str, marker: str) -> list[list[str]]:
    """Return the cells of the table after a marker."""
    lines = text.partition(f"<!-- {marker} -->\n")[2].splitlines()[2:]
    table = lines[: next(at for at, line in enumerate(lines) if not line.startswith("|"))]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_the_settings_table_has_every_setting_with_its_default() -> None:
    settings = check_settings({})
    shown = {name.strip("`"): default for name, default, _ in rows(OPERATIONS, "settings")}
    assert list(shown) == [field.name for field in fields(Settings)]
    derived = {
        "issuer": f"http://{settings.host}:{settings.port}",
        "database_url": "sqlite:///<data_dir>",
        "kek_file": "<data_dir>/kek",
        "log_origin": "<host of issuer>/log",
    }
    assert settings.issuer == derived["issuer"]
    assert settings.database_url == f"sqlite:///{settings.data_dir}"
    assert settings.log_origin == f"{settings.host}:{settings.port}/log"
    derived["issuer"] = "http://<host>:<port>"
    for name, default in shown.items():
        value = getattr(settings, name)
        text = "none" if value in {None, ()} else str(value).lower() if isinstance(value, bool) else str(value)
        assert default.strip("`") == derived.get(name, text), name


def test_the_settings_file_of_the_guide_is_accepted() -> None:
    [toml] = re.findall(r"```toml\n(.*?)```", OPERATIONS, flags=re.DOTALL)
    assert check_settings(tomllib.loads(toml)).issuer == "https://id.example.edu.cn"


def test_the_scopes_table_has_every_scope_with_its_claims() -> None:
    shown = {
        scope.strip("`"): tuple(re.findall(r"`(\w+)`", claims)) for scope, claims, _ in rows(INTEGRATION, "scopes")
    }
    assert shown == dict(CLAIMS_OF_SCOPE)


def test_the_registration_of_the_guide_is_accepted() -> None:
    document = INTEGRATION.partition("<!-- registration -->\n```json\n")[2].partition("```")[0]
    [client] = parse_clients(document.encode())
    assert client.client_id == json.loads(document)[0]["client_id"]


def test_every_address_of_the_discovery_document_is_in_the_guide() -> None:
    for value in configuration("").values():
        if isinstance(value, str) and value.startswith("/"):
            assert f"`{value}`" in INTEGRATION, value


def test_the_error_tables_have_every_error_there_is() -> None:
    kinds = [kind for kind in vars(oauth_errors).values() if isinstance(kind, type) and issubclass(kind, OAuthError)]
    redirected = {kind.error for kind in kinds if kind.redirectable and kind is not OAuthError}
    shown = {name for cells in rows(INTEGRATION, "errors: redirected") for name in re.findall(r"`(\w+)`", cells[0])}
    assert shown == redirected - {"unauthorized_client"}  # nothing answers it at /authorize
    status = {kind.error: kind.status for kind in kinds if not kind.redirectable and kind is not RequestShown}
    told = {cells[1].strip("`"): int(cells[0]) for cells in rows(INTEGRATION, "errors: json")}
    assert status.items() <= told.items()


@pytest.mark.parametrize("document", ["integration.md", "operations.md", "profiles/bundle.md"])
def test_every_command_of_a_guide_is_one_the_product_has(document: str) -> None:
    parser, found = build_parser(), 0
    for block in re.findall(r"```sh\n(.*?)```", (DOCS / document).read_text("utf-8"), flags=re.DOTALL):
        for line in block.splitlines():
            if line.startswith("edutrust "):
                parser.parse_args(shlex.split(line, comments=True)[1:])
                found += 1
    assert found or document == "integration.md"


def test_no_guide_names_a_page_of_this_folder_that_is_not_there() -> None:
    for document in DOCS.rglob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text("utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
