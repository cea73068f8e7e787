"""The use case `deploy-fleet`: account check, plans, one confirmation, deployment, and a table of results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exasol_ci_setup import fleets
from exasol_ci_setup.cli.constructs import resolve_secrets
from exasol_ci_setup.cli.many_stacks import ManyFlags, ManyStacks
from exasol_ci_setup.cli.render import show
from exasol_ci_setup.cli.render.multi_stack import MultiStackReporter, connections, counted
from exasol_ci_setup.cli.session import Session
from exasol_ci_setup.constructs import CiBuild, ReleaseBuild
from exasol_ci_setup.core.errors import InputError, OperationInterruptedError
from exasol_ci_setup.core.once import Once
from exasol_ci_setup.core.task_graph import End, Ended
from exasol_ci_setup.programs import Deployment
from exasol_ci_setup.stacks.deploy import plan as plan_stack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.cli.consent import Consent
    from exasol_ci_setup.constructs import Construct
    from exasol_ci_setup.core.clock import Clock
    from exasol_ci_setup.core.stacks import Plan
    from exasol_ci_setup.fleets import Fleet
    from exasol_ci_setup.programs import Connections

_ENDS: Final = {End.DONE: "done", End.UNCHANGED: "no changes", End.FAILED: "failed", End.SKIPPED: "skipped"}


@dataclass(frozen=True, kw_only=True)
class FleetFlags(ManyFlags):
    """The options of `deploy-fleet`."""

    select: tuple[str, ...]
    as_stack_sets: bool


def run(session: Session, file: Path, flags: FleetFlags) -> None:
    """Deploy the fleet in `file`, or show its plans.

    Raises the error of the failed stack, or an error that names all failed stacks.
    """
    output = session.output
    if flags.as_stack_sets and flags.import_existing:
        raise InputError(
            "--import-existing does not work with --stack-set: a StackSet cannot import", hint="omit one of them"
        )
    fleet = fleets.load(file).selected(flags.select)
    # Before the first call of AWS, since it checks the file.
    stack_sets = fleet.stack_sets() if flags.as_stack_sets else {}
    connect = connections(session)
    reporter = FleetReporter(session, fleet, flags.consent(session))
    reporter.announce(len(fleet.members))
    # The sandbox has no accounts that could be the wrong ones.
    fleets.identified(fleet, connect, guarded=not session.sandbox)
    deployment = _deployment(flags, fleet, reporter, connect, session.clock)
    deployment.engine = lambda name: stack_sets[name].plan if name in stack_sets else plan_stack
    many = ManyStacks(session, flags, reporter, deployment)
    failed_plans: list[Ended] = []
    if flags.shows_plans:
        ends = many.plan(fleet)
        plans = reporter.shown or {}
        failed_plans = [end for end in ends if end.name not in plans]
        for end in failed_plans:
            reporter.result(end)
        if flags.plan_only:
            _print_results(session, fleet, ends, {name: _plan_result(plan) for name, plan in plans.items()})
            reporter.conclude(ends)
            stacks = {name: _plan_result(plan) if plan else End.UNCHANGED.value for name, plan in plans.items()}
            many.end_plan(many.changing, stacks)
            return
        many.ask(many.changing, but=f", without {len(failed_plans)} failed" if failed_plans else "")
    ends = many.apply(fleet.only(set(fleet.members) - {end.name for end in failed_plans}))
    for name, stack in many.deployment.stacks.items():
        output.record({"type": "outputs", "name": name, "stack_name": stack.name, "outputs": stack.outputs})
    ends = [*ends, *failed_plans]
    if any(isinstance(end.error, OperationInterruptedError) for end in ends):
        reporter.conclude(ends)
    _print_results(session, fleet, ends, {})
    reporter.conclude(ends)
    many.end(ends)


def _deployment(
    flags: FleetFlags, fleet: Fleet, reporter: FleetReporter, connect: Connections, clock: Clock
) -> Deployment:
    return Deployment(
        connect,
        reporter,
        clock,
        lambda _account, _construct: {},
        options=flags.options(),
        linter=flags.linter(),
        concurrency=flags.concurrency,
        # A drift detection takes AWS a minute for each stack.
        drift=False,
        # Each account of an organization has its own secret, so the template refers to it by name.
        complete=_SecretResolver() if not flags.as_stack_sets else lambda construct, _account: construct,
        planned=reporter.checked,
        tags=lambda name: fleet.members[name].tags,
    )


class FleetReporter(MultiStackReporter):
    """A reporter for many accounts: commands in hints select the account of their stack."""

    def __init__(self, session: Session, fleet: Fleet, consent: Consent) -> None:
        super().__init__(session, consent=consent, total=len(fleet.members))
        self._run = session
        self._fleet = fleet

    def result(self, result: object, /) -> None:
        """Report how the work on a stack ended."""
        if isinstance(result, Ended) and result.error is not None:
            scope = self._fleet.scope_of(result.name)
            target = Session(
                scope.profile or self._run.profile,
                scope.region,
                sandbox=self._run.sandbox,
                arguments=self._run.arguments,
            )
            hint = target.with_global_options(result.error.hint)
            if scope.role_assumptions and hint != result.error.hint:
                # No option assumes roles. Without them the command would act on a stack of another account.
                hint = f"{hint}\nrun it with the credentials of {scope.role_assumptions[-1]}, such as a profile that assumes this role"
            result.error.hint = hint
        super().result(result)

    def heading(self, name: str) -> str:
        """Return the line above the plan of a stack: its target."""
        return f"Target {show.clean(name.partition('/')[0])}"

    def conclude(self, ends: Sequence[Ended]) -> None:
        """Raise the failure, if any. The message of a single failure includes the stack."""
        failed = [end for end in ends if end.error is not None]
        if len(failed) == 1 and failed[0].error is not None:
            failed[0].error.message = f"1 of {counted(len(ends))} failed: {failed[0].name}: {failed[0].error.message}"
        super().conclude(ends)


class _SecretResolver:
    """Resolves the ARN of the Docker secret, with one request for each account and region."""

    def __init__(self) -> None:
        self._arns: Once[tuple[int, str], str | None] = Once()

    def __call__(self, construct: Construct, account: Account) -> Construct:
        if not isinstance(construct, CiBuild | ReleaseBuild) or construct.known_docker_secret_arn is not None:
            return resolve_secrets(construct, account, spelled=str)
        # There is one Account object for each account and region in a run.
        key = (id(account), construct.docker_secret)
        arn = self._arns.get(key, lambda: _docker_secret_arn(construct, account))
        return construct.model_copy(update={"docker_secret_arn": arn})


def _docker_secret_arn(construct: Construct, account: Account) -> str | None:
    resolved = resolve_secrets(construct, account, spelled=str)
    return resolved.docker_secret_arn if isinstance(resolved, CiBuild | ReleaseBuild) else None


def _plan_result(plan: Plan) -> str:
    if not plan:
        return "no changes"
    return "new" if plan.kind == "CREATE" else "update"


def _print_results(session: Session, fleet: Fleet, ends: Sequence[Ended], words: Mapping[str, str]) -> None:
    """Print a table of all stacks in the order of the file, and counts of results. `words` replace results."""
    by_name = {end.name: end for end in ends}
    results = {name: words.get(name, _ENDS[by_name[name].end]) for name in fleet.members if name in by_name}
    rows = [
        (fleet.members[name].target, fleet.members[name].construct.stack_name, result, _reason(by_name[name]))
        for name, result in results.items()
    ]
    session.output.data("\n".join(show.table(("TARGET", "STACK", "RESULT", "WHY"), rows)))
    counts = {word: list(results.values()).count(word) for word in dict.fromkeys(results.values())}
    session.output.say(f"{counted(len(rows))}: {', '.join(f'{count} {word}' for word, count in counts.items())}")


def _reason(end: Ended) -> str:
    if end.because:
        return f"{', '.join(end.because)} failed"
    return "" if end.error is None else end.error.message.partition("\n")[0]
