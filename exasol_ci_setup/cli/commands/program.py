"""Commands `up`, `plan` and `down`: deploy and delete the stacks that a program declares."""

from __future__ import annotations

import contextlib
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from exasol_ci_setup.cli.dry_run import collect_only, dry_run, require_same, require_same_declarations
from exasol_ci_setup.cli.options import (
    ALLOW_BROADENING,
    ALLOW_DATA_LOSS,
    CONCURRENCY,
    IMPORT_EXISTING,
    PLAN,
    RECREATE_FAILED,
    Duration,
)
from exasol_ci_setup.cli.session import common_options
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.core.task_graph import End

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from exasol_ci_setup.cli.output import Output
    from exasol_ci_setup.cli.render.multi_stack import MultiStackReporter
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.constructs.base import ScopedConstruct
    from exasol_ci_setup.core.task_graph import Ended
    from exasol_ci_setup.programs import Declared, Deployment
    from exasol_ci_setup.programs.load import Program
    from exasol_ci_setup.programs.removal import ExistingStack

_CONTENTS: Final = " and the contents of the deleted buckets and repositories"

F = TypeVar("F", bound="Callable[..., Any]")


def _file_argument(command: F) -> F:
    return click.argument("file", type=click.Path(path_type=Path))(command)


_DEPLOY_OPTIONS = (
    click.option("--prune", is_flag=True, help="Also delete the scope's stacks that FILE no longer declares."),
    click.option(
        "--empty",
        is_flag=True,
        help="With --prune: also delete the contents of their buckets and repositories.",
    ),
    IMPORT_EXISTING,
    click.option("--wait", is_flag=True, help="Wait if another operation on a stack is in progress."),
    click.option("--no-lint", is_flag=True, help="Skip cfn-lint."),
    click.option("--no-drift", is_flag=True, help="Do not check for changes made outside of CloudFormation."),
    CONCURRENCY,
)


def _deploy_options(command: F) -> F:
    for option in reversed(_DEPLOY_OPTIONS):
        command = option(command)
    return command


@click.command("up")
@common_options
@_file_argument
@click.option("--yes", "-y", is_flag=True, help="Do not prompt for confirmation.")
@PLAN
@ALLOW_BROADENING
@ALLOW_DATA_LOSS
@RECREATE_FAILED
@click.option(
    "--timeout",
    type=Duration(),
    metavar="TIME",
    help="Time out a stack after this time (90s, 30m, 2h): cancel the update, or roll back the creation.",
)
@_deploy_options
def up(session: Session, file: Path, **values: Any) -> None:
    """Deploy what a Python program declares.

    FILE has a function hangar_run that creates constructs and calls resolve() on them. A dry run collects them first. Then their stacks
    are deployed, in parallel where the dependencies allow it. At the end, hangar_run runs again, with the outputs of all stacks.
    """
    _require_prune(session, values)
    with collect_only():
        _up(session, file, **values)


@click.command("plan")
@common_options
@_file_argument
@_deploy_options
def plan(session: Session, file: Path, **values: Any) -> None:
    """Show what `up` would change.

    Runs FILE as a dry run. Changes nothing on AWS, and leaves nothing there.
    """
    _require_prune(session, values)
    with collect_only():
        _up(
            session,
            file,
            yes=False,
            plan_only=True,
            allow_broadening=False,
            allow_data_loss=False,
            recreate_failed=False,
            timeout=None,
            **values,
        )


def _require_prune(session: Session, values: Mapping[str, Any]) -> None:
    if values["empty"] and not values["prune"]:
        raise InputError("--empty has no effect without --prune", hint=f"to delete stacks: {session.again('--prune')}")


def _up(
    session: Session,
    file: Path,
    *,
    yes: bool,
    plan_only: bool,
    allow_broadening: bool,
    allow_data_loss: bool,
    recreate_failed: bool,
    timeout: float | None,
    prune: bool,
    empty: bool,
    import_existing: bool,
    wait: bool,
    no_lint: bool,
    no_drift: bool,
    concurrency: int,
) -> None:
    from exasol_ci_setup.cli.consent import Consent, warning
    from exasol_ci_setup.cli.render import report, show
    from exasol_ci_setup.cli.render.multi_stack import MultiStackReporter, ask, connections, counted
    from exasol_ci_setup.programs import Deployment
    from exasol_ci_setup.programs.removal import require_unused, undeclared
    from exasol_ci_setup.stacks import network
    from exasol_ci_setup.stacks.deploy import Options
    from exasol_ci_setup.template.lint import Linter

    output = session.output
    actions: list[str] = []
    threads = set(threading.enumerate())
    program, declared = dry_run(file, actions.append)
    require_same_declarations(program, declared)
    consent = Consent(session, allow_broadening=allow_broadening, allow_data_loss=allow_data_loss)
    many = MultiStackReporter(session, consent=consent)
    if not declared.constructs:
        output.say(f"{file} resolves no construct: no changes", *_thread_hint(set(threading.enumerate()) - threads))
        many.conclude_with("unchanged", changed=False)
        return
    connect = connections(session)
    many.announce(len(declared.constructs))
    deployment = Deployment(
        connect,
        many,
        session.clock,
        network.find,
        options=Options(wait=wait, recreate_failed=recreate_failed, import_existing=import_existing, timeout=timeout),
        linter=None if no_lint else Linter(),
        concurrency=concurrency,
        drift=not no_drift,
        planned=many.checked,
    )
    stale = undeclared(declared, connect)
    if stale and not prune:
        output.say(f"no longer declared: {', '.join(stale)}; to delete them, add --prune")
    removed = _removable(session, many, stale if prune else {}, declared.constructs, empty=empty)
    removals = {name: each.removal for name, each in removed.items()}
    if plan_only or not yes:
        changes = _show_plans(session, deployment, many, declared, as_data=plan_only) + len(removed)
        _show_removal(output, removed, empty=empty, as_data=plan_only)
        for action in actions:
            output.say(show.clean(action))
        if plan_only:
            output.say(report.PLAN_ONLY)
            many.conclude_with("planned" if changes else "unchanged", changed=False)
            return
        if changes:
            ask(
                output,
                f"{warning({**(many.shown or {}), **removals})}Deploy {counted(changes)}{_CONTENTS if empty else ''}?",
                "not deployed: the plan was declined; nothing was changed",
            )
    elif removed:
        _show_removal(output, removed, empty=empty, as_data=False)
        consent.require(*removals.values())
    with many.table():
        ends = deployment.apply(declared)
    many.conclude(ends)
    if removed:
        require_unused(removed.values())
        pruned, _ = _remove(session, many, removed, empty=empty, wait=True, concurrency=concurrency)
        ends = [*ends, *pruned]
        many.conclude(ends)
    _finish(session, program, declared, deployment)
    if all(end.end is End.UNCHANGED for end in ends):
        output.say(f"{counted(len(ends))} up to date")
    many.conclude_with(
        "unchanged" if all(end.end is End.UNCHANGED for end in ends) else "deployed",
        ends,
        changed=any(end.end is End.DONE for end in ends),
    )


def _finish(session: Session, program: Program, declared: Declared, deployment: Deployment) -> None:
    """Show the outputs, and run the program again with the outputs of all stacks."""
    from exasol_ci_setup.cli.render import show
    from exasol_ci_setup.cli.render.records import outputs
    from exasol_ci_setup.programs import Declared, images, running_with
    from exasol_ci_setup.programs.actions import Runtime, use_runtime

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
    runtime = Runtime(deployment.connect, session.clock, lambda line: output.say(show.clean(line)))
    with running_with(set_outputs), use_runtime(runtime), stdout:
        program.run()


def _thread_hint(running: set[threading.Thread]) -> list[str]:
    if not running:
        return []
    return ["hint: threads of the program still run; hangar_run has to wait for them, or what they resolve is ignored"]


def _show_plans(
    session: Session,
    deployment: Deployment,
    many: MultiStackReporter,
    declared: Declared,
    *,
    as_data: bool,
) -> int:
    """Show what would change in each stack; return the number of stacks that would change."""
    from exasol_ci_setup.cli.render import report, show
    from exasol_ci_setup.cli.render.multi_stack import counted

    with many.checking(len(declared.constructs)):
        planned, ends = deployment.plan(declared)
    changing = [each.plan for each in planned.values() if each.plan]
    for number, each in enumerate(changing):
        if number and session.output.format == "text":
            (session.output.data if as_data else session.output.say)("")
        report.plan(session.output, each, as_data=as_data)
        if not as_data and session.output.format == "json":
            # The record on stdout is for programs; show the plan at the prompt, too.
            session.output.say(*show.plan(each, unicode=session.output.unicode))
    many.conclude(ends)
    unchanged = len(planned) - len(changing)
    if unchanged:
        session.output.say(f"{counted(unchanged)} up to date")
    many.shown = {name: each.plan for name, each in planned.items()}
    return len(changing)


def _show_removal(output: Output, existing: Mapping[str, ExistingStack], *, empty: bool, as_data: bool) -> None:
    from exasol_ci_setup.cli.render import report

    for each in existing.values():
        report.deletion(output, each.resources, each.removal, empty=empty, as_data=as_data)


@click.command("down")
@common_options
@_file_argument
@click.option("--yes", "-y", is_flag=True, help="Do not prompt for confirmation.")
@click.option("--plan", "plan_only", is_flag=True, help="Show what would be deleted; delete nothing.")
@click.option("--prune", is_flag=True, help="Also delete the scope's stacks that FILE does not declare.")
@click.option("--empty", is_flag=True, help="Also delete the contents of buckets and repositories.")
@click.option("--no-wait", is_flag=True, help="Do not wait for deletions on which no other deletion depends.")
@CONCURRENCY
def down(session: Session, file: Path, **values: Any) -> None:
    """Delete the stacks that a Python program declares.

    A dry run of FILE collects its stacks. A stack is deleted before the stacks that it uses. If no stack exists, the exit code is 0.
    Nothing is deleted if a remaining stack uses one of them, or if a bucket or repository is not empty. --empty also deletes objects and images.
    """
    with collect_only():
        _down(session, file, **values)


def _down(session: Session, file: Path, **values: Any) -> None:
    from exasol_ci_setup.cli.consent import warning
    from exasol_ci_setup.cli.render.multi_stack import MultiStackReporter, ask, connections, counted
    from exasol_ci_setup.programs.removal import find_existing, undeclared

    output = session.output
    many = MultiStackReporter(session)
    _, declared = dry_run(file, lambda _action: None, names_only=True)
    connect = connections(session)
    many.announce(len(declared.constructs))
    stale = undeclared(declared, connect)
    if stale and not values["prune"]:
        output.say(f"not declared in {file}: {', '.join(stale)}; to delete them, add --prune")
    existing = {**find_existing(declared, connect), **(stale if values["prune"] else {})}
    if not existing:
        output.say(f"no stack that {file} declares exists: no changes")
        many.conclude_with("unchanged", changed=False)
        return
    removable = _removable(session, many, existing, {}, empty=values["empty"], prunable=stale)
    _show_removal(output, removable, empty=values["empty"], as_data=values["plan_only"])
    if values["plan_only"]:
        output.say("plan only: nothing was deleted")
        many.conclude_with("planned", changed=False)
        return
    if not values["yes"]:
        lost = warning({name: each.removal for name, each in removable.items()})
        ask(
            output,
            f"{lost}Delete {counted(len(removable))}{_CONTENTS if values['empty'] else ''}?",
            "not deleted: nothing was changed",
        )
    ends, begun = _remove(
        session,
        many,
        removable,
        empty=values["empty"],
        wait=not values["no_wait"],
        concurrency=values["concurrency"],
    )
    many.conclude(ends)
    many.conclude_with("deleting" if begun else "deleted", ends, changed=True, begun=begun)


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
    from exasol_ci_setup.programs.removal import Removable, require_deletable, require_empty

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
    from exasol_ci_setup.programs.removal import Removal

    removal = Removal(many, session.clock, empty=empty, wait=wait, concurrency=concurrency)
    if many.shown is None:
        many.shown = {}
    with many.table():
        ends = removal.apply(existing)
    for name in removal.begun:
        session.output.say(
            session.with_global_options(
                f"AWS continues to delete stack {name}; to watch it: `exasol-ci-setup watch {name}`"
            )
        )
    return ends, removal.begun
