"""Shared code of the platform's command groups: context, reporter, prompts, tables and records.

Each group is a module, such as `cli/commands/space.py`, with one `click.Group` of the same name and a row in `cli.main.COMMANDS`.
All commands have `common_options`. Commands that create or update stacks have `change_options`. Calling such a command approves the change;
it prompts only for a first load balancer, broader access or data loss. `delete` has `deletion_options`, and prompts with `require_yes`.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click

from exasol_ci_setup.cli.options import ALLOW_DATA_LOSS, PLAN, YES
from exasol_ci_setup.cli.session import Session, together
from exasol_ci_setup.cli.spelling import typed_name
from exasol_ci_setup.core.errors import NotApprovedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from exasol_ci_setup.aws.context import Context

change_options: Final = together(
    PLAN,
    click.option(
        "--yes", "-y", is_flag=True, help="Do not prompt for a first load balancer, broader access or data loss."
    ),
    ALLOW_DATA_LOSS,
)
"""The options of commands that change stacks, as `plan_only`, `yes` and `allow_data_loss`."""

deletion_options: Final = together(PLAN, YES)
"""The options of commands that delete, as `plan_only` and `yes`."""


def _without_effect(ctx: click.Context, param: click.Parameter, value: object) -> None:
    """Print a remark once for options that have no effect."""
    if value in (None, False) or ctx.meta.get(_without_effect.__name__):
        return
    ctx.meta[_without_effect.__name__] = True
    name = typed_name(param, ctx.ensure_object(Session).arguments)
    click.echo(f"{name} has no effect: lists are complete, and a terminal gets tables", err=True)


def _published(*names: str, **more: Any) -> Callable[[Any], Any]:
    return click.option(
        *names,
        help="Without effect: lists are complete, and a terminal gets tables.",
        hidden=True,
        expose_value=False,
        callback=_without_effect,
        **more,
    )


published_preview: Final = _published("--rich-preview", "-rp", is_flag=True)
"""The option of naas-python for tables, which has no effect."""

published_options: Final = together(
    published_preview, _published("--page-size", type=int), _published("--page-number", type=int)
)
"""The options of naas-python for the display of lists, which have no effect."""


@contextmanager
def acting(
    session: Session,
    *,
    plan_only: bool = False,
    yes: bool = False,
    allow_data_loss: bool = False,
    allow_broadening: bool = False,
) -> Iterator[Context]:
    """Yield the context for platform functions, which reports plans and events as deployments do.

    With `plan_only`, the context ends successfully at the first stack that would change; until then nothing changes on AWS.
    Otherwise a plan that creates a load balancer, broadens access or deletes data needs confirmation: in a terminal, unless `yes` is set.
    `allow_broadening` approves broader access, `allow_data_loss` approves data loss without a terminal.
    """
    from exasol_ci_setup.cli.consent import Consent
    from exasol_ci_setup.cli.render import records, report
    from exasol_ci_setup.cli.render.platform_reporter import PlatformReporter
    from exasol_ci_setup.template.lint import Linter

    # Without a terminal, calling the command approves broader access.
    consent = Consent(
        session, allow_broadening=allow_broadening or not session.output.can_ask, allow_data_loss=allow_data_loss
    )
    try:
        yield session.context(PlatformReporter(consent, yes=yes), Linter(), plan_only=plan_only)
    except NotApprovedError:
        if not plan_only:
            raise
        session.output.say(report.PLAN_ONLY)
        session.output.record(records.result("planned", changed=False))


def has_changed(context: Context) -> bool:
    """Return whether a stack was changed in the context of `acting`."""
    from exasol_ci_setup.cli.render.platform_reporter import PlatformReporter

    return isinstance(context.reporter, PlatformReporter) and context.reporter.has_changed


def require_yes(session: Session, question: str, *, yes: bool) -> None:
    """Ask for confirmation unless `yes` is set. Raises NotApprovedError for a no, and InputError without a terminal."""
    from exasol_ci_setup.cli.consent import require_terminal

    if yes:
        return
    require_terminal(session.output, hint="add --yes")
    if not session.output.confirm(question):
        raise NotApprovedError("not deleted: nothing was changed")


def planned_deletion(context: Context, session: Session, *stack_names: str, empty: bool = False) -> None:
    """Show the plans that delete stacks; delete nothing."""
    from exasol_ci_setup.cli.render import report
    from exasol_ci_setup.stacks import removed, state
    from exasol_ci_setup.stacks.resources import of_id

    for stack_name in stack_names:
        stack = state.get(context.cfn, stack_name)
        resources = of_id(context.cfn, stack.id)
        removal = removed.plan_of(context.cfn, stack, resources)
        report.deletion(session.output, resources, removal, empty=empty, as_data=True)
    session.output.say(report.DELETION_PLAN_ONLY)
    done(session, "planned", changed=False)


def listing(session: Session, header: Sequence[str], rows: Iterable[Sequence[str]], *, none: str) -> None:
    """Print a table; without rows print `none` to stderr."""
    from exasol_ci_setup.cli.render import show

    cells = list(rows)
    if cells:
        session.output.data("\n".join(show.table(header, cells, width=session.output.data_width)))
    else:
        session.output.say(none)


def show_releases(session: Session, releases: Sequence[Any], *, none: str) -> None:
    """Print the releases of a space or an app, the newest first, with their records; without releases print `none` to stderr."""
    from exasol_ci_setup.cli.render import show

    rows = (
        (
            f"{each.number}{' (current)' if each.is_current else ''}",
            show.moment(each.at),
            each.image,
            ", ".join(each.changes),
        )
        for each in releases
    )
    listing(session, ("RELEASE", "TIME", "IMAGE", "CHANGES"), rows, none=none)
    for each in releases:
        session.output.record(each)
    done(session, "listed", changed=False, releases=len(releases))


def details(session: Session, values: Mapping[str, str]) -> None:
    """Print names and values, without the empty ones."""
    from exasol_ci_setup.cli.render import show

    session.output.data("\n".join(show.pairs({name: value for name, value in values.items() if value})))


def done(session: Session, status: str, *, changed: bool, **more: object) -> None:
    """Write the record that ends a command."""
    from exasol_ci_setup.cli.render import records

    session.output.record(records.result(status, changed=changed, **more))
