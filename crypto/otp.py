"""One-time passwords: HOTP and TOTP (RFC 4226, RFC 6238) and the dynamic password of GM/T 0021 (GB/T 38556-2020)."""

from __future__ import annotations

import base64
import hmac
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
# GM/T 0021-2012 §5.2: K of at least 128 bits, at least 6 digits; the input is padded to 128 bits.
GM_MIN_KEY_BYTES: Final = 16
GM_MIN_INPUT_BYTES: Final = 16
GM_MIN_CHALLENGE_BYTES: Final = 4
GM_MIN_DIGITS: Final = 6
GM_MAX_STEP_S: Final = 60


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


def hotp(secret: bytes, counter: int, *, digits: int, algorithm: OtpHash = OtpHash.SHA1) -> str:
    """Return the HOTP value (RFC 4226 §5.3), padded with zeros to `digits`."""
    if len(secret) < MIN_SECRET_BYTES:
        raise KeyRefused(field="secret", rule="length")
    if not TOTP_DIGITS <= digits <= MAX_DIGITS:
        raise OtpRefused(field="digits", rule="range")
    mac = hmac.digest(secret, counter.to_bytes(8, "big"), algorithm.value.lower())
    offset = mac[-1] & 0x0F
    number = int.from_bytes(mac[offset : offset + 4], "big") & 0x7FFFFFFF
    return str(number % 10**digits).rjust(digits, "0")


def totp(
    secret: bytes,
    now: int,
    *,
    step_s: int = TOTP_STEP_S,
    digits: int = TOTP_DIGITS,
    algorithm: OtpHash = OtpHash.SHA1,
) -> str:
    """Return the TOTP value (RFC 6238 §4.2) at `now`, in seconds since the epoch."""
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
    if len(code) != digits or not (code.isascii() and code.isdigit()):
        raise OtpRefused(field="code", rule="form")
    current = now // step_s
    accepted: int | None = None
    # Every step is computed whatever the code is, so that the time taken tells nothing.
    for step in range(max(0, current - drift_steps), current + drift_steps + 1):
        expected = hotp(secret, step, digits=digits, algorithm=algorithm)
        if hmac.compare_digest(expected, code) and (last_step is None or step > last_step):
            accepted = step
    if accepted is None:
        raise OtpRefused(field="code", rule="wrong_or_used")
    return accepted


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
) -> str:
    """Return the dynamic password of GM/T 0021 §5: P = (Σ of the 32-bit words of F(K, ID) mod 2^32) mod 10^N.

    ID = T‖C‖Q of the factors that are present: T = ⌊T0/Tc⌋ in 8 bytes, C in 4 bytes, Q of at least 4 ASCII bytes, zero-padded
    to 16 bytes. SM3: S = SM3(K‖ID). SM4 takes a 16-byte K and ID: the standard's rule for longer input is refused here,
    because no public test value confirms a reading of it.
    """
    if len(key) < GM_MIN_KEY_BYTES:
        raise KeyRefused(field="key", rule="length")
    if not GM_MIN_DIGITS <= digits <= MAX_DIGITS:
        raise OtpRefused(field="digits", rule="range")
    data = b""
    if time_factor is not None:
        data += time_factor.to_bytes(8, "big")
    if event_factor is not None:
        data += event_factor.to_bytes(4, "big")
    if challenge is not None:
        if len(challenge) < GM_MIN_CHALLENGE_BYTES or not challenge.isascii():
            raise OtpRefused(field="challenge", rule="form")
        data += challenge
    if not data:
        raise OtpRefused(field="factors", rule="missing")
    data = data.ljust(GM_MIN_INPUT_BYTES, b"\0")
    if algorithm is GmOtpAlgorithm.SM3:
        mixed = sm3(key + data)
    else:
        if len(key) != GM_MIN_KEY_BYTES or len(data) != GM_MIN_INPUT_BYTES:
            raise OtpRefused(field="key", rule="sm4_single_block")
        # One block under a secret key is the standard's one-way function, not a mode of encryption.
        encryptor = Cipher(algorithms.SM4(key), modes.ECB()).encryptor()  # noqa: S305  # see the line above
        mixed = encryptor.update(data) + encryptor.finalize()
    total = sum(int.from_bytes(mixed[at : at + 4], "big") for at in range(0, len(mixed), 4)) % 2**32
    return str(total % 10**digits).rjust(digits, "0")
