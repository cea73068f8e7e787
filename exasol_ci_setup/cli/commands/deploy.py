"""`deploy-*`: the commands that deploy one stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from exasol_ci_setup.cli.constructs import NAMES, construct_of, construct_options  # noqa: TID253 - the options are those of the models
from exasol_ci_setup.cli.options import engine_options
from exasol_ci_setup.cli.session import markdown_options
from exasol_ci_setup.cli.templates import template_of, template_options
from exasol_ci_setup.constructs import (  # noqa: TID253 - the options are those of the models
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
    construct, settings = construct_of(kind, values)
    from exasol_ci_setup.cli.deployment import run_deploy
    from exasol_ci_setup.cli.engine_flags import EngineFlags

    run_deploy(session, construct, EngineFlags(**settings))


@click.command("deploy-template")
@template_options
@engine_options
@markdown_options
def deploy_template(session: Session, **values: Any) -> None:
    """Deploy your own CloudFormation template.

    FILE is YAML or JSON, or - for stdin. A file whose name ends in .j2 is rendered with Jinja first. Local files and folders in properties that
    AWS reads from S3, such as the code of a function, are uploaded if they changed. A parameter without a value keeps that of the stack.
    """
    from exasol_ci_setup.cli.deployment import run_deploy_template
    from exasol_ci_setup.cli.engine_flags import EngineFlags

    stack, settings = template_of(values)
    run_deploy_template(session, stack, EngineFlags(**settings))


def _command(kind: type[Construct], text: str) -> click.Command:
    @click.command(f"deploy-{NAMES[kind]}", help=text)
    @construct_options(kind)
    @engine_options
    @markdown_options
    def command(session: Session, **values: Any) -> None:
        _deploy(session, kind, values)

    return command


_TEXTS: Final[dict[type[Construct], str]] = {
    CiBuild: """Deploy the stack that builds each push to a repository.

    The stack has a CodeBuild project that runs batches, its webhook on GitHub, its roles, a bucket for artifacts and a log group.
    Deploy the source-credentials stack first, unless you use --connection-arn.
    """,
    ReleaseBuild: """Deploy the stack that builds a repository's releases.

    The stack is like the CI stack, without a webhook: `start-release-build` starts a release.
    """,
    SourceCredentials: """Deploy the stack with CodeBuild's access to GitHub.

    CodeBuild has one such credential for each account and region, so one stack serves all projects. The template contains the
    name of the secret; only CloudFormation reads its values.
    """,
    Registry: """Deploy a repository for container images.

    The repository is in Amazon ECR, with scan on push. Tags are immutable, except those of --mutable-tag.
    """,
    Asset: """Deploy a bucket for source archives.

    The bucket is private, encrypted and versioned, and requires TLS.
    """,
    ContainerBuilder: """Deploy a project that builds a container image.

    The project is in CodeBuild. A build fetches an archive from the bucket, builds it with BuildKit, and pushes the image to the
    repository. The deployment starts no build.
    """,
    Cluster: """Deploy a cluster with services.

    Amazon ECS runs the containers on Fargate; each service has its own roles and log group. If the containers of a release do
    not start, ECS rolls it back.
    """,
    SecurityGroup: """Deploy a security group.

    Only the inbound traffic of --ingress is allowed.
    """,
    Instance: """Deploy a virtual machine with Ubuntu.

    The machine is an EC2 instance with a public address, an encrypted disk and your public SSH key.
    """,
}
COMMANDS: Final = {f"deploy-{NAMES[kind]}": _command(kind, text) for kind, text in _TEXTS.items()}
