"""Terminal output during long operations: one thread writes all lines and redraws a table."""

from __future__ import annotations

import os
import re
import time
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread, current_thread
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import RenderableType
    from rich.live import Live

_REFRESH_SECONDS: Final = 0.25  # between two redraws of the table
_JOIN_SECONDS: Final = 0.1

# The colors of the theme of a terminal, such as its yellow, can be unreadable on its background. Numbers of the 256 colors with a contrast of
# at least 3.9 on white and on black.
COLORS: Final = {"red": 196, "green": 28, "yellow": 130, "magenta": 133, "cyan": 31, "bright_black": 243}
_CODES: Final = {"31": "red", "32": "green", "33": "yellow", "35": "magenta", "36": "cyan", "90": "bright_black"}


def readable(text: str) -> str:
    """Return `text` with the colors of click replaced by those of `COLORS`, if the terminal has 256 colors."""
    if not _has_256_colors():
        return text
    return re.sub(r"\x1b\[(3[12356]|90)m", lambda found: f"\x1b[38;5;{COLORS[_CODES[found[1]]]}m", text)


def _has_256_colors() -> bool:
    return "256color" in os.environ.get("TERM", "") or os.environ.get("COLORTERM", "") in {"truecolor", "24bit"}


class Terminal:
    """Owns stdout and stderr while it is open: only its thread writes there, and it holds no lock of another thread.

    Other threads send lines and calls through a queue, so a slow terminal does not block them. The writing thread calls `draw`, which
    returns the table to show below the lines; without a table, `draw` is None. `echo` writes lines if no table is shown.
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
        """Start the writing thread."""
        self._thread.start()

    def send(self, call: Callable[[], None]) -> None:
        """Run `call` in the writing thread, after earlier calls. In that thread itself, run it immediately."""
        if current_thread() is self._thread:
            self._guarded(call)
        else:
            self._queue.put(call)

    def say(self, lines: Sequence[str]) -> None:
        """Write lines to stderr, above the table."""
        self.send(partial(self._lines.extend, lines))

    def write(self, call: Callable[[], None]) -> None:
        """Run a call that writes to stdout, after all lines that were sent earlier."""

        def print_and_call() -> None:
            self._print()
            call()

        self.send(print_and_call)

    @property
    def height(self) -> int | None:
        """Number of screen lines that the table must fit in; None without a limit, as for the final table."""
        live = self._live
        return None if live is None or live.vertical_overflow == "visible" else live.console.height

    @property
    def width(self) -> int | None:
        """The columns of the screen; None if the view is not open."""
        return None if self._live is None else self._live.console.width

    def stop(self, seconds: float | None = None) -> bool:
        """Write everything that was sent, and stop the thread. Return whether it ended within `seconds`.

        None waits without limit. Raises the exception of a failed call or of `draw`.
        """
        self._queue.put(None)
        until = None if seconds is None else time.monotonic() + seconds
        while self._thread.is_alive() and (until is None or time.monotonic() < until):
            # A join without timeout cannot be interrupted by Ctrl-C on every platform.
            self._thread.join(_JOIN_SECONDS)
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        return not self._thread.is_alive()

    def _run(self) -> None:
        self._guarded(self._open)
        last_draw = time.monotonic()
        is_open = True
        while is_open:
            is_open = self._run_calls()
            if self._lines:
                self._guarded(self._print)
                last_draw = time.monotonic()
            elif self._live is not None and time.monotonic() - last_draw >= _REFRESH_SECONDS:
                self._guarded(self._live.refresh)
                # Measured after the redraw, so that a slow terminal still gets lines.
                last_draw = time.monotonic()
        self._guarded(self._close)

    def _run_calls(self) -> bool:
        """Wait for calls, run them, and return False after `stop`."""
        try:
            call = self._queue.get(timeout=_REFRESH_SECONDS if self._live is not None else None)
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
            # The terminal was closed. The operation continues without a table.
            self._draw, self._live = None, None
        except Exception as error:  # noqa: BLE001 - raised again by `stop`, in the thread that opened the terminal
            self._failure = self._failure or error

    def _print(self) -> None:
        """Write the lines that were sent, with the table below them."""
        lines, self._lines[:] = list(self._lines), []
        if self._live is None:
            self._echo(lines)
        elif lines:
            from rich.text import Text  # noqa: PLC0415 - rich is loaded for a terminal only

            # In one call, because every call redraws the table.
            self._live.console.print(Text.from_ansi(readable("\n".join(lines))), soft_wrap=True)

    def _open(self) -> None:
        if self._draw is None:
            return
        from rich.console import Console  # noqa: PLC0415 - rich is loaded for a terminal only
        from rich.live import Live  # noqa: PLC0415 - rich is loaded for a terminal only
        from rich.theme import Theme  # noqa: PLC0415 - rich is loaded for a terminal only

        colors = {name: f"color({number})" for name, number in COLORS.items()} if _has_256_colors() else {}
        # No redirection: stdout is data, and `Output` sends stderr lines to this thread. No refresh thread, so that no two threads
        # compete for the lock of Live.
        self._live = Live(
            get_renderable=self._draw,
            console=Console(
                stderr=True,
                no_color=not self._color,
                highlight=False,
                theme=Theme({**colors, "dim": colors["bright_black"]} if colors else {}),
            ),
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start(refresh=True)

    def _close(self) -> None:
        self._print()
        if self._live is not None:
            # The final table stays visible, so it may be longer than the screen.
            self._live.vertical_overflow = "visible"
            self._live.stop()
