"""Notes about services whose image does not exist: their deployment would be rolled back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exasol_ci_setup.aws.session import error_code, translate_aws_errors
from exasol_ci_setup.constructs.placeholders import placeholders_in
from exasol_ci_setup.constructs.service import Cluster
from exasol_ci_setup.core.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.constructs.base import Construct
    from exasol_ci_setup.constructs.container import Container
    from exasol_ci_setup.constructs.registry import Registry
    from exasol_ci_setup.programs.actions import PlannedBuild

_MISSING = frozenset({"ImageNotFoundException", "RepositoryNotFoundException"})


def notes(account: Account, construct: Construct, builds: Sequence[PlannedBuild] = ()) -> tuple[str, ...]:
    """Return a note for each service that runs a missing image of a registry of the program; empty if AWS denies the check.

    The program starts `builds`, which are awaited before the construct is deployed.

    ECS waits for the image until the circuit breaker stops the deployment:
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html.
    """
    if not isinstance(construct, Cluster):
        return ()
    containers = [(service, each.container) for service in construct.services for each in service.containers]
    return tuple(
        f"service {service.name} runs image {container.registry.repository_name}{container.separator}{container.tag}, "
        f"which does not exist yet: {_remedy(container, builds)}"
        for service, container in containers
        if container.registry is not None
        and container.builder is None
        and is_missing(account, container.registry, str(container.tag))
    )


def _remedy(container: Container, builds: Sequence[PlannedBuild]) -> str:
    for each in builds:
        if each.builder.registry is container.registry and each.tag == container.tag:
            return f"builder {each.builder.name} builds it first"
    return "push it before the deployment, or use Container(source=builder), which builds it first"


def is_missing(account: Account, registry: Registry, tag: str) -> bool:
    """Return whether a registry lacks an image with this tag or digest; False if AWS denies the check."""
    repository = registry.output("RepositoryName")
    if any(placeholders_in(repository)):
        return True
    image = {"imageDigest": tag} if tag.startswith("sha256:") else {"imageTag": tag}
    try:
        with translate_aws_errors():
            answer = account.client("ecr").describe_images(repositoryName=repository, imageIds=[image])  # type: ignore[list-item] # one of both
    except SetupError as error:
        return error_code(error.__cause__ or error) in _MISSING
    return not answer.get("imageDetails")
