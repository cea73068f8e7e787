"""A repository for container images in ECR."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, ClassVar, Final

from pydantic import AfterValidator, Field, model_validator

from exasol_ci_setup.constructs.base import ScopedConstruct
from exasol_ci_setup.constructs.values import Items, between, matching, refusal
from exasol_ci_setup.core.errors import InputError

if TYPE_CHECKING:
    from typing_extensions import Self

_ECR: Final = re.compile(
    r"(?P<account>[0-9]{12})\.dkr[.-]ecr\.(?P<region>[a-z0-9-]+)\.(amazonaws\.com(\.cn)?|on\.aws)/(?P<name>.+)"
)
_MORE_THAN_ANY: Final = 100_000
"""More images than a repository holds by default: https://docs.aws.amazon.com/AmazonECR/latest/userguide/service-quotas.html."""

_MAX_FILTERS: Final = 5
"""The maximum of ECR for exclusions: https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-tag-mutability.html."""

_SHORTEST_NAME: Final = 2
"""Source: https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreateRepository.html."""

RELEASE_TAGS: Final = "release-*"
"""The tags of images that spaces run or can roll back to, in registries with a limit of images."""

TagPattern = Annotated[
    str,
    matching(
        r"(?!.*\*.*\*.*\*)[A-Za-z0-9._*-]{1,128}",
        "use a tag, or a pattern of one with at most two asterisks, at most 128 characters",
    ),
]
"""Source: https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ImageTagMutabilityExclusionFilter.html."""


def _limit_patterns(patterns: tuple[str, ...]) -> tuple[str, ...]:
    if len(patterns) > _MAX_FILTERS or len(set(patterns)) < len(patterns):
        raise refusal(f"use at most {_MAX_FILTERS} different patterns")
    return patterns


def ecr_resource(name: str) -> str | None:
    """Return the part of the ARN after the partition for an image or repository in ECR by its full name, or None.

    Source: https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html.
    """
    found = _ECR.fullmatch(name)
    return f"ecr:{found['region']}:{found['account']}:repository/{found['name']}" if found else None


def ecr_region(name: str) -> str | None:
    """Return the region of an image or repository in ECR by its full name, or None."""
    found = _ECR.fullmatch(name)
    return found["region"] if found else None


class Registry(ScopedConstruct):
    """An ECR repository with scan on push and immutable tags.

    `mutable_tags` are those that may move to another image. Untagged images are removed after `untagged_retention_in_days`.
    """

    template: ClassVar[str] = "registry.yaml.j2"

    mutable_tags: Annotated[
        Items[TagPattern],
        AfterValidator(_limit_patterns),
        Field(description="Tags, or patterns with *, that can move to another image."),
    ] = ("latest",)
    untagged_retention_in_days: Annotated[
        int, between(1, 3650, "days"), Field(description="Days to keep images without a tag.")
    ] = 14
    kept_images: Annotated[
        Annotated[int, between(1, 10_000, "images")] | None,
        Field(
            description="Newest images with a tag to keep; others are deleted, except those of releases of spaces. Default: all."
        ),
    ] = None

    @model_validator(mode="after")
    def _validate_patterns(self) -> Self:
        _limit_patterns(self.tag_patterns)
        return self

    @property
    def tag_patterns(self) -> tuple[str, ...]:
        """The patterns of tags that can move to another image, with those of releases if the number of images is limited."""
        return tuple(dict.fromkeys((*self.mutable_tags, *((RELEASE_TAGS,) if self.kept_images is not None else ()))))

    @property
    def repository_name(self) -> str:
        """The name of the repository: the scope's and the construct's name, in lower case, as ECR requires.

        Raises InputError for one letter without a scope.
        """
        if self.is_scoped:
            return f"{self.resolved_scope.name}/{self.name}".lower()
        if len(self.name) < _SHORTEST_NAME:
            raise InputError(
                f"the name of a repository in ECR has at least {_SHORTEST_NAME} characters, not {self.name!r}",
                hint="choose a longer name",
            )
        return self.name.lower()

    @property
    def lifecycle_policy(self) -> str:
        """The images that ECR removes, as the JSON text of a lifecycle policy.

        Source: https://docs.aws.amazon.com/AmazonECR/latest/userguide/LifecyclePolicies.html.
        """
        rule = {
            "rulePriority": 1,
            "description": "Images that lost their tag, or never had one",
            "selection": {
                "tagStatus": "untagged",
                "countType": "sinceImagePushed",
                "countUnit": "days",
                "countNumber": self.untagged_retention_in_days,
            },
            "action": {"type": "expire"},
        }
        rules: list[dict[str, object]] = [rule]
        if self.kept_images is not None:
            selection = {
                "tagStatus": "tagged",
                "tagPatternList": ["*"],
                "countType": "imageCountMoreThan",
                "countNumber": self.kept_images,
            }
            # An image that matches a rule cannot be expired by a later one, and this rule expires none.
            releases = {
                "tagStatus": "tagged",
                "tagPatternList": [RELEASE_TAGS],
                "countType": "imageCountMoreThan",
                "countNumber": _MORE_THAN_ANY,
            }
            rules.append(
                {
                    "rulePriority": 2,
                    "description": "Images that spaces run or can roll back to are kept",
                    "selection": releases,
                    "action": {"type": "expire"},
                }
            )
            rules.append(
                {
                    "rulePriority": 3,
                    "description": "Images that newer ones have replaced",
                    "selection": selection,
                    "action": {"type": "expire"},
                }
            )
        return json.dumps({"rules": rules})

    @property
    def uri(self) -> str:
        """The address for push and pull, without a tag. Raises InputError before the stack is deployed."""
        return self.output("RepositoryUri")

    @property
    def arn(self) -> str:
        """The repository's ARN. Raises InputError before the stack is deployed."""
        return self.output("RepositoryArn")
