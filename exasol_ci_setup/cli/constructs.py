"""The options of each construct, and the construct made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar, get_args

import click

from exasol_ci_setup.constructs import CiBuild, ReleaseBuild, SourceCredentials
from exasol_ci_setup.constructs.base import Construct, build
from exasol_ci_setup.constructs.ci import DEFAULT_IMAGE, Cache, ComputeType

if TYPE_CHECKING:
    from collections.abc import Callable

    from exasol_ci_setup.aws import Account

F = TypeVar("F", bound="Callable[..., Any]")


def _stack_name(default: str) -> Callable[[F], F]:
    return click.option("--stack-name", metavar="NAME", help=f"Name of the stack.  [default: {default}]")


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
}
"""The options of each construct, by the names of its fields. A test holds them against the models."""

NAMES: Final[dict[type[Construct], str]] = {
    CiBuild: "ci-build",
    ReleaseBuild: "release-build",
    SourceCredentials: "source-credentials",
}
"""What a construct is called in the names of commands."""


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
    return (
        build(kind, **{name: value for name, value in values.items() if name in own}),
        {name: value for name, value in values.items() if name not in own},
    )


def looked_up(construct: Construct, account: Account) -> Construct:
    """Return `construct` with what only AWS knows: the ARN of its Docker secret, or that the GitHub secret is there.

    Raises InputError if a secret does not exist.
    """
    from exasol_ci_setup import secretsmanager

    if isinstance(construct, CiBuild | ReleaseBuild) and construct.known_docker_secret_arn is None:
        arn = secretsmanager.arn_of(
            account.client("secretsmanager"),
            construct.docker_secret,
            option="--docker-secret",
            keys="User and AccessToken",
        )
        return construct.model_copy(update={"docker_secret_arn": arn})
    if isinstance(construct, SourceCredentials):
        secretsmanager.arn_of(
            account.client("secretsmanager"),
            construct.secret_name,
            option="--secret-name",
            keys=f"{construct.secret_user_key} and {construct.secret_token_key}",
        )
    return construct
