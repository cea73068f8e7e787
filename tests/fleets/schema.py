"""Generate the JSON schema of a fleet's file from its model."""

from __future__ import annotations

import json
from typing import Any

from exasol_ci_setup.fleets.model import FleetFile


def generated() -> str:
    """Return the text of the schema file."""
    schema = FleetFile.model_json_schema()
    # Editors support draft 7.
    whole = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        **_without_noise(schema),
        "title": "Fleet of exasol-ci-setup",
    }
    return json.dumps(whole, indent=2) + "\n"


def _without_noise(schema: Any) -> Any:
    """Return the schema without titles that repeat names, empty defaults, and line breaks of docstrings."""
    if isinstance(schema, list):
        return [_without_noise(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "properties":
            kept[key] = {name: _without_noise(each) for name, each in value.items()}
        elif key == "description":
            kept[key] = " ".join(value.split())
        elif not (key == "title" and isinstance(value, str)) and not (key == "default" and _says_nothing(value)):
            kept[key] = _without_noise(value)
    if "patternProperties" in kept:
        # Other names are invalid.
        kept["additionalProperties"] = False
    return kept


def _says_nothing(default: Any) -> bool:
    values = default.values() if isinstance(default, dict) else default if isinstance(default, list) else [default]
    return all(value is None for value in values)
