"""`import`: import existing resources by their identifiers into the stack of a construct."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import click

from exasol_ci_setup.cli.constructs import NAMES, STACKS, construct_of, construct_options  # noqa: TID253 - the options are those of the models
from exasol_ci_setup.cli.options import ROLE, YES
from exasol_ci_setup.cli.session import markdown_options, together
from exasol_ci_setup.cli.spelling import option_of
from exasol_ci_setup.cli.templates import DESCRIPTION, TEMPLATE, template_of, template_options
from exasol_ci_setup.cli.templates import request_of as request_of_template
from exasol_ci_setup.cli.verbs import VerbGroup

if TYPE_CHECKING:
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.constructs.base import Construct
    from exasol_ci_setup.stacks.request import Request


@click.group("import", cls=VerbGroup)
def import_() -> None:
    """Import existing resources into a stack.

    An import does not change the resources, except that those of a new stack get its tags. Deploy afterwards to create the rest of
    the stack. If the template has the names of all existing resources, `deploy-… --import-existing` does both in one step.
    """


def _pairs(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    resources: dict[str, str] = {}
    for value in values:
        name, equals, identifier = value.partition("=")
        if not (name and equals and identifier):
            raise click.BadParameter(f"{value!r} has no identifier: write LOGICAL_ID=IDENTIFIER")
        if name in resources:
            raise click.BadParameter(f"duplicate key {name!a}")
        resources[name] = identifier
    return resources


def _import_construct(session: Session, construct: Construct, **options: Any) -> None:
    from exasol_ci_setup.stacks.request import request_of, resolve_secrets

    account = session.account
    command = f"deploy-{NAMES[type(construct)]}"
    construct = resolve_secrets(construct, account, spelled=option_of)
    _import(session, request_of(account, construct), command, **options)


def _import(
    session: Session,
    request: Request,
    command: str,
    *,
    resources: dict[str, str],
    yes: bool,
    plan_only: bool,
    adopt: bool,
    role_arn: str | None,
) -> None:
    """Import the resources. `command` deploys the rest of the stack."""
    from exasol_ci_setup.cli.consent import Consent
    from exasol_ci_setup.cli.deployment import compare_imported
    from exasol_ci_setup.cli.render import report
    from exasol_ci_setup.cli.render.reporter import DeployReporter
    from exasol_ci_setup.core.stacks import Options, Outcome
    from exasol_ci_setup.stacks import state
    from exasol_ci_setup.stacks.import_operation import import_resources

    output = session.output
    request = replace(request, role_arn=role_arn or "")
    context = session.context(DeployReporter(Consent(session), yes=yes), plan_only=plan_only)
    result = import_resources(context, request, resources, Options(adopt=adopt))
    report.outcome(output, result, deployed=f"imported into stack {request.name}: {', '.join(resources)}")
    if result.outcome is Outcome.DEPLOYED and result.stack is not None:
        compare_imported(session, result.stack, result.plan)
        adoption = "" if state.is_own(result.stack) else " --adopt"
        output.say(f"`exasol-ci-setup {command}{adoption}` with the same options creates the missing resources")
    report.result(
        output,
        "imported" if result.outcome is Outcome.DEPLOYED else result.outcome.value,
        request.name,
        changed=result.outcome is Outcome.DEPLOYED,
    )


_options: Final = together(
    click.option(
        "--resource",
        "resources",
        multiple=True,
        required=True,
        callback=_pairs,
        metavar="LOGICAL_ID=IDENTIFIER",
        help="Logical ID in the template, and identifier (name, ID or ARN) of the existing resource; separate several values "
        "with |. May be repeated.",
    ),
    YES,
    click.option("--plan", "plan_only", is_flag=True, help="Show what would be imported; change nothing."),
    click.option("--adopt", is_flag=True, help="Import into a stack that this tool did not create."),
    click.option("--role-arn", type=ROLE, metavar="ARN", help="Role that CloudFormation uses."),
)


@import_.command(TEMPLATE, help=f"Import resources of {DESCRIPTION}.")
@_options
@template_options
@markdown_options
def _template(session: Session, **values: Any) -> None:
    stack, options = template_of(values)
    request, _ = request_of_template(session, stack)
    _import(session, request, f"deploy-template {shlex.quote(values['file'])}", **options)


def _command(kind: type[Construct], description: str) -> None:
    @import_.command(NAMES[kind], help=f"Import resources of {description}.")
    @_options
    @construct_options(kind)
    @markdown_options
    def command(session: Session, **values: Any) -> None:
        construct, options = construct_of(kind, values)
        _import_construct(session, construct, **options)


for _kind, _description in STACKS.items():
    _command(_kind, _description)
