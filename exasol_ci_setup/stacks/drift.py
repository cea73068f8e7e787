"""Detect drift: compare the resources of a stack with its template, property by property."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.aws.session import ClientError, error_code, is_transient, translate_aws_errors
from exasol_ci_setup.core.clock import HEARTBEAT_SECONDS
from exasol_ci_setup.core.errors import SetupError, StackBusyError, StackError, TimedOutError
from exasol_ci_setup.core.stacks import ABSENT, Drift, PropertyDrift, ResourceDrift
from exasol_ci_setup.stacks import plan as planning
from exasol_ci_setup.stacks import state
from exasol_ci_setup.stacks.resources import of_id
from exasol_ci_setup.template import intrinsics
from exasol_ci_setup.template.render import has_transform

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypy_boto3_cloudformation import CloudFormationClient

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.core.stacks import Stack

_PAUSES: Final = (0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0)
_LONGEST_PAUSE: Final = 5.0
# AWS says "up to several minutes". A comparison that takes longer than this many seconds never ends.
_TIMEOUT_SECONDS: Final = 1800.0
_LIMITS: Final = frozenset({"LimitExceeded", "LimitExceededException"})
# Values that CloudFormation fills in itself, and that only the resource may see.
_SECRETS: Final = (intrinsics.MASK, "{{resolve:secretsmanager:", "{{resolve:ssm-secure:")


def detect(context: Context, stack: Stack, *, everything: bool = True) -> Drift:
    """Compare the resources of `stack` with what CloudFormation created, and return the drift.

    AWS compares only properties that the template sets, and only some resource types:
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-stack-drift.html. The notes of the result list what could not be
    compared. Without `everything`, the resources of a stack without drift are not requested. AWS runs one comparison of a stack
    at a time, and limits those of an account: this waits for both, and reports it if that takes long.

    Raises StackBusyError if an operation is in progress, StackError if AWS does not compare a stack in this status, TimedOutError after half an hour,
    and the errors of `translate_aws_errors`.
    """
    state.require_idle(stack)
    cfn = context.cfn
    waiting = _Wait(context, stack)
    detection = _start_detection(cfn, stack, waiting)
    ended = _wait_for_end(cfn, detection, waiting)
    notes = []
    if ended["DetectionStatus"] == "DETECTION_FAILED":
        why = ended.get("DetectionStatusReason") or "AWS gave no reason"
        notes.append(f"AWS could not compare every resource: {why}")
    status = ended.get("StackDriftStatus", "")
    asked = everything or status != "IN_SYNC" or bool(notes)
    found = [_resource(described) for described in _resource_drifts(cfn, stack)] if asked else []
    if any(each.is_drifted for each in found):
        found = _mask_secrets(cfn, stack, found)
    return Drift(stack.name, stack.id, status, tuple(found), tuple(notes))


def look(context: Context, stack: Stack) -> Drift | None:
    """Return what `detect` returns, or None after a note if AWS cannot detect drift: it is optional for a deployment."""
    try:
        return detect(context, stack, everything=False)
    except SetupError as error:
        if isinstance(error, StackBusyError):
            raise
        context.note(f"the drift of the stack is unknown: {error.message}")
        return None


def unchecked(cfn: CloudFormationClient, stack: Stack, found: Drift) -> tuple[ResourceDrift, ...]:
    """Return the resources of the stack that `found` does not cover, because AWS cannot compare their types."""
    known = {each.logical_id for each in found.resources}
    return tuple(
        ResourceDrift(each.logical_id, each.type, each.physical_id, "NOT_CHECKED")
        for each in of_id(cfn, stack.id)
        if each.logical_id not in known
    )


class _Wait:
    """The waiting time of one detection, from its first call to its end."""

    def __init__(self, context: Context, stack: Stack) -> None:
        self.stack = stack
        self._clock = context.clock
        self._note = context.note
        self._started_at = self._notified_at = self._clock.now()
        self._pauses = iter(_PAUSES)

    def pause(self, why: str) -> None:
        """Wait. Raises TimedOutError if the whole detection takes too long."""
        now = self._clock.now()
        if now - self._started_at > _TIMEOUT_SECONDS:
            raise TimedOutError(
                f"AWS has not compared stack {self.stack.name} within {_TIMEOUT_SECONDS / 60:g} min: {why}",
                hint="try again later",
                stack_name=self.stack.name,
            )
        if now - self._notified_at > HEARTBEAT_SECONDS:
            self._notified_at = now
            self._note(
                f"still comparing stack {self.stack.name} with its resources ({now - self._started_at:.0f} s): {why}"
            )
        self._clock.sleep(next(self._pauses, _LONGEST_PAUSE))


def _start_detection(cfn: CloudFormationClient, stack: Stack, waiting: _Wait) -> str:
    while True:
        with translate_aws_errors():
            try:
                return cfn.detect_stack_drift(StackName=stack.id or stack.name)["StackDriftDetectionId"]
            except ClientError as error:
                said = error.response.get("Error", {}).get("Message", "")
                if error_code(error) in _LIMITS or "already in progress" in said:
                    why = said
                elif error_code(error) == "ValidationError":
                    raise StackError(
                        f"AWS does not compare stack {stack.name} with its resources: {said}",
                        hint="it compares only stacks that exist and have no operation in progress",
                        stack_name=stack.name,
                    ) from error
                else:
                    raise
        waiting.pause(why)


def _wait_for_end(cfn: CloudFormationClient, detection: str, waiting: _Wait) -> Mapping[str, Any]:
    while True:
        why = "AWS is comparing"
        try:
            with translate_aws_errors():
                described = cfn.describe_stack_drift_detection_status(StackDriftDetectionId=detection)
            if described["DetectionStatus"] != "DETECTION_IN_PROGRESS":
                return described
        except SetupError as error:
            # botocore has tried ten times. The comparison itself continues.
            if not is_transient(error.__cause__ or error):
                raise
            why = error.message
        waiting.pause(why)


def _resource_drifts(cfn: CloudFormationClient, stack: Stack) -> Iterator[Mapping[str, Any]]:
    """Yield all pages of DescribeStackResourceDrifts; botocore has no paginator for it."""
    arguments: dict[str, Any] = {"StackName": stack.id or stack.name}
    while True:
        with translate_aws_errors():
            page = cfn.describe_stack_resource_drifts(**arguments)
        yield from page["StackResourceDrifts"]
        if not page.get("NextToken"):
            return
        arguments["NextToken"] = page["NextToken"]


def _resource(described: Mapping[str, Any]) -> ResourceDrift:
    differences = tuple(
        PropertyDrift(_dotted(each["PropertyPath"]), _value(each["ExpectedValue"]), _value(each["ActualValue"]))
        for each in described.get("PropertyDifferences", [])
    )
    expected = intrinsics.as_mapping(_value(described.get("ExpectedProperties", "")))
    actual = intrinsics.as_mapping(_value(described.get("ActualProperties", "")))
    names = {each.path.partition(".")[0] for each in differences}
    return ResourceDrift(
        described["LogicalResourceId"],
        described["ResourceType"],
        described.get("PhysicalResourceId", ""),
        described["StackResourceDriftStatus"],
        differences,
        described.get("DriftStatusReason", ""),
        {name: _align_order(expected.get(name), value) for name, value in actual.items() if name in names},
    )


def _value(text: str) -> Any:
    """Return the value of a text of AWS: objects and lists are JSON, ``null`` means a missing value, the rest is plain text."""
    if text == "null":
        return ABSENT
    if text.startswith(("{", "[")):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _dotted(pointer: str) -> str:
    steps = pointer.removeprefix("/").split("/")
    return ".".join(step.replace("~1", "/").replace("~0", "~") for step in steps)


def _align_order(expected: Any, actual: Any) -> Any:
    """Return a list with its elements that are in `expected` first, in that order: AWS returns sets in any order."""
    if not isinstance(expected, list) or not isinstance(actual, list):
        return actual
    rest = list(actual)
    ordered = []
    for item in expected:
        same = next((each for each in rest if intrinsics.canonical(each) == intrinsics.canonical(item)), ABSENT)
        if same is not ABSENT:
            rest.remove(same)
            ordered.append(same)
    return [*ordered, *rest]


def _mask_secrets(cfn: CloudFormationClient, stack: Stack, found: list[ResourceDrift]) -> list[ResourceDrift]:
    """Mask the properties that the template sets with a NoEcho parameter or a reference to a secret."""
    template = intrinsics.resolve(planning.processed_template(cfn, stack.id or stack.name), stack.parameters)
    resources = intrinsics.as_mapping(template.get("Resources"))
    if has_transform(template):
        # AWS did not return the processed template, so the properties that its transforms add are unknown.
        return [
            _mask(each, set(each.actual) | {item.path.partition(".")[0] for item in each.properties}) for each in found
        ]
    return [_mask(each, _secret_properties(intrinsics.as_mapping(resources.get(each.logical_id)))) for each in found]


def _secret_properties(resource: Mapping[str, Any]) -> set[str]:
    """Return the names of the properties that contain a secret."""
    return {
        name
        for name, value in intrinsics.as_mapping(resource.get("Properties")).items()
        if any(mark in intrinsics.canonical(value) for mark in _SECRETS)
    }


def _mask(drift: ResourceDrift, secret: set[str]) -> ResourceDrift:
    if not secret:
        return drift
    return ResourceDrift(
        drift.logical_id,
        drift.type,
        drift.physical_id,
        drift.status,
        tuple(
            PropertyDrift(each.path, intrinsics.MASK, intrinsics.MASK)
            if each.path.partition(".")[0] in secret
            else each
            for each in drift.properties
        ),
        drift.reason,
        {name: intrinsics.MASK if name in secret else value for name, value in drift.actual.items()},
    )
