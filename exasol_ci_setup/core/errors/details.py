"""What errors carry beside their message, as plain data: findings, the cause of a failed operation, and failed builds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

Level = Literal["error", "warning", "info"]

_LONGEST_MESSAGE: Final = 300
# What AWS adds to the reason of a service.
_FROM_HANDLER: Final = re.compile(
    r'Resource handler returned message: "(?P<reason>.*?)"? \(RequestToken: .*', re.DOTALL
)
_FROM_SERVICE: Final = re.compile(r"\s*\(Service: .*", re.DOTALL)
FAILED_STATUSES: Final = {
    "FAILED": "failed",
    "FAULT": "failed because of a fault of AWS",
    "CLIENT_ERROR": "failed because of invalid settings",
    "TIMED_OUT": "timed out",
    "STOPPED": "was stopped",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding of the linter.

    `rule` is cfn-lint's ID (``E3002``), `path` the dotted place in the template (``Resources.CodeBuild.Properties``, empty for
    the whole), `line` the line in its text, counted from 1. `template` is the name of the template, if several are linted.
    """

    rule: str
    level: Level
    message: str
    path: str
    line: int
    template: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why an operation failed: the first failed resource, and the reason of AWS. `details` are further lines.

    `console_url` is the address of the stack in AWS's console; empty for the sandbox.
    """

    stack_name: str
    status: str
    logical_id: str = ""
    physical_id: str = ""
    type: str = ""
    resource_status: str = ""
    reason: str = ""
    hints: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    console_url: str = ""

    @property
    def cause(self) -> str:
        """The failed resource and the reason of the service on one line, such as for a table; empty if both are unknown."""
        found = _FROM_HANDLER.fullmatch(self.reason)
        reason = _FROM_SERVICE.sub("", found["reason"] if found else self.reason)
        return ": ".join(part for part in (self.logical_id, " ".join(reason.split())) if part)


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed build, or with an empty `group` the batch itself. `log` has the last lines of the first failure only."""

    group: str
    build_id: str
    status: str
    phase: str = ""
    message: str = ""
    log: tuple[str, ...] = ()
    log_url: str = ""

    def __str__(self) -> str:
        where = f" in phase {self.phase}" if self.phase else ""
        # Joins a command of several lines to one line; the record and the log keep it unchanged.
        message = " ".join(self.message.replace("\\\n", " ").split())
        if len(message) > _LONGEST_MESSAGE:
            half = _LONGEST_MESSAGE // 2
            message = f"{message[:half]} … {message[-half:]}"
        why = f": {message}" if message else ""
        return f"{self.group or 'the batch'} {FAILED_STATUSES.get(self.status, f'ended in {self.status}')}{where}{why}"
