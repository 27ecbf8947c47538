"""What a fuzz target is: bytes in, and an assertion about what our parser and another implementation make of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from crypto.errors import TrustError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Target:
    """`check` returns whether our parser accepted the bytes, and raises where an assertion fails or anything crashes.

    `seeds` are inputs it accepts: where the fuzzer starts, and the proof that the target reaches behind the parser.
    """

    name: str
    check: Callable[[bytes], bool]
    seeds: Callable[[], list[bytes]]


def accepted(parse: Callable[[], T]) -> T | None:
    """Return what was parsed, None where it was refused. Whatever else comes out is a finding."""
    try:
        return parse()
    except TrustError:
        return None


def as_text(data: bytes) -> str:
    """Return any bytes as a text one character a byte, so that a parser of texts gets what is not ASCII too."""
    return data.decode("latin-1")
