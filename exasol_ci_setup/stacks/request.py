"""The request for the stack of a construct: template, parameters, tags and settings."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal

from exasol_ci_setup.aws import secretsmanager
from exasol_ci_setup.aws.session import translate_aws_errors
from exasol_ci_setup.constructs.ci import CiBuild, ReleaseBuild
from exasol_ci_setup.constructs.source import SourceCredentials
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.core.stacks import StackSettings
from exasol_ci_setup.core.tags import TAG_PREFIX
from exasol_ci_setup.stacks import network
from exasol_ci_setup.stacks.construct_parameters import parameters_of
from exasol_ci_setup.template.render import render

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.constructs.base import Construct
    from exasol_ci_setup.stacks.upload import Uploads
    from exasol_ci_setup.template.render import Template

MOST_ALARMS: Final = 5
"""Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_RollbackConfiguration.html."""


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


def request_of(
    account: Account,
    construct: Construct,
    settings: StackSettings = StackSettings(),
    *,
    template: Template | None = None,
    find_network: Callable[[Account, Construct], Mapping[str, str]] = network.find,
    share_lint: bool = False,
) -> Request:
    """Return the request for the stack of `construct`, whose secrets are resolved.

    `template` is its template if it is rendered already. `find_network` returns the values of its `network_parameters`. With `share_lint`
    stacks that differ in names only share one lint run. Raises InputError if the account has no network for it, or lacks an alarm.
    """
    lint_key = construct.lint_template_key
    request = Request(
        name=construct.stack_name,
        template=template or render(construct),
        lint_template=render(lint_key) if share_lint and lint_key is not construct else None,
        parameters=parameters_of(account, construct, find_network=find_network),
        tags=construct.tags,
        notes=construct.notes,
        former_ids=construct.former_ids,
    )
    return with_settings(account, request, settings)


def with_settings(account: Account, request: Request, settings: StackSettings) -> Request:
    """Return the request with the settings. Tags of this tool cannot be overridden. Raises InputError for an alarm that does not exist."""
    own = {key: value for key, value in request.tags.items() if key.startswith(TAG_PREFIX)}
    return replace(
        request,
        tags={**request.tags, **settings.tags, **own},
        role_arn=settings.role_arn,
        notification_arns=settings.notification_arns,
        termination_protection=settings.termination_protection,
        stack_policy=settings.stack_policy or request.stack_policy,
        rollback_alarms=rollback_alarms(account, settings.rollback_alarms) if settings.rollback_alarms else None,
        monitoring_minutes=settings.monitoring_minutes,
        on_failure=settings.on_failure,
        template_bucket=settings.template_bucket,
        force=settings.force,
        express=settings.express,
    )


def argument(field: str) -> str:
    """Return how a program writes a field of a construct, for messages."""
    return f"{field}="


def resolve_secrets(construct: Construct, account: Account, *, spelled: Callable[[str], str] = argument) -> Construct:
    """Return `construct` with the ARN of its Docker secret. For source credentials, check the GitHub secret.

    `spelled` returns how the user writes a field, for messages. Raises InputError if a secret does not exist.
    """
    if isinstance(construct, CiBuild | ReleaseBuild) and construct.unknown_docker_secret is not None:
        arn = secretsmanager.arn_of(
            account.client("secretsmanager"),
            construct.unknown_docker_secret,
            option=spelled("docker_secret"),
            keys="User and AccessToken",
        )
        return construct.model_copy(update={"docker_secret_arn": arn})
    if isinstance(construct, SourceCredentials):
        secretsmanager.arn_of(
            account.client("secretsmanager"),
            construct.secret_name,
            option=spelled("secret_name"),
            keys=f"{construct.secret_user_key} and {construct.secret_token_key}",
        )
    return construct


def rollback_alarms(account: Account, arns: Sequence[str]) -> dict[str, str]:
    """Return the type of each alarm by its ARN: metric or composite alarm.

    CloudFormation requires the type, and the ARN does not contain it. For an alarm that does not exist, it would roll everything back:
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_RollbackTrigger.html.

    Raises InputError for too many alarms and for an alarm that does not exist, and the errors of `translate_aws_errors`.
    """
    if len(arns) > MOST_ALARMS:
        raise InputError(f"too many alarms: CloudFormation accepts at most {MOST_ALARMS}, got {len(arns)}")
    with translate_aws_errors():
        answer = account.client("cloudwatch").describe_alarms(
            AlarmNames=[arn.split(":alarm:", 1)[1] for arn in arns], AlarmTypes=["MetricAlarm", "CompositeAlarm"]
        )
    types = {
        **{alarm["AlarmArn"]: "AWS::CloudWatch::Alarm" for alarm in answer.get("MetricAlarms", [])},
        **{alarm["AlarmArn"]: "AWS::CloudWatch::CompositeAlarm" for alarm in answer.get("CompositeAlarms", [])},
    }
    for arn in arns:
        if arn not in types:
            raise InputError(
                f"alarm {arn} does not exist",
                hint=f"an alarm must be in the account and region of the stack ({account.region})",
            )
    return {arn: types[arn] for arn in arns}
