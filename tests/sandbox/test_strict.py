"""Tests of rejected templates and parameters, without a server."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.sandbox.strict import parameter_problem, path_style, template_problem

BUCKET = {"Type": "AWS::S3::Bucket"}
INVALID_VARIABLE = (
    "Template error: variable names in Fn::Sub syntax must contain only alphanumeric characters, underscores, periods, "
    "and colons"
)


def with_property(value: object) -> dict[str, object]:
    return {"Resources": {"B": {**BUCKET, "Properties": {"BucketName": value}}}}


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (
            with_property({"Ref": "Gone"}),
            "Template format error: Unresolved resource dependencies [Gone] in the Resources block of the template",
        ),
        (
            with_property({"Fn::Sub": "a-${Gone}-${AWS::Region}-${!Literal}"}),
            "Template format error: Unresolved resource dependencies [Gone] in the Resources block of the template",
        ),
        (
            with_property({"Fn::Join": ["", [{"Fn::Sub": ["${A}-${Gone.Arn}", {"A": {"Ref": "Lost"}}]}]]}),
            "Template format error: Unresolved resource dependencies [Gone, Lost] in the Resources block of the template",
        ),
        (
            with_property({"Fn::GetAtt": ["Gone", "Arn"]}),
            "Template error: instance of Fn::GetAtt references undefined resource Gone",
        ),
        (
            with_property({"Fn::GetAtt": "Gone.Arn"}),
            "Template error: instance of Fn::GetAtt references undefined resource Gone",
        ),
        (
            with_property({"Fn::Sub": "${B C}"}),
            INVALID_VARIABLE,
        ),
        (
            with_property({"DependsOn": {"Ref": "Gone"}}),
            "Template format error: Unresolved resource dependencies [Gone] in the Resources block of the template",
        ),
        (
            {"Resources": {"B": {**BUCKET, "DependsOn": ["Gone"]}}},
            "Template format error: Unresolved resource dependencies [Gone] in the Resources block of the template",
        ),
        (
            {"Resources": {"B": BUCKET}, "Outputs": {"O": {"Value": {"Ref": "Gone"}}}},
            "Template format error: Unresolved resource dependencies [Gone] in the Outputs block of the template",
        ),
        (
            {"Resources": {"B": {**BUCKET, "Condition": "Gone"}}},
            "Template format error: Unresolved condition dependency Gone in the Resources block of the template",
        ),
        (
            {"Resources": {"A": {**BUCKET, "DependsOn": "B"}, "B": {**BUCKET, "DependsOn": "A"}, "C": BUCKET}},
            "Circular dependency between resources: [A, B]",
        ),
    ],
)
def test_undefined_name_is_rejected_with_message_of_aws(template: dict[str, object], message: str) -> None:
    assert template_problem(template) == message


def test_valid_template_has_no_problem() -> None:
    template = {
        "Parameters": {"Name": {"Type": "String"}},
        "Conditions": {"Always": {"Fn::Equals": ["a", "a"]}},
        "Resources": {
            "A": {
                **BUCKET,
                "Condition": "Always",
                "Properties": {"BucketName": {"Fn::Sub": "${Name}-${AWS::AccountId}"}},
            },
            "B": {**BUCKET, "DependsOn": "A", "Properties": {"Tags": [{"Key": "k", "Value": {"Fn::GetAtt": "A.Arn"}}]}},
        },
        "Outputs": {"O": {"Value": {"Fn::Sub": ["${Value}${B.Arn}", {"Value": {"Ref": "AWS::Region"}}]}}},
    }
    assert template_problem(template) == ""


@given(st.text(min_size=1))
def test_any_undefined_name_is_rejected(name: str) -> None:
    template = with_property({"Ref": f"Undefined{name}"})
    assert f"[Undefined{name}]" in template_problem(template)


def test_template_with_macro_is_not_checked() -> None:
    assert template_problem({"Transform": "AWS::LanguageExtensions", **with_property({"Ref": "Gone"})}) == ""


def test_unknown_parameter_is_rejected() -> None:
    given_parameters = [{"Key": "Known"}, {"Key": "Unknown"}]
    template = {"Parameters": {"Known": {"Type": "String"}}}
    assert parameter_problem(template, given_parameters, {}) == "Parameters: [Unknown] do not exist in the template"


@pytest.mark.parametrize(
    ("given_parameters", "previous", "message"),
    [
        ([], {}, "Parameters: [P] must have values"),
        ([{"Key": "P", "UsePreviousValue": True}], {}, "Parameters: [P] must have values"),
        ([{"Key": "P", "UsePreviousValue": True}], {"P": "v"}, ""),
        ([{"Key": "P", "UsePreviousValue": False}], {}, ""),
    ],
)
def test_parameter_without_default_needs_value(
    given_parameters: list[dict[str, object]], previous: dict[str, object], message: str
) -> None:
    template = {"Parameters": {"P": {"Type": "String"}, "Q": {"Type": "String", "Default": ""}}}
    assert parameter_problem(template, given_parameters, previous) == message


@pytest.mark.parametrize(
    "url",
    [
        "https://bucket-1.s3.amazonaws.com/dir/template.yaml",
        "https://bucket-1.s3.eu-central-1.amazonaws.com/dir/template.yaml",
        "https://bucket-1.s3-eu-west-1.amazonaws.com/dir/template.yaml",
    ],
)
def test_virtual_hosted_url_becomes_path_style(url: str) -> None:
    assert path_style(url) == "https://s3.amazonaws.com/bucket-1/dir/template.yaml"


@pytest.mark.parametrize(
    "url", ["https://s3.eu-central-1.amazonaws.com/bucket/t.yaml", "http://127.0.0.1:4566/bucket/t.yaml", "nonsense"]
)
def test_other_url_is_unchanged(url: str) -> None:
    assert path_style(url) == url
