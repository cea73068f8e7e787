"""The marker of a missing property. It is a module of its own, so that display code need not load all of it."""

from __future__ import annotations

from enum import Enum
from typing import Final


class Absent(Enum):
    """The value of a missing property, which is not the same as null."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent.ABSENT
