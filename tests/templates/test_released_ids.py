"""Logical IDs of released versions, of resources that are unique on AWS or that contain data."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from exasol_ci_setup.stacks.unique import IDENTITY
from exasol_ci_setup.template.render import parse
from tests.conftest import GOLDEN

RELEASED = yaml.safe_load((Path(__file__).parent / "released_ids.yaml").read_text(encoding="utf-8"))
_HOLDS_DATA = "AWS::S3::Bucket"


def unique_ids(name: str) -> dict[str, str]:
    """Return the types of the resources in a golden file that a new logical ID would break, by logical ID."""
    resources = parse((GOLDEN / name).read_text(encoding="utf-8"))["Resources"]
    return {
        logical_id: resource["Type"]
        for logical_id, resource in resources.items()
        if resource["Type"] == _HOLDS_DATA
        or all(each in resource.get("Properties", {}) for each in IDENTITY.get(resource["Type"], ("none",)))
    }


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.glob("*.yaml")))
def test_released_logical_ids_are_kept(name):
    assert unique_ids(name) == RELEASED.get(name, {}), "see the first lines of released_ids.yaml"


def test_released_ids_are_of_existing_templates():
    assert {name for name in RELEASED if not (GOLDEN / name).is_file()} == set()
