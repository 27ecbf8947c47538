"""A device without a browser, for tests: what it asks, what its person does, what it is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.protocol.world import SECRET, Answer, Browser, World, basic, registration

GRANT = "urn:ietf:params:oauth:grant-type:device_code"
TELEVISION = {"user-agent": "Mozilla/5.0 (Linux; Android 14; SchoolTV) Chrome/120"}


def screen(client_id: str = "screen", /, **changes: Any) -> dict[str, object]:
    """Return a registration whose only way to a person is the device grant."""
    members: dict[str, Any] = {
        "grant_types": [GRANT, "refresh_token"],
        "redirect_uris": None,
        "post_logout_redirect_uris": None,
        "name_zh": "教室大屏",
        "name_en": "Classroom screen",
        "sector_identifier": f"{client_id}.example",
        **changes,
    }
    return registration(client_id, **members)


@dataclass
class Device:
    """One device of one client, with the codes it was given."""

    world: World
    client_id: str = "screen"
    device_code: str = ""
    user_code: str = ""

    async def post(self, path: str, form: dict[str, Any]) -> Answer:
        sent = {name: value for name, value in form.items() if value is not None}
        headers = {**TELEVISION, "authorization": basic(self.client_id, SECRET)}
        if (await self.world.client(self.client_id)).public:
            del headers["authorization"]
            sent["client_id"] = self.client_id
        return await self.world.browser().post(path, sent, **headers)

    async def ask(self, **changes: Any) -> Answer:
        """Ask for codes, and keep them."""
        answer = await self.post("/device_authorization", {"scope": "openid profile", **changes})
        if answer.status == 200:
            self.device_code, self.user_code = answer.json()["device_code"], answer.json()["user_code"]
        return answer

    async def poll(self, **changes: Any) -> Answer:
        """Ask whether the person has decided."""
        return await self.post("/token", {"grant_type": GRANT, "device_code": self.device_code, **changes})

    async def told(self, **changes: Any) -> str:
        """Return the error of a poll, or "tokens"."""
        answer = await self.poll(**changes)
        return "tokens" if answer.status == 200 else str(answer.json()["error"])


async def type_code(browser: Browser, user_code: str) -> Answer:
    """Send the code, as the form of `/device` does."""
    return await browser.post("/device", {"csrf": "form-token", "user_code": user_code})


async def say(browser: Browser, page: Answer, answer: str) -> Answer:
    """Answer the page that shows whose device it is."""
    form = {"csrf": "form-token", "t": page.hidden("t"), "answer": answer}
    return await browser.follow(await browser.post("/device/answer", form))


async def to_consent(browser: Browser, user_code: str) -> Answer:
    """Go from the code to the consent page, signed in already."""
    return await say(browser, await type_code(browser, user_code), "yes")


async def connect(browser: Browser, user_code: str, *ticked: str) -> Answer:
    """Do all that a person does to let a device sign in."""
    return await browser.allow(await to_consent(browser, user_code), *ticked)
