"""References between the resources of a template."""

from __future__ import annotations

import pytest

from exasol_ci_setup.template.references import find_references, references, referred_name, renamed
from exasol_ci_setup.template.render import parse

# A value of YAML, and the references in it: kind, name, attribute.
CASES = {
    "ref": ("!Ref A", ["Ref A "]),
    "ref of pseudo parameter": ('!Ref "AWS::Region"', ["Ref AWS::Region "]),
    "attribute as text": ("!GetAtt A.Arn", ["Fn::GetAtt A Arn"]),
    "attribute with period": ("!GetAtt A.Endpoint.Port", ["Fn::GetAtt A Endpoint.Port"]),
    "attribute as list": ("{'Fn::GetAtt': [A, Arn]}", ["Fn::GetAtt A Arn"]),
    "attribute by reference": ("{'Fn::GetAtt': [A, {Ref: P}]}", ["Fn::GetAtt A ", "Ref P "]),
    "text": ('!Sub "${A}-${B.Arn}-${!C}-${AWS::Region}"', ["Fn::Sub A ", "Fn::Sub B Arn", "Fn::Sub AWS::Region "]),
    "text with own variables": ('!Sub ["${A} ${Own}", {Own: !Ref B, A: 1}]', ["Ref B "]),
    "own variable with attribute": ('!Sub ["${Own.Arn}", {Own: 1}]', ["Fn::Sub Own Arn"]),
    "text with blanks": ('!Sub "${ A } ${ B.Arn }${ !C }"', ["Fn::Sub A ", "Fn::Sub B Arn"]),
    "text without name": ('!Sub "${} ${A"', []),
    "list in functions": ("!Join ['', [!Ref A, !If [C, !Ref B, !Ref A]]]", ["Ref A ", "Ref B ", "Ref A "]),
    "property DependsOn": ("[{DependsOn: [{ContainerName: !GetAtt A.Value}]}]", ["Fn::GetAtt A Value"]),
    "property DependsOn of text": ("{DependsOn: A}", []),
    "malformed": ("[{Ref: 3}, {'Fn::GetAtt': {a: 1}}, {'Fn::GetAtt': []}, {'Fn::Sub': []}, {'Fn::Sub': 1}]", []),
    "malformed ref with reference": ("{Ref: [X, !Ref A]}", ["Ref A "]),
}


@pytest.mark.parametrize(("value", "expected"), CASES.values(), ids=CASES)
def test_value_has_references(value, expected):
    found = find_references(parse(f"Resources: {{X: {{Properties: {{P: {value}}}}}}}")["Resources"]["X"]["Properties"])

    assert [" ".join(each) for each in found] == expected


def test_resource_has_other_resources_once():
    template = parse(
        """
Resources:
  A: {Type: "AWS::SNS::Topic"}
  B: {Type: "AWS::SNS::Topic", Properties: {X: !Ref Unknown, Y: !Ref B}}
  C: {Type: "AWS::SNS::Topic", DependsOn: A}
  D: {Type: "AWS::SNS::Topic", DependsOn: [A, B, 1, Unknown]}
  E: {Type: "AWS::SNS::Topic", Properties: {X: !Ref A, Y: [!GetAtt B.Arn, !Ref A]}}
  F: {Type: "AWS::ECS::TaskDefinition", Properties: {ContainerDefinitions: [{DependsOn: [{ContainerName: !Ref A}]}]}}
  G: 1
"""
    )

    assert references(template) == {
        "A": (),
        "B": (),
        "C": ("A",),
        "D": ("A", "B"),
        "E": ("A", "B"),
        "F": ("A",),
        "G": (),
    }


def test_aliased_values_are_visited_once():
    part: object = {"Ref": "B"}
    for _ in range(40):
        part = [part, part]

    assert references({"Resources": {"A": {"P": part}, "B": {}}}) == {"A": ("B",), "B": ()}


def test_deeply_nested_reference_is_found():
    part: object = {"Ref": "B"}
    for _ in range(5000):
        part = {"x": [part]}

    assert references({"Resources": {"A": {"P": part}, "B": {}}}) == {"A": ("B",), "B": ()}


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("!Ref A", "A"),
        ("!GetAtt A.Arn", "A"),
        ('!Sub "${A.Arn}"', "A"),
        ('!Sub "${ A.Arn }"', "A"),
        ('!Sub ["${X}", {X: !Ref A}]', "A"),
        ('!Sub "${A}-${B}"', "${A}-${B}"),
        ("my-name", "my-name"),
    ],
)
def test_single_reference_has_name(value, name):
    assert referred_name(parse(f"Resources: {value}")["Resources"]) == name


def test_name_with_blanks_is_renamed():
    template = {"Resources": {"A": {"Properties": {"P": {"Fn::Sub": "${ New.Arn } ${ !New }"}}}, "New": {}}}

    kept = renamed(template, {"New": "Old"})

    assert kept["Resources"]["A"] == {"Properties": {"P": {"Fn::Sub": "${Old.Arn} ${ !New }"}}}


def test_property_depends_on_is_not_renamed():
    template = {"Resources": {"New": {"Properties": {"DependsOn": ["New"]}, "DependsOn": "New"}}}

    kept = renamed(template, {"New": "Old"})

    assert kept == {"Resources": {"Old": {"Properties": {"DependsOn": ["New"]}, "DependsOn": "Old"}}}
