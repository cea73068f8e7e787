"""The options of a deployment, as the user gave them, for one stack and for many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from exasol_ci_setup.cli.consent import Consent
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.core.stacks import Options, StackSettings
from exasol_ci_setup.stacks.settings import policy_of

if TYPE_CHECKING:
    from typing import BinaryIO

    from exasol_ci_setup.cli.session import Session


@dataclass(frozen=True, kw_only=True)
class EngineFlags:
    """The options of a command that deploys stacks and do not describe a construct. A command may have only some of them."""

    yes: bool = False
    plan_only: bool = False
    allow_broadening: bool = False
    allow_data_loss: bool = False
    tags: tuple[tuple[str, str], ...] = ()
    role_arn: str | None = None
    notification_arns: tuple[str, ...] = ()
    termination_protection: bool | None = None
    stack_policy: BinaryIO | None = None
    rollback_alarms: tuple[str, ...] = ()
    monitoring_minutes: int | None = None
    timeout: float | None = None
    on_failure: Literal["rollback", "delete", "keep"] = "rollback"
    adopt: bool = False
    import_existing: bool = False
    wait: bool = False
    recreate_failed: bool = False
    express: bool = False
    force: bool = False
    template_bucket: str | None = None
    no_lint: bool = False

    def __post_init__(self) -> None:
        """Raise InputError for options that exclude each other."""
        if self.monitoring_minutes is not None and not self.rollback_alarms:
            raise InputError("--monitoring-minutes needs an alarm", hint="add --rollback-alarm")
        if self.express and self.on_failure != "rollback":
            raise InputError(
                f"--on-failure {self.on_failure} does not work with --express, which always rolls back",
                hint="omit one of them",
            )

    def consent(self, session: Session) -> Consent:
        """Return the approvals beyond --yes."""
        return Consent(session, allow_broadening=self.allow_broadening, allow_data_loss=self.allow_data_loss)

    def options(self) -> Options:
        """Return the options of each deployment."""
        return Options(
            adopt=self.adopt,
            wait=self.wait,
            recreate_failed=self.recreate_failed,
            import_existing=self.import_existing,
            timeout=self.timeout,
        )

    def settings(self) -> StackSettings:
        """Return the settings of each stack. Raises InputError if the stack policy is invalid. It is read once."""
        policy = None if self.stack_policy is None else policy_of(self.stack_policy.read(), name=self.stack_policy.name)
        return StackSettings(
            tags=dict(self.tags),
            role_arn=self.role_arn or "",
            notification_arns=self.notification_arns or None,
            termination_protection=self.termination_protection,
            stack_policy=policy,
            rollback_alarms=self.rollback_alarms,
            monitoring_minutes=self.monitoring_minutes or 0,
            on_failure=self.on_failure,
            template_bucket=self.template_bucket,
            force=self.force,
            express=self.express,
        )
