"""What the groups of the platform share: where their verbs act, how a stack's way is shown, questions, tables and records.

A group is a module of its own, such as `cli/space.py`, with one `click.Group` of the same name, and a row in `cli.main.COMMANDS`. Its
commands have `common_options`; those that create or update stacks do not ask, since the command is the approval, but take `plan_option`;
`delete` has `yes_option` and asks by `require_yes`.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from exasol_ci_setup.errors import Declined, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from exasol_ci_setup.cli.live import EventView
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.platform.place import Place
    from exasol_ci_setup.stacks.model import Plan
    from exasol_ci_setup.templates import Template

F = TypeVar("F", bound="Callable[..., Any]")

plan_option: Final = click.option(
    "--plan", "plan_only", is_flag=True, help="Show what would change, and change nothing."
)
yes_option: Final = click.option("--yes", "-y", is_flag=True, help="Do not ask.")


@contextmanager
def acting(session: Session, *, plan_only: bool = False) -> Iterator[Place]:
    """Yield the place that the session's options lead to, whose verbs show plans and events as deployments do.

    With `plan_only` the first stack that a verb would change ends the context, with success; a verb that is called there does
    nothing else on AWS before that.
    """
    from exasol_ci_setup.cli import records
    from exasol_ci_setup.platform.place import Place

    try:
        yield Place(session.account, session.clock, _Shown(session, plan_only=plan_only))
    except Declined:
        if not plan_only:
            raise
        session.output.say("this was only the plan: nothing was changed")
        session.output.record(records.result("planned", changed=False))


def has_changed(place: Place) -> bool:
    """Return whether a stack was changed on a place of `acting`."""
    return isinstance(place.report, _Shown) and place.report.changed


def require_yes(session: Session, question: str, *, yes: bool) -> None:
    """Ask unless `yes` was said before. Raises Declined for a no, and InputError if there is nobody to ask."""
    if yes:
        return
    if not session.output.can_ask:
        raise InputError("cannot ask whether to go on: there is no terminal", hint="--yes approves it")
    if not session.output.confirm(question):
        raise Declined("not deleted: nothing was changed")


def listing(session: Session, header: Sequence[str], rows: Iterable[Sequence[str]], *, none: str) -> None:
    """Print a table: with lines in a terminal, in aligned columns elsewhere; without rows say `none`, to stderr."""
    from exasol_ci_setup.cli import show

    cells = [[show.clean(cell) for cell in row] for row in rows]
    if not cells:
        session.output.say(none)
    elif session.output.on_terminal:
        session.output.data(_drawn(header, cells, unicode=session.output.unicode))
    else:
        session.output.data("\n".join(show.table(header, cells)))


def details(session: Session, values: Mapping[str, str]) -> None:
    """Print names and values of one thing; what is empty is left out."""
    from exasol_ci_setup.cli import show

    session.output.data("\n".join(show.pairs({name: value for name, value in values.items() if value})))


def done(session: Session, status: str, *, changed: bool, **more: object) -> None:
    """Write the record that ends a command."""
    from exasol_ci_setup.cli import records

    session.output.record(records.result(status, changed=changed, **more))


def _drawn(header: Sequence[str], rows: Sequence[Sequence[str]], *, unicode: bool) -> str:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*header, box=box.SIMPLE_HEAD if unicode else box.ASCII, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(cell, overflow="fold") for cell in row))
    console = Console(highlight=False)
    with console.capture() as captured:
        console.print(table)
    return captured.get().strip("\n")


class _Shown:
    """Shows what a verb does as the deploy commands do: the plan, events as they come, findings, and remarks on stderr."""

    def __init__(self, session: Session, *, plan_only: bool) -> None:
        self._session = session
        self._plan_only = plan_only
        self.changed = False

    def say(self, message: str, /) -> None:
        self._session.output.say(self._session.completed(message))

    def plan(self, plan: Plan, /) -> bool:
        from exasol_ci_setup.cli import report

        report.plan(self._session.output, plan, as_data=self._plan_only)
        self.changed = self.changed or not self._plan_only
        return not self._plan_only

    def view(self, stack_name: str, title: str, /) -> EventView:
        from exasol_ci_setup.cli.engine import event_view

        return event_view(self._session, stack_name, title)

    def check(self, template: Template, region: str, /) -> None:
        from exasol_ci_setup import lint
        from exasol_ci_setup.cli.engine import report_findings

        report_findings(self._session.output, template, lint.lint(template, region))


__all__ = ["acting", "details", "done", "has_changed", "listing", "plan_option", "require_yes", "yes_option"]
