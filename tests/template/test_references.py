"""References between the resources of a template."""

from __future__ import annotations

from exasol_ci_setup.template.references import references
from exasol_ci_setup.template.render import parse


def test_every_kind_of_reference_counts_once():
    template = parse(
        """
Resources:
  A: {Type: "AWS::SNS::Topic"}
  B: {Type: "AWS::SNS::Topic"}
  C: {Type: "AWS::SNS::Topic", DependsOn: A}
  D: {Type: "AWS::SNS::Topic", DependsOn: [A, B]}
  E: {Type: "AWS::SNS::Topic", Properties: {X: !Ref A, Y: [!GetAtt B.Arn, !Ref A], Z: !Ref "AWS::Region"}}
  F: {Type: "AWS::SNS::Topic", Properties: {X: !Sub "${A}-${B.Arn}-${!C}-${AWS::Region}"}}
  G: {Type: "AWS::SNS::Topic", Properties: {X: !Sub ["${A} ${Own}", {Own: !Ref B, A: 1}], Y: !Ref G}}
"""
    )

    assert references(template) == {
        "A": (),
        "B": (),
        "C": ("A",),
        "D": ("A", "B"),
        "E": ("A", "B"),
        "F": ("A", "B"),
        "G": ("B",),
    }


def test_reference_to_unknown_name_is_ignored():
    odd = {"Ref": 3, "DependsOn": {"x": 1}, "Fn::GetAtt": {"a": 1}, "Fn::Sub": [], "A": {"Fn::GetAtt": []}}

    assert references({"Resources": {"X": odd, "Y": {"Ref": ["X", 2]}}}) == {"X": (), "Y": ("X",)}


def test_aliased_values_are_visited_once():
    part: object = {"Ref": "B"}
    for _ in range(40):
        part = [part, part]

    assert references({"Resources": {"A": part, "B": {}}}) == {"A": ("B",), "B": ()}


def test_deeply_nested_reference_is_found():
    part: object = {"Ref": "B"}
    for _ in range(5000):
        part = {"x": [part]}

    assert references({"Resources": {"A": part, "B": {}}}) == {"A": ("B",), "B": ()}
