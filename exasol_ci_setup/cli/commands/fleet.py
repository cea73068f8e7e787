"""`deploy-fleet`: deploy stacks of many projects to many accounts, from one file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from exasol_ci_setup.cli.options import many_deletions_options, many_stacks_options
from exasol_ci_setup.cli.session import markdown_options

if TYPE_CHECKING:
    from exasol_ci_setup.cli.session import Session

SCHEMA = Path(__file__).parents[2] / "fleets" / "fleet.schema.json"


def _print_schema(context: click.Context, _option: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        click.echo(SCHEMA.read_text(encoding="utf-8"), nl=False)
        context.exit()


_file_argument: Final = click.argument("file", type=click.Path(path_type=Path))
_select_option: Final = click.option(
    "--select",
    multiple=True,
    metavar="PATTERN",
    help="Only projects or stacks with a matching name, such as 'slc*'; may be repeated.",
)


@click.command("deploy-fleet")
@_file_argument
@click.option(
    "--schema",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_schema,
    help="Print the JSON schema of FILE, for editors, and exit.",
)
@_select_option
@click.option(
    "--stack-set",
    "as_stack_sets",
    is_flag=True,
    help="Let AWS deploy each stack to the accounts of an organization, as a CloudFormation StackSet.",
)
@click.option(
    "--prune", is_flag=True, help="Also delete the stacks of the fleet that FILE no longer declares; FILE needs a name."
)
@click.option("--empty", is_flag=True, help="With --prune: also delete the contents of their buckets and repositories.")
@many_stacks_options
@markdown_options
def deploy_fleet(session: Session, file: Path, **values: Any) -> None:
    """Deploy the build stacks of many projects.

    FILE declares in YAML accounts and regions, and the CI and release stacks of each project in them. Stacks that are up to
    date stay unchanged. To resume an interrupted run, run the command again.
    """
    from exasol_ci_setup.cli.fleet_run import FleetFlags, run

    run(session, file, FleetFlags(**values))


@click.command("delete-fleet")
@_file_argument
@_select_option
@click.option("--prune", is_flag=True, help="Also delete the stacks of the fleet that FILE no longer declares.")
@many_deletions_options
@markdown_options
def delete_fleet(session: Session, file: Path, **values: Any) -> None:
    """Delete the stacks that a fleet declares.

    FILE is that of `deploy-fleet`. A stack is deleted before the stacks that it uses. If no stack exists, the exit code is 0.
    Nothing is deleted if a remaining stack uses one of them, or if a bucket or repository is not empty.
    """
    from exasol_ci_setup.cli.fleet_run import DeleteFleetFlags, delete

    delete(session, file, DeleteFleetFlags(**values))
