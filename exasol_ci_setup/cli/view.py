"""What the views of something under way share: a table that is updated in place in a terminal, and no long silence elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exasol_ci_setup.cli import show
from exasol_ci_setup.cli.interruption import FLUSH_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from rich.table import Table
    from typing_extensions import Self

    from exasol_ci_setup.cli.output import Output
    from exasol_ci_setup.cli.terminal import Terminal

_QUIET: Final = 30.0  # seconds without a line after which a CI system, or a person, starts to wonder


class View:
    """Shows something while it is open as a context manager. `clock` returns seconds that only grow.

    A subclass draws the table for a terminal, and says in one line how far things are for everywhere else.
    """

    def __init__(self, output: Output, *, clock: Callable[[], float], in_place: bool = True) -> None:
        self._output = output
        self._clock = clock
        self._in_place = in_place
        self._started = self._last_line = self._last_tick = clock()
        self._noted = ""
        self._terminal: Terminal | None = None

    def _draw(self) -> Table:
        """Return the current table. Called by the thread that writes, while the state changes: reads a copy, and takes no lock."""
        raise NotImplementedError

    def _progress(self) -> str:
        """Return in a few words how far things are."""
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

    def note(self, message: str) -> None:
        """Say something that is no news of its own, once for as long as it stays the same."""
        if message != self._noted:
            self._noted = message
            self._say(show.clean(message))

    def tick(self, now: float | None = None) -> None:
        """Say that time goes by, `now` being the clock's seconds; to be called at each poll.

        The next call is taken to come as long after this one as this came after the last, so that no silence lasts longer
        than 30 s.
        """
        now = self._clock() if now is None else now
        step, self._last_tick = now - self._last_tick, now
        if self._terminal is None and now + step - self._last_line > _QUIET:
            self._say(show.clean(self._progress()))
            self._last_line = now

    def _say(self, line: str) -> None:
        self._output.say(line)
        self._last_line = self._clock()
