"""Ctrl-C, SIGTERM and SIGHUP: they interrupt the command, and the process ends soon after that even if something blocks."""

from __future__ import annotations

import _thread
import os
import select
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NoReturn

from exasol_ci_setup.errors import Interrupted

if TYPE_CHECKING:
    from types import FrameType

    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.errors import SetupError

PATIENCE: Final = 2.0
"""Seconds that a terminal has after Ctrl-C to take what was sent to it."""
# Seconds. Work in threads has 6 s to end, and then the terminal its own.
_LIMIT: Final = 9.0
_LAST_WORDS: Final = 0.5
_SHOW_CURSOR: Final = b"\x1b[?25h"


class Interruption:
    """The handler of the signals of one process."""

    def __init__(self, session: Session) -> None:
        self.is_pressed = False
        self._session = session

    def install(self) -> None:
        """Handle the signals: a CI system ends a job by SIGTERM, a closed terminal by SIGHUP. What is ignored, as by nohup, stays so."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._interrupt)

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        if not self.is_pressed:
            self.is_pressed = True
            # Not a Thread: the signal may have come while one is being started, which holds a lock.
            _thread.start_new_thread(self._end_later, ())
        raise KeyboardInterrupt

    def _end_later(self) -> None:
        time.sleep(_LIMIT)
        force_end(error(self._session))

    def leave(self, code: object) -> None:
        """End the process at once if the command was interrupted and threads are left, which the interpreter would wait for."""
        if self.is_pressed and threading.active_count() > 1:
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):
                    stream.flush()
            os._exit(code if isinstance(code, int) else Interrupted.exit_code)


def error(session: Session) -> Interrupted:
    """Return the error of a command that was interrupted. What a command without AWS has changed is not known."""
    # A command that called nothing has not loaded it.
    aws = sys.modules.get("exasol_ci_setup.aws")
    is_unchanged = session.is_on_aws and (aws is None or not aws.has_changed())
    return Interrupted("interrupted; nothing was changed" if is_unchanged else "interrupted")


def force_end(error: SetupError) -> NoReturn:
    """End the process although a thread waits for something, such as a terminal that is not read. The cursor is shown, if that is possible."""
    # Without Python's streams: the thread that waits may hold their locks.
    with suppress(OSError):
        text = f"error: {error.message}\n".encode()
        if os.isatty(2):
            import termios

            # What no reader took, so that there is room.
            termios.tcflush(2, termios.TCOFLUSH)
            text = b"\r\n" + _SHOW_CURSOR + text
        if select.select([], [2], [], _LAST_WORDS)[1]:
            os.write(2, text)
    os._exit(error.exit_code)
