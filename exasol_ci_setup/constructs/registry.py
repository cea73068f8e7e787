"""A repository for container images in ECR."""

from __future__ import annotations

import json
from typing import Annotated, ClassVar, Final

from pydantic import AfterValidator, Field

from exasol_ci_setup.constructs.base import ScopedConstruct
from exasol_ci_setup.constructs.values import between, matching, refusal

_MOST_FILTERS: Final = 5
"""What ECR takes as exclusions: https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-tag-mutability.html."""

TagPattern = Annotated[
    str,
    matching(
        r"(?!.*\*.*\*.*\*)[A-Za-z0-9._*-]{1,128}",
        "use a tag, or a pattern of one with at most two asterisks, at most 128 characters",
    ),
]
"""Source: https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ImageTagMutabilityExclusionFilter.html."""


def _are_few(patterns: tuple[str, ...]) -> tuple[str, ...]:
    if len(patterns) > _MOST_FILTERS or len(set(patterns)) < len(patterns):
        raise refusal(f"use at most {_MOST_FILTERS} different patterns")
    return patterns


class Registry(ScopedConstruct):
    """An ECR repository that scans each image as it comes and whose tags stay at the image they were given to.

    `mutable_tags` are those that may move to another image; images without a tag are removed after
    `untagged_retention_in_days`.
    """

    template: ClassVar[str] = "registry.yaml.j2"

    mutable_tags: Annotated[tuple[TagPattern, ...], Field(strict=False), AfterValidator(_are_few)] = ("latest",)
    untagged_retention_in_days: Annotated[int, between(1, 3650, "days")] = 14

    @property
    def repository_name(self) -> str:
        """The name of the repository: the scope's and the construct's name, in the lower case that ECR asks for."""
        return (f"{self.own_scope.name}/{self.name}" if self.is_scoped else self.name).lower()

    @property
    def lifecycle_policy(self) -> str:
        """Which images ECR removes by itself, as the JSON text that it takes.

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
        """Where images are pushed to and pulled from, without a tag. Raises InputError before the stack is deployed."""
        return self.output("RepositoryUri")

    @property
    def arn(self) -> str:
        """The repository's ARN. Raises InputError before the stack is deployed."""
        return self.output("RepositoryArn")
