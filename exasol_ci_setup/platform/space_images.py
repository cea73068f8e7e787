"""Tags that protect the images of a space's releases from the lifecycle policy of their registry."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.aws.session import ignore_aws_errors
from exasol_ci_setup.constructs.image import image_parts
from exasol_ci_setup.constructs.registry import RELEASE_TAGS, ecr_region, ecr_resource
from exasol_ci_setup.core.errors import AccessDeniedError, AwsUnavailableError
from exasol_ci_setup.platform.space_releases import MOST
from exasol_ci_setup.stacks import state

if TYPE_CHECKING:
    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.platform.space_releases import StoredRelease

_ACCEPTED: Final = (
    # The image has the tag already.
    "ImageAlreadyExistsException",
    "RepositoryNotFoundException",
)


def protect(context: Context, space_name: str, release: StoredRelease) -> None:
    """Give the image of a release a tag that the lifecycle policy of a registry with `kept_images` excludes.

    The tags of the last ten releases move to those of the next ten. The space runs already, so a failure is only reported.
    """
    name, reference = image_parts(release.image)
    resource = ecr_resource(name)
    if resource is None or ecr_region(name) != context.account.region:
        return
    identifier = {"imageDigest" if reference.startswith("sha256:") else "imageTag": reference}
    repository = resource.partition(":repository/")[2]
    registry_id = name.partition(".")[0]
    if not _is_limited(context, repository):
        return
    tag = f"{RELEASE_TAGS.removesuffix('*')}{space_name}-{release.number % MOST}"
    try:
        with ignore_aws_errors(*_ACCEPTED):
            ecr = context.account.client("ecr")
            found = ecr.batch_get_image(
                registryId=registry_id,
                repositoryName=repository,
                imageIds=[identifier],  # type: ignore[list-item]
            )["images"]
            for image in found[:1]:
                ecr.put_image(
                    registryId=registry_id,
                    repositoryName=repository,
                    imageManifest=image["imageManifest"],
                    imageManifestMediaType=image["imageManifestMediaType"],
                    imageTag=tag,
                )
    except AwsUnavailableError as error:
        context.note(
            f"the image of release {release.number} has no tag that protects it in its registry: {error.message}"
        )


def _is_limited(context: Context, repository: str) -> bool:
    """Return whether the stack of a registry limits its images; False if it cannot be read."""
    with suppress(AccessDeniedError):
        stacks = (state.find(context.cfn, name) for name in (f"registry-{repository}", repository) if "/" not in name)
        return any(stack is not None and "KeptImages" in stack.outputs for stack in stacks)
    return False
