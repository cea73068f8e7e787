"""Plan and deploy declared stacks in parallel, each as soon as the outputs that it needs are available."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from exasol_ci_setup.constructs.placeholders import placeholder, placeholders_in, readable, refusal_of
from exasol_ci_setup.core.task_graph import CONCURRENCY, End, interruption, run
from exasol_ci_setup.programs import images
from exasol_ci_setup.programs.actions import Runtime
from exasol_ci_setup.programs.interrupt import InterruptibleClock
from exasol_ci_setup.programs.preview import from_templates, recreated
from exasol_ci_setup.stacks import state
from exasol_ci_setup.stacks.deploy import Options, Outcome, deploy
from exasol_ci_setup.stacks.drift import look
from exasol_ci_setup.stacks.model import Request
from exasol_ci_setup.template.render import parse, render
from exasol_ci_setup.template.render import texts as texts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.constructs.base import Construct
    from exasol_ci_setup.constructs.scope import Scope
    from exasol_ci_setup.core.clock import Clock
    from exasol_ci_setup.core.task_graph import Ended, Node
    from exasol_ci_setup.stacks.deploy import Result
    from exasol_ci_setup.stacks.events import View
    from exasol_ci_setup.stacks.model import Drift, Plan, Stack
    from exasol_ci_setup.template.render import Template


class Reporter(Protocol):
    """Decides on plans and shows progress. All methods except `ended` are called from several threads; `name` is as in `Stacks`."""

    def approve(self, name: str, plan: Plan, /) -> bool:
        """Return whether to execute the plan of a stack; may raise NotApprovedError."""

    def approve_recreation(self, name: str, stack: Stack, removal: Plan, /) -> bool:
        """Return whether to delete and recreate a stack that cannot be updated; `removal` is the plan of the deletion. May raise NotApprovedError."""

    def view(self, name: str, title: str, /) -> View:
        """Return the reporter of the events of a stack's operation."""

    def notice(self, name: str, message: str, /) -> None:
        """Show a message while AWS creates a plan."""

    def check(self, template: Template, region: str, /) -> None:
        """Check a template before anything is created on AWS; may raise TemplateRejectedError."""

    def ended(self, ended: Ended, stack: Stack | None, /) -> None:
        """Receive the result of a stack, with the stack if it was deployed."""


class Stacks(Protocol):
    """The declared stacks, a graph with unique names: the names on AWS, or these with a prefix of the target (``main/Slc``)."""

    @property
    def nodes(self) -> Sequence[Node]:
        """The nodes, dependencies first."""

    @property
    def constructs(self) -> Mapping[str, Construct]:
        """The construct of each name."""

    def scope_of(self, name: str, /) -> Scope:
        """Return the scope of the stack."""


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan of one stack, and the stack now (None if it does not exist)."""

    plan: Plan
    stack: Stack | None = None


@dataclass
class Deployment:
    """One run over the declared stacks.

    `connect` returns the account of a scope, `network` the values of the `network_parameters` of a construct, `complete` adds other values
    from AWS. `stacks` holds the stacks that
    were deployed, or had no changes, by name. With `drift`, existing stacks are compared with their resources, once
    in a run, and drift is reverted. `planned` is called for each checked stack.
    `tags` returns further tags for a stack name; `engine` the function that deploys it, called as `deploy`.
    """

    connect: Callable[..., Account]
    reporter: Reporter
    clock: Clock
    network: Callable[[Account, Any], Mapping[str, str]]
    options: Options = field(default_factory=Options)
    concurrency: int = CONCURRENCY
    stacks: dict[str, Stack] = field(default_factory=dict)
    drift: bool = True
    complete: Callable[[Construct, Account], Construct] = lambda construct, _account: construct
    planned: Callable[[Ended], None] = lambda _ended: None
    tags: Callable[[str], Mapping[str, str]] = lambda _name: {}
    engine: Callable[[str], Callable[..., Result]] = lambda _name: deploy
    _found: dict[str, Drift | None] = field(default_factory=dict, repr=False)
    _shown_images: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

    def plan(self, declared: Stacks) -> tuple[dict[str, Planned], list[Ended]]:
        """Return the plan of each stack, and the result of each planning. Nothing is changed, and no change set remains.

        Sets the outputs of deployed constructs, and placeholders for those of the others. Raises OperationInterruptedError.
        """
        planned: dict[str, Planned] = {}
        clock = InterruptibleClock(self.clock)
        # Stacks whose outputs are unknown before the deployment, and so those that depend on them.
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
                # An output that a new template adds does not exist yet.
                construct.set_outputs({**placeholders(construct), **current.outputs})
            planned[name] = Planned(found, current)
            return End.DONE if found else End.UNCHANGED

        ends = run(declared.nodes, work, concurrency=self.concurrency, interrupt=clock.interrupt, ended=self.planned)
        if interrupted := interruption(ends, changed=False):
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
            # Also if the stack exists, but does not have this output yet.
            waits_for = unknown.construct.stack_name
            request = replace(request, parameters={key: readable(text) for key, text in request.parameters.items()})
        if waits_for is not None:
            current = state.find(cfn, request.name)
            self._check(construct, request, account)
            why = f"planned from the template alone: it needs outputs of {waits_for}, which is deployed first"
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
            new = from_templates(cfn, request, None, note=f"stack {request.name} must be deleted first")
            return recreated(new, removals[-1]), None
        return (found[0] if found else result.plan), result.stack

    def carry_out(self, declared: Stacks) -> list[Ended]:
        """Deploy the declared stacks, set the outputs of the constructs, and return the result of each stack.

        If `plan` was called before, images are built only from the sources that it hashed.
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

        return run(
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
        template = request.template if lint_template_key is construct else render(lint_template_key)
        self.reporter.check(template, account.region)

    def _request(self, name: str, construct: Construct, account: Account) -> Request:
        network = self.network(account, construct) if construct.network_parameters else {}
        return Request(
            name=construct.stack_name,
            template=render(construct),
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
        """Return the drift of the stack at its first check in this run: a comparison takes long."""
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
    """Raise InputError if the template or the parameters of `construct` still contain a placeholder."""
    found = next(placeholders_in([template.body, dict(parameters)]), None)
    if found is not None:
        texts = [*(("parameter " + name, value) for name, value in parameters.items())]
        texts += texts_of(parse(template.body))
        place = next((place for place, value in texts if found in placeholders_in(value)), "the template")
        raise refusal_of(found, place, f"{type(construct).__name__} {construct.stack_name!r}")


def placeholders(construct: Construct) -> dict[str, str]:
    """Return a placeholder for each output of the construct's future stack. Raises as `template.render.render`."""
    outputs = parse(render(construct).body).get("Outputs") or {}
    return {name: placeholder(construct, name) for name in outputs}


class AnyOutput(dict[str, str]):
    """A placeholder for any requested output of a construct, without reading its template.

    A template may need a file that is no longer available, such as a key.
    """

    def __init__(self, construct: Construct) -> None:
        super().__init__()
        self._construct = construct

    def __missing__(self, name: str) -> str:
        return placeholder(self._construct, name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str)
