"""`deploy-fleet`: deploy stacks of many projects to many accounts, from one file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

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

if TYPE_CHECKING:
    from exasol_ci_setup.cli.session import Session

SCHEMA = Path(__file__).parents[2] / "fleets" / "fleet.schema.json"


def _print_schema(context: click.Context, _option: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        click.echo(SCHEMA.read_text(encoding="utf-8"), nl=False)
        context.exit()


@click.command("deploy-fleet")
@common_options
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--schema",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_schema,
    help="Print the JSON schema of FILE, for editors, and exit.",
)
@click.option("--yes", "-y", is_flag=True, help="Do not prompt for confirmation.")
@PLAN
@click.option(
    "--select",
    multiple=True,
    metavar="PATTERN",
    help="Only projects or stacks with a matching name, such as 'slc*'; may be repeated.",
)
@ALLOW_BROADENING
@ALLOW_DATA_LOSS
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
@IMPORT_EXISTING
@click.option("--adopt", is_flag=True, help="Adopt stacks that this tool did not create; review the plan first.")
@RECREATE_FAILED
@click.option("--wait", is_flag=True, help="Wait for another operation in progress on a stack.")
@click.option(
    "--timeout",
    type=Duration(),
    metavar="TIME",
    help="Time limit of a stack (90s, 30m, 2h). Then an update is canceled, and a creation rolled back.",
)
@click.option("--no-lint", is_flag=True, help="Skip cfn-lint.")
@CONCURRENCY
def deploy_fleet(session: Session, file: Path, **values: Any) -> None:
    """Deploy the build stacks of many projects.

    FILE declares in YAML accounts and regions, and the CI and release stacks of each project in them. Stacks that are up to
    date stay unchanged. To resume an interrupted run, run the command again.
    """
    from exasol_ci_setup.cli.fleet_run import FleetFlags, run

    run(session, file, FleetFlags(**values))


@click.command("delete-fleet")
@common_options
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--yes", "-y", is_flag=True, help="Do not prompt for confirmation.")
@click.option("--plan", "plan_only", is_flag=True, help="Show what would be deleted; delete nothing.")
@click.option(
    "--select",
    multiple=True,
    metavar="PATTERN",
    help="Only projects or stacks with a matching name, such as 'slc*'; may be repeated.",
)
@click.option("--prune", is_flag=True, help="Also delete the stacks of the fleet that FILE no longer declares.")
@click.option("--empty", is_flag=True, help="Also delete the contents of buckets and repositories.")
@click.option(
    "--timeout",
    type=Duration(),
    metavar="TIME",
    help="Stop following a deletion after this time (90s, 30m, 2h). AWS continues with it.",
)
@CONCURRENCY
def delete_fleet(session: Session, file: Path, **values: Any) -> None:
    """Delete the stacks that a fleet declares.

    FILE is that of `deploy-fleet`. A stack is deleted before the stacks that it uses. If no stack exists, the exit code is 0.
    Nothing is deleted if a remaining stack uses one of them, or if a bucket or repository is not empty.
    """
    from exasol_ci_setup.cli.fleet_run import DeleteFleetFlags, delete

    delete(session, file, DeleteFleetFlags(**values))
