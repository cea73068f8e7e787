"""What the hosted API takes and answers, as pydantic models that its OpenAPI page is made from."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from exasol_ci_setup.containers.hosted import names

_LABEL: Final = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"


def _text(pattern: str, example: str, longest: int) -> Any:
    """Describe text for callers; whether it is right is decided by the validator, which says why not."""
    return WithJsonSchema(
        {"type": "string", "pattern": f"^{pattern}$", "minLength": 1, "maxLength": longest, "examples": [example]}
    )


AppName = Annotated[str, AfterValidator(names.app_name), _text(_LABEL, "app1", 63)]
Domain = Annotated[
    str,
    AfterValidator(names.domain_name),
    _text(rf"({_LABEL}\.)+[a-z]([a-z0-9-]{{0,61}}[a-z0-9])?", "app1-pr.example.com", 253),
]
Image = Annotated[
    str,
    AfterValidator(names.image_reference),
    _text(r"[a-z0-9]+([._/-][a-z0-9]+)*(:[a-zA-Z0-9_.-]+)?", "ubuntu:latest", 128),
]
Variable = Annotated[str, WithJsonSchema({"type": "string", "pattern": "^[^\\u0000]*$"})]


class Request(BaseModel):
    """What each request that changes something, or tells more than the list, has."""

    # A misspelled field would be ignored, and the app would run without it.
    model_config = ConfigDict(extra="forbid")

    secret: str | None = Field(None, description="The deploy secret; it may also be sent as `Authorization: Bearer`.")


class New(Request):
    """An app to deploy, or to deploy again."""

    # A number is what many write for one, and a variable is text anyway.
    model_config = ConfigDict(coerce_numbers_to_str=True)

    image: Image = Field(description="The name of the Docker Hub image, or REGISTRY/NAME of another.")
    name: AppName | None = Field(None, description="The name to use; by default the image's.")
    env: dict[str, Variable] | None = Field(
        None,
        description="Variables for the container, over ENV=prod and PORT=8001.",
        json_schema_extra={"propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$", "not": {"const": "PORT"}}},
    )


class Named(Request):
    """An app that something is to be done with."""

    name: AppName = Field(description="The name of the container.")


class AddDomain(Named):
    """A domain that an app is to answer for."""

    domain: Domain = Field(description="The fully-qualified domain, without the protocol.")
    force: bool = Field(default=False, description="Take it from the container that has it now.")


class Delete(Named):
    """An app to remove."""

    purge: bool = Field(default=False, description="Remove what it has saved in /save, too.")


class Logs(Named):
    """An app whose log is asked for."""

    lines: int = Field(100, ge=1, le=10_000, description="How many lines, the last ones.")


class Shown(BaseModel):
    """A container in the list."""

    running: bool
    image: str
    domains: list[str]


class Success(BaseModel):
    """It was done."""

    success: bool = True


class Log(Success):
    """What a container wrote."""

    logs: str


class Failure(BaseModel):
    """It was not done, and why."""

    success: bool = False
    reason: str
