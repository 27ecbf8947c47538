"""The verdict and the receipt are what the OpenAPI document says."""

from __future__ import annotations

import json
from typing import Any

from adapters.pages.openapi import DOCUMENT
from tests.adapters.json_schema import check, resolved
from tests.credentials.pages.house import STUDENT, House
from tests.credentials.pages.test_verify_pages import Play, _code

OPENAPI: dict[str, Any] = json.loads(DOCUMENT.read_text("utf-8"))
VERDICT = resolved("#/components/schemas/Verdict", OPENAPI)
RECEIPT = resolved("#/components/schemas/Receipt", OPENAPI)


def test_verdicts_by_code_and_by_file_and_the_receipt_are_as_described(play: Play) -> None:
    async def story(house: House) -> None:
        code = await _code(house)
        by_code = (await house.client.post("/api/verify", json={"code": code})).json()
        assert by_code["verdict"] == "valid"
        check({"code": code}, resolved("#/components/schemas/ShareCode", OPENAPI), OPENAPI)
        check(by_code, VERDICT, OPENAPI)
        (share,) = await house.records.sharing.shares(house.actors[STUDENT])
        bundle = (await house.get(f"/credentials/{share.credential}/bundle.json", as_who=STUDENT)).content
        check((await house.client.post("/api/verify", content=bundle)).json(), VERDICT, OPENAPI)
        receipt = (await house.get(f"/credentials/{share.credential}/receipt.json", as_who=STUDENT)).content
        check(json.loads(receipt), RECEIPT, OPENAPI)
        check((await house.client.post("/api/verify", content=receipt)).json(), VERDICT, OPENAPI)

    play(story)
