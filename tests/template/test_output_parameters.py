"""Outputs in templates: each becomes a parameter, and no text around it changes the rest of the template."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.constructs import Asset, Cluster, Container, Registry, Scope, SecurityGroup, Service, Stack
from exasol_ci_setup.constructs.placeholders import placeholder
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.programs.templates import template_of
from exasol_ci_setup.template import intrinsics
from exasol_ci_setup.template.output_parameters import declare_outputs
from exasol_ci_setup.template.render import Template, parse

SCOPE = Scope(name="team", region="eu-central-1")
DATA = Asset(scope=SCOPE, name="data")
BUCKET = placeholder(DATA, "BucketName")
GROUP = placeholder(SecurityGroup(scope=SCOPE, name="group"), "GroupId")
# Without what a field rejects in any text.
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp", "Cs"])).filter(
    lambda text: "{{resolve:" not in text and not any(each in text for each in "\ufffe\uffff")
)


def cluster(value: str) -> Cluster:
    service = Service(name="w", container=Container(source="nginx", tag="1"), env_vars={"A": value})
    return Cluster(scope=SCOPE, name="cluster", services=(service,))


def declared(body: str):
    return declare_outputs(Template("t.yaml", body), parse(body), "Stack 'team-x'")


@given(TEXT, TEXT, TEXT)
def test_text_around_output_changes_only_its_value(before, middle, after):
    plain = template_of(cluster("plain"))
    text = f"{before}{BUCKET}{middle}{GROUP}{after}"

    found = template_of(cluster(text))

    parsed = parse(found.template.body)
    variable = parsed["Resources"]["WTaskDefinition"]["Properties"]["ContainerDefinitions"][0]["Environment"][0]
    values = {"TeamDataBucketName": "v-1", "TeamGroupGroupId": "v,2"}
    assert set(found.outputs) == set(values)
    resolved = intrinsics.resolve({"Parameters": parsed["Parameters"], "Resources": {"X": variable}}, values)
    assert resolved["Resources"]["X"]["Value"] == text.replace(BUCKET, "v-1").replace(GROUP, "v,2")
    variable["Value"] = "plain"
    for name in values:
        assert parsed["Parameters"].pop(name)["Type"] == "String"
    assert parsed == parse(plain.template.body)


@given(TEXT, TEXT)
def test_text_around_output_in_mapping_changes_only_its_value(before, after):
    text = f"{before}{BUCKET}{after}"
    topic = {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": text, "Tags": [{"Key": "a", "Value": text}]}}

    found = template_of(Stack(scope=SCOPE, name="own", template={"Resources": {"Topic": topic}}))

    parsed = parse(found.template.body)
    resolved = intrinsics.resolve(parsed, {"TeamDataBucketName": "v-1"})["Resources"]
    expected = text.replace(BUCKET, "v-1")
    assert resolved == {
        "Topic": {
            "Type": "AWS::SNS::Topic",
            "Properties": {"DisplayName": expected, "Tags": [{"Key": "a", "Value": expected}]},
        }
    }
    assert list(parsed) == ["Resources", "Parameters"]


def test_layout_and_comments_remain():
    body = (
        "# About\nParameters:\n    # The size\n    Size:\n        Type: String\nResources:\n"
        f"  Queue:  # a queue\n    Type: AWS::SQS::Queue\n    Properties:\n      QueueName: x-{BUCKET}\n"
    )

    found = declared(body)

    assert found.template.body == (
        "# About\nParameters:\n"
        '    TeamDataBucketName: {"Type": "String", "Description": "The output BucketName of team-data"}\n'
        "    # The size\n    Size:\n        Type: String\nResources:\n"
        "  Queue:  # a queue\n    Type: AWS::SQS::Queue\n    Properties:\n"
        '      QueueName: {"Fn::Join": ["", ["x-", {"Ref": "TeamDataBucketName"}]]}\n'
    )


@pytest.mark.parametrize("write", [lambda body: json.dumps(parse(body)), str])
def test_outputs_in_functions_become_variables_of_them(write):
    body = write(f"""\
Resources:
  TeamDataBucketName:
    Type: AWS::SNS::Topic
    Properties:
      Value: !Sub "${{AWS::Region}}/{BUCKET}"
      Inner: !Sub ["${{X}}-{BUCKET}", {{X: {BUCKET}}}]
      Base64: !Base64 {BUCKET}
Outputs:
  Name:
    Value: {BUCKET}
""")

    found = declared(body)

    parsed = parse(found.template.body)
    # The resource has the name that the parameter would have.
    ref = {"Ref": "TeamDataBucketName2"}
    assert list(parsed["Parameters"]) == ["TeamDataBucketName2"]
    assert parsed["Resources"]["TeamDataBucketName"]["Properties"] == {
        "Value": {"Fn::Sub": "${AWS::Region}/${TeamDataBucketName2}"},
        "Inner": {"Fn::Sub": ["${X}-${TeamDataBucketName2}", {"X": ref}]},
        "Base64": {"Fn::Base64": ref},
    }
    assert parsed["Outputs"]["Name"]["Value"] == ref


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ("Description: x OUT\nResources: {A: {Type: B}}\n", "Description of Stack 'team-x' uses"),
        ("Resources:\n  A: {Type: OUT}\n", "Resources.A.Type of"),
        ("Resources:\n  A: {Type: B, DependsOn: [OUT]}\n", "Resources.A.DependsOn.0 of"),
        ("Resources:\n  A: {Type: B, Properties: {C: !Ref OUT}}\n", "Resources.A.Properties.C.Ref of"),
        ("Resources:\n  A: {Type: B, Properties: {C: !GetAtt [OUT, D]}}\n", "Fn::GetAtt.0 of"),
        ("Resources:\n  AOUT: {Type: B}\n", "a key below Resources of"),
        ("Parameters: {P: {Type: String, Default: OUT}}\nResources: {A: {Type: B}}\n", "P.Default of"),
        ("Resources:\n  A: {Type: B, Properties: {C: UPPER}}\n", "changes the letters of"),
    ],
)
def test_output_that_cloudformation_does_not_evaluate_is_rejected(body, place):
    with pytest.raises(InputError) as refused:
        declared(body.replace("OUT", BUCKET).replace("UPPER", BUCKET.upper()))

    assert place in refused.value.message
    assert "the output BucketName of Asset 'data'" in refused.value.message


def test_image_of_registry_output_may_be_pulled():
    registry = Registry(scope=SCOPE, name="images")
    container = Container(source=placeholder(registry, "RepositoryUri"), tag="1")
    found = template_of(Cluster(scope=SCOPE, name="c", services=(Service(name="w", container=container),)))

    role = parse(found.template.body)["Resources"]["WExecutionRole"]["Properties"]
    statements = {each["Sid"]: each for each in role["Policies"][0]["PolicyDocument"]["Statement"]}
    assert statements["PullImage"]["Resource"] == {"Ref": "TeamImagesRepositoryArn"}
    assert {each.output for each in found.outputs.values()} == {"RepositoryUri", "RepositoryArn"}
