"""StackSets as AWS keeps them, for answers inside botocore: units with accounts, operations that take time, and failures on request."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from tests.answers import REGION, AwsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.answers import Answers, VirtualClock

UNITS = {"ou-ab12-cd34ef56": ("111111111111", "222222222222"), "ou-ab12-new00000": ("333333333333",)}
NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
CAUSE = "ResourceLogicalId:ArtifactsBucket, ResourceType:AWS::S3::Bucket, ResourceStatusReason:slc already exists"


@dataclass
class Organization:
    """`fails` are the accounts and regions in which an operation fails; each place takes `seconds`."""

    answers: Answers
    clock: VirtualClock
    seconds: float = 60.0
    fails: set[tuple[str, str]] = field(default_factory=set)
    sets: dict[str, dict[str, Any]] = field(default_factory=dict)
    instances: dict[tuple[str, str, str], str] = field(default_factory=dict)
    operations: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for operation, reply in {
            "DescribeStackSet": self._describe,
            "ListStackInstances": self._list_instances,
            "ListStackSetOperations": self._list_operations,
            "CreateStackSet": self._create,
            "UpdateStackSet": self._update,
            "CreateStackInstances": self._add,
            "DescribeStackSetOperation": lambda params: {
                "StackSetOperation": self._read_operation(params["OperationId"])
            },
            "ListStackSetOperationResults": self._results,
            "StopStackSetOperation": self._stop,
        }.items():
            self.answers.on("cloudformation", operation, reply)

    def _describe(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return {"StackSet": self._set(params)}

    def _set(self, params: Mapping[str, Any]) -> dict[str, Any]:
        name = params["StackSetName"]
        if name not in self.sets:
            raise AwsError("StackSetNotFoundException", f"StackSet {name} not found", status=404)
        return self.sets[name]

    def _list_instances(self, params: Mapping[str, Any]) -> dict[str, Any]:
        self._set(params)
        found = [
            {"Account": account, "Region": region, "Status": status, "StackInstanceStatus": {"DetailedStatus": detail}}
            for (name, account, region), status in self.instances.items()
            if name == params["StackSetName"]
            for detail in ["SUCCEEDED" if status == "CURRENT" else "FAILED"]
        ]
        return _page(found, params)

    def _list_operations(self, params: Mapping[str, Any]) -> dict[str, Any]:
        mine = [each for each in self.operations.values() if each["set"] == params["StackSetName"]]
        return {
            "Summaries": [
                {key: self._read_operation(each["id"])[key] for key in ("OperationId", "Action", "Status")}
                for each in mine[::-1]
            ]
        }

    def _create(self, params: Mapping[str, Any]) -> dict[str, Any]:
        name = params["StackSetName"]
        arn = f"arn:aws:cloudformation:{REGION}:999999999999:stackset/{name}:1"
        self.sets[name] = {
            "StackSetName": name,
            "StackSetARN": arn,
            "Status": "ACTIVE",
            "PermissionModel": params["PermissionModel"],
            "OrganizationalUnitIds": [],
            "Regions": [],
            **_said(params),
        }
        return {"StackSetId": f"{name}:1"}

    def _update(self, params: Mapping[str, Any]) -> dict[str, Any]:
        self._set(params).update(_said(params))
        places = [(account, region) for name, account, region in self.instances if name == params["StackSetName"]]
        if "DeploymentTargets" in params:
            wanted = set(_places(params))
            places = [each for each in places if each in wanted]
        return self.begin(params["StackSetName"], "UPDATE", params["OperationId"], places)

    def _add(self, params: Mapping[str, Any]) -> dict[str, Any]:
        there = self._set(params)
        for key, more in (
            ("OrganizationalUnitIds", params["DeploymentTargets"]["OrganizationalUnitIds"]),
            ("Regions", params["Regions"]),
        ):
            there[key] = [*there[key], *(each for each in more if each not in there[key])]
        return self.begin(params["StackSetName"], "CREATE", params["OperationId"], list(_places(params)))

    def begin(self, name: str, action: str, operation_id: str, places: list[tuple[str, str]]) -> dict[str, Any]:
        """Start an operation on a StackSet, by any client."""
        if any(
            each["set"] == name and self._read_operation(each["id"])["Status"] == "RUNNING"
            for each in self.operations.values()
        ):
            raise AwsError(
                "OperationInProgressException", f"Another Operation on StackSet {name} is in progress", status=409
            )
        self.operations[operation_id] = {
            "id": operation_id, "set": name, "action": action, "places": places, "began": self.clock.now(), "stopped": False, "fails": set(self.fails),
        }  # fmt: skip
        return {"OperationId": operation_id}

    def _stop(self, params: Mapping[str, Any]) -> dict[str, Any]:
        self.operations[params["OperationId"]]["stopped"] = True
        return {}

    def _states(self, operation_id: str) -> list[tuple[tuple[str, str], str]]:
        """Deploy to one place at a time; after a failure the rest is canceled, as with a tolerance of 0."""
        operation = self.operations[operation_id]
        done = int((self.clock.now() - operation["began"]) / self.seconds)
        found: list[tuple[tuple[str, str], str]] = []
        for number, place in enumerate(operation["places"]):
            if operation["stopped"] or "FAILED" in [state for _, state in found]:
                state = "SUCCEEDED" if operation["stopped"] and number < done else "CANCELLED"
            elif number < done:
                state = "FAILED" if place in operation["fails"] else "SUCCEEDED"
            else:
                state = "RUNNING" if number == done else "PENDING"
            found.append((place, state))
        for place, state in found:
            key = (operation["set"], *place)
            if state == "SUCCEEDED":
                self.instances[key] = "CURRENT"
            elif state in {"FAILED", "CANCELLED"}:
                self.instances[key] = "OUTDATED"
        return found

    def _read_operation(self, operation_id: str) -> dict[str, Any]:
        states = [state for _, state in self._states(operation_id)]
        operation = self.operations[operation_id]
        if operation["stopped"]:
            status = "STOPPED"
        elif "FAILED" in states:
            status = "FAILED"
        else:
            status = "SUCCEEDED" if set(states) <= {"SUCCEEDED"} else "RUNNING"
        return {
            "OperationId": operation_id,
            "StackSetId": f"{operation['set']}:1",
            "Action": operation["action"],
            "Status": status,
        }

    def _results(self, params: Mapping[str, Any]) -> dict[str, Any]:
        found = [
            {
                "Account": account,
                "Region": region,
                "Status": state,
                **({"StatusReason": CAUSE} if state == "FAILED" else {}),
                **({"StatusReason": "Cancelled since failure tolerance has exceeded"} if state == "CANCELLED" else {}),
            }
            for (account, region), state in self._states(params["OperationId"])
        ]
        # A canceled place precedes the cause.
        return _page(sorted(found, key=lambda each: each["Status"]), params)


def _said(params: Mapping[str, Any]) -> dict[str, Any]:
    return {key: params[key] for key in ("TemplateBody", "Tags", "AutoDeployment", "Description", "Capabilities")}


def _places(params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    targets = params["DeploymentTargets"]
    order = params["OperationPreferences"]["RegionOrder"]
    assert sorted(order) == sorted(params["Regions"])
    for region in order:
        for unit in targets["OrganizationalUnitIds"]:
            for account in UNITS[unit]:
                if targets.get("AccountFilterType") != "INTERSECTION" or account in targets["Accounts"]:
                    yield account, region


def _page(found: list[dict[str, Any]], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return two entries per page, so that each list has several pages."""
    start = int(params.get("NextToken", 0))
    more = {"NextToken": str(start + 2)} if start + 2 < len(found) else {}
    return {"Summaries": found[start : start + 2], **more}
