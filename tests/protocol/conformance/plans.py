"""The plans, their modules, and what is open: names as the public suite publishes them, everything else ours."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent

MODES = ("query", "form_post")
"""The response modes the modules of the Basic plan are asked in; `form_post` makes them the Form Post plan."""

BASIC = (
    "oidcc-server",
    "oidcc-response-type-missing",
    "oidcc-idtoken-signature",
    "oidcc-idtoken-unsigned",
    "oidcc-userinfo-get",
    "oidcc-userinfo-post-header",
    "oidcc-userinfo-post-body",
    "oidcc-ensure-request-without-nonce-succeeds-for-code-flow",
    "oidcc-scope-profile",
    "oidcc-scope-email",
    "oidcc-scope-address",
    "oidcc-scope-phone",
    "oidcc-scope-all",
    "oidcc-alternate-happy-flow",
    "oidcc-display-page",
    "oidcc-display-popup",
    "oidcc-prompt-login",
    "oidcc-prompt-none-not-logged-in",
    "oidcc-prompt-none-logged-in",
    "oidcc-max-age-1",
    "oidcc-max-age-10000",
    "oidcc-ensure-request-with-unknown-parameter-succeeds",
    "oidcc-id-token-hint",
    "oidcc-login-hint",
    "oidcc-ui-locales",
    "oidcc-claims-locales",
    "oidcc-ensure-request-with-acr-values-succeeds",
    "oidcc-ensure-registered-redirect-uri",
    "oidcc-ensure-post-request-succeeds",
    "oidcc-server-client-secret-post",
    "oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported",
    "oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported",
    "oidcc-claims-essential",
    "oidcc-ensure-request-object-with-redirect-uri",
    "oidcc-refresh-token",
    "oidcc-ensure-request-with-valid-pkce-succeeds",
)
DYNAMIC = (
    "oidcc-idtoken-rs256",
    "oidcc-idtoken-unsigned",
    "oidcc-userinfo-rs256",
    "oidcc-ensure-redirect-uri-in-authorization-request",
    "oidcc-redirect-uri-query-OK",
    "oidcc-redirect-uri-query-mismatch",
    "oidcc-redirect-uri-query-added",
    "oidcc-redirect-uri-regfrag",
    "oidcc-discovery-endpoint-verification",
    "oidcc-server",
    "oidcc-registration-logo-uri",
    "oidcc-registration-policy-uri",
    "oidcc-registration-tos-uri",
    "oidcc-registration-jwks-uri",
    "oidcc-registration-sector-uri",
    "oidcc-registration-sector-bad",
    "oidcc-server-rotate-keys",
    "oidcc-refresh-token-rp-key-rotation",
    "oidcc-request-uri-unsigned",
    "oidcc-request-uri-signed-rs256",
    "oidcc-ensure-request-object-with-redirect-uri",
    "oidcc-refresh-token",
    "oidcc-ensure-client-assertion-with-iss-aud-succeeds",
)
RP_INITIATED_LOGOUT = (
    "oidcc-rp-initiated-logout-discovery-endpoint-verification",
    "oidcc-rp-initiated-logout",
    "oidcc-rp-initiated-logout-bad-post-logout-redirect-uri",
    "oidcc-rp-initiated-logout-modified-id-token-hint",
    "oidcc-rp-initiated-logout-no-id-token-hint",
    "oidcc-rp-initiated-logout-no-params",
    "oidcc-rp-initiated-logout-no-post-logout-redirect-uri",
    "oidcc-rp-initiated-logout-no-state",
    "oidcc-rp-initiated-logout-only-state",
    "oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri",
    "oidcc-rp-initiated-logout-bad-id-token-hint",
)
BACKCHANNEL_LOGOUT = (
    "oidcc-backchannel-logout-discovery-endpoint-verification",
    "oidcc-backchannel-rp-initiated-logout",
)
FRONTCHANNEL_LOGOUT = (
    "oidcc-frontchannel-logout-discovery-endpoint-verification",
    "oidcc-frontchannel-rp-initiated-logout",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """One plan of the suite: its name there, its title here, its modules, the file of its tests and their mode.

    `file` is None where no test of the plan can be written yet.
    """

    name: str
    title: str
    modules: tuple[str, ...]
    file: str | None
    mode: str | None = None


PLANS = (
    Plan("oidcc-basic-certification-test-plan", "Basic", BASIC, "test_basic.py", "query"),
    Plan(
        "oidcc-config-certification-test-plan", "Config", ("oidcc-discovery-endpoint-verification",), "test_config.py"
    ),
    Plan("oidcc-formpost-basic-certification-test-plan", "Form Post", BASIC, "test_basic.py", "form_post"),
    Plan("oidcc-dynamic-certification-test-plan", "Dynamic", DYNAMIC, "test_dynamic.py"),
    Plan(
        "oidcc-rp-initiated-logout-certification-test-plan",
        "RP-Initiated Logout",
        RP_INITIATED_LOGOUT,
        "test_rp_initiated_logout.py",
    ),
    Plan(
        "oidcc-backchannel-rp-initiated-logout-certification-test-plan",
        "Back-Channel Logout",
        BACKCHANNEL_LOGOUT,
        "test_backchannel_logout.py",
    ),
    Plan(
        "oidcc-frontchannel-rp-initiated-logout-certification-test-plan",
        "Front-Channel Logout",
        FRONTCHANNEL_LOGOUT,
        "test_frontchannel.py",
    ),
)

_NO_REQUEST_OBJECTS = (
    "the module wants a request object by reference taken; this server takes none, says so in its discovery document, and"
    " answers `request_uri_not_supported`"
)
OPEN: Mapping[str, Mapping[str, str]] = {
    "oidcc-dynamic-certification-test-plan": {
        "oidcc-request-uri-unsigned": _NO_REQUEST_OBJECTS,
        "oidcc-request-uri-signed-rs256": _NO_REQUEST_OBJECTS,
    },
}
"""By plan and module: why there is no test."""

_LESS_OF_THE_PROFILE = (
    "the suite warns of the claims of the profile that are never released: `middle_name`, `preferred_username`, `profile`,"
    " `picture`, `website`, `gender`, `birthdate`"
)
_REVIEW = "the suite asks a person to look at the page"
NOTES: Mapping[str, str] = {
    "oidcc-registration-logo-uri": (
        "the suite asks a person to look at the page; the logo is fetched once, when it is registered, and must be a PNG,"
        " JPEG or WebP of at most 64 KiB"
    ),
    "oidcc-registration-policy-uri": _REVIEW,
    "oidcc-registration-tos-uri": _REVIEW,
    "oidcc-ensure-redirect-uri-in-authorization-request": _REVIEW,
    "oidcc-redirect-uri-query-mismatch": _REVIEW,
    "oidcc-redirect-uri-query-added": _REVIEW,
    "oidcc-idtoken-unsigned": "an unsigned ID token is not offered, and the suite skips the module",
    "oidcc-scope-profile": _LESS_OF_THE_PROFILE,
    "oidcc-scope-all": _LESS_OF_THE_PROFILE,
    "oidcc-ensure-request-without-nonce-succeeds-for-code-flow": (
        "the module sends neither a nonce nor a code challenge; the client's registration says that it may"
    ),
    "oidcc-prompt-login": _REVIEW,
    "oidcc-max-age-1": _REVIEW,
    "oidcc-ensure-registered-redirect-uri": _REVIEW,
    "oidcc-ensure-request-object-with-redirect-uri": _REVIEW,
    "oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported": "refused as unsupported",
    "oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported": "refused as unsupported",
    "oidcc-rp-initiated-logout-bad-post-logout-redirect-uri": _REVIEW,
    "oidcc-rp-initiated-logout-modified-id-token-hint": _REVIEW,
    "oidcc-rp-initiated-logout-no-id-token-hint": _REVIEW,
    "oidcc-rp-initiated-logout-no-params": _REVIEW,
    "oidcc-rp-initiated-logout-no-post-logout-redirect-uri": _REVIEW,
    "oidcc-rp-initiated-logout-only-state": _REVIEW,
    "oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri": _REVIEW,
    "oidcc-rp-initiated-logout-bad-id-token-hint": _REVIEW,
}
"""By module: what the bare word "passes" would not say."""


def function_name(module: str) -> str:
    """Return the name of a module's test."""
    return f"test_{module.replace('-', '_').lower()}"


def functions_of(file: str) -> dict[str, ast.FunctionDef]:
    """Return the test functions of a file of this folder by name."""
    body = ast.parse((FOLDER / file).read_text("utf-8")).body
    return {node.name: node for node in body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def is_tested(plan: Plan, module: str) -> bool:
    """Say whether the plan's file holds the module's test, in the plan's mode."""
    if plan.file is None or (plan.mode is not None and plan.mode not in MODES):
        return False
    return function_name(module) in functions_of(plan.file)


def node_id(plan: Plan, module: str) -> str:
    """Return how the test is called on the command line, from the folder `tests/protocol/conformance`."""
    return f"{plan.file}::{function_name(module)}{'' if plan.mode is None else f'[{plan.mode}]'}"
