"""Stacks with the logical IDs that the predecessor's templates have, in short form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from exasol_ci_setup.aws.session import Account

CREDENTIALS: Final = """
Resources:
  CodeBuildCredentials:
    Type: AWS::CodeBuild::SourceCredential
    Properties:
      ServerType: GITHUB
      AuthType: PERSONAL_ACCESS_TOKEN
      Username: "{{resolve:secretsmanager:github:SecretString:user}}"
      Token: "{{resolve:secretsmanager:github:SecretString:token}}"
"""

_ROLE: Final = """
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: 2012-10-17
        Statement:
          - {Effect: Allow, Principal: {Service: [codebuild.amazonaws.com]}, Action: [sts:AssumeRole]}
"""

BUILDS: Final = f"""
Resources:
  PREFIXArtifactsBucket:
    Type: AWS::S3::Bucket
  PREFIXCodeBuildRole:{_ROLE}
  PREFIXBatchBuildRole:{_ROLE}
  SlcPREFIXCodeBuild:
    Type: AWS::CodeBuild::Project
    Properties:
      ServiceRole: !GetAtt PREFIXCodeBuildRole.Arn
      BuildBatchConfig: {{ServiceRole: !GetAtt PREFIXBatchBuildRole.Arn}}
      Artifacts: {{Type: S3, Location: !Ref PREFIXArtifactsBucket}}
      Environment:
        Type: LINUX_CONTAINER
        ComputeType: BUILD_GENERAL1_SMALL
        Image: aws/codebuild/standard:5.0
      Source: {{Type: GITHUB, Location: "https://github.com/exasol/script-languages-release"}}
  PREFIXCodeBuildLogGroup:
    Type: AWS::Logs::LogGroup
    Properties:
      LogGroupName: !Sub "/aws/codebuild/${{SlcPREFIXCodeBuild}}"
      RetentionInDays: 14
Outputs:
  ProjectName:
    Value: !Ref SlcPREFIXCodeBuild
"""

CI: Final = BUILDS.replace("PREFIX", "")
RELEASE: Final = BUILDS.replace("PREFIX", "Release")


def create(account: Account, stack_name: str, template: str) -> None:
    """Create a stack without this tool's tags, and wait for it."""
    cfn: Any = account.client("cloudformation")
    cfn.create_stack(StackName=stack_name, TemplateBody=template, Capabilities=["CAPABILITY_IAM"])
    cfn.get_waiter("stack_create_complete").wait(StackName=stack_name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 400})
