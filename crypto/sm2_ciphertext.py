"""SM2 ciphertexts: the raw form C1‖C3‖C2, its one DER form, and the key derivation (GB/T 32918.4-2016, GM/T 0009-2012 §7.2).

Raw is 04‖x‖y (65 bytes), C3 = SM3(x2‖M‖y2) (32 bytes), C2 as long as the plaintext. The order C1‖C2‖C3 of older
systems, compressed C1 and every BER liberty are refused: one ciphertext, one sequence of bytes. Whether C1 lies on the
curve and whether C3 fits is for decryption to say; here only the form is judged.
"""

from __future__ import annotations

from typing import Final

from crypto.der import DerReader, integer, octet_string, read_der, sequence
from crypto.errors import EncodingRefused
from crypto.sm3 import sm3

# A public-key ciphertext carries keys and short secrets; what is longer is sealed under a key that travels this way.
MAX_SM2_PLAINTEXT_BYTES: Final = 1 << 16

COORDINATE_BYTES: Final = 32
C1_BYTES: Final = 1 + 2 * COORDINATE_BYTES
C3_BYTES: Final = 32
# What a raw ciphertext is longer than its plaintext.
OVERHEAD_BYTES: Final = C1_BYTES + C3_BYTES
# SEC 1 §2.3.3: a point with both coordinates written out.
UNCOMPRESSED: Final = 0x04

# SEQUENCE header of five octets, two INTEGERs with sign octet, the hash, OCTET STRING header of five octets.
MAX_CIPHERTEXT_DER_BYTES: Final = 5 + 2 * (2 + 1 + COORDINATE_BYTES) + 2 + C3_BYTES + 5 + MAX_SM2_PLAINTEXT_BYTES


def validate_plaintext(plaintext: bytes) -> None:
    """Raise `EncodingRefused` (field "plaintext") unless there are 1 to `MAX_SM2_PLAINTEXT_BYTES` bytes."""
    if not 1 <= len(plaintext) <= MAX_SM2_PLAINTEXT_BYTES:
        raise EncodingRefused(field="plaintext", rule="length")


def validate_ciphertext(raw: bytes) -> None:
    """Raise `EncodingRefused` (field "ciphertext") unless the length fits and C1 has the uncompressed form."""
    if not 1 <= len(raw) - OVERHEAD_BYTES <= MAX_SM2_PLAINTEXT_BYTES:
        raise EncodingRefused(field="ciphertext", rule="length")
    if raw[0] != UNCOMPRESSED:
        raise EncodingRefused(field="ciphertext", rule="point_form")


def sm2_kdf(shared: bytes, length: int) -> bytes:
    """Return SM3(shared‖1)‖SM3(shared‖2)‖… cut to `length` bytes, counters of four bytes (GB/T 32918.4 §5.4.3).

    Raises `EncodingRefused` (field "length") outside 1 to `MAX_SM2_PLAINTEXT_BYTES`.
    """
    if not 1 <= length <= MAX_SM2_PLAINTEXT_BYTES:
        raise EncodingRefused(field="length", rule="range")
    blocks = (sm3(shared + counter.to_bytes(4, "big")) for counter in range(1, -(-length // C3_BYTES) + 1))
    return b"".join(blocks)[:length]


def ciphertext_to_der(raw: bytes) -> bytes:
    """Turn raw C1‖C3‖C2 into DER SEQUENCE { x INTEGER, y INTEGER, hash OCTET STRING, cipher OCTET STRING }.

    Raises `EncodingRefused` (field "ciphertext") for bytes that are not the raw form.
    """
    validate_ciphertext(raw)
    return sequence(
        integer(int.from_bytes(raw[1 : 1 + COORDINATE_BYTES], "big")),
        integer(int.from_bytes(raw[1 + COORDINATE_BYTES : C1_BYTES], "big")),
        octet_string(raw[C1_BYTES:OVERHEAD_BYTES]),
        octet_string(raw[OVERHEAD_BYTES:]),
    )


def ciphertext_from_der(der: bytes) -> bytes:
    """Turn strict DER into raw C1‖C3‖C2; raise `EncodingRefused` (field "ciphertext") for any other form."""
    body = read_der(der, field="ciphertext", max_bytes=MAX_CIPHERTEXT_DER_BYTES)
    x, y = _coordinate(body), _coordinate(body)
    c3, c2 = body.octet_string(), body.octet_string()
    body.finish()
    if len(c3) != C3_BYTES:
        raise body.refuse("hash_length")
    raw = bytes((UNCOMPRESSED,)) + x + y + c3 + c2
    validate_ciphertext(raw)
    return raw


def _coordinate(body: DerReader) -> bytes:
    value = body.integer()
    if value < 0:
        raise body.refuse("der_negative")
    if value.bit_length() > 8 * COORDINATE_BYTES:
        raise body.refuse("der_range")
    return value.to_bytes(COORDINATE_BYTES, "big")
