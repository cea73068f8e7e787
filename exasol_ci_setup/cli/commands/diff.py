"""`diff`: compare a rendered template with the deployed one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from exasol_ci_setup.cli.constructs import NAMES, STACKS, construct_of, construct_options  # noqa: TID253 - the options are those of the models
from exasol_ci_setup.cli.session import markdown_options
from exasol_ci_setup.cli.spelling import option_of
from exasol_ci_setup.cli.templates import DESCRIPTION, TEMPLATE, template_of, template_options
from exasol_ci_setup.cli.verbs import VerbGroup
from exasol_ci_setup.core.errors import DifferencesFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.constructs.base import Construct
    from exasol_ci_setup.stacks.request import Request

F = TypeVar("F", bound="Callable[..., Any]")

_exit_code_option = click.option("--exit-code", is_flag=True, help="Exit with 5 if there are differences.")


@click.group("diff", cls=VerbGroup)
def diff() -> None:
    """Compare a template with the deployed one.

    The output is a unified diff. Nothing is changed, and no change set is created.
    """


def _diff(session: Session, kind: type[Construct], values: dict[str, Any]) -> None:
    from exasol_ci_setup.stacks.request import Request, resolve_secrets
    from exasol_ci_setup.template.render import render

    construct, options = construct_of(kind, values)
    template = render(resolve_secrets(construct, session.account, spelled=option_of))
    _show(session, Request(construct.stack_name, template), exit_code=options["exit_code"])


def _show(session: Session, request: Request, *, exit_code: bool) -> None:
    """Print the difference. Raises DifferencesFoundError if there is one and `exit_code` is set."""
    from exasol_ci_setup.cli.render import report
    from exasol_ci_setup.stacks.compare import diff as compare

    name = request.name
    lines = compare(session.context(), request)
    report.diff(session.output, name, lines)
    if not lines:
        session.output.say(f"stack {name} has this template: no differences")
    report.result(session.output, "different" if lines else "same", name, changed=False)
    if lines and exit_code:
        raise DifferencesFoundError(f"the template of stack {name} differs from the deployed one")


@diff.command(TEMPLATE, help=f"Compare {DESCRIPTION}.")
@_exit_code_option
@click.option("--template-bucket", metavar="NAME", help="Bucket of local artifacts.  [default: that of this tool]")
@template_options
@markdown_options
def _template(session: Session, *, exit_code: bool, template_bucket: str | None, **values: Any) -> None:
    from exasol_ci_setup.stacks.user_template import build_request, known_choice

    stack, _ = template_of(values)
    request = build_request(stack, session.account, known_choice(stack), bucket=template_bucket)
    _show(session, request, exit_code=exit_code)


def _command(kind: type[Construct], description: str) -> None:
    @diff.command(NAMES[kind], help=f"Compare the template of {description}.")
    @_exit_code_option
    @construct_options(kind)
    @markdown_options
    def command(session: Session, **values: Any) -> None:
        _diff(session, kind, values)


for _kind, _description in STACKS.items():
    _command(_kind, _description)
