"""Read parameter files: a mapping in YAML or JSON, the list of the AWS CLI, or a template configuration of CodePipeline."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.template.input_files import StackOutput, label, parse_as_written, parse_data, read_text
from exasol_ci_setup.template.parameters import GivenParameter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/continuous-delivery-codepipeline-cfn-artifacts.html
_CODEPIPELINE: Final = frozenset({"Parameters", "Tags", "StackPolicy"})
# https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_Parameter.html
_AWS_CLI: Final = frozenset({"ParameterKey", "ParameterValue", "UsePreviousValue", "ResolvedValue"})


@dataclass(frozen=True, slots=True)
class ParameterFile:
    """The content of a parameter file. `stack_policy` is a JSON document, empty if the file has none."""

    parameters: Mapping[str, GivenParameter] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    stack_policy: str = ""


def read(file: str | Path) -> ParameterFile:
    """Read the parameter file `file`, or standard input for ``-``.

    Values are used as they are written, such as ``1.10`` and ``yes``; lists are joined with commas. Raises InputError with the file, and with
    the line or all invalid names. The message does not contain values.
    """
    return parse(label(file), read_text(file))


def parse(name: str, text: str) -> ParameterFile:
    """Do the same as `read` for the `text` of a file with this name."""
    data = parse_as_written(name, text)
    if data is None:
        return ParameterFile()
    if isinstance(data, list):
        return ParameterFile(_of_list(name, data))
    if not isinstance(data, dict):
        raise InputError(f"{name} has no parameters: it is neither a mapping nor a list")
    if data.keys() <= _CODEPIPELINE and any(isinstance(value, dict) for value in data.values()):
        return _of_codepipeline(name, text, data)
    return ParameterFile(_of_mapping(name, data))


def _of_mapping(name: str, data: Mapping[str, Any]) -> dict[str, GivenParameter]:
    problems = [f"{key}: {rule}" for key, value in data.items() if (rule := _problem(value))]
    if problems:
        raise InputError("\n  ".join([f"{name} has invalid values:", *problems]))
    return {
        key: GivenParameter(",".join(value) if isinstance(value, list) else value, name) for key, value in data.items()
    }


def _problem(value: Any) -> str:
    """Return why this is no value of a parameter, or empty text."""
    if isinstance(value, str | StackOutput):
        return ""
    if value is None:
        return "it has no value; write '' for empty text"
    if not isinstance(value, list):
        return "use text or a list of texts"
    if not all(isinstance(item, str) for item in value):
        return "a list may contain text only"
    if any("," in item for item in value):
        return "a text in a list must not contain a comma, because CloudFormation splits the value there"
    return ""


def _of_list(name: str, data: list[Any]) -> dict[str, GivenParameter]:
    pairs: dict[str, Any] = {}
    kept: list[str] = []
    key: str
    value: Any
    for number, item in enumerate(data, start=1):
        if isinstance(item, str) and "=" in item:
            key, _, value = item.partition("=")
        elif isinstance(item, dict) and isinstance(item.get("ParameterKey"), str) and item.keys() <= _AWS_CLI:
            key = item["ParameterKey"]
            value = item.get("ParameterValue")
            if str(item.get("UsePreviousValue", "")).lower() == "true":
                kept.append(key)
                value = ""
        else:
            raise InputError(f"{name}: entry {number} is not valid: use ParameterKey and ParameterValue")
        if key in pairs:
            raise InputError(f"{name}: entry {number} is not valid: {key!a} appears twice")
        pairs[key] = value
    found = _of_mapping(name, pairs)
    return {**found, **{key: GivenParameter(None, name) for key in kept}}


def _of_codepipeline(name: str, text: str, data: Mapping[str, Any]) -> ParameterFile:
    given = data.get("Parameters") or {}
    if not isinstance(given, dict):
        raise InputError(f"{name}: Parameters is not valid: use values by name")
    parameters = _of_mapping(name, given)
    tags = data.get("Tags") or {}
    if not isinstance(tags, dict) or not all(isinstance(value, str) for value in tags.values()):
        raise InputError(f"{name}: Tags is not valid: use texts by name")
    policy = data.get("StackPolicy")
    if policy is not None and not isinstance(policy, dict):
        raise InputError(f"{name}: StackPolicy is not valid: use a policy document")
    # Read again with its types: a policy may contain true and numbers.
    document = json.dumps(parse_data(name, text)["StackPolicy"]) if policy is not None else ""
    return ParameterFile(parameters, tags, document)
