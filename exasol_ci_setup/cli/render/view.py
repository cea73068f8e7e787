"""Base of progress views: a live table in a terminal, otherwise a line at least every 30 seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exasol_ci_setup.cli.interruption import FLUSH_SECONDS
from exasol_ci_setup.cli.render import show
from exasol_ci_setup.core.reporter import NullReporter

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from rich.console import RenderableType
    from typing_extensions import Self

    from exasol_ci_setup.cli.output import Output
    from exasol_ci_setup.cli.terminal import Terminal

_HEARTBEAT_SECONDS: Final = 30.0  # longest time without a line, so that CI systems do not time out


class View(NullReporter):
    """A reporter and context manager that shows progress. `clock` returns monotonic seconds.

    A subclass draws the table for a terminal, and describes the progress in one line for other outputs.
    """

    def __init__(self, output: Output, *, clock: Callable[[], float], in_place: bool = True) -> None:
        self._output = output
        self._clock = clock
        self._in_place = in_place
        self._started = self._last_line = self._last_tick = clock()
        self._noted = ""
        self._terminal: Terminal | None = None

    def _draw(self) -> RenderableType:
        """Return the current table. The writing thread calls it: read a copy of the state, acquire no lock."""
        raise NotImplementedError

    def _progress(self) -> str:
        """Return the progress as a short text."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._started = self._last_line = self._last_tick = self._clock()
        if self._in_place and self._output.format == "text" and self._output.live:
            self._terminal = self._output.open(self._draw)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._terminal is not None:
            self._output.close(FLUSH_SECONDS if kind is not None and issubclass(kind, KeyboardInterrupt) else None)
            self._terminal = None

    def confirm(self, _plan: object, /) -> bool:
        """Reject the plan: this view only shows progress."""
        return False

    def note(self, message: str, /) -> None:
        """Print a status note, skipping repeats."""
        if message != self._noted:
            self._noted = message
            self._say(show.clean(message))

    def progress(self, _done: int = 0, _total: int | None = None, /) -> None:
        """Print the progress if no line was printed for a while; call it at each poll.

        The next call is expected after the same interval, so that a line appears at least every 30 seconds.
        """
        now = self._clock()
        step, self._last_tick = now - self._last_tick, now
        if self._terminal is None and now + step - self._last_line > _HEARTBEAT_SECONDS:
            self._say(show.clean(self._progress()))
            self._last_line = now

    def _say(self, line: str) -> None:
        self._output.say(line)
        self._last_line = self._clock()
