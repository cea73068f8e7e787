"""What of a stack's resources is not as CloudFormation left it, property by property, because something else changed it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup import templates
from exasol_ci_setup.aws import ClientError, error_code, is_transient, translate_aws_errors
from exasol_ci_setup.errors import SetupError, StackBusy, StackError, TimedOut
from exasol_ci_setup.stacks import intrinsics, state
from exasol_ci_setup.stacks import plan as planning
from exasol_ci_setup.stacks.absent import ABSENT
from exasol_ci_setup.stacks.model import Drift, PropertyDrift, ResourceDrift

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mypy_boto3_cloudformation import CloudFormationClient

    from exasol_ci_setup.clock import Clock
    from exasol_ci_setup.stacks.model import Stack

_PAUSES: Final = (0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0)
_LONGEST_PAUSE: Final = 5.0
_QUIET: Final = 25.0
# AWS says "up to several minutes"; what takes longer than this many seconds does not come to an end.
_PATIENCE: Final = 1800.0
_LIMITS: Final = frozenset({"LimitExceeded", "LimitExceededException"})
# Values that CloudFormation fills in itself, and that nobody but the resource may see.
_SECRETS: Final = (intrinsics.MASK, "{{resolve:secretsmanager:", "{{resolve:ssm-secure:")


def detect(
    cfn: CloudFormationClient,
    stack: Stack,
    clock: Clock,
    *,
    everything: bool = True,
    notice: Callable[[str], None] = lambda _message: None,
) -> Drift:
    """Let AWS compare the resources of `stack` with what CloudFormation made of them, and return what it found.

    Only properties that the template sets are compared, of those types that AWS can compare:
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-stack-drift.html. What could not be looked at is in the
    notes of the result. Without `everything` a stack in which nothing differs is not asked for its resources. AWS compares a stack once
    at a time, and only so much of an account: both are waited for. `notice` is told that it takes long.

    Raises StackBusy if an operation is under way, StackError if AWS does not look at a stack in this state, TimedOut after half an hour,
    and the errors of the AWS boundary.
    """
    if state.is_busy(stack):
        raise StackBusy(
            f"stack {stack.name} is busy: {stack.status}",
            hint=f"`exasol-ci-setup watch {stack.name}` shows the end",
            stack_name=stack.name,
        )
    waiting = _Waiting(stack, clock, notice)
    detection = _begin(cfn, stack, waiting)
    ended = _end(cfn, detection, waiting)
    notes = []
    if ended["DetectionStatus"] == "DETECTION_FAILED":
        why = ended.get("DetectionStatusReason") or "AWS gave no reason"
        notes.append(f"AWS could not look at every resource: {why}")
    status = ended.get("StackDriftStatus", "")
    asked = everything or status != "IN_SYNC" or bool(notes)
    found = [_resource(described) for described in _described(cfn, stack)] if asked else []
    if any(each.is_drifted for each in found):
        found = _without_secrets(cfn, stack, found)
    return Drift(stack.name, stack.id, status, tuple(found), tuple(notes))


def look(
    cfn: CloudFormationClient, stack: Stack, clock: Clock, *, notice: Callable[[str], None] = lambda _message: None
) -> Drift | None:
    """Return what `detect` finds, or None after a notice where AWS does not tell: a deployment is possible without."""
    try:
        return detect(cfn, stack, clock, everything=False, notice=notice)
    except SetupError as error:
        if isinstance(error, StackBusy):
            raise
        notice(f"what was changed outside of CloudFormation is not known: {error.message}")
        return None


def unchecked(cfn: CloudFormationClient, stack: Stack, found: Drift) -> tuple[ResourceDrift, ...]:
    """Return the stack's resources that `found` says nothing of, because AWS cannot compare their types."""
    known = {each.logical_id for each in found.resources}
    with translate_aws_errors():
        listed = [
            summary
            for page in cfn.get_paginator("list_stack_resources").paginate(StackName=stack.id)
            for summary in page["StackResourceSummaries"]
        ]
    return tuple(
        ResourceDrift(
            each["LogicalResourceId"], each["ResourceType"], each.get("PhysicalResourceId", ""), "NOT_CHECKED"
        )
        for each in listed
        if each["LogicalResourceId"] not in known and each["ResourceStatus"] != "DELETE_COMPLETE"
    )


class _Waiting:
    """The pauses of one detection, from its first call to its end."""

    def __init__(self, stack: Stack, clock: Clock, notice: Callable[[str], None]) -> None:
        self.stack = stack
        self._clock = clock
        self._notice = notice
        self._began = self._told = clock.now()
        self._pauses = iter(_PAUSES)

    def pause(self, why: str) -> None:
        """Let time pass. Raises TimedOut when it has been too long."""
        now = self._clock.now()
        if now - self._began > _PATIENCE:
            raise TimedOut(
                f"AWS has not compared stack {self.stack.name} within {_PATIENCE / 60:g} min: {why}",
                hint="try again later",
                stack_name=self.stack.name,
            )
        if now - self._told > _QUIET:
            self._told = now
            self._notice(
                f"still comparing stack {self.stack.name} with its resources ({now - self._began:.0f} s): {why}"
            )
        self._clock.sleep(next(self._pauses, _LONGEST_PAUSE))


def _begin(cfn: CloudFormationClient, stack: Stack, waiting: _Waiting) -> str:
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
                        hint="it does so only for stacks whose last operation has ended and left something",
                        stack_name=stack.name,
                    ) from error
                else:
                    raise
        waiting.pause(why)


def _end(cfn: CloudFormationClient, detection: str, waiting: _Waiting) -> Mapping[str, Any]:
    while True:
        why = "AWS is at it"
        try:
            with translate_aws_errors():
                described = cfn.describe_stack_drift_detection_status(StackDriftDetectionId=detection)
            if described["DetectionStatus"] != "DETECTION_IN_PROGRESS":
                return described
        except SetupError as error:
            # botocore has tried ten times; the comparison itself goes on.
            if not is_transient(error.__cause__ or error):
                raise
            why = error.message
        waiting.pause(why)


def _described(cfn: CloudFormationClient, stack: Stack) -> Iterator[Mapping[str, Any]]:
    """Yield all pages of DescribeStackResourceDrifts, for which botocore has no paginator."""
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
        {name: _in_order_of(expected.get(name), value) for name, value in actual.items() if name in names},
    )


def _value(text: str) -> Any:
    """Return what AWS writes as text: objects and lists are JSON, ``null`` stands for nothing, the rest is what it reads."""
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


def _in_order_of(expected: Any, actual: Any) -> Any:
    """Return a list with what it has in common with `expected` first, in that order: AWS gives sets in an order of their own."""
    if not isinstance(expected, list) or not isinstance(actual, list):
        return actual
    left = list(actual)
    ordered = []
    for item in expected:
        same = next((each for each in left if intrinsics.canonical(each) == intrinsics.canonical(item)), ABSENT)
        if same is not ABSENT:
            left.remove(same)
            ordered.append(same)
    return [*ordered, *left]


def _without_secrets(cfn: CloudFormationClient, stack: Stack, found: list[ResourceDrift]) -> list[ResourceDrift]:
    """Mask the properties for which the template has a NoEcho parameter or a reference to a secret."""
    template = intrinsics.resolve(planning.processed_template(cfn, stack.id or stack.name), stack.parameters)
    resources = intrinsics.as_mapping(template.get("Resources"))
    if templates.has_transform(template):
        # AWS did not return the processed template, so what its transforms put into a resource is unknown.
        return [
            _masked(each, set(each.actual) | {item.path.partition(".")[0] for item in each.properties})
            for each in found
        ]
    return [_masked(each, _secret(intrinsics.as_mapping(resources.get(each.logical_id)))) for each in found]


def _secret(resource: Mapping[str, Any]) -> set[str]:
    """Return the names of the properties in which a secret is."""
    return {
        name
        for name, value in intrinsics.as_mapping(resource.get("Properties")).items()
        if any(mark in intrinsics.canonical(value) for mark in _SECRETS)
    }


def _masked(drift: ResourceDrift, secret: set[str]) -> ResourceDrift:
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
