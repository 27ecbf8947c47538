"""Where the third-party test data stands: beside the project, never inside it."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


def shared(relative: str) -> Path:
    """Return a path below the shared folder; skip the test, with the reason, where a clone has none beside it.

    CI forbids skipping, so there the data must be present.
    """
    path = SHARED / relative
    if not path.exists():
        pytest.skip(f"third-party data is not beside this clone: ../shared/{relative}")
    return path
