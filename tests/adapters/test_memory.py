"""What password hashing borrows goes back to the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

HASHING = """
import sys
from adapters.memory import give_back_large_blocks
from crypto.password import hash_password

def resident_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6

if sys.argv[1] == "give back":
    assert give_back_large_blocks()
for _ in range(5):
    hash_password("a password")
print(resident_mb())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_memory_of_password_hashes_is_not_kept() -> None:
    resident_mb = {}
    for how in ("give back", "leave"):
        done = subprocess.run([sys.executable, "-c", HASHING, how], capture_output=True, text=True, check=True)
        resident_mb[how] = float(done.stdout)
    assert resident_mb["give back"] < resident_mb["leave"] - 10
