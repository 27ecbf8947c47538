"""The names of a published log's files: C2SP tlog-tiles, and beside it what that layout has no place for.

    checkpoint                    the newest signed note
    log.json                      the log's name and keys
    counts                        how many notes and statements there are
    tile/<L>/<N>[.p/<W>]          SHA-256 hashes          sm3/tile/<L>/<N>[.p/<W>]   SM3 hashes
    tile/entries/<N>[.p/<W>]      entry bundles           keys/<N>[.p/<W>]           their idempotency keys
    note/<size>                   signed notes            note/<size>.keys           the digest of its keys (older logs)
    anchor/<chain>/<size>         statements of anchor witnesses

Every place has exactly one name; what is not byte for byte a name that `str` gives back is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ledger.errors import EntryUnknown
from ledger.merkle import MAX_TREE_SIZE, HashAlg
from ledger.tiles import TILE_HEIGHT, TILE_WIDTH, TileId

CHECKPOINT_NAME: Final = "checkpoint"
DOCUMENT_NAME: Final = "log.json"
COUNTS_NAME: Final = "counts"

# 2^63 leaves are eight levels of tiles.
MAX_LEVEL: Final = 63 // TILE_HEIGHT
# The longest name, with three trees' prefixes, seven groups and a width, is well below.
MAX_NAME_CHARS: Final = 96

_DECIMAL: Final = re.compile(r"(?:0|[1-9][0-9]{0,18})\Z")
_WIDTH: Final = re.compile(r"[1-9][0-9]{0,2}\Z")
_LAST_GROUP: Final = re.compile(r"[0-9]{3}\Z")
_GROUP: Final = re.compile(r"x[0-9]{3}\Z")
_CHAIN: Final = re.compile(r"(?:file|evm-[1-9][0-9]{0,18})\Z")

_TILE_ROOTS: Final[dict[HashAlg, str]] = {HashAlg.SHA256: "tile", HashAlg.SM3: "sm3/tile"}


@dataclass(frozen=True, slots=True, order=True)
class TilePath:
    """A tile of a tree with `width` hashes, 1 to 256."""

    tile: TileId
    width: int

    def __str__(self) -> str:
        return f"{_TILE_ROOTS[self.tile.alg]}/{self.tile.level}/{_numbered(self.tile.index, self.width)}"


@dataclass(frozen=True, slots=True, order=True)
class BundlePath:
    """The entries from 256 · `index` on, `width` of them, 1 to 256."""

    index: int
    width: int

    def __str__(self) -> str:
        return f"tile/entries/{_numbered(self.index, self.width)}"


@dataclass(frozen=True, slots=True, order=True)
class KeysPath:
    """The idempotency keys of the bundle of the same index and width."""

    index: int
    width: int

    def __str__(self) -> str:
        return f"keys/{_numbered(self.index, self.width)}"


@dataclass(frozen=True, slots=True, order=True)
class NotePath:
    """The checkpoint signed at exactly this size."""

    size: int

    def __str__(self) -> str:
        return f"note/{self.size}"


@dataclass(frozen=True, slots=True, order=True)
class KeysDigestPath:
    """The SM3 of the idempotency keys since the last such file: kept where it is, written no more."""

    size: int

    def __str__(self) -> str:
        return f"note/{self.size}.keys"


@dataclass(frozen=True, slots=True, order=True)
class AnchorPath:
    """The statement that the checkpoint of `size` was seen anchored on `chain` ("file", "evm:<chain id>")."""

    chain: str
    size: int

    def __str__(self) -> str:
        return f"anchor/{self.chain.replace(':', '-')}/{self.size}"


@dataclass(frozen=True, slots=True)
class CheckpointPath:
    """The newest checkpoint; the one file, with the next two, that is ever replaced."""

    def __str__(self) -> str:
        return CHECKPOINT_NAME


@dataclass(frozen=True, slots=True)
class DocumentPath:
    """The log's name and keys."""

    def __str__(self) -> str:
        return DOCUMENT_NAME


@dataclass(frozen=True, slots=True)
class CountsPath:
    """How many notes and anchor statements there are."""

    def __str__(self) -> str:
        return COUNTS_NAME


LayoutPath = (
    TilePath
    | BundlePath
    | KeysPath
    | NotePath
    | KeysDigestPath
    | AnchorPath
    | CheckpointPath
    | DocumentPath
    | CountsPath
)


def parse_path(name: str) -> LayoutPath:
    """Return the place a name stands for. EntryUnknown (field `path`) for everything that is not one of the names."""
    if len(name) > MAX_NAME_CHARS:
        raise _unknown()
    parts = name.split("/")
    match parts:
        case ["checkpoint"]:
            return CheckpointPath()
        case ["log.json"]:
            return DocumentPath()
        case ["counts"]:
            return CountsPath()
        case ["tile", "entries", *rest]:
            index, width = _parse_numbered(rest, level=0)
            return BundlePath(index, width)
        case ["keys", *rest]:
            index, width = _parse_numbered(rest, level=0)
            return KeysPath(index, width)
        case ["tile", level, *rest]:
            return _parse_tile(HashAlg.SHA256, level, rest)
        case ["sm3", "tile", level, *rest]:
            return _parse_tile(HashAlg.SM3, level, rest)
        case ["note", size] if size.endswith(".keys"):
            return KeysDigestPath(_parse_size(size.removesuffix(".keys")))
        case ["note", size]:
            return NotePath(_parse_size(size))
        case ["anchor", chain, size] if _CHAIN.match(chain) is not None:
            return AnchorPath(chain.replace("-", ":"), _parse_size(size))
        case _:
            raise _unknown()


def require_chain(chain: str) -> None:
    """Refuse a chain's name that has no folder in the layout."""
    if _CHAIN.match(chain.replace(":", "-")) is None or "-" in chain:
        raise _unknown()


def _numbered(index: int, width: int) -> str:
    """Write an index in groups of three digits, all but the last led by an x; then the width of a partial one."""
    digits = str(index)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    name = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    return name if width == TILE_WIDTH else f"{name}.p/{width}"


def _parse_numbered(parts: list[str], *, level: int) -> tuple[int, int]:
    width = TILE_WIDTH
    if len(parts) >= 2 and parts[-2].endswith(".p"):
        if _WIDTH.match(parts[-1]) is None:
            raise _unknown()
        width = int(parts[-1])
        parts = [*parts[:-2], parts[-2].removesuffix(".p")]
        if width >= TILE_WIDTH:
            raise _unknown()
    if not parts or _LAST_GROUP.match(parts[-1]) is None or any(_GROUP.match(group) is None for group in parts[:-1]):
        raise _unknown()
    if parts[0] == "x000":
        raise _unknown()
    index = int("".join(parts).replace("x", ""))
    if ((index * TILE_WIDTH + width) << (TILE_HEIGHT * level)) > MAX_TREE_SIZE:
        raise _unknown()
    return index, width


def _parse_tile(alg: HashAlg, level: str, rest: list[str]) -> TilePath:
    if _DECIMAL.match(level) is None or int(level) > MAX_LEVEL:
        raise _unknown()
    index, width = _parse_numbered(rest, level=int(level))
    return TilePath(TileId(alg, int(level), index), width)


def _parse_size(text: str) -> int:
    if _DECIMAL.match(text) is None or int(text) > MAX_TREE_SIZE:
        raise _unknown()
    return int(text)


def _unknown() -> EntryUnknown:
    return EntryUnknown(field="path", rule="canonical")
