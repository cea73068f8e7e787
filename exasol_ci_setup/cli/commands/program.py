"""Commands `up`, `plan` and `down`: deploy and delete the stacks that a program declares."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from exasol_ci_setup.cli.dry_run import collect_only
from exasol_ci_setup.cli.options import many_deletions_options, many_plans_options, many_stacks_options
from exasol_ci_setup.cli.session import markdown_options, together
from exasol_ci_setup.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exasol_ci_setup.cli.session import Session

_file_argument: Final = click.argument("file", type=click.Path(path_type=Path))
_program_options: Final = together(
    click.option("--prune", is_flag=True, help="Also delete the scope's stacks that FILE no longer declares."),
    click.option(
        "--empty", is_flag=True, help="With --prune: also delete the contents of their buckets and repositories."
    ),
    click.option("--no-drift", is_flag=True, help="Do not check for changes made outside of CloudFormation."),
)


@click.command("up")
@_file_argument
@_program_options
@many_stacks_options
@markdown_options
def up(session: Session, file: Path, **values: Any) -> None:
    """Deploy what a Python program declares.

    FILE has a function hangar_run that creates constructs and calls resolve() on them. A dry run collects them first. Then their stacks
    are deployed, in parallel where the dependencies allow it. At the end, hangar_run runs again, with the outputs of all stacks.
    """
    _up(session, file, values)


@click.command("plan")
@_file_argument
@_program_options
@many_plans_options
@markdown_options
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
@_file_argument
@click.option("--prune", is_flag=True, help="Also delete the scope's stacks that FILE does not declare.")
@click.option("--no-wait", is_flag=True, help="Do not wait for deletions on which no other deletion depends.")
@many_deletions_options
@markdown_options
def down(session: Session, file: Path, **values: Any) -> None:
    """Delete the stacks that a Python program declares.

    A dry run of FILE collects its stacks. A stack is deleted before the stacks that it uses. If no stack exists, the exit code is 0.
    Nothing is deleted if a remaining stack uses one of them, or if a bucket or repository is not empty. --empty also deletes objects and images.
    """
    from exasol_ci_setup.cli.program_run import DownFlags
    from exasol_ci_setup.cli.program_run import down as run_down

    with collect_only():
        run_down(session, file, DownFlags(**values))
