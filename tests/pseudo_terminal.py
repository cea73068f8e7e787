"""A person at a terminal: a process with a pseudo-terminal that a test reads, as slowly as it wants, types into and resizes."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import selectors
import signal
import struct
import sys
import termios
import time
from typing import TYPE_CHECKING, Final

import pytest

from tests import forks

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from typing_extensions import Self

LIMIT: Final = 180.0  # seconds; longer than any step on a busy machine
QUESTION: Final = "[y/N]: "
_FULL: Final = 3000  # bytes; the kernel keeps 4 KiB
_SHOW: Final = "\x1b[?25h"
_HIDE: Final = "\x1b[?25l"
PROGRAM: Final = """
from exasol_ci_setup.cli.main import main
main()
"""


class PseudoTerminal:
    """Run the program in a terminal, as a context manager. Each read is of `chunk` bytes, `pause` seconds after the previous one."""

    def __init__(
        self,
        *arguments: str,
        cwd: Path,
        environment: Mapping[str, str],
        program: str = PROGRAM,
        size: tuple[int, int] = (40, 120),
        chunk: int = 65536,
        pause: float = 0.0,
    ) -> None:
        kept = {name: value for name, value in os.environ.items() if name not in {"CI", "NO_COLOR", "COLUMNS", "LINES"}}
        self._job = (cwd, {**kept, "TERM": "xterm-256color", **environment}, program, arguments)
        self._size = size
        self._chunk = chunk
        self._pause = pause
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.written = ""
        """What the process has written so far, with its escape sequences."""

    def __enter__(self) -> Self:
        self._terminal, theirs = pty.openpty()
        self.resize(*self._size)
        self.process = forks.start(os.ttyname(theirs), *self._job)
        # It stays open here until the process has opened it: a terminal without a process is closed.
        self._theirs: int | None = theirs
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        for descriptor in (self._terminal, self._theirs):
            if descriptor is not None:
                os.close(descriptor)

    @property
    def text(self) -> str:
        """The output of the process so far, without escape sequences."""
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.written)

    @property
    def is_cursor_visible(self) -> bool:
        return self.written.rfind(_SHOW) >= self.written.rfind(_HIDE)

    @property
    def echoes(self) -> bool:
        """Whether the terminal shows typed text."""
        return bool(termios.tcgetattr(self._terminal)[3] & termios.ECHO)

    def resize(self, rows: int, columns: int) -> None:
        """Change the size of the terminal; the kernel sends SIGWINCH to the process."""
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
        """Read until the process has written `words` after this number of characters."""
        until = time.monotonic() + LIMIT
        while words not in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.written[after:]):
            if not self._read(until):
                pytest.fail(f"{words!r} never came:\n{self.text[-2000:]}")

    def end(self, seconds: float = LIMIT) -> int:
        """Read until the process has ended, within this number of seconds, and return its exit code."""
        until = time.monotonic() + seconds
        while self._read(until):
            pass
        self.process.join(max(until - time.monotonic(), 0.1))
        if self.process.exitcode is None:
            pytest.fail(f"it did not end within {seconds:g} s:\n{self.text[-2000:]}")
        return self.process.exitcode

    def fill(self) -> None:
        """Stop reading, and return when the kernel's buffer is full, so that the process waits for a reader."""
        until = time.monotonic() + LIMIT
        before = -1
        while (waiting := self._waiting()) != before or waiting < _FULL:
            before = waiting
            assert time.monotonic() < until, f"only {waiting} bytes were written"
            time.sleep(0.5)

    def _waiting(self) -> int:
        return int.from_bytes(fcntl.ioctl(self._terminal, termios.FIONREAD, bytes(4)), sys.byteorder)

    def leave(self) -> None:
        """Send the signal of a closed window."""
        self.send(signal.SIGHUP)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def _is_readable(self, seconds: float) -> bool:
        """Wait for output, or for the end of the process, at most this number of seconds."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._terminal, selectors.EVENT_READ)
            return bool(selector.select(seconds))

    def _read(self, until: float) -> bool:
        """Read the next output, and return False at the end of the process or after the timeout."""
        while self._theirs is not None:
            if self._is_readable(0.1) or not self.process.is_alive():
                os.close(self._theirs)
                self._theirs = None
        if not self._is_readable(max(until - time.monotonic(), 0.0)):
            return False
        try:
            piece = os.read(self._terminal, self._chunk)
        except OSError:  # so Linux reports that no process has the terminal any more
            return False
        self.written += self._decoder.decode(piece)
        time.sleep(self._pause)
        return bool(piece)


def answered(terminal: PseudoTerminal, *answers: str) -> tuple[int, str]:
    """Run a program, type each answer after one question, and return the exit code and the output with its escape sequences."""
    with terminal:
        seen = 0
        for answer in answers:
            terminal.wait_for(QUESTION, after=seen)
            seen = len(terminal.written)
            terminal.type(answer)
        return terminal.end(), terminal.written
