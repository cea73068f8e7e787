"""The view of an operation on a stack: a live table in a terminal, plain lines or JSON records elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.cli.render import fitting, show
from exasol_ci_setup.cli.render.view import View
from exasol_ci_setup.core.stacks import Event
from exasol_ci_setup.core.text import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from rich.console import Group
    from rich.text import Text

    from exasol_ci_setup.cli.output import Output

_SYMBOLS: Final = {"green": "✓", "red": "✗", "yellow": "…"}


@dataclass(slots=True)
class _Row:
    """State of a resource, from its events so far."""

    logical_id: str
    type: str
    stack_id: str
    physical_id: str
    status: str
    since: datetime
    until: datetime
    reason: str = ""

    @property
    def is_running(self) -> bool:
        return self.status.endswith("_IN_PROGRESS")

    def update(self, event: Event) -> None:
        if self._is_of_replaced(event):
            self.reason = self.reason or event.failure
            return
        if not self.is_running and event.status.endswith("_IN_PROGRESS"):
            self.since = event.at
        self.status, self.until = event.status, event.at
        self.physical_id = event.physical_id or self.physical_id
        if not self.reason:
            # Keep the first failure, the cause of a rollback. Later reasons come from the rollback.
            self.reason = event.failure

    def _is_of_replaced(self, event: Event) -> bool:
        """Return whether the event is the deletion of a resource that this one has replaced, in the cleanup after an update."""
        ids = {self.physical_id, event.physical_id}
        return event.status.startswith("DELETE_") and len(ids - {""}) > 1


class EventView(View):
    """Shows the events of a stack and its nested stacks, while it is open as a context manager.

    In a terminal the view is a table on stderr with a row for each resource and its elapsed time. Without a terminal it is a
    line for each event, and at least one line every 30 s. In JSON format it is records on stdout.
    `clock` returns monotonic seconds.
    """

    def __init__(self, output: Output, stack_name: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(output, clock=clock)
        self._stack_name = stack_name
        self._rows: dict[tuple[str, str], _Row] = {}
        self._status = ""
        self._first_at: datetime | None = None
        self._last_at: datetime | None = None
        self._last_at_seen = clock()

    def event(self, event: object, /) -> None:
        """Show one event."""
        assert isinstance(event, Event)  # noqa: S101 - for the type checker
        self._remember(event)
        self._output.record(event)
        if self._output.format == "text" and self._terminal is None:
            self._output.say(show.event(event, root=self._stack_name))
        elif warning := show.hook_warning(event):
            self._say(warning)
        self._last_line = self._clock()

    def _progress(self) -> str:
        running = ", ".join(row.logical_id for row in self._rows.values() if row.is_running)
        line = f"still {self._status or 'waiting'} after {duration(self._elapsed())}"
        return f"{line}: {running}" if running else line

    def _remember(self, event: Event) -> None:
        self._first_at = self._first_at or event.at
        if self._last_at is None or event.at >= self._last_at:
            self._last_at, self._last_at_seen = event.at, self._clock()
        if event.is_stack:
            if event.stack_name == self._stack_name:
                self._status = event.status
            return
        key = (event.stack_id, event.logical_id)
        if key not in self._rows:
            self._rows[key] = _Row(
                event.logical_id, event.type, event.stack_id, event.physical_id, event.status, event.at, event.at
            )
        self._rows[key].update(event)

    def _elapsed(self, row: _Row | None = None) -> float:
        """Return the elapsed seconds of a resource, or of the operation.

        Times of AWS count up to the last event, the local clock from then on.
        """
        since = row.since if row else self._first_at
        if row and not row.is_running:
            return (row.until - row.since).total_seconds()
        if since is None or self._last_at is None:
            return self._clock() - self._started
        return (self._last_at - since).total_seconds() + self._clock() - self._last_at_seen

    def _draw(self) -> Group:
        shown = self._fitting(list(self._ordered()))
        return fitting.table(
            [self._first_cells(), *(self._cells(row, depth) for row, depth in shown)],
            [(show.clean(row.logical_id), show.clean(row.reason)) for row, _ in shown],
            width=self._terminal.width if self._terminal is not None else None,
            optional=1,
            right=3,
        )

    def _first_cells(self) -> tuple[Text, ...]:
        """Return the cells of the stack itself, without a reason."""
        from rich.text import Text

        color = show.status_color(self._status)
        total = f"{self._symbol(color)} {show.clean(self._status)}" if self._status else "waiting for AWS"
        return (
            Text(show.clean(self._stack_name), style="bold"),
            Text(),
            Text(total, style=color if self._status else "dim"),
            Text(duration(self._elapsed())),
        )

    def _cells(self, row: _Row, depth: int) -> tuple[Text, ...]:
        """Return the cells of a resource, without its reason."""
        from rich.text import Text

        color = show.status_color(row.status)
        return (
            Text("  " * (depth + 1) + show.clean(row.logical_id)),
            Text(show.clean(row.type), style="dim"),
            Text(f"{self._symbol(color)} {show.clean(row.status)}", style=color),
            Text(duration(self._elapsed(row)), style="" if row.is_running else "dim"),
        )

    def _symbol(self, color: str) -> str:
        return _SYMBOLS.get(color, "·") if self._output.unicode else {"green": "+", "red": "!"}.get(color, " ")

    def _fitting(self, rows: list[tuple[_Row, int]]) -> list[tuple[_Row, int]]:
        """Omit finished resources if the screen is too short for all rows, while the view is open."""
        height = self._terminal.height if self._terminal is not None else None
        reasons = sum(bool(row.reason) for row, _ in rows)
        if height is None or len(rows) + reasons < height - 1:
            return rows
        return [(row, depth) for row, depth in rows if not row.status.endswith("_COMPLETE")]

    def _ordered(self) -> Iterator[tuple[_Row, int]]:
        """Yield the resources with their depth. Resources of a nested stack follow its own row."""
        # A copy: a thread of its own draws the table while events arrive.
        rows = list(self._rows.values())
        owned = {row.stack_id for row in rows} & {row.physical_id for row in rows}

        def below(stack_id: str, depth: int) -> Iterator[tuple[_Row, int]]:
            for row in rows:
                if row.stack_id == stack_id:
                    yield row, depth
                    if row.physical_id != stack_id:
                        yield from below(row.physical_id, depth + 1)

        for stack_id in dict.fromkeys(row.stack_id for row in rows):
            if stack_id not in owned:
                yield from below(stack_id, 0)
