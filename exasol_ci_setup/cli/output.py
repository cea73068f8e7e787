"""All output: data to stdout, everything else to stderr; JSON lines with --output json, a document with --output markdown."""

from __future__ import annotations

import errno
import json
import os
import sys
from contextlib import suppress
from io import StringIO
from typing import TYPE_CHECKING, Literal, TextIO

import click

from exasol_ci_setup.cli.render import records, show
from exasol_ci_setup.cli.render.fitting import wrapped
from exasol_ci_setup.cli.terminal import Terminal, readable
from exasol_ci_setup.core.errors import DeployFailedError, StackNotUpdatableError
from exasol_ci_setup.core.reporter import NullReporter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import RenderableType

    from exasol_ci_setup.cli.render.markdown import MarkdownReporter
    from exasol_ci_setup.core.errors import SetupError
    from exasol_ci_setup.core.reporter import Reporter


class Output:
    """Writes in one of three formats.

    ``text``: data goes to stdout, the rest to stderr. ``json``: stdout has only JSON objects, one in a line. ``markdown``: stdout has
    one document, which `document` collects and `finish` writes. In both, `say` and `warn` still write to stderr. Color needs a terminal,
    and none of ``NO_COLOR``, ``TERM=dumb`` and ``CI``.
    """

    def __init__(self, format: Literal["text", "json", "markdown"] = "text") -> None:  # noqa: A002  the option's name
        self.format = format
        self._markdown = _document() if format == "markdown" else None
        self.document: Reporter = NullReporter() if self._markdown is None else self._markdown
        self.lost: OSError | None = None
        self._terminal: Terminal | None = None

    @property
    def live(self) -> bool:
        """Whether stderr is a terminal that supports live updates."""
        return _is_terminal(sys.stderr) and not os.environ.get("CI") and os.environ.get("TERM") != "dumb"

    @property
    def color(self) -> bool:
        """Whether stderr gets colors."""
        return self.live and _is_color_wanted()

    @property
    def can_ask(self) -> bool:
        """Whether the user can be asked: stdin and stderr are terminals, and not in CI."""
        return _is_terminal(sys.stdin) and _is_terminal(sys.stderr) and not os.environ.get("CI")

    @property
    def on_terminal(self) -> bool:
        """Whether stdout is a terminal."""
        return _is_terminal(sys.stdout)

    @property
    def unicode(self) -> bool:
        """Whether stdout and stderr can encode arrows and symbols."""
        try:
            for stream in (sys.stdout, sys.stderr):
                "→±…✓✗".encode(stream.encoding or "ascii")
        except (UnicodeError, LookupError):
            return False
        return True

    @property
    def width(self) -> int | None:
        """The columns of the terminal of stderr; None without one."""
        return _columns(sys.stderr)

    @property
    def data_width(self) -> int | None:
        """The columns of the terminal of stdout; None without one."""
        return _columns(sys.stdout)

    def wrapped(self, text: str) -> str:
        """Return text whose lines are broken at spaces, if stderr is a terminal."""
        return "\n".join(_wrapped(text.split("\n"), self.width))

    def data(self, text: str, *, wrap: bool = False) -> None:
        """Write a result to stdout. Does nothing in other formats, where its record is written instead.

        `wrap`: in a terminal, break its lines at spaces.
        """
        if self.format == "text":
            if wrap:
                text = "\n".join(_wrapped(text.split("\n"), self.data_width))
            self._to_stdout(_encodable(text, sys.stdout), color=_is_terminal(sys.stdout) and _is_color_wanted())

    def raw(self, data: bytes) -> None:
        """Write bytes unchanged to stdout, with a line break for a terminal. Does nothing in other formats."""
        if self.format == "text":
            ending = b"\n" if self.on_terminal and not data.endswith(b"\n") else b""
            self._write(lambda: sys.stdout.buffer.write(data + ending))

    def binary(self, data: bytes) -> None:
        """Write a piece of binary data to stdout."""
        self._write(lambda: sys.stdout.buffer.write(data))

    def say(self, *lines: str) -> None:
        """Write lines to stderr, in a terminal broken at spaces. They may contain styles of click."""
        lines = tuple(_wrapped([part for line in lines for part in line.split("\n")], self.width))
        if self._terminal is not None:
            self._terminal.say([line if self.color else click.unstyle(line) for line in lines])
        else:
            self._echo(lines)

    def _echo(self, lines: Sequence[str]) -> None:
        for line in lines:
            with suppress(OSError):  # a closed terminal does not stop the command
                click.echo(_encodable(readable(line), sys.stderr), err=True, color=self.color)

    def open(self, draw: Callable[[], RenderableType] | None = None) -> Terminal:
        """Start a thread that owns stdout and stderr until `close`.

        It keeps what `draw` returns below the lines.
        """
        self._terminal = Terminal(self._echo, draw, color=self.color)
        self._terminal.start()
        return self._terminal

    def close(self, seconds: float | None = None) -> bool:
        """Wait at most `seconds` until pending output is written; return whether it is. Does nothing if not open."""
        if self._terminal is not None:
            if not self._terminal.stop(seconds):
                # Its thread blocks on the terminal; a second writer would block too.
                return False
            self._terminal = None
        return True

    def send(self, call: Callable[[], None]) -> None:
        """Run a call in the writing thread, after earlier calls. Runs it immediately if no such thread exists."""
        if self._terminal is not None:
            self._terminal.send(call)
        else:
            call()

    @property
    def has_failed(self) -> bool:
        """Whether writing a result failed. A reader that closes the pipe, such as `head`, is no failure."""
        return self.lost is not None and self.lost.errno != errno.EPIPE

    def warn(self, text: str) -> None:
        """Write a warning to stderr, and to the document."""
        self.say(f"{click.style('warning:', fg='yellow')} {_multi_line(text)}")
        self.document.note(f"warning: {text}")

    def note(self, message: str) -> None:
        """Write a note on the result to stderr, and to the document."""
        self.say(message)
        self.document.note(message)

    def record(self, *subjects: object, name: str = "", **details: str) -> None:
        """Write the record of each of `subjects` (see `records.record`) to stdout, or add it to the document. Does nothing in text format.

        `name` is the name of a stack among several. `details` are further keys of the records in JSON.
        """
        for subject in subjects:
            if self.format == "json":
                record = records.named(subject, name) if name else records.record(subject)
                self._to_stdout(json.dumps({**record, **details}, allow_nan=False), color=False)
            (self.document.of(name) if name else self.document).result(subject)

    def finish(self) -> None:
        """Write the document, always in UTF-8. Does nothing in other formats."""
        if self._markdown is not None:
            text = self._markdown.document().encode("utf-8", "backslashreplace")
            self._write(lambda: sys.stdout.buffer.write(text))

    def _to_stdout(self, text: str, *, color: bool) -> None:
        self._write(lambda: click.echo(readable(text), color=color))

    def _write(self, write: Callable[[], object]) -> None:
        """Write to stdout. If that fails, the command continues: AWS continues too, and the result must be shown."""
        if self._terminal is not None:
            self._terminal.write(lambda: self._write_now(write))
        else:
            self._write_now(write)

    def _write_now(self, write: Callable[[], object]) -> None:
        if self.lost is not None:
            return
        try:
            write()
            sys.stdout.flush()
        except OSError as error:
            self.lost = error
            # The rest of the buffer would fail again at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def error(self, error: SetupError) -> None:
        """Write an error and its hint to stderr; in other formats also write its record to stdout."""
        self.say(f"{click.style('error:', fg='red', bold=True)} {_multi_line(error.message)}")
        if error.hint:
            self.say("", f"{click.style('hint:', fg='cyan')} {_multi_line(error.hint)}")
        if isinstance(error, DeployFailedError | StackNotUpdatableError) and error.diagnosis is not None:
            # The diagnosis comes last, where the user looks first.
            self.say("", *show.diagnosis(error.diagnosis))
        self.record(error)

    def usage_error(self, error: click.ClickException) -> None:
        """Write an error of click with its usage to stderr."""
        buffer = StringIO()
        error.show(buffer)
        self.say(*buffer.getvalue().rstrip("\n").split("\n"))

    def ask(self, question: str) -> str:
        """Ask on stderr and return the answer, which may be empty. Raises EOFError at the end of input."""
        click.echo(f"{_multi_line(question)}: ", err=True, nl=False)
        answer = sys.stdin.readline()
        if not answer:
            self.say("")
            raise EOFError
        return answer.rstrip("\r\n")

    def confirm(self, question: str) -> bool:
        """Ask on stderr and return the answer. The default is no, also at the end of input."""
        click.echo(self.wrapped(f"{_multi_line(question)} [y/N]: "), err=True, nl=False)
        # Not click.confirm, which does not distinguish Ctrl-C from the end of input.
        answer = sys.stdin.readline()
        if not answer:
            self.say("")
        return answer.strip().lower() in {"y", "yes"}


def _is_color_wanted() -> bool:
    return not (os.environ.get("NO_COLOR") or os.environ.get("CI") or os.environ.get("TERM") == "dumb")


def _document() -> MarkdownReporter:
    from exasol_ci_setup.cli.render.markdown import MarkdownReporter  # noqa: PLC0415 - only for this format

    return MarkdownReporter()


def _columns(stream: TextIO) -> int | None:
    """Return the columns of a terminal; None for another stream, and for a terminal that does not report them."""
    if not _is_terminal(stream):
        return None
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        return None


def _wrapped(lines: Sequence[str], width: int | None) -> list[str]:
    return list(lines) if width is None else [part for line in lines for part in wrapped(line, width)]


def _encodable(text: str, stream: TextIO) -> str:
    """Return `text` with escapes for characters that the stream cannot encode."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _is_terminal(stream: TextIO) -> bool:
    return not stream.closed and stream.isatty()


def _multi_line(text: str) -> str:
    return "\n".join(show.clean(line) for line in text.split("\n"))
