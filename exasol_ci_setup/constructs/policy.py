"""Permissions of roles: statements of policies, and the limit of all roles of a scope."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from exasol_ci_setup.constructs.values import HashableDict, Items, Value, malformed, matching, refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import GetJsonSchemaHandler
    from pydantic_core import CoreSchema
    from typing_extensions import Self

Action = Annotated[
    str,
    matching(r"\*|[a-z0-9-]+:[A-Za-z0-9*?]+", "use an action, such as s3:GetObject, or a pattern with * and ?"),
]
"""Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_action.html."""

ResourceArn = Annotated[
    str,
    matching(
        # IAM would read ${AWS::Region} as a variable of its own, which has no value.
        r"\*|(?!.*\$\{AWS::)arn:[a-z*?-]+:[^\s]+",
        "use the ARN of a resource, a pattern of ARNs, or * for all resources; ${AWS::…} is not replaced",
    ),
]
"""Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html."""

PolicyArn = Annotated[
    str,
    matching(
        r"arn:aws[a-z-]*:iam::(aws|[0-9]{12}):policy/[A-Za-z0-9/_+=,.@-]{1,512}",
        "use the ARN of a policy, such as arn:aws:iam::123456789012:policy/limit",
    ),
]

RolePath = Annotated[
    str,
    matching(
        r"(?=.{1,512}\Z)/([A-Za-z0-9_+=,.@-]+/)*", "use a path that begins and ends with a slash, such as /builds/"
    ),
]
"""Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html."""

_StatementId = Annotated[str, matching(r"[A-Za-z0-9]+", "use letters and digits")]
_OPERATOR: Final = re.compile(
    r"(ForAllValues:|ForAnyValue:)?(String(Not)?Equals(IgnoreCase)?|String(Not)?Like|(Numeric|Date)((Not)?Equals|LessThan(Equals)?"
    r"|GreaterThan(Equals)?)|Bool|BinaryEquals|(Not)?IpAddress|Arn(Not)?(Equals|Like))(IfExists)?|Null"
)
"""The operators of conditions: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html."""

# A colon after the first one would allow the names of CloudFormation's functions, such as Fn::Sub.
_CONDITION_KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*:(?!:)[A-Za-z0-9 _.:/=+@-]{1,256}")
_CONTROL_CHARACTERS: Final = re.compile("[\x00-\x1f\x7f-\x9f]")


def _as_texts(values: Any) -> Any:
    """Return the values of a condition as texts: a policy in JSON may have a single value, a number or a boolean."""
    listed = values if isinstance(values, list | tuple) else (values,)
    return tuple(json.dumps(each) if isinstance(each, bool | int | float) else each for each in listed)


def _with_texts(conditions: Any) -> Any:
    if not isinstance(conditions, dict):
        return conditions
    return {
        operator: {key: _as_texts(values) for key, values in keys.items()} if isinstance(keys, dict) else keys
        for operator, keys in conditions.items()
    }


def _are_conditions(conditions: dict[str, dict[str, Sequence[str]]]) -> Any:
    for operator, keys in conditions.items():
        if not _OPERATOR.fullmatch(operator):
            raise malformed(f"{operator!a} is no operator of a condition: use one such as StringEquals or ArnLike")
        for key, values in keys.items():
            if not _CONDITION_KEY.fullmatch(key):
                raise malformed(f"{key!a} is no key of a condition: use one such as aws:SourceAccount")
            if not values or any(_CONTROL_CHARACTERS.search(each) or "${AWS::" in each for each in values):
                raise malformed(f"{key}: use one or more texts; ${{AWS::…}} is not replaced")
    return HashableDict({operator: HashableDict(keys) for operator, keys in conditions.items()})


Conditions = Annotated[dict[str, dict[str, Items[str]]], BeforeValidator(_with_texts), AfterValidator(_are_conditions)]
"""The values of keys by operator, as in IAM: ``{"StringEquals": {"aws:SourceAccount": ["123456789012"]}}``."""

_LISTS: Final = {
    "Action": "actions",
    "NotAction": "not_actions",
    "Resource": "resources",
    "NotResource": "not_resources",
}


class PolicyStatement(Value):
    """Allows actions on resources. Everything else remains denied.

    Fields are also accepted in the form of a policy in JSON, with its names: `Effect` is required then, and `Action` and `Resource` may be a
    text instead of a list.
    """

    also_known_as: ClassVar[dict[str, str]] = {**_LISTS, "Condition": "conditions"}

    actions: Annotated[Items[Action], Field(description="Allowed actions, such as s3:GetObject.")] = ()
    resources: Annotated[Items[ResourceArn], Field(description="ARNs of the resources, or patterns of them.")] = ()
    conditions: Conditions = Field(
        default_factory=HashableDict, description="Conditions: values by operator and key, as in a policy."
    )
    effect: Annotated[Literal["Allow", "Deny"], Field(description="Whether the statement allows or denies.")] = "Allow"
    not_actions: Annotated[Items[Action], Field(description="Instead of actions: all other actions.")] = ()
    not_resources: Annotated[Items[ResourceArn], Field(description="Instead of resources: all other resources.")] = ()
    sid: Annotated[_StatementId | None, Field(description="ID of the statement, unique in a policy.")] = None

    @model_validator(mode="before")
    @classmethod
    def _as_in_policy(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not data.keys() & {*_LISTS, "Condition"}:
            return data
        if "Effect" not in data:
            raise refusal("Effect is required: Allow or Deny")
        return {key: (value,) if key in _LISTS and isinstance(value, str) else value for key, value in data.items()}

    @model_validator(mode="after")
    def _allows_something(self) -> Self:
        if bool(self.actions) == bool(self.not_actions) or bool(self.resources) == bool(self.not_resources):
            raise refusal("use at least one action and one resource")
        return self

    @property
    def elements(self) -> tuple[tuple[str, Sequence[str]], ...]:
        """The actions and resources, with the name of their element in a policy."""
        found = ((name, getattr(self, field)) for name, field in _LISTS.items())
        return tuple((name, tuple(values)) for name, values in found if values)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Return the schema of the form in JSON, which files use."""
        handler(schema)
        texts = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}

        def describe(field: str) -> str | None:
            return cls.model_fields[field].description

        return {
            "title": cls.__name__,
            "type": "object",
            "additionalProperties": False,
            "required": ["Effect"],
            "properties": {
                "Sid": {"type": "string", "pattern": "^[A-Za-z0-9]+$", "description": describe("sid")},
                "Effect": {"enum": ["Allow", "Deny"], "description": describe("effect")},
                **{element: {**texts, "description": describe(field)} for element, field in _LISTS.items()},
                "Condition": {
                    "type": "object",
                    "additionalProperties": {"type": "object"},
                    "description": describe("conditions"),
                },
            },
            "allOf": [
                {"oneOf": [{"required": [name]}, {"required": [f"Not{name}"]}]} for name in ("Action", "Resource")
            ],
        }


def _have_unique_ids(statements: Sequence[PolicyStatement]) -> Sequence[PolicyStatement]:
    ids = [each.sid for each in statements if each.sid is not None]
    twice = next((each for each in ids if ids.count(each) > 1), None)
    if twice is not None:
        raise malformed(f"two statements have the Sid {twice}")
    return statements


PolicyStatements = Annotated[Items[PolicyStatement], AfterValidator(_have_unique_ids)]
"""The statements of one policy."""


def _are_unique(arns: Sequence[str]) -> Sequence[str]:
    if len(set(arns)) < len(arns):
        raise malformed("a policy is listed twice")
    return arns


PolicyArns = Annotated[Items[PolicyArn], AfterValidator(_are_unique)]
"""Managed policies of one role."""
