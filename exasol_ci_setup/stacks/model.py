"""The data that planner, executor and display hand to each other: frozen, without behaviour that needs AWS."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from exasol_ci_setup.stacks.absent import ABSENT as ABSENT  # noqa: PLC0414 - it belongs to this data

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from exasol_ci_setup.review import Broadening
    from exasol_ci_setup.templates import Template

NESTED: Final = "AWS::CloudFormation::Stack"
"""The type of a resource that is a stack, and of a stack's own events."""

_HOOK_WORDS: Final = {
    "HOOK_IN_PROGRESS": "is checking",
    "HOOK_COMPLETE_SUCCEEDED": "passed",
    "HOOK_COMPLETE_FAILED": "failed",
    "HOOK_FAILED": "broke off",
}


@dataclass(frozen=True, slots=True)
class Request:
    """What a stack shall be.

    `termination_protection` and `notification_arns` are left as they are when None. `on_failure` says what becomes of a creation that
    fails: rolled back and kept as ROLLBACK_COMPLETE, deleted, or kept as it is (an update is rolled back, unless ``keep``).
    `stack_policy` is a JSON document, None for the one that it has. `rollback_alarms` are alarms, each type by its ARN, that roll the operation
    back if they go off during it or in the `monitoring_minutes` after it, None for those that it has. `force` asks AWS even if nothing seems to differ. `express` ends the
    operation as soon as each resource is configured, without a wait until it is ready. `kept_parameters` have no value here, but the one that the stack has.
    """

    name: str
    template: Template
    parameters: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    role_arn: str = ""
    notification_arns: tuple[str, ...] | None = None
    termination_protection: bool | None = None
    on_failure: Literal["rollback", "delete", "keep"] = "rollback"
    template_bucket: str | None = None
    force: bool = False
    express: bool = False
    kept_parameters: tuple[str, ...] = ()
    stack_policy: str | None = None
    rollback_alarms: Mapping[str, str] | None = None
    monitoring_minutes: int = 0


@dataclass(frozen=True, slots=True)
class PropertyChange:
    """One property of a resource before and after.

    `path` is dotted below `Properties` (``Source.Location``, ``Policies.0.PolicyName``); another attribute of the resource
    starts with its own name (``DeletionPolicy``). `before` and `after` are parsed template values, `ABSENT` where the
    property is not there, and ``"****"`` where a NoEcho parameter is in it. `recreates` is CloudFormation's
    ``RequiresRecreation``: ``Never``, ``Conditionally``, ``Always``, or empty if AWS did not say.
    """

    path: str
    before: Any = ABSENT
    after: Any = ABSENT
    recreates: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """What will happen to one resource.

    `action` is CloudFormation's: ``Add``, ``Modify``, ``Remove``, ``Import``, ``Dynamic``, ``SyncWithActual``, or one that is
    newer than this code. `replacement` is ``True``, ``False``, ``Conditional`` or empty; `policy_action` says what becomes of
    the old physical resource (``Delete``, ``Retain``, ``ReplaceAndDelete``, …). `causes` names what a change without
    a property of its own comes from (another resource, a parameter, stack tags). Of a nested stack `change_set_id` is the ARN of
    the change set that AWS made for it, and `nested` what that would change. `data_loss` is true if data that the resource holds is
    deleted, or may be.
    """

    action: str
    logical_id: str
    type: str
    physical_id: str = ""
    replacement: str = ""
    policy_action: str = ""
    properties: tuple[PropertyChange, ...] = ()
    causes: tuple[str, ...] = ()
    change_set_id: str = ""
    nested: tuple[Change, ...] = ()
    data_loss: bool = False


def _with_nested(changes: Iterable[Change], above: str = "") -> Iterator[tuple[str, Change]]:
    for change in changes:
        yield f"{above}{change.logical_id}", change
        yield from _with_nested(change.nested, f"{above}{change.logical_id}/")


@dataclass(frozen=True, slots=True)
class Setting:
    """A difference outside the template (tags, termination protection, outputs, …); ABSENT where there is none."""

    name: str
    before: Any = ABSENT
    after: Any = ABSENT


@dataclass(frozen=True, slots=True)
class PropertyDrift:
    """One property that is not as CloudFormation left it.

    `path` is dotted below `Properties`. The values are parsed where AWS gives JSON and else text, `ABSENT` where the property is not
    there, and ``"****"`` where a secret is in it.
    """

    path: str
    expected: Any = ABSENT
    actual: Any = ABSENT


@dataclass(frozen=True, slots=True)
class ResourceDrift:
    """How a resource is compared with what CloudFormation made of it.

    `status` is CloudFormation's: ``IN_SYNC``, ``MODIFIED``, ``DELETED``, ``NOT_CHECKED``, ``UNKNOWN``, ``UNSUPPORTED``, or one that is
    newer than this code. `actual` holds, by name, the whole value of each property in which something differs.
    """

    logical_id: str
    type: str
    physical_id: str
    status: str
    properties: tuple[PropertyDrift, ...] = ()
    reason: str = ""
    actual: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_drifted(self) -> bool:
        """Whether the resource was changed or deleted by something else than CloudFormation."""
        return self.status in {"MODIFIED", "DELETED"}


@dataclass(frozen=True, slots=True)
class Drift:
    """How the resources of a stack are compared with what CloudFormation made. Truthy if something differs.

    `status` is CloudFormation's for the stack: ``DRIFTED``, ``IN_SYNC``, ``UNKNOWN``, ``NOT_CHECKED``. `notes` say what could not be
    looked at.
    """

    stack_name: str
    stack_id: str
    status: str
    resources: tuple[ResourceDrift, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def drifted(self) -> tuple[ResourceDrift, ...]:
        """The resources that differ."""
        return tuple(each for each in self.resources if each.is_drifted)

    def __bool__(self) -> bool:
        return bool(self.drifted)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a deployment would do. Falsy when there is nothing to do.

    `kind` is ``CREATE``, ``UPDATE``, ``DELETE``, or ``IMPORT`` where resources are taken over and nothing else. `change_set_id` is the change set's ARN, empty if none was needed (only settings differ,
    or nothing) or if none could be made yet. `notes` are remarks of AWS, such as early-validation findings and degraded answers.
    `drift` are the resources that something else changed, and that are brought back.
    """

    stack_name: str
    kind: str
    stack_id: str = ""
    change_set_id: str = ""
    changes: tuple[Change, ...] = ()
    settings: tuple[Setting, ...] = ()
    broadenings: tuple[Broadening, ...] = ()
    notes: tuple[str, ...] = ()
    drift: tuple[ResourceDrift, ...] = ()

    @property
    def every_change(self) -> dict[str, Change]:
        """All changes, those inside nested stacks too, by logical id: ``Inner/Topic`` is Topic in the nested stack Inner."""
        return dict(_with_nested(self.changes))

    @property
    def data_loss(self) -> tuple[str, ...]:
        """The resources whose data is deleted, or may be, by logical id as in `every_change`."""
        return tuple(name for name, change in self.every_change.items() if change.data_loss)

    def __bool__(self) -> bool:
        return bool(self.change_set_id or self.settings or self.changes)


@dataclass(frozen=True, slots=True)
class Hook:
    """What an event says of a hook: a check that somebody in the account has CloudFormation make of what it is about to do.

    `status` is ``HOOK_IN_PROGRESS``, ``HOOK_COMPLETE_SUCCEEDED``, ``HOOK_COMPLETE_FAILED`` (what was checked is not as it should be),
    ``HOOK_FAILED`` (the check itself broke off), or one that is newer than this code. `failure_mode` is ``FAIL`` or ``WARN``, `id` names the
    invocation. Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_StackEvent.html.
    """

    name: str
    status: str
    reason: str = ""
    point: str = ""
    failure_mode: str = ""
    id: str = ""

    @property
    def has_failed(self) -> bool:
        """Whether the hook did not pass, of itself or because of what it checked."""
        return self.status.endswith("_FAILED")

    @property
    def warns(self) -> bool:
        """Whether the hook did not pass, and CloudFormation goes on all the same."""
        return self.has_failed and self.failure_mode == "WARN"

    @property
    def stops(self) -> bool:
        """Whether the hook did not pass, and CloudFormation stops because of it."""
        return self.has_failed and self.failure_mode != "WARN"

    @property
    def words(self) -> str:
        """What became of the hook, in a sentence."""
        name = f"hook {self.name} ({self.point})" if self.point else f"hook {self.name}"
        told = f"{name} {_HOOK_WORDS.get(self.status, self.status)}"
        return f"{told}: {self.reason}" if self.reason else told


@dataclass(frozen=True, slots=True)
class Event:
    """One stack event. `at` is in UTC; `token` is the ClientRequestToken of the operation it belongs to, if any.

    `hook` is what the event says of a hook, if it is about one that checks the resource or stack.
    """

    id: str
    stack_id: str
    stack_name: str
    logical_id: str
    physical_id: str
    type: str
    status: str
    reason: str
    at: datetime
    token: str = ""
    hook: Hook | None = None

    @property
    def is_stack(self) -> bool:
        """Whether the event is about the stack itself and not one of its resources."""
        return self.type == NESTED and self.physical_id == self.stack_id

    @property
    def failure(self) -> str:
        """Why the resource failed, or what a hook stopped it for; empty if neither is so."""
        if self.hook is not None:
            return self.hook.words if self.hook.stops else ""
        return self.reason if self.status.endswith("_FAILED") else ""

    def is_same(self, other: Event | None) -> bool:
        """Return whether `other` is the same event; the events of one invocation of a hook may share their id."""
        return other is not None and (self.id, self.hook) == (other.id, other.hook)


def is_reserved_tag(key: str) -> bool:
    """Return whether AWS keeps this key of a tag for itself, in any case: https://docs.aws.amazon.com/general/latest/gr/aws_tagging.html."""
    return key.lower().startswith("aws:")


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack as DescribeStacks tells it; `outputs` leaves out nothing, values are strings. A nested stack has the ARN of its root in `root_id`."""

    name: str
    id: str
    status: str
    reason: str = ""
    description: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    termination_protection: bool = False
    role_arn: str = ""
    notification_arns: tuple[str, ...] = ()
    rollback_alarms: tuple[str, ...] = ()
    monitoring_minutes: int = 0
    created: datetime | None = None
    updated: datetime | None = None
    root_id: str = ""

    @property
    def user_tags(self) -> dict[str, str]:
        """The tags that can be set and removed: all but those of AWS, such as the ones of Service Catalog."""
        return {key: value for key, value in self.tags.items() if not is_reserved_tag(key)}
