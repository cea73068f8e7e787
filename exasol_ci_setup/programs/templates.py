"""The template of a declared construct, in which the outputs of other constructs are parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from exasol_ci_setup.constructs.placeholders import only_placeholders, placeholder, placeholders_in, refusal_of
from exasol_ci_setup.template.output_parameters import declare_outputs
from exasol_ci_setup.template.source import ConstructSource, load_template

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from exasol_ci_setup.constructs.base import Construct
    from exasol_ci_setup.constructs.placeholders import Placeholder
    from exasol_ci_setup.template.render import Template


@dataclass(frozen=True, slots=True)
class DeclaredTemplate:
    """The template of a construct, parsed, with the output behind each parameter for one, and the folder of its local paths."""

    template: Template
    parsed: Mapping[str, Any]
    outputs: Mapping[str, Placeholder]
    folder: Path | None = None


def template_of(construct: Construct) -> DeclaredTemplate:
    """Render the template of a construct. The outputs that it uses become parameters, also if their values are known.

    Raises InputError for an invalid value, and for an output where CloudFormation evaluates no function.
    """
    with only_placeholders():
        loaded = load_template(ConstructSource(construct))
    found = declare_outputs(loaded.template, loaded.parsed, described(construct))
    return DeclaredTemplate(found.template, loaded.parsed, found.outputs, loaded.folder)


def placeholders(construct: Construct) -> dict[str, str]:
    """Return a placeholder for each output of the construct's future stack. Raises as `template_of`."""
    return {name: placeholder(construct, name) for name in template_of(construct).parsed.get("Outputs") or {}}


def require_values(construct: Construct, parameters: Mapping[str, str]) -> None:
    """Raise InputError if a parameter of `construct` still contains a placeholder."""
    for name, value in parameters.items():
        found = next(placeholders_in(value), None)
        if found is not None:
            raise refusal_of(found, f"parameter {name}", described(construct))


def require_known(construct: Construct, texts: Mapping[str, str]) -> None:
    """Raise InputError if a parameter or tag of `construct` has the result of an action in its text."""
    require_values(
        construct,
        {name: text for name, text in texts.items() if any(not each.output for each in placeholders_in(text))},
    )


def described(construct: Construct) -> str:
    """Return the kind of the construct and the name of its stack, for messages."""
    return f"{type(construct).__name__} {construct.stack_name!r}"


class AnyOutput(dict[str, str]):
    """A placeholder for any requested output of a construct, without reading its template.

    A template may need a file that is no longer available, such as a key.
    """

    def __init__(self, construct: Construct) -> None:
        super().__init__()
        self._construct = construct

    def __missing__(self, name: str) -> str:
        return placeholder(self._construct, name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str)
