"""Unique resources of AWS keep the logical ID of the deployed stack."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.stacks import unique
from exasol_ci_setup.template import references
from exasol_ci_setup.template.render import Template, parse


def renamed(before, wanted, *, before_parameters=None, parameters=None):
    return unique.renamed(before, wanted, before_parameters=before_parameters or {}, parameters=parameters or {})


def template(**resources):
    """Return a template whose resources have this type and properties."""
    return {
        "Resources": {name: {"Type": kind, "Properties": properties} for name, (kind, properties) in resources.items()}
    }


@pytest.mark.parametrize("kind", sorted(unique.IDENTITY))
def test_resource_of_same_identity_keeps_its_id(kind):
    properties = dict.fromkeys(unique.IDENTITY[kind], "same")

    assert renamed(template(Old=(kind, properties)), template(New=(kind, properties))) == {"New": "Old"}


@pytest.mark.parametrize("kind", sorted(unique.IDENTITY))
def test_resource_of_other_identity_gets_new_id(kind):
    old, new = (dict.fromkeys(unique.IDENTITY[kind], value) for value in ("old", "new"))

    assert renamed(template(Old=(kind, old)), template(New=(kind, new))) == {}


@pytest.mark.parametrize("kind", sorted(unique.IDENTITY))
def test_resource_with_generated_name_gets_new_id(kind):
    assert renamed(template(Old=(kind, {})), template(New=(kind, {}))) == {}


def test_former_id_of_same_type_is_kept():
    before = template(ReleaseBucket=("AWS::S3::Bucket", {}), ReleaseRole=("AWS::IAM::Role", {}), Same=("T", {}))
    wanted = template(Bucket=("AWS::S3::Bucket", {}), Role=("AWS::SNS::Topic", {}), Same=("T", {}))
    former = {"Bucket": "ReleaseBucket", "Role": "ReleaseRole", "Same": "ReleaseBucket", "Other": "ReleaseRole"}

    def find(old, new):
        return unique.renamed(old, new, before_parameters={}, parameters={}, former_ids=former)

    assert find(before, wanted) == {"Bucket": "ReleaseBucket"}
    # Both exist: the stack was not created by the predecessor.
    assert find(template(Bucket=("AWS::S3::Bucket", {}), ReleaseBucket=("AWS::S3::Bucket", {})), wanted) == {}


def test_policy_of_bucket_with_former_id_is_added():
    before = template(ReleaseBucket=("AWS::S3::Bucket", {}))
    wanted = template(Bucket=("AWS::S3::Bucket", {}), Policy=("AWS::S3::BucketPolicy", {"Bucket": {"Ref": "Bucket"}}))

    found = unique.renamed(before, wanted, before_parameters={}, parameters={}, former_ids={"Bucket": "ReleaseBucket"})

    assert references.renamed(wanted, found)["Resources"]["Policy"]["Properties"]["Bucket"] == {"Ref": "ReleaseBucket"}


def test_id_that_template_still_has_is_not_taken():
    group = ("AWS::Logs::LogGroup", {"LogGroupName": "/builds"})

    assert renamed(template(Old=group), template(New=group, Old=("AWS::SNS::Topic", {}))) == {}


def test_name_from_parameter_counts_as_its_value():
    before = template(Old=("AWS::S3::Bucket", {"BucketName": "artifacts"}))
    wanted = {
        "Parameters": {"Name": {"Type": "String"}},
        **template(New=("AWS::S3::Bucket", {"BucketName": {"Ref": "Name"}})),
    }

    assert renamed(before, wanted, parameters={"Name": "artifacts"}) == {"New": "Old"}
    assert renamed(before, wanted, parameters={"Name": "other"}) == {}


def test_policy_follows_its_bucket():
    def with_policy(bucket, policy):
        return template(
            **{
                bucket: ("AWS::S3::Bucket", {"BucketName": "artifacts"}),
                policy: ("AWS::S3::BucketPolicy", {"Bucket": {"Ref": bucket}}),
            }
        )

    found = renamed(with_policy("Bucket", "Policy"), with_policy("Artifacts", "ArtifactsPolicy"))

    assert found == {"Artifacts": "Bucket", "ArtifactsPolicy": "Policy"}


def test_references_follow_kept_id():
    body = """
Resources:
  New:
    Type: AWS::S3::Bucket
  Policy:
    Type: AWS::S3::BucketPolicy
    DependsOn: [New, Other]
    Properties:
      Bucket: !Ref New
      PolicyDocument: [!Sub "${New.Arn}/*", !GetAtt New.Arn, !Sub ["${New} ${Other}", {New: !Ref New}], New]
  Other:
    Type: AWS::SNS::Topic
    DependsOn: New
Outputs:
  Name: {Value: !Sub "${New} ${!New} ${Newer}"}
"""
    kept = parse(unique.with_kept_ids(Template("t.yaml", body), {"New": "Old"}).body)

    assert kept["Resources"].keys() == {"Old", "Policy", "Other"}
    assert kept["Resources"]["Policy"]["DependsOn"] == ["Old", "Other"]
    assert kept["Resources"]["Policy"]["Properties"] == {
        "Bucket": {"Ref": "Old"},
        "PolicyDocument": [
            {"Fn::Sub": "${Old.Arn}/*"},
            {"Fn::GetAtt": ["Old", "Arn"]},
            {"Fn::Sub": ["${New} ${Other}", {"New": {"Ref": "Old"}}]},
            "New",
        ],
    }
    assert kept["Resources"]["Other"]["DependsOn"] == "Old"
    assert kept["Outputs"]["Name"]["Value"] == {"Fn::Sub": "${Old} ${!New} ${Newer}"}


def test_template_without_kept_ids_is_unchanged():
    wanted = Template("t.yaml", "Resources: {}  # a comment\n")

    assert unique.with_kept_ids(wanted, {}) is wanted


@given(st.text())
def test_text_without_reference_is_unchanged(text):
    wanted = {"Description": text, "Resources": {"New": {"Type": "AWS::SNS::Topic", "Properties": {"Name": text}}}}

    kept = references.renamed(wanted, {"New": "Old"})

    assert kept == {"Description": text, "Resources": {"Old": wanted["Resources"]["New"]}}
