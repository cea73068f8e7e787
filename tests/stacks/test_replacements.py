"""Which changes replace a resource, by the schemas of the resource types."""

from __future__ import annotations

from typing import Any

import pytest

from exasol_ci_setup.core.stacks import ABSENT, Change, PropertyChange
from exasol_ci_setup.stacks import replacements

INSTANCE = "AWS::EC2::Instance"


def marked(kind: str, *properties: PropertyChange, template: dict[str, Any] | None = None) -> dict[str, Change]:
    changes = replacements.marked([Change("Modify", "R", kind, properties=properties)], template or {})
    return {change.logical_id: change for change in changes}


def changed(path: str, before: object = "a", after: object = "b") -> PropertyChange:
    return PropertyChange(path, before, after)


@pytest.mark.parametrize(
    ("kind", "change", "replacement", "recreates"),
    [
        (INSTANCE, changed("KeyName"), "True", "Always"),
        (INSTANCE, changed("NetworkInterfaces.0.GroupSet.2", ABSENT), "True", "Always"),
        (INSTANCE, changed("InstanceType"), "Conditional", "Conditionally"),
        (INSTANCE, changed("Tags.0.Value"), "False", "Never"),
        (INSTANCE, changed("Metadata.KeyName"), "False", "Never"),
        (INSTANCE, changed("DeletionPolicy", ABSENT, "Retain"), "False", "Never"),
        ("AWS::S3::Bucket", changed("BucketName"), "True", "Always"),
        # A nested property: only a change of this property replaces the resource.
        ("AWS::SageMaker::CodeRepository", changed("GitConfig", {"Branch": "a"}, {"Branch": "b"}), "True", "Always"),
        (
            "AWS::SageMaker::CodeRepository",
            changed("GitConfig", {"Branch": "a", "SecretArn": "a"}, {"Branch": "a", "SecretArn": "b"}),
            "False",
            "Never",
        ),
        ("AWS::SageMaker::CodeRepository", changed("GitConfig", {"Ref": "A"}, {"Ref": "B"}), "True", "Always"),
        # A type without a schema may be replaced.
        ("Custom::Thing", changed("Anything"), "Conditional", ""),
        ("Some::Third::Party", changed("Anything"), "Conditional", ""),
    ],
)
def test_schema_decides_on_replacement(kind, change, replacement, recreates):
    (found,) = marked(kind, change).values()

    assert found.replacement == replacement
    assert [each.recreates for each in found.properties] == [recreates]


def test_each_element_of_list_is_compared():
    path = "IcebergDestinationConfiguration.DestinationTableList"
    one, other = ([{"DestinationTableName": name, "Other": name}] for name in "ab")

    assert marked("AWS::MSK::Channel", changed(path, one, other))["R"].replacement == "True"
    assert marked("AWS::MSK::Channel", changed(path, one, [*one, *other]))["R"].replacement == "True"


def test_referring_resources_are_replaced_too():
    template = {
        "Resources": {
            "R": {"Type": "AWS::EC2::KeyPair", "Properties": {"KeyName": "b"}},
            "Machine": {"Type": INSTANCE, "Properties": {"KeyName": {"Ref": "R"}}},
            "Address": {"Type": "AWS::EC2::EIPAssociation", "Properties": {"InstanceId": {"Ref": "Machine"}}},
            "Tagged": {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": {"Fn::Sub": "${Machine}"}}},
            "Other": {"Type": "AWS::SNS::Topic"},
        }
    }

    found = marked("AWS::EC2::KeyPair", changed("KeyName"), template=template)

    assert {name: change.replacement for name, change in found.items()} == {
        "R": "True",
        "Machine": "True",
        "Address": "True",
        "Tagged": "False",
    }
    assert found["Machine"].causes == ("R",)


def test_cycle_of_possible_replacements_ends():
    refers = {"A": "B", "B": "A"}
    template = {
        "Resources": {
            name: {"Type": INSTANCE, "Properties": {"UserData": {"Ref": used}}} for name, used in refers.items()
        }
    }
    changes = [Change("Modify", "A", INSTANCE, properties=(changed("InstanceType"),))]

    found = replacements.marked(changes, template)

    assert {change.logical_id: change.replacement for change in found} == {"A": "Conditional", "B": "Conditional"}
