from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import KeyRefused
from crypto.otp import (
    GM_MAX_EVENT,
    MAX_COUNTER,
    MAX_DRIFT_STEPS,
    MAX_LOOK_AHEAD,
    GmOtpAlgorithm,
    OtpHash,
    OtpRefused,
    Sm4LongInput,
    gm_dynamic_password,
    hotp,
    provisioning_uri,
    totp,
    verify_gm_dynamic_password,
    verify_gm_event_password,
    verify_hotp,
    verify_totp,
)
from crypto.sm3 import sm3

SECRET = b"12345678901234567890"
SEEDS = {
    OtpHash.SHA1: SECRET,
    OtpHash.SHA256: b"12345678901234567890123456789012",
    OtpHash.SHA512: b"1234567890123456789012345678901234567890123456789012345678901234",
}
# RFC 4226 Appendix D
HOTP_CODES = [
    "755224",
    "287082",
    "359152",
    "969429",
    "338314",
    "254676",
    "287922",
    "162583",
    "399871",
    "520489",
]
# RFC 6238 Appendix B
RFC_6238 = [
    (59, "94287082", "46119246", "90693936"),
    (1111111109, "07081804", "68084774", "25091201"),
    (1111111111, "14050471", "67062674", "99943326"),
    (1234567890, "89005924", "91819424", "93441116"),
    (2000000000, "69279037", "90698825", "38618901"),
    (20000000000, "65353130", "77737706", "47863826"),
]


@pytest.mark.parametrize(
    ("counter", "code"),
    list(enumerate(HOTP_CODES)),
)
def test_hotp_values_of_rfc_4226(counter: int, code: str) -> None:
    assert hotp(SECRET, counter, digits=6) == code


@pytest.mark.parametrize(("now", "sha1", "sha256", "sha512"), RFC_6238)
def test_totp_values_of_rfc_6238(now: int, sha1: str, sha256: str, sha512: str) -> None:
    for algorithm, code in zip(OtpHash, (sha1, sha256, sha512), strict=True):
        assert totp(SEEDS[algorithm], now, digits=8, algorithm=algorithm) == code


def test_the_intermediate_values_of_rfc_4226_appendix_d() -> None:
    # The truncated numbers in decimal; ten digits show all of them.
    truncated = [
        1284755224, 1094287082, 137359152, 1726969429, 1640338314, 868254676, 1918287922, 82162583, 673399871, 645520489,
    ]  # fmt: skip
    for counter, number in enumerate(truncated):
        assert hotp(SECRET, counter, digits=10) == str(number).rjust(10, "0")


def test_every_published_totp_value_verifies_at_its_time() -> None:
    for now, *codes in RFC_6238:
        for algorithm, code in zip(OtpHash, codes, strict=True):
            step = verify_totp(
                SEEDS[algorithm], code, now, drift_steps=0, last_step=None, digits=8, algorithm=algorithm
            )
            assert step == now // 30


def test_a_code_is_accepted_once_and_in_its_drift_only() -> None:
    now = 1_700_000_000
    code, step = totp(SECRET, now), now // 30
    assert verify_totp(SECRET, code, now, drift_steps=1, last_step=None) == step
    assert verify_totp(SECRET, code, now + 30, drift_steps=1, last_step=step - 1) == step
    assert verify_totp(SECRET, code, now - 30, drift_steps=1, last_step=None) == step
    for late_now, last in ((now, step), (now, step + 1), (now + 60, None), (now - 60, None)):
        with pytest.raises(OtpRefused):
            verify_totp(SECRET, code, late_now, drift_steps=1, last_step=last)


def test_a_code_of_an_older_step_is_refused_after_a_newer_one() -> None:
    now = 1_700_000_000
    accepted = verify_totp(SECRET, totp(SECRET, now), now, drift_steps=1, last_step=None)
    with pytest.raises(OtpRefused):
        verify_totp(SECRET, totp(SECRET, now - 30), now, drift_steps=1, last_step=accepted)


@pytest.mark.parametrize(
    "code", ["", "12345", "1234567", "12345a", " 12345", "１２３４５６", "٣٤٥٦٧٨", "-12345", "000000"]
)
def test_what_is_no_code_is_refused(code: str) -> None:
    with pytest.raises(OtpRefused):
        verify_totp(SECRET, code, 1_700_000_000, drift_steps=1, last_step=None)


@given(st.binary(min_size=16, max_size=64), st.integers(0, 2**40))
def test_a_code_just_made_is_accepted(secret: bytes, now: int) -> None:
    assert verify_totp(secret, totp(secret, now), now, drift_steps=0, last_step=None) == now // 30


def test_weak_secrets_and_digits_are_refused() -> None:
    with pytest.raises(KeyRefused):
        hotp(SECRET[:15], 0, digits=6)
    with pytest.raises(KeyRefused):
        provisioning_uri(SECRET[:15], account="a", issuer="b")
    for digits in (0, 5, 11):
        with pytest.raises(OtpRefused):
            hotp(SECRET, 0, digits=digits)


def test_the_provisioning_uri_carries_what_an_app_needs() -> None:
    uri = urlsplit(provisioning_uri(SECRET, account="张三:1@x?&", issuer="教育 身份"))
    parameters = parse_qs(uri.query, strict_parsing=True)
    assert (uri.scheme, uri.netloc) == ("otpauth", "totp")
    assert unquote(uri.path) == "/教育 身份:张三:1@x?&"
    assert parameters == {
        "secret": ["GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"],
        "issuer": ["教育 身份"],
        "algorithm": ["SHA1"],
        "digits": ["6"],
        "period": ["30"],
    }


@pytest.mark.parametrize(
    ("now", "drift", "step", "rule"),
    [
        (-1, 1, 30, "range"),
        (2**80, 1, 30, "range"),
        (1_700_000_000, -1, 30, "range"),
        (1_700_000_000, MAX_DRIFT_STEPS + 1, 30, "range"),
        (1_700_000_000, 1, 0, "range"),
        (1_700_000_000, 1, -30, "range"),
    ],
)
def test_a_window_that_is_none_is_refused(now: int, drift: int, step: int, rule: str) -> None:
    with pytest.raises(OtpRefused) as refused:
        verify_totp(SECRET, "123456", now, drift_steps=drift, last_step=None, step_s=step)
    assert refused.value.rule == rule


@pytest.mark.parametrize("counter", [-1, MAX_COUNTER + 1])
def test_a_counter_that_has_no_eight_bytes_is_refused(counter: int) -> None:
    with pytest.raises(OtpRefused) as refused:
        hotp(SECRET, counter, digits=6)
    assert refused.value.field == "counter"


def test_a_token_that_ran_ahead_is_found_within_the_window_and_no_further() -> None:
    for counter, code in enumerate(HOTP_CODES):
        assert verify_hotp(SECRET, code, next_counter=0, look_ahead=9, digits=6) == counter
        assert verify_hotp(SECRET, code, next_counter=counter, look_ahead=0, digits=6) == counter
        for first, ahead in ((counter + 1, 5), (max(0, counter - 5), 4 if counter >= 5 else counter - 1)):
            if ahead >= 0:
                with pytest.raises(OtpRefused):
                    verify_hotp(SECRET, code, next_counter=first, look_ahead=ahead, digits=6)
    for first, ahead in ((-1, 0), (MAX_COUNTER, 0), (0, -1), (0, MAX_LOOK_AHEAD + 1)):
        with pytest.raises(OtpRefused):
            verify_hotp(SECRET, "755224", next_counter=first, look_ahead=ahead, digits=6)
    with pytest.raises(OtpRefused):
        verify_hotp(SECRET, "7552240", next_counter=0, look_ahead=0, digits=6)


GM_KEY = bytes.fromhex("1234567890abcdef1234567890abcdef")


@pytest.mark.parametrize(
    ("algorithm", "time_factor", "password"),
    [(GmOtpAlgorithm.SM3, 1313998979, "814095"), (GmOtpAlgorithm.SM4, 1340783053, "446720")],
)
def test_the_sample_answers_of_gm_t_0021(algorithm: GmOtpAlgorithm, time_factor: int, password: str) -> None:
    assert (
        gm_dynamic_password(
            GM_KEY, algorithm=algorithm, time_factor=time_factor, event_factor=1234, challenge=b"5678", digits=6
        )
        == password
    )


def test_absent_factors_take_no_place_and_short_input_is_padded() -> None:
    mixed = sm3(GM_KEY + (7).to_bytes(8, "big") + bytes(8))
    total = sum(int.from_bytes(mixed[at : at + 4], "big") for at in range(0, 32, 4)) % 2**32
    password = gm_dynamic_password(
        GM_KEY, algorithm=GmOtpAlgorithm.SM3, time_factor=7, event_factor=None, challenge=None, digits=8
    )
    assert password == str(total % 10**8).rjust(8, "0")


@pytest.mark.parametrize(
    ("key", "algorithm", "challenge", "time_factor", "digits"),
    [
        (GM_KEY[:15], GmOtpAlgorithm.SM3, None, 1, 6),
        (GM_KEY, GmOtpAlgorithm.SM3, None, 1, 5),
        (GM_KEY, GmOtpAlgorithm.SM3, None, 1, 11),
        (GM_KEY, GmOtpAlgorithm.SM3, b"123", 1, 6),
        (GM_KEY, GmOtpAlgorithm.SM3, "挑战".encode(), 1, 6),
        (GM_KEY, GmOtpAlgorithm.SM3, None, None, 6),
        (GM_KEY + b"x", GmOtpAlgorithm.SM4, None, 1, 6),
        (GM_KEY, GmOtpAlgorithm.SM4, b"123456789", 1, 6),
    ],
)
def test_what_the_standard_does_not_define_is_refused(
    key: bytes, algorithm: GmOtpAlgorithm, challenge: bytes | None, time_factor: int | None, digits: int
) -> None:
    with pytest.raises((KeyRefused, OtpRefused)):
        gm_dynamic_password(
            key, algorithm=algorithm, time_factor=time_factor, event_factor=None, challenge=challenge, digits=digits
        )


# Verification of GM/T 0021

GM_NOW = 1_700_000_000


def gm_code(algorithm: GmOtpAlgorithm, step: int, *, event: int | None = 7, challenge: bytes | None = b"1234") -> str:
    return gm_dynamic_password(
        GM_KEY, algorithm=algorithm, time_factor=step, event_factor=event, challenge=challenge, digits=6
    )


def gm_verify(
    algorithm: GmOtpAlgorithm,
    code: str,
    now: int = GM_NOW,
    *,
    key: bytes = GM_KEY,
    step_s: int = 60,
    drift_steps: int = 1,
    last_step: int | None = None,
    event: int | None = 7,
    challenge: bytes | None = b"1234",
    digits: int = 6,
) -> int:
    return verify_gm_dynamic_password(
        key, code, now, algorithm=algorithm, step_s=step_s, drift_steps=drift_steps, last_step=last_step,
        event_factor=event, challenge=challenge, digits=digits,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("algorithm", "now", "password"),
    [(GmOtpAlgorithm.SM3, 1313998979, "814095"), (GmOtpAlgorithm.SM4, 1340783053, "446720")],
)
def test_the_sample_answers_of_gm_t_0021_verify(algorithm: GmOtpAlgorithm, now: int, password: str) -> None:
    # The samples give T itself, so Tc is one second.
    assert gm_verify(algorithm, password, now, step_s=1, drift_steps=0, event=1234, challenge=b"5678") == now


@pytest.mark.parametrize("algorithm", list(GmOtpAlgorithm))
def test_a_dynamic_password_is_accepted_once_and_in_its_drift_only(algorithm: GmOtpAlgorithm) -> None:
    step = GM_NOW // 60
    code = gm_code(algorithm, step)
    assert gm_verify(algorithm, code) == step
    assert gm_verify(algorithm, code, GM_NOW + 60, last_step=step - 1) == step
    assert gm_verify(algorithm, code, GM_NOW - 60) == step
    for now, last in ((GM_NOW, step), (GM_NOW, step + 5), (GM_NOW + 120, None), (GM_NOW - 120, None)):
        with pytest.raises(OtpRefused) as refused:
            gm_verify(algorithm, code, now, last_step=last)
        assert refused.value.rule == "wrong_or_used"
    with pytest.raises(OtpRefused):
        gm_verify(algorithm, code, GM_NOW + 60, drift_steps=0)


@pytest.mark.parametrize("algorithm", list(GmOtpAlgorithm))
def test_an_older_step_is_refused_after_a_newer_one(algorithm: GmOtpAlgorithm) -> None:
    accepted = gm_verify(algorithm, gm_code(algorithm, GM_NOW // 60))
    with pytest.raises(OtpRefused):
        gm_verify(algorithm, gm_code(algorithm, GM_NOW // 60 - 1), last_step=accepted)


@pytest.mark.parametrize("algorithm", list(GmOtpAlgorithm))
def test_event_and_challenge_belong_to_the_password(algorithm: GmOtpAlgorithm) -> None:
    code = gm_code(algorithm, GM_NOW // 60)
    with pytest.raises(OtpRefused):
        gm_verify(algorithm, code, event=8)
    with pytest.raises(OtpRefused):
        gm_verify(algorithm, code, event=None)
    with pytest.raises(OtpRefused):
        gm_verify(algorithm, code, challenge=b"1235")
    with pytest.raises(OtpRefused):
        gm_verify(algorithm, code, key=bytes(16))


@given(
    st.sampled_from(GmOtpAlgorithm),
    st.integers(0, 2**40),
    st.integers(1, 60),
    st.none() | st.integers(0, GM_MAX_EVENT),
    st.integers(6, 10),
)
def test_a_dynamic_password_just_made_is_accepted(
    algorithm: GmOtpAlgorithm, now: int, step_s: int, event: int | None, digits: int
) -> None:
    code = gm_dynamic_password(
        GM_KEY, algorithm=algorithm, time_factor=now // step_s, event_factor=event, challenge=None, digits=digits
    )
    assert (
        gm_verify(algorithm, code, now, step_s=step_s, drift_steps=0, event=event, challenge=None, digits=digits)
        == now // step_s
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"step_s": 61}, {"step_s": 0}, {"step_s": -1}, {"drift_steps": -1}, {"drift_steps": MAX_DRIFT_STEPS + 1},
        {"now": -61}, {"now": 2**80}, {"code": "12345"}, {"code": "1234567"}, {"code": "１２３４５６"}, {"code": ""},
        {"event": -1}, {"event": 2**32}, {"challenge": b"123"}, {"challenge": b"x" * 129}, {"digits": 5}, {"digits": 11},
        {"key": bytes(15)}, {"key": bytes(129)},
    ],
)  # fmt: skip
@pytest.mark.parametrize("algorithm", list(GmOtpAlgorithm))
def test_bad_input_is_a_typed_refusal(algorithm: GmOtpAlgorithm, changes: dict[str, Any]) -> None:
    with pytest.raises((OtpRefused, KeyRefused)) as refused:
        gm_verify(**{"algorithm": algorithm, "code": "123456", **changes})
    [name] = changes
    assert refused.value.field == {"event": "event_factor"}.get(name, name)
    assert refused.value.rule in {"range", "form", "length"}


@pytest.mark.parametrize("factor", [-1, 2**64])
def test_a_time_factor_that_has_no_eight_bytes_is_refused(factor: int) -> None:
    with pytest.raises(OtpRefused) as refused:
        gm_code(GmOtpAlgorithm.SM3, factor)
    assert refused.value.field == "time_factor"


def test_a_token_with_an_event_factor_alone_is_found_within_the_window() -> None:
    for algorithm in GmOtpAlgorithm:
        code = gm_dynamic_password(
            GM_KEY, algorithm=algorithm, time_factor=None, event_factor=12, challenge=None, digits=6
        )
        found = verify_gm_event_password(
            GM_KEY, code, algorithm=algorithm, next_event=10, look_ahead=5, challenge=None, digits=6
        )
        assert found == 12
        for first, ahead in ((13, 5), (5, 6), (-1, 1), (GM_MAX_EVENT, 1), (10, -1), (10, MAX_LOOK_AHEAD + 1)):
            with pytest.raises(OtpRefused):
                verify_gm_event_password(
                    GM_KEY, code, algorithm=algorithm, next_event=first, look_ahead=ahead, challenge=None, digits=6
                )


# More than one block of SM4: a reading of the standard that nothing published confirms, so its steps are retraced here.


def sm4_block(key: int, block: int) -> int:
    from gmssl.sm4 import SM4_ENCRYPT, CryptSM4

    engine = CryptSM4()
    engine.set_key(key.to_bytes(16, "big"), SM4_ENCRYPT)
    return int.from_bytes(bytes(engine.one_round(engine.sk, list(block.to_bytes(16, "big")))), "big")


def chained(key: bytes, challenge: bytes, sm4_long_input: Sm4LongInput = Sm4LongInput.CHAINED_UNVERIFIED) -> str:
    return gm_dynamic_password(
        key, algorithm=GmOtpAlgorithm.SM4, time_factor=1, event_factor=2, challenge=challenge, digits=8,
        sm4_long_input=sm4_long_input,
    )  # fmt: skip


@pytest.mark.parametrize("key", [GM_KEY, GM_KEY + b"\xff" * 16, GM_KEY * 3 + b"\x01"])
@pytest.mark.parametrize("challenge", [b"1234", b"1" * 5, b"9" * 36])
def test_longer_input_is_chained_by_addition_when_asked_for(key: bytes, challenge: bytes) -> None:
    data = (1).to_bytes(8, "big") + (2).to_bytes(4, "big") + challenge
    blocks = max(-(-len(key) // 16), -(-len(data) // 16))
    mixed = 0
    for index in range(blocks):
        part = key.ljust(16 * blocks, b"\0")[16 * index :][:16], data.ljust(16 * blocks, b"\0")[16 * index :][:16]
        key_sum, data_sum = ((mixed + int.from_bytes(value, "big")) % 2**128 for value in part)
        mixed = sm4_block(key_sum, data_sum)
    total = sum((mixed >> shift) & 0xFFFFFFFF for shift in (0, 32, 64, 96)) % 2**32
    assert chained(key, challenge) == str(total % 10**8).rjust(8, "0")


def test_one_block_is_the_same_whether_longer_input_is_refused_or_chained() -> None:
    assert chained(GM_KEY, b"1234") == chained(GM_KEY, b"1234", Sm4LongInput.REFUSED)
    for key, challenge in ((GM_KEY + b"x", b"1234"), (GM_KEY, b"12345")):
        with pytest.raises(OtpRefused) as refused:
            chained(key, challenge, Sm4LongInput.REFUSED)
        assert refused.value.rule == "sm4_single_block"
