"""Marks of imported resources in templates."""

from __future__ import annotations

from pathlib import Path

import pytest

from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.stacks import imports
from exasol_ci_setup.template.render import Template, parse

GOLDEN = sorted((Path(__file__).parents[1] / "golden").rglob("*.yaml"))
SHIPPED = [file for file in GOLDEN if "\nResources:" in file.read_text(encoding="utf-8")]


def template(body: str) -> Template:
    return Template("t.yaml", body)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_any_resource_can_be_marked_without_other_change(file):
    body = file.read_text(encoding="utf-8")
    before = parse(body)

    marked = imports.mark_imported(template(body), before["Resources"].keys())

    after = parse(marked.body)
    assert imports.imported_resources(after) == before["Resources"].keys()
    for name, resource in after["Resources"].items():
        assert resource["DeletionPolicy"] == "Retain"
        assert resource["UpdateReplacePolicy"] == "Retain"
        more = {
            "Metadata": {"exasol-ci-setup": "imported"},
            "DeletionPolicy": "Retain",
            "UpdateReplacePolicy": "Retain",
        }
        assert resource == {**before["Resources"][name], **more}
    assert {**after, "Resources": None} == {**before, "Resources": None}
    kept = [line for line in marked.body.splitlines() if line in body.splitlines()]
    assert [line for line in body.splitlines() if line in kept] == body.splitlines()


def test_marks_are_copied_to_next_template():
    body = "Resources:\n  A:\n    Type: AWS::SNS::Topic\n  B:\n    Type: AWS::SNS::Topic\n"
    before = parse(imports.mark_imported(template(body), {"A"}).body)

    after = imports.keep_import_marks(template(body + "  C:\n    Type: AWS::SNS::Topic\n"), before)

    assert imports.imported_resources(parse(after.body)) == {"A"}
    assert imports.keep_import_marks(after, before) == after


def test_same_name_with_other_type_is_other_resource():
    body = "Resources:\n  A:\n    Type: AWS::SNS::Topic\n"
    before = parse(imports.mark_imported(template(body), {"A"}).body)
    new = template("Resources:\n  A:\n    Type: AWS::SQS::Queue\n")

    assert imports.keep_import_marks(new, before) == new
    assert (
        imports.keep_import_marks(template("Resources:\n  B:\n    Type: AWS::SQS::Queue\n"), before).body.count(
            "Metadata"
        )
        == 0
    )


def test_name_in_other_section_is_no_resource():
    body = "Parameters:\n  A:\n    Type: String\nResources:\n  A1:\n    Type: AWS::SNS::Topic\nOutputs:\n  A1:\n    Value: x\n"

    marked = parse(imports.mark_imported(template(body), {"A1"}).body)

    assert marked["Parameters"] == {"A": {"Type": "String"}}
    assert marked["Outputs"] == {"A1": {"Value": "x"}}


@pytest.mark.parametrize(
    "body",
    [
        '{"Resources": {"A": {"Type": "AWS::SNS::Topic"}}}',
        'Resources: {A: {Type: "AWS::SNS::Topic"}}\n',
        "Resources:\n  A:\n    Type: AWS::SNS::Topic\n    Metadata:\n      own: 1\n",
        "Resources:\n    A:\n      Type: AWS::SNS::Topic\n",
        "Resources:\n  A: &a\n    Type: AWS::SNS::Topic\n  B: *a\n",
    ],
)
def test_resource_in_other_layout_is_marked_without_other_change(body):
    marked = parse(imports.mark_imported(template(body), {"A"}).body)

    before = parse(body)
    resource = marked["Resources"]["A"]
    assert imports.imported_resources(marked) == {"A"}
    assert resource["Metadata"] == {**before["Resources"]["A"].get("Metadata", {}), "exasol-ci-setup": "imported"}
    assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("Retain", "Retain")
    assert {**marked["Resources"], "A": None} == {**before["Resources"], "A": None}


@pytest.mark.parametrize(
    "body",
    [
        "Resources:\n  A:\n    Type: AWS::SNS::Topic\n    DeletionPolicy: Delete\n",
        "Resources:\n  A:\n    Type: AWS::SNS::Topic\n    DeletionPolicy: Retain\n    UpdateReplacePolicy: Delete\n",
    ],
)
def test_template_that_cannot_be_marked_is_rejected(body):
    with pytest.raises(InputError, match="cannot be marked as imported"):
        imports.mark_imported(template(body), {"A"})


def test_retained_resource_is_retained_when_replaced():
    body = "Resources:\n  A:\n    Type: AWS::SNS::Topic\n    DeletionPolicy: RetainExceptOnCreate\n"

    resource = parse(imports.mark_imported(template(body), {"A"}).body)["Resources"]["A"]

    assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")


@pytest.mark.parametrize(
    "before",
    [
        {"Resources": {"Fn::ForEach::Topics": ["Name", ["a", "b"], {"T${Name}": {"Type": "AWS::SNS::Topic"}}]}},
        {"Resources": {"A": {"Type": "AWS::SNS::Topic", "Metadata": "text"}}},
        {"Resources": {"A": None}},
        {"Resources": None},
    ],
)
def test_templates_of_others_of_any_shape_have_no_marks(before):
    new = template("Resources:\n  A:\n    Type: AWS::SNS::Topic\n")

    assert imports.keep_import_marks(new, before) == new
