"""Types of the fields of constructs, each with its rule in plain words, and the frozen base model of all values."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, TypeVar, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from exasol_ci_setup.constructs.placeholders import placeholders_in, refusal_of, require_unaltered
from exasol_ci_setup.constructs.unresolved import guarded, plain
from exasol_ci_setup.core import patterns
from exasol_ci_setup.core.tags import tag_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from inspect import Signature

    from pydantic import GetJsonSchemaHandler, ValidationInfo, ValidatorFunctionWrapHandler
    from pydantic_core import CoreSchema, ErrorDetails

    from exasol_ci_setup.constructs.placeholders import Placeholder

_CONTROL_CHARACTERS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
# Line breaks and tabs are allowed in dictionaries and lists, such as the values of variables.
_NESTED_CONTROL_CHARACTERS: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_HUMP: Final = re.compile("(?<=[a-z0-9])[A-Z]")


def refusal(rule: str) -> PydanticCustomError:
    """Create the error that a validator raises; `rule` describes the accepted values."""
    # The rule is passed as context, because pydantic would format braces in the message.
    return PydanticCustomError("rule", "{rule}", {"rule": rule})


def malformed(rule: str) -> PydanticCustomError:
    """Create the error for text that is invalid whatever the outputs in it are; `rule` describes the accepted values."""
    return PydanticCustomError("malformed", "{rule}", {"rule": rule})


@dataclass(frozen=True)
class _Checked(AfterValidator):
    """A validator that also describes the accepted values in a JSON schema."""

    keywords: dict[str, Any] = field(default_factory=dict, hash=False)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), **self.keywords}


def matching(pattern: str, rule: str) -> AfterValidator:
    """Create a validator that accepts text that `pattern` matches as a whole; `rule` describes it."""

    def check(value: str) -> str:
        # Compiled on first use and cached by `re`: a run needs few of the patterns.
        if not re.fullmatch(pattern, value):
            raise refusal(rule)
        return value

    # Editors use JavaScript's regular expressions, where a pattern may match anywhere and \Z is a letter.
    whole = f"^(?:{pattern})$".replace(r"\Z", "$")
    return _Checked(check, {"pattern": whole, "patternErrorMessage": rule})


def between(least: int, most: int, what: str) -> AfterValidator:
    """Create a validator for a whole number of `what` from `least` to `most`, both included."""

    def check(value: int) -> int:
        if not least <= value <= most:
            raise refusal(f"use {least} to {most} {what}")
        return value

    return _Checked(check, {"minimum": least, "maximum": most})


if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    Items: TypeAlias = Sequence
else:

    class Items:
        """Several values of one type: a program passes a list or a tuple, and the field is a tuple."""

        def __class_getitem__(cls, item: Any) -> Any:
            """Return the type of the field."""
            return Annotated[tuple[item, ...], Field(strict=False), BeforeValidator(_list_of(item))]


def _list_of(item: Any) -> Callable[[Any], Any]:
    """Return a validator that rejects everything but lists and tuples of `item`."""

    def check(value: Any) -> Any:
        # Other values are iterable too, such as text and models, and pydantic would report each of their items.
        if not isinstance(value, list | tuple):
            raise malformed(f"use a list of {' or '.join(_type_names(item))}")
        return value

    return check


def _type_names(item: Any) -> list[str]:
    """Return the names of a type, or of the types in a union, for messages."""
    if isinstance(item, type):
        return ["text" if item is str else item.__name__]
    arguments = get_args(item)
    return [
        name for each in (arguments[:1] if get_origin(item) is Annotated else arguments) for name in _type_names(each)
    ]


StackName = Annotated[
    str,
    matching(
        r"[a-zA-Z][-a-zA-Z0-9]{0,127}",
        "use letters, digits and hyphens, the first a letter, at most 128 characters, the rule of CloudFormation for a stack",
    ),
]
"""Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html."""

SecretArn = Annotated[str, matching(*patterns.SECRET_ARN)]

SecretSource = Annotated[
    str,
    matching(
        rf"{patterns.SECRET_ARN[0]}(:[A-Za-z0-9/_+=.@-]*:[A-Za-z0-9/_+=.@-]*:[A-Za-z0-9-]*)?"
        r"|arn:aws[a-z-]*:ssm:[a-z0-9-]+:[0-9]{12}:parameter/[A-Za-z0-9/_.-]{1,1011}",
        "use a secret's full ARN, such as arn:aws:secretsmanager:eu-central-1:123456789012:secret:db-a1B2c3, also with a key of its JSON "
        "(…:secret:db-a1B2c3:password::), or the ARN of an SSM parameter",
    ),
]
"""Source: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar-secrets-manager.html."""

SecretName = Annotated[str, matching(*patterns.SECRET_NAME)]

Name = Annotated[
    str,
    matching(
        r"(?=.{1,63}\Z)[a-zA-Z][a-zA-Z0-9]*(-[a-zA-Z0-9]+)*",
        "use letters, digits and single hyphens between them, the first a letter, at most 63 characters,"
        " since stacks and repositories are named after it",
    ),
]
"""A stack's name has two names and a hyphen; a repository's name has them in lower case with a slash:
https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreateRepository.html."""


RoleArn = Annotated[str, matching(*patterns.ROLE_ARN)]


_T = TypeVar("_T")


class HashableDict(dict[str, _T]):
    """Hashable values by name in a value that is compared and hashed; it is not changed."""

    def __hash__(self) -> int:  # type: ignore[override] # a dict has none
        return hash(frozenset(self.items()))


def _are_tags(tags: dict[str, str]) -> HashableDict[str]:
    problem = next((problem for key, text in tags.items() if (problem := tag_problem(key, text))), "")
    if problem:
        raise malformed(problem)
    return HashableDict(tags)


Tags = Annotated[dict[str, str], AfterValidator(_are_tags)]

KeyArn = Annotated[
    str,
    matching(
        r"arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]{1,64}",
        "use the ARN of a KMS key, such as arn:aws:kms:eu-central-1:123456789012:key/12345678-1234-1234-1234-123456789012",
    ),
]

VpcId = Annotated[str, matching(r"vpc-[0-9a-f]{8,17}", "use the id of a VPC, such as vpc-0123456789abcdef0")]
SubnetId = Annotated[
    str, matching(r"subnet-[0-9a-f]{8,17}", "use the id of a subnet, such as subnet-0123456789abcdef0")
]
GroupId = Annotated[str, matching(r"sg-[0-9a-f]{8,17}", "use the id of a security group, such as sg-0123456789abcdef0")]


class _Signature:
    """The signature of a model, whose validators are built first if it was not used yet."""

    def __get__(self, instance: object, owner: type[BaseModel]) -> Signature:
        if instance is not None:
            raise AttributeError("__signature__")
        owner.model_rebuild()
        # Building replaced this object.
        return owner.__signature__


class Value(BaseModel):
    """A frozen set of named values that rejects unknown names and checks that text is plain.

    Names are also accepted in camel case (``startCommand``) for compatibility with another tool's programs.
    """

    # A run uses few of the models, so the validators of a model are built on first use.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)

    also_known_as: ClassVar[dict[str, str]] = {}
    """Alternative spellings, and the fields that they mean."""

    known_first: ClassVar[frozenset[str]] = frozenset({"name", "stack"})
    """The fields that must be known when the construct is created, so that they do not accept the output of another construct."""

    free_text: ClassVar[frozenset[str]] = frozenset()
    """The fields with text of several lines, in which every character is allowed."""

    has_stack: ClassVar[bool] = False
    """Whether the value is a construct with a stack of its own."""

    def __init_subclass__(cls, **settings: Any) -> None:
        """Give the class a signature with its fields for editors and `help`, also before its first use."""
        super().__init_subclass__(**settings)
        type.__setattr__(cls, "__signature__", _Signature())

    @model_validator(mode="before")
    @classmethod
    def _in_snake_case(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        result: dict[Any, Any] = {}
        for key, value in data.items():
            name = cls.also_known_as.get(key, key)
            if isinstance(name, str) and name not in cls.model_fields:
                snake = _HUMP.sub(lambda found: f"_{found[0]}", name).lower()
                name = snake if snake in cls.model_fields else name
            # The second spelling of a value is rejected as an unknown one.
            result[key if name in data or name in result else name] = value
        return result

    @field_validator("*", mode="before")
    @classmethod
    def _is_plain_text(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, str) and info.field_name not in cls.free_text:
            if _CONTROL_CHARACTERS.search(value):
                raise malformed("control characters are not allowed")
            if "{{resolve:" in value:
                raise malformed(
                    "'{{resolve:' is not allowed: CloudFormation would replace it with a secret or a parameter"
                )
        if isinstance(value, dict | list | tuple) and any(map(_NESTED_CONTROL_CHARACTERS.search, _texts_in(value))):
            raise malformed("control characters other than line breaks and tabs are not allowed")
        return value

    @field_validator("*", mode="wrap")
    @classmethod
    def _accepts_outputs(cls, value: Any, validate: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        found = list(placeholders_in(value))
        if not found:
            return validate(value)
        accepted = cls._with_outputs(plain(value), found, validate, info)
        # The code of a user's own class must not decide by an output either.
        return accepted if _is_shipped(cls) else guarded(accepted)

    @classmethod
    def _with_outputs(
        cls, value: Any, found: list[Placeholder], validate: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> Any:
        field = cls.model_fields[info.field_name or ""]
        argument = field.alias or info.field_name or ""
        annotation = field.annotation
        name = info.data.get("name")
        of = f"{cls.__name__} {name!r}" if name else cls.__name__
        require_unaltered(value, argument, of)
        keys = placeholders_in(list(value)) if isinstance(value, dict) else iter(())
        is_known = info.field_name in cls.known_first
        refused = next((each for each in found if each.refused or is_known), next(keys, None))
        if refused is not None:
            raise refusal_of(refused, argument, of, annotation)
        try:
            return validate(value)
        except ValidationError as error:
            problems = error.errors(include_url=False)
            if any(each["type"] == "malformed" or not any(placeholders_in(each["input"])) for each in problems):
                raise
        # The rule of the field applies to the value, with which the construct is validated again before its stack is planned.
        if not _are_rules_for_text(problems):
            raise refusal_of(found[0], argument, of, annotation)
        return tuple(value) if isinstance(value, list) and _has_tuple(annotation) else value


def _texts_in(value: Any) -> Iterator[str]:
    """Yield each text in nested dictionaries, lists and tuples, also the keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.items():
            yield from _texts_in(each)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts_in(item)


def _is_shipped(cls: type) -> bool:
    """Return whether a class is of this package."""
    return cls.__module__.partition(".")[0] == __name__.partition(".")[0]


def _are_rules_for_text(problems: list[ErrorDetails]) -> bool:
    """Return whether each value of `problems` may be text: one of its problems is a rule that other text satisfies."""
    may_be_text = [each["input"] for each in problems if _is_rule_for_text(each["type"])]
    return all(each["input"] in may_be_text for each in problems)


def _is_rule_for_text(kind: str) -> bool:
    return kind in {"rule", "value_error", "assertion_error"} or kind.startswith("string_")


def _has_tuple(annotation: Any) -> bool:
    return get_origin(annotation) is tuple or any(map(_has_tuple, get_args(annotation)))
