"""The ARNs of the resources that a template creates, as patterns: known names remain, unknown parts become wildcards."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from exasol_ci_setup.template.intrinsics import as_mapping, readable

if TYPE_CHECKING:
    from collections.abc import Mapping

_REFERENCE: Final = re.compile(r"\$\{[^}]*\}")
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9+=,.@_/:*-]")
# The shortest limit of names is 64 characters. CloudFormation shortens both parts of a longer generated name.
_LONGEST_NAME: Final = 64
_RANDOM_LENGTH: Final = 14
_SHORTENED: Final = 20


@dataclass(frozen=True, slots=True)
class Place:
    """The account and the region of a stack in ARNs; ``*`` for unknown ones."""

    account: str = "*"
    region: str = "*"
    partition: str = "aws"

    def arn(self, service: str, resource: str, *, is_global: bool = False) -> str:
        """Return the ARN of a resource."""
        return f"arn:{self.partition}:{service}:{'' if is_global else self.region}:{self.account}:{resource}"


class _Named(NamedTuple):
    """How the ARN of a type contains its name.

    `kind` is the kind of resource in AWS's list of actions. `generated` are further patterns of names that CloudFormation generates: without the
    name of the stack.
    """

    service: str
    kind: str
    name: str
    resources: tuple[str, ...]
    is_global: bool = False
    is_lower: bool = False
    generated: tuple[str, ...] = ()

    def generated_names(self, stack_name: str, logical_id: str) -> list[str]:
        """Return the patterns of the names that CloudFormation generates."""
        names = [_generated(stack_name, logical_id), *(each.format(logical_id) for each in self.generated)]
        return [each.lower() for each in names] if self.is_lower else names


_BY_LOGICAL_ID: Final = ("{}-*",)
_NAMED: Final[Mapping[str, _Named]] = {
    "AWS::CodeBuild::Project": _Named("codebuild", "project", "Name", ("project/{}",), generated=_BY_LOGICAL_ID),
    "AWS::DynamoDB::Table": _Named("dynamodb", "table", "TableName", ("table/{}",)),
    "AWS::ECR::Repository": _Named("ecr", "repository", "RepositoryName", ("repository/{}",), is_lower=True),
    "AWS::ECS::Cluster": _Named("ecs", "cluster", "ClusterName", ("cluster/{}",)),
    "AWS::ECS::Service": _Named("ecs", "service", "ServiceName", ("service/*/{}", "service/{}")),
    "AWS::ECS::TaskDefinition": _Named("ecs", "task-definition", "Family", ("task-definition/{}:*",)),
    "AWS::Events::Rule": _Named("events", "rule", "Name", ("rule/{}",)),
    "AWS::IAM::Group": _Named("iam", "group", "GroupName", ("group{path}{}",), is_global=True),
    "AWS::IAM::InstanceProfile": _Named(
        "iam", "instance-profile", "InstanceProfileName", ("instance-profile{path}{}",), is_global=True
    ),
    "AWS::IAM::ManagedPolicy": _Named("iam", "policy", "ManagedPolicyName", ("policy{path}{}",), is_global=True),
    "AWS::IAM::Role": _Named("iam", "role", "RoleName", ("role{path}{}",), is_global=True),
    "AWS::IAM::User": _Named("iam", "user", "UserName", ("user{path}{}",), is_global=True),
    "AWS::Lambda::Function": _Named("lambda", "function", "FunctionName", ("function:{}", "function:{}:*")),
    "AWS::Logs::LogGroup": _Named("logs", "log-group", "LogGroupName", ("log-group:{}", "log-group:{}:*")),
    "AWS::S3::Bucket": _Named("s3", "bucket", "BucketName", ("{}",), is_lower=True),
    "AWS::SNS::Topic": _Named("sns", "topic", "TopicName", ("{}",)),
    "AWS::SQS::Queue": _Named("sqs", "queue", "QueueName", ("{}",)),
    "AWS::SSM::Parameter": _Named("ssm", "parameter", "Name", ("parameter/{}",), generated=("CFN-{}*",)),
    "AWS::SecretsManager::Secret": _Named(
        "secretsmanager", "secret", "Name", ("secret:{}*",), generated=_BY_LOGICAL_ID
    ),
    "AWS::StepFunctions::StateMachine": _Named(
        "states", "statemachine", "StateMachineName", ("stateMachine:{}",), generated=_BY_LOGICAL_ID
    ),
}


class OwnArns(NamedTuple):
    """The ARNs of one resource by the kind for which policies accept them, and its service."""

    service: str
    by_kind: Mapping[str, tuple[str, ...]]

    @property
    def all(self) -> tuple[str, ...]:
        """The ARNs of all kinds."""
        return tuple(arn for arns in self.by_kind.values() for arn in arns)


def own_arns(logical_id: str, kind: str, resource: Mapping[str, Any], stack_name: str, place: Place) -> OwnArns | None:
    """Return the ARNs of a resource whose references are resolved as far as they are known, or None if its names are unknown."""
    named = _NAMED.get(kind)
    if named is None:
        return None
    properties = as_mapping(resource.get("Properties")) if resource.get("Type") == kind else {}
    if named.name in properties:
        names = [pattern(properties[named.name])]
    else:
        names = named.generated_names(pattern(stack_name), pattern(logical_id))
    path = pattern(properties.get("Path", "/"))
    if named.service == "s3":
        buckets = tuple(f"arn:{place.partition}:s3:::{name}" for name in names)
        return OwnArns("s3", {"bucket": buckets, "object": tuple(f"{arn}/*" for arn in buckets)})
    if named.service == "ssm":
        # The slash before the name is part of the ARN already.
        names = [each.removeprefix("/") for each in names]
    resources = [each.format(name, path=path) for name in names for each in named.resources]
    arns = tuple(place.arn(named.service, each, is_global=named.is_global) for each in resources)
    return OwnArns(named.service, {named.kind: arns})


def pattern(value: Any) -> str:
    """Return a value of a template as a part of an ARN: what is unknown before the deployment becomes ``*``."""
    return re.sub(r"\*+", "*", _part(value)) or "*"


def _part(value: Any) -> str:
    match value:
        case {"Fn::Sub": [str() as text, dict() as variables]}:
            # A function that remains in a part is unknown, not the whole text.
            value = {"Fn::Sub": [text, {name: _part(each) for name, each in variables.items()}]}
        case {"Fn::Join": [str() as delimiter, list() as parts]}:
            value = {"Fn::Join": [delimiter, [_part(each) for each in parts]]}
    text = readable(value)
    return "*" if text.startswith(("{", "[")) else _UNSAFE.sub("*", _REFERENCE.sub("*", text))


def _generated(stack_name: str, logical_id: str) -> str:
    """Return the pattern of the names that CloudFormation generates: stack, logical ID and random characters.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cfn-supplied-names.html
    """
    # A wildcard in the name of a nested stack is as long as the random characters.
    longest = (len(each) + (_RANDOM_LENGTH - 2) * each.count("*") for each in (stack_name, logical_id))
    if sum(longest) + _RANDOM_LENGTH > _LONGEST_NAME:
        return f"{stack_name.partition('*')[0][:_SHORTENED]}*"
    return f"{stack_name}-{logical_id.removesuffix('*')}*"
