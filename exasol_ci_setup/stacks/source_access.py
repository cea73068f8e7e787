"""Check before a creation that CodeBuild has the credentials for the repositories of a template's projects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.aws.session import translate_aws_errors
from exasol_ci_setup.core.commands import DEPLOY_SOURCE_CREDENTIALS
from exasol_ci_setup.core.errors import InputError, SetupError
from exasol_ci_setup.template import intrinsics
from exasol_ci_setup.template.render import parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.core.stacks import Options
    from exasol_ci_setup.stacks.request import Request

CREDENTIAL: Final = "AWS::CodeBuild::SourceCredential"
"""The type of resource that is a credential of CodeBuild."""

PROJECT: Final = "AWS::CodeBuild::Project"
"""The type of resource that needs a credential of CodeBuild."""

# https://docs.aws.amazon.com/codebuild/latest/APIReference/API_SourceCredentialsInfo.html
_SERVERS: Final = {"GITHUB": "GitHub", "GITHUB_ENTERPRISE": "GitHub Enterprise", "BITBUCKET": "Bitbucket"}
_HINT: Final = (
    f"run `{DEPLOY_SOURCE_CREDENTIALS}` first, with your secret and its keys\n"
    "in a fleet, declare source_credentials: in the target; for a connection, use --connection-arn, or connection_arn: in a fleet"
)


def servers(account: Account) -> frozenset[str]:
    """Return the kinds of server for which CodeBuild has a credential. Raises the errors of `translate_aws_errors`.

    https://docs.aws.amazon.com/codebuild/latest/APIReference/API_ListSourceCredentials.html
    """
    with translate_aws_errors():
        found = account.client("codebuild").list_source_credentials()["sourceCredentialsInfos"]
    return frozenset(each.get("serverType", "") for each in found)


def require(context: Context, request: Request, options: Options) -> None:
    """Raise InputError if CodeBuild cannot create the webhooks of a new stack, because it has no credential for the server.

    A project without a webhook only causes a note: a public repository needs no credential. If only plans are shown, all problems are notes.
    """
    needed = {} if options.credentials_pending else _needed(request)
    if not needed:
        return
    try:
        missing = needed.keys() - servers(context.account)
    except SetupError as error:
        context.note(f"whether CodeBuild has access to the repository is unknown: {error.message}")
        return
    for server in sorted(missing):
        place = f"CodeBuild has no access to {_SERVERS[server]} in {context.account.region}"
        if not needed[server]:
            context.note(f"{place}: builds of a private repository will fail")
        elif context.plan_only:
            context.note(f"{place}, which the webhook needs: deploy the source credentials first")
        else:
            raise InputError(f"{place}, which the webhook needs", hint=_HINT)


def _needed(request: Request) -> dict[str, bool]:
    """Return the kinds of server whose default credential the projects use, each with whether a webhook is created there."""
    if PROJECT not in request.template.body:
        return {}
    resources = intrinsics.as_mapping(
        intrinsics.resolve(parse(request.template.body), request.parameters).get("Resources")
    )
    found: dict[str, bool] = {}
    for resource in map(intrinsics.as_mapping, resources.values()):
        properties = intrinsics.as_mapping(resource.get("Properties"))
        source = intrinsics.as_mapping(properties.get("Source"))
        server = source.get("Type")
        if resource.get("Type") == CREDENTIAL:
            # CloudFormation may create it after the project, so that a deployment without DependsOn can still fail.
            return {}
        if resource.get("Type") == PROJECT and server in _SERVERS and not source.get("Auth"):
            found[server] = found.get(server, False) or _has_webhook(properties)
    return found


def _has_webhook(properties: Mapping[str, Any]) -> bool:
    return str(intrinsics.as_mapping(properties.get("Triggers")).get("Webhook")).lower() == "true"
