"""The images of a registry: find and add image tags."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.aws.session import ClientError, error_code, ignore_aws_errors, translate_aws_errors
from exasol_ci_setup.constructs.registry import Registry
from exasol_ci_setup.core.errors import InputError, SetupError

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient
    from typing_extensions import Self

    from exasol_ci_setup.constructs.builder import ContainerBuilder
    from exasol_ci_setup.programs.actions import Runtime

# Indexes come first, so that ECR returns the index that has the tag and not one of its images:
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

    `movable` are the patterns of mutable tags; if None, they are read from the repository.
    """

    ecr: ECRClient
    repository: str
    movable: tuple[str, ...] | None = None

    @classmethod
    def of(cls, runtime: Runtime, builder: ContainerBuilder) -> Self:
        """Return the images that a builder pushes. Raises InputError if its registry is not deployed."""
        registry = builder.registry
        ecr = runtime.connect(builder.resolved_scope).client("ecr")
        if isinstance(registry, Registry):
            return cls(ecr, registry.output("RepositoryName"), tuple(registry.mutable_tags))
        return cls(ecr, registry)

    def has(self, tag: str) -> bool:
        """Whether an image has this tag."""
        return self._find(tag) is not None

    def add_tag(self, tag: str, another: str) -> bool:
        """Add the tag `another` to the image with `tag`, and return whether the tag is new.

        Raises InputError if another image has the immutable tag `another`, and SetupError if the image no longer exists.
        """
        image = self._find(tag)
        if image is not None and another in image.get("imageTags", []):
            return False
        with translate_aws_errors():
            images = self.ecr.batch_get_image(
                repositoryName=self.repository, imageIds=[{"imageTag": tag}], acceptedMediaTypes=list(_MANIFESTS)
            ).get("images", [])
            if not images:
                raise SetupError(f"image {tag} no longer exists in registry {self.repository}", hint="build it again")
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
                    raise self._tag_in_use(another) from error
                raise
        return True

    def require_movable(self, tag: str) -> None:
        """Raise InputError if an image has this tag and the tag is immutable, because a push would then fail."""
        if tag and self._find(tag) is not None and not self._is_mutable(tag):
            raise self._tag_in_use(tag)

    def _is_mutable(self, tag: str) -> bool:
        if self.movable is not None:
            return any(fnmatchcase(tag, pattern) for pattern in self.movable)
        with translate_aws_errors():
            repository: Any = self.ecr.describe_repositories(repositoryNames=[self.repository])["repositories"][0]
        setting = repository.get("imageTagMutability", "MUTABLE")
        patterns = [each["filter"] for each in repository.get("imageTagMutabilityExclusionFilters", [])]
        is_excluded = any(fnmatchcase(tag, pattern) for pattern in patterns)
        if setting.endswith("_WITH_EXCLUSION"):
            return bool(setting.startswith("MUTABLE") != is_excluded)
        return bool(setting == "MUTABLE")

    def _find(self, tag: str) -> Any:
        with ignore_aws_errors("ImageNotFoundException"):
            response = self.ecr.describe_images(repositoryName=self.repository, imageIds=[{"imageTag": tag}])
            return next(iter(response.get("imageDetails", [])), None)
        return None

    def _tag_in_use(self, tag: str) -> InputError:
        return InputError(
            f"tag {tag} of registry {self.repository} belongs to another image and is immutable",
            hint="use another tag, an empty tag for none, or add it to mutable_tags of the registry",
        )
