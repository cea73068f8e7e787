"""The images of a registry: which tags there are, and tags for images that are there."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.aws import ClientError, error_code, translate_aws_errors
from exasol_ci_setup.constructs.registry import Registry
from exasol_ci_setup.errors import InputError, SetupError

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient
    from typing_extensions import Self

    from exasol_ci_setup.actions import Runtime
    from exasol_ci_setup.constructs.builder import ContainerBuilder

# Indexes stand first, so that ECR sends the one that the tag is at, and not one of the images in it:
# https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_BatchGetImage.html.
_MANIFESTS: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


@dataclass(frozen=True)
class Images:
    """The images of one repository. All methods raise the errors of the AWS boundary.

    `movable` are the patterns of the tags that may move to another image; None means that the repository is asked.
    """

    ecr: ECRClient
    repository: str
    movable: tuple[str, ...] | None = None

    @classmethod
    def of(cls, stage: Runtime, builder: ContainerBuilder) -> Self:
        """Return those that a builder pushes. Raises InputError if its registry is not deployed."""
        registry = builder.registry
        ecr = stage.connect(builder.resolved_scope).client("ecr")
        if isinstance(registry, Registry):
            return cls(ecr, registry.output("RepositoryName"), registry.mutable_tags)
        return cls(ecr, registry)

    def has(self, tag: str) -> bool:
        """Whether an image has this tag."""
        return self._with(tag) is not None

    def add_tag(self, tag: str, another: str) -> bool:
        """Give the image with `tag` the tag `another`, and return whether it did not have that.

        Raises InputError if that is another image's for good, and SetupError if the image is gone.
        """
        found = self._with(tag)
        if found is not None and another in found.get("imageTags", []):
            return False
        with translate_aws_errors():
            images = self.ecr.batch_get_image(
                repositoryName=self.repository, imageIds=[{"imageTag": tag}], acceptedMediaTypes=list(_MANIFESTS)
            ).get("images", [])
            if not images:
                raise SetupError(f"the registry {self.repository} holds no image {tag} any more", hint="build again")
            media_type = images[0].get("imageManifestMediaType")
            try:
                self.ecr.put_image(
                    repositoryName=self.repository,
                    imageManifest=images[0]["imageManifest"],
                    imageTag=another,
                    **({"imageManifestMediaType": media_type} if media_type else {}),
                )
            except ClientError as error:
                if error_code(error) == "ImageAlreadyExistsException":
                    return False
                if error_code(error) == "ImageTagAlreadyExistsException":
                    raise self._taken(another) from error
                raise
        return True

    def require_movable(self, tag: str) -> None:
        """Raise InputError if an image has this tag and keeps it, so that a push of another one would fail."""
        if tag and self._with(tag) is not None and not self._may_move(tag):
            raise self._taken(tag)

    def _may_move(self, tag: str) -> bool:
        if self.movable is not None:
            return any(fnmatchcase(tag, pattern) for pattern in self.movable)
        with translate_aws_errors():
            found: Any = self.ecr.describe_repositories(repositoryNames=[self.repository])["repositories"][0]
        setting = found.get("imageTagMutability", "MUTABLE")
        patterns = [each["filter"] for each in found.get("imageTagMutabilityExclusionFilters", [])]
        is_excluded = any(fnmatchcase(tag, pattern) for pattern in patterns)
        if setting.endswith("_WITH_EXCLUSION"):
            return bool(setting.startswith("MUTABLE") != is_excluded)
        return bool(setting == "MUTABLE")

    def _with(self, tag: str) -> Any:
        with translate_aws_errors():
            try:
                found = self.ecr.describe_images(repositoryName=self.repository, imageIds=[{"imageTag": tag}])
            except ClientError as error:
                if error_code(error) == "ImageNotFoundException":
                    return None
                raise
        details = found.get("imageDetails", [])
        return details[0] if details else None

    def _taken(self, tag: str) -> InputError:
        return InputError(
            f"tag {tag} of registry {self.repository} belongs to another image, and does not move",
            hint="use another tag, an empty one for none, or name it in the registry's mutable_tags",
        )
