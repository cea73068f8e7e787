"""Registries: ECR repositories for container images, each with its own stack, and their credentials for docker."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.aws.session import ignore_aws_errors, translate_aws_errors
from exasol_ci_setup.constructs import Registry as Construct
from exasol_ci_setup.constructs.base import build
from exasol_ci_setup.core.commands import status_hint
from exasol_ci_setup.core.errors import DockerFailedError, RegistryConflictError, RegistryError, RegistryNotFoundError
from exasol_ci_setup.core.tags import TAG_PREFIX
from exasol_ci_setup.core.text import counted
from exasol_ci_setup.docker import program
from exasol_ci_setup.platform.stacks import checked_tags, deploy, retry
from exasol_ci_setup.platform.stacks import delete as delete_stack
from exasol_ci_setup.stacks import state
from exasol_ci_setup.template.context import default_context

if TYPE_CHECKING:
    import builtins
    from collections.abc import Mapping
    from datetime import datetime

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.core.stacks import Stack

_PREFIX: Final = "registry-"
"""Prefix of stack names, so that a registry and another construct of the same name do not conflict."""

_OF_AWS: Final = re.compile(r"[0-9]{12}\.dkr\.ecr\..+")


@dataclass(frozen=True, slots=True)
class Registry:
    """A deployed registry: `uri` is the push and pull address without a tag; `status` is that of its stack.

    `uri` is empty if the creation did not finish.
    """

    name: str
    status: str
    uri: str = ""
    arn: str = ""
    repository: str = ""
    stack_name: str = ""

    @property
    def host(self) -> str:
        """The host for `docker login`."""
        return self.uri.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Credentials:
    """Credentials for the registries of an account, valid for 12 hours; its `repr` does not show the password.

    Source: https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetAuthorizationToken.html.
    """

    username: str
    password: str = field(repr=False)
    endpoint: str
    expires: datetime


def create(
    name: str, *, keep: int | None = None, tags: Mapping[str, str] | None = None, context: Context | None = None
) -> Registry:
    """Create a registry: tags other than ``latest`` are immutable, images are scanned, and untagged images expire.

    With `keep`, only so many of the newest images are kept, and those that a space runs or can roll back to. `tags` are those of the
    stack and the repository.

    Raises RegistryConflictError if the registry exists, InputError for an invalid name, and the errors of a deployment.
    """
    context = context or default_context()
    construct = _construct(name, keep)
    own_tags = checked_tags(tags)
    if (stack := _find(context, name)) is not None:
        raise RegistryConflictError(
            f"registry {name!r} already exists: its stack {stack.name} is in {stack.status}",
            hint=f"`exasol-ci-setup registry get --name {name}` shows it",
        )
    if _is_taken(context, construct.repository_name):
        raise RegistryConflictError(
            f"ECR already has a repository {construct.repository_name!r}, which is not managed by this tool",
            hint="use another name",
        )
    return _describe(retry(context, construct.stack_name, lambda: deploy(context, construct, tags=own_tags)))


def list(*, context: Context | None = None) -> builtins.list[Registry]:  # noqa: A001 - the command's name
    """Return all registries of the account and region, by name, including those of `deploy-registry`."""
    found = filter(_is_registry, state.own((context or default_context()).cfn))
    return sorted(map(_describe, found), key=lambda registry: registry.name)


def get(name: str, *, context: Context | None = None) -> Registry:
    """Return the registry called `name`. Raises RegistryNotFoundError."""
    return _describe(_require(context or default_context(), name))


def delete(name: str, *, empty: bool = False, context: Context | None = None) -> None:
    """Delete a registry, with `empty` also if it has images.

    Raises RegistryNotFoundError, RegistryConflictError if it has images and `empty` is not set, InUseError while a stack runs one of its
    images, and the errors of a deletion.
    """
    context = context or default_context()
    stack = _require(context, name)
    repository = _describe(stack).repository
    # The repository is missing if the creation did not finish.
    if not empty and repository and (count := _count_images(context, repository)):
        raise RegistryConflictError(
            f"registry {name!r} holds {counted(count, 'image')}",
            hint=f"`exasol-ci-setup registry delete --name {name} --empty` deletes them too",
        )
    delete_stack(context, stack.name, empty=empty)


def get_credentials(name: str, *, context: Context | None = None) -> Credentials:
    """Return the docker credentials of the registry; they grant the caller's permissions in ECR for 12 hours.

    Raises RegistryNotFoundError, and the errors of the AWS boundary.
    """
    context = context or default_context()
    _require(context, name)
    with translate_aws_errors():
        found = context.account.client("ecr").get_authorization_token()["authorizationData"][0]
    username, _, password = base64.b64decode(found["authorizationToken"]).decode().partition(":")
    return Credentials(username, password, found["proxyEndpoint"], found["expiresAt"])


def docker_login(name: str, *, context: Context | None = None) -> str:
    """Log docker on this host in to the registry, and return the host name of the registry.

    Raises RegistryNotFoundError, RegistryError until the registry is created, EngineUnavailableError without a `docker`, and DockerFailedError with
    docker's exit code.
    """
    context = context or default_context()
    registry = get(name, context=context)
    if not registry.uri:
        # Without a host docker would send the password to Docker Hub.
        raise RegistryError(
            f"registry {name!r} is not ready: its stack {registry.stack_name} is in {registry.status}",
            hint=f"{status_hint(registry.stack_name)}; retry when it is finished",
        )
    program.require()
    credentials = get_credentials(name, context=context)
    try:
        program.login(registry.host, credentials.username, credentials.password, context.note)
    except DockerFailedError as error:
        if context.account.endpoint_url is not None and _OF_AWS.fullmatch(registry.host):
            error.hint = "the sandbox has no registry: `exasol-ci-setup sandbox stop`, then `exasol-ci-setup sandbox start --registry`"
        raise
    return registry.host


def _construct(name: str, keep: int | None = None) -> Construct:
    # Validate the name alone first, so that an invalid name is reported once.
    valid = build(Construct, name=name).name
    return build(Construct, name=valid, stack_name=f"{_PREFIX}{name}", kept_images=keep)


def _find(context: Context, name: str) -> Stack | None:
    # `deploy-registry` uses the name without the prefix.
    for stack_name in (f"{_PREFIX}{name}", name):
        stack = state.find(context.cfn, stack_name)
        if stack is not None and _is_registry(stack) and stack.tags.get(f"{TAG_PREFIX}name") == name:
            return stack
    return None


def _require(context: Context, name: str) -> Stack:
    # Reports an invalid name before a missing registry.
    stack = _find(context, _construct(name).name)
    if stack is None:
        raise RegistryNotFoundError(
            f"registry {name!r} does not exist in {context.account.region}",
            hint="list the registries with `exasol-ci-setup registry list`; check --region and --aws-profile",
        )
    return stack


def _is_registry(stack: Stack) -> bool:
    """Return whether the stack is an existing registry; one with a scope belongs to a program."""
    return state.has_construct(stack, "Registry") and not state.is_absent(stack)


def _describe(stack: Stack) -> Registry:
    return Registry(
        name=stack.tags[f"{TAG_PREFIX}name"],
        status=stack.status,
        uri=stack.outputs.get("RepositoryUri", ""),
        arn=stack.outputs.get("RepositoryArn", ""),
        repository=stack.outputs.get("RepositoryName", ""),
        stack_name=stack.name,
    )


def _is_taken(context: Context, repository: str) -> bool:
    with ignore_aws_errors("RepositoryNotFoundException"):
        return bool(context.account.client("ecr").describe_repositories(repositoryNames=[repository])["repositories"])
    return False


def _count_images(context: Context, repository: str) -> int:
    """Return how many images the repository holds."""
    digests: set[str] = set()
    with ignore_aws_errors("RepositoryNotFoundException"):
        for page in context.account.client("ecr").get_paginator("list_images").paginate(repositoryName=repository):
            digests.update(each["imageDigest"] for each in page["imageIds"] if "imageDigest" in each)
    return len(digests)
