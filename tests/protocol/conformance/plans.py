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
    Plan("oidcc-dynamic-certification-test-plan", "Dynamic", DYNAMIC, None),
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
        None,
    ),
)

_NOT_OFFERED = "the scope is not offered, and the suite skips the module: no {0} is released"
_OF_BASIC = {
    "oidcc-scope-email": _NOT_OFFERED.format("e-mail address"),
    "oidcc-scope-address": _NOT_OFFERED.format("postal address"),
    "oidcc-scope-phone": _NOT_OFFERED.format("telephone number"),
    "oidcc-scope-all": "the scopes `email`, `address` and `phone` are not offered, and the suite skips the module",
    "oidcc-ensure-request-without-nonce-succeeds-for-code-flow": (
        "the module sends neither a nonce nor a code challenge, and a client exempt from PKCE must send a nonce"
        " (RFC 9700 §2.1.1)"
    ),
}
_NO_REGISTRATION = "the module registers its own client, and there is no dynamic registration yet"
_BEYOND_REGISTRATION = {
    "oidcc-userinfo-rs256": ("userinfo is not signed yet",),
    "oidcc-registration-logo-uri": ("no page shows a platform's logo yet",),
    "oidcc-registration-policy-uri": ("no page shows a platform's policy yet",),
    "oidcc-registration-tos-uri": ("no page shows a platform's terms yet",),
    "oidcc-request-uri-unsigned": ("request objects by reference are refused",),
    "oidcc-request-uri-signed-rs256": ("request objects by reference are refused",),
}
OPEN: Mapping[str, Mapping[str, str]] = {
    "oidcc-basic-certification-test-plan": _OF_BASIC,
    "oidcc-formpost-basic-certification-test-plan": _OF_BASIC,
    "oidcc-dynamic-certification-test-plan": {
        module: "; ".join((_NO_REGISTRATION, *_BEYOND_REGISTRATION.get(module, ()))) for module in DYNAMIC
    },
    "oidcc-frontchannel-rp-initiated-logout-certification-test-plan": dict.fromkeys(
        FRONTCHANNEL_LOGOUT, "front-channel logout is not there yet"
    ),
}
"""By plan and module: why there is no test."""

_REVIEW = "the suite asks a person to look at the page"
NOTES: Mapping[str, str] = {
    "oidcc-idtoken-unsigned": "an unsigned ID token is not offered, and the suite skips the module",
    "oidcc-scope-profile": (
        "the suite may warn of the claims that are not released: of the profile there are two, `name` and `nickname`"
    ),
    "oidcc-claims-essential": "the suite warns that the ID token holds the name, too",
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
