"""`import`: resources that are there already, taken over into a construct's stack by their identifiers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from exasol_ci_setup.cli.constructs import NAMES, STACKS, construct_of, construct_options, resolve_secrets
from exasol_ci_setup.cli.options import ROLE
from exasol_ci_setup.cli.session import common_options

if TYPE_CHECKING:
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.constructs.base import Construct


@click.group("import")
def import_() -> None:
    """Import existing resources into a stack.

    AWS imports them as they are and changes nothing. A deployment afterwards makes the rest of the stack; where all that is there has a name
    of the template's, `deploy-… --import-existing` does both at once.
    """


def _pairs(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for value in values:
        name, equals, identifier = value.partition("=")
        if not (name and equals and identifier):
            raise click.BadParameter(f"{value!r} has no identifier: write LOGICAL_ID=IDENTIFIER")
        if name in found:
            raise click.BadParameter(f"{name} stands twice")
        found[name] = identifier
    return found


def _import(
    session: Session,
    construct: Construct,
    *,
    resources: dict[str, str],
    yes: bool,
    plan_only: bool,
    adopt: bool,
    role_arn: str | None,
) -> None:
    from exasol_ci_setup import network, templates
    from exasol_ci_setup.cli import report
    from exasol_ci_setup.cli.consent import Consent
    from exasol_ci_setup.cli.engine import Approval, compare_imported, event_view
    from exasol_ci_setup.stacks.deploy import Outcome
    from exasol_ci_setup.stacks.import_operation import import_resources
    from exasol_ci_setup.stacks.model import Request

    output = session.output
    account = session.account
    command = f"deploy-{NAMES[type(construct)]}"
    construct = resolve_secrets(construct, account)
    request = Request(
        name=construct.stack_name,
        template=templates.render(construct),
        parameters=network.parameters(account, construct),
        tags=construct.tags,
        role_arn=role_arn or "",
    )
    result = import_resources(
        account,
        request,
        resources,
        approve=Approval(Consent(session), yes=yes, plan_only=plan_only),
        view=lambda title: event_view(session, request.name, title),
        clock=session.clock,
        adopt=adopt,
        notice=output.say,
    )
    if result.outcome is Outcome.PLANNED:
        output.say("plan only: nothing was changed")
    elif result.stack is not None:
        output.say(f"imported into stack {request.name}: {', '.join(resources)}")
        compare_imported(session, result.stack, result.plan)
        # AWS takes no tags in an import, so a stack that began with one carries none of this tool's.
        more = "" if result.stack.tags else " --adopt"
        output.say(f"`exasol-ci-setup {command}{more}` with the same options makes what is missing")
    report.result(
        output,
        "imported" if result.outcome is Outcome.DEPLOYED else result.outcome.value,
        request.name,
        changed=result.outcome is Outcome.DEPLOYED,
    )


def _command(kind: type[Construct], what: str) -> None:
    @import_.command(NAMES[kind], help=f"Import resources of {what}.")
    @common_options
    @click.option(
        "--resource",
        "resources",
        multiple=True,
        required=True,
        callback=_pairs,
        metavar="LOGICAL_ID=IDENTIFIER",
        help="Resource of the template, and what AWS knows the one that is there by: its name, its id or its ARN, as its type has it; "
        "several values with | between them. May be repeated.",
    )
    @click.option("--yes", "-y", is_flag=True, help="Do not ask before the import.")
    @click.option("--plan", "plan_only", is_flag=True, help="Show what would be imported, and change nothing.")
    @click.option("--adopt", is_flag=True, help="Import into a stack that this tool did not create.")
    @click.option("--role-arn", type=ROLE, metavar="ARN", help="Role that CloudFormation acts in.")
    @construct_options(kind)
    def command(session: Session, **values: Any) -> None:
        construct, own = construct_of(kind, values)
        _import(session, construct, **own)


for _kind, _what in STACKS.items():
    _command(_kind, _what)
