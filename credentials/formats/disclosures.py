"""Disclosures and digests of RFC 9901: concealing claims when a credential is made, revealing them when it is read.

Hash names are those of the IANA Named Information registry (`sha-256`, RFC 9901 section 4.1.1) and `sm3`, which section
4.1.1 allows "another profile" to define; ours does, for signatures by SM2.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from credentials.errors import SdJwtRefused
from crypto.encoding import b64u_decode, b64u_encode, json_strict
from crypto.errors import EncodingRefused
from crypto.sm3 import sm3

RandomBytes = Callable[[int], bytes]
Hash = Callable[[bytes], bytes]
Path = tuple[str | int, ...]

SD: Final = "_sd"
SD_ALG: Final = "_sd_alg"
ELLIPSIS: Final = "..."
SALT_BYTES: Final = 16  # RFC 9901 section 9.3: 128 bits or more
DIGEST_BYTES: Final = 32
MAX_DISCLOSURES: Final = 512  # our largest kind has 20; a transcript of eight years stays below 400
MAX_DISCLOSURE_CHARS: Final = 65536
MAX_DEPTH: Final = 32  # a walk in recursion, so its depth is bounded well below Python's own limit


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


HASHES: Final[Mapping[str, Hash]] = {"sha-256": _sha256, "sm3": sm3}


def hash_named(name: object) -> Hash:
    """Return the hash function of an `_sd_alg` value. Raises `SdJwtRefused` with rule `sd_alg`."""
    if not isinstance(name, str) or name not in HASHES:
        raise SdJwtRefused(field=SD_ALG, rule="sd_alg")
    return HASHES[name]


@dataclass(frozen=True, slots=True)
class Disclosable:
    """Marks the value of a member, or an element of an array, as selectively disclosable when a credential is made."""

    value: Any


@dataclass(frozen=True, slots=True)
class Disclosure:
    """One disclosure: the base64url text that is hashed, and what it says. `name` is None for an array element."""

    encoded: str
    name: str | None
    value: Any

    def digest(self, hash_: Hash) -> str:
        """Return the base64url digest under which the issuer refers to this disclosure (section 4.2.3)."""
        return b64u_encode(hash_(self.encoded.encode("ascii")))


def make_disclosure(salt: bytes, name: str | None, value: Any) -> Disclosure:
    """Encode one disclosure (sections 4.2.1 and 4.2.2)."""
    content = [b64u_encode(salt), value] if name is None else [b64u_encode(salt), name, value]
    try:
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return Disclosure(b64u_encode(text.encode()), name, value)
    except ValueError as error:  # NaN, or half of a surrogate pair: neither has a JSON encoding
        raise SdJwtRefused(field=name, rule="value") from error


def parse_disclosure(encoded: str) -> Disclosure:
    """Read one disclosure. Raises `SdJwtRefused`: encoding, elements, salt, name."""
    if len(encoded) > MAX_DISCLOSURE_CHARS:
        raise SdJwtRefused(field="disclosure", rule="too_long")
    try:
        content = json_strict(b64u_decode(encoded))
    except EncodingRefused as error:
        raise SdJwtRefused(field="disclosure", rule="encoding") from error
    if not isinstance(content, list) or len(content) not in {2, 3}:
        raise SdJwtRefused(field="disclosure", rule="elements")
    if not isinstance(content[0], str):
        raise SdJwtRefused(field="disclosure", rule="salt")
    if len(content) == 2:
        return Disclosure(encoded, None, content[1])
    name = content[1]
    if not isinstance(name, str) or name in {SD, ELLIPSIS}:
        raise SdJwtRefused(field="disclosure", rule="name")
    return Disclosure(encoded, name, content[2])


class _Concealer:
    def __init__(self, hash_: Hash, random_bytes: RandomBytes, decoys: int) -> None:
        self._hash = hash_
        self._random_bytes = random_bytes
        self._decoys = decoys
        self.disclosures: list[Disclosure] = []

    def _digest(self, name: str | None, value: Any) -> str:
        disclosure = make_disclosure(self._random_bytes(SALT_BYTES), name, value)
        self.disclosures.append(disclosure)
        return disclosure.digest(self._hash)

    def walk(self, value: Any, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise SdJwtRefused(rule="depth")
        if isinstance(value, Mapping):
            return self._members(value, depth)
        if isinstance(value, list | tuple):
            return [
                {ELLIPSIS: self._digest(None, self.walk(element.value, depth + 1))}
                if isinstance(element, Disclosable)
                else self.walk(element, depth + 1)
                for element in value
            ]
        if isinstance(value, Disclosable):
            raise SdJwtRefused(rule="marker")
        return value

    def _members(self, claims: Mapping[str, Any], depth: int) -> dict[str, Any]:
        out: dict[str, Any] = {}
        digests: list[str] = []
        for name, value in claims.items():
            # Section 4.1: an issuer never uses these names for claims of its own.
            if name in {SD, SD_ALG, ELLIPSIS}:
                raise SdJwtRefused(field=name, rule="name")
            if isinstance(value, Disclosable):
                digests.append(self._digest(name, self.walk(value.value, depth + 1)))
            else:
                out[name] = self.walk(value, depth + 1)
        if digests:
            digests += [b64u_encode(self._hash(self._random_bytes(DIGEST_BYTES))) for _ in range(self._decoys)]
            # Section 4.2.4.1: the order of digests must not tell the order of claims.
            out[SD] = sorted(digests)
        return out


def conceal(
    claims: Mapping[str, Any], *, hash_name: str, random_bytes: RandomBytes, decoys: int
) -> tuple[dict[str, Any], tuple[Disclosure, ...]]:
    """Replace every `Disclosable` by its digest; return the payload and the disclosures.

    `decoys` digests of nothing (section 4.2.5) are added beside the real ones of each object. Raises `SdJwtRefused`.
    """
    concealer = _Concealer(hash_named(hash_name), random_bytes, decoys)
    payload = concealer.walk(claims, 0)
    payload[SD_ALG] = hash_name
    return payload, tuple(concealer.disclosures)


@dataclass(frozen=True, slots=True)
class Revealed:
    """The processed payload: `claims`, and the path of each claim that came from a disclosure, in order of reading."""

    claims: dict[str, Any]
    disclosed: tuple[tuple[Path, Disclosure], ...]

    @property
    def disclosed_names(self) -> frozenset[str]:
        """Names at the top level that came from disclosures."""
        return frozenset(str(path[0]) for path, _ in self.disclosed if len(path) == 1)


class _Revealer:
    def __init__(self, by_digest: Mapping[str, Disclosure]) -> None:
        self._by_digest = by_digest
        self.seen: set[str] = set()
        self.disclosed: list[tuple[Path, Disclosure]] = []

    def _look_up(self, digest: object) -> Disclosure | None:
        if not isinstance(digest, str):
            raise SdJwtRefused(field=SD, rule="digest")
        # Section 7.1 step 4: no digest more than once, whether or not its disclosure is here.
        if digest in self.seen:
            raise SdJwtRefused(field=SD, rule="digest_twice")
        self.seen.add(digest)
        return self._by_digest.get(digest)

    def walk(self, value: Any, path: Path) -> Any:
        if len(path) > MAX_DEPTH:
            raise SdJwtRefused(rule="depth")
        if isinstance(value, dict):
            return self._members(value, path)
        if isinstance(value, list):
            return self._elements(value, path)
        return value

    def _elements(self, value: list[Any], path: Path) -> list[Any]:
        out: list[Any] = []
        for position, element in enumerate(value):
            if not (isinstance(element, dict) and ELLIPSIS in element):
                out.append(self.walk(element, (*path, position)))
                continue
            if len(element) != 1:  # section 4.2.4.2: the placeholder has exactly this one key
                raise SdJwtRefused(field=ELLIPSIS, rule="placeholder")
            disclosure = self._look_up(element[ELLIPSIS])
            if disclosure is None:
                continue  # step 3.d: what was not disclosed leaves no trace
            if disclosure.name is not None:
                raise SdJwtRefused(field="disclosure", rule="elements")
            self.disclosed.append(((*path, position), disclosure))
            out.append(self.walk(disclosure.value, (*path, position)))
        return out

    def _members(self, value: dict[str, Any], path: Path) -> dict[str, Any]:
        if ELLIPSIS in value:
            raise SdJwtRefused(field=ELLIPSIS, rule="placeholder")
        if path and SD_ALG in value:  # section 4.1.1: at the top level only
            raise SdJwtRefused(field=SD_ALG, rule="nested")
        out = {name: self.walk(member, (*path, name)) for name, member in value.items() if name not in {SD, SD_ALG}}
        digests = value.get(SD, [])
        if not isinstance(digests, list):
            raise SdJwtRefused(field=SD, rule="digest")
        for digest in digests:
            disclosure = self._look_up(digest)
            if disclosure is None:
                continue
            name = disclosure.name
            if name is None:
                raise SdJwtRefused(field="disclosure", rule="elements")
            # Step 3.c.ii.3, and `_sd_alg` must not be put in after the issuer's own was read.
            if name in out or name == SD_ALG:
                raise SdJwtRefused(field="disclosure", rule="name_present")
            self.disclosed.append(((*path, name), disclosure))
            out[name] = self.walk(disclosure.value, (*path, name))
        return out


def reveal(payload: Mapping[str, Any], disclosures: Sequence[Disclosure]) -> Revealed:
    """Process an issuer-signed payload with its disclosures (RFC 9901 section 7.1, steps 2.c to 5).

    Raises `SdJwtRefused` with the rule: sd_alg, digest, digest_twice, disclosure_twice, elements, name_present,
    placeholder, nested, unreferenced, depth, too_many.
    """
    if len(disclosures) > MAX_DISCLOSURES:
        raise SdJwtRefused(field="disclosure", rule="too_many")
    hash_ = hash_named(payload.get(SD_ALG, "sha-256"))
    by_digest = {disclosure.digest(hash_): disclosure for disclosure in disclosures}
    if len(by_digest) != len(disclosures):
        raise SdJwtRefused(field="disclosure", rule="disclosure_twice")
    revealer = _Revealer(by_digest)
    claims = revealer.walk(dict(payload), ())
    # Step 5: a disclosure nothing refers to was injected.
    if not by_digest.keys() <= revealer.seen:
        raise SdJwtRefused(field="disclosure", rule="unreferenced")
    return Revealed(claims, tuple(revealer.disclosed))


def select(
    payload: Mapping[str, Any], disclosures: Sequence[Disclosure], *, chosen: Callable[[Path], bool]
) -> tuple[Disclosure, ...]:
    """Return, in their own order, the disclosures whose path is chosen and whose every concealed ancestor is too.

    Paths are those of the whole credential: member names, and array positions as the issuer signed them.
    Raises `SdJwtRefused` as `reveal` does.
    """
    dropped: set[Path] = set()
    keep: set[str] = set()
    for path, disclosure in reveal(payload, disclosures).disclosed:  # an ancestor always comes before what is inside it
        orphan = any(path[:length] in dropped for length in range(1, len(path)))
        if orphan or not chosen(path):
            dropped.add(path)
        else:
            keep.add(disclosure.encoded)
    return tuple(disclosure for disclosure in disclosures if disclosure.encoded in keep)


def join(issuer_jwt: str, disclosures: Iterable[Disclosure]) -> str:
    """Return the compact form without key binding: `<JWT>~D1~…~Dn~` (section 4)."""
    return "~".join([issuer_jwt, *(disclosure.encoded for disclosure in disclosures), ""])
