"""Rules of pydantic in plain words."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from exasol_ci_setup.core.rules import rule_of


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = ""


def refuse(_value: int) -> int:
    raise ValueError("Use another one")


@pytest.mark.parametrize(
    ("kind", "value", "rule"),
    [
        (Annotated[int, Field(ge=1, le=4_194_304)], 0, "use 1 or more"),
        (Annotated[int, Field(ge=1, le=4_194_304)], 5_000_000, "use 4194304 or less"),
        (Annotated[float, Field(gt=0, lt=0.5)], 0.0, "use more than 0"),
        (Annotated[float, Field(gt=0, lt=0.5)], 1.0, "use less than 0.5"),
        (Annotated[float, Field(allow_inf_nan=False)], "nan", "use a number"),
        (float, "x", "use a number"),
        (int, "x", "use a whole number"),
        (int, 1.5, "use a whole number"),
        (bool, "maybe", "use true or false"),
        (str, 5, "use text"),
        (Annotated[str, Field(max_length=2)], "abc", "use at most 2 characters"),
        (Annotated[str, Field(pattern="^a+$")], "b", "use text that matches ^a+$"),
        (Annotated[list[int], Field(min_length=1)], [], "use at least 1 items"),
        (list[int], 5, "use a list"),
        (dict[str, str], [], "use names with values"),
        (Literal["a", "b"], "c", "use 'a' or 'b'"),
        (Model, {"name": "a", "nam": "b"}, "unknown field"),
        (Annotated[int, AfterValidator(refuse)], 1, "Use another one"),
        (UUID, "x", "input should be a valid UUID"),
    ],
)
def test_rule_is_in_plain_words(kind: Any, value: object, rule: str):
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(value)

    (problem,) = caught.value.errors()
    assert rule_of(problem).startswith(rule)
