"""`deploy-ci-build`, `deploy-release-build` and `deploy-source-credentials`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from exasol_ci_setup.cli.constructs import construct_of, construct_options
from exasol_ci_setup.cli.options import engine_options
from exasol_ci_setup.cli.session import common_options
from exasol_ci_setup.constructs import CiBuild, ReleaseBuild, SourceCredentials

if TYPE_CHECKING:
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.constructs.base import Construct


def _deploy(session: Session, kind: type[Construct], values: dict[str, Any]) -> None:
    construct, engine = construct_of(kind, values)
    from exasol_ci_setup.cli.engine import run_deploy

    run_deploy(session, construct, **engine)


@click.command("deploy-ci-build")
@construct_options(CiBuild)
@engine_options
@common_options
def deploy_ci_build(session: Session, **values: Any) -> None:
    """Deploy the stack that builds each push to a repository.

    It holds a CodeBuild project that runs batches, its webhook on GitHub, its roles, a bucket for artifacts and a log group.
    The source-credentials stack must be there first, unless --connection-arn is given.
    """
    _deploy(session, CiBuild, values)


@click.command("deploy-release-build")
@construct_options(ReleaseBuild)
@engine_options
@common_options
def deploy_release_build(session: Session, **values: Any) -> None:
    """Deploy the stack that builds a repository's releases.

    It is of the same family as the CI stack, without a webhook: a release starts when it is asked for.
    """
    _deploy(session, ReleaseBuild, values)


@click.command("deploy-source-credentials")
@construct_options(SourceCredentials)
@engine_options
@common_options
def deploy_source_credentials(session: Session, **values: Any) -> None:
    """Deploy the stack with CodeBuild's access to GitHub.

    AWS holds one such credential for each account and region, so this is done once for all projects. The template names the
    secret; its values are read by CloudFormation alone.
    """
    _deploy(session, SourceCredentials, values)
