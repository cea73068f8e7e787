"""`deploy-*`: the commands that deploy one stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from exasol_ci_setup.cli.constructs import NAMES, construct_of, construct_options
from exasol_ci_setup.cli.options import engine_options
from exasol_ci_setup.cli.session import common_options
from exasol_ci_setup.constructs import (
    Asset,
    CiBuild,
    Cluster,
    ContainerBuilder,
    Instance,
    Registry,
    ReleaseBuild,
    SecurityGroup,
    SourceCredentials,
)

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


def _command(kind: type[Construct], text: str) -> click.Command:
    @click.command(f"deploy-{NAMES[kind]}", help=text)
    @common_options
    @engine_options
    @construct_options(kind)
    def command(session: Session, **values: Any) -> None:
        _deploy(session, kind, values)

    return command


deploy_registry = _command(
    Registry,
    """Deploy a repository for container images.

    It is one of ECR's, which scans each image as it comes. A tag stays at the image that it was given to, but for those
    of --mutable-tag.
    """,
)
deploy_asset = _command(
    Asset,
    """Deploy a bucket for source archives.

    It is private, encrypted and versioned, and reached over TLS only.
    """,
)
deploy_container_builder = _command(
    ContainerBuilder,
    """Deploy a project that builds a container image.

    It is one of CodeBuild's: a build fetches an archive from the bucket, builds it with BuildKit, and pushes the image to the
    repository. Nothing is built by deploying it.
    """,
)
deploy_cluster = _command(
    Cluster,
    """Deploy a cluster with services.

    ECS keeps their containers running on Fargate, each with roles and a log group of its own. A release whose containers do not
    start is taken back.
    """,
)
deploy_security_group = _command(
    SecurityGroup,
    """Deploy a security group.

    Nothing may come in but what --ingress lets in.
    """,
)
deploy_instance = _command(
    Instance,
    """Deploy a virtual machine with Ubuntu.

    It is an EC2 instance with a public address and an encrypted disk, and with the public half of your SSH key in it.
    """,
)
