"""Links that act: password resets, e-mail confirmations, invitations (CVE-2026-4325: one key space for all of them).

This service sends no mail and has no such links. What it does hand out for one act are transient handles; each opens only
what it was made for (also tests/advisories/test_transient_store.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from idp.transient import TransientKind
from tests.protocol.full_service import full_service
from tests.protocol.world import OpenWorld

ADVISORY_CLASSES: tuple[int, ...] = (9,)
SEEN_RED: dict[str, str] = {
    "test_a_handle_opens_the_one_door_it_was_made_for": "idp/transient.py: the kind of a handle not compared",
}

Run = Callable[[Coroutine[Any, Any, None]], None]

ACTING_LINKS = re.compile(
    r"reset|forgot|recover|confirm-?email|verify-?email|activate|invit|magic|action-?token", re.IGNORECASE
)


def test_there_is_no_link_that_resets_confirms_or_invites(tmp_path: Path, run: Run) -> None:
    async def story() -> None:
        async with full_service(tmp_path) as service:
            assert not [route.path for route in service.routes() if ACTING_LINKS.search(route.path)]

    run(story())


def test_a_handle_opens_the_one_door_it_was_made_for(opened: OpenWorld, run: Run) -> None:
    """Each kind of handle, live, at every door that takes a handle: a door that opened would have used it up."""

    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            await world.tokens(browser)
            for kind in TransientKind:
                handle = await world.transient.put(kind, b'{"client_id":"learning"}', lifetime_s=60)
                doors = {
                    TransientKind.AUTHORIZATION_CODE: world.redeem(handle),
                    TransientKind.LOGIN: browser.get("/signin/step", t=handle),
                    TransientKind.LOGOUT: browser.post("/end-session/confirm", {"t": handle, "csrf": "form-token"}),
                    TransientKind.PUSHED_REQUEST: world.authorize(
                        browser, request_uri=f"urn:ietf:params:oauth:request_uri:{handle}"
                    ),
                }
                for door, attempt in doors.items():
                    if door is kind:
                        attempt.close()
                    else:
                        assert (await attempt).status >= 400, (kind, door)
                assert await world.transient.take(kind, handle) is not None, kind

    run(story())
