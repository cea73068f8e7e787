"""What operations on stacks return and reporters receive: plans, changes, drift, events and results, as frozen data."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Literal

from exasol_ci_setup.core.tags import is_reserved_tag

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

NESTED: Final = "AWS::CloudFormation::Stack"
"""The type of a nested stack as a resource, and of the events of a stack itself."""

_HOOK_WORDS: Final = {
    "HOOK_IN_PROGRESS": "is checking",
    "HOOK_COMPLETE_SUCCEEDED": "passed",
    "HOOK_COMPLETE_FAILED": "failed",
    "HOOK_FAILED": "ended with an error",
}


class Absent(Enum):
    """The value of a missing property, which is not the same as null."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent.ABSENT


@dataclass(frozen=True, slots=True)
class Broadening:
    """A change that broadens access.

    `kind` is one of ``iam-allow``, ``iam-trust``, ``resource-policy``, ``ingress``, ``public-bucket``, ``nested-stack`` for one that
    could not be examined, and ``transform`` (without a logical ID) for a template whose processed form is unknown. `public` is true if
    everyone, or every action on every resource, is or may be allowed: this needs approval in a new stack too. `granted` is true if the
    caller requested exactly this access: this needs no further approval.
    """

    kind: str
    logical_id: str
    message: str
    public: bool = False
    granted: bool = False


@dataclass(frozen=True, slots=True)
class PropertyChange:
    """One property of a resource before and after.

    `path` is dotted below `Properties` (``Source.Location``, ``Policies.0.PolicyName``); another attribute of the resource
    starts with its own name (``DeletionPolicy``). `before` and `after` are parsed template values, `ABSENT` if the
    property is missing, and ``"****"`` if they contain a NoEcho parameter. `recreates` is CloudFormation's
    ``RequiresRecreation``: ``Never``, ``Conditionally``, ``Always``, or empty if AWS did not say.
    """

    path: str
    before: Any = ABSENT
    after: Any = ABSENT
    recreates: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """What the change set does to one resource.

    `action` is CloudFormation's: ``Add``, ``Modify``, ``Remove``, ``Import``, ``Dynamic``, ``SyncWithActual``, or one that is
    newer than this code. `replacement` is ``True``, ``False``, ``Conditional`` or empty. `policy_action` says what happens to
    the old physical resource (``Delete``, ``Retain``, ``ReplaceAndDelete``, …). `causes` names the causes of a change without a changed
    property (another resource, a parameter, stack tags). For a nested stack, `change_set_id` is the ARN of its
    change set, and `nested` are the changes in it. `data_loss` is true if data of the resource is
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

    @property
    def may_replace(self) -> bool:
        """Whether AWS replaces the resource, or may replace it."""
        return self.replacement in {"True", "Conditional"}


def _with_nested(changes: Iterable[Change], above: str = "") -> Iterator[tuple[str, Change]]:
    for change in changes:
        yield f"{above}{change.logical_id}", change
        yield from _with_nested(change.nested, f"{above}{change.logical_id}/")


@dataclass(frozen=True, slots=True)
class Setting:
    """A difference outside the template (tags, termination protection, outputs, …); a missing value is ABSENT."""

    name: str
    before: Any = ABSENT
    after: Any = ABSENT


@dataclass(frozen=True, slots=True)
class PropertyDrift:
    """One drifted property.

    `path` is dotted below `Properties`. The values are parsed if AWS returns JSON, otherwise text; `ABSENT` if the property is
    missing, and ``"****"`` if they contain a secret.
    """

    path: str
    expected: Any = ABSENT
    actual: Any = ABSENT


@dataclass(frozen=True, slots=True)
class ResourceDrift:
    """The drift of one resource.

    `status` is CloudFormation's: ``IN_SYNC``, ``MODIFIED``, ``DELETED``, ``NOT_CHECKED``, ``UNKNOWN``, ``UNSUPPORTED``, or one that is
    newer than this code. `actual` holds, by name, the whole value of each drifted property.
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
        """Whether the resource was changed or deleted outside of CloudFormation."""
        return self.status in {"MODIFIED", "DELETED"}


@dataclass(frozen=True, slots=True)
class Drift:
    """The drift of a stack. Truthy if something differs.

    `status` is CloudFormation's for the stack: ``DRIFTED``, ``IN_SYNC``, ``UNKNOWN``, ``NOT_CHECKED``. `notes` say what could not be
    compared.
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
    """What a deployment would do. Falsy if there are no changes.

    `kind` is ``CREATE``, ``UPDATE``, ``DELETE``, or ``IMPORT`` if it only imports resources. `change_set_id` is the ARN of the change set,
    empty if none is needed (only settings differ, or nothing) or if it does not exist yet. `notes` are remarks of AWS, such as findings of
    the early validation. `drift` are the drifted resources that the plan reverts. `is_recreation`: the plan deletes the existing stack first.
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
    is_recreation: bool = False

    @property
    def every_change(self) -> dict[str, Change]:
        """All changes, including those of nested stacks, by logical ID: ``Inner/Topic`` is Topic in the nested stack Inner."""
        return dict(_with_nested(self.changes))

    @property
    def data_loss(self) -> tuple[str, ...]:
        """The resources whose data is deleted, or may be, by logical ID as in `every_change`."""
        return tuple(name for name, change in self.every_change.items() if change.data_loss)

    def __bool__(self) -> bool:
        return bool(self.change_set_id or self.settings or self.changes)


@dataclass(frozen=True, slots=True)
class Hook:
    """The result of a hook in an event: a check that the account has CloudFormation run before an operation.

    `status` is ``HOOK_IN_PROGRESS``, ``HOOK_COMPLETE_SUCCEEDED``, ``HOOK_COMPLETE_FAILED`` (the checked resource is invalid),
    ``HOOK_FAILED`` (the check itself failed), or one that is newer than this code. `failure_mode` is ``FAIL`` or ``WARN``, `id` identifies the
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
        """Whether the hook did not pass, by itself or because of the checked resource."""
        return self.status.endswith("_FAILED")

    @property
    def warns(self) -> bool:
        """Whether the hook did not pass, and CloudFormation continues anyway."""
        return self.has_failed and self.failure_mode == "WARN"

    @property
    def stops(self) -> bool:
        """Whether the hook did not pass, and CloudFormation stops because of it."""
        return self.has_failed and self.failure_mode != "WARN"

    @property
    def words(self) -> str:
        """The result of the hook, in a sentence."""
        name = f"hook {self.name} ({self.point})" if self.point else f"hook {self.name}"
        text = f"{name} {_HOOK_WORDS.get(self.status, self.status)}"
        return f"{text}: {self.reason}" if self.reason else text


@dataclass(frozen=True, slots=True)
class Event:
    """A stack event. `at` is in UTC; `token` is the ClientRequestToken of its operation, if any.

    `hook` is the hook that the event is about, if any. `service_token` is the ARN that a custom resource calls.
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
    service_token: str = ""

    def __str__(self) -> str:
        """Return time, logical ID, type, status and reason in one line."""
        words = self.hook.words if self.hook is not None else self.reason
        line = f"{self.at:%H:%M:%S} {self.logical_id} ({self.type}) {self.status}"
        return f"{line}: {words}" if words else line

    @property
    def is_stack(self) -> bool:
        """Whether the event is about the stack itself and not one of its resources."""
        return self.type == NESTED and self.physical_id == self.stack_id

    @property
    def failure(self) -> str:
        """Why the resource failed, or was stopped by a hook; empty if neither is true."""
        if self.hook is not None:
            return self.hook.words if self.hook.stops else ""
        return self.reason if self.status.endswith("_FAILED") else ""

    def is_same(self, other: Event | None) -> bool:
        """Return whether `other` is the same event; the events of one invocation of a hook may share their ID."""
        return other is not None and (self.id, self.hook) == (other.id, other.hook)


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack as DescribeStacks returns it; the values of `outputs` are strings. A nested stack has the ARN of its root in `root_id`."""

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
        """The tags that can be set and removed: all except those of AWS, such as the ones of Service Catalog."""
        return {key: value for key, value in self.tags.items() if not is_reserved_tag(key)}


class Outcome(str, Enum):
    """The outcome of a deployment that did not fail."""

    DEPLOYED = "deployed"
    UNCHANGED = "unchanged"
    PLANNED = "planned"


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a deployment: the plan, and the stack now (None if it does not exist)."""

    outcome: Outcome
    plan: Plan
    stack: Stack | None = None


@dataclass(frozen=True, slots=True)
class StackSettings:
    """What a deployment sets on a stack besides its template, parameters and the tags of this tool.

    `tags`: further tags. `role_arn`: the role that CloudFormation assumes. `notification_arns`: SNS topics that receive the events.
    `termination_protection`, `notification_arns`, `stack_policy` (a JSON document) and `rollback_alarms` are unchanged if None.
    `on_failure`: what to do if the creation fails: roll back and keep it as ROLLBACK_COMPLETE, delete it, or keep its resources (an update
    is rolled back, unless ``keep``). `rollback_alarms`: ARNs of CloudWatch alarms; the operation is rolled back if one goes off during it, or
    in the `monitoring_minutes` after it. `express`: end the operation when each resource is configured, without waiting until it is ready.
    `force`: call AWS even if nothing seems to differ. `template_bucket`: the bucket for a template that is too large for a request.
    """

    tags: Mapping[str, str] = field(default_factory=dict)
    role_arn: str = ""
    notification_arns: tuple[str, ...] | None = None
    termination_protection: bool | None = None
    stack_policy: str | None = None
    rollback_alarms: tuple[str, ...] = ()
    monitoring_minutes: int = 0
    on_failure: Literal["rollback", "delete", "keep"] = "rollback"
    express: bool = False
    force: bool = False
    template_bucket: str | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a deployment, apart from what it creates.

    `adopt`: adopt a stack that this tool did not create. `wait`: wait for an operation in progress.
    `recreate_failed`: delete a stack that cannot be updated, and create it again.
    `import_existing`: import existing resources. `timeout`: in seconds, None for no limit.
    `revert_drift`: revert drift; it is detected first, unless `drift` has the drift already. `credentials_pending`: another stack of this
    run deploys CodeBuild's credentials, so that they need not exist yet.
    """

    adopt: bool = False
    wait: bool = False
    recreate_failed: bool = False
    import_existing: bool = False
    timeout: float | None = None
    revert_drift: bool = False
    drift: Drift | None = None
    credentials_pending: bool = False
