"""Many stacks as the user sees them: one question for all, and lines that begin with the stack's name, or a table of stacks in a terminal."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Final

from exasol_ci_setup import lint as linter
from exasol_ci_setup.cli import records, report, show
from exasol_ci_setup.cli.consent import Consent, require_no_more_data_loss, require_no_more_than, require_terminal
from exasol_ci_setup.cli.interruption import PATIENCE
from exasol_ci_setup.errors import DeployFailed, Interrupted, NotApprovedError
from exasol_ci_setup.once import Once
from exasol_ci_setup.resolve.verbs import require_success
from exasol_ci_setup.stacks.graph import End

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from rich.table import Table
    from typing_extensions import Self

    from exasol_ci_setup.aws import Account
    from exasol_ci_setup.cli.output import Output
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.constructs.scope import Scope
    from exasol_ci_setup.resolve import Connections
    from exasol_ci_setup.stacks.graph import Ended
    from exasol_ci_setup.stacks.model import Event, Plan, Stack
    from exasol_ci_setup.templates import Template

_QUIET: Final = 25.0  # seconds without a line after which one is due, looks being 1.8 s apart
_WORDS: Final = {
    End.DONE: ("done", "green"),
    End.UNCHANGED: ("nothing to do", "green"),
    End.FAILED: ("failed", "red"),
    End.SKIPPED: ("skipped", "yellow"),
}


@dataclass(slots=True)
class _Row:
    """A stack as its events tell it so far."""

    status: str
    since: float
    until: float | None = None
    finished: int = 0
    reason: str = ""
    color: str = ""


class MultiStackReporter:
    """Decides on plans and shows what becomes of stacks, from several threads at once.

    What is shown is kept and written by one thread: the one that owns the terminal while `checking` or `table` is open. The others send
    it messages through `Output.send`. No lock is held while something is written.

    `shown` are the plans that the user has said yes to; None means that each is shown when it is made and approved by `--yes`. With
    `total`, for more stacks than a screen has lines, the table shows those under way and those that failed, and counts the others.
    """

    def __init__(
        self,
        session: Session,
        *,
        consent: Consent | None = None,
        lint: bool = True,
        shown: Mapping[str, Plan] | None = None,
        total: int = 0,
    ) -> None:
        self.shown = shown
        self._session = session
        self._output = session.output
        self._consent = consent or Consent(session)
        self._lint = lint
        self._total = total
        self._linted: set[tuple[str, str]] = set()
        # cfn-lint keeps its rules and caches in one place for all.
        self._lint_lock = Lock()
        self._rows: dict[str, _Row] = {}
        self._last_line = session.clock.now()
        self._live = False
        self._checked = self._total_checked = 0

    def approve(self, name: str, plan: Plan, /) -> bool:
        """Show the plan, or compare it with what was approved, and say yes. Raises NotApprovedError."""
        if self.shown is not None:
            require_no_more_than(self.shown.get(name), plan)
            return True
        report.plan(self._output, plan, as_data=False, name=name)
        self._output.send(self._note_line)
        self._consent.require(plan, unchanged="this stack was not changed")
        return True

    def approve_recreation(self, name: str, stack: Stack, removal: Plan, /) -> bool:
        """Say that a stack is deleted first, which --recreate-failed has approved unless its data goes. Raises NotApprovedError."""
        if self.shown is not None:
            require_no_more_data_loss(self.shown.get(name), removal)
        else:
            self._consent.require(removal, unchanged="this stack was not changed")
        self.say(name, f"it is in {stack.status}, and is deleted and created again")
        return True

    def view(self, stack_name: str, title: str, /) -> _StackView:
        """Return what shows the events of one stack."""
        self._output.send(partial(self._begin, stack_name, self._session.clock.now()))
        self.say(stack_name, title.replace(f" {_own_name(stack_name)}", ""))
        return _StackView(self, stack_name)

    def _begin(self, stack_name: str, now: float) -> None:
        self._rows.setdefault(stack_name, _Row("", now))

    def notice(self, stack_name: str, message: str, /) -> None:
        """Say something about a stack."""
        self.say(stack_name, message)

    def check(self, template: Template, region: str, /) -> None:
        """Run the linter, once for each template and region, and show what it finds. Raises TemplateRejected."""
        if not self._lint:
            return
        with self._lint_lock:
            if (template.body, region) in self._linted:
                return
            findings = linter.lint(template, region)
            self._linted.add((template.body, region))
        for finding in findings:
            report.finding(self._output, finding, template)
        linter.reject_errors(template, findings)

    def ended(self, ended: Ended, _stack: Stack | None = None, /) -> None:
        """Tell how the work on a stack ended."""
        self._output.send(partial(self._ended, ended, self._session.clock.now()))

    def _ended(self, ended: Ended, now: float) -> None:
        word, color = _WORDS[ended.end]
        row = self._rows.setdefault(ended.name, _Row(word, now))
        row.status, row.color, row.until = word, color, now
        why = f"skipped, because {', '.join(ended.because)} failed" if ended.because else word
        if ended.error is not None:
            why = f"{word}: {ended.error.message}"
            row.reason = ended.error.message
        interrupted = isinstance(ended.error, Interrupted)
        if interrupted:
            row.status, row.reason = "interrupted", ""
        elif not self._live:
            # After Ctrl-C one line is printed for all stacks, at the end.
            self._say(ended.name, why)
        self._output.record(ended)

    def say(self, stack_name: str, message: str) -> None:
        """Write a line that begins with a stack's name."""
        self._output.send(partial(self._say, stack_name, message))

    def _say(self, stack_name: str, message: str) -> None:
        self._output.say(*(f"{show.clean(stack_name)}: {line}" for line in show.clean(message).split("\n")))
        self._note_line()

    def _note_line(self) -> None:
        self._last_line = self._session.clock.now()

    def event(self, stack_name: str, event: Event) -> None:
        """Show one event of a stack."""
        self._output.send(partial(self._event, stack_name, event))

    def _event(self, stack_name: str, event: Event) -> None:
        row = self._rows.setdefault(stack_name, _Row("", self._session.clock.now()))
        if event.is_stack:
            # A nested stack's own events are not the end of the whole.
            if event.stack_name == _own_name(stack_name):
                row.status = event.status
        elif event.status.endswith("_COMPLETE"):
            row.finished += 1
        elif not row.reason:
            row.reason = event.failure
        self._output.record(records.named(event, stack_name))
        if self._output.format == "text" and not self._live:
            self._output.say(f"{show.clean(stack_name)}: {show.event(event, root=_own_name(stack_name))}")
        elif warning := show.hook_warning(event):
            self._output.say(f"{show.clean(stack_name)}: {warning}")
            self._note_line()

    def tick(self, now: float) -> None:
        """Print what is in progress if nothing was printed for almost 30 s."""
        self._output.send(partial(self._tick, now))

    def _tick(self, now: float) -> None:
        if not self._live and now - self._last_line > _QUIET:
            running = [name for name, row in self._rows.items() if row.until is None]
            self._output.say(f"still under way: {', '.join(map(show.clean, running))}")
            self._last_line = now

    def announce(self, total: int) -> None:
        """Print at once, in a terminal, that stacks are checked: the first answers of AWS may take a while."""
        if self._output.live:
            self._output.say(_checking(self._output, total))

    @contextmanager
    def checking(self, total: int) -> Iterator[None]:
        """Show how many of the stacks are checked while this is open."""
        self._checked, self._total_checked = 0, total
        if self._output.format == "text" and self._output.live:
            self._live = True
            self._output.open(self._counter)
        else:
            self._output.say(_checking(self._output, total))
            self._output.open()
        with self._closing():
            yield

    def checked(self, _ended: Ended, /) -> None:
        """Count a stack that is checked."""
        self._output.send(self._count)

    def _count(self) -> None:
        self._checked += 1
        if not self._live and self._session.clock.now() - self._last_line > _QUIET:
            self._output.say(self._counter())
            self._note_line()

    def _counter(self) -> str:
        return f"checked {self._checked} of {counted(self._total_checked)}"

    @contextmanager
    def table(self) -> Iterator[None]:
        """Show the stacks as a table on stderr while this is open, if that is a terminal."""
        # Where plans are still to be shown there are lines.
        self._live = self._output.format == "text" and self._output.live and self.shown is not None
        self._output.open(self._table if self._live else None)
        with self._closing():
            yield

    @contextmanager
    def _closing(self) -> Iterator[None]:
        """Give the terminal back when the work ends; after Ctrl-C a terminal that is not read is not waited for."""
        seconds: float | None = None
        try:
            yield
        except KeyboardInterrupt:
            seconds = PATIENCE
            raise
        finally:
            self._output.close(seconds)
            self._live = False

    def _table(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
        for name in ("stack", "status", "resources", "time", "reason"):
            table.add_column(name, overflow="fold", no_wrap=name != "reason")
        # Drawn by the thread that changes the rows.
        rows = list(self._rows.items())
        if self._total:
            over = Counter(row.status for _, row in rows if row.until is not None)
            told = [f"{count} {word}" for word, count in over.items()]
            table.caption = ", ".join([*told, f"{self._total - over.total()} to go"])
            table.caption_justify = "left"
            rows = [(name, row) for name, row in rows if row.until is None or row.reason]
        for name, row in rows:
            color = row.color or show.status_color(row.status)
            now = self._session.clock.now() if row.until is None else row.until
            table.add_row(
                Text(show.clean(name)),
                Text(show.clean(row.status or "waiting for AWS"), style=color),
                f"{row.finished} done" if row.finished else "",
                show.duration(now - row.since),
                Text(show.clean(row.reason), style="red"),
            )
        return table

    def conclude(self, ends: Sequence[Ended]) -> None:
        """Raise what failed, as `require_success` does; of several failures each one's cause is told before."""
        failures = [end for end in ends if isinstance(end.error, DeployFailed)]
        if len([end for end in ends if end.error is not None]) > 1:
            for end in failures:
                if isinstance(end.error, DeployFailed):
                    self._output.say("", *show.diagnosis(end.error.diagnosis))
        require_success(ends)

    def result(self, status: str, ends: Sequence[Ended] = (), *, changed: bool, begun: Collection[str] = ()) -> None:
        """Write the record that ends the command. `begun` are the stacks whose deletion was not waited for."""
        stacks = {end.name: "deleting" if end.name in begun else end.end.value for end in ends}
        self._output.record(records.result(status, stacks=stacks, changed=changed))


class _StackView:
    """The events of one stack among those of many."""

    def __init__(self, many: MultiStackReporter, stack_name: str) -> None:
        self._many = many
        self._stack_name = stack_name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def event(self, event: Event) -> None:
        """Show one event."""
        self._many.event(self._stack_name, event)

    def tick(self, now: float) -> None:
        """Let time pass."""
        self._many.tick(now)

    def note(self, message: str) -> None:
        """Say something that is not an event."""
        self._many.say(self._stack_name, message)


def _own_name(name: str) -> str:
    """Return the name that a stack has on AWS: that of a fleet's stack begins with where it is."""
    return name.rpartition("/")[2]


def _checking(output: Output, total: int) -> str:
    return f"checking {counted(total)} {'…' if output.unicode else '...'}"


def connections(session: Session) -> Connections:
    """Return what gives each scope its account: by its own profile, or the one of this run."""
    from exasol_ci_setup.resolve import Connections
    from exasol_ci_setup.resolve.connections import from_configuration

    opened: Once[None, Account] = Once()

    def base(scope: Scope) -> Account:
        if scope.profile is not None and not session.sandbox:
            return from_configuration(scope)
        # Each scope says in which region it is; without any other word this one will do to open a session.
        session.region = session.region or scope.region
        return opened.get(None, lambda: session.account)

    return Connections(session.clock, base)


def ask(output: Output, question: str, declined: str) -> None:
    """Ask for confirmation. Raises NotApprovedError with the message `declined`, and InputError without a terminal."""
    require_terminal(output)
    if not output.confirm(question):
        raise NotApprovedError(declined)


def counted(count: int) -> str:
    """Return how many stacks in words."""
    return f"{count} stack{'' if count == 1 else 's'}"
