"""Add drift of security groups, and change sets that revert drift, to ministack's CloudFormation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.sandbox.private import find_change_set, find_stack, refusal, resource_handlers, value, wrap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exasol_ci_setup.sandbox.private import Action, Parameters, Reply, Values

_GROUP: Final = "AWS::EC2::SecurityGroup"
_OK: Final = 200
# Names of the sources of a permission: in EC2 (two), and in a template's ingress and egress rules.
_SOURCES: Final = (
    ("IpRanges", "CidrIp", "CidrIp", "CidrIp"),
    ("Ipv6Ranges", "CidrIpv6", "CidrIpv6", "CidrIpv6"),
    ("PrefixListIds", "PrefixListId", "SourcePrefixListId", "DestinationPrefixListId"),
    ("UserIdGroupPairs", "GroupId", "SourceSecurityGroupId", "DestinationSecurityGroupId"),
)


def extend() -> None:
    """Add a drift reader of security groups, and the mode REVERT_DRIFT. Call `cloudformation.extend` first."""
    from ministack.services.cloudformation import drift, handlers

    read = frozenset({"GroupDescription", "SecurityGroupEgress", "SecurityGroupIngress", "Tags"})
    drift._DRIFT_READERS[_GROUP] = (_read_group, read)  # noqa: SLF001
    wrap(resource_handlers()[_GROUP], "update", _update_group)
    actions = handlers._ACTION_HANDLERS  # noqa: SLF001
    wrap(actions, "CreateChangeSet", _create_change_set)
    wrap(actions, "ExecuteChangeSet", _execute_change_set)


def _read_group(group_id: str, _properties: Values) -> Values | None:
    """Return the properties of a security group in the form of a template, or None if it was deleted."""
    from ministack.services import ec2
    from ministack.services.cloudformation import provisioners

    group = ec2._security_groups.get(group_id)  # noqa: SLF001
    if group is None:
        return None
    return {
        "GroupDescription": group["Description"],
        "SecurityGroupIngress": list(_rules(group.get("IpPermissions", []), 2)),
        "SecurityGroupEgress": list(_rules(group.get("IpPermissionsEgress", []), 3)),
        "Tags": provisioners._tag_map(ec2._tags.get(group_id) or []),  # noqa: SLF001
    }


def _rules(permissions: list[Values], column: int) -> Iterator[Values]:
    for permission in _split_permissions(permissions):
        rule: Values = {name: permission[name] for name in ("IpProtocol", "FromPort", "ToPort") if name in permission}
        for source in _SOURCES:
            for each in permission[source[0]]:
                described = {"Description": each["Description"]} if each.get("Description") else {}
                yield {**rule, source[column]: each[source[1]], **described}


def _update_group(inner: Callable[..., Any], group_id: str, *arguments: Any, **more: Any) -> Any:
    """Split permissions into one per source before an update. ministack finds only those that match a template's rules."""
    from ministack.services import ec2

    group = ec2._security_groups.get(group_id, {})  # noqa: SLF001
    for kind in ("IpPermissions", "IpPermissionsEgress"):
        if kind in group:
            group[kind][:] = _split_permissions(group[kind])
    return inner(group_id, *arguments, **more)


def _split_permissions(permissions: list[Values]) -> Iterator[Values]:
    names = [source[0] for source in _SOURCES]
    for permission in permissions:
        ports: Values = {name: permission[name] for name in ("FromPort", "ToPort") if name in permission}
        for name in names:
            for each in permission.get(name, []):
                yield {
                    "IpProtocol": permission["IpProtocol"],
                    **{other: [each] if other == name else [] for other in names},
                    **ports,
                }


def _create_change_set(inner: Action, parameters: Parameters) -> Reply:
    """Support DeploymentMode: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateChangeSet.html."""
    mode = value(parameters, "DeploymentMode")
    if not mode:
        return inner(parameters)
    if mode != "REVERT_DRIFT":
        return refusal(
            "ValidationError",
            f"1 validation error detected: Value '{mode}' at 'deploymentMode' failed to satisfy constraint: "
            "Member must satisfy enum value set: [REVERT_DRIFT]",
        )
    if value(parameters, "ChangeSetType") == "CREATE":
        return refusal("ValidationError", "DeploymentMode REVERT_DRIFT is not supported for change sets of type CREATE")
    reply = inner(parameters)
    if reply[0] == _OK:
        stack = find_stack(value(parameters, "StackName"))
        _add_drift(find_change_set(value(parameters, "ChangeSetName"), stack["StackName"]), stack)
    return reply


def _add_drift(change_set: Values, stack: Values) -> None:
    """Add drifted resources to the changes of a change set, which can have no other changes."""
    without = change_set["Status"] == "FAILED" and "didn't contain changes" in change_set["StatusReason"]
    if change_set["Status"] != "CREATE_COMPLETE" and not without:
        return
    change_set["_drift"] = found = dict(_find_drift(stack, change_set["_template"].get("Resources", {})))
    changes = {each["ResourceChange"]["LogicalResourceId"]: each["ResourceChange"] for each in change_set["Changes"]}
    for logical_id, actual in found.items():
        record = stack["_resources"][logical_id]
        if actual is None:
            changes[logical_id] = {
                "Action": "Add",
                "LogicalResourceId": logical_id,
                "ResourceType": record["ResourceType"],
            }
            continue
        change = changes.setdefault(
            logical_id,
            {
                "Action": "Modify",
                "LogicalResourceId": logical_id,
                "PhysicalResourceId": record["PhysicalResourceId"],
                "ResourceType": record["ResourceType"],
                "Replacement": "False",
                "Scope": ["Properties"],
                "Details": [],
            },
        )
        named = {detail["Target"].get("Name") for detail in change["Details"]}
        change["Details"] += [
            {
                "Target": {"Attribute": "Properties", "Name": name, "RequiresRecreation": "Never"},
                "Evaluation": "Static",
                "ChangeSource": "NoModification",
            }
            for name in actual
            if name not in named
        ]
    change_set["Changes"] = [{"ResourceChange": change} for change in changes.values()]
    if found and without:
        change_set.update(Status="CREATE_COMPLETE", ExecutionStatus="AVAILABLE", StatusReason="")


def _find_drift(stack: Values, wanted: Values) -> Iterator[tuple[str, Values | None]]:
    """Yield each drifted resource with the actual values of its drifted properties; None if it was deleted."""
    from ministack.services.cloudformation import drift

    for logical_id, record in stack["_resources"].items():
        if logical_id not in wanted or not drift.supports_drift(record["ResourceType"]):
            continue
        found = drift.detect_resource_drift(stack, logical_id, record, "")
        if found["StackResourceDriftStatus"] == "DELETED":
            yield logical_id, None
        elif found["StackResourceDriftStatus"] == "MODIFIED":
            names = {each["PropertyPath"].split("/")[1] for each in found["PropertyDifferences"]}
            actual = json.loads(found["ActualProperties"])
            yield logical_id, {name: actual.get(name) for name in sorted(names)}


def _set_actual(resources: dict[str, Any], logical_id: str, actual: dict[str, Any] | None) -> None:
    """Replace the recorded properties of a resource by the `actual` ones; None if it was deleted."""
    if actual is None:
        resources.pop(logical_id, None)
    elif logical_id in resources:
        record = resources[logical_id]
        properties = {**record["Properties"], **actual}
        known = {name: value for name, value in properties.items() if value is not None}
        resources[logical_id] = {**record, "Properties": known}


def _execute_change_set(inner: Action, parameters: Parameters) -> Reply:
    """Start the update from the actual properties: handlers see the differences, and a rollback restores the actual state."""
    from ministack.services.cloudformation import _stacks

    change_set = find_change_set(value(parameters, "ChangeSetName"), value(parameters, "StackName"))
    found = (change_set or {}).get("_drift", {})
    if change_set is None or not found or change_set["ExecutionStatus"] != "AVAILABLE":
        return inner(parameters)
    resources = _stacks[change_set["StackName"]]["_resources"]
    before = {logical_id: resources.get(logical_id) for logical_id in found}
    for logical_id, actual in found.items():
        _set_actual(resources, logical_id, actual)
    reply = inner(parameters)
    if reply[0] != _OK:
        resources.update({logical_id: record for logical_id, record in before.items() if record is not None})
    return reply
