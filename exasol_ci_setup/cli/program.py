"""`up`, `plan` and `down`: a program of constructs as stacks on AWS."""

from __future__ import annotations

import contextlib
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from exasol_ci_setup.cli.dry_run import collect_only, dry_run, require_same, require_same_declarations
from exasol_ci_setup.cli.options import ALLOW_DATA_LOSS, CONCURRENCY, IMPORT_EXISTING, Duration
from exasol_ci_setup.cli.session import common_options
from exasol_ci_setup.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from exasol_ci_setup.cli.multi_stack import MultiStackReporter
    from exasol_ci_setup.cli.output import Output
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.constructs.base import ScopedConstruct
    from exasol_ci_setup.program import Program
    from exasol_ci_setup.resolve import Declared, Deployment
    from exasol_ci_setup.resolve.removal import ExistingStack
    from exasol_ci_setup.stacks.graph import Ended
    from exasol_ci_setup.stacks.model import Stack

_CONTENTS: Final = " and what is in the buckets and repositories that go"

F = TypeVar("F", bound="Callable[..., Any]")


def _file_argument(command: F) -> F:
    return click.argument("file", type=click.Path(path_type=Path))(command)


_DEPLOY_OPTIONS = (
    click.option("--prune", is_flag=True, help="Also delete the scope's stacks that FILE no longer declares."),
    click.option(
        "--empty",
        is_flag=True,
        help="With --prune: delete what is in the buckets and repositories of these stacks too.",
    ),
    IMPORT_EXISTING,
    click.option("--wait", is_flag=True, help="If another operation on a stack is under way, let it end first."),
    click.option("--no-lint", is_flag=True, help="Skip cfn-lint."),
    click.option("--no-drift", is_flag=True, help="Do not look for what was changed outside of CloudFormation."),
    CONCURRENCY,
)


def _deploy_options(command: F) -> F:
    for option in reversed(_DEPLOY_OPTIONS):
        command = option(command)
    return command


@click.command("up")
@common_options
@_file_argument
@click.option("--yes", "-y", is_flag=True, help="Do not ask before the changes are made.")
@click.option("--plan", "plan_only", is_flag=True, help="Show what would change, and change nothing.")
@click.option(
    "--allow-broadening",
    is_flag=True,
    help="With --yes and without a terminal: also approve changes that broaden access.",
)
@ALLOW_DATA_LOSS
@click.option("--recreate-failed", is_flag=True, help="Delete stacks that no update can mend, and go on.")
@click.option(
    "--timeout",
    type=Duration(),
    metavar="TIME",
    help="Give up on a stack after this time (90s, 30m, 2h): an update is cancelled, a creation undone.",
)
@_deploy_options
def up(session: Session, file: Path, **values: Any) -> None:
    """Deploy what a Python program declares.

    FILE has a function hangar_run, which makes constructs and calls resolve() on them. It runs without acting first: what it declares is
    then deployed, as much at once as the dependencies allow. After that it runs once more, with the outputs of all stacks known.
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

    FILE is run without acting. Nothing changes on AWS, and nothing is left there.
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
        raise InputError("--empty has no effect without --prune", hint=f"{session.again('--prune')} deletes stacks")


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
    from exasol_ci_setup import network
    from exasol_ci_setup.cli import show
    from exasol_ci_setup.cli.consent import Consent, warning
    from exasol_ci_setup.cli.multi_stack import MultiStackReporter, ask, connections, counted
    from exasol_ci_setup.resolve import Deployment
    from exasol_ci_setup.resolve.removal import require_unused, undeclared
    from exasol_ci_setup.stacks.deploy import Options
    from exasol_ci_setup.stacks.graph import End

    output = session.output
    intended: list[str] = []
    threads = set(threading.enumerate())
    program, declared = dry_run(file, intended.append)
    require_same_declarations(program, declared)
    consent = Consent(session, allow_broadening=allow_broadening, allow_data_loss=allow_data_loss)
    many = MultiStackReporter(session, consent=consent, lint=not no_lint)
    if not declared.constructs:
        output.say(f"{file} resolves no construct: nothing to do", *_hint_at(set(threading.enumerate()) - threads))
        many.result("unchanged", changed=False)
        return
    connect = connections(session)
    many.announce(len(declared.constructs))
    deployment = Deployment(
        connect,
        many,
        session.clock,
        network.find,
        options=Options(wait=wait, recreate_failed=recreate_failed, import_existing=import_existing, timeout=timeout),
        concurrency=concurrency,
        drift=not no_drift,
        planned=many.checked,
    )
    left = undeclared(declared, connect)
    if left and not prune:
        output.say(f"not declared any more: {', '.join(left)}; --prune deletes what is not declared")
    removed = _removable(session, many, left if prune else {}, declared.constructs, empty=empty)
    removals = {name: each.removal for name, each in removed.items()}
    if plan_only or not yes:
        changes = _show_plans(session, deployment, many, declared, as_data=plan_only) + len(removed)
        _show_removal(output, removed, empty=empty, as_data=plan_only)
        for action in intended:
            output.say(show.clean(action))
        if plan_only:
            output.say("plan only: nothing was changed")
            many.result("planned" if changes else "unchanged", changed=False)
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
        ends = deployment.carry_out(declared)
    many.conclude(ends)
    if removed:
        require_unused(removed.values())
        pruned, _ = _remove(session, many, removed, empty=empty, wait=True, concurrency=concurrency)
        ends = [*ends, *pruned]
        many.conclude(ends)
    _finish(session, program, declared, deployment)
    if all(end.end is End.UNCHANGED for end in ends):
        output.say(f"{counted(len(ends))} as declared: nothing to do")
    many.result(
        "unchanged" if all(end.end is End.UNCHANGED for end in ends) else "deployed",
        ends,
        changed=any(end.end is End.DONE for end in ends),
    )


def _finish(session: Session, program: Program, declared: Declared, deployment: Deployment) -> None:
    """Show the outputs, and run the program once more, with all outputs known."""
    from exasol_ci_setup.actions import Runtime, use_runtime
    from exasol_ci_setup.cli import show
    from exasol_ci_setup.cli.records import outputs
    from exasol_ci_setup.resolve import Declared, images, running_with

    output = session.output
    stacks = {name: deployment.stacks[name] for name in declared.constructs}
    values = {f"{name}.{key}": value for name, stack in stacks.items() for key, value in stack.outputs.items()}
    if values:
        output.data("\n".join(show.pairs(values)))
    for name, stack in stacks.items():
        output.record(outputs(name, stack.outputs))

    def give(construct: ScopedConstruct) -> None:
        for name, each in Declared([construct]).constructs.items():
            before = declared.constructs.get(name)
            if before is not None:
                images.hand_on(before, each)
            require_same(name, before, each)
            each.set_outputs(stacks[name].outputs)

    # In JSON stdout is for records alone.
    stdout = contextlib.redirect_stdout(sys.stderr) if output.format == "json" else contextlib.nullcontext()
    stage = Runtime(deployment.connect, session.clock, lambda line: output.say(show.clean(line)))
    with running_with(give), use_runtime(stage), stdout:
        program.run()


def _hint_at(running: set[threading.Thread]) -> list[str]:
    if not running:
        return []
    return ["hint: threads that it began still run; what they resolve counts only if hangar_run waits for them"]


def _show_plans(
    session: Session,
    deployment: Deployment,
    many: MultiStackReporter,
    declared: Declared,
    *,
    as_data: bool,
) -> int:
    """Show what would change in each stack, and return in how many of them something would."""
    from exasol_ci_setup.cli import report, show
    from exasol_ci_setup.cli.multi_stack import counted

    with many.checking(len(declared.constructs)):
        planned, ends = deployment.plan(declared)
    changing = [each.plan for each in planned.values() if each.plan]
    for number, each in enumerate(changing):
        if number and session.output.format == "text":
            (session.output.data if as_data else session.output.say)("")
        report.plan(session.output, each, as_data=as_data)
        if not as_data and session.output.format == "json":
            # The record on stdout is for a program; the person who is asked has to see it too.
            session.output.say(*show.plan(each, unicode=session.output.unicode))
    many.conclude(ends)
    same = len(planned) - len(changing)
    if same:
        session.output.say(f"{counted(same)} as declared: nothing to do")
    many.shown = {name: each.plan for name, each in planned.items()}
    return len(changing)


def _show_removal(output: Output, there: Mapping[str, ExistingStack], *, empty: bool, as_data: bool) -> None:
    from exasol_ci_setup.cli import report

    for each in there.values():
        report.deletion(output, each.resources, each.removal, empty=empty, as_data=as_data)


@click.command("down")
@common_options
@_file_argument
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--plan", "plan_only", is_flag=True, help="Show what would go, and delete nothing.")
@click.option("--prune", is_flag=True, help="Also delete the stacks of the scope that FILE does not declare.")
@click.option("--empty", is_flag=True, help="Delete what is in buckets and repositories too.")
@click.option("--no-wait", is_flag=True, help="Do not wait for the end of deletions that no other has to wait for.")
@CONCURRENCY
def down(session: Session, file: Path, **values: Any) -> None:
    """Delete the stacks that a Python program declares.

    FILE is run without acting, to hear what it declares. A stack that uses another one is deleted before that. Stacks that do not exist
    are deleted already: exit code 0. Nothing is deleted if a stack that stays uses one of them, or if a bucket or a repository is not empty: --empty
    deletes its objects and images too.
    """
    with collect_only():
        _down(session, file, **values)


def _down(session: Session, file: Path, **values: Any) -> None:
    from exasol_ci_setup.cli.consent import warning
    from exasol_ci_setup.cli.multi_stack import MultiStackReporter, ask, connections, counted
    from exasol_ci_setup.resolve.removal import find_existing, undeclared

    output = session.output
    many = MultiStackReporter(session)
    _, declared = dry_run(file, lambda _action: None, names_only=True)
    connect = connections(session)
    many.announce(len(declared.constructs))
    left = undeclared(declared, connect)
    if left and not values["prune"]:
        output.say(f"not declared in {file}: {', '.join(left)}; --prune deletes what is not declared")
    found = {**find_existing(declared, connect), **(left if values["prune"] else {})}
    if not found:
        output.say(f"there is no stack of what {file} declares: nothing to do")
        many.result("unchanged", changed=False)
        return
    there = _removable(session, many, found, {}, empty=values["empty"], prunable=left)
    _show_removal(output, there, empty=values["empty"], as_data=values["plan_only"])
    if values["plan_only"]:
        output.say("plan only: nothing was deleted")
        many.result("planned", changed=False)
        return
    if not values["yes"]:
        lost = warning({name: each.removal for name, each in there.items()})
        ask(
            output,
            f"{lost}Delete {counted(len(there))}{_CONTENTS if values['empty'] else ''}?",
            "not deleted: all stacks are as they were",
        )
    ends, begun = _remove(
        session,
        many,
        there,
        empty=values["empty"],
        wait=not values["no_wait"],
        concurrency=values["concurrency"],
    )
    many.conclude(ends)
    many.result("deleting" if begun else "deleted", ends, changed=True, begun=begun)


def _removable(
    session: Session,
    many: MultiStackReporter,
    there: Mapping[str, ExistingStack],
    declared: Mapping[str, ScopedConstruct],
    *,
    empty: bool,
    prunable: Collection[str] = (),
) -> Mapping[str, ExistingStack]:
    """Return the stacks in the order of their deletion. Raises StackError if AWS would refuse one of them.

    `declared` are those that are deployed before, `prunable` the stacks that --prune deletes too.
    """
    from exasol_ci_setup.resolve.removal import Removable, require_deletable, require_empty

    if not there:
        return {}
    require_deletable(there.values())
    removable = Removable(there)
    removable.require_unused(
        declared, lambda user: f"{session.again('--prune')} deletes {user.name} too" if user.name in prunable else ""
    )
    if not empty:
        require_empty(there, many.say, hint=f"{session.again('--empty')} deletes what they hold too")
    return removable.in_order()


def _remove(
    session: Session,
    many: MultiStackReporter,
    there: Mapping[str, ExistingStack],
    *,
    empty: bool,
    wait: bool,
    concurrency: int,
) -> tuple[list[Ended], set[str]]:
    """Delete the stacks, and return how each ended, and the names of those that AWS goes on with."""
    from exasol_ci_setup.resolve.removal import Removal

    def ended(end: Ended, stack: Stack | None) -> None:
        if end.name not in removal.begun:
            many.ended(end, stack)

    removal = Removal(many.view, many.say, ended, session.clock, empty=empty, wait=wait, concurrency=concurrency)
    if many.shown is None:
        many.shown = {}
    with many.table():
        ends = removal.carry_out(there)
    for name in removal.begun:
        session.output.say(
            session.with_global_options(f"AWS goes on deleting stack {name}; `exasol-ci-setup watch {name}` looks on")
        )
    return ends, removal.begun
