"""Account, clock and reporter of a platform command, and the deployment and deletion of its stacks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from exasol_ci_setup.aws.session import connect
from exasol_ci_setup.core.clock import SystemClock
from exasol_ci_setup.core.errors import NotApprovedError, StackBusyError, StackNotUpdatableError
from exasol_ci_setup.stacks import delete as deletion
from exasol_ci_setup.stacks import deploy as deployment
from exasol_ci_setup.stacks import network, state, users
from exasol_ci_setup.stacks.events import NullView
from exasol_ci_setup.stacks.model import Request
from exasol_ci_setup.template.render import render

if TYPE_CHECKING:
    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.constructs.base import Construct, ScopedConstruct
    from exasol_ci_setup.core.clock import Clock
    from exasol_ci_setup.stacks.events import View
    from exasol_ci_setup.stacks.model import Plan, Stack
    from exasol_ci_setup.template.render import Template

# Attempts to plan a stack that other processes keep changing.
_TRIES: Final = 5


class Report(Protocol):
    """The receiver of the messages, plans and events of a command."""

    def say(self, message: str, /) -> None:
        """Show a decision or a note for the user; one line."""

    def plan(self, plan: Plan, /) -> bool:
        """Show the plan of a stack, and return whether to execute it."""

    def view(self, stack_name: str, title: str, /) -> View:
        """Return the view of the events of a stack's operation."""

    def check(self, template: Template, region: str, /) -> None:
        """Check a template before any AWS resource is created from it; may raise TemplateRejectedError."""


class NullReport:
    """Approves every plan, since calling the function is the approval, and shows nothing."""

    def say(self, message: str, /) -> None:
        """Do nothing."""

    def plan(self, _plan: Plan, /) -> bool:
        """Approve the plan."""
        return True

    def view(self, _stack_name: str, _title: str, /) -> View:
        """Return a view that shows nothing."""
        return NullView()

    def check(self, template: Template, region: str, /) -> None:
        """Accept the template."""


class PlansOnly:
    """Shows every plan and rejects all of them; forwards everything else."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self.say, self.view, self.check = report.say, report.view, report.check

    def plan(self, plan: Plan, /) -> bool:
        """Show the plan, and reject it."""
        self._report.plan(plan)
        return False


@dataclass(frozen=True)
class Place:
    """Account, clock and reporter of a platform command."""

    account: Account
    clock: Clock = field(default_factory=SystemClock)
    report: Report = field(default_factory=NullReport)


def here(place: Place | None) -> Place:
    """Return `place`, or the default: the credentials and region of the AWS configuration, and a reporter that shows nothing.

    Raises the errors of `aws.connect`.
    """
    return Place(connect()) if place is None else place


def request_of(place: Place, construct: Construct) -> Request:
    """Return the request for the stack of `construct`. Raises InputError if the account has no network for it.

    A stack whose creation fails is deleted, so that the same command can be called again.
    """
    return Request(
        name=construct.stack_name,
        template=render(construct),
        parameters=network.parameters(place.account, construct),
        tags=construct.tags,
        on_failure="delete",
    )


def deploy(place: Place, construct: Construct) -> Stack:
    """Deploy the stack of `construct` and return it; without differences AWS changes nothing.

    If another operation on the stack runs, or starts while the plan is created, wait for its end and plan again. Raises NotApprovedError if
    the reporter rejects the plan, and the errors of `stacks.deploy.deploy`.
    """
    request = request_of(place, construct)
    for remaining in reversed(range(_TRIES)):
        try:
            result = _deploy(place, request)
            break
        except StackBusyError:
            if not remaining:
                raise
        except StackNotUpdatableError as error:
            error.hint = (
                f"see the details with `exasol-ci-setup status {request.name}`; then delete it with `exasol-ci-setup delete {request.name}`, "
                "and retry"
            )
            raise
    if result.outcome is deployment.Outcome.PLANNED or result.stack is None:
        raise NotApprovedError(
            f"not deployed: the plan for stack {request.name} was not approved", stack_name=request.name
        )
    return result.stack


def _deploy(place: Place, request: Request) -> deployment.Result:
    account, report = place.account, place.report
    return deployment.deploy(
        account,
        request,
        approve=report.plan,
        approve_recreation=lambda _stack, _removal: False,
        view=lambda title: report.view(request.name, title),
        clock=place.clock,
        options=deployment.Options(wait=True),
        check=lambda: report.check(request.template, account.region),
        notice=report.say,
    )


def preview(place: Place, construct: ScopedConstruct, *, why: str) -> None:
    """Report the plan for the stack of `construct` before the stacks that it depends on exist; `why` is a note on the plan."""
    from exasol_ci_setup.programs.deployment import placeholders
    from exasol_ci_setup.programs.preview import from_templates

    cfn = place.account.client("cloudformation")
    for each in construct.dependencies:
        existing = state.find(cfn, each.stack_name)
        each.set_outputs({**placeholders(each), **(existing.outputs if existing is not None else {})})
    request = request_of(place, construct)
    place.report.plan(from_templates(cfn, request, state.find(cfn, request.name), note=why))


def delete(place: Place, stack_name: str, *, empty: bool = False) -> None:
    """Delete a stack of this tool, and return when it is deleted; `empty` also deletes the content of its buckets and repositories.

    Retained resources are neither deleted nor emptied. Raises StackNotFoundError, StackError for a protected stack or one of another tool,
    InUseError if another stack uses it, and DeleteFailedError.
    """
    cfn = place.account.client("cloudformation")
    stack = state.get(cfn, stack_name)
    deletion.require_deletable(stack)
    found = deletion.resources(cfn, stack)
    kept = deletion.retained(cfn, stack, found, ())
    going = [each for each in found if each.logical_id not in kept]
    users.require_unused(cfn, [(stack, going)])
    if empty:
        deletion.empty(place.account, going, place.report.say)
    with place.report.view(stack_name, f"deleting {stack_name}") as view:
        deletion.delete(cfn, stack, view=view, clock=place.clock)
