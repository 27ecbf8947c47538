"""What makes an RSA public key unfit: size, exponent, and the fingerprint of the ROCA key generator."""

from __future__ import annotations

from crypto.errors import KeyRefused

# NIST SP 800-131A rev. 2 §3: below 2048 bits is disallowed.
MIN_RSA_BITS = 2048
# A verifier's work grows with the square of the size; nobody needs more than 8192 bits here.
MAX_RSA_BITS = 8192
# FIPS 186-5 A.1.1: 2^16 < e < 2^256, odd. The library's verification is slow for large e, and everyone uses 65537.
MIN_RSA_EXPONENT = 65537
MAX_RSA_EXPONENT = 2**32 - 1

# CVE-2017-15361: primes of the form k·M + (65537^a mod M), M the product of small primes. A modulus of such primes is
# a power of 65537 modulo each small prime; a random modulus is so for all of these with probability below 2^-27.
_ROCA_PRIMES = (
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
    101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
)  # fmt: skip
_ROCA_GENERATOR = 65537


def check_rsa(modulus: int, exponent: int) -> None:
    """Raise `KeyRefused` for a modulus outside 2048 … 8192 bits, an even or small exponent, or a ROCA modulus."""
    if modulus.bit_length() < MIN_RSA_BITS:
        raise KeyRefused(field="n", rule="rsa_too_short")
    if modulus.bit_length() > MAX_RSA_BITS:
        raise KeyRefused(field="n", rule="rsa_too_long")
    if modulus % 2 == 0:
        raise KeyRefused(field="n", rule="rsa_even_modulus")
    if not MIN_RSA_EXPONENT <= exponent <= MAX_RSA_EXPONENT or exponent % 2 == 0:
        raise KeyRefused(field="e", rule="rsa_exponent")
    if all(_is_power_of_generator(modulus, prime) for prime in _ROCA_PRIMES):
        raise KeyRefused(field="n", rule="rsa_roca")


def _is_power_of_generator(modulus: int, prime: int) -> bool:
    """Whether the modulus lies in the subgroup 65537 generates mod the prime: in a cyclic group, x^order = 1 says so."""
    order, power = 1, _ROCA_GENERATOR % prime
    while power != 1:
        power = power * _ROCA_GENERATOR % prime
        order += 1
    return pow(modulus, order, prime) == 1
