"""Plan and deploy declared stacks in parallel, each as soon as the outputs that it needs are available."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from exasol_ci_setup.aws.context import Context
from exasol_ci_setup.constructs.placeholders import placeholders_in, readable
from exasol_ci_setup.constructs.source import SourceCredentials
from exasol_ci_setup.core.stacks import Options, Outcome, StackSettings
from exasol_ci_setup.core.task_graph import CONCURRENCY, End, Node, interruption, run
from exasol_ci_setup.programs import images
from exasol_ci_setup.programs.actions import Runtime
from exasol_ci_setup.programs.interrupt import InterruptibleClock
from exasol_ci_setup.programs.requests import declared_request
from exasol_ci_setup.programs.templates import checked_template, placeholders, require_values
from exasol_ci_setup.stacks import resources, state
from exasol_ci_setup.stacks.deploy import OpenPlan, retry_outdated
from exasol_ci_setup.stacks.deploy import plan as plan_stack
from exasol_ci_setup.stacks.preview import from_templates
from exasol_ci_setup.stacks.request import resolve_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.constructs.base import Construct
    from exasol_ci_setup.constructs.scope import Scope
    from exasol_ci_setup.core.clock import Clock
    from exasol_ci_setup.core.reporter import Reporter, TemplateLinter
    from exasol_ci_setup.core.stacks import Drift, Plan, Result, Stack
    from exasol_ci_setup.core.task_graph import Ended
    from exasol_ci_setup.programs.actions import PlannedBuild
    from exasol_ci_setup.stacks.request import Request


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
    from AWS. `stacks` holds the stacks that were deployed, or had no changes, and `results` the results, by name. `followed` are
    the stacks with an operation of an earlier run that this one followed to its end. `settings` returns those of a stack name. With `plan_only` no plan is applied. With `drift`, existing stacks are compared with
    their resources, once in a run, and drift is reverted. `builds` returns those that the program starts for the images of a stack. `planned` is called for each checked stack.
    `removed` are the names of the stacks that are deleted afterwards.
    `engine` returns the function that plans the stack with a name, called as `stacks.deploy.plan`.
    The reporter confirms the plans, and receives the result of each stack as `task_graph.Ended`; it is called from several threads.
    """

    connect: Callable[..., Account]
    reporter: Reporter
    clock: Clock
    network: Callable[[Account, Any], Mapping[str, str]]
    options: Options = field(default_factory=Options)
    linter: TemplateLinter | None = None
    settings: Callable[[str], StackSettings] = lambda _name: StackSettings()
    plan_only: bool = False
    concurrency: int = CONCURRENCY
    stacks: dict[str, Stack] = field(default_factory=dict)
    results: dict[str, Result] = field(default_factory=dict)
    followed: set[str] = field(default_factory=set)
    drift: bool = True
    complete: Callable[[Construct, Account], Construct] = resolve_secrets
    planned: Callable[[Ended], None] = lambda _ended: None
    builds: Callable[[str], Sequence[PlannedBuild]] = lambda _name: ()
    removed: Collection[str] = ()
    engine: Callable[[str], Callable[[Context, Request, Options], OpenPlan]] = lambda _name: plan_stack
    _found: dict[str, Drift | None] = field(default_factory=dict, repr=False)
    _shown_images: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

    def plan(self, declared: Stacks) -> tuple[dict[str, Planned], list[Ended]]:
        """Return the plan of each stack, and the result of each planning. Nothing is changed, and no change set remains.

        Sets the outputs of deployed constructs, and placeholders for those of the others. Raises OperationInterruptedError.
        """
        planned: dict[str, Planned] = {}
        clock = InterruptibleClock(self.clock)
        # Stacks whose outputs are unknown before the deployment, and so those that depend on them.
        unknown: set[int] = set()

        def work(name: str) -> End:
            context = self._context(name, declared, clock)
            construct = self.complete(declared.constructs[name], context.account)
            waits_for = next((each.stack_name for each in construct.dependencies if id(each) in unknown), None)
            found, current = self._plan(name, construct, context, declared, waits_for)
            # An output that a new template adds does not exist yet.
            outputs = placeholders(construct)
            if current is None or state.is_absent(current):
                unknown.add(id(declared.constructs[name]))
            else:
                outputs |= current.outputs
            # Not those of `construct`, which may be a copy with values from AWS.
            declared.constructs[name].set_outputs(outputs)
            planned[name] = Planned(found, current)
            return End.DONE if found or name in self.followed else End.UNCHANGED

        ends = run(declared.nodes, work, concurrency=self.concurrency, interrupt=clock.interrupt, ended=self.planned)
        if interrupted := interruption(ends, changed=False):
            raise interrupted
        return {name: planned[name] for name in declared.constructs if name in planned}, ends

    def not_compared(self, declared: Stacks) -> Mapping[str, int]:
        """Return the number of resources, by type, that CloudFormation could not compare when this run detected drift."""
        return Counter(
            each.type
            for name, found in self._found.items()
            if found is not None
            for each in resources.of_id(self._context(name, declared, self.clock).cfn, found.stack_id)
            if each.drift_status == "NOT_CHECKED"
        )

    def _deploys_credentials(self, declared: Stacks, context: Context) -> bool:
        """Return whether this run deploys CodeBuild's credentials in the account and region of `context`."""
        accounts = (
            self.connect(declared.scope_of(name))
            for name, construct in declared.constructs.items()
            if isinstance(construct, SourceCredentials)
        )
        place = (context.account.session, context.account.region)
        return any((account.session, account.region) == place for account in accounts)

    def _plan(
        self,
        name: str,
        construct: Construct,
        context: Context,
        declared: Stacks,
        waits_for: str | None,
    ) -> tuple[Plan, Stack | None]:
        images.hash_sources(construct, self._runtime(context))
        self._shown_images[name] = tuple(builder.image_tag for builder in construct.builders)
        request = self._request(name, construct, context.account, declared)
        unknown = next(placeholders_in([*request.parameters.values(), *request.tags.values()]), None)
        if unknown is not None:
            # Also if the stack exists, but does not have this output yet.
            waits_for = unknown.construct.stack_name
            request = replace(
                request,
                parameters={key: readable(text) for key, text in request.parameters.items()},
                tags={key: readable(text) for key, text in request.tags.items()},
            )
        if waits_for is not None:
            current = state.find(context.cfn, request.name)
            context.lint(request.lint_template or request.template)
            why = f"planned from the template alone: it needs outputs of {waits_for}, which is deployed first"
            return from_templates(context.cfn, request, current, note=why), current
        pending = self._deploys_credentials(declared, context)
        with self._open(name, context, request, credentials_pending=pending) as planned:
            # A stack that is created again has new outputs.
            return planned.plan, None if planned.plan.is_recreation else planned.stack

    def check(self, declared: Stacks) -> list[Ended]:
        """Lint the templates of all stacks, and return the result of each check. Stacks that have no changes may have errors.

        Nothing is changed, and AWS is called only for a template with errors.
        """
        clock = InterruptibleClock(self.clock)

        def work(name: str) -> End:
            construct = declared.constructs[name]
            template = checked_template(construct)
            if self.linter is not None and self.linter.errors(template, declared.scope_of(name).region):
                context = self._context(name, declared, clock)
                request = self._request(name, self.complete(construct, context.account), context.account, declared)
                if from_templates(context.cfn, request, state.find(context.cfn, request.name), note=""):
                    context.lint(template)
            return End.UNCHANGED

        nodes = [Node(name) for name in declared.constructs]
        return run(nodes, work, concurrency=self.concurrency, interrupt=clock.interrupt, ended=self.planned)

    def apply(self, declared: Stacks) -> list[Ended]:
        """Deploy the declared stacks, set the outputs of the constructs, and return the result of each stack.

        If `plan` was called before, images are built only from the sources that it hashed.
        """
        clock = InterruptibleClock(self.clock)

        def work(name: str) -> End:
            context = self._context(name, declared, clock)
            construct = self.complete(declared.constructs[name], context.account)
            images.build(construct, self._runtime(context), context, shown=self._shown_images.get(name))
            images.build_missing(construct.stack_name, self.builds(name), self._runtime(context), context)
            request = self._request(name, construct, context.account, declared)
            require_values(construct, {**request.parameters, **request.tags})
            result = retry_outdated(context, lambda: self._open(name, context, request))
            self.results[name] = result
            if result.stack is not None:
                self.stacks[name] = result.stack
                # Not those of `construct`, which may be a copy with values from AWS.
                declared.constructs[name].set_outputs(result.stack.outputs)
            is_unchanged = result.outcome is Outcome.UNCHANGED and name not in self.followed
            return End.UNCHANGED if is_unchanged else End.DONE

        return run(
            declared.nodes,
            work,
            concurrency=self.concurrency,
            interrupt=clock.interrupt,
            ended=self.reporter.result,
        )

    def _context(self, name: str, declared: Stacks, clock: Clock) -> Context:
        account = self.connect(declared.scope_of(name))
        return Context(account, clock, self.reporter.of(name), self.linter, self.plan_only)

    def _runtime(self, context: Context) -> Runtime:
        return Runtime(self.connect, context.clock, context.note)

    def _request(self, name: str, construct: Construct, account: Account, declared: Stacks) -> Request:
        return declared_request(
            account,
            construct,
            self.settings(name),
            find_network=self._network_of,
            share_lint=True,
            builds=self.builds(name),
            declared=[*(each.stack_name for each in declared.constructs.values()), *self.removed],
        )

    def _network_of(self, account: Account, construct: Construct) -> Mapping[str, str]:
        vpc_id, subnet_ids = construct.configured_network
        unknown = next(placeholders_in([vpc_id, *subnet_ids]), None)
        if unknown is not None:
            return dict.fromkeys(construct.network_parameters, unknown.text)
        return self.network(account, construct)

    def _open(self, name: str, context: Context, request: Request, *, credentials_pending: bool = False) -> OpenPlan:
        """Plan a stack. Its drift is detected by the first plan in this run: a comparison takes long."""
        detect = self.drift and name not in self._found
        options = replace(
            self.options,
            revert_drift=detect,
            drift=self._found.get(name),
            credentials_pending=credentials_pending,
        )
        planned = self.engine(name)(context, request, options)
        if planned.has_followed:
            self.followed.add(name)
        if detect and planned.stack is not None:
            self._found[name] = planned.drift
        return planned
