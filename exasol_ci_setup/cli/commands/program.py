"""Commands `up`, `plan` and `down`: deploy and delete the stacks that a program declares."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from exasol_ci_setup.cli.dry_run import collect_only
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

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exasol_ci_setup.cli.session import Session

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
    _up(session, file, values)


@click.command("plan")
@common_options
@_file_argument
@_deploy_options
def plan(session: Session, file: Path, **values: Any) -> None:
    """Show what `up` would change.

    Runs FILE as a dry run. Changes nothing on AWS, and leaves nothing there.
    """
    _up(session, file, {**values, "plan_only": True})


def _up(session: Session, file: Path, values: Mapping[str, Any]) -> None:
    if values["empty"] and not values["prune"]:
        raise InputError("--empty has no effect without --prune", hint=f"to delete stacks: {session.again('--prune')}")
    from exasol_ci_setup.cli.program_run import UpFlags
    from exasol_ci_setup.cli.program_run import up as run_up

    with collect_only():
        run_up(session, file, UpFlags(**values))


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
    from exasol_ci_setup.cli.program_run import DownFlags
    from exasol_ci_setup.cli.program_run import down as run_down

    with collect_only():
        run_down(session, file, DownFlags(**values))
