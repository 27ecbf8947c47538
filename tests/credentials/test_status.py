"""Token Status List: the draft's own vectors, and what must not be believed (security.md 39)."""

from __future__ import annotations

import json
import re
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credentials.errors import StatusRefused
from credentials.status import (
    Status,
    StatusList,
    pack,
    parse_list,
    reference_of,
    sign_status_token,
    verify_status_token,
)
from crypto.canonical import jcs
from crypto.encoding import b64u_encode
from crypto.errors import TrustError
from crypto.jws import sign_jws
from crypto.keys import generate_signing_key
from crypto.suites import Alg, Purpose, policy
from tests.credentials.world import BACKEND
from tests.vectors_dir import shared

KEY = generate_signing_key(Alg.SGD_SM3_SM2, backend=BACKEND)
RULES = policy(Purpose.STATUS_LIST)
URI = "https://i/status/1"
EXAMPLES = "vectors/token-status-list/examples"
LONG = [(0, 1), (1993, 2), (25460, 1), (159495, 3), (495669, 1), (554353, 1), (645645, 2), (723232, 1), (854545, 1),
        (934534, 2), (1000345, 3)]  # fmt: skip


def example(name: str) -> StatusList:
    text = shared(f"{EXAMPLES}/{name}.md").read_text()
    claim = json.loads(re.sub(r"\s+", "", text[text.index("{") :]))
    return parse_list(claim)


def test_the_drafts_short_lists_decode_to_the_published_bytes() -> None:
    assert example("status_list_encoding_json").packed == bytes([0xB9, 0xA3])
    assert [example("status_list_encoding_json").value(n) for n in range(16)] == [
        1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1,
    ]  # fmt: skip
    two = example("status_list_encoding2_json")
    assert two.packed == bytes([0xC9, 0x44, 0xF9])
    assert [two.value(n) for n in range(12)] == [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3]


def test_the_drafts_long_two_bit_list_has_exactly_the_published_values() -> None:
    long = example("status_list_encoding2_long_json")
    assert len(long) == 1 << 20
    assert {n: long.value(n) for n in range(len(long)) if long.value(n)} == dict(LONG)
    assert pack(1 << 20, dict(LONG)).packed == long.packed


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.integers(0, 999), st.integers(0, 3), max_size=40))
def test_a_packed_list_reads_back(values: dict[int, int]) -> None:
    read = parse_list(pack(1000, values).encode())
    assert [read.value(n) for n in range(1000)] == [values.get(n, 0) for n in range(1000)]


@pytest.mark.parametrize("index", [-1, 1000, 10**9])
def test_an_index_out_of_range_is_refused(index: int) -> None:
    with pytest.raises(StatusRefused) as refused:
        pack(1000, {}).value(index)
    assert refused.value.rule == "index"


def _lst(data: bytes) -> str:
    return b64u_encode(data)


@pytest.mark.parametrize(
    ("claim", "rule"),
    [
        (None, "form"),
        ({"bits": 2}, "form"),
        ({"bits": 3, "lst": _lst(zlib.compress(b"\0"))}, "bits"),
        ({"bits": True, "lst": _lst(zlib.compress(b"\0"))}, "bits"),
        ({"bits": 2, "lst": "="}, "encoding"),
        ({"bits": 2, "lst": _lst(b"no zlib")}, "encoding"),
        ({"bits": 2, "lst": _lst(zlib.compress(b"\0" * 9)[:-2])}, "zlib"),
        ({"bits": 2, "lst": _lst(zlib.compress(b"\0" * 9) + b"more")}, "zlib"),
        ({"bits": 2, "lst": _lst(zlib.compress(bytes(64 << 20)))}, "zlib"),  # a bomb: 64 MiB in 64 kB
    ],
)
def test_malformed_lists_are_refused(claim: object, rule: str) -> None:
    with pytest.raises(StatusRefused) as refused:
        parse_list(claim)
    assert refused.value.rule == rule


def token(**changes: Any) -> str:
    claims = {"sub": URI, "iat": 100, "exp": 200, "ttl": 10, "status_list": pack(8, {3: 1}).encode()} | changes
    return sign_jws(jcs({n: v for n, v in claims.items() if v is not ...}), key=KEY, policy=RULES)


def test_a_token_of_the_issuer_is_read() -> None:
    made = sign_status_token(pack(8, {3: 2}), uri=URI, issued_at=100, expires_at=200, ttl=10, key=KEY, policy=RULES)
    read = verify_status_token(made, uri=URI, keys={KEY.kid: KEY.public}, policy=RULES)
    assert (read.issued_at, read.expires_at, read.ttl) == (100, 200, 10)
    assert Status(read.statuses.value(3)) is Status.SUSPENDED
    bare = verify_status_token(token(exp=..., ttl=...), uri=URI, keys={KEY.kid: KEY.public}, policy=RULES)
    assert (bare.expires_at, bare.ttl) == (None, None)


@pytest.mark.parametrize(
    "changes",
    [{"sub": "https://i/status/2"}, {"sub": ...}, {"iat": ...}, {"iat": "100"}, {"iat": True}, {"exp": "x"}, {"ttl": 0},
     {"status_list": ...}],
)  # fmt: skip
def test_a_token_of_another_list_or_without_its_claims_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(StatusRefused):
        verify_status_token(token(**changes), uri=URI, keys={KEY.kid: KEY.public}, policy=RULES)


def test_an_unsigned_a_foreign_and_a_mistyped_token_are_refused() -> None:
    other = generate_signing_key(Alg.SGD_SM3_SM2, backend=BACKEND)
    body = jcs({"sub": URI, "iat": 100, "status_list": pack(8, {}).encode()})
    unsigned = f"{b64u_encode(jcs({'alg': 'none', 'typ': 'statuslist+jwt'}))}.{b64u_encode(body)}."
    credential = sign_jws(body, key=KEY, policy=policy(Purpose.CREDENTIAL))
    foreign = sign_jws(body, key=other, policy=RULES)
    for bad in (unsigned, credential, foreign):
        with pytest.raises(TrustError):
            verify_status_token(bad, uri=URI, keys={KEY.kid: KEY.public}, policy=RULES)


@pytest.mark.parametrize(
    "status",
    [None, {}, {"status_list": {}}, {"status_list": {"idx": 1}}, {"status_list": {"idx": -1, "uri": "u"}},
     {"status_list": {"idx": True, "uri": "u"}}, {"status_list": {"idx": 1, "uri": 5}}],
)  # fmt: skip
def test_a_credential_without_a_proper_reference_is_refused(status: object) -> None:
    with pytest.raises(StatusRefused):
        reference_of({"status": status})
