"""Every target by its name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tests.crypto.fuzz import targets_der, targets_jose, targets_keys, targets_sm2
from tests.crypto.fuzz.target import Target

TARGETS: Final[Mapping[str, Target]] = MappingProxyType(
    {
        target.name: target
        for module in (targets_der, targets_jose, targets_keys, targets_sm2)
        for target in module.TARGETS
    }
)
