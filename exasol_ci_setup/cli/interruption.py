"""Handlers of Ctrl-C, SIGTERM and SIGHUP: interrupt the command, and end the process soon even if a thread blocks."""

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

from exasol_ci_setup.core.errors import INTERRUPTED_UNCHANGED, OperationInterruptedError

if TYPE_CHECKING:
    from types import FrameType

    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.core.errors import SetupError

FLUSH_SECONDS: Final = 2.0
"""Seconds to wait after Ctrl-C until the terminal has received pending output."""
# Threads get 6 s to end, then the terminal gets its own seconds.
_FORCE_END_SECONDS: Final = 9.0
_MESSAGE_SECONDS: Final = 0.5
_SHOW_CURSOR: Final = b"\x1b[?25h"


class Interruption:
    """Signal handler of the process."""

    def __init__(self, session: Session) -> None:
        self.is_pressed = False
        self._session = session

    def install(self) -> None:
        """Handle SIGINT, SIGTERM (from a CI system) and SIGHUP (a closed terminal).

        Ignored signals, as with nohup, stay ignored.
        """
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._interrupt)

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        if not self.is_pressed:
            self.is_pressed = True
            # Not a Thread: the signal may arrive while a Thread starts, which holds a lock.
            _thread.start_new_thread(self._end_later, ())
        raise KeyboardInterrupt

    def _end_later(self) -> None:
        time.sleep(_FORCE_END_SECONDS)
        force_end(error(self._session))

    def leave(self, code: object) -> None:
        """End the process immediately if it was interrupted and threads still run; the interpreter would wait for them."""
        if self.is_pressed and threading.active_count() > 1:
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):
                    stream.flush()
            os._exit(code if isinstance(code, int) else OperationInterruptedError.exit_code)


def error(session: Session) -> OperationInterruptedError:
    """Return the error of a command that was interrupted. Changes are unknown for a command without AWS."""
    # The module is not loaded if the command has not called AWS.
    aws = sys.modules.get("exasol_ci_setup.aws.session")
    is_unchanged = session.is_on_aws and (aws is None or not aws.has_changed())
    return OperationInterruptedError(INTERRUPTED_UNCHANGED if is_unchanged else "interrupted")


def force_end(error: SetupError) -> NoReturn:
    """End the process although a thread blocks, for example on a terminal. Shows the cursor if possible."""
    # Bypass Python's streams: the blocked thread may hold their locks.
    with suppress(OSError):
        text = f"error: {error.message}\n".encode()
        if os.isatty(2):
            import termios  # noqa: PLC0415 - Unix only, and for this one case

            # Discard unread output to free the buffer.
            termios.tcflush(2, termios.TCOFLUSH)
            text = b"\r\n" + _SHOW_CURSOR + text
        if select.select([], [2], [], _MESSAGE_SECONDS)[1]:
            os.write(2, text)
    os._exit(error.exit_code)
