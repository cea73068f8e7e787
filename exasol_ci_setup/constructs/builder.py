"""The CodeBuild project that builds a container image from an asset and pushes it to a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, PrivateAttr, model_validator

from exasol_ci_setup.constructs.asset import Asset
from exasol_ci_setup.constructs.base import ScopedConstruct
from exasol_ci_setup.constructs.ci import BucketName, Minutes, RetentionInDays
from exasol_ci_setup.constructs.container_secrets import codebuild_secret, parameter_arns, secret_arns
from exasol_ci_setup.constructs.host import BuildHost, BuildNetwork, Size
from exasol_ci_setup.constructs.placeholders import placeholders_in
from exasol_ci_setup.constructs.registry import Registry, ecr_region, ecr_resource
from exasol_ci_setup.constructs.runtime import runtime
from exasol_ci_setup.constructs.values import Items, KeyArn, SecretName, SecretSource, matching, refusal
from exasol_ci_setup.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

    from exasol_ci_setup.constructs.runtime import Build

RepositoryName = Annotated[
    str,
    matching(
        r"(?=.{2,256}\Z)[a-z0-9]+([._-][a-z0-9]+)*(/[a-z0-9]+([._-][a-z0-9]+)*)*",
        "use the name of an ECR repository of this account, such as my-scope/my-registry",
    ),
]
"""Source: https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreateRepository.html."""


BaseRepository = Annotated[
    str,
    matching(
        r"[0-9]{12}\.dkr[.-]ecr\.[a-z0-9-]+\.(amazonaws\.com(\.cn)?|on\.aws)/"
        r"[a-z0-9]+([._-][a-z0-9]+)*(/[a-z0-9]+([._-][a-z0-9]+)*)*",
        "use the full name of a repository in ECR, such as 123456789012.dkr.ecr.eu-central-1.amazonaws.com/base",
    ),
]

BuildContext = Annotated[
    str,
    matching(
        r"(?!/)(?!(.*/)?\.\.(/|\Z))[ -~]{1,255}",
        "use a folder relative to the top of the source, such as . or services/web",
    ),
]

BuildArgument = Annotated[
    str,
    matching(
        r"(?!CODEBUILD_|(ASSET_BUCKET|ASSET_KEY|BUILD_ARGS|BUILD_CONTEXT|CONTENT_HASH|IMAGE_TAG|REPOSITORY_URI|DOCKER_(BUILDKIT|PASSWORD|USER))\Z)[A-Za-z_][A-Za-z0-9_]{0,255}",
        "use letters, digits and underscores, the first not a digit; names of the builder and CODEBUILD_ are reserved",
    ),
]


class BuildkitBuilder(BuildHost, ScopedConstruct):
    """The build host of a container builder: a CodeBuild host whose Docker engine builds with BuildKit. Times are in minutes."""

    has_stack: ClassVar[bool] = False

    compute_type: Annotated[Size, Field(description="Size of the build host.")] = "BUILD_GENERAL1_SMALL"
    timeout_in_minutes: Annotated[Minutes, Field(description="Time limit of one build.")] = 60


class ContainerBuilder(BuildNetwork, ScopedConstruct):
    """A CodeBuild project that downloads an archive from the asset's bucket, builds it, and pushes the image to the registry.

    `asset` and `registry` are constructs, or the names of an existing bucket and repository. Environment variables control each build:
    ``ASSET_KEY`` (the archive in the bucket, a gzipped tar), ``CONTENT_HASH`` (a unique tag of the image), ``IMAGE_TAG`` (an additional tag,
    may be empty), ``BUILD_CONTEXT`` (the folder with the Dockerfile) and ``BUILD_ARGS`` (names of variables that the Dockerfile has as
    arguments, separated by spaces; may be empty).
    """

    template: ClassVar[str] = "container_builder.yaml.j2"

    asset: Annotated[Asset | BucketName, Field(description="Bucket with the source archives.")]
    builder: Annotated[BuildkitBuilder, Field(description="The build host.")]
    registry: Annotated[Registry | RepositoryName, Field(description="ECR repository for the images.")]
    log_retention_in_days: Annotated[RetentionInDays, Field(description="Days to keep logs.")] = 30
    docker_secret: Annotated[
        SecretName | None,
        Field(
            description="Name or ARN of the secret with the Docker Hub keys User and AccessToken. Default: no login."
        ),
    ] = None
    base_registries: Annotated[
        Items[Registry | BaseRepository],
        Field(description="Further repositories in ECR that builds may pull base images from."),
    ] = ()
    build_context: Annotated[BuildContext, Field(description="Folder in the source that contains the Dockerfile.")] = (
        "."
    )
    build_arguments: dict[BuildArgument, str] = Field(
        default_factory=dict,
        description="Values of `ARG` in the Dockerfile by name. Not for secrets: images show them.",
    )

    build_secrets: dict[BuildArgument, SecretSource] = Field(
        default_factory=dict,
        description="Secrets for `RUN --mount=type=secret,id=NAME`: full ARNs of secrets, of keys of their JSON, or of SSM parameters, by name.",
    )
    kms_keys: Annotated[
        Items[KeyArn], Field(description="ARNs of your own KMS keys that encrypt these secrets. Default: keys of AWS.")
    ] = ()

    _image_tag: str | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _has_each_name_once(self) -> Self:
        if both := self.build_arguments.keys() & self.build_secrets.keys():
            raise refusal(f"{min(both)} cannot be both a build argument and a build secret")
        return self

    @model_validator(mode="after")
    def _reads_parameters_of_its_region(self) -> Self:
        # CodeBuild reads them by name:
        # https://docs.aws.amazon.com/codebuild/latest/APIReference/API_EnvironmentVariable.html.
        regions = {scope.region for scope in self.scopes()}
        for source in self.parameter_arns:
            if len(regions) == 1 and not any(placeholders_in(source)) and source.split(":")[3] not in regions:
                raise refusal(f"builds read SSM parameters of their own region only, {min(regions)}, and not {source}")
        return self

    @property
    def secret_arns(self) -> tuple[str, ...]:
        """The ARNs of the secrets in Secrets Manager that builds get."""
        return secret_arns(self.build_secrets.values())

    @property
    def parameter_arns(self) -> tuple[str, ...]:
        """The ARNs of the SSM parameters that builds get."""
        return parameter_arns(self.build_secrets.values())

    @property
    def secret_variables(self) -> tuple[tuple[str, str, str], ...]:
        """The name, type and value of the variable for each build secret."""
        return tuple((name, *codebuild_secret(source)) for name, source in self.build_secrets.items())

    @property
    def has_cache(self) -> bool:
        """Whether the build host keeps Docker layers for later builds, which it does not do in a VPC."""
        return self.vpc_id is None and self.builder.has_local_cache

    @property
    def parts(self) -> tuple[ScopedConstruct, ...]:
        """Asset, builder, registries and security groups if they are constructs."""
        parts = (self.asset, self.builder, self.registry, *self.base_registries, *self.security_groups)
        return tuple(part for part in parts if isinstance(part, ScopedConstruct))

    @property
    def parameter_sources(self) -> dict[str, tuple[ScopedConstruct, str]]:
        """The bucket and the repository if they are constructs."""
        found: dict[str, tuple[ScopedConstruct, str]] = {}
        if isinstance(self.asset, Asset):
            found["BucketName"] = (self.asset, "BucketName")
        if isinstance(self.registry, Registry):
            found["RepositoryName"] = (self.registry, "RepositoryName")
        for parameter, registry in self.base_parameters.items():
            found[parameter] = (registry, "RepositoryName")
        return found

    @property
    def base_parameters(self) -> dict[str, Registry]:
        """The registries of the program with base images, by the parameters for their repositories."""
        found = (each for each in self.base_registries if isinstance(each, Registry))
        return {f"BaseRepository{number}": each for number, each in enumerate(found, 1)}

    @property
    def base_resources(self) -> tuple[str, ...]:
        """The parts after the partition of the ARNs of repositories with base images that are set by name."""
        found = (ecr_resource(each) for each in self.base_registries if isinstance(each, str))
        return tuple(each for each in found if each is not None)

    @property
    def base_hosts(self) -> tuple[tuple[str, str], ...]:
        """The host and the region of each registry with base images that is set by name, without duplicates."""
        names = (each for each in self.base_registries if isinstance(each, str))
        return tuple(
            {name.partition("/")[0]: (name.partition("/")[0], ecr_region(name) or "") for name in names}.values()
        )

    @property
    def docker_secret_is_arn(self) -> bool:
        """Whether `docker_secret` is an ARN, and not a name."""
        return self.docker_secret is not None and self.docker_secret.startswith("arn:")

    @property
    def static_parameters(self) -> dict[str, str]:
        """The bucket and the repository if they are set by name."""
        names = {"BucketName": self.asset, "RepositoryName": self.registry}
        return {parameter: name for parameter, name in names.items() if isinstance(name, str)}

    @property
    def project_name(self) -> str:
        """The name of the CodeBuild project, equal to that of the stack."""
        return self.stack_name

    @property
    def log_group_name(self) -> str:
        """The name of the log group. CodeBuild would create it under the same name, without an expiry."""
        return f"/aws/codebuild/{self.project_name}"

    @property
    def image_tag(self) -> str:
        """The tag of the image of the asset's source: the hash of its content.

        It is known while a construct that runs the image is planned or deployed. Raises InputError before.
        """
        if self._image_tag is None:
            raise InputError(
                f"the image of {self.kind} {self.name!r} is not known yet",
                hint="call resolve() or deploy() of the cluster that runs it",
            )
        return self._image_tag

    def set_image_tag(self, tag: str) -> None:
        """Store the tag of the image after the source is hashed."""
        self._image_tag = tag

    def build(
        self,
        tag: str | None = None,
        build_context: str | None = None,
        environment_variables: Mapping[str, str] | None = None,
    ) -> Build:
        """Build the asset's source and push it, unless the registry has its image. Raises the errors of `programs.actions.build.build`.

        The defaults are `build_context` and `build_arguments` of the builder.
        """
        context = self.build_context if build_context is None else build_context
        arguments = self.build_arguments if environment_variables is None else environment_variables
        return runtime().build(self, tag, context, arguments)
