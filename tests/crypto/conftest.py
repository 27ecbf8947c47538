from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from crypto.keys import SigningKey, generate_signing_key
from crypto.sm2 import Sm2Backend, select_backend
from crypto.sm2_gmssl import GmsslBackend
from crypto.suites import Alg

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.fixture(scope="session")
def libcrypto() -> Sm2Backend:
    return select_backend(["libcrypto"])


@pytest.fixture(scope="session")
def gmssl() -> Sm2Backend:
    return GmsslBackend(random_bytes=os.urandom)


@pytest.fixture(params=["libcrypto", "gmssl"])
def backend(request: pytest.FixtureRequest, libcrypto: Sm2Backend, gmssl: Sm2Backend) -> Sm2Backend:
    return libcrypto if request.param == "libcrypto" else gmssl


@pytest.fixture(scope="session")
def signing_keys(libcrypto: Sm2Backend) -> Mapping[Alg, SigningKey]:
    """One key of each algorithm; RSA generation is too slow to repeat."""
    return {alg: generate_signing_key(alg, backend=libcrypto) for alg in Alg}
