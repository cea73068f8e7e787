"""The use cases `up` and `down`: run a program, plan and deploy what it declares, or delete it."""

from __future__ import annotations

import contextlib
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.cli.consent import warning
from exasol_ci_setup.cli.dry_run import dry_run, require_same, require_same_declarations
from exasol_ci_setup.cli.many_stacks import ManyFlags, ManyStacks
from exasol_ci_setup.cli.render import report, show
from exasol_ci_setup.cli.render.multi_stack import MultiStackReporter, ask, connections, counted
from exasol_ci_setup.cli.render.records import outputs
from exasol_ci_setup.core.commands import watch_hint
from exasol_ci_setup.core.task_graph import End
from exasol_ci_setup.programs import Declared, Deployment, images
from exasol_ci_setup.programs.actions import Runtime, use_runtime
from exasol_ci_setup.programs.removal import (
    Removable,
    Removal,
    find_existing,
    require_deletable,
    require_empty,
    require_unused,
    undeclared,
)
from exasol_ci_setup.stacks import network

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.cli.output import Output
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.constructs.base import ScopedConstruct
    from exasol_ci_setup.constructs.scope import Scope
    from exasol_ci_setup.core.task_graph import Ended
    from exasol_ci_setup.programs.load import Program
    from exasol_ci_setup.programs.removal import ExistingStack

_CONTENTS: Final = " and the contents of the deleted buckets and repositories"


@dataclass(frozen=True, kw_only=True)
class UpFlags(ManyFlags):
    """The options of `up` and `plan`."""

    prune: bool
    empty: bool
    no_drift: bool


@dataclass(frozen=True, kw_only=True)
class DownFlags:
    """The options of `down`."""

    yes: bool
    plan_only: bool
    prune: bool
    empty: bool
    no_wait: bool
    concurrency: int


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
    removed = _pruned(run, declared, connect)
    if flags.shows_plans:
        changes = _show_all(run, declared, removed, actions)
        if flags.plan_only:
            run.end_plan(changes)
            return
        removals = {name: each.removal for name, each in removed.items()}
        run.ask(changes, removals, but=_CONTENTS if flags.empty else "")
    elif removed:
        _show_removal(output, removed, empty=flags.empty, as_data=False)
        flags.consent(session).require(*(each.removal for each in removed.values()))
    ends = run.apply(declared)
    reporter.conclude(ends)
    if removed:
        require_unused(removed.values())
        pruned, _ = _remove(session, reporter, removed, empty=flags.empty, wait=True, concurrency=flags.concurrency)
        ends = [*ends, *pruned]
        reporter.conclude(ends)
    _finish(session, program, declared, run.deployment)
    if all(end.end is End.UNCHANGED for end in ends):
        output.say(f"{counted(len(ends))} up to date")
    run.end(ends)


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
        concurrency=flags.concurrency,
        drift=not flags.no_drift,
        planned=reporter.checked,
    )


def _pruned(run: ManyStacks, declared: Declared, connect: Callable[[Scope], Account]) -> Mapping[str, ExistingStack]:
    """Return the stacks that are no longer declared and deleted by --prune, in the order of deletion."""
    flags = run.flags
    assert isinstance(flags, UpFlags)  # noqa: S101 - for the type checker
    stale = undeclared(declared, connect)
    if stale and not flags.prune:
        run.session.output.say(f"no longer declared: {', '.join(stale)}; to delete them, add --prune")
    existing = stale if flags.prune else {}
    return _removable(run.session, run.reporter, existing, declared.constructs, empty=flags.empty)


def _show_all(
    run: ManyStacks, declared: Declared, removed: Mapping[str, ExistingStack], actions: Collection[str]
) -> int:
    """Show the plans, the deletions and the actions; return the number of changed and deleted stacks."""
    output, flags = run.session.output, run.flags
    assert isinstance(flags, UpFlags)  # noqa: S101 - for the type checker
    ends = run.plan(declared)
    run.reporter.conclude(ends)
    if unchanged := len(ends) - run.changing:
        output.say(f"{counted(unchanged)} up to date")
    _show_removal(output, removed, empty=flags.empty, as_data=flags.plan_only)
    for action in actions:
        output.say(show.clean(action))
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

    def set_outputs(construct: ScopedConstruct) -> None:
        for name, each in Declared([construct]).constructs.items():
            before = declared.constructs.get(name)
            if before is not None:
                images.copy_tags(before, each)
            require_same(name, before, each)
            each.set_outputs(stacks[name].outputs)

    # With JSON output, stdout is for records only.
    stdout = contextlib.redirect_stdout(sys.stderr) if output.format == "json" else contextlib.nullcontext()
    runtime = Runtime(deployment.connect, session.clock, lambda line: output.say(show.clean(line)), set_outputs)
    with use_runtime(runtime), stdout:
        program.run()


def _thread_hint(running: set[threading.Thread]) -> list[str]:
    if not running:
        return []
    return ["hint: threads of the program still run; hangar_run has to wait for them, or what they resolve is ignored"]


def _show_removal(output: Output, existing: Mapping[str, ExistingStack], *, empty: bool, as_data: bool) -> None:

    for each in existing.values():
        report.deletion(output, each.resources, each.removal, empty=empty, as_data=as_data)


def down(session: Session, file: Path, flags: DownFlags) -> None:
    """Delete the stacks that the program in `file` declares, or show them."""
    output = session.output
    many = MultiStackReporter(session)
    _, declared = dry_run(file, lambda _action: None, names_only=True)
    connect = connections(session)
    many.announce(len(declared.constructs))
    stale = undeclared(declared, connect)
    if stale and not flags.prune:
        output.say(f"not declared in {file}: {', '.join(stale)}; to delete them, add --prune")
    existing = {**find_existing(declared, connect), **(stale if flags.prune else {})}
    if not existing:
        output.say(f"no stack that {file} declares exists: no changes")
        many.write_result("unchanged", changed=False)
        return
    removable = _removable(session, many, existing, {}, empty=flags.empty, prunable=stale)
    _show_removal(output, removable, empty=flags.empty, as_data=flags.plan_only)
    if flags.plan_only:
        output.say("plan only: nothing was deleted")
        many.write_result("planned", changed=False)
        return
    if not flags.yes:
        lost = warning({name: each.removal for name, each in removable.items()})
        ask(
            output,
            f"{lost}Delete {counted(len(removable))}{_CONTENTS if flags.empty else ''}?",
            "not deleted: nothing was changed",
        )
    ends, begun = _remove(
        session,
        many,
        removable,
        empty=flags.empty,
        wait=not flags.no_wait,
        concurrency=flags.concurrency,
    )
    many.conclude(ends)
    many.write_result("deleting" if begun else "deleted", ends, changed=True, begun=begun)


def _removable(
    session: Session,
    many: MultiStackReporter,
    existing: Mapping[str, ExistingStack],
    declared: Mapping[str, ScopedConstruct],
    *,
    empty: bool,
    prunable: Collection[str] = (),
) -> Mapping[str, ExistingStack]:
    """Return the stacks in the order of deletion. Raises StackError if AWS would reject a deletion.

    `declared` are the constructs that are deployed first, `prunable` the stacks that --prune also deletes.
    """
    if not existing:
        return {}
    require_deletable(existing.values())
    removable = Removable(existing)
    removable.require_unused(
        declared, lambda user: f"to delete {user.name} too: {session.again('--prune')}" if user.name in prunable else ""
    )
    if not empty:
        require_empty(existing, many, hint=f"to delete their contents too: {session.again('--empty')}")
    return removable.in_order()


def _remove(
    session: Session,
    many: MultiStackReporter,
    existing: Mapping[str, ExistingStack],
    *,
    empty: bool,
    wait: bool,
    concurrency: int,
) -> tuple[list[Ended], set[str]]:
    """Delete the stacks; return their final states, and the names of stacks that AWS still deletes."""
    removal = Removal(many, session.clock, empty=empty, wait=wait, concurrency=concurrency)
    if many.shown is None:
        many.shown = {}
    with many.table():
        ends = removal.apply(existing)
    for name in removal.begun:
        session.output.say(session.with_global_options(f"AWS continues to delete stack {name}; {watch_hint(name)}"))
    return ends, removal.begun
