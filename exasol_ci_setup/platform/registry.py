"""The verbs of registries: repositories for container images in ECR, each a stack of its own, and the way into them for docker."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.aws import ClientError, error_code, translate_aws_errors
from exasol_ci_setup.constructs import Registry as Construct
from exasol_ci_setup.constructs.base import TAG_PREFIX, build
from exasol_ci_setup.errors import DockerFailed, RegistryConflictError, RegistryError, RegistryNotFound
from exasol_ci_setup.platform import docker
from exasol_ci_setup.platform.place import delete as delete_stack
from exasol_ci_setup.platform.place import deploy, here
from exasol_ci_setup.stacks import state

if TYPE_CHECKING:
    import builtins
    from collections.abc import Iterator
    from datetime import datetime

    from exasol_ci_setup.platform.place import Place
    from exasol_ci_setup.stacks.model import Stack

_PREFIX: Final = "registry-"
"""Of the names of stacks, so that a registry and what is named like it do not meet."""

_OF_AWS: Final = re.compile(r"[0-9]{12}\.dkr\.ecr\..+")


@dataclass(frozen=True, slots=True)
class Registry:
    """A registry as it is deployed: `uri` is where images are pushed to and pulled from, without a tag; `status` its stack's.

    One that was never finished has no `uri`.
    """

    name: str
    status: str
    uri: str = ""
    arn: str = ""
    repository: str = ""
    stack_name: str = ""

    @property
    def host(self) -> str:
        """Where docker logs in."""
        return self.uri.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What opens the registries of an account for 12 hours; its `repr` does not show the password.

    Source: https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetAuthorizationToken.html.
    """

    username: str
    password: str = field(repr=False)
    endpoint: str
    expires: datetime


def create(name: str, *, place: Place | None = None) -> Registry:
    """Make a registry: tags stay at their images but for ``latest``, images are scanned, and those without a tag are removed in time.

    Raises RegistryConflictError if there is one of that name, InputError for what cannot be a name, and the errors of a deployment.
    """
    place = here(place)
    construct = _construct(name)
    if (stack := _find(place, name)) is not None:
        raise RegistryConflictError(
            f"registry {name!r} is there already: its stack {stack.name} is in {stack.status}",
            hint=f"`exasol-ci-setup registry get --name {name}` shows it",
        )
    if _is_taken(place, construct.repository_name):
        raise RegistryConflictError(
            f"there is a repository {construct.repository_name!r} in ECR already, which is no registry of this tool's",
            hint="use another name",
        )
    return _describe(deploy(place, construct))


def list(*, place: Place | None = None) -> builtins.list[Registry]:  # noqa: A001 - the verb's name
    """Return all registries of the account and region, by name; those that `deploy-registry` made too."""
    return sorted(map(_describe, _every(here(place))), key=lambda registry: registry.name)


def get(name: str, *, place: Place | None = None) -> Registry:
    """Return the registry called `name`. Raises RegistryNotFound."""
    return _describe(_require(here(place), name))


def delete(name: str, *, empty: bool = False, place: Place | None = None) -> None:
    """Delete a registry, with `empty` also if it holds images.

    Raises RegistryNotFound, RegistryConflictError if it holds images and `empty` is not asked for, InUseError while a stack runs one of its
    images, and the errors of a deletion.
    """
    place = here(place)
    stack = _require(place, name)
    repository = _describe(stack).repository
    # One that was never finished may have none.
    if not empty and repository and (count := _images(place, repository)):
        raise RegistryConflictError(
            f"registry {name!r} holds {count} image{'' if count == 1 else 's'}",
            hint=f"`exasol-ci-setup registry delete --name {name} --empty` deletes them too",
        )
    delete_stack(place, stack.name, empty=empty)


def get_credentials(name: str, *, place: Place | None = None) -> Credentials:
    """Return what docker logs in to the registry with; it opens what the caller may do in ECR, for 12 hours.

    Raises RegistryNotFound, and the errors of the AWS boundary.
    """
    place = here(place)
    _require(place, name)
    with translate_aws_errors():
        found = place.account.client("ecr").get_authorization_token()["authorizationData"][0]
    username, _, password = base64.b64decode(found["authorizationToken"]).decode().partition(":")
    return Credentials(username, password, found["proxyEndpoint"], found["expiresAt"])


def docker_login(name: str, *, place: Place | None = None) -> str:
    """Log docker on this machine in to the registry, and return the host that it is logged in to.

    Raises RegistryNotFound, RegistryError while the registry is not finished, EngineUnavailable without a `docker`, and DockerFailed, with
    docker's exit code, if it says no.
    """
    place = here(place)
    registry = get(name, place=place)
    if not registry.uri:
        # Without a host docker would hand the password to Docker Hub.
        raise RegistryError(
            f"registry {name!r} is not ready: its stack {registry.stack_name} is in {registry.status}",
            hint=f"`exasol-ci-setup status {registry.stack_name}` says more; do this again when it is finished",
        )
    docker.require()
    credentials = get_credentials(name, place=place)
    try:
        docker.login(registry.host, credentials.username, credentials.password, place.report.say)
    except DockerFailed as error:
        if place.account.endpoint_url is not None and _OF_AWS.fullmatch(registry.host):
            error.hint = "ECR is there in name only: `exasol-ci-setup sandbox stop`, then `exasol-ci-setup sandbox start --registry`"
        raise
    return registry.host


def _construct(name: str) -> Construct:
    # Checked by itself first, so that a name that is none is told of once.
    return build(Construct, name=build(Construct, name=name).name, stack_name=f"{_PREFIX}{name}")


def _find(place: Place, name: str) -> Stack | None:
    cfn = place.account.client("cloudformation")
    # The second is what `deploy-registry` calls it.
    for stack_name in (f"{_PREFIX}{name}", name):
        stack = state.find(cfn, stack_name)
        if stack is not None and _is_registry(stack) and stack.tags.get(f"{TAG_PREFIX}name") == name:
            return stack
    return None


def _require(place: Place, name: str) -> Stack:
    # What cannot be a name is told as such.
    stack = _find(place, _construct(name).name)
    if stack is None:
        raise RegistryNotFound(
            f"there is no registry {name!r} in {place.account.region}",
            hint="`exasol-ci-setup registry list` shows those there are; is it another --region or --aws-profile?",
        )
    return stack


def _every(place: Place) -> Iterator[Stack]:
    return filter(_is_registry, state.own(place.account.client("cloudformation")))


def _is_registry(stack: Stack) -> bool:
    """Return whether the stack is of a registry that is there; one of a program belongs to its scope."""
    tags = stack.tags
    return (
        tags.get(f"{TAG_PREFIX}construct") == "Registry"
        and f"{TAG_PREFIX}scope" not in tags
        and not state.is_absent(stack)
    )


def _describe(stack: Stack) -> Registry:
    return Registry(
        name=stack.tags[f"{TAG_PREFIX}name"],
        status=stack.status,
        uri=stack.outputs.get("RepositoryUri", ""),
        arn=stack.outputs.get("RepositoryArn", ""),
        repository=stack.outputs.get("RepositoryName", ""),
        stack_name=stack.name,
    )


def _is_taken(place: Place, repository: str) -> bool:
    with translate_aws_errors():
        try:
            return bool(place.account.client("ecr").describe_repositories(repositoryNames=[repository])["repositories"])
        except ClientError as error:
            if error_code(error) == "RepositoryNotFoundException":
                return False
            raise


def _images(place: Place, repository: str) -> int:
    """Return how many images the repository holds."""
    digests: set[str] = set()
    with translate_aws_errors():
        try:
            for page in place.account.client("ecr").get_paginator("list_images").paginate(repositoryName=repository):
                digests.update(each["imageDigest"] for each in page["imageIds"] if "imageDigest" in each)
        except ClientError as error:
            if error_code(error) != "RepositoryNotFoundException":
                raise
    return len(digests)
