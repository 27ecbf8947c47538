"""A page for every error: what happened, what to do, and what to give to whoever helps; nothing of the inside."""

from __future__ import annotations

import re

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from adapters.http.headers import content_security_policy
from adapters.http.refusals import BodyTooLarge, BodyTooSlow, FormExpired, NotFound, RateLimited
from adapters.sql.database import StoreUnavailable
from crypto.errors import TrustError
from idp.authority.errors import NotAuthorised
from idp.login.dispatch import AccountRefused, ClientRefused, TransactionRefused
from idp.logout.endpoint import LogoutRefused
from idp.oauth_errors import InvalidRequestUri, RequestShown
from idp.parameters import ParametersRefused
from tests.adapters.asgi import ask
from tests.adapters.service import CANARY, Service

HTML = ("accept", "text/html")
CHINESE, ENGLISH = ("accept-language", "zh-CN"), ("accept-language", "en")
REFUSALS: dict[str, tuple[Exception, int]] = {
    "not found": (NotFound(), 404),
    "form expired": (FormExpired(rule="token"), 403),
    "too large": (BodyTooLarge(rule="limit", limit=65_536), 413),
    "too slow": (BodyTooSlow(rule="time"), 408),
    "too often": (RateLimited(7), 429),
    "database lost": (StoreUnavailable(rule="57P01"), 503),
    "our own fault": (RuntimeError(CANARY), 500),
    "not allowed": (NotAuthorised(rule="office"), 403),
    "sign-in over": (TransactionRefused(rule="ended"), 400),
    "account refused": (AccountRefused(rule="standing"), 403),
    "platform suspended": (ClientRefused(rule="state"), 403),
    "sign-out refused": (LogoutRefused(field="id_token_hint", rule="not_ours"), 400),
    "request shown": (RequestShown(field="redirect_uri", rule="not_registered"), 400),
    "pushed request unknown": (InvalidRequestUri(field="request_uri", rule="unknown"), 400),
    "malformed": (ParametersRefused(field="state", rule="duplicate"), 400),
}


def service_refusing(error: Exception) -> Service:
    async def refuse(_request: Request) -> Response:
        raise error

    return Service(routes=[Route("/refused", refuse, methods=["GET"])])


@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.parametrize("language", [CHINESE, ENGLISH], ids=["zh", "en"])
def test_a_person_reads_what_happened_and_what_to_do(name: str, language: tuple[str, str]) -> None:
    error, status = REFUSALS[name]
    service = service_refusing(error)
    answer = ask(service.app, "GET", "/refused", [HTML, language])
    page = answer.body.decode()
    assert answer.status == status
    assert page.count("<h1>") == 1
    main = page.partition("<main")[2].partition("</main>")[0]
    paragraphs = [text.strip() for text in re.findall(r"<p[^>]*>([^<]+)</p>", main)]
    assert len(paragraphs) == 2, "what happened, and what to do"
    assert len(set(paragraphs)) == 2
    reference = answer.header("x-correlation-id")
    assert reference
    assert f"<code>{reference}</code>" in main
    if isinstance(error, TrustError):
        assert f"<code>{error.code}" in main, "a developer finds the code in the guide"
    else:
        assert CANARY not in page
    assert "Traceback" not in page
    assert "57P01" not in page
    for line in paragraphs:
        assert not re.search(r"\b[a-z_]+\.[a-z_]+\b", line), f"a code where a sentence should be: {line}"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("request shown", "idp.oauth.request_shown · redirect_uri: not_registered"),
        ("sign-out refused", "idp.logout.refused · id_token_hint: not_ours"),
        ("malformed", "idp.parameters_refused · state: duplicate"),
    ],
)
def test_a_developer_reads_the_parameter_and_the_rule(name: str, shown: str) -> None:
    answer = ask(service_refusing(REFUSALS[name][0]).app, "GET", "/refused", [HTML])
    assert f"<code>{shown}</code>" in answer.body.decode()


def test_an_address_of_another_method_has_a_page_too() -> None:
    service = Service()
    answer = ask(service.app, "GET", "/limited", [HTML, ENGLISH])
    assert answer.status == 405
    assert answer.header("allow")
    page = answer.body.decode()
    assert "This address is not opened like that" in page
    assert "http.method_not_allowed" in page


def test_only_the_page_that_tells_platforms_has_frames() -> None:
    assert "frame-src" not in content_security_policy()
    policy = content_security_policy(frame_src=("https://a.example", "https://b.example:8443"))
    assert "; frame-src https://a.example https://b.example:8443; " in policy
    assert "default-src 'none'" in policy


@pytest.mark.parametrize("origin", ["https://a.example; script-src *", "*", "https://a.example/x", "data:"])
def test_a_frame_source_that_is_no_origin_cannot_widen_the_policy(origin: str) -> None:
    with pytest.raises(ValueError, match="origins"):
        content_security_policy(frame_src=(origin,))
