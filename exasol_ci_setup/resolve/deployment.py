"""Plans and deploys what is declared: many stacks at once, each as soon as what it takes outputs of is there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from exasol_ci_setup import templates
from exasol_ci_setup.actions import Stage
from exasol_ci_setup.resolve import images
from exasol_ci_setup.resolve.interrupt import InterruptibleClock
from exasol_ci_setup.resolve.preview import from_templates
from exasol_ci_setup.stacks import graph, state
from exasol_ci_setup.stacks.deploy import Options, Outcome, deploy
from exasol_ci_setup.stacks.drift import look
from exasol_ci_setup.stacks.graph import End
from exasol_ci_setup.stacks.model import Plan, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exasol_ci_setup.aws import Account
    from exasol_ci_setup.clock import Clock
    from exasol_ci_setup.constructs.base import ScopedConstruct
    from exasol_ci_setup.resolve.declared import Declared
    from exasol_ci_setup.stacks.deploy import Result
    from exasol_ci_setup.stacks.events import View
    from exasol_ci_setup.stacks.graph import Ended
    from exasol_ci_setup.stacks.model import Drift, Stack
    from exasol_ci_setup.templates import Template


class Reporter(Protocol):
    """Who decides, and who is told. All but `ended` is called from several threads at once."""

    def approve(self, plan: Plan, /) -> bool:
        """Say whether to carry out the plan for a stack; may raise Declined."""

    def approve_recreation(self, stack: Stack, /) -> bool:
        """Say whether to delete a stack that no update can mend, and go on."""

    def view(self, stack_name: str, title: str, /) -> View:
        """Return what shows the events of a stack's operation."""

    def notice(self, stack_name: str, message: str, /) -> None:
        """Say something while AWS makes a plan."""

    def check(self, template: Template, region: str, /) -> None:
        """Look at a template before anything is made on AWS of it; may raise TemplateRejected."""

    def ended(self, ended: Ended, stack: Stack | None, /) -> None:
        """Hear how the work on a stack ended, with the stack as it is if it was deployed."""


@dataclass(frozen=True, slots=True)
class Planned:
    """What would become of one stack: the plan, and the stack as it is (None if it is not there)."""

    plan: Plan
    stack: Stack | None = None


@dataclass
class Deployment:
    """One run over what is declared.

    `connect` gives a scope its account, `network` a construct the values of its `network_parameters`. `stacks` holds the stacks that
    were deployed, or that had nothing to be done, by name. With `drift` stacks that are there are compared with their resources, once
    in a run, and what something else changed is brought back.
    """

    connect: Callable[..., Account]
    reporter: Reporter
    clock: Clock
    network: Callable[[Account, ScopedConstruct], Mapping[str, str]]
    options: Options = field(default_factory=Options)
    concurrency: int = graph.CONCURRENCY
    stacks: dict[str, Stack] = field(default_factory=dict)
    drift: bool = True
    _found: dict[str, Drift | None] = field(default_factory=dict, repr=False)
    _shown_images: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

    def plan(self, declared: Declared) -> tuple[dict[str, Planned], list[Ended]]:
        """Return what would change, by stack, and how the planning of each ended. Nothing is changed, and nothing left on AWS.

        The outputs of constructs that are deployed are set, and those of the others are filled with placeholders.
        """
        planned: dict[str, Planned] = {}
        clock = InterruptibleClock(self.clock)
        # Outputs that are not known before the deployment: of these stacks, and so of what is made of them.
        unknown: set[str] = set()

        def work(name: str) -> End:
            construct = declared.constructs[name]
            account = self.connect(construct.own_scope)
            waits_for = next((each.stack_name for each in construct.dependencies if each.stack_name in unknown), None)
            found, current = self._plan(construct, account, clock, waits_for)
            if current is None or state.is_absent(current):
                unknown.add(name)
                construct.set_outputs(placeholders(construct))
            else:
                # An output that a new template adds is not there yet.
                construct.set_outputs({**placeholders(construct), **current.outputs})
            planned[name] = Planned(found, current)
            return End.DONE if found else End.UNCHANGED

        ends = graph.run(declared.nodes, work, concurrency=self.concurrency, interrupt=clock.interrupt)
        return {name: planned[name] for name in declared.constructs if name in planned}, ends

    def _plan(
        self, construct: ScopedConstruct, account: Account, clock: Clock, waits_for: str | None
    ) -> tuple[Plan, Stack | None]:
        images.hash_sources(construct, self._stage(construct, clock))
        self._shown_images[construct.stack_name] = tuple(builder.image_tag for builder in construct.builders)
        request = self._request(construct, account)
        cfn = account.client("cloudformation")
        if waits_for is not None:
            current = state.find(cfn, request.name)
            self.reporter.check(request.template, account.region)
            why = f"seen from the template alone: it takes outputs of {waits_for}, which is to be deployed first"
            return from_templates(cfn, request, current, note=why), current
        found: list[Plan] = []

        def note(plan: Plan) -> bool:
            found.append(plan)
            return False

        result = self._deploy(request, account, clock, approve=note, approve_recreation=lambda _stack: False)
        if result.outcome is Outcome.PLANNED and not found:
            # A stack that has to be deleted first; AWS can plan for it only after that.
            return from_templates(cfn, request, None, note=f"stack {request.name} has to be deleted first"), None
        return (found[0] if found else result.plan), result.stack

    def carry_out(self, declared: Declared) -> list[Ended]:
        """Deploy what is declared, set the outputs of the constructs, and return how each stack's deployment ended.

        If `plan` was called before, images are only made of the sources that it saw.
        """
        clock = InterruptibleClock(self.clock)

        def work(name: str) -> End:
            construct = declared.constructs[name]
            account = self.connect(construct.own_scope)
            images.make(
                construct,
                self._stage(construct, clock),
                lambda title: self.reporter.view(name, title),
                shown=self._shown_images.get(name),
            )
            result = self._deploy(
                self._request(construct, account),
                account,
                clock,
                approve=self.reporter.approve,
                approve_recreation=self.reporter.approve_recreation,
            )
            if result.stack is not None:
                self.stacks[name] = result.stack
                construct.set_outputs(result.stack.outputs)
            return End.UNCHANGED if result.outcome is Outcome.UNCHANGED else End.DONE

        return graph.run(
            declared.nodes,
            work,
            concurrency=self.concurrency,
            interrupt=clock.interrupt,
            ended=lambda end: self.reporter.ended(end, self.stacks.get(end.name)),
        )

    def _stage(self, construct: ScopedConstruct, clock: Clock) -> Stage:
        return Stage(self.connect, clock, lambda message: self.reporter.notice(construct.stack_name, message))

    def _request(self, construct: ScopedConstruct, account: Account) -> Request:
        network = self.network(account, construct) if construct.network_parameters else {}
        return Request(
            name=construct.stack_name,
            template=templates.render(construct),
            parameters=construct.parameters(network),
            tags=construct.tags,
        )

    def _deploy(
        self,
        request: Request,
        account: Account,
        clock: Clock,
        *,
        approve: Callable[[Plan], bool],
        approve_recreation: Callable[[Stack], bool],
    ) -> Result:
        return deploy(
            account,
            request,
            approve=approve,
            approve_recreation=approve_recreation,
            view=lambda title: self.reporter.view(request.name, title),
            clock=clock,
            options=self.options,
            drift=lambda stack: self._drift_of(stack, account, clock),
            check=lambda: self.reporter.check(request.template, account.region),
            notice=lambda message: self.reporter.notice(request.name, message),
        )

    def _drift_of(self, stack: Stack, account: Account, clock: Clock) -> Drift | None:
        """Return how the stack differs from what CloudFormation made, as it was when it was first asked for: that takes AWS a while."""
        if not self.drift:
            return None
        if stack.name not in self._found:
            self._found[stack.name] = look(
                account.client("cloudformation"),
                stack,
                clock,
                notice=lambda message: self.reporter.notice(stack.name, message),
            )
        return self._found[stack.name]


def placeholders(construct: ScopedConstruct) -> dict[str, str]:
    """Return text in the place of each output that the construct's stack will have. Raises as `templates.render`."""
    outputs = templates.parse(templates.render(construct).body).get("Outputs") or {}
    return {name: _placeholder(name, construct) for name in outputs}


def _placeholder(name: str, construct: ScopedConstruct) -> str:
    return f"<{name} of {construct.stack_name}>"


class AnyOutput(dict[str, str]):
    """Text in the place of whatever output of a construct is asked for, without a look at its template.

    A template may need what is not at hand any more, such as the file of a key.
    """

    def __init__(self, construct: ScopedConstruct) -> None:
        super().__init__()
        self._construct = construct

    def __missing__(self, name: str) -> str:
        return _placeholder(name, self._construct)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str)
