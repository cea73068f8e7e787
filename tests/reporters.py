"""A reporter that records what it receives."""

from __future__ import annotations

from contextlib import nullcontext
from threading import Lock
from typing import TYPE_CHECKING, Any

from exasol_ci_setup.core.reporter import NullReporter

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager


class RecordingReporter(NullReporter):
    """Records notes, plans, events, progress and results. `approve` returns whether to apply a plan."""

    def __init__(self, approve: Callable[[Any], object] = lambda _plan: True) -> None:
        self.notes: list[str] = []
        self.plans: list[Any] = []
        self.events: list[Any] = []
        self.results: list[Any] = []
        self.titles: list[str] = []
        self.progress_count = 0
        self._approve = approve
        self._lock = Lock()

    def note(self, message: str, /) -> None:
        self.notes.append(message)

    def plan(self, plan: object, /) -> None:
        self.plans.append(plan)

    def confirm(self, plan: object, /) -> bool:
        with self._lock:
            self.plans.append(plan)
        return bool(self._approve(plan))

    def event(self, event: object, /) -> None:
        self.events.append(event)

    def progress(self, _done: int = 0, _total: int | None = None, /) -> None:
        self.progress_count += 1

    def result(self, result: object, /) -> None:
        self.results.append(result)

    def operation(self, _name: str, title: str, /) -> AbstractContextManager[RecordingReporter]:
        self.titles.append(title)
        return nullcontext(self)

    @property
    def lines(self) -> list[str]:
        """Status and logical ID of each event, without repeated lines."""
        lines = [f"{event.status} {event.logical_id}" for event in self.events]
        return [line for at, line in enumerate(lines) if at == 0 or lines[at - 1] != line]

    @property
    def ids(self) -> list[str]:
        return [event.id for event in self.events]
