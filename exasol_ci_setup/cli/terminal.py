"""The terminal while work is in progress: one thread writes what the others send to it, and redraws a table in between."""

from __future__ import annotations

import time
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread, current_thread
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import RenderableType
    from rich.live import Live

_PERIOD: Final = 0.25  # seconds between two pictures of the table
_STEP: Final = 0.1


class Terminal:
    """Owns stdout and stderr while it is open: its thread is the only one that writes there, and it takes no lock of another thread.

    Other threads send lines and calls through a queue, which never blocks them, however slow the terminal is. `draw` returns the table
    to show below the lines, None for lines alone; the thread that writes calls it. `echo` writes lines when there is no table.
    """

    def __init__(
        self, echo: Callable[[Sequence[str]], None], draw: Callable[[], RenderableType] | None, *, color: bool
    ) -> None:
        self._echo = echo
        self._draw = draw
        self._color = color
        self._live: Live | None = None
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lines: list[str] = []
        self._failure: Exception | None = None
        self._thread = Thread(target=self._run, name="terminal", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def send(self, call: Callable[[], None]) -> None:
        """Let the thread that writes make a call, after what was sent before. The thread itself makes it at once."""
        if current_thread() is self._thread:
            self._guarded(call)
        else:
            self._queue.put(call)

    def say(self, lines: Sequence[str]) -> None:
        """Write lines to stderr, above the table."""
        self.send(partial(self._lines.extend, lines))

    def write(self, call: Callable[[], None]) -> None:
        """Make a call that writes to stdout, after all lines that were sent before."""

        def in_order() -> None:
            self._print()
            call()

        self.send(in_order)

    @property
    def height(self) -> int | None:
        """The lines of the screen that a table has to fit in, None if there is no such limit, as for the last picture."""
        live = self._live
        return None if live is None or live.vertical_overflow == "visible" else live.console.height

    def stop(self, seconds: float | None = None) -> bool:
        """Write what was sent, and end. Return whether that is done; a terminal that is not read gets `seconds`, None for no limit.

        Raises the exception of a call that failed, or of `draw`.
        """
        self._queue.put(None)
        until = None if seconds is None else time.monotonic() + seconds
        while self._thread.is_alive() and (until is None or time.monotonic() < until):
            # In steps, so that Ctrl-C is handled in between on every platform.
            self._thread.join(_STEP)
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        return not self._thread.is_alive()

    def _run(self) -> None:
        self._guarded(self._open)
        drawn = time.monotonic()
        is_open = True
        while is_open:
            is_open = self._take_all()
            if self._lines:
                self._guarded(self._print)
                drawn = time.monotonic()
            elif self._live is not None and time.monotonic() - drawn >= _PERIOD:
                self._guarded(self._live.refresh)
                # After it, so that a slow terminal is not kept busy with pictures alone.
                drawn = time.monotonic()
        self._guarded(self._close)

    def _take_all(self) -> bool:
        """Make the calls that were sent, waiting for the first, and return False after the last of all."""
        try:
            call = self._queue.get(timeout=_PERIOD if self._live is not None else None)
            while call is not None:
                self._guarded(call)
                call = self._queue.get_nowait()
        except Empty:
            return True
        return False

    def _guarded(self, call: Callable[[], None]) -> None:
        try:
            call()
        except OSError:
            # The terminal was closed. The work continues, and there is nothing to draw on.
            self._draw, self._live = None, None
        except Exception as error:  # noqa: BLE001 - raised again by `stop`, in the thread that opened the terminal
            self._failure = self._failure or error

    def _print(self) -> None:
        """Write the lines that were sent, and the table below them."""
        lines, self._lines[:] = list(self._lines), []
        if self._live is None:
            self._echo(lines)
        elif lines:
            from rich.text import Text

            # All at once: the table is drawn again after each.
            self._live.console.print(Text.from_ansi("\n".join(lines)), soft_wrap=True)

    def _open(self) -> None:
        if self._draw is None:
            return
        from rich.console import Console
        from rich.live import Live

        # Neither stream is captured: stdout is data, and `Output` sends what it writes to stderr. Without a refresh thread of its own
        # there is no lock of Live's that two threads could want.
        self._live = Live(
            get_renderable=self._draw,
            console=Console(stderr=True, no_color=not self._color, highlight=False),
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start(refresh=True)

    def _close(self) -> None:
        self._print()
        if self._live is not None:
            # The last picture stays, so it may be longer than the screen.
            self._live.vertical_overflow = "visible"
            self._live.stop()
