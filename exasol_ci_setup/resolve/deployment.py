"""Plans and deploys what is declared: many stacks at once, each as soon as what it takes outputs of is there."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from exasol_ci_setup import templates
from exasol_ci_setup.actions import Runtime
from exasol_ci_setup.constructs.placeholders import placeholder, placeholders_in, readable, refusal_of
from exasol_ci_setup.resolve import images
from exasol_ci_setup.resolve.interrupt import InterruptibleClock
from exasol_ci_setup.resolve.preview import from_templates, recreated
from exasol_ci_setup.stacks import graph, state
from exasol_ci_setup.stacks.deploy import Options, Outcome, deploy
from exasol_ci_setup.stacks.drift import look
from exasol_ci_setup.stacks.graph import End
from exasol_ci_setup.stacks.model import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from exasol_ci_setup.aws import Account
    from exasol_ci_setup.clock import Clock
    from exasol_ci_setup.constructs.base import Construct
    from exasol_ci_setup.constructs.scope import Scope
    from exasol_ci_setup.stacks.deploy import Result
    from exasol_ci_setup.stacks.events import View
    from exasol_ci_setup.stacks.graph import Ended, Node
    from exasol_ci_setup.stacks.model import Drift, Plan, Stack
    from exasol_ci_setup.templates import Template


class Reporter(Protocol):
    """Who decides, and who is told. All but `ended` is called from several threads at once; `name` is as in `Stacks`."""

    def approve(self, name: str, plan: Plan, /) -> bool:
        """Say whether to carry out the plan for a stack; may raise Declined."""

    def approve_recreation(self, name: str, stack: Stack, removal: Plan, /) -> bool:
        """Say whether to delete a stack that no update can fix, as the plan `removal` says, and continue; may raise Declined."""

    def view(self, name: str, title: str, /) -> View:
        """Return what shows the events of a stack's operation."""

    def notice(self, name: str, message: str, /) -> None:
        """Say something while AWS makes a plan."""

    def check(self, template: Template, region: str, /) -> None:
        """Look at a template before anything is made on AWS of it; may raise TemplateRejected."""

    def ended(self, ended: Ended, stack: Stack | None, /) -> None:
        """Hear how the work on a stack ended, with the stack as it is if it was deployed."""


class Stacks(Protocol):
    """What is declared: a graph of stacks under names of their own, which are theirs on AWS too, or begin with where they are (``main/Slc``)."""

    @property
    def nodes(self) -> Sequence[Node]:
        """The names, those first that others need."""

    @property
    def constructs(self) -> Mapping[str, Construct]:
        """The construct of each name."""

    def scope_of(self, name: str, /) -> Scope:
        """Return where the stack is."""


@dataclass(frozen=True, slots=True)
class Planned:
    """What would become of one stack: the plan, and the stack as it is (None if it is not there)."""

    plan: Plan
    stack: Stack | None = None


@dataclass
class Deployment:
    """One run over what is declared.

    `connect` gives a scope its account, `network` a construct the values of its `network_parameters`, `complete` what else only AWS
    knows. `stacks` holds the stacks that
    were deployed, or that had nothing to be done, by name. With `drift` stacks that are there are compared with their resources, once
    in a run, and what something else changed is brought back. `planned` hears of each stack that has been looked at.
    `tags` gives further tags for the stack of a name; `engine` what deploys the stack of a name, called as `deploy` is.
    """

    connect: Callable[..., Account]
    reporter: Reporter
    clock: Clock
    network: Callable[[Account, Any], Mapping[str, str]]
    options: Options = field(default_factory=Options)
    concurrency: int = graph.CONCURRENCY
    stacks: dict[str, Stack] = field(default_factory=dict)
    drift: bool = True
    complete: Callable[[Construct, Account], Construct] = lambda construct, _account: construct
    planned: Callable[[Ended], None] = lambda _ended: None
    tags: Callable[[str], Mapping[str, str]] = lambda _name: {}
    engine: Callable[[str], Callable[..., Result]] = lambda _name: deploy
    _found: dict[str, Drift | None] = field(default_factory=dict, repr=False)
    _shown_images: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

    def plan(self, declared: Stacks) -> tuple[dict[str, Planned], list[Ended]]:
        """Return what would change, by stack, and how the planning of each ended. Nothing is changed, and nothing left on AWS.

        The outputs of constructs that are deployed are set, and those of the others are filled with placeholders. Raises Interrupted.
        """
        planned: dict[str, Planned] = {}
        clock = InterruptibleClock(self.clock)
        # Outputs that are not known before the deployment: of these stacks, and so of what is made of them.
        unknown: set[str] = set()

        def work(name: str) -> End:
            account = self.connect(declared.scope_of(name))
            construct = self.complete(declared.constructs[name], account)
            waits_for = next((each.stack_name for each in construct.dependencies if each.stack_name in unknown), None)
            found, current = self._plan(name, construct, account, clock, waits_for)
            if current is None or state.is_absent(current):
                unknown.add(name)
                construct.set_outputs(placeholders(construct))
            else:
                # An output that a new template adds is not there yet.
                construct.set_outputs({**placeholders(construct), **current.outputs})
            planned[name] = Planned(found, current)
            return End.DONE if found else End.UNCHANGED

        ends = graph.run(
            declared.nodes, work, concurrency=self.concurrency, interrupt=clock.interrupt, ended=self.planned
        )
        if interrupted := graph.interruption(ends, changed=False):
            raise interrupted
        return {name: planned[name] for name in declared.constructs if name in planned}, ends

    def _plan(
        self, name: str, construct: Construct, account: Account, clock: Clock, waits_for: str | None
    ) -> tuple[Plan, Stack | None]:
        images.hash_sources(construct, self._stage(construct, clock))
        self._shown_images[name] = tuple(builder.image_tag for builder in construct.builders)
        request = self._request(name, construct, account)
        cfn = account.client("cloudformation")
        unknown = next(placeholders_in(dict(request.parameters)), None)
        if unknown is not None:
            # Also where the stack exists, and has no such output yet.
            waits_for = unknown.construct.stack_name
            request = replace(request, parameters={key: readable(text) for key, text in request.parameters.items()})
        if waits_for is not None:
            current = state.find(cfn, request.name)
            self._check(construct, request, account)
            why = f"seen from the template alone: it takes outputs of {waits_for}, which is to be deployed first"
            return from_templates(cfn, request, current, note=why), current
        found: list[Plan] = []
        removals: list[Plan] = []

        def note(plan: Plan) -> bool:
            found.append(plan)
            return False

        def note_removal(_stack: Stack, removal: Plan) -> bool:
            removals.append(removal)
            return False

        result = self._deploy(name, construct, request, account, clock, approve=note, approve_recreation=note_removal)
        if removals:
            # AWS can plan for the stack only after its deletion.
            new = from_templates(cfn, request, None, note=f"stack {request.name} has to be deleted first")
            return recreated(new, removals[-1]), None
        return (found[0] if found else result.plan), result.stack

    def carry_out(self, declared: Stacks) -> list[Ended]:
        """Deploy what is declared, set the outputs of the constructs, and return how each stack's deployment ended.

        If `plan` was called before, images are only made of the sources that it saw.
        """
        clock = InterruptibleClock(self.clock)

        def work(name: str) -> End:
            account = self.connect(declared.scope_of(name))
            construct = self.complete(declared.constructs[name], account)
            images.make(
                construct,
                self._stage(construct, clock),
                lambda title: self.reporter.view(name, title),
                shown=self._shown_images.get(name),
            )
            request = self._request(name, construct, account)
            require_values(construct, request.template, request.parameters)
            result = self._deploy(
                name,
                construct,
                request,
                account,
                clock,
                approve=lambda plan: self.reporter.approve(name, plan),
                approve_recreation=lambda stack, removal: self.reporter.approve_recreation(name, stack, removal),
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

    def _stage(self, construct: Construct, clock: Clock) -> Runtime:
        return Runtime(self.connect, clock, lambda message: self.reporter.notice(construct.stack_name, message))

    def _check(self, construct: Construct, request: Request, account: Account) -> None:
        lint_template_key = construct.lint_template_key
        template = request.template if lint_template_key is construct else templates.render(lint_template_key)
        self.reporter.check(template, account.region)

    def _request(self, name: str, construct: Construct, account: Account) -> Request:
        network = self.network(account, construct) if construct.network_parameters else {}
        return Request(
            name=construct.stack_name,
            template=templates.render(construct),
            parameters=construct.parameters(network),
            tags={**self.tags(name), **construct.tags},
        )

    def _deploy(
        self,
        name: str,
        construct: Construct,
        request: Request,
        account: Account,
        clock: Clock,
        *,
        approve: Callable[[Plan], bool],
        approve_recreation: Callable[[Stack, Plan], bool],
    ) -> Result:
        return self.engine(name)(
            account,
            request,
            approve=approve,
            approve_recreation=approve_recreation,
            view=lambda title: self.reporter.view(name, title),
            clock=clock,
            options=self.options,
            drift=lambda stack: self._drift_of(name, stack, account, clock),
            check=lambda: self._check(construct, request, account),
            notice=lambda message: self.reporter.notice(name, message),
        )

    def _drift_of(self, name: str, stack: Stack, account: Account, clock: Clock) -> Drift | None:
        """Return how the stack differs from what CloudFormation made, as it was when it was first asked for: that takes AWS a while."""
        if not self.drift:
            return None
        if name not in self._found:
            self._found[name] = look(
                account.client("cloudformation"),
                stack,
                clock,
                notice=lambda message: self.reporter.notice(name, message),
            )
        return self._found[name]


def require_values(construct: Construct, template: Template, parameters: Mapping[str, str]) -> None:
    """Raise InputError if a placeholder is left in what is to be deployed for `construct`."""
    found = next(placeholders_in([template.body, dict(parameters)]), None)
    if found is not None:
        texts = [*(("parameter " + name, value) for name, value in parameters.items())]
        texts += templates.texts(templates.parse(template.body))
        place = next((place for place, value in texts if found in placeholders_in(value)), "the template")
        raise refusal_of(found, place, f"{type(construct).__name__} {construct.stack_name!r}")


def placeholders(construct: Construct) -> dict[str, str]:
    """Return a placeholder for each output that the construct's stack will have. Raises as `templates.render`."""
    outputs = templates.parse(templates.render(construct).body).get("Outputs") or {}
    return {name: placeholder(construct, name) for name in outputs}


class AnyOutput(dict[str, str]):
    """A placeholder for whatever output of a construct is asked for, without a look at its template.

    A template may need what is not available any more, such as the file of a key.
    """

    def __init__(self, construct: Construct) -> None:
        super().__init__()
        self._construct = construct

    def __missing__(self, name: str) -> str:
        return placeholder(self._construct, name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str)
