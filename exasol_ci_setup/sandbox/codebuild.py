"""Add all project settings, webhooks and source credentials to ministack's CodeBuild.

Shapes and defaults come from the CodeBuild API reference and botocore's service model. Messages are those of AWS if known from public
reports, else written for the sandbox.
"""

from __future__ import annotations

import re
import secrets
import time
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.sandbox import api
from exasol_ci_setup.sandbox.api import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exasol_ci_setup.sandbox.private import Values

# API_CreateProject, `name`.
_PROJECT_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9\-_]{1,149}")
# From the references of AWS::CodeBuild::Project and AWS::CodeBuild::SourceCredential.
_SERVER_TYPES: Final = ("GITHUB", "BITBUCKET", "GITHUB_ENTERPRISE", "GITLAB", "GITLAB_SELF_MANAGED")
_AUTH_TYPES: Final = ("OAUTH", "BASIC_AUTH", "PERSONAL_ACCESS_TOKEN", "CODECONNECTIONS", "SECRETS_MANAGER")


class Service:
    """The API operations, on ministack's store of projects and on our store of source credentials."""

    def __init__(self, credentials: Any) -> None:
        from ministack.core import responses
        from ministack.services import codebuild

        self._responses = responses
        self._inner = codebuild
        self._credentials = credentials

    @property
    def projects(self) -> Any:
        """The projects by name, in the account and region of the current request."""
        return self._inner._projects  # noqa: SLF001

    def arn(self, resource: str) -> str:
        """Return the ARN of a CodeBuild resource in the account and region of the current request."""
        return f"arn:aws:codebuild:{self._responses.get_region()}:{self._responses.get_account_id()}:{resource}"

    def create_project(self, request: Values) -> Values:
        """CreateProject."""
        name = str(request.get("name", ""))
        if not _PROJECT_NAME.fullmatch(name):
            raise ApiError(
                "InvalidInputException",
                f"Project name {name!r} is not valid: it must start with a letter or digit, and consist of 2 to 150 letters, "
                "digits, hyphens and underscores",
            )
        if name in self.projects:
            raise ApiError("ResourceAlreadyExistsException", f"Project already exists: {self.arn(f'project/{name}')}")
        now = time.time()
        self.projects[name] = project = {
            **self._with_defaults(request),
            "name": name,
            "arn": self.arn(f"project/{name}"),
            "created": now,
            "lastModified": now,
        }
        return {"project": shown(project)}

    def update_project(self, request: Values) -> Values:
        """UpdateProject. Settings that the request omits keep their values."""
        project = self.project(str(request.get("name", "")))
        project.update(self._with_defaults({**project, **request}))
        project["lastModified"] = time.time()
        return {"project": shown(project)}

    def replace_settings(self, name: str, settings: Values) -> None:
        """Replace the settings of a project as a stack update does. Omitted settings return to their defaults."""
        project = self.project(name)
        kept: Values = {key: project[key] for key in ("name", "arn", "created", "webhook") if key in project}
        project.clear()
        project.update({**self._with_defaults(settings), **kept, "lastModified": time.time()})

    def create_webhook(self, request: Values) -> Values:
        """CreateWebhook."""
        project = self.project(str(request.get("projectName", "")))
        if project.get("webhook"):
            raise ApiError("ResourceAlreadyExistsException", f"Webhook already exists for project {project['arn']}")
        self.require_access(project.get("source", {}))
        location = str(project.get("source", {}).get("location", "")).removesuffix(".git")
        repository = "/".join(location.split("/")[-2:])
        project["webhook"] = {
            "url": f"https://api.github.com/repos/{repository}/hooks/{secrets.randbelow(10**9)}",
            "payloadUrl": (
                f"https://codebuild.{self._responses.get_region()}.amazonaws.com/webhooks?t={secrets.token_hex(16)}&v=1"
            ),
            "manualCreation": bool(request.get("manualCreation", False)),
            "status": "ACTIVE",
            **_webhook_settings(request),
        }
        return {"webhook": project["webhook"]}

    def update_webhook(self, request: Values) -> Values:
        """UpdateWebhook."""
        webhook = self._webhook(str(request.get("projectName", "")))
        webhook.update(_webhook_settings(request))
        if request.get("rotateSecret"):
            webhook["lastModifiedSecret"] = time.time()
        return {"webhook": webhook}

    def delete_webhook(self, request: Values) -> Values:
        """DeleteWebhook."""
        self._webhook(str(request.get("projectName", "")))
        del self.project(str(request["projectName"]))["webhook"]
        return {}

    def import_source_credentials(self, request: Values) -> Values:
        """ImportSourceCredentials. The token is not stored because the sandbox does not use it."""
        server_type, auth_type = str(request.get("serverType", "")), str(request.get("authType", ""))
        for what, value, known in (("serverType", server_type, _SERVER_TYPES), ("authType", auth_type, _AUTH_TYPES)):
            if value not in known:
                raise ApiError("InvalidInputException", f"Invalid {what}: {value!r} is none of {', '.join(known)}")
        if not request.get("token"):
            raise ApiError("InvalidInputException", "Invalid token: it must not be empty")
        if server_type in self._credentials and not request.get("shouldOverwrite", True):
            raise ApiError(
                "ResourceAlreadyExistsException", f"Access token with server type {server_type} already exists"
            )
        arn = self.arn(f"token/{server_type.lower()}")
        information = {"arn": arn, "serverType": server_type, "authType": auth_type}
        if auth_type in {"CODECONNECTIONS", "SECRETS_MANAGER"}:
            information["resource"] = str(request["token"])
        self._credentials[server_type] = information
        return {"arn": arn}

    def list_source_credentials(self, _request: Values) -> Values:
        """ListSourceCredentials."""
        return {"sourceCredentialsInfos": list(self._credentials.values())}

    def delete_source_credentials(self, request: Values) -> Values:
        """DeleteSourceCredentials."""
        arn = str(request.get("arn", ""))
        for server_type, information in self._credentials.items():
            if information["arn"] == arn:
                del self._credentials[server_type]
                return {"arn": arn}
        raise ApiError("ResourceNotFoundException", f"Source credentials not found: {arn}")

    def require_access(self, source: Mapping[str, Any]) -> None:
        """Raise ApiError unless CodeBuild could create a webhook for `source`."""
        server_type = str(source.get("type", ""))
        if server_type not in _SERVER_TYPES:
            raise ApiError("InvalidInputException", f"Webhooks are not supported for source type {server_type}")
        if source.get("auth", {}).get("type") != "CODECONNECTIONS" and server_type not in self._credentials:
            raise ApiError(
                "ResourceNotFoundException", f"Could not find access token for server type {server_type.lower()}"
            )

    def project(self, name: str) -> Values:
        """Return a project, or raise ApiError if no project has that name."""
        project: Values | None = self.projects.get(name)
        if project is None:
            raise ApiError("ResourceNotFoundException", f"Project cannot be found: {self.arn(f'project/{name}')}")
        return project

    def of_project(self, records: Any, request: Values) -> list[Values]:
        """Return the builds or batches of the project in a request. Raises ApiError if it does not exist."""
        name = self.project(str(request.get("projectName", "")))["name"]
        return [record for record in records.values() if record["projectName"] == name]

    def _webhook(self, name: str) -> Values:
        project = self.project(name)
        if not project.get("webhook"):
            raise ApiError("ResourceNotFoundException", f"Project {project['arn']} has no webhook")
        webhook: Values = project["webhook"]
        return webhook

    def _with_defaults(self, request: Values) -> Values:
        """Return the settings of a request, completed with the service's defaults."""
        account, region = self._responses.get_account_id(), self._responses.get_region()
        badge = {"badgeEnabled": bool(request.get("badgeEnabled", request.get("badge", {}).get("badgeEnabled")))}
        return {
            "description": "",
            "secondarySources": [],
            "sourceVersion": "",
            "secondarySourceVersions": [],
            "secondaryArtifacts": [],
            "cache": {"type": "NO_CACHE"},
            "timeoutInMinutes": 60,
            "queuedTimeoutInMinutes": 480,
            "encryptionKey": f"arn:aws:kms:{region}:{account}:alias/aws/s3",
            "tags": [],
            "autoRetryLimit": 0,
            "projectVisibility": "PRIVATE",
            **{key: value for key, value in request.items() if key != "badgeEnabled"},
            "source": {"insecureSsl": False, **request.get("source", {})},
            "environment": {
                "environmentVariables": [],
                "privilegedMode": False,
                "imagePullCredentialsType": "CODEBUILD",
                **request.get("environment", {}),
            },
            "badge": badge,
        }


def shown(project: Values) -> Values:
    """Return a project as in BatchGetProjects."""
    return {key: value for key, value in project.items() if value is not None}


def _webhook_settings(request: Values) -> Values:
    names = ("branchFilter", "filterGroups", "buildType", "scopeConfiguration", "pullRequestBuildPolicy")
    return {"filterGroups": [], **{name: request[name] for name in names if name in request}}


def extend(service: Service, *more: Any) -> None:
    """Install the operations of `service` and of `more` in ministack's service module."""
    from ministack.services import codebuild

    api.install("codebuild", service, *more)
    codebuild._project_shape = shown  # noqa: SLF001
