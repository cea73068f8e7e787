"""What all constructs share: the frozen model, the vocabulary of their fields, and errors in the words of the command line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from exasol_ci_setup.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

TAG_PREFIX: Final = "exasol-ci-setup:"

_SHOWN_CHARACTERS: Final = 100
_CONTROL_CHARACTERS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
_CREDENTIALS_IN_URL: Final = re.compile(r"//[^/\s]*@")


def refusal(rule: str) -> PydanticCustomError:
    """Make the error that a validator raises: `rule` says in plain words what is accepted."""
    # The rule travels as context: as the message itself, its braces would be taken for placeholders.
    return PydanticCustomError("rule", "{rule}", {"rule": rule})


def matching(pattern: str, rule: str) -> AfterValidator:
    """Make a validator that accepts text which `pattern` matches as a whole; `rule` says in plain words what that is."""

    def check(value: str) -> str:
        # Compiled when a value comes, and kept by `re`: a run needs few of the patterns that there are.
        if not re.fullmatch(pattern, value):
            raise refusal(rule)
        return value

    return AfterValidator(check)


def between(least: int, most: int, what: str) -> AfterValidator:
    """Make a validator for a whole number of `what` from `least` to `most`, both included."""

    def check(value: int) -> int:
        if not least <= value <= most:
            raise refusal(f"use {least} to {most} {what}")
        return value

    return AfterValidator(check)


_FULL_ARN: Final = r"arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]{1,512}-[A-Za-z0-9]{6}"

StackName = Annotated[
    str,
    matching(
        r"[a-zA-Z][-a-zA-Z0-9]{0,127}",
        "use letters, digits and hyphens, the first a letter, at most 128 characters, as CloudFormation asks of a stack",
    ),
]
"""Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html."""

SecretArn = Annotated[
    str,
    matching(
        _FULL_ARN,
        "use a secret's full ARN, such as arn:aws:secretsmanager:eu-central-1:123456789012:secret:Dockerhub-a1B2c3",
    ),
]

SecretName = Annotated[
    str,
    matching(
        rf"[A-Za-z0-9/_+=.@-]{{1,512}}|{_FULL_ARN}",
        "use a secret's name (letters, digits and /_+=.@-, at most 512 characters) or its full ARN",
    ),
]
"""Source: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html."""


class Construct(BaseModel):
    """One stack as a validated, immutable set of parameters, which `templates.render` turns into its template.

    A subclass names the file of its template in `template`, and in `stack_name` how its stack is called. The constructor
    raises pydantic's ValidationError; `build` raises an `InputError` in the words of the command line instead.
    """

    # Of all constructs a run uses one, so a model's validators are built when it is.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)

    template: ClassVar[str]

    stack: StackName | None = Field(default=None, alias="stack_name")

    @property
    def stack_name(self) -> str:
        """The name of the stack: the one asked for with `stack_name=`, or else the construct's own."""
        raise NotImplementedError

    @property
    def tags(self) -> dict[str, str]:
        """The tags by which this tool knows a stack as its own."""
        return {f"{TAG_PREFIX}construct": type(self).__name__}

    @field_validator("*", mode="before")
    @classmethod
    def _is_plain_text(cls, value: Any) -> Any:
        if isinstance(value, str):
            if _CONTROL_CHARACTERS.search(value):
                raise refusal("control characters are not allowed")
            if "{{resolve:" in value:
                raise refusal("'{{resolve:' is not allowed: CloudFormation would replace it by a secret or a parameter")
        return value


C = TypeVar("C", bound=Construct)


def build(cls: type[C], **values: Any) -> C:
    """Make the construct `cls` of `values`, of which None means "not given".

    Raises InputError naming every refused value by its command-line option, with the rule that it breaks.
    """
    try:
        return cls(**{name: value for name, value in values.items() if value is not None})
    except ValidationError as error:
        problems = error.errors(include_url=False)
    # Raised here and not inside `except`, since pydantic's own words, which would be chained to it, show the raw input.
    raise InputError(_message(problems))


def _message(problems: list[ErrorDetails]) -> str:
    if len(problems) == 1:
        subject, rule = _explained(problems[0])
        return f"{subject} is not acceptable: {rule}"
    lines = (f"  {subject}: {rule}" for subject, rule in map(_explained, problems))
    return "\n".join([f"{len(problems)} options are not acceptable:", *lines])


def _explained(problem: ErrorDetails) -> tuple[str, str]:
    option = "--" + ".".join(str(part).replace("_", "-") for part in problem["loc"])
    if problem["type"] == "missing":
        return option, "it is required"
    if problem["type"] == "extra_forbidden":
        return option, "there is no such option"
    return f"{option} {_shown(problem['input'])}", _rule(problem["type"], problem["msg"], problem.get("ctx", {}))


def _rule(kind: str, message: str, context: Mapping[str, Any]) -> str:
    if kind == "rule":
        return message
    if kind == "literal_error":
        return f"use {context['expected']}"
    if kind.startswith("int_"):
        return "use a whole number"
    if kind.startswith("string_"):
        return "use text"
    return message[:1].lower() + message[1:]


def _shown(value: object) -> str:
    text = _CREDENTIALS_IN_URL.sub("//****@", value) if isinstance(value, str) else value
    shown = ascii(text)
    return shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[:_SHOWN_CHARACTERS]}…"
