"""Parameters for the outputs of other stacks that a rendered template uses: their values never become part of its text."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.constructs.placeholders import Placeholder, placeholders_in, refusal_of, require_unaltered, split
from exasol_ci_setup.template.intrinsics import as_mapping
from exasol_ci_setup.template.render import Template
from exasol_ci_setup.template.replacement import add_parameters, replace_values

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Where CloudFormation evaluates functions:
# https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html
_SECTIONS: Final = frozenset({"Resources", "Outputs", "Conditions", "Rules"})
_LITERAL_ATTRIBUTES: Final = frozenset(
    {"Type", "DependsOn", "DeletionPolicy", "UpdateReplacePolicy", "Condition", "Description"}
)
# Their arguments are names in the template.
_NAMING: Final = frozenset({"Ref", "Fn::GetAtt"})
_LONGEST_NAME: Final = 255
_WORD: Final = re.compile(r"[A-Za-z0-9]+")


@dataclass(frozen=True, slots=True)
class OutputTemplate:
    """A template with a parameter for each output of another stack that it uses, by the name of the parameter."""

    template: Template
    outputs: Mapping[str, Placeholder] = field(default_factory=dict)


def declare_outputs(template: Template, parsed: Mapping[str, Any], of: str) -> OutputTemplate:
    """Return the template with references to parameters in place of the outputs in its texts.

    A whole text becomes ``Ref``, a part of one ``Fn::Join``, and a part of the text of ``Fn::Sub`` a variable. `of` describes the
    construct for messages. Raises InputError for an output where CloudFormation evaluates no function, and in a key.
    """
    if not any(placeholders_in(template.body)):
        return OutputTemplate(template)
    names = _Names(parsed)
    values = {keys: _value(keys, text, names, of) for keys, text in _texts(parsed, (), of)}
    body = replace_values(template.body, values)
    declared = {
        name: {"Type": "String", "Description": f"The {each.what} of {each.construct.stack_name}"}
        for name, each in names.outputs.items()
    }
    return OutputTemplate(Template(template.name, add_parameters(body, declared)), names.outputs)


class _Names:
    """The names of the parameters: from the stack and the output, different from all other names in the template."""

    def __init__(self, parsed: Mapping[str, Any]) -> None:
        self.outputs: dict[str, Placeholder] = {}
        self._taken = {str(name) for section in parsed.values() for name in as_mapping(section)}
        self._numbers: Counter[str] = Counter()

    def of(self, found: Placeholder) -> str:
        for name, each in self.outputs.items():
            # Pydantic compares the fields, and outputs refuse comparisons.
            if each.construct is found.construct and each.output == found.output:
                return name
        words = "".join(word[:1].upper() + word[1:] for word in _WORD.findall(found.construct.stack_name))
        base = f"{words}{''.join(_WORD.findall(found.output))}"[: _LONGEST_NAME - 5]
        name = base
        while name in self._taken:
            self._numbers[base] += 1
            name = f"{base}{self._numbers[base] + 1}"
        self._taken.add(name)
        self.outputs[name] = found
        return name


def _texts(value: Any, keys: tuple[str | int, ...], of: str) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield each text with an output and its place in the parsed template."""
    if isinstance(value, str):
        if any(placeholders_in(value)):
            yield keys, value
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*keys, index), of)
    elif isinstance(value, dict):
        for key, item in value.items():
            found = next(placeholders_in(key), None)
            if found is not None:
                raise refusal_of(found, f"a key below {_place(keys)}", of)
            yield from _texts(item, (*keys, key), of)


def _value(keys: tuple[str | int, ...], text: str, names: _Names, of: str) -> Any:
    place = _place(keys)
    require_unaltered(text, place, of)
    parts = split(text)
    outputs = [part for part in parts if isinstance(part, Placeholder)]
    refused = next((each for each in outputs if not each.output), None)
    if refused is not None:
        raise refusal_of(refused, place, of)
    if not _is_evaluated(keys):
        raise refusal_of(outputs[0], place, of)
    if "Fn::Sub" in (keys[-1], *keys[-2:-1]) and keys[-1] in {"Fn::Sub", 0}:
        return "".join(part if isinstance(part, str) else f"${{{names.of(part)}}}" for part in parts)
    values = [part if isinstance(part, str) else {"Ref": names.of(part)} for part in parts]
    return values[0] if len(values) == 1 else {"Fn::Join": ["", values]}


def _is_evaluated(keys: tuple[str | int, ...]) -> bool:
    """Return whether CloudFormation evaluates functions at this place."""
    section, _name, *rest = (*keys, "", "")
    if section not in _SECTIONS or (section in {"Resources", "Outputs"} and rest[0] in _LITERAL_ATTRIBUTES):
        return False
    is_condition = section in {"Conditions", "Rules"} and keys[-1] == "Condition"
    return not is_condition and not _NAMING & set(keys[-2:])


def _place(keys: tuple[str | int, ...]) -> str:
    return ".".join(map(str, keys)) or "the template"
