"""Where a verb of the platform acts and who hears of it, and the one way in which verbs deploy and delete stacks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from exasol_ci_setup import network, templates
from exasol_ci_setup.aws import connect
from exasol_ci_setup.clock import SystemClock
from exasol_ci_setup.errors import NotApprovedError, StackBusy, StackNotUpdatableError
from exasol_ci_setup.stacks import delete as deletion
from exasol_ci_setup.stacks import deploy as deployment
from exasol_ci_setup.stacks import state, users
from exasol_ci_setup.stacks.events import NullView
from exasol_ci_setup.stacks.model import Request

if TYPE_CHECKING:
    from exasol_ci_setup.aws import Account
    from exasol_ci_setup.clock import Clock
    from exasol_ci_setup.constructs.base import Construct, ScopedConstruct
    from exasol_ci_setup.stacks.events import View
    from exasol_ci_setup.stacks.model import Plan, Stack
    from exasol_ci_setup.templates import Template

# How often a plan is made when others are quicker to change the same stack.
_TRIES: Final = 5


class Report(Protocol):
    """Who is told what a verb does."""

    def say(self, message: str, /) -> None:
        """Tell a decision, or something that the user should know; one line."""

    def plan(self, plan: Plan, /) -> bool:
        """Show what would become of a stack, and say whether to do it."""

    def view(self, stack_name: str, title: str, /) -> View:
        """Return what shows the events of a stack's operation."""

    def check(self, template: Template, region: str, /) -> None:
        """Look at a template before anything is made on AWS of it; may raise TemplateRejected."""


class NullReport:
    """Lets every plan be carried out, as a verb is the word of its caller, and shows nothing."""

    def say(self, message: str, /) -> None:
        """Tell nobody."""

    def plan(self, _plan: Plan, /) -> bool:
        """Say yes."""
        return True

    def view(self, _stack_name: str, _title: str, /) -> View:
        """Return a view that nobody looks at."""
        return NullView()

    def check(self, template: Template, region: str, /) -> None:
        """Find nothing."""


class PlansOnly:
    """Shows every plan and lets none be executed; passes on all else."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self.say, self.view, self.check = report.say, report.view, report.check

    def plan(self, plan: Plan, /) -> bool:
        """Show the plan, and say no."""
        self._report.plan(plan)
        return False


@dataclass(frozen=True)
class Place:
    """An account in a region to act on, the time to wait by, and who is told."""

    account: Account
    clock: Clock = field(default_factory=SystemClock)
    report: Report = field(default_factory=NullReport)


def here(place: Place | None) -> Place:
    """Return `place`, or if there is none the one that AWS's own chain of credentials and region lead to, without a word to anybody.

    Raises the errors of `aws.connect`.
    """
    return Place(connect()) if place is None else place


def request_of(place: Place, construct: Construct) -> Request:
    """Return what the stack of `construct` shall be. Raises InputError if the account has no network to put it into.

    A creation that fails leaves no stack behind, so that the same verb can be called again.
    """
    return Request(
        name=construct.stack_name,
        template=templates.render(construct),
        parameters=network.parameters(place.account, construct),
        tags=construct.tags,
        on_failure="delete",
    )


def deploy(place: Place, construct: Construct) -> Stack:
    """Make the stack of `construct` what it shall be and return it as it then is; where nothing differs, nothing is asked of AWS.

    Another operation on the stack is let end first, also one that begins while the plan is made: then there is a new plan. Raises
    Declined if the report says no to the plan, and the errors of `stacks.deploy.deploy`.
    """
    request = request_of(place, construct)
    for tries_left in reversed(range(_TRIES)):
        try:
            result = _deploy(place, request)
            break
        except StackBusy:
            if not tries_left:
                raise
        except StackNotUpdatableError as error:
            error.hint = (
                f"`exasol-ci-setup status {request.name}` says more; once `exasol-ci-setup delete {request.name}` has deleted it, "
                "do this again"
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
    """Report what would become of the stack of `construct` before all that it takes outputs of is there; `why` is a note on the plan."""
    from exasol_ci_setup.resolve.deployment import placeholders
    from exasol_ci_setup.resolve.preview import from_templates

    cfn = place.account.client("cloudformation")
    for each in construct.dependencies:
        there = state.find(cfn, each.stack_name)
        each.set_outputs({**placeholders(each), **(there.outputs if there is not None else {})})
    request = request_of(place, construct)
    place.report.plan(from_templates(cfn, request, state.find(cfn, request.name), note=why))


def delete(place: Place, stack_name: str, *, empty: bool = False) -> None:
    """Delete a stack that this tool created, and return when it is gone; with `empty` what is in its buckets and repositories too.

    What the stack's template keeps is neither deleted nor emptied. Raises StackNotFound, StackError for a stack that is protected or
    another tool's, InUseError if another stack uses it, and DeleteFailed.
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
    with place.report.view(stack_name, f"deleting {stack_name}") as shown:
        deletion.delete(cfn, stack, view=shown, clock=place.clock)
