"""Authentication assurance: what `acr` says of a sign-in, and which level an act demands.

Two levels, as URNs of our own: GM/T 0117-2022 grades network identity services, and GB/T 22239-2019 8.1.4.1 d) asks two
kinds of factor, one of them cryptographic, of whoever administers; neither publishes `acr` strings.
"""

from __future__ import annotations

ACR_ONE_FACTOR = "urn:edutrust:acr:1"
ACR_TWO_FACTORS = "urn:edutrust:acr:2"

_RANK = {ACR_ONE_FACTOR: 1, ACR_TWO_FACTORS: 2}

KNOWN_ACRS = (ACR_ONE_FACTOR, ACR_TWO_FACTORS)
"""Every level, weakest first, as the discovery document lists them."""


def satisfies(acr: str, required: str) -> bool:
    """Whether a sign-in at `acr` is at least `required`. An unknown `acr` satisfies nothing.

    Raises `KeyError` when `required` is not one of `KNOWN_ACRS`: that is a mistake in our own code.
    """
    return _RANK.get(acr, 0) >= _RANK[required]
