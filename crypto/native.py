"""Loads the C extension built from `crypto/kernel`, for the modules that put it to use.

It is compiled when the package is installed and left out where no compiler is at hand: then everything it would do is
done by libcrypto and hashlib, slower.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, cast

from crypto.errors import TrustError

if TYPE_CHECKING:
    from crypto import _kernel


class KernelUnavailable(TrustError):
    """The kernel was not compiled on this machine, or EDUTRUST_CPU asks for what its processor lacks."""

    code = "crypto.kernel_unavailable"


class Kernel:
    """The extension's functions, as mypy sees them; at run time it is the module itself."""

    if TYPE_CHECKING:
        PublicKey = _kernel.PublicKey
        PrivateKey = _kernel.PrivateKey
        generate = staticmethod(_kernel.generate)
        verify = staticmethod(_kernel.verify)
        multiply_base = staticmethod(_kernel.multiply_base)
        multiply = staticmethod(_kernel.multiply)
        multiply_two = staticmethod(_kernel.multiply_two)
        sm3 = staticmethod(_kernel.sm3)
        hmac_sm3 = staticmethod(_kernel.hmac_sm3)
        merkle_nodes = staticmethod(_kernel.merkle_nodes)
        merkle_levels = staticmethod(_kernel.merkle_levels)
        hash_many = staticmethod(_kernel.hash_many)
        sha256_merkle_nodes = staticmethod(_kernel.sha256_merkle_nodes)
        sha256_merkle_levels = staticmethod(_kernel.sha256_merkle_levels)
        sha256_hash_many = staticmethod(_kernel.sha256_hash_many)
        cpu = staticmethod(_kernel.cpu)


def load_kernel() -> Kernel:
    """Load the extension; raise `KernelUnavailable` where it is missing or refuses this processor."""
    try:
        return cast("Kernel", importlib.import_module("crypto._kernel"))
    except ModuleNotFoundError:
        raise KernelUnavailable(field="kernel", rule="not_compiled") from None
    except ImportError as refused:
        rule = "cpu_mode" if "EDUTRUST_CPU" in str(refused) else "not_loadable"
        raise KernelUnavailable(field="kernel", rule=rule) from None
