"""The next step for a failure reason of AWS, from the table in ``failure_hints.yaml``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Final

import yaml

from exasol_ci_setup.core.commands import DEPLOY_SOURCE_CREDENTIALS

TABLE: Final = Path(__file__).with_name("failure_hints.yaml")


@dataclass(frozen=True)
class Entry:
    """One row of the table: a reason of AWS and its next step. The head of the file describes the fields."""

    service: str
    reason: str
    hint: str
    source: str
    examples: tuple[str, ...]
    type: str = "*"
    status: str = "*"
    is_taken: bool = False

    def hint_for(self, resource_type: str, status: str, reason: str) -> str | None:
        """Return the next step for a failed resource, or None if its reason is another one."""
        if not fnmatchcase(resource_type, self.type) or not fnmatchcase(status, self.status):
            return None
        found = re.search(self.reason, reason, re.IGNORECASE | re.DOTALL)
        if found is None:
            return None
        return self.hint.format_map({**found.groupdict(""), "deploy_source_credentials": DEPLOY_SOURCE_CREDENTIALS})


@cache
def entries() -> tuple[Entry, ...]:
    """Return the table. The first entry that matches a failure counts."""
    rows = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    return tuple(Entry(**{**row, "examples": tuple(row["examples"])}) for row in rows)


def find(resource_type: str, status: str, reason: str) -> tuple[Entry, str] | None:
    """Return the entry for a failed resource and its next step, or None if no entry matches its reason."""
    for entry in entries():
        hint = entry.hint_for(resource_type, status, reason)
        if hint is not None:
            return entry, hint
    return None
