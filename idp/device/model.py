"""What is kept of a device that waits: what it asked for and what the person said, and how often it may ask."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from crypto.encoding import json_strict
from idp.model import Acr, Authentication

LIFETIME_S = 10 * 60
"""RFC 8628 §3.2 `expires_in`: time to fetch a telephone, sign in and read; §5.1 asks for as little as people can do with."""

EXPIRED_KEPT_S = 10 * 60
"""How long after its end a device is told `expired_token` instead of that there is no such code (§3.5)."""

INTERVAL_S = 5
"""RFC 8628 §3.2 `interval`, its default."""

SLOW_DOWN_S = 5
"""RFC 8628 §3.5: by how much the interval grows, for this and all later requests, at each `slow_down`."""


class Answer(StrEnum):
    """What the person said."""

    NONE = "none"
    YES = "yes"
    NO = "no"


@dataclass(frozen=True, slots=True)
class Approval:
    """The yes: who, in which session, authenticated how, allowing which scopes."""

    person: str
    session_reference: str
    authentication: Authentication
    scope: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeviceRequest:
    """What stands under a user code. `approval` is set exactly when the answer is yes.

    `device` and `place` are the words of `idp.origin` for whoever made the request; times in seconds.
    """

    client_id: str
    scope: tuple[str, ...]
    resources: tuple[str, ...]
    device: str
    place: str
    asked_at: int
    expires_at: int
    answer: Answer
    approval: Approval | None

    def dump(self) -> bytes:
        """Return the payload kept under the user code: one encoding of one request, for it is compared and swapped."""
        return _dump(asdict(self))


@dataclass(frozen=True, slots=True)
class Waiting:
    """What stands under a device code: whose it is, the entry of its request, and when it may ask again, and how soon."""

    client_id: str
    request: str
    expires_at: int
    interval_s: int
    not_before: int

    def dump(self) -> bytes:
        """Return the payload kept under the device code; as `DeviceRequest.dump`."""
        return _dump(asdict(self))


def load_device_request(payload: bytes) -> DeviceRequest:
    """Read back what `DeviceRequest.dump` wrote."""
    raw: Any = json_strict(payload)
    known = raw["approval"]
    return DeviceRequest(
        **{
            **raw,
            "scope": tuple(raw["scope"]),
            "resources": tuple(raw["resources"]),
            "answer": Answer(raw["answer"]),
            "approval": None if known is None else _approval(known),
        }
    )


def load_waiting(payload: bytes) -> Waiting:
    """Read back what `Waiting.dump` wrote."""
    raw: Any = json_strict(payload)
    return Waiting(**raw)


def _approval(raw: Any) -> Approval:
    known = raw["authentication"]
    authentication = Authentication(known["time"], Acr(known["acr"]), tuple(known["amr"]))
    return Approval(raw["person"], raw["session_reference"], authentication, tuple(raw["scope"]))


def _dump(raw: dict[str, Any]) -> bytes:
    return json.dumps(raw, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
