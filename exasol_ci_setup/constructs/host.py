"""The hosts of builds: their size, their processors, and the Docker image in which builds run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from exasol_ci_setup.constructs.image import image_parts, repository_arn
from exasol_ci_setup.constructs.network import SecurityGroups
from exasol_ci_setup.constructs.registry import ecr_resource
from exasol_ci_setup.constructs.values import Items, SubnetId, Value, VpcId, matching, refusal
from exasol_ci_setup.core.build_settings import (
    COMPUTE_TYPE_NAMES,
    DEFAULT_COMPUTE_TYPE,
    ComputeType,
    compute_type_of,
)

if TYPE_CHECKING:
    from typing_extensions import Self

DEFAULT_IMAGE: Final = "aws/codebuild/standard:8.0"
"""The newest Ubuntu image (24.04) that AWS maintains and lists in CodeBuild's console:
https://github.com/aws/aws-codebuild-docker-images."""

DEFAULT_ARM_IMAGE: Final = "aws/codebuild/amazonlinux-aarch64-standard:3.0"
"""The newest image for arm64 that AWS maintains; it has none of Ubuntu:
https://docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-available.html."""

_MOST_SUBNETS: Final = 16
_MOST_GROUPS: Final = 5
"""Maxima of CodeBuild: https://docs.aws.amazon.com/codebuild/latest/APIReference/API_VpcConfig.html."""

Architecture = Literal["x86_64", "arm64"]


def _size(name: Any) -> Any:
    if not isinstance(name, str):
        return name
    try:
        return compute_type_of(name)
    except ValueError as error:
        raise refusal(str(error)) from None


Size = Annotated[
    ComputeType, BeforeValidator(_size), WithJsonSchema({"enum": list(COMPUTE_TYPE_NAMES), "type": "string"})
]

Image = Annotated[
    str,
    matching(
        r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,511}", "use the name of a Docker image, such as aws/codebuild/standard:8.0"
    ),
]

_AWS_IMAGE: Final = re.compile(r"(?:aws|public\.ecr\.aws)/codebuild/(?P<name>.*)")


def architecture_of(image: str) -> Architecture | None:
    """Return the architecture in the name of an image that AWS maintains for CodeBuild, or None if it is unknown."""
    found = _AWS_IMAGE.fullmatch(image)
    name = found["name"] if found else ""
    if "aarch64" in name:
        return "arm64"
    return "x86_64" if "x86_64" in name or name.startswith("standard:") else None


class BuildHost(Value):
    """The host of a build, and the Docker image in which it runs."""

    image: Annotated[
        Image,
        Field(description=f"Docker image of the builds. Default: {DEFAULT_IMAGE}; for arm64 {DEFAULT_ARM_IMAGE}."),
    ] = DEFAULT_IMAGE
    compute_type: Annotated[Size, Field(description="Size of the build host.")] = DEFAULT_COMPUTE_TYPE
    architecture: Annotated[
        Architecture | None,
        Field(description="Processors of the build host. Default: those in the name of AWS's image, otherwise x86_64."),
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _has_image_of_architecture(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("architecture") == "arm64" and "image" not in data:
            return {**data, "image": DEFAULT_ARM_IMAGE}
        return data

    @model_validator(mode="after")
    def _runs_its_image(self) -> Self:
        known = architecture_of(self.image)
        if self.architecture is not None and known not in {None, self.architecture}:
            raise refusal(f"the image {self.image} is for {known}, but the architecture is {self.architecture}")
        return self

    @property
    def environment_type(self) -> str:
        """The type of the build environment in CodeBuild."""
        architecture = self.architecture or architecture_of(self.image)
        return "ARM_CONTAINER" if architecture == "arm64" else "LINUX_CONTAINER"

    @property
    def ecr_resource(self) -> str | None:
        """The part of the ARN after the partition if the image is in ECR, or None."""
        return ecr_resource(image_parts(self.image)[0])

    @property
    def repository_arn(self) -> str | None:
        """The output with the ARN of the repository if the image is in a registry of the program, or None."""
        return repository_arn(image_parts(self.image)[0])

    @property
    def has_image_in_ecr(self) -> bool:
        """Whether the image is in a private repository of ECR, so that the role of the build pulls it."""
        return self.ecr_resource is not None or self.repository_arn is not None

    @property
    def has_local_cache(self) -> bool:
        """Whether the host can keep a cache for later builds.

        Source: https://docs.aws.amazon.com/codebuild/latest/userguide/caching-local.html.
        """
        return self.compute_type != "BUILD_GENERAL1_2XLARGE"


class BuildNetwork(Value):
    """The network in which builds run."""

    vpc_id: Annotated[VpcId | None, Field(description="VPC of the builds. Default: none.")] = None
    subnet_ids: Annotated[Items[SubnetId], Field(description="Subnets of the VPC for builds.")] = ()
    security_groups: Annotated[SecurityGroups, Field(description="Security groups of builds by ID.")] = ()

    @model_validator(mode="after")
    def _has_whole_network(self) -> Self:
        given = [self.vpc_id is not None, bool(self.subnet_ids), bool(self.security_groups)]
        if any(given) and not all(given):
            raise refusal("builds in a VPC need all of vpc-id, subnet-id and security-group")
        if len(self.subnet_ids) > _MOST_SUBNETS or len(self.security_groups) > _MOST_GROUPS:
            raise refusal(f"use at most {_MOST_SUBNETS} subnets and {_MOST_GROUPS} security groups")
        return self

    @property
    def group_ids(self) -> tuple[str, ...]:
        """The IDs of the security groups."""
        return tuple(group if isinstance(group, str) else group.group_id for group in self.security_groups)
