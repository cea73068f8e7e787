"""The use cases `up` and `down`: run a program, plan and deploy what it declares, or delete it."""

from __future__ import annotations

import contextlib
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exasol_ci_setup.cli.dry_run import dry_run, require_same, require_same_declarations
from exasol_ci_setup.cli.many_stacks import ManyFlags, ManyStacks
from exasol_ci_setup.cli.removal import CONTENTS, DeletionFlags, ManyRemovals, RemovalFlags
from exasol_ci_setup.cli.render import show
from exasol_ci_setup.cli.render.multi_stack import MultiStackReporter, connections, counted
from exasol_ci_setup.cli.render.records import outputs
from exasol_ci_setup.constructs.output_values import with_values
from exasol_ci_setup.core.task_graph import End
from exasol_ci_setup.programs import Declared, Deployment, images
from exasol_ci_setup.programs.actions import Runtime, use_runtime
from exasol_ci_setup.programs.removal import (
    find_existing,
    require_unused,
    undeclared,
)
from exasol_ci_setup.programs.requests import value_of
from exasol_ci_setup.programs.settings import require_alarms, settings_by_place
from exasol_ci_setup.stacks import network

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.constructs.base import Construct
    from exasol_ci_setup.constructs.scope import Scope
    from exasol_ci_setup.core.stacks import StackSettings
    from exasol_ci_setup.programs import Connections
    from exasol_ci_setup.programs.load import Program
    from exasol_ci_setup.programs.removal import ExistingStack


@dataclass(frozen=True, kw_only=True)
class UpFlags(ManyFlags, RemovalFlags):
    """The options of `up` and `plan`."""

    no_drift: bool


@dataclass(frozen=True, kw_only=True)
class DownFlags(DeletionFlags):
    """The options of `down`."""

    no_wait: bool


def up(session: Session, file: Path, flags: UpFlags) -> None:
    """Deploy what the program in `file` declares, or show the plans. Raises the error of the failed stacks."""
    output = session.output
    actions: list[str] = []
    threads = set(threading.enumerate())
    program, declared = dry_run(file, actions.append)
    require_same_declarations(program, declared)
    reporter = MultiStackReporter(session, consent=flags.consent(session))
    if not declared.constructs:
        output.say(f"{file} resolves no construct: no changes", *_thread_hint(set(threading.enumerate()) - threads))
        reporter.write_result("unchanged", changed=False)
        return
    connect = connections(session)
    reporter.announce(len(declared.constructs))
    run = ManyStacks(session, flags, reporter, _deployment(session, flags, reporter, connect))
    run.deployment.settings = _settings(flags, declared, connect)
    run.deployment.builds = declared.builds_of
    removals = ManyRemovals(session, reporter, flags)
    removed = _pruned(run, removals, declared, connect)
    run.deployment.removed = [each.stack.name for each in removed.values()]
    if flags.shows_plans:
        changes = _show_all(run, removals, declared, removed, actions)
        if flags.plan_only:
            run.end_plan(changes)
            return
        plans = {name: each.removal for name, each in removed.items()}
        run.ask(plans, contents=CONTENTS if flags.empty else "")
    else:
        run.check(declared)
        if removed:
            removals.show(removed, as_data=False)
            flags.consent(session).require(*(each.removal for each in removed.values()))
    ends = run.apply(declared)
    reporter.conclude(ends)
    if removed:
        require_unused(removed.values())
        pruned, _ = removals.apply(removed)
        ends = [*ends, *pruned]
        reporter.conclude(ends)
    _finish(session, program, declared, run.deployment)
    if all(end.end is End.UNCHANGED for end in ends):
        output.say(f"{counted(len(ends))} up to date")
        output.say(*_not_compared(run.deployment, declared))
    run.end(ends)


def _not_compared(deployment: Deployment, declared: Declared) -> list[str]:
    """Return a line with the types of resources that CloudFormation cannot compare with the templates, if there are any."""
    types = deployment.not_compared(declared)
    listed = ", ".join(f"{kind} ({number})" if number > 1 else kind for kind, number in sorted(types.items()))
    return [f"not compared with the templates, because CloudFormation cannot: {listed}"] if types else []


def _deployment(
    session: Session, flags: UpFlags, reporter: MultiStackReporter, connect: Callable[[Scope], Account]
) -> Deployment:
    return Deployment(
        connect,
        reporter,
        session.clock,
        network.find,
        options=flags.options(),
        linter=flags.linter(),
        plan_only=flags.plan_only,
        concurrency=flags.concurrency,
        drift=not flags.no_drift,
        planned=reporter.checked,
    )


def _settings(flags: UpFlags, declared: Declared, connect: Connections) -> Callable[[str], StackSettings]:
    """Return the settings of each stack. Raises as `settings_by_place` and `require_alarms`."""
    settings = flags.settings()
    if not settings.rollback_alarms:
        return lambda _name: settings
    found = settings_by_place(settings, {scope: (connect.identity(scope), scope.region) for scope in declared.scopes})
    require_alarms(found, connect)
    return lambda name: found[declared.scope_of(name)]


def _pruned(
    run: ManyStacks, removals: ManyRemovals, declared: Declared, connect: Callable[[Scope], Account]
) -> Mapping[str, ExistingStack]:
    """Return the stacks that are no longer declared and deleted by --prune, in the order of deletion."""
    flags = run.flags
    assert isinstance(flags, UpFlags)  # noqa: S101 - for the type checker
    stale = undeclared(declared, connect)
    if stale and not flags.prune:
        run.session.output.note(f"no longer declared: {', '.join(stale)}; to delete them, add --prune")
    return removals.in_order(stale if flags.prune else {}, declared.constructs)


def _show_all(
    run: ManyStacks,
    removals: ManyRemovals,
    declared: Declared,
    removed: Mapping[str, ExistingStack],
    actions: Collection[str],
) -> int:
    """Show the plans, the deletions and the actions; return the number of changed and deleted stacks."""
    output, flags = run.session.output, run.flags
    ends = run.plan(declared)
    run.reporter.conclude(ends)
    if unchanged := sum(end.end is End.UNCHANGED for end in ends):
        output.say(f"{counted(unchanged)} up to date")
        output.say(*_not_compared(run.deployment, declared))
    removals.show(removed, as_data=flags.plan_only)
    for action in actions:
        output.note(show.clean(action))
    return run.changing + len(removed)


def _finish(session: Session, program: Program, declared: Declared, deployment: Deployment) -> None:
    """Show the outputs, and run the program again with the outputs of all stacks."""
    output = session.output
    stacks = {name: deployment.stacks[name] for name in declared.constructs}
    values = {f"{name}.{key}": value for name, stack in stacks.items() for key, value in stack.outputs.items()}
    if values:
        output.data("\n".join(show.pairs(values)))
    for name, stack in stacks.items():
        output.record(outputs(name, stack.outputs))

    def set_outputs(construct: Construct) -> None:
        for name, each in Declared([construct]).constructs.items():
            before = declared.constructs.get(name)
            if before is not None:
                images.copy_tags(before, each)
            require_same(name, None if before is None else with_values(before, value_of), each)
            each.set_outputs(stacks[name].outputs)

    def outputs_of(construct: Construct) -> Mapping[str, str]:
        stack = stacks.get(construct.stack_name)
        return stack.outputs if stack is not None else construct.outputs

    # Except in text format, stdout is for records or a document only.
    stdout = contextlib.nullcontext() if output.format == "text" else contextlib.redirect_stdout(sys.stderr)
    runtime = Runtime(
        deployment.connect,
        session.clock,
        lambda line: output.say(show.clean(line)),
        resolve=set_outputs,
        outputs=outputs_of,
    )
    with use_runtime(runtime), stdout:
        program.run()


def _thread_hint(running: set[threading.Thread]) -> list[str]:
    if not running:
        return []
    return ["hint: threads of the program still run; hangar_run has to wait for them, or what they resolve is ignored"]


def down(session: Session, file: Path, flags: DownFlags) -> None:
    """Delete the stacks that the program in `file` declares, or show them."""
    output = session.output
    many = MultiStackReporter(session)
    _, declared = dry_run(file, lambda _action: None, names_only=True)
    connect = connections(session)
    many.announce(len(declared.constructs))
    stale = undeclared(declared, connect)
    if stale and not flags.prune:
        output.note(f"not declared in {file}: {', '.join(stale)}; to delete them, add --prune")
    existing = {**find_existing(declared, connect), **(stale if flags.prune else {})}
    if not existing:
        output.say(f"no stack that {file} declares exists: no changes")
        many.write_result("unchanged", changed=False)
        return
    removals = ManyRemovals(session, many, flags)
    removable = removals.in_order(existing, {}, prunable=stale)
    removals.run(removable, yes=flags.yes, plan_only=flags.plan_only, wait=not flags.no_wait)
