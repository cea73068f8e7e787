"""The JSON schema of the file of a fleet agrees with the model."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from exasol_ci_setup.cli.commands.fleet import SCHEMA
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.fleets import load
from tests.fleets.schema import generated

PAGE = Path(__file__).parents[2] / "docs" / "fleet.md"
SHIPPED = json.loads(SCHEMA.read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft7Validator(SHIPPED)
START = "targets:\n  main:\n    region: eu-central-1\n"
PROJECT = "projects:\n  Slc:\n    project_url: https://github.com/exasol/slc\n    ci:\n"


def examples() -> list[str]:
    return re.findall(
        r"^```yaml[^\n]*\n(targets:.*?|#.*?\ntargets:.*?)^```$",
        PAGE.read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )


def test_shipped_schema_equals_that_of_model(request):
    text = generated()
    if request.config.getoption("--update-golden"):
        SCHEMA.write_text(text, encoding="utf-8")

    assert SCHEMA.read_text(encoding="utf-8") == text
    jsonschema.Draft7Validator.check_schema(SHIPPED)


def test_fleet_of_comparison_matches_schema_and_model(tmp_path):
    page = PAGE.with_name("comparison.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"^```yaml\n(name:.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "templates").mkdir()
    for name in ("network.yaml", "app.yaml.j2", "alerts.yaml"):
        (tmp_path / "templates" / name).write_text("Resources: {}\n", encoding="utf-8")
    path = tmp_path / "shop.yaml"
    path.write_text(text, encoding="utf-8")

    assert list(load(path).members) == ["main/network", "main/app", "west/alerts"]


def test_short_compute_type_matches_schema_and_model(tmp_path):
    path = tmp_path / "fleet.yaml"
    text = START + PROJECT + "      compute_type: large\n"
    path.write_text(text, encoding="utf-8")

    VALIDATOR.validate(yaml.safe_load(text))
    [member] = load(path).members.values()
    assert member.construct.model_dump()["compute_type"] == "BUILD_GENERAL1_LARGE"


def test_every_key_has_description():
    for kind in SHIPPED["$defs"].values():
        assert [name for name, each in kind["properties"].items() if not each.get("description")] == []


def test_documented_examples_match_schema_and_model(tmp_path):
    assert examples()
    for text in examples():
        path = tmp_path / "fleet.yaml"
        path.write_text(text, encoding="utf-8")
        VALIDATOR.validate(yaml.safe_load(text))
        load(path)


@pytest.mark.parametrize(
    "text",
    [
        START,
        PROJECT,
        START + "    tint: red\n" + PROJECT,
        START + "    allowed_accounts: [123456789012]\n" + PROJECT,
        START + PROJECT + "      image: a b\n",
        START + PROJECT + "      batch_limit: 0\n",
        START + PROJECT + "      log_retention_in_days: 2\n",
        START + PROJECT + "      cache: yes\n",
        START + PROJECT + "    needs: x\n",
        START + "    stack_set: {organizational_units: [r-ab12], regions: [us-east-1], max_concurrent: 1, "
        "max_concurrent_percentage: 2}\n" + PROJECT,
        START + PROJECT.replace("Slc", "S l c"),
        START + PROJECT.replace("    ci:\n", ""),
        START + PROJECT.replace("https://github.com/exasol/slc", "https://github.com/exasol/.."),
        START + "defaults:\n  ci:\n    bucket_name: one-for-all\n" + PROJECT,
    ],
)
def test_file_rejected_by_model_is_rejected_by_schema(tmp_path, text):
    path = tmp_path / "fleet.yaml"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(InputError):
        load(path)
    assert list(VALIDATOR.iter_errors(yaml.safe_load(text)))
    VALIDATOR.validate(yaml.safe_load(START + PROJECT))


def test_command_prints_schema_without_file(program):
    ran = program("deploy-fleet", "--schema")

    assert ran.code == 0
    assert json.loads(ran.stdout) == SHIPPED
