"""What a run of the contract tests creates: names, options of commands, and templates.

All names begin with `PREFIX`, and all stacks of the commands that have `--tag` carry `TAG`. A run has fixed names, so that the policy that it needs is
known before it, and leftovers of an interrupted run are found.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.contract.endpoint import Endpoint

PREFIX: Final = "contract"
TAG: Final = ("contract-test", "exasol-ci-setup")
REPOSITORY: Final = "https://github.com/octocat/Hello-World"
"""A small public repository. Its builds use a buildspec that the request contains."""
IMAGE: Final = "public.ecr.aws/nginx/nginx:1.27"
WORKSPACE: Final = f"{PREFIX}-1"
OWN_SECRET: Final = f"{PREFIX}-github"
"""A secret with a dummy token, which suffices for all cases except those of the CI stack."""
GITHUB_SECRET: Final = os.environ.get("GITHUB_SECRET") or OWN_SECRET
PROJECT_URL: Final = os.environ.get("PROJECT_URL") or REPOSITORY
"""A repository in which the token may create a webhook."""
# A key for this purpose only: no private key of it exists.
PUBLIC_KEY: Final = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIG/cyaM4OW3facgROAqmYCekxTpDnFmfymOnJJG/2uZ5 contract"
_SSH: Final = ("--ssh", "--ssh-cidr", "10.0.0.0/8")
# As `deploy-instance` names the key pair: with the hash of the key without its comment.
_KEY_HASH: Final = hashlib.sha256(PUBLIC_KEY.rpartition(" ")[0].encode()).hexdigest()
KEY_NAME: Final = f"{PREFIX}-machine-{_KEY_HASH[:12]}"

TEMPLATE: Final = """\
Parameters:
  Days: {Type: Number, Default: 3}
Resources:
  Group:
    Type: AWS::Logs::LogGroup
    DeletionPolicy: Delete
    UpdateReplacePolicy: Delete
    Properties: {LogGroupName: /contract/template, RetentionInDays: !Ref Days}
  Queue:
    Type: AWS::SQS::Queue
    DeletionPolicy: Delete
    UpdateReplacePolicy: Delete
Outputs:
  QueueUrl: {Value: !Ref Queue}
"""
IMPORTED: Final = """\
Resources:
  Group:
    Type: AWS::Logs::LogGroup
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties: {LogGroupName: /contract/import, RetentionInDays: 3}
"""
INNER: Final = """\
Parameters: {Name: {Type: String}}
Resources:
  Topic: {Type: AWS::SNS::Topic, Properties: {DisplayName: !Ref Name}}
Outputs:
  TopicName: {Value: !GetAtt Topic.TopicName}
"""
OUTER: Final = """\
Resources:
  Inner:
    Type: AWS::CloudFormation::Stack
    Properties: {TemplateURL: inner.yaml, Parameters: {Name: contract}}
Outputs:
  TopicName: {Value: !GetAtt Inner.Outputs.TopicName}
"""
SERVERLESS: Final = """\
Transform: AWS::Serverless-2016-10-31
Resources:
  Function:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.13
      Handler: index.handler
      InlineCode: "def handler(event, context):\\n    return 1\\n"
Outputs:
  FunctionName: {Value: !Ref Function}
"""
BATCH: Final = """\
version: 0.2
batch:
  fast-fail: false
  build-list:
    - {identifier: one, env: {variables: {WORD: one}}}
    - {identifier: two, env: {variables: {WORD: two}}}
phases:
  build:
    commands:
      - echo "contract-$WORD"
"""
PROGRAM: Final = """\
from os import environ

from exasol_ci_setup import Asset, BuildkitBuilder, ContainerBuilder, LocalDirectory, Registry, Scope


def hangar_run():
    scope = Scope(name="contract", region=environ["AWS_REGION"])
    source = Asset(scope=scope, name="source", source=LocalDirectory(scope=scope, name="context", path="context"))
    image = ContainerBuilder(
        name="image",
        asset=source,
        builder=BuildkitBuilder(scope=scope, name="host"),
        registry=Registry(scope=scope, name="built"),
    )
    image.deploy()
    source.sync()
    image.build(tag="latest").wait()
"""
DOCKERFILE: Final = "FROM public.ecr.aws/docker/library/busybox:stable\nRUN echo contract > /contract\n"
PARAMETERS: Final = 60


def many_parameters() -> str:
    """Return a template with 60 parameters, whose values are one output in their order."""
    names = [f"P{number:02d}" for number in range(PARAMETERS)]
    return json.dumps(
        {
            "Parameters": {name: {"Type": "String"} for name in names},
            "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
            "Outputs": {"All": {"Value": {"Fn::Join": [",", [{"Ref": name} for name in names]]}}},
        }
    )


def _retention(endpoint: Endpoint, stack: str) -> None:
    name = endpoint.physical_id(stack, "AWS::Logs::LogGroup")
    endpoint.client("logs").put_retention_policy(logGroupName=name, retentionInDays=1)


def _open_port(endpoint: Endpoint, stack: str) -> None:
    rule = {"IpProtocol": "tcp", "FromPort": 81, "ToPort": 81, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
    group = endpoint.physical_id(stack, "AWS::EC2::SecurityGroup")
    endpoint.client("ec2").authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])


def _suspend_versioning(endpoint: Endpoint, stack: str) -> None:
    bucket = endpoint.physical_id(stack, "AWS::S3::Bucket")
    endpoint.client("s3").put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})


def _mutable_tags(endpoint: Endpoint, stack: str) -> None:
    name = endpoint.physical_id(stack, "AWS::ECR::Repository")
    endpoint.client("ecr").put_image_tag_mutability(repositoryName=name, imageTagMutability="MUTABLE")


@dataclass(frozen=True)
class Conflict:
    """An existing resource with the `name` of one that a stack would create."""

    name: str
    create: Callable[[Endpoint], object]
    delete: Callable[[Endpoint], object]


def _log_group(name: str) -> Conflict:
    return Conflict(
        name,
        lambda endpoint: endpoint.client("logs").create_log_group(logGroupName=name),
        lambda endpoint: endpoint.client("logs").delete_log_group(logGroupName=name),
    )


@dataclass(frozen=True)
class Kind:
    """A stack that a command deploys, changes and deletes.

    `options` are those of the command, and `change` those that the second deployment adds. `drift` changes a resource outside of CloudFormation, None
    if CloudFormation detects no drift of the resources. `conflict` makes a creation fail.
    """

    stack: str
    options: tuple[str, ...]
    change: tuple[str, ...]
    drift: Callable[[Endpoint, str], None] | None = None
    conflict: Conflict | None = None
    files: Mapping[str, str] = field(default_factory=dict)


KINDS: Final[Mapping[str, Kind]] = {
    "source-credentials": Kind(
        f"{PREFIX}-credentials",
        (
            *("--secret-name", GITHUB_SECRET, "--secret-user-key", "user", "--secret-token-key", "token"),
            *("--stack-name", f"{PREFIX}-credentials"),
        ),
        ("--tag", "contract-change=1"),
    ),
    "ci-build": Kind(
        f"{PREFIX}-ci",
        (
            *("--project", f"{PREFIX}-ci", "--stack-name", f"{PREFIX}-ci", "--project-url", PROJECT_URL),
            *("--docker-secret", "none"),
        ),
        ("--timeout-in-minutes", "60"),
        _retention,
    ),
    "release-build": Kind(
        f"{PREFIX}-release",
        (
            *("--project", f"{PREFIX}-release", "--stack-name", f"{PREFIX}-release", "--project-url", REPOSITORY),
            *("--docker-secret", "none"),
        ),
        ("--timeout-in-minutes", "60"),
        _retention,
        _log_group(f"/aws/codebuild/{PREFIX}-releaseReleaseCodeBuild"),
    ),
    "registry": Kind(
        f"{PREFIX}-images",
        ("--name", f"{PREFIX}-images"),
        ("--untagged-retention-in-days", "7"),
        _mutable_tags,
        Conflict(
            f"{PREFIX}-images",
            lambda endpoint: endpoint.client("ecr").create_repository(repositoryName=f"{PREFIX}-images"),
            lambda endpoint: endpoint.client("ecr").delete_repository(repositoryName=f"{PREFIX}-images"),
        ),
    ),
    "asset": Kind(
        f"{PREFIX}-archives",
        ("--name", f"{PREFIX}-archives"),
        ("--noncurrent-retention-in-days", "5"),
        _suspend_versioning,
    ),
    "container-builder": Kind(
        f"{PREFIX}-builder-of-images",
        (
            *("--name", f"{PREFIX}-builder-of-images", "--bucket-name", f"{PREFIX}-no-such-archives"),
            *("--repository", f"{PREFIX}-no-such-repository"),
        ),
        ("--timeout-in-minutes", "30"),
        _retention,
        _log_group(f"/aws/codebuild/{PREFIX}-builder-of-images"),
    ),
    "cluster": Kind(
        f"{PREFIX}-cluster",
        ("--name", f"{PREFIX}-cluster", "--service", f"name=web,image={IMAGE},port=80"),
        ("--log-retention-in-days", "14"),
        _retention,
    ),
    "security-group": Kind(
        f"{PREFIX}-group",
        ("--name", f"{PREFIX}-group", "--ingress", "tcp:443:10.0.0.0/8"),
        ("--ingress", "tcp:8443:10.0.0.0/8", "--allow-broadening"),
        _open_port,
    ),
    "instance": Kind(
        f"{PREFIX}-machine",
        ("--name", f"{PREFIX}-machine", "--instance-type", "t3.micro", "--path-to-key", "key", *_SSH),
        ("--tag", "contract-change=1"),
        _open_port,
        Conflict(
            KEY_NAME,
            lambda endpoint: endpoint.client("ec2").import_key_pair(
                KeyName=KEY_NAME, PublicKeyMaterial=PUBLIC_KEY.encode()
            ),
            lambda endpoint: endpoint.client("ec2").delete_key_pair(KeyName=KEY_NAME),
        ),
        {"key.pub": PUBLIC_KEY},
    ),
    "template": Kind(
        f"{PREFIX}-template",
        ("template.yaml", "--stack-name", f"{PREFIX}-template"),
        ("--parameter", "Days=5"),
        _retention,
        _log_group("/contract/template"),
        {"template.yaml": TEMPLATE},
    ),
}
SPACE: Final = PREFIX
STACKS_OF_PLATFORM: Final = (f"space-{SPACE}", "spaces-load-balancer", f"workspace-{WORKSPACE}", f"registry-{PREFIX}")
"""Stacks of the commands of the platform; that of the load balancer has no tag."""
STACKS_OF_TEMPLATES: Final[Mapping[str, str]] = {
    f"{PREFIX}-import": IMPORTED,
    f"{PREFIX}-nested": OUTER,
    f"{PREFIX}-serverless": SERVERLESS,
    f"{PREFIX}-parameters": many_parameters(),
}
STACKS_OF_CASES: Final = tuple(
    f"{PREFIX}-{name}" for name in ("credentials-2", "batch", "source", "built", "image", "of-deployer")
)
"""Stacks of the cases of builds and permissions."""
STACKS: Final = frozenset(
    {*(each.stack for each in KINDS.values()), *STACKS_OF_CASES, *STACKS_OF_PLATFORM, *STACKS_OF_TEMPLATES}
)
"""All stacks of a run. Others, such as your stack `contract-archive`, are never deleted."""
SECRETS: Final = (OWN_SECRET, f"{PREFIX}-secret")
GROUPS: Final = (
    *(f"/{PREFIX}/template", f"/{PREFIX}/import", f"/ecs/space-{SPACE}/", f"/ecs/{PREFIX}-cluster/"),
    *(
        f"/aws/codebuild/{PREFIX}-{name}"
        for name in ("ciCodeBuild", "releaseReleaseCodeBuild", "batchReleaseCodeBuild", "builder-of-images", "image")
    ),
)
"""Log groups; a name with a slash at its end is the beginning of names."""
BUCKETS: Final = re.compile(
    rf"(({PREFIX}-(archives|source)|workspace-{WORKSPACE})-bucket|{PREFIX}-(ci|release|batch)-artifactsbucket)-[a-z0-9]+"
)
"""Names that CloudFormation generates for the buckets of a run."""
TEMPLATE_BUCKET: Final = f"{PREFIX}-templates-"
"""The start of the name of the bucket for nested templates; the account and the region follow."""


def write(folder: Path, files: Mapping[str, Any]) -> None:
    """Write files below `folder`."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
