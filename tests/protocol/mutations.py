"""Mutations of tokens, seeded: of characters, of segments, of headers and claims, of keys; each differs from what it began as."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from crypto.encoding import b64u_encode
from crypto.keys import SigningKey, generate_signing_key
from crypto.sm2 import select_backend
from crypto.suites import Alg
from tests.protocol.world import claims_of, header_of

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
STRANGE: list[str] = [*'.=+/ %~"\\&;:@', "\n", "\x00", "\x7f", "é", "Ａ", "\u200b", "\u202e", "𝒜", "\ud800"]

Mutate = Callable[[str, random.Random], str]


@cache
def _strangers_key(alg: Alg) -> SigningKey:
    return generate_signing_key(alg, backend=select_backend(("libcrypto",)))


def _replaced(token: str, rng: random.Random) -> str:
    at = rng.randrange(len(token))
    return token[:at] + rng.choice(ALPHABET) + token[at + 1 :]


def _strange(token: str, rng: random.Random) -> str:
    at = rng.randrange(len(token) + 1)
    return token[:at] + rng.choice(STRANGE) + token[at + rng.randrange(2) :]


def _deleted(token: str, rng: random.Random) -> str:
    at = rng.randrange(len(token))
    return token[:at] + token[at + rng.randrange(1, 5) :]


def _doubled(token: str, rng: random.Random) -> str:
    at = rng.randrange(len(token))
    return token[:at] + token[at] + token[at:]


def _swapped(token: str, rng: random.Random) -> str:
    one, two = sorted(rng.sample(range(len(token)), 2))
    return token[:one] + token[two] + token[one + 1 : two] + token[one] + token[two + 1 :]


def _cut(token: str, rng: random.Random) -> str:
    at = rng.randrange(len(token))
    return rng.choice([token[:at], token[at:], token + token[at:]])


def _of_other_case(token: str, rng: random.Random) -> str:
    return rng.choice([token.swapcase(), token.upper(), token.lower(), token[::-1]])


def _dressed(token: str, rng: random.Random) -> str:
    return rng.choice(
        ["{} ", " {}", "{}\n", "{}=", "{}==", '"{}"', "Bearer {}", "{0},{0}", "{}.", ".{}", "{}\x00"]
    ).format(token)


_CHARACTERS: tuple[Mutate, ...] = (
    _replaced,
    _replaced,
    _strange,
    _deleted,
    _doubled,
    _swapped,
    _cut,
    _of_other_case,
    _dressed,
)


def _prefixed(token: str, rng: random.Random) -> str:
    prefixes = ("at_", "rt_", "sac_", "rac_", "slt_", "slo_", "spa_", "sdc_", "suc_", "s", "")
    return rng.choice(prefixes) + token.partition("_")[2]


def _invented(token: str, rng: random.Random) -> str:
    prefix, _, secret = token.partition("_")
    return f"{prefix}_{''.join(rng.choices(ALPHABET, k=len(secret)))}"


def _same_bytes(token: str, rng: random.Random) -> str:
    """Write the same bytes another way: the unused bits of the last character."""
    at = ALPHABET.index(token[-1])
    return token[:-1] + ALPHABET[at ^ rng.choice([1, 2, 3])]


def _segments(token: str, rng: random.Random) -> str:
    parts = token.split(".")
    at = rng.randrange(3)
    ways: list[Callable[[], list[str]]] = [
        lambda: parts[:at] + parts[at + 1 :],
        lambda: [*parts[:at], "", *parts[at + 1 :]],
        lambda: [*parts, parts[at]],
        lambda: [parts[1], parts[0], parts[2]],
        lambda: [*parts[:at], parts[(at + 1) % 3], *parts[at + 1 :]],
        lambda: [*parts[:2], b64u_encode(rng.randbytes(rng.choice([0, 1, 32, 63, 64, 65, 256])))],
        lambda: [*parts[:2], b64u_encode(bytes(64))],
    ]
    return ".".join(rng.choice(ways)())


def _written(header: dict[str, Any], claims: dict[str, Any], rest: Callable[[bytes], bytes]) -> str:
    text = ".".join(b64u_encode(json.dumps(part).encode()) for part in (header, claims))
    return f"{text}.{b64u_encode(rest(text.encode()))}"


def _signature(token: str) -> Callable[[bytes], bytes]:
    raw = token.rsplit(".", 1)[1]
    return lambda _data: base64.urlsafe_b64decode(raw + "=" * (-len(raw) % 4))


def _other_header(token: str, rng: random.Random) -> str:
    header = header_of(token)
    changes: list[dict[str, Any]] = [
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": rng.choice(["ES256", "RS256", "PS256", "EdDSA", "SGD_SM3_SM2", "ES384", "es256", "", 5, None])},
        {"kid": rng.choice(["", "x", "../../dev/null", "' OR '1'='1", 7, None])},
        {"typ": rng.choice(["JWT", "at+jwt", "logout+jwt", "userinfo+jwt", "dpop+jwt", "", 1])},
        {"crit": rng.choice([["exp"], [], ["b64"], "x"])},
        {"b64": False, "crit": ["b64"]},
        {"jwk": dict(_strangers_key(Alg.ES256).public.jwk)},
        {"jku": "https://evil.example/jwks"},
        {"x5c": ["MIIB"]},
        {"zip": "DEF"},
        {"cty": "JWT"},
    ]
    rest = rng.choice([_signature(token), lambda _data: b""])
    return _written({**header, **rng.choice(changes)}, claims_of(token), rest)


def _other_claims(token: str, rng: random.Random) -> str:
    claims = claims_of(token)
    name = rng.choice([*claims, "scope", "admin", "nbf"])
    value = claims.get(name)
    others: list[Any] = [None, "", 0, True, [value], {"a": 1}, f"{value}x", 2**70, -1, [], "urn:edutrust:acr:2"]
    changed = {**claims, name: rng.choice(others)}
    if rng.random() < 0.2:
        changed.pop(name)
    return _written(header_of(token), changed, _signature(token))


def _signed_by_a_stranger(token: str, rng: random.Random) -> str:
    """Sign the same claims with another key, named as the right one or as itself; or with a MAC under a public text."""
    header, claims = header_of(token), claims_of(token)
    key = _strangers_key(rng.choice([Alg.ES256, Alg.EDDSA, Alg.SGD_SM3_SM2]))
    if rng.random() < 0.3:
        secret = json.dumps(header).encode()
        return _written({**header, "alg": "HS256"}, claims, lambda data: hmac.digest(secret, data, hashlib.sha256))
    header["alg"] = key.alg.value
    if rng.random() < 0.5:
        header["kid"] = key.kid
        header["jwk"] = dict(key.public.jwk)
    return _written(header, claims, key.sign)


_OF_HANDLES: tuple[Mutate, ...] = (*_CHARACTERS, _prefixed, _invented, _same_bytes)
_OF_JWT: tuple[Mutate, ...] = (
    *_CHARACTERS,
    _same_bytes,
    _segments,
    _other_header,
    _other_claims,
    _signed_by_a_stranger,
)


def mutations(token: str, *, seed: int, count: int) -> Iterator[str]:
    """Yield `count` different-from-`token` mutations, the same for the same seed; several at once now and then."""
    rng = random.Random(seed)
    ways = _OF_JWT if token.count(".") == 2 else _OF_HANDLES
    made = 0
    while made < count:
        mutated = rng.choice(ways)(token, rng)
        while mutated and rng.random() < 0.1:
            mutated = rng.choice((_strange, _deleted, _cut))(mutated, rng)
        if mutated != token:
            made += 1
            yield mutated
