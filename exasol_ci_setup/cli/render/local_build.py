"""The reporter of `run-buildspec`: the output of the build on stdout and its progress on stderr, or both as records."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final

import click

from exasol_ci_setup.builds.runner.build import BuildOutput
from exasol_ci_setup.builds.runner.phases import Command, PhaseResult, PhaseStarted
from exasol_ci_setup.cli.render import show
from exasol_ci_setup.core.reporter import NullReporter
from exasol_ci_setup.core.text import duration

if TYPE_CHECKING:
    from exasol_ci_setup.cli.output import Output

_MAX_COMMAND_LENGTH: Final = 100


class LocalBuildReporter(NullReporter):
    """Shows a running build. `build` is its identifier in a batch, or empty."""

    def __init__(self, output: Output, build: str) -> None:
        self._output, self._build = output, build
        self._phase, self._since = "", 0.0
        self._line = b""

    def note(self, message: str, /) -> None:
        """Print a difference from CodeBuild."""
        self._output.say(f"{click.style('note:', fg='cyan')} {message}")

    def event(self, event: object, /) -> None:
        """Show the start or the result of a phase, a command that runs, or a piece of the output."""
        if isinstance(event, BuildOutput):
            self._write(event.data)
        elif isinstance(event, PhaseStarted):
            self._phase, self._since = event.name, time.monotonic()
            self._output.say(click.style(f"phase {event.name}", bold=True))
        elif isinstance(event, Command):
            self._output.say(click.style(f"  $ {short_command(event.text)}", fg="bright_black"))
        elif isinstance(event, PhaseResult):
            self._end(event)

    def _end(self, result: PhaseResult) -> None:
        seconds = time.monotonic() - self._since
        color = "red" if result.failure else "green"
        ended = click.style(result.status, fg=color)
        if result.failure:
            ended += f": `{short_command(result.failure.command.text)}` ended with exit status {result.failure.status}"
        self._output.say(f"phase {result.name} {ended} ({duration(seconds)})")
        record: dict[str, object] = {
            "type": "phase",
            "build": self._build,
            "phase": result.name,
            "status": result.status,
            "seconds": round(seconds, 1),
        }
        if result.failure:
            record |= {"command": result.failure.command.text, "exit_status": result.failure.status}
        self._output.record(record)

    def _write(self, data: bytes) -> None:
        """Write the output of the build: unchanged as text, or each line as a record."""
        if self._output.format == "text":
            # Bytes, because the encoding is unknown and the last line may be incomplete.
            sys.stdout.flush()
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            return
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            message = line.decode(errors="replace").rstrip("\r")
            self._output.record({"type": "log", "build": self._build, "phase": self._phase, "message": message})


def short_command(command: str) -> str:
    """Return a command on one line, shortened to at most 100 characters."""
    first, _, more = command.strip().partition("\n")
    return show.clean(first[:_MAX_COMMAND_LENGTH]) + ("…" if more or len(first) > _MAX_COMMAND_LENGTH else "")
