"""The use cases `deploy-fleet` and `delete-fleet`: account check, plans, one confirmation, and a table of results."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from exasol_ci_setup import fleets
from exasol_ci_setup.cli.consent import Consent
from exasol_ci_setup.cli.many_stacks import ManyFlags, ManyStacks
from exasol_ci_setup.cli.removal import CONTENTS, DeletionFlags, ManyRemovals, RemovalFlags
from exasol_ci_setup.cli.render import show
from exasol_ci_setup.cli.render.multi_stack import MultiStackReporter, connections, counted
from exasol_ci_setup.constructs import CiBuild, ReleaseBuild, SourceCredentials
from exasol_ci_setup.constructs.stack import Stack
from exasol_ci_setup.core.errors import InputError, OperationInterruptedError, StackError
from exasol_ci_setup.core.once import Once
from exasol_ci_setup.core.task_graph import End, Ended
from exasol_ci_setup.programs import Deployment
from exasol_ci_setup.programs.removal import find_existing, require_unused
from exasol_ci_setup.programs.settings import require_alarms, settings_by_place
from exasol_ci_setup.stacks import build_stacks, state
from exasol_ci_setup.stacks.deploy import plan as plan_stack
from exasol_ci_setup.stacks.request import resolve_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.constructs import Construct
    from exasol_ci_setup.constructs.scope import Scope
    from exasol_ci_setup.core.clock import Clock
    from exasol_ci_setup.core.stacks import Plan, StackSettings
    from exasol_ci_setup.fleets import Fleet
    from exasol_ci_setup.programs import Connections
    from exasol_ci_setup.programs.removal import ExistingStack
    from exasol_ci_setup.stacks.build_stacks import BuildStack
    from exasol_ci_setup.template.input_files import StackOutput

_UNCHANGED: Final = {"unchanged": "no changes"}


@dataclass(frozen=True, kw_only=True)
class FleetFlags(ManyFlags, RemovalFlags):
    """The options of `deploy-fleet`."""

    select: tuple[str, ...]
    as_stack_sets: bool

    def __post_init__(self) -> None:
        """Raise InputError for options that exclude each other."""
        super().__post_init__()
        if self.as_stack_sets:
            self._require_options_of_stack_set()
        if self.prune and (self.select or self.as_stack_sets):
            other = "--select" if self.select else "--stack-set"
            raise InputError(f"--prune does not work with {other}", hint="omit one of them")
        if self.empty and not self.prune:
            raise InputError("--empty has no effect without --prune", hint="add --prune")

    def _require_options_of_stack_set(self) -> None:
        refused = {
            "--import-existing": self.import_existing,
            "--role-arn": self.role_arn,
            "--notification-arn": self.notification_arns,
            "--termination-protection": self.termination_protection is not None,
            "--stack-policy": self.stack_policy,
            "--rollback-alarm": self.rollback_alarms,
            "--on-failure": self.on_failure != "rollback",
        }
        for option, is_set in refused.items():
            if is_set:
                raise InputError(
                    f"{option} does not work with --stack-set: a StackSet has no such setting", hint="omit one of them"
                )


@dataclass(frozen=True, kw_only=True)
class DeleteFleetFlags(DeletionFlags):
    """The options of `delete-fleet`."""

    select: tuple[str, ...]


def run(session: Session, file: Path, flags: FleetFlags) -> None:
    """Deploy the fleet in `file`, or show its plans.

    Raises the error of the failed stack, or an error that names all failed stacks.
    """
    whole = fleets.load(file, templates=flags.select)
    if flags.prune:
        _require_name(whole)
    fleet = whole.selected(flags.select).linked()
    # Before the first call of AWS, since it checks the file.
    stack_sets = fleet.stack_sets() if flags.as_stack_sets else {}
    connect = connections(session)
    reporter = FleetReporter(session, fleet, flags.consent(session))
    reporter.announce(len(fleet.members))
    # The sandbox has no accounts that could be the wrong ones.
    accounts = fleets.identified(fleet, connect, guarded=not session.sandbox)
    deployment = _deployment(flags, reporter, connect, session.clock)
    deployment.settings = _settings(flags, fleet, accounts, connect)
    deployment.engine = lambda name: stack_sets[name].plan if name in stack_sets else plan_stack
    if not stack_sets:
        deployment.complete = _Completer(fleet, fleets.external_outputs(fleet, whole, connect))
    removals = ManyRemovals(session, reporter, flags)
    removed = _pruned(session, flags, whole, removals, connect)
    started = _FleetRun(session, flags, fleet, ManyStacks(session, flags, reporter, deployment), removals, removed)
    if flags.plan_only:
        started.end_plan(started.plan())
    else:
        started.deploy(started.confirm())


@dataclass(frozen=True)
class _FleetRun:
    """The deployment of a fleet, and the deletion of its stacks that are `removed` from the file."""

    session: Session
    flags: FleetFlags
    fleet: Fleet
    many: ManyStacks
    removals: ManyRemovals
    removed: Mapping[str, ExistingStack]

    def plan(self) -> list[Ended]:
        """Plan all stacks, show the plans, and return their ends."""
        ends = self.many.plan(self.fleet)
        for end in self._failed(ends):
            self.many.reporter.result(end)
        self.removals.show(self.removed, as_data=self.flags.plan_only)
        return ends

    def end_plan(self, ends: Sequence[Ended]) -> None:
        """Print the results of the plans. Raises the error of the failed ones."""
        results = {name: self._plan_result(name, plan) for name, plan in self._plans.items()}
        results |= dict.fromkeys(self.removed, "delete")
        planned = [*ends, *(Ended(name, End.DONE) for name in self.removed)]
        _print_results(self.session, self.fleet, planned, results)
        self.many.reporter.conclude(ends)
        self.many.end_plan(self.many.changing + len(self.removed), results)

    def confirm(self) -> list[Ended]:
        """Prompt for confirmation of the plans, or check what --yes does not approve. Returns the failed plans."""
        removed = {name: each.removal for name, each in self.removed.items()}
        if self.flags.shows_plans:
            failed = self._failed(self.plan())
            contents = CONTENTS if self.flags.empty else ""
            self.many.ask(removed, failed=len(failed), contents=contents)
            return failed
        if removed:
            self.removals.show(self.removed, as_data=False)
            self.flags.consent(self.session).require(*removed.values())
        return []

    def deploy(self, failed_plans: Sequence[Ended]) -> None:
        """Deploy and delete the stacks, and print the results. Raises the error of the failed ones."""
        many = self.many
        ends = many.apply(self.fleet.only(set(self.fleet.members) - {end.name for end in failed_plans}))
        for name, stack in many.deployment.stacks.items():
            self.session.output.record(
                {"type": "outputs", "name": name, "stack_name": stack.name, "outputs": stack.outputs}
            )
        ends = [*ends, *failed_plans]
        if self.removed and all(end.error is None for end in ends):
            require_unused(self.removed.values())
            pruned, _ = self.removals.apply(self.removed)
            ends = [*ends, *pruned]
        if any(isinstance(end.error, OperationInterruptedError) for end in ends):
            many.reporter.conclude(ends)
        _print_results(self.session, self.fleet, ends, {})
        many.reporter.conclude(ends)
        many.end(ends)

    def _plan_result(self, name: str, plan: Plan) -> str:
        if plan:
            return "new" if plan.kind == "CREATE" else "update"
        return "done" if name in self.many.deployment.followed else "unchanged"

    @property
    def _plans(self) -> Mapping[str, Plan]:
        return self.many.reporter.shown or {}

    def _failed(self, ends: Sequence[Ended]) -> list[Ended]:
        return [end for end in ends if end.name not in self._plans]


def _require_name(fleet: Fleet) -> None:
    if fleet.name is None:
        raise InputError(
            f"--prune needs the name of the fleet, which {fleet.path} does not have",
            hint="add `name: NAME` to the file and deploy it; stacks of earlier runs have no tag of the fleet yet",
        )


def _pruned(
    session: Session, flags: FleetFlags, fleet: Fleet, removals: ManyRemovals, connect: Connections
) -> Mapping[str, ExistingStack]:
    """Return the stacks of the fleet that are no longer in the file and deleted by --prune, in the order of deletion."""
    if flags.as_stack_sets:
        return {}
    stale = fleets.undeclared(fleet, connect)
    if stale and not flags.prune:
        session.output.note(f"no longer in {fleet.path}: {', '.join(stale)}; to delete them, add --prune")
    return removals.in_order(stale if flags.prune else {}, {})


def delete(session: Session, file: Path, flags: DeleteFleetFlags) -> None:
    """Delete the stacks that the fleet in `file` declares, or show them. Raises the error of the failed stacks."""
    whole = fleets.load(file)
    if flags.prune:
        _require_name(whole)
    fleet = whole.selected(flags.select, alone=True)
    connect = connections(session)
    reporter = FleetReporter(session, fleet, Consent(session))
    reporter.announce(len(fleet.members))
    fleets.identified(fleet, connect, guarded=not session.sandbox)
    existing = {**(fleets.undeclared(whole, connect) if flags.prune else {}), **find_existing(fleet, connect)}
    if not existing:
        session.output.say(f"no stack that {file} declares exists: no changes")
        reporter.write_result("unchanged", changed=False)
        return
    removals = ManyRemovals(session, reporter, flags)
    # Each account and region has one credential, which other stacks use too.
    shared = [name for name in existing if name in fleet.members and _is_credential(fleet.members[name].construct)]
    ordered = removals.in_order(existing, {}, shared=shared)
    if not ordered:
        reporter.write_result("unchanged", changed=False)
        return
    removals.run(ordered, yes=flags.yes, plan_only=flags.plan_only)


def _is_credential(construct: Construct) -> bool:
    return isinstance(construct, SourceCredentials)


def _deployment(flags: FleetFlags, reporter: FleetReporter, connect: Connections, clock: Clock) -> Deployment:
    return Deployment(
        connect,
        reporter,
        clock,
        lambda _account, _construct: {},
        options=flags.options(),
        linter=flags.linter(),
        plan_only=flags.plan_only,
        concurrency=flags.concurrency,
        # A drift detection takes AWS a minute for each stack.
        drift=False,
        # Each account of an organization has its own secret, so the template refers to it by name.
        complete=lambda construct, _account: construct,
        planned=reporter.checked,
    )


def _settings(
    flags: FleetFlags, fleet: Fleet, accounts: Mapping[str, str], connect: Callable[[Scope], Account]
) -> Callable[[str], StackSettings]:
    """Return the settings of each stack: those of the file, and those of the options, which win.

    Raises as `settings_by_place` and `require_alarms`.
    """
    places = {name: (accounts[name], fleet.targets[name].region) for name in fleet.used_targets}
    found = settings_by_place(flags.settings(), places)
    scopes = {member.target: fleet.scope_of(name) for name, member in fleet.members.items()}
    require_alarms(found, lambda target: connect(scopes[target]))

    def of(name: str) -> StackSettings:
        member = fleet.members[name]
        settings = found[member.target]
        protection = settings.termination_protection
        return replace(
            settings,
            tags={**member.tags, **settings.tags},
            termination_protection=member.protect if protection is None else protection,
        )

    return of


class FleetReporter(MultiStackReporter):
    """A reporter for many accounts: commands in hints select the account of their stack."""

    def __init__(self, session: Session, fleet: Fleet, consent: Consent) -> None:
        super().__init__(session, consent=consent, total=len(fleet.members))
        self._run = session
        self._fleet = fleet

    def result(self, result: object, /) -> None:
        """Report how the work on a stack ended."""
        if isinstance(result, Ended) and result.error is not None:
            region = self._scope(result.name).region
            result.error.hint = self.localized(result.name, result.error.hint, region=region)
        super().result(result)

    def localized(self, name: str, text: str, *, region: str) -> str:
        """Return `text` whose commands have the options for the target of a stack."""
        scope = self._scope(name)
        hint = self._run.at(region, scope.profile).with_global_options(text)
        if scope.role_assumptions and hint != text:
            # No option assumes roles. Without them the command would act on a stack of another account.
            role = scope.role_assumptions[-1]
            hint = f"{hint}\nrun it with the credentials of {role}, such as a profile that assumes this role"
        return hint

    def _scope(self, name: str) -> Scope:
        target = name.partition("/")[0]
        return self._fleet.targets[target].scope(target)

    def heading(self, name: str) -> str:
        """Return the line above the plan of a stack: its target."""
        return f"Target {show.clean(name.partition('/')[0])}"

    def conclude(self, ends: Sequence[Ended]) -> None:
        """Raise the failure, if any. The message of a single failure includes the stack."""
        failed = [end for end in ends if end.error is not None]
        if len(failed) == 1 and failed[0].error is not None:
            failed[0].error.message = f"1 of {counted(len(ends))} failed: {failed[0].name}: {failed[0].error.message}"
        super().conclude(ends)


class _Completer:
    """Completes constructs with values of AWS: outputs of stacks that are not in the fleet, and ARNs of Docker secrets.

    Secrets and the stacks with builds are requested once for each account and region.
    """

    def __init__(self, fleet: Fleet, outputs: Mapping[StackOutput, str]) -> None:
        self._builds: Once[int, list[BuildStack]] = Once()
        self._arns: Once[tuple[int, str], str | None] = Once()
        self._outputs = outputs
        self._wanted = {id(each.construct): each.outputs for each in fleet.members.values() if each.outputs}

    def __call__(self, construct: Construct, account: Account) -> Construct:
        """Return the construct with these values.

        Raises InputError for a secret that does not exist, and StackError if another stack builds the project.
        """
        if isinstance(construct, Stack):
            return self._with_outputs(construct)
        self._require_only(construct, account)
        if not isinstance(construct, CiBuild | ReleaseBuild) or construct.unknown_docker_secret is None:
            return resolve_secrets(construct, account, spelled=str)
        # There is one Account object for each account and region in a run.
        key = (id(account), construct.docker_secret)
        arn = self._arns.get(key, lambda: _docker_secret_arn(construct, account))
        return construct.model_copy(update={"docker_secret_arn": arn})

    def _require_only(self, construct: Construct, account: Account) -> None:
        if not isinstance(construct, CiBuild | ReleaseBuild) or construct.stack is not None:
            return
        stacks = self._builds.get(id(account), lambda: list(build_stacks.existing(account.client("cloudformation"))))
        other = build_stacks.find_other(stacks, construct)
        if other is not None:
            names = [f"stack_name: {other.name}"]
            if name := build_stacks.kept_codebuild_name(other, construct):
                names.append(f"codebuild_name: {name}")
            raise StackError(
                build_stacks.message(other),
                hint=f"set {' and '.join(names)} for it in the file{'' if state.is_own(other) else ', and add --adopt'}; "
                f"for a second stack, which builds each push too: stack_name: {construct.stack_name}",
                stack_name=other.name,
            )

    def _with_outputs(self, stack: Stack) -> Stack:
        wanted = self._wanted.get(id(stack), {})
        return (
            stack.with_parameters({name: self._outputs[output] for name, output in wanted.items()}) if wanted else stack
        )


def _docker_secret_arn(construct: Construct, account: Account) -> str | None:
    resolved = resolve_secrets(construct, account, spelled=str)
    return resolved.docker_secret_arn if isinstance(resolved, CiBuild | ReleaseBuild) else None


def _print_results(session: Session, fleet: Fleet, ends: Sequence[Ended], words: Mapping[str, str]) -> None:
    """Print a table of all stacks in the order of the file, and counts of results. `words` replace results."""
    by_name = {end.name: end for end in ends}
    results = {name: words.get(name, by_name[name].end.value) for name in fleet.members if name in by_name}
    # Stacks that are no longer in the file.
    for name, end in by_name.items():
        if name not in results:
            results[name] = words.get(name, "deleted") if end.error is None else "failed"
    results = {name: _UNCHANGED.get(result, result) for name, result in results.items()}
    rows = [(*name.partition("/")[::2], result, _reason(by_name[name])) for name, result in results.items()]
    header = ("TARGET", "STACK", "RESULT", "WHY")
    session.output.data("\n".join(show.table(header, rows, width=session.output.data_width)))
    counts = {word: list(results.values()).count(word) for word in dict.fromkeys(results.values())}
    session.output.say(f"{counted(len(rows))}: {', '.join(f'{count} {word}' for word, count in counts.items())}")


def _reason(end: Ended) -> str:
    if end.because:
        return f"{', '.join(end.because)} failed"
    return "" if end.error is None else show.cause(end.error)
