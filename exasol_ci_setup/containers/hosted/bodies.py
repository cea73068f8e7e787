"""Requests and answers of the hosted API, as pydantic models for validation and OpenAPI."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.json_schema import SkipJsonSchema

from exasol_ci_setup.containers.hosted import names
from exasol_ci_setup.containers.hosted.options import AppOptions

_LABEL: Final = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"


def _text_schema(pattern: str, example: str, longest: int) -> Any:
    """Return a JSON schema for documentation; the validator checks the text and reports the reason."""
    return WithJsonSchema(
        {"type": "string", "pattern": f"^{pattern}$", "minLength": 1, "maxLength": longest, "examples": [example]}
    )


AppName = Annotated[str, AfterValidator(names.app_name), _text_schema(_LABEL, "app1", 63)]
Domain = Annotated[
    str,
    AfterValidator(names.domain_name),
    _text_schema(rf"({_LABEL}\.)+[a-z]([a-z0-9-]{{0,61}}[a-z0-9])?", "app1-pr.example.com", 253),
]
Image = Annotated[
    str,
    AfterValidator(names.image_reference),
    _text_schema(r"[a-z0-9]+([._/-][a-z0-9]+)*(:[a-zA-Z0-9_.-]+)?", "ubuntu:latest", 128),
]
Variable = Annotated[str, WithJsonSchema({"type": "string", "pattern": "^[^\\u0000]*$"})]


class AuthenticatedRequest(BaseModel):
    """A request that needs the deploy secret."""

    # A misspelled field must not be ignored.
    model_config = ConfigDict(extra="forbid")

    secret: str | None = Field(None, description="The deploy secret; it may also be sent as `Authorization: Bearer`.")


class NewApp(AuthenticatedRequest, AppOptions):
    """A request to deploy an app."""

    # Callers may write values of variables as numbers.
    model_config = ConfigDict(coerce_numbers_to_str=True)

    image: Image = Field(description="The name of an image on Docker Hub, or REGISTRY/NAME.")
    name: AppName | None = Field(None, description="The name of the container; the default is derived from the image.")
    env: dict[str, Variable] | None = Field(
        None,
        description="Variables of the container; they override ENV=prod and PORT=8001.",
        json_schema_extra={"propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$", "not": {"const": "PORT"}}},
    )


class AppRequest(AuthenticatedRequest):
    """A request for an existing app."""

    name: AppName = Field(description="The name of the container.")


class RedeployApp(AppRequest, AppOptions):
    """A request to deploy an app again. Options that are not sent keep their values; null resets them to the default."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    image: Image | None = Field(None, description="Another image; the default is the current name.")
    env: dict[str, Variable | None] | None = Field(
        None,
        description="Variables to set; null removes one. Other variables keep their values.",
        json_schema_extra={"propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$", "not": {"const": "PORT"}}},
    )


class RemoveDomain(AppRequest):
    """A request to remove a domain from an app."""

    domain: Domain = Field(description="The fully-qualified domain, without the protocol.")


class AddDomain(AppRequest):
    """A request to add a domain to an app."""

    domain: Domain = Field(description="The fully-qualified domain, without the protocol.")
    force: bool = Field(default=False, description="Also add a domain that belongs to another container.")


class DeleteApp(AppRequest):
    """A request to delete an app."""

    purge: bool = Field(default=False, description="Also delete the data in /save.")


class LogsRequest(AppRequest):
    """A request for the log of an app."""

    lines: int = Field(100, ge=1, le=10_000, description="The number of last lines to return.")
    # Not in the OpenAPI document: the answer has another type, and does not end while the container runs.
    follow: SkipJsonSchema[bool] = False


def options_of(body: AppOptions) -> AppOptions:
    """Return the options in a request."""
    return AppOptions.model_construct(**{name: getattr(body, name) for name in AppOptions.model_fields})


class ContainerSummary(BaseModel):
    """A container in the list."""

    running: bool
    image: str
    domains: list[str]
    tls: list[str] = Field([], description="The domains with a certificate, if the service requests certificates.")


class SuccessAnswer(BaseModel):
    """The answer to a successful request."""

    success: bool = True


class LogsAnswer(SuccessAnswer):
    """The log of a container."""

    logs: str


class AppAnswer(SuccessAnswer):
    """A container. Sizes are in bytes, and times in seconds; a limit that is null does not apply."""

    name: str
    image: str
    running: bool
    health: Literal["healthy", "unhealthy", "stopped", "missing"] = Field(
        description="Whether the container answers now; missing if another program has removed it."
    )
    release: int | None = Field(description="The number of its release; null if an earlier version deployed it.")
    deployed: str | None = Field(description="The time of its release.")
    domains: list[str]
    tls: list[str] = Field([], description="The domains with a certificate, if the service requests certificates.")
    variables: list[str] = Field(description="The names of its variables.")
    memory: int | None
    cpus: float | None
    pids: int | None
    max_body: int
    timeout: int
    health_path: str | None


class Release(BaseModel):
    """A deployment of a container."""

    number: int
    at: str = Field(description="The time in ISO 8601.")
    image: str
    changes: list[str] = Field(description="The names of changed options and variables; `image` for another image.")


class ReleasesAnswer(SuccessAnswer):
    """The last releases of a container, the newest first."""

    releases: list[Release]


class FailureAnswer(BaseModel):
    """The answer to a failed request, with the reason."""

    success: bool = False
    reason: str
