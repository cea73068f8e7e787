"""A person at a terminal: a process with a pseudo-terminal that a test reads, as slowly as it wants, types into and resizes."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

LIMIT: Final = 180.0  # seconds; far more than anything takes on a busy machine
QUESTION: Final = "[y/N]: "
_SHOW: Final = "\x1b[?25h"
_HIDE: Final = "\x1b[?25l"
# The process takes the terminal, so that Ctrl-C is a key and a closed terminal a hang-up.
_PROGRAM: Final = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from exasol_ci_setup.cli.main import main
main()
"""


class PseudoTerminal:
    """Runs the program in a terminal, while it is open as a context manager. `chunk` bytes are read at once, `pause` seconds apart."""

    def __init__(
        self,
        *arguments: str,
        cwd: Path,
        environment: Mapping[str, str],
        program: str = _PROGRAM,
        size: tuple[int, int] = (40, 120),
        chunk: int = 65536,
        pause: float = 0.0,
    ) -> None:
        self._command = [sys.executable, "-c", program, *arguments]
        self._cwd = cwd
        self._environment = environment
        self._size = size
        self._chunk = chunk
        self._pause = pause
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.written = ""
        """What the process has written so far, with its escape sequences."""

    def __enter__(self) -> Self:
        self._terminal, theirs = pty.openpty()
        self.resize(*self._size)
        kept = {name: value for name, value in os.environ.items() if name not in {"CI", "NO_COLOR", "COLUMNS", "LINES"}}
        self.process = subprocess.Popen(
            self._command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=self._cwd,
            env={**kept, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8", **self._environment},
            start_new_session=True,
        )
        os.close(theirs)
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._terminal)

    @property
    def text(self) -> str:
        """What the process has written so far, without escape sequences."""
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.written)

    @property
    def is_cursor_visible(self) -> bool:
        return self.written.rfind(_SHOW) >= self.written.rfind(_HIDE)

    def resize(self, rows: int, columns: int) -> None:
        """Give the terminal another size; the kernel tells the process by SIGWINCH."""
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: str) -> None:
        os.write(self._terminal, keys.encode())

    def answer(self, reply: str) -> None:
        """Wait for a question and answer it."""
        self.wait_for(QUESTION)
        self.type(f"{reply}\r")

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.type("\x03")

    def wait_for(self, words: str, *, after: int = 0) -> None:
        """Read until the process has written `words`, after so many characters."""
        until = time.monotonic() + LIMIT
        while words not in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.written[after:]):
            if not self._read(until):
                pytest.fail(f"{words!r} never came:\n{self.text[-2000:]}")

    def end(self, seconds: float = LIMIT) -> int:
        """Read until the process has ended, which it has to within so many seconds, and return its exit code."""
        until = time.monotonic() + seconds
        while self._read(until):
            pass
        try:
            return self.process.wait(max(until - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            pytest.fail(f"it did not end within {seconds:g} s:\n{self.text[-2000:]}")

    def leave(self) -> None:
        """Send what the kernel sends when the window is closed."""
        self.process.send_signal(signal.SIGHUP)

    def _read(self, until: float) -> bool:
        """Read what comes next, and return False at the end of the process or of the time."""
        readable, _, _ = select.select([self._terminal], [], [], max(until - time.monotonic(), 0.0))
        if not readable:
            return False
        try:
            piece = os.read(self._terminal, self._chunk)
        except OSError:  # so Linux reports that no process has the terminal any more
            return False
        self.written += self._decoder.decode(piece)
        time.sleep(self._pause)
        return bool(piece)
