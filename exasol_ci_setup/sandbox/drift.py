"""Add drift of security groups, and change sets that revert drift, to ministack's CloudFormation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.sandbox.private import find_change_set, find_stack, refusal, resource_handlers, value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exasol_ci_setup.sandbox.private import Action, Parameters, Reply

    Values = dict[str, Any]

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
    groups = resource_handlers()[_GROUP]
    groups["update"] = _with_split_permissions(groups["update"])
    actions = handlers._ACTION_HANDLERS  # noqa: SLF001
    actions["CreateChangeSet"] = _creating_drift_aware_change_sets(actions["CreateChangeSet"])
    actions["ExecuteChangeSet"] = _executing_drift_aware_change_sets(actions["ExecuteChangeSet"])


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
    for permission in permissions:
        ports: Values = {name: permission[name] for name in ("FromPort", "ToPort") if name in permission}
        for source in _SOURCES:
            for each in permission.get(source[0], []):
                described = {"Description": each["Description"]} if each.get("Description") else {}
                yield {"IpProtocol": permission["IpProtocol"], **ports, source[column]: each[source[1]], **described}


def _with_split_permissions(update: Callable[..., Any]) -> Callable[..., Any]:
    """Split permissions into one per source before an update. ministack finds only those that match a template's rules."""

    def update_split(group_id: str, *arguments: Any, **more: Any) -> Any:
        from ministack.services import ec2

        group = ec2._security_groups.get(group_id, {})  # noqa: SLF001
        for kind in ("IpPermissions", "IpPermissionsEgress"):
            if kind in group:
                group[kind][:] = _split_permissions(group[kind])
        return update(group_id, *arguments, **more)

    return update_split


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


def _creating_drift_aware_change_sets(inner: Action) -> Action:
    """Support DeploymentMode: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateChangeSet.html."""

    def act(parameters: Parameters) -> Reply:
        mode = value(parameters, "DeploymentMode")
        if not mode:
            return inner(parameters)
        refused = ""
        if mode != "REVERT_DRIFT":
            refused = (
                f"1 validation error detected: Value '{mode}' at 'deploymentMode' failed to satisfy constraint: "
                "Member must satisfy enum value set: [REVERT_DRIFT]"
            )
        elif value(parameters, "ChangeSetType") == "CREATE":
            refused = "DeploymentMode REVERT_DRIFT is not supported for change sets of type CREATE"
        if refused:
            return refusal("ValidationError", refused)
        reply = inner(parameters)
        if reply[0] == _OK:
            stack = find_stack(value(parameters, "StackName"))
            change_set = find_change_set(value(parameters, "ChangeSetName"), stack["StackName"])
            _add_drift(change_set, stack)
        return reply

    return act


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


def _executing_drift_aware_change_sets(inner: Action) -> Action:
    """Start the update from the actual properties: handlers see the differences, and a rollback restores the actual state."""

    def act(parameters: Parameters) -> Reply:
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

    return act
