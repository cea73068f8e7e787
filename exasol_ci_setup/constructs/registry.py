"""A repository for container images in ECR."""

from __future__ import annotations

import json
import re
from typing import Annotated, ClassVar, Final

from pydantic import AfterValidator, Field

from exasol_ci_setup.constructs.base import ScopedConstruct
from exasol_ci_setup.constructs.values import Items, between, matching, refusal

_ECR: Final = re.compile(
    r"(?P<account>[0-9]{12})\.dkr[.-]ecr\.(?P<region>[a-z0-9-]+)\.(amazonaws\.com(\.cn)?|on\.aws)/(?P<name>.+)"
)
_MAX_FILTERS: Final = 5
"""The maximum of ECR for exclusions: https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-tag-mutability.html."""

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
            description="Newest images with a tag to keep; others are deleted, also if a service runs them. Default: all."
        ),
    ] = None

    @property
    def repository_name(self) -> str:
        """The name of the repository: the scope's and the construct's name, in lower case, as ECR requires."""
        return (f"{self.resolved_scope.name}/{self.name}" if self.is_scoped else self.name).lower()

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
            rules.append(
                {
                    "rulePriority": 2,
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
