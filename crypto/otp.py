"""One-time passwords: HOTP and TOTP (RFC 4226, RFC 6238) and the dynamic password of GM/T 0021 (GB/T 38556-2020)."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable
from enum import StrEnum
from typing import Final
from urllib.parse import quote, urlencode

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from crypto.errors import KeyRefused, TrustError
from crypto.sm3 import sm3

# What every authenticator app assumes; several ignore other values (RFC 6238 §5.2 recommends 30 s).
TOTP_STEP_S: Final = 30
TOTP_DIGITS: Final = 6
# RFC 4226 §4 R6: at least 128 bits; 160 recommended.
MIN_SECRET_BYTES: Final = 16
MAX_DIGITS: Final = 10
# RFC 6238 §5.2 recommends one step either way; ten steps of 30 s are five minutes, beyond which a code is no second factor.
MAX_DRIFT_STEPS: Final = 10
# RFC 4226 §7.4: the look-ahead window is to be as small as usability allows.
MAX_LOOK_AHEAD: Final = 100
# The counter of RFC 4226 §5.1 and the time factor of GM/T 0021 have eight bytes, its event factor four.
MAX_COUNTER: Final = 2**64 - 1
GM_MAX_EVENT: Final = 2**32 - 1
# GM/T 0021-2012 §5.2: K of at least 128 bits, at least 6 digits; the input is padded to 128 bits.
GM_MIN_KEY_BYTES: Final = 16
GM_MIN_INPUT_BYTES: Final = 16
GM_MIN_CHALLENGE_BYTES: Final = 4
# A person types the challenge, or reads it from a page; longer ones only feed the hash.
GM_MAX_CHALLENGE_BYTES: Final = 128
GM_MAX_KEY_BYTES: Final = 128
GM_MIN_DIGITS: Final = 6
GM_MAX_STEP_S: Final = 60
_SM4_BLOCK_BYTES: Final = 16


class OtpRefused(TrustError):
    """A one-time password that is wrong, too old, too new, or used before."""

    code = "crypto.otp_refused"


class OtpHash(StrEnum):
    """Hashes of RFC 6238. SHA1 is what apps know; as an HMAC it is not affected by SHA-1's collisions (RFC 6194 §3.3)."""

    SHA1 = "SHA1"
    SHA256 = "SHA256"
    SHA512 = "SHA512"


class GmOtpAlgorithm(StrEnum):
    """The one-way function of GM/T 0021."""

    SM3 = "SM3"
    SM4 = "SM4"


class Sm4LongInput(StrEnum):
    """What becomes of a key or input longer than SM4's 128 bits.

    CHAINED_UNVERIFIED is our reading of GM/T 0021 §5.3, which no published value confirms: K and ID are padded with
    zeros to the same number of 16-byte blocks; S1 = E(K1, ID1); S(i) = E(S(i−1) + K(i), S(i−1) + ID(i)), additions
    mod 2^128. Check it against the tokens in hand before relying on it.
    """

    REFUSED = "refused"
    CHAINED_UNVERIFIED = "chained_unverified"


def hotp(secret: bytes, counter: int, *, digits: int, algorithm: OtpHash = OtpHash.SHA1) -> str:
    """Return the HOTP value (RFC 4226 §5.3), padded with zeros to `digits`."""
    if len(secret) < MIN_SECRET_BYTES:
        raise KeyRefused(field="secret", rule="length")
    _check_range("digits", digits, TOTP_DIGITS, MAX_DIGITS)
    _check_range("counter", counter, 0, MAX_COUNTER)
    mac = hmac.digest(secret, counter.to_bytes(8, "big"), algorithm.value.lower())
    offset = mac[-1] & 0x0F
    number = int.from_bytes(mac[offset : offset + 4], "big") & 0x7FFFFFFF
    return str(number % 10**digits).rjust(digits, "0")


def verify_hotp(
    secret: bytes,
    code: str,
    *,
    next_counter: int,
    look_ahead: int,
    digits: int,
    algorithm: OtpHash = OtpHash.SHA1,
) -> int:
    """Return the counter the code belongs to; raise `OtpRefused` when none from `next_counter` to `look_ahead` later fits.

    A token's button is pressed in pockets, so it runs ahead (RFC 4226 §7.4). The caller stores the returned counter + 1
    as the next one, in one atomic act that fails if a greater one is stored already: that is what makes a code single.
    """
    _check_code(code, digits)
    _check_range("look_ahead", look_ahead, 0, MAX_LOOK_AHEAD)
    _check_range("next_counter", next_counter, 0, MAX_COUNTER - MAX_LOOK_AHEAD)
    counters = range(next_counter, next_counter + look_ahead + 1)
    return _accepted(code, counters, lambda counter: hotp(secret, counter, digits=digits, algorithm=algorithm))


def totp(
    secret: bytes,
    now: int,
    *,
    step_s: int = TOTP_STEP_S,
    digits: int = TOTP_DIGITS,
    algorithm: OtpHash = OtpHash.SHA1,
) -> str:
    """Return the TOTP value (RFC 6238 §4.2) at `now`, in seconds since the epoch."""
    _check_range("step_s", step_s, 1, MAX_COUNTER)
    return hotp(secret, now // step_s, digits=digits, algorithm=algorithm)


def verify_totp(
    secret: bytes,
    code: str,
    now: int,
    *,
    drift_steps: int,
    last_step: int | None,
    step_s: int = TOTP_STEP_S,
    digits: int = TOTP_DIGITS,
    algorithm: OtpHash = OtpHash.SHA1,
) -> int:
    """Return the time step the code belongs to; raise `OtpRefused` when none within the drift fits or it was used.

    `last_step` is the newest step accepted before: RFC 6238 §5.2 allows a value once, so this and older steps are
    refused. The caller stores the returned step in one atomic act that fails if a newer one is stored already.
    """
    _check_code(code, digits)
    _check_range("step_s", step_s, 1, MAX_COUNTER)
    steps = _window(now, step_s, drift_steps, last_step)
    return _accepted(code, steps, lambda step: hotp(secret, step, digits=digits, algorithm=algorithm))


def provisioning_uri(secret: bytes, *, account: str, issuer: str) -> str:
    """Return the otpauth:// URI of a TOTP secret with the parameters every app knows, for a QR code."""
    if len(secret) < MIN_SECRET_BYTES:
        raise KeyRefused(field="secret", rule="length")
    parameters = {
        "secret": base64.b32encode(secret).decode("ascii").rstrip("="),
        "issuer": issuer,
        "algorithm": OtpHash.SHA1.value,
        "digits": str(TOTP_DIGITS),
        "period": str(TOTP_STEP_S),
    }
    return f"otpauth://totp/{quote(issuer, safe='')}:{quote(account, safe='')}?{urlencode(parameters, quote_via=quote)}"


def gm_dynamic_password(
    key: bytes,
    *,
    algorithm: GmOtpAlgorithm,
    time_factor: int | None,
    event_factor: int | None,
    challenge: bytes | None,
    digits: int,
    sm4_long_input: Sm4LongInput = Sm4LongInput.REFUSED,
) -> str:
    """Return the dynamic password of GM/T 0021 §5: P = (Σ of the 32-bit words of F(K, ID) mod 2^32) mod 10^N.

    ID = T‖C‖Q of the factors that are present: T = ⌊T0/Tc⌋ in 8 bytes, C in 4 bytes, Q of at least 4 ASCII bytes, zero-padded
    to 16 bytes. SM3: S = SM3(K‖ID). SM4 takes a 16-byte K and ID; longer ones are refused unless `sm4_long_input` says how
    they are read. Raises `KeyRefused` (key) or `OtpRefused` (digits, factors, challenge).
    """
    if not GM_MIN_KEY_BYTES <= len(key) <= GM_MAX_KEY_BYTES:
        raise KeyRefused(field="key", rule="length")
    _check_range("digits", digits, GM_MIN_DIGITS, MAX_DIGITS)
    data = _gm_input(time_factor, event_factor, challenge)
    if algorithm is GmOtpAlgorithm.SM3:
        mixed = sm3(key + data)
    elif len(key) == len(data) == _SM4_BLOCK_BYTES:
        mixed = _sm4(key, data)
    elif sm4_long_input is Sm4LongInput.CHAINED_UNVERIFIED:
        mixed = _sm4_chained(key, data)
    else:
        raise OtpRefused(field="key", rule="sm4_single_block")
    total = sum(int.from_bytes(mixed[at : at + 4], "big") for at in range(0, len(mixed), 4)) % 2**32
    return str(total % 10**digits).rjust(digits, "0")


def verify_gm_dynamic_password(
    key: bytes,
    code: str,
    now: int,
    *,
    algorithm: GmOtpAlgorithm,
    step_s: int,
    drift_steps: int,
    last_step: int | None,
    event_factor: int | None,
    challenge: bytes | None,
    digits: int,
    sm4_long_input: Sm4LongInput = Sm4LongInput.REFUSED,
) -> int:
    """Return the time step the dynamic password belongs to; raise `OtpRefused` when none within the drift fits.

    `step_s` is Tc, at most 60 s (GM/T 0021 §5.2); `now` is in seconds since the epoch. `event_factor` and `challenge` are
    what the server knows the token was given, None where the token takes none. `last_step` is the newest step accepted
    before, with the same contract as `verify_totp`: this and older steps are refused, the caller stores the returned one
    in one atomic act that fails if a newer one is stored already.
    """
    _check_code(code, digits)
    _check_range("step_s", step_s, 1, GM_MAX_STEP_S)
    steps = _window(now, step_s, drift_steps, last_step)

    def expected(step: int) -> str:
        return gm_dynamic_password(
            key,
            algorithm=algorithm,
            time_factor=step,
            event_factor=event_factor,
            challenge=challenge,
            digits=digits,
            sm4_long_input=sm4_long_input,
        )

    return _accepted(code, steps, expected)


def verify_gm_event_password(
    key: bytes,
    code: str,
    *,
    algorithm: GmOtpAlgorithm,
    next_event: int,
    look_ahead: int,
    challenge: bytes | None,
    digits: int,
    sm4_long_input: Sm4LongInput = Sm4LongInput.REFUSED,
) -> int:
    """Return the event factor of a password that has no time factor; raise `OtpRefused` when none in the window fits.

    The window runs from `next_event` to `look_ahead` later; the caller stores the returned one + 1, as for `verify_hotp`.
    """
    _check_code(code, digits)
    _check_range("look_ahead", look_ahead, 0, MAX_LOOK_AHEAD)
    _check_range("next_event", next_event, 0, GM_MAX_EVENT - MAX_LOOK_AHEAD)

    def expected(event: int) -> str:
        return gm_dynamic_password(
            key,
            algorithm=algorithm,
            time_factor=None,
            event_factor=event,
            challenge=challenge,
            digits=digits,
            sm4_long_input=sm4_long_input,
        )

    return _accepted(code, range(next_event, next_event + look_ahead + 1), expected)


def _check_code(code: str, digits: int) -> None:
    _check_range("digits", digits, TOTP_DIGITS, MAX_DIGITS)
    if len(code) != digits or not (code.isascii() and code.isdigit()):
        raise OtpRefused(field="code", rule="form")


def _check_range(field: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise OtpRefused(field=field, rule="range")


def _window(now: int, step_s: int, drift_steps: int, last_step: int | None) -> range:
    """Return the steps around `now` that were not used up: those after `last_step`, none before the epoch."""
    _check_range("drift_steps", drift_steps, 0, MAX_DRIFT_STEPS)
    current = now // step_s
    _check_range("now", current, 0, MAX_COUNTER - MAX_DRIFT_STEPS)
    oldest = max(0, current - drift_steps)
    return range(oldest if last_step is None else max(oldest, last_step + 1), current + drift_steps + 1)


def _accepted(code: str, counters: range, expected: Callable[[int], str]) -> int:
    """Return the newest counter whose password is the code.

    Every one in the window is computed whatever the code is, so that the time taken tells nothing about it.
    """
    accepted: int | None = None
    for counter in counters:
        if hmac.compare_digest(expected(counter), code):
            accepted = counter
    if accepted is None:
        raise OtpRefused(field="code", rule="wrong_or_used")
    return accepted


def _gm_input(time_factor: int | None, event_factor: int | None, challenge: bytes | None) -> bytes:
    data = b""
    if time_factor is not None:
        _check_range("time_factor", time_factor, 0, MAX_COUNTER)
        data += time_factor.to_bytes(8, "big")
    if event_factor is not None:
        _check_range("event_factor", event_factor, 0, GM_MAX_EVENT)
        data += event_factor.to_bytes(4, "big")
    if challenge is not None:
        if not GM_MIN_CHALLENGE_BYTES <= len(challenge) <= GM_MAX_CHALLENGE_BYTES or not challenge.isascii():
            raise OtpRefused(field="challenge", rule="form")
        data += challenge
    if not data:
        raise OtpRefused(field="factors", rule="missing")
    return data.ljust(GM_MIN_INPUT_BYTES, b"\0")


def _sm4(key: bytes, block: bytes) -> bytes:
    # One block under a secret key is the standard's one-way function, not a mode of encryption.
    encryptor = Cipher(algorithms.SM4(key), modes.ECB()).encryptor()  # noqa: S305  # see the line above
    return encryptor.update(block) + encryptor.finalize()


def _sm4_chained(key: bytes, data: bytes) -> bytes:
    blocks = -(-max(len(key), len(data)) // _SM4_BLOCK_BYTES)
    keys, inputs = (part.ljust(blocks * _SM4_BLOCK_BYTES, b"\0") for part in (key, data))
    mixed = bytes(_SM4_BLOCK_BYTES)
    for at in range(0, blocks * _SM4_BLOCK_BYTES, _SM4_BLOCK_BYTES):
        end = at + _SM4_BLOCK_BYTES
        mixed = _sm4(_added(mixed, keys[at:end]), _added(mixed, inputs[at:end]))
    return mixed


def _added(left: bytes, right: bytes) -> bytes:
    """Return the sum mod 2^128, big-endian."""
    total = int.from_bytes(left, "big") + int.from_bytes(right, "big")
    return (total & ((1 << 8 * _SM4_BLOCK_BYTES) - 1)).to_bytes(_SM4_BLOCK_BYTES, "big")
