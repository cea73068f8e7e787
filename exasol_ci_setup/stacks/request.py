"""The request for the stack of a construct: template, parameters, tags and settings."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from exasol_ci_setup.aws import secretsmanager
from exasol_ci_setup.constructs.ci import CiBuild, ReleaseBuild
from exasol_ci_setup.constructs.source import SourceCredentials
from exasol_ci_setup.core.stacks import StackSettings
from exasol_ci_setup.core.tags import TAG_PREFIX
from exasol_ci_setup.stacks import alarms, network
from exasol_ci_setup.stacks.construct_parameters import parameters_of
from exasol_ci_setup.stacks.model import Request
from exasol_ci_setup.template.render import render

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.constructs.base import Construct
    from exasol_ci_setup.template.render import Template


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
        rollback_alarms=alarms.rollback_alarms(account, settings.rollback_alarms) if settings.rollback_alarms else None,
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
