"""Record the commands of `script.txt` in the sandbox as an asciicast, in a terminal of its own; `make recording` runs it.

The format: https://docs.asciinema.org/manual/asciicast/v2/.
"""

from __future__ import annotations

import codecs
import fcntl
import json
import os
import pty
import select
import shlex
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

HERE = Path(__file__).parent
CAST = HERE / "first-deployment.cast"
COLUMNS, ROWS = 100, 30
# Seconds.
TYPING, READING, LONGEST_PAUSE, LIMIT = 0.03, 1.5, 2.0, 120.0
PROMPT = "\x1b[1;32m$\x1b[0m "
QUESTION = "[y/N]: "


class Recording:
    """The output of a terminal so far, with its times in seconds."""

    def __init__(self) -> None:
        self.events: list[tuple[float, str]] = []
        self._at = 0.0

    def add(self, text: str, pause: float) -> None:
        """Add output that comes `pause` seconds after the previous one. A longer pause than a reader needs is shortened."""
        self._at += min(pause, LONGEST_PAUSE)
        self.events.append((round(self._at, 3), text))

    def type(self, text: str) -> None:
        """Add a command, as if it were typed."""
        self.add(PROMPT, 0.3)
        for letter in text:
            self.add(letter, TYPING)
        self.add("\r\n", 0.4)

    def cast(self) -> str:
        """Return the recording as an asciicast."""
        header = {"version": 2, "width": COLUMNS, "height": ROWS, "title": "The first deployment, in the sandbox"}
        return "".join(f"{json.dumps(line)}\n" for line in (header, *([at, "o", text] for at, text in self.events)))


def commands() -> list[str]:
    """Return the commands that are recorded, one in a line."""
    lines = (HERE / "script.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def run(command: str, environment: dict[str, str], recording: Recording) -> int:
    """Run a command in a terminal, approve its plan after a pause, and return its exit code."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    process = subprocess.Popen(
        shlex.split(command), stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    )
    os.close(theirs)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    before, until = time.monotonic(), time.monotonic() + LIMIT
    line = ""
    while select.select([ours], [], [], max(until - time.monotonic(), 0.0))[0]:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # so Linux reports that no process has the terminal any more
            break
        text = decoder.decode(piece)
        now = time.monotonic()
        recording.add(text, now - before)
        before = now
        line = (line + text)[-len(QUESTION) :]
        if line == QUESTION:
            recording.add("", READING)
            os.write(ours, b"y\r")
    os.close(ours)
    return process.wait(timeout=LIMIT)


def main() -> int:
    """Record all commands in a new sandbox, and write the asciicast."""
    recording = Recording()
    with tempfile.TemporaryDirectory() as state:
        environment = {
            **{name: value for name, value in os.environ.items() if name not in {"CI", "NO_COLOR", "COLUMNS", "LINES"}},
            "EXASOL_CI_SETUP_SANDBOX": "1",
            "EXASOL_CI_SETUP_SANDBOX_DIR": state,
            "EXASOL_CI_SETUP_SANDBOX_DELAY": "0.4",
            "TERM": "xterm-256color",
        }
        start = ["exasol-ci-setup", "sandbox", "start", "--delay", "0.4"]
        subprocess.run(start, env=environment, check=True, capture_output=True)
        try:
            for command in commands():
                recording.type(command)
                if code := run(command, environment, recording):
                    sys.stderr.write(f"{command}: exit code {code}\n")
                    return 1
                recording.add("", READING)
        finally:
            subprocess.run(["exasol-ci-setup", "sandbox", "stop"], env=environment, check=True, capture_output=True)
    CAST.write_text(recording.cast(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
