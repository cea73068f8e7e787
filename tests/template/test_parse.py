"""Templates are parsed as by CloudFormation."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.core.errors import TemplateRejectedError
from exasol_ci_setup.template.render import capabilities, capability_reasons, parse, transforms


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("!Ref a", {"Ref": "a"}),
        ("!Condition a", {"Condition": "a"}),
        ("!GetAtt a.b", {"Fn::GetAtt": ["a", "b"]}),
        ("!GetAtt a.Outputs.b", {"Fn::GetAtt": ["a", "Outputs.b"]}),
        ("!GetAtt [a, b]", {"Fn::GetAtt": ["a", "b"]}),
        ("!Sub '${a}'", {"Fn::Sub": "${a}"}),
        ("!Sub ['${a}', {a: !Ref b}]", {"Fn::Sub": ["${a}", {"a": {"Ref": "b"}}]}),
        ("!Join ['', [a, !GetAtt b.c]]", {"Fn::Join": ["", ["a", {"Fn::GetAtt": ["b", "c"]}]]}),
        ("!Select [0, !GetAZs '']", {"Fn::Select": [0, {"Fn::GetAZs": ""}]}),
        ("!Split [',', a]", {"Fn::Split": [",", "a"]}),
        ("!If [a, b, !Ref AWS::NoValue]", {"Fn::If": ["a", "b", {"Ref": "AWS::NoValue"}]}),
        ("!And [!Condition a, !Equals [b, c]]", {"Fn::And": [{"Condition": "a"}, {"Fn::Equals": ["b", "c"]}]}),
        ("!Or [!Not [a], b]", {"Fn::Or": [{"Fn::Not": ["a"]}, "b"]}),
        ("!FindInMap [a, !Ref b, c]", {"Fn::FindInMap": ["a", {"Ref": "b"}, "c"]}),
        ("!ImportValue a", {"Fn::ImportValue": "a"}),
        ("!Base64 a", {"Fn::Base64": "a"}),
        ("!Cidr [a, 6, 5]", {"Fn::Cidr": ["a", 6, 5]}),
        ("!Length [a]", {"Fn::Length": ["a"]}),
        ("!ToJsonString {a: 1}", {"Fn::ToJsonString": {"a": 1}}),
        ("!Transform {Name: AWS::Include}", {"Fn::Transform": {"Name": "AWS::Include"}}),
    ],
)
def test_short_tag_equals_long_form(short: str, long: object):
    assert parse(f"key: {short}") == {"key": long}


def test_date_stays_text():
    assert parse("Version: 2012-10-17") == {"Version": "2012-10-17"}


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text())))
def test_json_template_is_parsed(data):
    assert parse(json.dumps(data)) == data
    assert parse(json.dumps(data, ensure_ascii=False, indent=2)) == data


def test_yaml_in_braces_is_parsed():
    assert parse("{a: !Ref b}") == {"a": {"Ref": "b"}}


@pytest.mark.parametrize(
    "body",
    [
        "a: 1\nb: 2\na: 3\n",
        '{"a": 1,\n"a": 1}',
        "Resources:\n  a: {b: 1,\n  b: 2}",
        "x:\n  k: !Transform {a: 1,\n a: 2}",
    ],
)
def test_duplicate_key_is_rejected_with_line(body: str):
    with pytest.raises(TemplateRejectedError, match=r"in line [23]: duplicate key '[ab]'"):
        parse(body)


def test_invalid_yaml_is_rejected_with_line():
    with pytest.raises(TemplateRejectedError, match="the template cannot be read in line 2: "):
        parse("a: 1\nb: ]\n")


@pytest.mark.parametrize("body", ["", "- a", "text", "a: 1\n---\nb: 2", "? [a]\n: b", "a: \x00", "a: &x [*x]"])
def test_text_without_template_is_rejected(body: str):
    with pytest.raises(TemplateRejectedError, match="the template cannot be read"):
        parse(body)


@given(st.text())
def test_any_text_is_read_or_refused(body: str):
    with contextlib.suppress(TemplateRejectedError):
        assert isinstance(parse(body), dict)


def template(**resources: object) -> dict[str, object]:
    return {"Resources": resources}


ROLE = {"Type": "AWS::IAM::Role"}


@pytest.mark.parametrize(
    ("parsed", "expected"),
    [
        ({}, ()),
        (template(A={"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "a"}}), ()),
        (template(A=ROLE), ("CAPABILITY_IAM",)),
        (template(A={"Type": "AWS::IAM::Policy", "Properties": {"PolicyName": "a"}}), ("CAPABILITY_IAM",)),
        (template(A={**ROLE, "Properties": {"RoleName": "a"}}), ("CAPABILITY_NAMED_IAM",)),
        (
            template(A=ROLE, B={"Type": "AWS::IAM::User", "Properties": {"UserName": {"Ref": "x"}}}),
            ("CAPABILITY_NAMED_IAM",),
        ),
        (template(A={"Type": "AWS::CloudFormation::Stack"}), ("CAPABILITY_AUTO_EXPAND", "CAPABILITY_NAMED_IAM")),
        ({"Transform": "AWS::Serverless-2016-10-31"}, ("CAPABILITY_AUTO_EXPAND", "CAPABILITY_NAMED_IAM")),
        (template(A={"Type": "My::Own::Part::MODULE"}), ("CAPABILITY_AUTO_EXPAND", "CAPABILITY_NAMED_IAM")),
        (template(A={"Properties": [{"Fn::Transform": {}}]}), ("CAPABILITY_AUTO_EXPAND", "CAPABILITY_NAMED_IAM")),
        (template(A="odd", B={"Type": ["odd"]}, C={**ROLE, "Properties": "odd"}), ("CAPABILITY_IAM",)),
        ({"Resources": []}, ()),
    ],
)
def test_capabilities_equal_those_documented_by_aws(parsed, expected):
    assert capabilities(parsed) == expected


def test_capabilities_have_reasons():
    named = {**ROLE, "Properties": {"RoleName": "a"}}

    assert capability_reasons(template(A=ROLE, B=named)) == {"CAPABILITY_NAMED_IAM": ("B",)}
    assert capability_reasons({**template(B=named, C={"Type": "AWS::CloudFormation::Stack"}), "Transform": "Own"}) == {
        "CAPABILITY_AUTO_EXPAND": ("nested stack C", "transform Own"),
        "CAPABILITY_NAMED_IAM": ("B", "nested stack C", "transform Own"),
    }


@pytest.mark.parametrize(
    ("parsed", "names"),
    [
        ({}, ()),
        ({"Transform": "AWS::Serverless-2016-10-31"}, ("AWS::Serverless-2016-10-31",)),
        ({"Transform": ["A", {"Name": "AWS::Include"}, "A"]}, ("A", "AWS::Include")),
        ({"Transform": {"Ref": "x"}}, ("*",)),
        (template(**{"Fn::ForEach::All": ["X", ["1"], {}]}), ("AWS::LanguageExtensions",)),
        (template(A={"Properties": {"Fn::Transform": {"Name": "Own"}}}), ("Own",)),
        (template(A={"Type": "My::Own::Part::MODULE"}), ("My::Own::Part::MODULE",)),
    ],
)
def test_transforms_are_found_at_every_depth(parsed, names):
    assert transforms(parsed) == names
