"""A repository for container images in ECR."""

from __future__ import annotations

import json
from typing import Annotated, ClassVar, Final

from pydantic import AfterValidator, Field

from exasol_ci_setup.constructs.base import ScopedConstruct
from exasol_ci_setup.constructs.values import Items, between, matching, refusal

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
        return json.dumps({"rules": [rule]})

    @property
    def uri(self) -> str:
        """The address for push and pull, without a tag. Raises InputError before the stack is deployed."""
        return self.output("RepositoryUri")

    @property
    def arn(self) -> str:
        """The repository's ARN. Raises InputError before the stack is deployed."""
        return self.output("RepositoryArn")
