"""`init-fleet`: write the file of a fleet with the repositories of a GitHub organization."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from exasol_ci_setup.cli.session import common_options
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.core.text import counted

if TYPE_CHECKING:
    from exasol_ci_setup.builds.github import Repository
    from exasol_ci_setup.cli.session import Session


@click.command("init-fleet")
@click.argument("file", type=click.Path(path_type=Path), default="fleet.yaml")
@click.option("--organization", metavar="NAME", required=True, help="GitHub organization.")
@click.option("--topic", metavar="TOPIC", help="Only repositories with this topic.  [default: all]")
@click.option(
    "--github-secret",
    metavar="SECRET",
    default="github",
    show_default=True,
    help="Secret with the keys user and token, for the access of CodeBuild to GitHub.",
)
@common_options
def init_fleet(session: Session, file: Path, organization: str, topic: str | None, github_secret: str) -> None:
    """Write the file of a fleet with the repositories of a GitHub organization.

    FILE, by default fleet.yaml, must not exist. It declares a CI stack for each repository that is neither archived nor a fork. The command
    calls no AWS API. It reads GITHUB_TOKEN, which private repositories need.
    """
    from exasol_ci_setup.cli.render import records
    from exasol_ci_setup.core.files import write_whole
    from exasol_ci_setup.fleets.organization import fleet_name, fleet_projects, fleet_text

    if file.exists():
        raise InputError(f"{file} already exists", hint="choose another file, or delete it")
    projects, notes = fleet_projects(_repositories(organization, topic))
    for note in notes:
        session.output.say(note)
    if not projects:
        where = f"{organization} with the topic {topic}" if topic else organization
        raise InputError(f"no repository of {where} can be a project", hint="check --organization and --topic")
    region = session.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "eu-central-1"
    name = fleet_name(organization, topic or "")
    text = fleet_text(name, projects, region=region, secret_name=github_secret)
    try:
        write_whole(file, text.encode())
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror}") from error
    session.output.say(f"wrote {file} with {counted(len(projects), 'project')} in {region}")
    session.output.say(f"show the plans: exasol-ci-setup deploy-fleet {shlex.quote(str(file))} --plan")
    session.output.record(records.result("written", changed=False, file=str(file), projects=list(projects)))


def _repositories(organization: str, topic: str | None) -> list[Repository]:
    """Return the repositories of an organization with the topic, if any."""
    from exasol_ci_setup.builds import github

    api = github.Api(github.api_url_from_environment(), github.optional_token_from_environment())
    found = api.repositories(github.require_owner(organization))
    return [each for each in found if topic is None or topic in each.topics]
