"""A stack of the user's own CloudFormation template."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, PrivateAttr, model_validator

from exasol_ci_setup.constructs.base import ScopedConstruct, folder_of
from exasol_ci_setup.constructs.values import refusal
from exasol_ci_setup.core.tags import TAG_PREFIX

if TYPE_CHECKING:
    from typing_extensions import Self

_OWN = ("exasol_ci_setup", "pydantic")


class Stack(ScopedConstruct):
    """A stack of a CloudFormation template of your own: YAML or JSON, a Jinja file, a mapping, or a text.

    The path of a file is relative to the Python file that creates the construct. A file whose name ends in ``.j2`` is rendered with
    `variables`. Local paths in the template, such as the code of a function, are uploaded as `deploy-template` does. Each output is an
    attribute: ``queue.QueueUrl``, or ``queue.output("QueueUrl")`` if the name is that of another attribute.
    """

    known_first: ClassVar[frozenset[str]] = frozenset({"name", "stack", "body"})
    free_text: ClassVar[frozenset[str]] = frozenset({"body"})

    source: str | Path | dict[str, Any] | None = Field(
        default=None, alias="template", description="Path of a YAML, JSON or .j2 file, or the template as a mapping."
    )
    body: str | None = Field(default=None, description="Text of the template, in place of `template`.")
    variables: dict[str, Any] = Field(default_factory=dict, description="Variables of a .j2 file.")
    values: Mapping[str, str | bool | int | float | list[str]] = Field(
        default_factory=dict, alias="parameters", description="Values of the template's parameters by name."
    )

    _folder: Path = PrivateAttr(default_factory=Path)

    def model_post_init(self, _context: Any, /) -> None:
        """Store the folder of the Python file that creates the construct."""
        frame = sys._getframe(1)  # noqa: SLF001 - the only way to the caller
        while frame.f_back is not None and str(frame.f_globals.get("__name__")).split(".")[0] in _OWN:
            frame = frame.f_back
        self._folder = folder_of(str(frame.f_globals.get("__file__") or ""))

    @model_validator(mode="after")
    def _has_one_template(self) -> Self:
        if (self.source is None) == (self.body is None):
            raise refusal("set either template, the path of a file or a mapping, or body, the text of a template")
        return self

    def __getattr__(self, name: str) -> str:
        """Return an output by its name."""
        if name.startswith("_"):
            return super().__getattr__(name)  # type: ignore[misc,no-any-return] # pydantic defines it for the interpreter only
        return self.output(name)

    @property
    def folder(self) -> Path:
        """The folder to which paths are relative: that of the Python file that created the construct."""
        return self._folder

    def in_folder(self, folder: Path) -> Self:
        """Return the stack with paths that are relative to `folder`."""
        copy = self.model_copy()
        copy._folder = folder  # noqa: SLF001 - of the same class
        return copy

    @property
    def tags(self) -> dict[str, str]:
        """The tags that identify the stack: without a scope the same as those of `deploy-template`."""
        if self.is_scoped:
            return super().tags
        return {f"{TAG_PREFIX}construct": "Template", f"{TAG_PREFIX}name": self.stack_name}

    def with_parameters(self, values: Mapping[str, str]) -> Self:
        """Return the stack with further values of parameters."""
        return self.model_copy(update={"values": {**self.values, **values}})

    @property
    def static_parameters(self) -> dict[str, str]:
        """The values of the parameters as CloudFormation receives them."""
        return {name: _text(value) for name, value in self.values.items()}


def _text(value: str | bool | float | list[str]) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(value) if isinstance(value, list) else str(value)
