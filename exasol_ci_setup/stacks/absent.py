"""The mark of a property that is not there; apart from the other data, so that what only shows text need not load all of it."""

from __future__ import annotations

from enum import Enum
from typing import Final


class Absent(Enum):
    """The value of a property that is not there, which is not the same as null."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent.ABSENT
