"""Add the CloudFormation types AWS::CodeBuild::Project and AWS::CodeBuild::SourceCredential to ministack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.sandbox.api import ApiError
from exasol_ci_setup.sandbox.codebuild import Service
from exasol_ci_setup.sandbox.private import add_resource_type

if TYPE_CHECKING:
    from exasol_ci_setup.sandbox.private import Values

# Properties of AWS::CodeBuild::Project without a member of that name in CreateProject.
_OTHER_PROPERTIES: Final = ("Triggers", "Visibility", "ResourceAccessRole")
_REQUIRED_PROPERTIES: Final = ("Artifacts", "Environment", "ServiceRole", "Source")


def extend(credentials: Any) -> None:
    """Add the types AWS::CodeBuild::Project, with all properties, and AWS::CodeBuild::SourceCredential."""
    from ministack.services.cloudformation import provisioners

    service = Service(credentials)
    add_resource_type("AWS::CodeBuild::Project", _ProjectType(service, provisioners))
    add_resource_type("AWS::CodeBuild::SourceCredential", _SourceCredentialType(service))


class _ProjectType:
    """AWS::CodeBuild::Project. Ref is the name; GetAtt has Arn."""

    def __init__(self, service: Service, provisioners: Any) -> None:
        from ministack.core import responses

        self._service = service
        self._generated_name = provisioners._physical_name  # noqa: SLF001
        self._model = responses._service_model("codebuild")  # noqa: SLF001

    def create(self, logical_id: str, properties: Values, stack_name: str) -> tuple[str, Values]:
        name = properties.get("Name") or self._generated_name(stack_name, logical_id, max_len=150)
        settings, webhook = self._api_settings(properties)
        try:
            self._service.create_project({**settings, "name": name})
        except ApiError as error:
            raise error.of_call("CreateProject") from error
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
        except ApiError as error:
            raise error.of_call("UpdateProject") from error
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
            except ApiError as error:
                raise error.of_call("CreateWebhook") from error

    def _api_settings(self, properties: Values) -> tuple[Values, Values | None]:
        """Return the properties of a template as a CreateProject request, and the webhook request or None."""
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
    """Convert a property value to the API's form: member names, and booleans and numbers from text.

    Raises ValueError with CloudFormation's message if the API does not have the property.
    """
    if shape.type_name == "structure" and isinstance(value, dict):
        return _api_members(value, shape)
    if shape.type_name == "list" and isinstance(value, list):
        return [api_spelling(item, shape.member) for item in value]
    if shape.type_name == "boolean":
        return str(value).lower() == "true"
    if shape.type_name in {"integer", "long"}:
        return int(value)
    return str(value) if isinstance(value, (int, float)) else value


def _api_members(value: dict[str, Any], shape: Any) -> dict[str, Any]:
    # The names differ in case only (`BuildSpec` is `buildspec`, `S3Logs` is `s3Logs`).
    members = {name.lower(): name for name in shape.members}
    unknown = [name for name in value if name.lower() not in members]
    if unknown:
        raise ValueError(f"Encountered unsupported property {unknown[0]}")
    return {
        members[name.lower()]: api_spelling(item, shape.members[members[name.lower()]]) for name, item in value.items()
    }


class _SourceCredentialType:
    """AWS::CodeBuild::SourceCredential. Ref is the ARN; each server type, account and region has at most one."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def create(self, _logical_id: str, properties: Values, _stack_name: str) -> tuple[str, Values]:
        return self._import(properties, overwrite=False)

    def update(self, _arn: str, _old: Values, new: Values, _stack_name: str) -> tuple[str, Values]:
        return self._import(new, overwrite=True)

    def delete(self, arn: str, _properties: Values) -> None:
        try:
            self._service.delete_source_credentials({"arn": arn})
        except ApiError:
            return  # already deleted, which CloudFormation regards as success

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
        except ApiError as error:
            raise error.of_call("ImportSourceCredentials") from error
        return arn, {"Arn": arn}
