"""Add resource types to CloudFormation that are records without effect, since the sandbox runs no tasks and sends no packets."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.sandbox.private import add_resource_type, names_of_api, resource_handlers, wrap

if TYPE_CHECKING:
    from collections.abc import Callable

    from exasol_ci_setup.sandbox.private import Values

REPLACING: Final = {
    "AWS::ApplicationAutoScaling::ScalableTarget": ("ResourceId", "ScalableDimension", "ServiceNamespace"),
    "AWS::ApplicationAutoScaling::ScalingPolicy": (
        *("PolicyName", "ResourceId", "ScalableDimension", "ScalingTargetId", "ServiceNamespace"),
    ),
}
"""`createOnlyProperties` of the resource schemas in cfn-lint 1.57."""


def extend() -> None:
    """Add the types, and let schedules of templates have the names of the API."""
    for operation in ("create", "update"):
        wrap(resource_handlers()["AWS::Scheduler::Schedule"], operation, _with_names_of_api)
    add_resource_type("AWS::ApplicationAutoScaling::ScalableTarget", _RecordType(_target_id))
    add_resource_type("AWS::ApplicationAutoScaling::ScalingPolicy", _RecordType(_policy_id))
    add_resource_type("AWS::EC2::SecurityGroupIngress", _RecordType(lambda _: f"sgr-{uuid.uuid4().hex[:17]}"))


def _with_names_of_api(inner: Callable[..., Any], first: str, *arguments: Any) -> Any:
    """Create or update a schedule, whose network and capacity get the names of the API."""
    *others, properties, stack = arguments
    ecs = properties.get("Target", {}).get("EcsParameters")
    if ecs is not None:
        renamed = dict(ecs)
        if "CapacityProviderStrategy" in ecs:
            renamed["CapacityProviderStrategy"] = names_of_api(ecs["CapacityProviderStrategy"])
        if "AwsvpcConfiguration" in ecs.get("NetworkConfiguration", {}):
            # The names in it begin with capitals in the API too.
            renamed["NetworkConfiguration"] = {
                "awsvpcConfiguration": ecs["NetworkConfiguration"]["AwsvpcConfiguration"]
            }
        properties = {**properties, "Target": {**properties["Target"], "EcsParameters": renamed}}
    return inner(first, *others, properties, stack)


def _target_id(properties: Values) -> str:
    return "|".join(properties[name] for name in ("ResourceId", "ScalableDimension", "ServiceNamespace"))


def _policy_id(properties: Values) -> str:
    return f"policy/{uuid.uuid4()}:policyName/{properties['PolicyName']}"


class _RecordType:
    """A resource that consists of its properties; `new_id` returns the identifier of a new one."""

    def __init__(self, new_id: Callable[[Values], str]) -> None:
        self._new_id = new_id

    def create(self, _logical_id: str, properties: Values, _stack_name: str) -> tuple[str, Values]:
        return self._new_id(properties), {}

    def update(self, record: str, _old: Values, _new: Values, _stack_name: str) -> tuple[str, Values]:
        return record, {}

    def delete(self, _record: str, _properties: Values) -> None:
        """Delete the record, which has no other state."""
