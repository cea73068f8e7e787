"""The use case `deploy`: plan, confirmation, events and outputs of one stack."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from exasol_ci_setup.cli.render import report, show
from exasol_ci_setup.cli.render.reporter import DeployReporter
from exasol_ci_setup.cli.spelling import option_of
from exasol_ci_setup.cli.templates import request_of as request_of_template
from exasol_ci_setup.constructs.ci import CiBuild
from exasol_ci_setup.core.errors import StackError
from exasol_ci_setup.core.stacks import Outcome
from exasol_ci_setup.stacks import build_stacks, drift, state
from exasol_ci_setup.stacks.deploy import deploy
from exasol_ci_setup.stacks.request import request_of, resolve_secrets, with_settings
from exasol_ci_setup.template import lint
from exasol_ci_setup.template.render import render

if TYPE_CHECKING:
    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.cli.engine_flags import EngineFlags
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.constructs.base import Construct
    from exasol_ci_setup.core.stacks import Plan, Stack
    from exasol_ci_setup.stacks.request import Request
    from exasol_ci_setup.stacks.user_template import TemplateStack


def run_deploy(session: Session, construct: Construct, flags: EngineFlags) -> None:
    """Deploy `construct`; show its plan, events and outputs."""
    settings = flags.settings()
    linter = None if flags.no_lint else lint.Linter(in_background=True)
    account = session.account
    _announce(session, construct.stack_name)
    _require_only_stack(session, construct, plan_only=flags.plan_only)
    construct = resolve_secrets(construct, account, spelled=option_of)
    template = render(construct)
    if linter is not None:
        linter.start(template, account.region)
    _deploy(session, request_of(account, construct, settings, template=template), flags, linter)
    if isinstance(construct, CiBuild) and not construct.has_webhook_in_stack and not flags.plan_only:
        session.output.say(_webhook_note(construct, account))


def _webhook_note(construct: CiBuild, account: Account) -> str:
    """Return how to create the webhook of a project once, which CloudFormation cannot for GitHub Enterprise."""
    return (
        f"pushes start no build until {construct.codebuild_name} has a webhook, which CloudFormation cannot create for GitHub Enterprise: "
        f"run once `aws codebuild create-webhook --project-name {construct.codebuild_name} --build-type BUILD_BATCH"
        f" --filter-groups {shlex.quote(construct.webhook_groups)} --region {account.region}`"
    )


def run_deploy_template(session: Session, stack: TemplateStack, flags: EngineFlags) -> None:
    """Deploy the user's own template; show its plan, events and outputs."""
    settings = flags.settings()
    linter = None if flags.no_lint else lint.Linter(in_background=True)
    _announce(session, stack.name)
    request, _ = request_of_template(session, stack, bucket=flags.template_bucket)
    if linter is not None:
        linter.start(request.template, session.account.region)
    _deploy(session, with_settings(session.account, request, settings), flags, linter)


def _announce(session: Session, name: str) -> None:
    """Print in a terminal that a stack is planned: the first answers of AWS take a while."""
    if session.output.live:
        session.output.say(f"planning stack {show.clean(name)}")


def _deploy(session: Session, request: Request, flags: EngineFlags, linter: lint.Linter | None) -> None:
    output = session.output
    result = deploy(
        session.context(DeployReporter(flags.consent(session), yes=flags.yes), linter, plan_only=flags.plan_only),
        request,
        flags.options(),
    )
    deployed = f"stack {request.name} is deployed" + ("; its resources may not be ready yet" if flags.express else "")
    report.outcome(output, result, deployed=deployed)
    if result.stack is not None and result.outcome is not Outcome.PLANNED:
        report.outputs(output, result.stack)
    if result.stack is not None and result.outcome is Outcome.DEPLOYED:
        # Last, since the comparison may take minutes and does not change the result.
        compare_imported(session, result.stack, result.plan)
    report.result(output, result.outcome.value, request.name, changed=result.outcome is Outcome.DEPLOYED)


def _require_only_stack(session: Session, construct: Construct, *, plan_only: bool) -> None:
    """Warn if another stack builds the project. Raises StackError if no user can confirm a second stack."""
    other = build_stacks.other_of(session.account.client("cloudformation"), construct)
    if other is None:
        return
    own = state.is_own(other)
    message = build_stacks.message(other)
    options = ["--stack-name", other.name, *(() if own else ("--adopt",))]
    if name := build_stacks.kept_codebuild_name(other, construct):
        options += ["--codebuild-name", name]
    hint = (
        f"{'deploy' if own else 'adopt'} it with {session.again(*options)}; "
        f"for a second stack, which builds each push too: {session.again('--stack-name', construct.stack_name)}"
    )
    if not plan_only and not session.output.can_ask:
        raise StackError(message, hint=hint, stack_name=other.name)
    session.output.note(f"{message}: {session.with_global_options(hint)}")


def compare_imported(session: Session, stack: Stack, plan: Plan) -> None:
    """Print how imported resources differ from the template: an import does not change them."""
    names = {change.logical_id for change in plan.changes if change.action == "Import"}
    if not names:
        return
    output = session.output
    if state.is_busy(stack):
        output.say(f"imported resources were not compared: stack {stack.name} is busy again ({stack.status})")
        return
    difference = drift.look(session.context(), stack)
    if difference is None:
        return
    difference = replace(difference, resources=tuple(each for each in difference.resources if each.logical_id in names))
    if not difference:
        output.say(
            *map(show.clean, difference.notes),
            f"imported resources match the template, as far as AWS can compare: {', '.join(sorted(names))}",
        )
        return
    report.drift(output, difference, as_data=False)
    output.say(
        f"{', '.join(each.logical_id for each in difference.drifted)}: imported, but different from the template; "
        f"`exasol-ci-setup drift {stack.name} --revert` corrects it{'' if state.is_own(stack) else ' once the stack has been deployed'}"
    )
