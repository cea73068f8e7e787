"""The use case `deploy`: plan, confirmation, events and outputs of one stack."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from exasol_ci_setup.aws.session import ClientError, error_code, translate_aws_errors
from exasol_ci_setup.cli.consent import Consent, require_terminal, warning
from exasol_ci_setup.cli.constructs import resolve_secrets
from exasol_ci_setup.cli.render import report, show
from exasol_ci_setup.cli.render.live import EventView
from exasol_ci_setup.core.errors import InputError, NotApprovedError, StackError, TemplateRejectedError
from exasol_ci_setup.stacks import alarms, drift, elsewhere, network, state
from exasol_ci_setup.stacks.deploy import Options, Outcome, deploy
from exasol_ci_setup.stacks.model import Request
from exasol_ci_setup.stacks.settings import policy_of
from exasol_ci_setup.stacks.upload import template_source
from exasol_ci_setup.template import lint
from exasol_ci_setup.template.render import render

if TYPE_CHECKING:
    from typing import BinaryIO

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.cli.output import Output
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.constructs.base import Construct
    from exasol_ci_setup.core.errors.details import Finding
    from exasol_ci_setup.stacks.model import Plan, Stack
    from exasol_ci_setup.template.render import Template


def run_deploy(
    session: Session,
    construct: Construct,
    *,
    yes: bool,
    plan_only: bool,
    allow_broadening: bool,
    allow_data_loss: bool,
    tags: tuple[tuple[str, str], ...],
    role_arn: str | None,
    notification_arns: tuple[str, ...],
    termination_protection: bool | None,
    stack_policy: BinaryIO | None,
    rollback_alarms: tuple[str, ...],
    monitoring_minutes: int | None,
    timeout: float | None,
    on_failure: Any,
    adopt: bool,
    import_existing: bool,
    wait: bool,
    recreate_failed: bool,
    express: bool,
    force: bool,
    template_bucket: str | None,
    no_lint: bool,
) -> None:
    """Deploy `construct`; show its plan, events and outputs."""
    output = session.output
    if monitoring_minutes is not None and not rollback_alarms:
        raise InputError("--monitoring-minutes needs an alarm", hint="add --rollback-alarm")
    if express and on_failure != "rollback":
        raise InputError(
            f"--on-failure {on_failure} does not work with --express, which always rolls back", hint="omit one of them"
        )
    policy = None if stack_policy is None else policy_of(stack_policy.read(), name=stack_policy.name)
    linting = None if no_lint else lint.Background()
    account = session.account
    _require_only_stack(session, construct, plan_only=plan_only)
    construct = resolve_secrets(construct, account)
    template = render(construct)
    if linting is not None:
        linting.start(template, account.region)
    request = Request(
        name=construct.stack_name,
        template=template,
        parameters=network.parameters(account, construct),
        tags={**dict(tags), **construct.tags},
        role_arn=role_arn or "",
        notification_arns=notification_arns or None,
        termination_protection=termination_protection,
        stack_policy=policy,
        rollback_alarms=alarms.rollback_alarms(account, rollback_alarms) if rollback_alarms else None,
        monitoring_minutes=monitoring_minutes or 0,
        on_failure=on_failure,
        template_bucket=template_bucket,
        force=force,
        express=express,
    )

    consent = Consent(session, allow_broadening=allow_broadening, allow_data_loss=allow_data_loss)
    approval = Approval(consent, yes=yes, plan_only=plan_only)

    def check() -> None:
        if linting is not None:
            report_findings(output, template, linting.findings())

    result = deploy(
        account,
        request,
        approve=approval,
        approve_recreation=approval.of_recreation,
        view=lambda title: event_view(session, request.name, title),
        clock=session.clock,
        options=Options(
            adopt=adopt,
            wait=wait,
            recreate_failed=recreate_failed,
            import_existing=import_existing,
            timeout=timeout,
        ),
        check=check,
        notice=output.say,
    )
    if result.outcome is Outcome.PLANNED:
        output.say("plan only: nothing was changed")
    elif result.outcome is Outcome.UNCHANGED:
        output.say(f"stack {request.name} is up to date: nothing to do")
    else:
        output.say(f"stack {request.name} is deployed" + ("; its resources may not be ready yet" if express else ""))
    if result.stack is not None and result.outcome is not Outcome.PLANNED:
        report.outputs(output, result.stack)
    if result.stack is not None and result.outcome is Outcome.DEPLOYED:
        # Last, since the comparison may take minutes and does not change the result.
        compare_imported(session, result.stack, result.plan)
    report.result(output, result.outcome.value, request.name, changed=result.outcome is Outcome.DEPLOYED)


def _require_only_stack(session: Session, construct: Construct, *, plan_only: bool) -> None:
    """Warn if another stack builds the project. Raises StackError if no user can confirm a second stack."""
    other = elsewhere.find(session.account.client("cloudformation"), construct)
    if other is None:
        return
    own = state.is_own(other)
    message = f"stack {other.name}{'' if own else ', which was not created by this tool,'} builds the project already"
    options = ("--stack-name", other.name, *(() if own else ("--adopt",)))
    hint = (
        f"{'deploy' if own else 'adopt'} it with {session.again(*options)}; "
        f"for a second stack, which builds each push too: {session.again('--stack-name', construct.stack_name)}"
    )
    if not plan_only and not session.output.can_ask:
        raise StackError(message, hint=hint, stack_name=other.name)
    session.output.say(f"{message}: {session.with_global_options(hint)}")


def compare_imported(session: Session, stack: Stack, plan: Plan) -> None:
    """Print how imported resources differ from the template: an import does not change them."""
    names = {change.logical_id for change in plan.changes if change.action == "Import"}
    if not names:
        return
    output = session.output
    if state.is_busy(stack):
        output.say(f"imported resources were not compared: stack {stack.name} is busy again ({stack.status})")
        return
    difference = drift.look(session.account.client("cloudformation"), stack, session.clock, notice=output.say)
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


def event_view(session: Session, stack_name: str, title: str) -> EventView:
    """Print `title`, and return the view of the events of a stack."""
    session.output.say(title)
    return EventView(session.output, stack_name, clock=session.clock.now)


def validate(account: Account, template: Template, *, bucket: str | None = None) -> None:
    """Let CloudFormation validate the template. Raises TemplateRejectedError with its message."""
    cfn = account.client("cloudformation")
    with translate_aws_errors():
        try:
            cfn.validate_template(**template_source(account, template, bucket=bucket))
        except ClientError as error:
            if error_code(error) != "ValidationError":
                raise
            reason = error.response.get("Error", {}).get("Message", "")
            raise TemplateRejectedError(f"AWS rejected the template {template.name}: {reason}") from error


def report_findings(output: Output, template: Template, findings: list[Finding]) -> None:
    """Print findings of the linter. Raises TemplateRejectedError if one is an error."""
    for finding in findings:
        report.finding(output, finding, template)
    lint.reject_errors(template, findings)


def _question(plan: Plan) -> str:
    if plan.kind == "IMPORT":
        return f"Import into stack {plan.stack_name}?"
    return f"Deploy stack {plan.stack_name}?"


class Approval:
    """Shows a plan, and returns whether to execute it."""

    def __init__(self, consent: Consent, *, yes: bool, plan_only: bool) -> None:
        self._consent = consent
        self._output = consent.session.output
        self._yes = yes
        self._plan_only = plan_only

    def __call__(self, plan: Plan) -> bool:
        """Return False for --plan. Raises NotApprovedError, and InputError without a terminal."""
        report.plan(self._output, plan, as_data=self._plan_only)
        if self._plan_only:
            return False
        if self._yes:
            self._consent.require(plan)
            return True
        require_terminal(self._output)
        if self._output.format == "json":
            # The record on stdout is for a program; the user needs the plan as text.
            self._output.say(*show.plan(plan, unicode=self._output.unicode))
        if not self._output.confirm(f"{warning({plan.stack_name: plan})}{_question(plan)}"):
            raise NotApprovedError(
                f"not deployed: the plan for stack {plan.stack_name} was declined; nothing was changed",
                stack_name=plan.stack_name,
            )
        return True

    def of_recreation(self, stack: Stack, removal: Plan) -> bool:
        """Return whether to delete a stack by the plan `removal` and create it again. Raises like `__call__`."""
        output = self._output
        if self._plan_only:
            output.say(
                f"stack {stack.name} ({stack.status}) would be deleted and created again",
                *([warning({stack.name: removal}).rstrip()] if removal.data_loss else []),
            )
            return False
        output.say(f"stack {stack.name} ({stack.status}) must be deleted before it can be created again")
        if self._yes:
            self._consent.require(removal)
            return True
        require_terminal(output)
        if not output.confirm(f"{warning({stack.name: removal})}Delete stack {stack.name}?"):
            raise NotApprovedError(
                f"not deployed: the deletion of stack {stack.name} was declined; nothing was changed",
                stack_name=stack.name,
            )
        return True
