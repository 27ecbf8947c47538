"""What a platform shows of itself: a picture the service took once and serves, and links to its policy and terms."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.protocol.registering import manage, registered, told
from tests.protocol.world import OpenWorld, authorization

Run = Callable[[Coroutine[Any, Any, None]], None]
ADDRESS = "https://courses.example/logo.png"
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 40


def test_the_sign_in_and_consent_pages_show_logo_policy_and_terms(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            world.web.publish(ADDRESS, PNG, media_type="text/html")
            shown = {"policy_uri": "https://courses.example/policy", "tos_uri": "https://courses.example/terms"}
            body = await registered(world, logo_uri=ADDRESS, **shown)
            assert body["logo_uri"] == ADDRESS
            client_id = body["client_id"]
            picture = f"/logos/{client_id}"
            browser = world.browser()
            asked = authorization(client_id, redirect_uri=body["redirect_uris"][0])
            sign_in = await browser.follow(await browser.get("/authorize", **asked))
            consent = await browser.password(sign_in, "lin")
            assert "/signin/password" in sign_in.text
            assert "/signin/consent" in consent.text
            for page in (sign_in, consent):
                assert f'src="{picture}"' in page.text
                assert ADDRESS not in page.text  # nobody's browser tells the platform that it looks
                for uri in shown.values():
                    assert f'href="{uri}" target="_blank" rel="noopener noreferrer"' in page.text
            answer = await browser.get(picture)
            assert (answer.status, answer.content) == (200, PNG)
            assert answer.headers["content-type"] == "image/png"  # ours, not what the platform's server said
            assert world.web.called == [ADDRESS]
            changed = (await manage(world, "PUT", body, document=told(body, logo_uri=None))).json()
            assert "logo_uri" not in changed
            assert (await browser.get(picture)).status == 404
            assert (await browser.get("/logos/learning")).status == 404
            assert (await browser.get("/logos/nobody")).status == 404

    run(story())


@pytest.mark.parametrize(
    "document",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"<html>",
        b"",
        b"GIF89a",
        b"RIFF\x00\x00\x00\x00WAVE",
        PNG + b"\x00" * 70_000,
    ],
)
def test_what_is_no_small_picture_is_not_registered_as_one(opened: OpenWorld, run: Run, document: bytes) -> None:
    async def story() -> None:
        async with opened() as world:
            world.web.publish(ADDRESS, document, media_type="image/png")
            body = await registered(world, logo_uri=ADDRESS)
            assert "logo_uri" not in body
            assert (await world.client(body["client_id"])).logo_uri is None
            assert (await world.browser().get(f"/logos/{body['client_id']}")).status == 404

    run(story())
