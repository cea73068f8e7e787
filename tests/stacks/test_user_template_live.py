"""Small templates with the constructs of public ones: read, drawn, planned, deployed, unchanged, updated and deleted in the sandbox."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from exasol_ci_setup.access.deployer import deployer_policy
from exasol_ci_setup.access.resource_arns import Place
from exasol_ci_setup.aws.context import Context
from exasol_ci_setup.core.stacks import Outcome
from exasol_ci_setup.pictures.graph import GraphPart, mermaid
from exasol_ci_setup.stacks import state
from exasol_ci_setup.stacks.delete import delete
from exasol_ci_setup.stacks.deploy import deploy
from exasol_ci_setup.stacks.permissions import of_template
from exasol_ci_setup.stacks.user_template import TemplateInput, build_request, choose_parameters, open_template
from exasol_ci_setup.template import lint
from exasol_ci_setup.template.render import Template, parse, written
from tests.reporters import RecordingReporter

pytestmark = pytest.mark.live

ROLE = """
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: 2012-10-17
        Statement: [{Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: ["sts:AssumeRole"]}]
"""
TEMPLATES = {
    "conditions and rules": """
AWSTemplateFormatVersion: 2010-09-09
Metadata:
  AWS::CloudFormation::Interface: {ParameterGroups: [{Label: {default: Names}, Parameters: [Env]}]}
Parameters:
  Env: {Type: String, Default: dev, AllowedValues: [dev, prod]}
  Empty: {Type: String, Default: ""}
Rules:
  Named: {RuleCondition: !Equals [!Ref Env, prod], Assertions: [{Assert: !Not [!Equals [!Ref Empty, ""]]}]}
Mappings: {Sizes: {dev: {Days: 1}, prod: {Days: 14}}}
Conditions:
  IsProd: !Equals [!Ref Env, prod]
  HasBoth: !And [!Condition IsProd, !Not [!Equals [!Ref Empty, ""]]]
  IsAny: !Or [!Condition IsProd, !Equals [!Ref "AWS::Region", eu-central-1]]
Resources:
  Log:
    Type: AWS::Logs::LogGroup
    DeletionPolicy: Delete
    UpdateReplacePolicy: Delete
    Properties:
      LogGroupName: !If [HasBoth, !Sub "/${Env}/${Empty}", !Ref "AWS::NoValue"]
      RetentionInDays: !FindInMap [Sizes, !Ref Env, Days]
  Topic: {Type: AWS::SNS::Topic, Condition: IsProd, DependsOn: [Log]}
Outputs:
  TopicArn: {Condition: IsProd, Value: !Ref Topic, Export: {Name: !Sub "${AWS::StackName}-Topic"}}
  LogArn: {Value: !GetAtt Log.Arn, Description: The log}
""",
    "network functions": """
Parameters: {Zones: {Type: Number, Default: 2}, Cidr: {Type: String, Default: 10.1.0.0/16}, Tags: {Type: CommaDelimitedList, Default: "a, b"}}
Resources:
  Vpc: {Type: AWS::EC2::VPC, Properties: {CidrBlock: !Ref Cidr, Tags: [{Key: Name, Value: !Join ["-", !Ref Tags]}]}}
  Subnet:
    Type: AWS::EC2::Subnet
    Properties:
      VpcId: !Ref Vpc
      AvailabilityZone: !Select [0, !GetAZs ""]
      CidrBlock: !Select [0, !Cidr [!Ref Cidr, 4, 8]]
      Tags: [{Key: Name, Value: !Select ["1", !Split ["/", !Ref Cidr]]}]
  Group:
    Type: AWS::EC2::SecurityGroup
    Properties:
      GroupDescription: !Sub ["${Name} of ${AWS::StackName}", {Name: !Select [1, !Ref Tags]}]
      VpcId: {"Fn::GetAtt": [Vpc, VpcId]}
Outputs: {Subnets: {Value: !Join [",", [!Ref Subnet]]}}
""",
    "inline code": f"""
Resources:{ROLE}
  Function:
    Type: AWS::Lambda::Function
    Metadata: {{cfn-lint: {{config: {{ignore_checks: [W3005]}}}}}}
    DependsOn: Role
    Properties:
      Handler: index.run
      Runtime: python3.12
      Role: !GetAtt Role.Arn
      Environment: {{Variables: {{ONE: "yes", TWO: "010"}}}}
      Code:
        ZipFile: |
          def run(event, context):
              # ${{NotAVariable}} is text
              return {{"a": 1}}
""",
    "synthesized": json.dumps(
        {
            "Resources": {
                "Bucket83908E77": {
                    "Type": "AWS::S3::Bucket",
                    "UpdateReplacePolicy": "Delete",
                    "DeletionPolicy": "Delete",
                    "Metadata": {"aws:cdk:path": "App/Bucket/Resource"},
                },
                "Policy": {
                    "Type": "AWS::S3::BucketPolicy",
                    "Properties": {
                        "Bucket": {"Ref": "Bucket83908E77"},
                        "PolicyDocument": {
                            "Version": "2012-10-17",
                            "Statement": [
                                {
                                    "Action": "s3:*",
                                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                                    "Effect": "Deny",
                                    "Principal": {"AWS": "*"},
                                    "Resource": [
                                        {"Fn::GetAtt": ["Bucket83908E77", "Arn"]},
                                        {"Fn::Join": ["", [{"Fn::GetAtt": ["Bucket83908E77", "Arn"]}, "/*"]]},
                                    ],
                                }
                            ],
                        },
                    },
                },
            },
            "Parameters": {"BootstrapVersion": {"Type": "String", "Default": "/cdk-bootstrap/x/version"}},
            "Rules": {
                "CheckBootstrapVersion": {
                    "Assertions": [
                        {
                            "Assert": {"Fn::Not": [{"Fn::Contains": [["1", "2"], {"Ref": "BootstrapVersion"}]}]},
                            "AssertDescription": "bootstrap again",
                        }
                    ]
                }
            },
        },
        indent=1,
    ).replace("\n ", "\n\t"),
    "loop": """
Transform: [AWS::LanguageExtensions]
Parameters: {Names: {Type: CommaDelimitedList, Default: "A,B"}}
Resources:
  "Fn::ForEach::Topics":
    - Name
    - !Ref Names
    - "Topic${Name}": {Type: AWS::SNS::Topic, Properties: {DisplayName: !Sub "${Name}"}}
""",
    "anchors": """
Resources:
  First: &topic
    Type: "AWS::SNS::Topic"
    Properties: &properties {DisplayName: "o\\u0308"}
  Second: *topic
  Third: {Type: "AWS::SNS::Topic", Properties: {<<: *properties, Tags: [{Key: "on", Value: "1e3"}]}}
""",
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_template_with_constructs_of_public_ones_is_deployed(live, tmp_path, name):
    file = tmp_path / "own.yaml"
    file.write_text(TEMPLATES[name], encoding="utf-8")
    stack = open_template(TemplateInput(str(file)))
    context = Context(live, reporter=RecordingReporter())
    request = build_request(stack, live, choose_parameters(stack, live, None))

    assert all(each.level != "error" for each in lint.lint(request.template, live.region))
    assert mermaid([GraphPart("own", stack.loaded.parsed)])
    assert deployer_policy([of_template(stack, Place())], Place()).notes == ()
    assert deploy(context, request).outcome is Outcome.DEPLOYED
    assert deploy(context, request).outcome is Outcome.UNCHANGED

    changed = parse(request.template.body)
    changed["Resources"]["Added"] = {"Type": "AWS::SNS::Topic"}
    result = deploy(context, replace(request, template=Template("own.yaml", written(changed))))
    # The sandbox lists a function with inline code in every change set.
    assert ("Add", "Added") in [(each.action, each.logical_id) for each in result.plan.changes]

    delete(context, state.get(context.cfn, "own"))
    assert state.find(context.cfn, "own") is None
