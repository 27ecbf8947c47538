"""The kinds of record there are, by name and by type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from credentials import diploma
from credentials.copyright import registration
from credentials.creditbank import record
from credentials.kind import Kind

KINDS: Final[Mapping[str, Kind]] = {kind.name: kind for kind in (diploma.KIND, record.KIND, registration.KIND)}
TYPES: Final = frozenset(kind.vct for kind in KINDS.values())
"""Every type this product issues, as an accreditor would grant them all."""
