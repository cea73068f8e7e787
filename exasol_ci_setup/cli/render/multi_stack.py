"""The view of many stacks: one confirmation for all; a table in a terminal, or lines with the stack's name."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.cli.consent import Consent, require_no_more_than, require_terminal
from exasol_ci_setup.cli.interruption import FLUSH_SECONDS
from exasol_ci_setup.cli.render import equal_plans, fitting, records, report, show
from exasol_ci_setup.core import text
from exasol_ci_setup.core.clock import HEARTBEAT_SECONDS
from exasol_ci_setup.core.errors import DeployFailedError, NotApprovedError, OperationInterruptedError
from exasol_ci_setup.core.errors.details import Diagnosis, Finding
from exasol_ci_setup.core.once import Once
from exasol_ci_setup.core.reporter import NullReporter
from exasol_ci_setup.core.stacks import Event, Plan
from exasol_ci_setup.core.task_graph import End, Ended
from exasol_ci_setup.core.text import duration
from exasol_ci_setup.programs import Connections
from exasol_ci_setup.programs.connections import from_configuration
from exasol_ci_setup.programs.resolve import require_success

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from rich.console import Group
    from rich.text import Text

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.cli.output import Output
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.cli.terminal import Terminal
    from exasol_ci_setup.constructs.scope import Scope
    from exasol_ci_setup.core.reporter import Reporter

_COLUMNS: Final = 4  # of the table
_RESULTS: Final = {
    End.DONE: ("done", "green"),
    End.UNCHANGED: ("no changes", "green"),
    End.FAILED: ("failed", "red"),
    End.SKIPPED: ("skipped", "yellow"),
}


@dataclass(slots=True)
class _Row:
    """State of a stack, from its events so far."""

    status: str
    since: float
    until: float | None = None
    finished: int = 0
    reason: str = ""
    color: str = ""


class MultiStackReporter(NullReporter):
    """Approves plans and reports on stacks, called from several threads.

    One thread owns the rows and the terminal while `checking` or `table` is open. Other threads send it calls through
    `Output.send`. No lock is held while output is written.

    `shown` are the plans that the user approved. If it is None, each plan is shown when it is created, and `--yes` approves it.
    With `total`, for more stacks than a screen has lines, the table shows only running and failed stacks, and counts the others.
    """

    def __init__(
        self,
        session: Session,
        *,
        consent: Consent | None = None,
        shown: Mapping[str, Plan] | None = None,
        total: int = 0,
    ) -> None:
        self.shown = shown
        self._session = session
        self._output = session.output
        self._consent = consent or Consent(session)
        self._total = total
        self._rows: dict[str, _Row] = {}
        self._last_line = session.clock.now()
        self._live = False
        self._terminal: Terminal | None = None
        # The first stack with each plan that was shown.
        self._firsts: dict[str, str] = {}
        self._checked = self._total_checked = 0
        # The stacks with each message, while stacks are checked.
        self._collected: dict[str, list[str]] | None = None

    def of(self, name: str, /) -> _OneStackReporter:
        """Return the reporter of one stack."""
        return _OneStackReporter(self, name)

    def confirm(self, _plan: object, /) -> bool:
        """Reject the plan: only the reporter of one stack confirms plans."""
        return False

    def confirm_stack(self, name: str, plan: Plan) -> None:
        """Show the plan of a stack, or compare it with the approved one. Raises NotApprovedError."""
        if self.shown is not None:
            require_no_more_than(self.shown.get(name), plan)
            return
        self._output.send(partial(self._show_plan, name, plan))
        self._consent.require(plan, unchanged="this stack was not changed")

    def _show_plan(self, name: str, plan: Plan) -> None:
        """Show the plan, or which earlier plan it is equal to."""
        first = self._firsts.setdefault(equal_plans.without_names(plan), name)
        report.plan(
            self._output,
            plan,
            as_data=False,
            name=name,
            heading=self.heading(name),
            same_as=first if first != name else "",
        )
        self._note_line()

    def expect(self, names: Collection[str]) -> None:
        """Count these stacks as the next ones, besides those that have a row. Call it while the table is not open."""
        if self._total:
            self._total = len(self._rows.keys() | set(names))

    def begin(self, stack_name: str, title: str) -> None:
        """Show that an operation on a stack starts."""
        words = title.replace(f" {_own_name(stack_name)}", "")
        self._output.send(partial(self._begin, stack_name, words, self._session.clock.now()))

    def _begin(self, stack_name: str, words: str, now: float) -> None:
        self._rows.setdefault(stack_name, _Row("", now))
        # The table has a row for it. While stacks are checked, no table is shown.
        if not self._live or self._collected is not None:
            self._print(stack_name, words)

    def event(self, event: object, /) -> None:
        """Show a finding of the linter."""
        if isinstance(event, Finding):
            report.finding(self._output, event, event.template)

    def result(self, result: object, /) -> None:
        """Report how the work on a stack ended."""
        if isinstance(result, Ended):
            self._output.send(partial(self._ended, result, self._session.clock.now()))

    def _ended(self, ended: Ended, now: float) -> None:
        result, color = _RESULTS[ended.end]
        row = self._rows.setdefault(ended.name, _Row(result, now))
        row.status, row.color, row.until = result, color, now
        message = f"skipped, because {', '.join(ended.because)} failed" if ended.because else result
        if ended.error is not None:
            message = f"{result}: {ended.error.message}"
            row.reason = show.cause(ended.error)
        interrupted = isinstance(ended.error, OperationInterruptedError)
        if interrupted:
            row.status, row.reason = "interrupted", ""
        elif not self._live:
            # After Ctrl-C one line at the end covers all stacks.
            self._say(ended.name, message)
        self._output.record(ended, reason=row.reason if ended.error is not None else "")

    def say(self, stack_name: str, message: str) -> None:
        """Write a line that begins with a stack's name."""
        self._output.document.of(stack_name).note(message)
        self._output.send(partial(self._say, stack_name, message))

    def _say(self, stack_name: str, message: str) -> None:
        if self._collected is not None:
            self._collected.setdefault(message, []).append(stack_name)
        else:
            self._print(stack_name, message)

    def _print(self, stack_name: str, message: str) -> None:
        self._output.say(*(f"{show.clean(stack_name)}: {show.clean(line)}" for line in message.split("\n")))
        self._note_line()

    def _note_line(self) -> None:
        self._last_line = self._session.clock.now()

    def show_event(self, stack_name: str, event: Event) -> None:
        """Show one event of a stack."""
        self._output.send(partial(self._event, stack_name, event))

    def _event(self, stack_name: str, event: Event) -> None:
        row = self._rows.setdefault(stack_name, _Row("", self._session.clock.now()))
        if event.is_stack:
            # Events of nested stacks do not set the status of this stack.
            if event.stack_name == _own_name(stack_name):
                row.status = event.status
        elif event.status.endswith("_COMPLETE"):
            row.finished += 1
        elif not row.reason:
            row.reason = event.failure
        self._output.record(event, name=stack_name)
        if self._output.format == "text" and not self._live:
            self._output.say(f"{show.clean(stack_name)}: {show.event(event, root=_own_name(stack_name))}")
        elif warning := show.hook_warning(event):
            self._output.say(f"{show.clean(stack_name)}: {warning}")
            self._note_line()

    def progress(self, _done: int = 0, _total: int | None = None, /) -> None:
        """Print what is in progress if nothing was printed for almost 30 s."""
        self._output.send(partial(self._tick, self._session.clock.now()))

    def _tick(self, now: float) -> None:
        if not self._live and now - self._last_line > HEARTBEAT_SECONDS:
            running = [name for name, row in self._rows.items() if row.until is None]
            self._output.say(f"still in progress: {', '.join(map(show.clean, running))}")
            self._last_line = now

    def announce(self, total: int) -> None:
        """Print in a terminal that stacks are checked: the first answers of AWS take a while."""
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
        self._collected = {}
        with self._closing():
            yield

    def _print_collected(self) -> None:
        """Print the messages of the stacks that were checked, each once with its stacks."""
        found, self._collected = self._collected or {}, None
        for message, names in found.items():
            self._say(text.listed(sorted(names), "stack"), message)

    def checked(self, _ended: Ended, /) -> None:
        """Count a stack that is checked."""
        self._output.send(self._count)

    def _count(self) -> None:
        self._checked += 1
        if not self._live and self._session.clock.now() - self._last_line > HEARTBEAT_SECONDS:
            self._output.say(self._counter())
            self._note_line()

    def _counter(self) -> str:
        return f"checked {self._checked} of {counted(self._total_checked)}"

    @contextmanager
    def table(self) -> Iterator[None]:
        """Show the stacks as a table on stderr while this is open, if that is a terminal."""
        self._live = self._output.format == "text" and self._output.live
        self._terminal = self._output.open(self._table if self._live else None)
        with self._closing():
            yield

    @contextmanager
    def _closing(self) -> Iterator[None]:
        """Release the terminal at the end. After Ctrl-C, do not wait for a terminal that blocks."""
        seconds: float | None = None
        try:
            yield
        except KeyboardInterrupt:
            seconds = FLUSH_SECONDS
            raise
        finally:
            if seconds is None:
                self._output.send(self._print_collected)
            self._output.close(seconds)
            self._collected = None
            self._live = False

    def _table(self) -> Group:
        from rich.console import Group
        from rich.text import Text

        # No copy is needed: the same thread draws and changes the rows.
        rows = list(self._rows.items())
        below = []
        if self._total:
            finished = Counter(row.status for _, row in rows if row.until is not None)
            counts = ", ".join(f"{count} {status}" for status, count in finished.items())
            below = [f"{finished.total()} of {counted(self._total)} ended{counts and ': '}{counts}"]
            rows = [(name, row) for name, row in rows if row.until is None or row.reason]
        cells = [self._cells(name, row) for name, row in rows]
        table = fitting.table(
            cells or [(Text(),) * _COLUMNS],
            [(show.clean(name), show.clean(row.reason)) for name, row in rows],
            width=self._terminal.width if self._terminal is not None else None,
            optional=2,
            right=3,
        )
        return Group(*([table] if cells else []), *(Text(line, style="dim") for line in below))

    def _cells(self, name: str, row: _Row) -> tuple[Text, ...]:
        from rich.text import Text

        now = self._session.clock.now() if row.until is None else row.until
        return (
            Text(show.clean(name)),
            Text(show.clean(row.status or "waiting for AWS"), style=row.color or show.status_color(row.status)),
            Text(f"{row.finished} done" if row.finished else ""),
            Text(duration(now - row.since)),
        )

    def conclude(self, ends: Sequence[Ended]) -> None:
        """Raise the failure, as `require_success` does. Prints the cause of each one if several stacks failed."""
        failures = [end for end in ends if isinstance(end.error, DeployFailedError)]
        if len([end for end in ends if end.error is not None]) > 1:
            for alike in _alike(failures):
                self._output.say("", *show.diagnosis(alike[0]))
                if others := [each.stack_name for each in alike[1:]]:
                    self._output.say(f"  the same in    {show.clean(text.listed(others, 'stack'))}")
        require_success(ends)

    def show_plans(self, *, as_data: bool) -> None:
        """Show the plans with changes, on stdout if `as_data`, each with its heading."""
        output = self._output
        for name, plan in (self.shown or {}).items():
            if not plan:
                output.document.of(name).plan(plan)
        changed = {name: plan for name, plan in (self.shown or {}).items() if plan}
        write = output.data if as_data else output.say
        for number, (name, *others) in enumerate(equal_plans.groups(changed, {})):
            heading, plan = self.heading(name), changed[name]
            if output.format == "text" and (number or heading):
                write("\n" * bool(number and heading) + heading)
            report.plan(output, plan, as_data=as_data, name=name if heading else "")
            if not as_data and output.format == "json":
                # The record on stdout is for a program; the user needs the plan as text.
                output.say(*show.plan(plan, unicode=output.unicode))
            for other in others:
                output.record(changed[other], name=other if heading else "")
            if others:
                write(f"\n{show.clean(text.listed(others, 'stack'))}: the same plan as {show.clean(name)}")

    def localized(self, _name: str, text: str, *, region: str) -> str:
        """Return `text` whose commands have the options for a stack in `region`."""
        return self._session.at(region).with_global_options(text)

    def heading(self, _name: str) -> str:
        """Return the line above the plan of a stack; empty for none."""
        return ""

    def write_result(
        self,
        status: str,
        ends: Sequence[Ended] = (),
        *,
        changed: bool,
        begun: Collection[str] = (),
        stacks: Mapping[str, str] | None = None,
    ) -> None:
        """Write the record that ends the command. `begun` are stacks whose deletion continues on AWS."""
        by_name = {end.name: "deleting" if end.name in begun else end.end.value for end in ends}
        self._output.record(records.result(status, stacks=by_name if stacks is None else stacks, changed=changed))


class _OneStackReporter(NullReporter):
    """The reporter of one stack of many."""

    def __init__(self, reporter: MultiStackReporter, stack_name: str) -> None:
        self._reporter = reporter
        self._stack_name = stack_name

    def note(self, message: str, /) -> None:
        """Print a message that is not an event."""
        self._reporter.say(self._stack_name, message)

    def confirm(self, plan: object, /) -> bool:
        """Show the plan, or compare it with the approved one. Raises NotApprovedError."""
        assert isinstance(plan, Plan)  # noqa: S101 - for the type checker
        self._reporter.confirm_stack(self._stack_name, plan)
        return True

    def event(self, event: object, /) -> None:
        """Show one event."""
        if isinstance(event, Event):
            self._reporter.show_event(self._stack_name, event)
        else:
            self._reporter.event(event)

    def progress(self, _done: int = 0, _total: int | None = None, /) -> None:
        """Print a heartbeat line if it is due."""
        self._reporter.progress()

    def operation(self, _name: str, title: str, /) -> AbstractContextManager[Reporter]:
        """Show that an operation starts, and return this reporter."""
        self._reporter.begin(self._stack_name, title)
        return nullcontext(self)


def _own_name(name: str) -> str:
    """Return the name of a stack on AWS, without the target of a fleet."""
    return name.rpartition("/")[2]


def _checking(output: Output, total: int) -> str:
    return f"checking {counted(total)} {'…' if output.unicode else '...'}"


def connections(session: Session) -> Connections:
    """Return the connections of this run: by the profile of a scope, or by that of the run."""
    account_of_run: Once[None, Account] = Once()

    def base(scope: Scope) -> Account:
        if scope.profile is not None and not session.sandbox:
            return from_configuration(scope)
        # Each scope sets its own region later, so any region works to open the session.
        session.region = session.region or scope.region
        return account_of_run.get(None, lambda: session.account)

    return Connections(session.clock, base)


def _alike(failures: Sequence[Ended]) -> list[list[Diagnosis]]:
    """Return the diagnoses of failures in groups of those that differ only in the names of their stacks and resources."""
    groups: dict[tuple[str, ...], list[Diagnosis]] = {}
    for end in failures:
        if isinstance(end.error, DeployFailedError):
            found = end.error.diagnosis
            cause = found.cause.replace(found.physical_id or "\0", "").replace(found.stack_name, "")
            groups.setdefault((found.logical_id, found.type, cause, *found.details), []).append(found)
    return list(groups.values())


def show_table(output: Output, plans: Mapping[str, Plan]) -> None:
    """Print the plans of several stacks as a table, one in a line, before a question."""
    if len(plans) > 1:
        rows = [(name, show.plan_word(plan), show.summary(plan, with_zeros=False)) for name, plan in plans.items()]
        output.say("", *show.table(("STACK", "PLAN", "CHANGES"), rows, width=output.width), "")


def ask(output: Output, question: str, declined: str) -> None:
    """Ask for confirmation. Raises NotApprovedError with the message `declined`, and InputError without a terminal."""
    require_terminal(output)
    if not output.confirm(question):
        raise NotApprovedError(declined)


def counted(count: int) -> str:
    """Return the number of stacks as text."""
    return text.counted(count, "stack")
