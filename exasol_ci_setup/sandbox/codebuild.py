"""What ministack's CodeBuild lacks: every setting of a project, webhooks, source credentials, and the CloudFormation types of these.

The CodeBuild API reference and botocore's service model are the sources of shapes and defaults; messages are AWS's where they are
known from reports, and say the same in other words where they are not.
"""

from __future__ import annotations

import json
import re
import secrets
import time
import uuid
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    Values = dict[str, Any]
    Reply = tuple[int, dict[str, str], bytes]

# API_CreateProject, `name`.
_PROJECT_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9\-_]{1,149}")
# Those of AWS::CodeBuild::Project; see the reference of AWS::CodeBuild::SourceCredential for the other.
_SERVER_TYPES: Final = ("GITHUB", "BITBUCKET", "GITHUB_ENTERPRISE", "GITLAB", "GITLAB_SELF_MANAGED")
_AUTH_TYPES: Final = ("OAUTH", "BASIC_AUTH", "PERSONAL_ACCESS_TOKEN", "CODECONNECTIONS", "SECRETS_MANAGER")
# Properties of AWS::CodeBuild::Project that no member of CreateProject has the name of.
_OTHER_PROPERTIES: Final = ("Triggers", "Visibility", "ResourceAccessRole")
_REQUIRED_PROPERTIES: Final = ("Artifacts", "Environment", "ServiceRole", "Source")


class _Refused(Exception):
    """What the API answers with an error: its code and message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def of_call(self, operation: str) -> ValueError:
        """Turn the refusal into what makes it the reason of a stack event."""
        return ValueError(
            f"Failed to call {operation}, reason: {self.message} (Service: AWSCodeBuild; Status Code: 400; "
            f"Error Code: {self.code}; Request ID: {uuid.uuid4()}; Proxy: null)"
        )


class _Service:
    """The operations, on ministack's own store of projects and on ours of source credentials."""

    def __init__(self, credentials: Any) -> None:
        from ministack.core import responses
        from ministack.services import codebuild

        self._responses = responses
        self._inner = codebuild
        self._credentials = credentials

    @property
    def projects(self) -> Any:
        """The projects by name, of the account and region of the request under way."""
        return self._inner._projects  # noqa: SLF001

    def arn(self, resource: str) -> str:
        """Return the ARN of a CodeBuild resource in the account and region of the request under way."""
        return f"arn:aws:codebuild:{self._responses.get_region()}:{self._responses.get_account_id()}:{resource}"

    def create_project(self, request: Values) -> Values:
        """CreateProject."""
        name = str(request.get("name", ""))
        if not _PROJECT_NAME.fullmatch(name):
            raise _Refused(
                "InvalidInputException",
                f"Project name {name!r} is not valid: it starts with a letter or digit, and 2 to 150 letters, digits, "
                "hyphens and underscores make it up",
            )
        if name in self.projects:
            raise _Refused("ResourceAlreadyExistsException", f"Project already exists: {self.arn(f'project/{name}')}")
        now = time.time()
        self.projects[name] = project = {
            **self._completed(request),
            "name": name,
            "arn": self.arn(f"project/{name}"),
            "created": now,
            "lastModified": now,
        }
        return {"project": shown(project)}

    def update_project(self, request: Values) -> Values:
        """UpdateProject: what the request does not name stays as it is."""
        project = self._project(str(request.get("name", "")))
        project.update(self._completed({**project, **request}))
        project["lastModified"] = time.time()
        return {"project": shown(project)}

    def replace_settings(self, name: str, settings: Values) -> None:
        """Give a project exactly `settings`, as a stack update does: what is not named has its default again."""
        project = self._project(name)
        kept: Values = {key: project[key] for key in ("name", "arn", "created", "webhook") if key in project}
        project.clear()
        project.update({**self._completed(settings), **kept, "lastModified": time.time()})

    def create_webhook(self, request: Values) -> Values:
        """CreateWebhook."""
        project = self._project(str(request.get("projectName", "")))
        if project.get("webhook"):
            raise _Refused("ResourceAlreadyExistsException", f"Webhook already exists for project {project['arn']}")
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
        del self._project(str(request["projectName"]))["webhook"]
        return {}

    def import_source_credentials(self, request: Values) -> Values:
        """ImportSourceCredentials. The token is not kept: nothing here uses it."""
        server_type, auth_type = str(request.get("serverType", "")), str(request.get("authType", ""))
        for what, value, known in (
            ("serverType", server_type, _SERVER_TYPES),
            ("authType", auth_type, _AUTH_TYPES),
        ):
            if value not in known:
                raise _Refused("InvalidInputException", f"Invalid {what}: {value!r} is none of {', '.join(known)}")
        if not request.get("token"):
            raise _Refused("InvalidInputException", "Invalid token: it must not be empty")
        if server_type in self._credentials and not request.get("shouldOverwrite", True):
            raise _Refused(
                "ResourceAlreadyExistsException", f"Access token with server type {server_type} already exists"
            )
        information = {
            "arn": self.arn(f"token/{server_type.lower()}"),
            "serverType": server_type,
            "authType": auth_type,
        }
        if auth_type in {"CODECONNECTIONS", "SECRETS_MANAGER"}:
            information["resource"] = str(request["token"])
        self._credentials[server_type] = information
        return {"arn": information["arn"]}

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
        raise _Refused("ResourceNotFoundException", f"Source credentials not found: {arn}")

    def require_access(self, source: Mapping[str, Any]) -> None:
        """Raise `_Refused` unless CodeBuild could create a webhook where `source` is."""
        server_type = str(source.get("type", ""))
        if server_type not in _SERVER_TYPES:
            raise _Refused("InvalidInputException", f"Webhooks are not supported for source type {server_type}")
        if source.get("auth", {}).get("type") != "CODECONNECTIONS" and server_type not in self._credentials:
            raise _Refused(
                "ResourceNotFoundException", f"Could not find access token for server type {server_type.lower()}"
            )

    def _project(self, name: str) -> Values:
        project: Values | None = self.projects.get(name)
        if project is None:
            raise _Refused("ResourceNotFoundException", f"Project cannot be found: {self.arn(f'project/{name}')}")
        return project

    def _webhook(self, name: str) -> Values:
        project = self._project(name)
        if not project.get("webhook"):
            raise _Refused("ResourceNotFoundException", f"Project {project['arn']} has no webhook")
        webhook: Values = project["webhook"]
        return webhook

    def _completed(self, request: Values) -> Values:
        """Return the settings of a request with the service's defaults."""
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
    """Return a project as BatchGetProjects shows it: everything that is kept, as all of it has the API's own names."""
    return {key: value for key, value in project.items() if value is not None}


def _webhook_settings(request: Values) -> Values:
    names = ("branchFilter", "filterGroups", "buildType", "scopeConfiguration", "pullRequestBuildPolicy")
    return {"filterGroups": [], **{name: request[name] for name in names if name in request}}


def extend(credentials: Any) -> None:
    """Put the operations into ministack's service module; `credentials` is the store for source credentials."""
    from ministack.core import responses
    from ministack.services import codebuild as inner

    service = _Service(credentials)
    operations: dict[str, Callable[[Values], Values]] = {
        "CreateProject": service.create_project,
        "UpdateProject": service.update_project,
        "CreateWebhook": service.create_webhook,
        "UpdateWebhook": service.update_webhook,
        "DeleteWebhook": service.delete_webhook,
        "ImportSourceCredentials": service.import_source_credentials,
        "ListSourceCredentials": service.list_source_credentials,
        "DeleteSourceCredentials": service.delete_source_credentials,
    }
    handle_inner: Callable[..., Awaitable[Reply]] = inner.handle_request

    async def handle_request(
        method: str, path: str, headers: Mapping[str, str], body: bytes, query_params: Values
    ) -> Reply:
        operation = operations.get(headers.get("x-amz-target", "").rpartition(".")[2])
        if operation is None:
            return await handle_inner(method, path, headers, body, query_params)
        try:
            reply: Reply = responses.json_response(operation(json.loads(body or b"{}")))
        except _Refused as refusal:
            reply = responses.error_response_json(refusal.code, refusal.message)
        return reply

    inner.handle_request = handle_request
    inner._project_shape = shown  # noqa: SLF001


def extend_cloudformation(credentials: Any) -> None:
    """Give CloudFormation the types AWS::CodeBuild::Project, with all it has, and AWS::CodeBuild::SourceCredential."""
    from ministack.services.cloudformation import provisioners

    service = _Service(credentials)
    projects, sources = _ProjectType(service, provisioners), _SourceCredentialType(service)
    provisioners._RESOURCE_HANDLERS["AWS::CodeBuild::Project"] = {  # noqa: SLF001
        "create": projects.create,
        "update": projects.update,
        "delete": projects.delete,
    }
    provisioners._RESOURCE_HANDLERS["AWS::CodeBuild::SourceCredential"] = {  # noqa: SLF001
        "create": sources.create,
        "update": sources.update,
        "delete": sources.delete,
    }


class _ProjectType:
    """AWS::CodeBuild::Project. Ref is the name, GetAtt knows Arn."""

    def __init__(self, service: _Service, provisioners: Any) -> None:
        from ministack.core import responses

        self._service = service
        self._generated_name = provisioners._physical_name  # noqa: SLF001
        self._model = responses._service_model("codebuild")  # noqa: SLF001

    def create(self, logical_id: str, properties: Values, stack_name: str) -> tuple[str, Values]:
        name = properties.get("Name") or self._generated_name(stack_name, logical_id, max_len=150)
        settings, webhook = self._api_settings(properties)
        try:
            self._service.create_project({**settings, "name": name})
        except _Refused as refusal:
            raise refusal.of_call("CreateProject") from refusal
        try:
            self._set_webhook(name, webhook)
        except ValueError:
            del self._service.projects[name]
            raise
        return name, self._attributes(name)

    def update(self, name: str, _old: Values, new: Values, _stack_name: str) -> tuple[str, Values]:
        settings, webhook = self._api_settings(new)
        try:
            self._service.replace_settings(name, settings)
        except _Refused as refusal:
            raise refusal.of_call("UpdateProject") from refusal
        self._set_webhook(name, webhook)
        return name, self._attributes(name)

    def delete(self, name: str, _properties: Values) -> None:
        self._service.projects.pop(name, None)

    def _attributes(self, name: str) -> Values:
        return {"Arn": self._service.arn(f"project/{name}")}

    def _set_webhook(self, name: str, wanted: Values | None) -> None:
        project = self._service.projects[name]
        if wanted is None:
            project.pop("webhook", None)
        elif "webhook" in project:
            project["webhook"] = {
                key: project["webhook"][key] for key in ("url", "payloadUrl", "manualCreation", "status")
            }
            self._service.update_webhook({**wanted, "projectName": name})
        else:
            try:
                self._service.create_webhook({**wanted, "projectName": name})
            except _Refused as refusal:
                raise refusal.of_call("CreateWebhook") from refusal

    def _api_settings(self, properties: Values) -> tuple[Values, Values | None]:
        """Return a template's properties as CreateProject takes them, and the request for a webhook if there is to be one."""
        for name in _REQUIRED_PROPERTIES:
            if name not in properties:
                raise ValueError(f"Property {name} cannot be empty.")
        plain = {name: value for name, value in properties.items() if name not in _OTHER_PROPERTIES}
        settings = api_spelling(plain, self._model.operation_model("CreateProject").input_shape)
        for ours, theirs in (("Visibility", "projectVisibility"), ("ResourceAccessRole", "resourceAccessRole")):
            if ours in properties:
                settings[theirs] = properties[ours]
        triggers = dict(properties.get("Triggers", {}))
        if str(triggers.pop("Webhook", False)).lower() != "true":
            return settings, None
        return settings, api_spelling(triggers, self._model.operation_model("CreateWebhook").input_shape)


def api_spelling(value: Any, shape: Any) -> Any:
    """Spell a property value as the API does: member names by `shape`, and booleans and numbers that YAML gave as text.

    Raises ValueError, in CloudFormation's words, for a property that the API does not have.
    """
    if shape.type_name == "structure" and isinstance(value, dict):
        # The two spellings differ in case alone (`BuildSpec` is `buildspec`, `S3Logs` is `s3Logs`).
        members = {name.lower(): name for name in shape.members}
        unknown = [name for name in value if name.lower() not in members]
        if unknown:
            raise ValueError(f"Encountered unsupported property {unknown[0]}")
        return {
            members[name.lower()]: api_spelling(item, shape.members[members[name.lower()]])
            for name, item in value.items()
        }
    if shape.type_name == "list" and isinstance(value, list):
        return [api_spelling(item, shape.member) for item in value]
    if shape.type_name == "boolean":
        return str(value).lower() == "true"
    if shape.type_name in {"integer", "long"}:
        return int(value)
    return str(value) if isinstance(value, (int, float)) else value


class _SourceCredentialType:
    """AWS::CodeBuild::SourceCredential. Ref is the ARN; there is one for each server type, account and region."""

    def __init__(self, service: _Service) -> None:
        self._service = service

    def create(self, _logical_id: str, properties: Values, _stack_name: str) -> tuple[str, Values]:
        return self._import(properties, overwrite=False)

    def update(self, _arn: str, _old: Values, new: Values, _stack_name: str) -> tuple[str, Values]:
        return self._import(new, overwrite=True)

    def delete(self, arn: str, _properties: Values) -> None:
        try:
            self._service.delete_source_credentials({"arn": arn})
        except _Refused:
            return  # somebody deleted it, which CloudFormation takes for done

    def _import(self, properties: Values, *, overwrite: bool) -> tuple[str, Values]:
        request = {
            "serverType": properties.get("ServerType"),
            "authType": properties.get("AuthType"),
            "token": properties.get("Token"),
            "username": properties.get("Username"),
            "shouldOverwrite": overwrite,
        }
        try:
            arn: str = self._service.import_source_credentials(request)["arn"]
        except _Refused as refusal:
            raise refusal.of_call("ImportSourceCredentials") from refusal
        return arn, {"Arn": arn}
