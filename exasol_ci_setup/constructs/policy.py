"""Permissions of roles: statements of policies, and the limit of all roles of a scope."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, model_validator

from exasol_ci_setup.constructs.values import Items, Value, matching, refusal

if TYPE_CHECKING:
    from typing_extensions import Self

Action = Annotated[
    str,
    matching(r"\*|[a-z0-9-]+:[A-Za-z0-9*?]+", "use an action, such as s3:GetObject, or a pattern with * and ?"),
]
"""Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_action.html."""

ResourceArn = Annotated[
    str, matching(r"\*|arn:[a-z*?-]+:[^\s]+", "use the ARN of a resource, a pattern of ARNs, or * for all resources")
]
"""Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html."""

PolicyArn = Annotated[
    str,
    matching(
        r"arn:aws[a-z-]*:iam::(aws|[0-9]{12}):policy/[A-Za-z0-9/_+=,.@-]{1,512}",
        "use the ARN of a policy, such as arn:aws:iam::123456789012:policy/limit",
    ),
]


class PolicyStatement(Value):
    """Allows actions on resources. Everything else remains denied."""

    actions: Annotated[Items[Action], Field(description="Allowed actions, such as s3:GetObject.")]
    resources: Annotated[Items[ResourceArn], Field(description="ARNs of the resources, or patterns of them.")]

    @model_validator(mode="after")
    def _allows_something(self) -> Self:
        if not self.actions or not self.resources:
            raise refusal("use at least one action and one resource")
        return self
