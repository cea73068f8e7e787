"""The desired state of a stack."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exasol_ci_setup.stacks.upload import Uploads
    from exasol_ci_setup.template.render import Template


@dataclass(frozen=True, slots=True)
class Request:
    """The desired state of a stack.

    `termination_protection` and `notification_arns` are unchanged if None. `on_failure` says what to do if the creation
    fails: roll back and keep it as ROLLBACK_COMPLETE, delete it, or keep its resources (an update is rolled back, unless ``keep``).
    `stack_policy` is a JSON document, unchanged if None. `rollback_alarms` are alarms, each type by its ARN. The operation is rolled
    back if one goes off during it or in the `monitoring_minutes` after it; unchanged if None. `force`: call AWS even if nothing seems to differ.
    `express`: end the operation when each resource is configured, without waiting until it is ready. `kept_parameters` keep their values in the stack.
    `lint_template` is linted in place of `template`: stacks that differ in names only share one lint run. `uploads` are the artifacts of the
    template, `notes` remarks on the request for its plan. A stack keeps the logical IDs in `former_ids`, by those in the template.
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
    lint_template: Template | None = None
    rollback_alarms: Mapping[str, str] | None = None
    monitoring_minutes: int = 0
    uploads: Uploads | None = None
    notes: tuple[str, ...] = ()
    former_ids: Mapping[str, str] = field(default_factory=dict)
