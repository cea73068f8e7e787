"""The options of each construct, and the construct made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar, get_args

import click

from exasol_ci_setup.cli.construct_types import EGRESS, INGRESS, SERVICE
from exasol_ci_setup.constructs import (
    Asset,
    BuildkitBuilder,
    CiBuild,
    Cluster,
    Construct,
    ContainerBuilder,
    Instance,
    Registry,
    ReleaseBuild,
    SecurityGroup,
    SourceCredentials,
    build,
)
from exasol_ci_setup.constructs.ci import DEFAULT_IMAGE, Cache, ComputeType

if TYPE_CHECKING:
    from collections.abc import Callable

    from exasol_ci_setup.aws import Account

F = TypeVar("F", bound="Callable[..., Any]")


def _stack_name(default: str) -> Callable[[F], F]:
    return click.option("--stack-name", metavar="NAME", help=f"Name of the stack.  [default: {default}]")


def _named(what: str) -> tuple[Callable[[F], F], ...]:
    return (
        click.option("--name", metavar="NAME", required=True, help=f"Name of the {what}."),
        _stack_name("the name"),
    )


def _several(option: str, field: str, *, help: str, **more: Any) -> Callable[[F], F]:  # noqa: A002 - click's own name for it
    """Make an option that may be repeated, whose value is None if it is not there."""
    return click.option(
        option, field, multiple=True, help=help, callback=lambda _context, _option, values: values or None, **more
    )


def _days(field: str, what: str, default: int) -> Callable[[F], F]:
    return click.option(f"--{field}", type=int, metavar="N", help=f"How long {what} are kept.  [default: {default}]")


_VPC: Final = click.option("--vpc-id", metavar="VPC", help="The VPC.  [default: the region's default VPC]")
_ATTACHED: Final = (
    _VPC,
    _several(
        "--subnet-id",
        "subnet_ids",
        metavar="SUBNET",
        help="A subnet of the VPC; may be repeated.  [default: those of the default VPC]",
    ),
    _several(
        "--security-group",
        "security_groups",
        metavar="GROUP",
        help="Id of a security group to be in; may be repeated.  [default: one of its own alone]",
    ),
)


def _build_options(*, stack: str, log_days: int, artifact_days: int) -> tuple[Callable[[F], F], ...]:
    return (
        click.option(
            "--project", metavar="NAME", required=True, help="Name that the stack and its resources are called after."
        ),
        click.option(
            "--project-url", metavar="URL", required=True, help="The repository: https://github.com/OWNER/REPO"
        ),
        _stack_name(stack),
        click.option("--image", metavar="IMAGE", help=f"Docker image that builds run in.  [default: {DEFAULT_IMAGE}]"),
        click.option(
            "--compute-type",
            type=click.Choice(get_args(ComputeType)),
            metavar="TYPE",
            help=f"Size of the build host, one of {', '.join(get_args(ComputeType))}.  [default: BUILD_GENERAL1_SMALL]",
        ),
        click.option("--timeout-in-minutes", type=int, metavar="N", help="Longest time of one build.  [default: 240]"),
        click.option(
            "--batch-timeout-in-minutes", type=int, metavar="N", help="Longest time of a batch.  [default: 240]"
        ),
        click.option("--batch-limit", type=int, metavar="N", help="Most builds in one batch.  [default: 100]"),
        click.option(
            "--auto-retry-limit", type=int, metavar="N", help="How often AWS repeats a failed build.  [default: 0]"
        ),
        click.option(
            "--cache",
            type=click.Choice(get_args(Cache)),
            help="What a build keeps for the next one.  [default: none]",
        ),
        click.option(
            "--docker-secret",
            metavar="SECRET",
            help="Name or ARN of the secret with the Docker Hub keys User and AccessToken.  [default: Dockerhub]",
        ),
        click.option(
            "--connection-arn",
            metavar="ARN",
            help="CodeConnections connection to GitHub.  [default: the token of the source-credentials stack]",
        ),
        click.option(
            "--bucket-name",
            metavar="NAME",
            help="Name of the artifacts bucket.  [default: CloudFormation makes one up]",
        ),
        click.option(
            "--log-retention-in-days", type=int, metavar="N", help=f"How long logs are kept.  [default: {log_days}]"
        ),
        click.option(
            "--artifact-retention-in-days",
            type=int,
            metavar="N",
            help=f"How long artifacts are kept.  [default: {artifact_days}]",
        ),
    )


OPTIONS: Final[dict[type[Construct], tuple[Callable[[Any], Any], ...]]] = {
    CiBuild: (
        *_build_options(stack="the project's name", log_days=14, artifact_days=30),
        click.option(
            "--branch-filter",
            metavar="REGEX",
            help="Pushes to branches that match start a build.  [default: main, master, develop and the usual prefixes]",
        ),
    ),
    ReleaseBuild: _build_options(stack="the project's name + Release", log_days=180, artifact_days=180),
    SourceCredentials: (
        click.option(
            "--secret-name",
            metavar="SECRET",
            required=True,
            help="Name or ARN of the secret with the GitHub credentials.",
        ),
        click.option(
            "--secret-user-key", metavar="KEY", required=True, help="Key in the secret that holds the user name."
        ),
        click.option(
            "--secret-token-key", metavar="KEY", required=True, help="Key in the secret that holds the token."
        ),
        _stack_name("SLCSourceCredentials"),
    ),
    Registry: (
        *_named("repository"),
        _several(
            "--mutable-tag",
            "mutable_tags",
            metavar="TAG",
            help="Tag, or pattern with *, that may move to another image; may be repeated.  [default: latest]",
        ),
        _days("untagged-retention-in-days", "images without a tag", 14),
    ),
    Asset: (*_named("asset"), _days("noncurrent-retention-in-days", "replaced and deleted archives", 30)),
    ContainerBuilder: (
        *_named("builder"),
        click.option(
            "--bucket-name", "asset", metavar="NAME", required=True, help="The bucket that holds the source archives."
        ),
        click.option(
            "--repository", "registry", metavar="NAME", required=True, help="The ECR repository that images go to."
        ),
        click.option("--image", metavar="IMAGE", help=f"Docker image that builds run in.  [default: {DEFAULT_IMAGE}]"),
        click.option(
            "--compute-type",
            type=click.Choice(get_args(ComputeType)),
            metavar="TYPE",
            help="Size of the build host.  [default: BUILD_GENERAL1_SMALL]",
        ),
        click.option("--timeout-in-minutes", type=int, metavar="N", help="Longest time of one build.  [default: 60]"),
        _days("log-retention-in-days", "logs", 30),
    ),
    Cluster: (
        *_named("cluster"),
        _several(
            "--service",
            "services",
            type=SERVICE,
            required=True,
            metavar="PAIRS",
            help="A service, such as name=web,image=public.ecr.aws/nginx/nginx:1.27,port=80; may be repeated. Further: count, cpu, "
            "memory (MiB), command, env.NAME, secret.NAME (an ARN).",
        ),
        *_ATTACHED,
        click.option(
            "--public-ip/--no-public-ip",
            default=None,
            help="Whether each task has a public address, which it needs in a default VPC.  [default: it has]",
        ),
        _days("log-retention-in-days", "logs", 30),
    ),
    SecurityGroup: (
        *_named("security group"),
        _several(
            "--ingress",
            "ingresses",
            type=INGRESS,
            metavar="RULE",
            help="What may come in, as PROTOCOL:PORT:CIDR, such as tcp:443:10.0.0.0/8; may be repeated.  [default: nothing]",
        ),
        _several(
            "--egress",
            "egresses",
            type=EGRESS,
            metavar="RULE",
            help="What may go out; may be repeated.  [default: everything]",
        ),
        _VPC,
    ),
    Instance: (
        *_named("instance"),
        click.option("--instance-type", metavar="TYPE", required=True, help="Type of the instance, such as t3.micro."),
        click.option(
            "--path-to-key",
            metavar="FILE",
            required=True,
            help="SSH key, beside which its public half is as FILE.pub; only that is read.",
        ),
        *_ATTACHED,
        click.option("--ssh", is_flag=True, default=None, help="Let SSH in from --ssh-cidr."),
        click.option("--ssh-cidr", metavar="CIDR", help="Block of addresses that may connect, such as 203.0.113.7/32."),
        click.option("--disk-in-gib", type=int, metavar="N", help="Size of the encrypted disk.  [default: 16]"),
    ),
}
"""The options of each construct, by the names of its fields. A test holds them against the models."""

NAMES: Final[dict[type[Construct], str]] = {
    CiBuild: "ci-build",
    ReleaseBuild: "release-build",
    SourceCredentials: "source-credentials",
    Registry: "registry",
    Asset: "asset",
    ContainerBuilder: "container-builder",
    Cluster: "cluster",
    SecurityGroup: "security-group",
    Instance: "instance",
}
"""What a construct is called in the names of commands."""

STACKS: Final[dict[type[Construct], str]] = {
    CiBuild: "a CI stack",
    ReleaseBuild: "a release stack",
    SourceCredentials: "the source-credentials stack",
    Registry: "a repository for container images",
    Asset: "a bucket for source archives",
    ContainerBuilder: "a project that builds a container image",
    Cluster: "a cluster with services",
    SecurityGroup: "a security group",
    Instance: "a virtual machine",
}
"""What a construct is called in the help of the commands that exist for each, after "of"."""


BUILDER_OPTIONS: Final = ("image", "compute_type", "timeout_in_minutes")
"""Those options of a container builder that are fields of its build environment."""

_BUILDER: Final = "builder"


def construct_options(kind: type[Construct]) -> Callable[[F], F]:
    """Add the options of `kind` to a command; it gets them as keyword arguments, None where they are not given."""

    def add(command: F) -> F:
        for option in reversed(OPTIONS[kind]):
            command = option(command)
        return command

    return add


def construct_of(kind: type[Construct], values: dict[str, Any]) -> tuple[Construct, dict[str, Any]]:
    """Return the construct made of those of `values` that are its own, and the other values. Raises InputError."""
    own = {*kind.model_fields, "stack_name"}
    if kind is ContainerBuilder:
        # The options of its build environment stand beside its own.
        builder = {name: values.pop(name) for name in BUILDER_OPTIONS}
        values["builder"] = build(BuildkitBuilder, name=_BUILDER, **builder)
    return (
        build(kind, **{name: value for name, value in values.items() if name in own}),
        {name: value for name, value in values.items() if name not in own},
    )


def _option(field: str) -> str:
    return f"--{field.replace('_', '-')}"


def resolve_secrets(construct: Construct, account: Account, *, spelled: Callable[[str], str] = _option) -> Construct:
    """Return `construct` with what only AWS knows: the ARN of its Docker secret, or that the GitHub secret is there.

    `spelled` is how the user writes a field. Raises InputError if a secret does not exist.
    """
    from exasol_ci_setup import secretsmanager

    if isinstance(construct, CiBuild | ReleaseBuild) and construct.known_docker_secret_arn is None:
        arn = secretsmanager.arn_of(
            account.client("secretsmanager"),
            construct.docker_secret,
            option=spelled("docker_secret"),
            keys="User and AccessToken",
        )
        return construct.model_copy(update={"docker_secret_arn": arn})
    if isinstance(construct, SourceCredentials):
        secretsmanager.arn_of(
            account.client("secretsmanager"),
            construct.secret_name,
            option=spelled("secret_name"),
            keys=f"{construct.secret_user_key} and {construct.secret_token_key}",
        )
    return construct
