"""How batches and builds are shown: a table that is updated in place in a terminal, plain lines or records elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import click

from exasol_ci_setup.builds.model import IN_PROGRESS, PENDING
from exasol_ci_setup.cli import show
from exasol_ci_setup.cli.view import View

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from rich.table import Table
    from rich.text import Text

    from exasol_ci_setup.builds.explain import Failure
    from exasol_ci_setup.builds.logs import LogLine
    from exasol_ci_setup.builds.model import Batch, Build
    from exasol_ci_setup.cli.output import Output

_COLOURS: Final = {"SUCCEEDED": "green", IN_PROGRESS: "yellow", PENDING: "bright_black"}
_SYMBOLS: Final = {"green": ("✓", "+"), "red": ("✗", "!"), "yellow": ("…", " ")}
_MOST_NAMES: Final = 5


class BuildView(View):
    """Shows a batch while it is open as a context manager.

    In a terminal it is a table on stderr, one row a build, with its phase and the time it has taken; without one a line for each
    change, and at least one every 30 s; in JSON format a record for each change on stdout. Log lines stand above the table;
    with `log_only` they are all that is shown, as the data that was asked for. `clock` returns seconds that only grow.
    """

    def __init__(self, output: Output, *, clock: Callable[[], float] = time.monotonic, log_only: bool = False) -> None:
        super().__init__(output, clock=clock, in_place=not log_only)
        self._log_only = log_only
        self._batch: Batch | None = None
        self._batch_seen = clock()

    def show(self, batch: Batch) -> None:
        """Show the batch as it is now."""
        before = {build.group: _told(build) for build in self._batch.builds} if self._batch else {}
        changed = [build for build in batch.builds if before.get(build.group) != _told(build)]
        self._batch, self._batch_seen = batch, self._clock()
        if self._log_only:
            return
        for build in changed:
            self._output.record(build)
            if self._output.format == "text" and self._terminal is None:
                self._say(self._line(build))

    def log(self, line: LogLine) -> None:
        """Show one line that a build wrote."""
        self._output.record(line)
        self._last_line = self._clock()
        if self._log_only:
            self._output.data(log_line(line))
        elif self._output.format == "text":
            self._output.say(log_line(line))

    def _progress(self) -> str:
        running = [build for build in self._batch.builds if build.status == IN_PROGRESS] if self._batch else []
        names = [f"{build.group} ({build.phase})" if build.phase else build.group for build in running[:_MOST_NAMES]]
        more = [f"{len(running) - _MOST_NAMES} more"] if len(running) > _MOST_NAMES else []
        line = f"still {self._batch.status if self._batch else 'waiting'} after {show.duration(self._elapsed())}"
        return f"{line}: {', '.join(names + more)}" if running else line

    def _line(self, build: Build) -> str:
        status = click.style(f"{show.clean(build.status):<11}", fg=colour(build.status))
        phase = build.phase if not build.has_ended else ""
        return (
            f"{show.duration(self._elapsed()):>12}  {status}  {show.clean(build.group)}  {show.clean(phase)}".rstrip()
        )

    def _elapsed(self, build: Build | None = None) -> float:
        """Return the seconds that a build, or the batch, has taken: AWS's times as far as it told them, then our clock."""
        thing = build or self._batch
        if thing is None:
            return self._clock() - self._started
        if thing.started is None:
            return 0.0 if build else self._clock() - self._started
        if thing.ended is not None:
            return (thing.ended - thing.started).total_seconds()
        as_of: datetime | None = self._batch.as_of if self._batch else None
        known = (as_of - thing.started).total_seconds() if as_of else 0.0
        return max(known, 0.0) + self._clock() - self._batch_seen

    def _draw(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        # One reference: the table is drawn from a thread of its own, while news come in.
        batch = self._batch
        table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
        for name in ("build", "status", "phase", "time"):
            table.add_column(name, overflow="fold", no_wrap=True, justify="right" if name == "time" else "left")
        status = self._styled(batch.status) if batch else Text("waiting for AWS", style="dim")
        done = f"{sum(build.has_ended for build in batch.builds)}/{len(batch.builds)}" if batch and batch.builds else ""
        table.add_row(
            Text(show.clean(batch.project if batch else "batch"), style="bold"),
            status,
            Text(done, style="dim"),
            show.duration(self._elapsed()),
        )
        for build in self._fitting(batch.builds if batch else ()):
            table.add_row(
                Text(f"  {show.clean(build.group)}"),
                self._styled(build.status),
                Text(show.clean(build.phase if not build.has_ended else "")),
                Text(
                    show.duration(self._elapsed(build)) if build.started else "", style="dim" if build.has_ended else ""
                ),
            )
        return table

    def _styled(self, status: str) -> Text:
        from rich.text import Text

        style = colour(status)
        symbol = _SYMBOLS.get(style, ("·", " "))[0 if self._output.unicode else 1]
        return Text(f"{symbol} {show.clean(status)}", style=style)

    def _fitting(self, builds: Sequence[Build]) -> Sequence[Build]:
        """Leave out what tells least when the screen is too short for all, while the view is open."""
        height = self._terminal.height if self._terminal is not None else None
        if height is None or len(builds) <= height - 2:
            return builds
        room = height - 2
        weight = {IN_PROGRESS: 1, PENDING: 2, "SUCCEEDED": 3}
        kept = {id(build) for build in sorted(builds, key=lambda build: weight.get(build.status, 0))[:room]}
        return [build for build in builds if id(build) in kept]


def colour(status: str) -> str:
    """Return the colour for a status of CodeBuild."""
    return _COLOURS.get(status, "red")


def log_line(line: LogLine) -> str:
    """Return a log line as it is shown, with the build that wrote it in front."""
    text = log_text(line.message)
    return f"{click.style(show.clean(line.group), fg='cyan')} | {text}" if line.group else text


def log_text(message: str) -> str:
    """Return what a build wrote as one line without colours or anything else that a terminal would obey."""
    # Of a progress bar that was drawn over itself the last state is what a terminal would show.
    shown = message.rstrip("\r").rpartition("\r")[2]
    return show.clean(click.unstyle(shown).expandtabs())


def failures(failures: Sequence[Failure]) -> list[str]:
    """Return the end of the first failure's log, and which builds failed if they are several, as a block of lines."""
    lines: list[str] = []
    for failure in failures:
        if failure.log:
            lines.append(click.style(f"The end of the log of {show.clean(failure.group)}:", bold=True))
            lines += [f"  | {log_text(line)}" for line in failure.log]
    if len(failures) > 1:
        told = [f"  {show.clean(str(failure))}" for failure in failures]
        lines += [click.style("Builds that did not succeed:", bold=True), *told]
    return lines


def batches(found: Iterable[Batch]) -> list[str]:
    """Return a list of batches as a table."""
    rows = [
        (
            batch.id,
            batch.status,
            f"{show.utc(batch.started):%Y-%m-%d %H:%M}" if batch.started else "",
            show.duration((batch.ended - batch.started).total_seconds()) if batch.started and batch.ended else "",
            f"{sum(build.status == 'SUCCEEDED' for build in batch.builds)}/{len(batch.builds)}" if batch.builds else "",
            batch.branch,
        )
        for batch in found
    ]
    return show.table(("BATCH", "STATUS", "STARTED (UTC)", "TOOK", "GOOD", "BRANCH"), rows)


def _told(build: Build) -> tuple[str, str, str]:
    """Return what makes a change of a build worth telling."""
    return build.id, build.status, build.phase
