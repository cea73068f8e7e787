"""The use case `deploy-fleet`: account check, plans, one confirmation, deployment, and a table of results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exasol_ci_setup import fleets
from exasol_ci_setup.cli.consent import Consent, warning
from exasol_ci_setup.cli.constructs import resolve_secrets
from exasol_ci_setup.cli.render import records, report, show
from exasol_ci_setup.cli.render.multi_stack import MultiStackReporter, ask, connections, counted
from exasol_ci_setup.cli.session import Session
from exasol_ci_setup.constructs import CiBuild, ReleaseBuild
from exasol_ci_setup.core.errors import InputError, OperationInterruptedError
from exasol_ci_setup.core.once import Once
from exasol_ci_setup.core.task_graph import End, Ended
from exasol_ci_setup.programs import Deployment
from exasol_ci_setup.stacks.deploy import Options
from exasol_ci_setup.stacks.deploy import plan as plan_stack
from exasol_ci_setup.template.lint import Linter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.constructs import Construct
    from exasol_ci_setup.fleets import Fleet
    from exasol_ci_setup.stacks.model import Plan

_ENDS: Final = {End.DONE: "done", End.UNCHANGED: "no changes", End.FAILED: "failed", End.SKIPPED: "skipped"}


def run(
    session: Session,
    file: Path,
    *,
    yes: bool,
    plan_only: bool,
    select: tuple[str, ...],
    as_stack_sets: bool,
    adopt: bool,
    import_existing: bool,
    allow_broadening: bool,
    allow_data_loss: bool,
    recreate_failed: bool,
    wait: bool,
    timeout: float | None,
    no_lint: bool,
    concurrency: int,
) -> None:
    """Deploy the fleet in `file`, or show its plans.

    Raises the error of the failed stack, or an error that names all failed stacks.
    """
    output = session.output
    if as_stack_sets and import_existing:
        raise InputError(
            "--import-existing does not work with --stack-set: a StackSet cannot import", hint="omit one of them"
        )
    fleet = fleets.load(file).selected(select)
    stack_sets = fleet.stack_sets() if as_stack_sets else {}
    connect = connections(session)
    consent = Consent(session, allow_broadening=allow_broadening, allow_data_loss=allow_data_loss)
    reporter = FleetReporter(session, fleet, consent)
    reporter.announce(len(fleet.members))
    # The sandbox has no accounts that could be the wrong ones.
    fleets.identified(fleet, connect, guarded=not session.sandbox)
    deployment = Deployment(
        connect,
        reporter,
        session.clock,
        lambda _account, _construct: {},
        options=Options(
            adopt=adopt,
            wait=wait,
            recreate_failed=recreate_failed,
            import_existing=import_existing,
            timeout=timeout,
        ),
        linter=None if no_lint else Linter(),
        concurrency=concurrency,
        # A drift detection takes AWS a minute for each stack.
        drift=False,
        # Each account of an organization has its own secret, so the template refers to it by name.
        complete=_SecretResolver() if not as_stack_sets else lambda construct, _account: construct,
        planned=reporter.checked,
        tags=lambda name: fleet.members[name].tags,
        engine=lambda name: stack_sets[name].plan if name in stack_sets else plan_stack,
    )
    failed_plans: list[Ended] = []
    if plan_only or not yes:
        with reporter.checking(len(fleet.members)):
            planned, ends = deployment.plan(fleet)
        plans = {name: each.plan for name, each in planned.items()}
        changes = _show_plans(session, plans, as_data=plan_only)
        reporter.shown = plans
        failed_plans = [end for end in ends if end.name not in plans]
        for end in failed_plans:
            reporter.result(end)
        if plan_only:
            output.say(report.PLAN_ONLY)
            _print_results(session, fleet, ends, {name: _plan_result(plan) for name, plan in plans.items()})
            reporter.conclude(ends)
            stacks = {name: _plan_result(plan) if plan else End.UNCHANGED.value for name, plan in plans.items()}
            output.record(records.result("planned" if changes else "unchanged", stacks=stacks, changed=False))
            return
        if changes:
            rest = f", without {len(failed_plans)} failed" if failed_plans else ""
            ask(
                output,
                f"{warning(plans)}Deploy {counted(changes)}{rest}?",
                "not deployed: the plan was declined; nothing was changed",
            )
    with reporter.table():
        ends = deployment.apply(fleet.only(set(fleet.members) - {end.name for end in failed_plans}))
    for name, stack in deployment.stacks.items():
        output.record({"type": "outputs", "name": name, "stack_name": stack.name, "outputs": stack.outputs})
    ends = [*ends, *failed_plans]
    if any(isinstance(end.error, OperationInterruptedError) for end in ends):
        reporter.conclude(ends)
    _print_results(session, fleet, ends, {})
    reporter.conclude(ends)
    unchanged = all(end.end is End.UNCHANGED for end in ends)
    reporter.conclude_with("unchanged" if unchanged else "deployed", ends, changed=not unchanged)


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


def _show_plans(session: Session, plans: Mapping[str, Plan], *, as_data: bool) -> int:
    """Show the plans with changes, and return their number."""
    output = session.output
    changing = {name: plan for name, plan in plans.items() if plan}
    for number, (name, plan) in enumerate(changing.items()):
        target = name.partition("/")[0]
        if output.format == "text":
            (output.data if as_data else output.say)("\n" * bool(number) + f"Target {show.clean(target)}")
        report.plan(output, plan, as_data=as_data, name=name)
        if not as_data and output.format == "json":
            # The record on stdout is for a program; the user needs the plan as text.
            output.say(*show.plan(plan, unicode=output.unicode))
    return len(changing)


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
