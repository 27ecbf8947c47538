from __future__ import annotations

import os
from collections.abc import Mapping

import pytest

from crypto.keys import SigningKey, generate_signing_key
from crypto.sm2 import BACKENDS, NoSm2Backend, Sm2Backend, select_backend
from crypto.sm2_gmssl import GmsslBackend
from crypto.suites import Alg


def backend_named(name: str) -> Sm2Backend:
    """Return a backend with everything it can do. gmssl holds private keys here and nowhere else.

    A clone without a compiler has no kernel: there its tests skip; where skipping is forbidden they fail at once.
    """
    if name == "gmssl":
        return GmsslBackend(random_bytes=os.urandom)
    try:
        return select_backend([name])
    except NoSm2Backend:
        if name != "kernel" or os.environ.get("FORBID_SKIPPED_TESTS") == "1":
            raise
        pytest.skip("the kernel was not compiled here")


@pytest.fixture(scope="session")
def kernel() -> Sm2Backend:
    return backend_named("kernel")


@pytest.fixture(scope="session")
def libcrypto() -> Sm2Backend:
    return backend_named("libcrypto")


@pytest.fixture(scope="session")
def gmssl() -> Sm2Backend:
    return backend_named("gmssl")


@pytest.fixture(scope="session", params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Sm2Backend:
    """Run the test once with each backend."""
    return backend_named(request.param)


@pytest.fixture(scope="session")
def signing_keys(libcrypto: Sm2Backend) -> Mapping[Alg, SigningKey]:
    """One key of each algorithm; RSA generation is too slow to repeat."""
    return {alg: generate_signing_key(alg, backend=libcrypto) for alg in Alg}
