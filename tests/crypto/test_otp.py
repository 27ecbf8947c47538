from __future__ import annotations

from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import KeyRefused
from crypto.otp import (
    GmOtpAlgorithm,
    OtpHash,
    OtpRefused,
    gm_dynamic_password,
    hotp,
    provisioning_uri,
    totp,
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
