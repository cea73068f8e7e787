"""Templates with parameter values inserted, and the text of intrinsic functions."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given

from exasol_ci_setup.core.stacks import ABSENT
from exasol_ci_setup.template.intrinsics import canonical, readable, resolve
from tests.stacks.odd import VALUES_OF_ANY_SHAPE, template


def folded(value, parameters=None, **sections):
    return resolve(template({"It": value}, **sections), parameters or {})["Resources"]["Thing"]["Properties"].get(
        "It", ABSENT
    )


PARAMETERS = {
    "Given": {"Type": "String"},
    "Defaulted": {"Type": "Number", "Default": 7},
    "Secret": {"Type": "String", "NoEcho": True},
    "SecretText": {"Type": "String", "NoEcho": "true"},
    "Many": {"Type": "CommaDelimitedList"},
    "Subnets": {"Type": "List<AWS::EC2::Subnet::Id>"},
    "Stored": {"Type": "AWS::SSM::Parameter::Value<String>"},
    "Unknown": {"Type": "String"},
}
VALUES = {
    "Given": "g",
    "Secret": "hush",
    "SecretText": "hush",
    "Many": "a, b",
    "Subnets": "s-1,s-2",
    "Stored": "/image",
}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"Ref": "Given"}, "g"),
        ({"Ref": "Defaulted"}, 7),
        ({"Ref": "Secret"}, "****"),
        ({"Ref": "SecretText"}, "****"),
        ({"Ref": "Many"}, ["a", "b"]),
        ({"Ref": "Subnets"}, ["s-1", "s-2"]),
        ({"Ref": "Stored"}, "{{resolve:ssm:/image}}"),
        ({"Ref": "Unknown"}, {"Ref": "Unknown"}),
        ({"Ref": "OtherResource"}, {"Ref": "OtherResource"}),
        ({"Ref": "AWS::Region"}, {"Ref": "AWS::Region"}),
        ({"Ref": "AWS::NoValue"}, ABSENT),
        ([1, {"Ref": "AWS::NoValue"}, 2], [1, 2]),
        ({"Fn::Join": ["-", ["a", {"Ref": "Given"}, 1]]}, "a-g-1"),
        ({"Fn::Join": [",", {"Ref": "Many"}]}, "a,b"),
        ({"Fn::Join": ["-", ["a", {"Ref": "Other"}]]}, {"Fn::Join": ["-", ["a", {"Ref": "Other"}]]}),
        ({"Fn::Select": [1, {"Ref": "Many"}]}, "b"),
        ({"Fn::Select": ["9", {"Ref": "Many"}]}, {"Fn::Select": ["9", ["a", "b"]]}),
        ({"Fn::Split": ["/", "a/b"]}, ["a", "b"]),
        ({"Fn::Sub": "x-${Given}-${Defaulted}"}, "x-g-7"),
        ({"Fn::Sub": "${Given}-${Bucket.Arn}"}, {"Fn::Sub": "g-${Bucket.Arn}"}),
        ({"Fn::Sub": "x-${ Given }-${ ! a }"}, "x-g-${ a }"),
        ({"Fn::Sub": "${ Given }${ Bucket }${ !a}"}, {"Fn::Sub": "g${ Bucket }${ !a}"}),
        ({"Fn::Sub": "${!literal}"}, "${literal}"),
        ({"Fn::Sub": "${!literal}${Bucket}"}, {"Fn::Sub": "${!literal}${Bucket}"}),
        ({"Fn::Sub": ["${A}/${B}", {"A": {"Ref": "Given"}, "B": "b"}]}, "g/b"),
        (
            {"Fn::Sub": ["${A}/${B}", {"A": {"Ref": "Given"}, "B": {"Ref": "Other"}}]},
            {"Fn::Sub": ["g/${B}", {"B": {"Ref": "Other"}}]},
        ),
        ({"Fn::FindInMap": ["Sizes", {"Ref": "Given"}, "cpu"]}, 256),
        ({"Fn::FindInMap": ["Sizes", "none", "cpu"]}, {"Fn::FindInMap": ["Sizes", "none", "cpu"]}),
        ({"Fn::If": ["Yes", "then", "else"]}, "then"),
        ({"Fn::If": ["No", "then", {"Ref": "AWS::NoValue"}]}, ABSENT),
        ({"Fn::If": ["Open", {"Ref": "Given"}, "else"]}, {"Fn::If": ["Open", "g", "else"]}),
        (
            {"Fn::If": ["Open", {"Ref": "AWS::NoValue"}, "else"]},
            {"Fn::If": ["Open", {"Ref": "AWS::NoValue"}, "else"]},
        ),
        ({"Fn::If": ["Missing", 1, 2]}, {"Fn::If": ["Missing", 1, 2]}),
        ({"Condition": {"StringEquals": {"aws:x": {"Ref": "Given"}}}}, {"Condition": {"StringEquals": {"aws:x": "g"}}}),
    ],
)
def test_values_of_parameters_are_inserted_and_rest_is_unchanged(value, expected):
    conditions = {
        "Yes": {"Fn::Equals": [{"Ref": "Given"}, "g"]},
        "No": {"Fn::Not": [{"Condition": "Yes"}]},
        "Open": {"Fn::Equals": [{"Ref": "AWS::Region"}, "eu-west-1"]},
    }
    sections = {"Parameters": PARAMETERS, "Conditions": conditions, "Mappings": {"Sizes": {"g": {"cpu": 256}}}}
    assert folded(value, VALUES, **sections) == expected


def test_value_that_looks_like_variable_is_not_substituted():
    parameters = {"P": {"Type": "String"}}
    assert folded({"Fn::Sub": "${P}${Bucket}"}, {"P": "${Trap}"}, Parameters=parameters) == {
        "Fn::Sub": "${!Trap}${Bucket}"
    }


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ({"Fn::And": [{"Fn::Equals": ["a", "a"]}, {"Fn::Equals": ["a", "b"]}]}, False),
        ({"Fn::And": [{"Fn::Equals": ["a", "a"]}, {"Fn::Equals": [{"Ref": "AWS::Region"}, "b"]}]}, True),
        ({"Fn::Or": [{"Fn::Equals": [{"Ref": "AWS::Region"}, "b"]}, {"Fn::Equals": ["a", "b"]}]}, True),
        ({"Fn::Or": [{"Fn::Equals": ["a", "c"]}, {"Fn::Equals": ["a", "b"]}]}, False),
        ({"Fn::Equals": [True, "true"]}, True),
        ({"Fn::Equals": [{"Ref": "Secret"}, ""]}, True),
        ({"Condition": "C"}, True),
        ("nonsense", True),
    ],
)
def test_only_false_condition_removes_resource(condition, kept):
    parameters = {"Secret": {"Type": "String", "NoEcho": True}}
    body = {"Parameters": parameters, "Conditions": {"C": condition}, "Resources": {"R": {"Condition": "C"}}}
    assert ("R" in resolve(body, {})["Resources"]) is kept


def test_input_template_is_not_modified():
    body = template({"A": [{"Ref": "P"}, {"Ref": "AWS::NoValue"}]}, Parameters={"P": {"Default": "x"}})
    before = copy.deepcopy(body)
    resolve(body, {})
    assert body == before


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", "text"),
        (True, "true"),
        (None, "null"),
        ({"Ref": "Bucket"}, "${Bucket}"),
        ({"Fn::GetAtt": ["Bucket", "Arn"]}, "${Bucket.Arn}"),
        ({"Fn::GetAtt": "Bucket.Arn"}, "${Bucket.Arn}"),
        ({"Fn::Sub": "${Bucket.Arn}/*"}, "${Bucket.Arn}/*"),
        ({"Fn::Sub": "${ Bucket.Arn }/${ !a}"}, "${Bucket.Arn}/${ !a}"),
        ({"Fn::Sub": ["${A}/*", {"A": {"Ref": "B"}}]}, "${B}/*"),
        ({"Fn::Join": ["", [{"Fn::GetAtt": ["Bucket", "Arn"]}, "/*"]]}, "${Bucket.Arn}/*"),
        ({"Fn::ImportValue": "x"}, '{"Fn::ImportValue":"x"}'),
        ([1], '["1"]'),
    ],
)
def test_intrinsic_functions_have_short_form(value, expected):
    assert readable(value) == expected


@given(VALUES_OF_ANY_SHAPE)
def test_every_value_has_one_canonical_text(value):
    readable(value)
    assert canonical(value) == canonical(copy.deepcopy(value))
