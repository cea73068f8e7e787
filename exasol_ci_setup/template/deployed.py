"""Read the templates of deployed stacks, which may contain what CloudFormation accepts and `render.parse` rejects."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from exasol_ci_setup.core.errors import TemplateRejectedError
from exasol_ci_setup.template.yaml import UnreadableYamlError, load_lenient


@dataclass(frozen=True, slots=True)
class DeployedTemplate:
    """The parsed template of a stack in the form of `render.parse`; `notes` say what is unusual in its text."""

    template: dict[str, Any]
    notes: tuple[str, ...] = ()


def read(body: str) -> DeployedTemplate:
    """Read the text of a deployed template.

    Of duplicate keys the last one counts, as in CloudFormation. Unknown tags are ignored, and control characters in texts are kept. Raises
    TemplateRejectedError for text that is neither JSON nor YAML, and for a template that is not a mapping.
    """
    found = _read_json(body)
    if found is None:
        try:
            value, notes = load_lenient(body)
        except UnreadableYamlError as error:
            raise TemplateRejectedError(f"the deployed template cannot be read{error}") from error
        found = value, notes
    value, notes = found
    if not isinstance(value, dict):
        raise TemplateRejectedError("the deployed template cannot be read: it is not a mapping with Resources")
    return DeployedTemplate(value, tuple(dict.fromkeys(notes)))


def _read_json(body: str) -> tuple[Any, list[str]] | None:
    notes: list[str] = []

    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, value in pairs:
            if key in result:
                notes.append(f"duplicate key {key!r}")
            result[key] = value
        return result

    if not body.lstrip().startswith("{"):
        return None
    try:
        return json.loads(body, object_pairs_hook=mapping, strict=False), notes
    except (ValueError, RecursionError):
        return None
