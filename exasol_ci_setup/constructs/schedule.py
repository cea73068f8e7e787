"""Times at which tasks start, in the form of EventBridge Scheduler."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Final

from pydantic import AfterValidator

from exasol_ci_setup.constructs.values import malformed, matching

_FIELDS: Final = (
    ("minutes", 0, 59),
    ("hours", 0, 23),
    ("days of the month", 1, 31),
    ("months", 1, 12),
    ("days of the week", 1, 7),
    ("years", 1970, 2199),
)
"""The fields of ``cron(…)`` with their lowest and highest numbers."""
# Not the numbers after a slash, which are increments, and after #, which count weeks.
_NUMBER: Final = re.compile(r"(?<![/#0-9])[0-9]+")


def _is_possible(expression: str) -> str:
    kind, _, times = expression.rstrip(")").partition("(")
    if kind == "at":
        _require_date(times)
    elif kind == "cron":
        _require_fields(times.split())
    return expression


def _require_date(time: str) -> None:
    try:
        datetime.strptime(time, "%Y-%m-%dT%H:%M:%S")  # noqa: DTZ007
    except ValueError as error:
        raise malformed("at(…) has a date or a time of day that does not exist") from error


def _require_fields(fields: list[str]) -> None:
    if (fields[2] == "?") == (fields[4] == "?"):
        raise malformed(
            "in cron(…), exactly one of the third field (day of the month) and the fifth (day of the week) is ?"
        )
    for field, (name, first, last) in zip(fields, _FIELDS, strict=True):
        if not all(first <= int(number) <= last for number in _NUMBER.findall(field)):
            raise malformed(f"in cron(…), {name} are numbers from {first} to {last}")


Schedule = Annotated[
    str,
    matching(
        r"rate\([1-9][0-9]{0,4} (minute|hour|day)s?\)|cron\([0-9A-Za-z*?,/#-]+( [0-9A-Za-z*?,/#-]+){5}\)"
        r"|at\([0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}\)",
        "use rate(1 hour), cron(0 3 * * ? *) with six fields, or at(2030-01-31T12:00:00), in UTC",
    ),
    AfterValidator(_is_possible),
]
"""Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html."""
