"""The view of a batch: a live table in a terminal, plain lines or JSON records elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import click

from exasol_ci_setup.builds.logs import LogLine
from exasol_ci_setup.builds.model import IN_PROGRESS, PENDING, Batch
from exasol_ci_setup.builds.token import SecretRemains
from exasol_ci_setup.cli.render import show
from exasol_ci_setup.cli.render.reporter import StackReporter
from exasol_ci_setup.cli.render.view import View
from exasol_ci_setup.core.text import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from rich.table import Table
    from rich.text import Text

    from exasol_ci_setup.builds.model import Build
    from exasol_ci_setup.cli.output import Output
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.core.errors.details import Failure

_COLORS: Final = {"SUCCEEDED": "green", IN_PROGRESS: "yellow", PENDING: "bright_black"}
_SYMBOLS: Final = {"green": ("✓", "+"), "red": ("✗", "!"), "yellow": ("…", " ")}
_MAX_NAMES: Final = 5


class BuildView(View):
    """Shows a batch while it is open as a context manager.

    In a terminal the view is a table on stderr with a row for each build: phase and elapsed time. Without a terminal it is a
    line for each change, and at least one line every 30 s. In JSON format it is a record for each change on stdout.
    Log lines appear above the table. With `log_only` the view prints only log lines, to stdout.
    `clock` returns monotonic seconds.
    """

    def __init__(self, output: Output, *, clock: Callable[[], float] = time.monotonic, log_only: bool = False) -> None:
        super().__init__(output, clock=clock, in_place=not log_only)
        self._log_only = log_only
        self._batch: Batch | None = None
        self._batch_seen = clock()

    def event(self, event: object, /) -> None:
        """Show the current state of the batch, or one log line of a build."""
        if isinstance(event, Batch):
            self._show(event)
        elif isinstance(event, LogLine):
            self._log(event)

    def _show(self, batch: Batch) -> None:
        before = {build.group: _state_key(build) for build in self._batch.builds} if self._batch else {}
        changed = [build for build in batch.builds if before.get(build.group) != _state_key(build)]
        self._batch, self._batch_seen = batch, self._clock()
        if self._log_only:
            return
        for build in changed:
            self._output.record(build)
            if self._output.format == "text" and self._terminal is None:
                self._say(self._line(build))

    def _log(self, line: LogLine) -> None:
        self._output.record(line)
        self._last_line = self._clock()
        if self._log_only:
            self._output.data(log_line(line))
        elif self._output.format == "text":
            self._output.say(log_line(line))

    def _progress(self) -> str:
        running = [build for build in self._batch.builds if build.status == IN_PROGRESS] if self._batch else []
        names = [f"{build.group} ({build.phase})" if build.phase else build.group for build in running[:_MAX_NAMES]]
        more = [f"{len(running) - _MAX_NAMES} more"] if len(running) > _MAX_NAMES else []
        line = f"still {self._batch.status if self._batch else 'waiting'} after {duration(self._elapsed())}"
        return f"{line}: {', '.join(names + more)}" if running else line

    def _line(self, build: Build) -> str:
        status = click.style(f"{show.clean(build.status):<11}", fg=status_color(build.status))
        phase = build.phase if not build.has_ended else ""
        return f"{duration(self._elapsed()):>12}  {status}  {show.clean(build.group)}  {show.clean(phase)}".rstrip()

    def _elapsed(self, build: Build | None = None) -> float:
        """Return the elapsed seconds of a build, or of the batch.

        Times of AWS count up to the last answer, the local clock from then on.
        """
        subject = build or self._batch
        if subject is None:
            return self._clock() - self._started
        if subject.started is None:
            return 0.0 if build else self._clock() - self._started
        if subject.ended is not None:
            return (subject.ended - subject.started).total_seconds()
        as_of: datetime | None = self._batch.as_of if self._batch else None
        known = (as_of - subject.started).total_seconds() if as_of else 0.0
        return max(known, 0.0) + self._clock() - self._batch_seen

    def _draw(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        # One reference: a thread of its own draws the table while `event` replaces the batch.
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
            duration(self._elapsed()),
        )
        for build in self._fitting(batch.builds if batch else ()):
            table.add_row(
                Text(f"  {show.clean(build.group)}"),
                self._styled(build.status),
                Text(show.clean(build.phase if not build.has_ended else "")),
                Text(duration(self._elapsed(build)) if build.started else "", style="dim" if build.has_ended else ""),
            )
        return table

    def _styled(self, status: str) -> Text:
        from rich.text import Text

        style = status_color(status)
        symbol = _SYMBOLS.get(style, ("·", " "))[0 if self._output.unicode else 1]
        return Text(f"{symbol} {show.clean(status)}", style=style)

    def _fitting(self, builds: Sequence[Build]) -> Sequence[Build]:
        """Return the builds that fit on the screen while the view is open: failed and running ones first."""
        height = self._terminal.height if self._terminal is not None else None
        if height is None or len(builds) <= height - 2:
            return builds
        lines = height - 2
        weight = {IN_PROGRESS: 1, PENDING: 2, "SUCCEEDED": 3}
        shown = {id(build) for build in sorted(builds, key=lambda build: weight.get(build.status, 0))[:lines]}
        return [build for build in builds if id(build) in shown]


def status_color(status: str) -> str:
    """Return the color of a CodeBuild status."""
    return _COLORS.get(status, "red")


def log_line(line: LogLine) -> str:
    """Return a log line with the identifier of its build as a prefix."""
    text = log_text(line.message)
    return f"{click.style(show.clean(line.group), fg='cyan')} | {text}" if line.group else text


def log_text(message: str) -> str:
    """Return a log message as one line, without colors and other terminal control sequences."""
    # A terminal shows only the last state of a progress bar, which overwrites itself by \r.
    visible = message.rstrip("\r").rpartition("\r")[2]
    return show.clean(click.unstyle(visible).expandtabs())


def failures(failures: Sequence[Failure]) -> list[str]:
    """Return lines with the end of the first failed log and, if several builds failed, their names."""
    lines: list[str] = []
    for failure in failures:
        if failure.log:
            lines.append(click.style(f"The end of the log of {show.clean(failure.group)}:", bold=True))
            lines += [f"  | {log_text(line)}" for line in failure.log]
    if len(failures) > 1:
        names = [f"  {show.clean(str(failure))}" for failure in failures]
        lines += [click.style("Builds that did not succeed:", bold=True), *names]
    return lines


def batches(batches: Iterable[Batch], *, width: int | None = None) -> list[str]:
    """Return batches as the lines of a table, for a terminal with `width` columns; None for another output."""
    rows = [
        (
            batch.id,
            batch.status,
            f"{show.utc(batch.started):%Y-%m-%d %H:%M}" if batch.started else "",
            duration((batch.ended - batch.started).total_seconds()) if batch.started and batch.ended else "",
            f"{sum(build.status == 'SUCCEEDED' for build in batch.builds)}/{len(batch.builds)}" if batch.builds else "",
            batch.branch,
        )
        for batch in batches
    ]
    return show.table(("BATCH", "STATUS", "STARTED (UTC)", "TOOK", "GOOD", "BRANCH"), rows, width=width)


def _state_key(build: Build) -> tuple[str, str, str]:
    """Return the fields whose change is printed as a line."""
    return build.id, build.status, build.phase


class BuildReporter(StackReporter):
    """Warns about secrets that remain, and shows a batch in a view; with `log_only`, only its log lines on stdout."""

    def __init__(self, session: Session, *, log_only: bool = False) -> None:
        super().__init__(session)
        self._log_only = log_only

    def event(self, event: object, /) -> None:
        """Print a warning for a secret that remains."""
        if isinstance(event, SecretRemains):
            self._output.warn(self._session.with_global_options(event.message))

    def operation(self, _name: str, _title: str, /) -> BuildView:
        """Return the view of a batch."""
        return BuildView(self._output, clock=self._session.clock.now, log_only=self._log_only)
