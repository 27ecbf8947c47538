"""Which SM2 backend serves here: chosen once at the start, tested by its known answers, and told in one sentence."""

from __future__ import annotations

from typing import ClassVar, Final

from crypto.errors import TrustError
from crypto.native import KernelUnavailable, load_kernel
from crypto.selftest import run_selftests
from crypto.sm2 import Sm2Backend, select_backend

# gmssl is pure Python and not constant in time: it never holds a private key of a running service.
PREFERENCES: Final = {"auto": ("kernel", "libcrypto"), "kernel": ("kernel",), "libcrypto": ("libcrypto",)}
_WHY_NO_KERNEL: Final = {
    "not_compiled": "the kernel was not compiled when the package was installed (it needs a C compiler and Python's headers)",
    "cpu_mode": "EDUTRUST_CPU asks for what this processor or version does not know",
    "not_loadable": "the kernel cannot be loaded here",
}


class SelfTestFailed(TrustError):
    """A known answer did not come out; the service must not serve. `field` names the self-test."""

    code: ClassVar[str] = "selftest.failed"


def checked_backend(preference: str = "auto") -> Sm2Backend:
    """Return the SM2 backend after its known-answer tests. Raises `SelfTestFailed`, `NoSm2Backend`."""
    backend = select_backend(PREFERENCES[preference])
    for result in run_selftests(backend):
        if not result.ok:
            raise SelfTestFailed(field=result.name, rule="known_answer")
    return backend


def backend_sentence(backend: Sm2Backend) -> str:
    """Say in one line who computes SM2 here, and why it is not the kernel where it is not."""
    if backend.name == "kernel":
        return f"SM2 by the {backend.version}."
    try:
        load_kernel()
    except KernelUnavailable as refused:
        return f"SM2 by {backend.name} ({backend.version}), which serves instead: {_WHY_NO_KERNEL[refused.rule or '']}."
    return f"SM2 by {backend.name} ({backend.version}), as configured."
