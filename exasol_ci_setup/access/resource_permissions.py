"""The IAM actions that CloudFormation needs for resources of a type, from the types' schemas and AWS's list of actions.

Both are data of cfn-lint: the ``handlers`` of https://docs.aws.amazon.com/cloudformation-cli/latest/userguide/resource-type-schema.html, and
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.template.intrinsics import as_mapping

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_HANDLERS: Final = ("create", "read", "update", "delete")
# The data of a region has the types that exist there; this one has nearly all.
_REGION: Final = "us-east-1"

# S3 names some operations differently from their permissions, and types list the operations:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
_PERMISSION_OF: Final = {
    "s3:deletebucketanalyticsconfiguration": "s3:PutAnalyticsConfiguration",
    "s3:deletebucketcors": "s3:PutBucketCORS",
    "s3:deletebucketencryption": "s3:PutEncryptionConfiguration",
    "s3:deletebucketlifecycle": "s3:PutLifecycleConfiguration",
    "s3:deletebucketmetricsconfiguration": "s3:PutMetricsConfiguration",
    "s3:deletebucketreplication": "s3:PutReplicationConfiguration",
    "s3:putbucketreplication": "s3:PutReplicationConfiguration",
    "s3:putobjectlockconfiguration": "s3:PutBucketObjectLockConfiguration",
}
# Types whose schemas list no permissions.
_WITHOUT_HANDLERS: Final[Mapping[str, tuple[str, ...]]] = {
    "AWS::CDK::Metadata": (),
    "AWS::CloudFormation::Macro": (),
    "AWS::CloudFormation::Stack": (),
    "AWS::CloudFormation::WaitCondition": (),
    "AWS::CloudFormation::WaitConditionHandle": (),
    "AWS::CodeBuild::Project": (
        *(
            "codebuild:CreateProject",
            "codebuild:UpdateProject",
            "codebuild:DeleteProject",
            "codebuild:BatchGetProjects",
        ),
        *("codebuild:CreateWebhook", "codebuild:UpdateWebhook", "codebuild:DeleteWebhook", "iam:PassRole"),
    ),
    "AWS::ElasticLoadBalancingV2::ListenerCertificate": (
        "elasticloadbalancing:AddListenerCertificates",
        "elasticloadbalancing:RemoveListenerCertificates",
        "elasticloadbalancing:DescribeListenerCertificates",
    ),
    "AWS::IAM::AccessKey": (
        *("iam:CreateAccessKey", "iam:UpdateAccessKey", "iam:DeleteAccessKey", "iam:ListAccessKeys"),
    ),
    "AWS::IAM::UserToGroupAddition": ("iam:AddUserToGroup", "iam:RemoveUserFromGroup", "iam:GetGroup"),
    "AWS::Route53::RecordSetGroup": (
        *("route53:ChangeResourceRecordSets", "route53:GetChange", "route53:ListResourceRecordSets"),
        *("route53:GetHostedZone", "route53:ListHostedZonesByName"),
    ),
}
# Permissions that calls need of other services, but that the schemas do not list:
# https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/elb-api-permissions.html
_NOT_LISTED: Final[Mapping[str, tuple[str, ...]]] = {
    "AWS::ElasticLoadBalancingV2::LoadBalancer": (
        *("ec2:DescribeAccountAttributes", "ec2:DescribeAddresses", "ec2:DescribeInternetGateways"),
        *("ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs", "iam:CreateServiceLinkedRole"),
    ),
    "AWS::ElasticLoadBalancingV2::TargetGroup": (
        *("ec2:DescribeInstances", "ec2:DescribeInternetGateways", "ec2:DescribeSubnets", "ec2:DescribeVpcs"),
        "iam:CreateServiceLinkedRole",
    ),
}
# Actions of other services that a type needs only with one of these properties.
_ONLY_WITH: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("AWS::Lambda::Function", "ec2"): ("VpcConfig",),
    ("AWS::Lambda::Function", "elasticfilesystem"): ("FileSystemConfigs",),
    ("AWS::Lambda::Function", "kms"): ("KmsKeyArn", "Code"),
    ("AWS::Logs::LogGroup", "firehose"): ("LogGroupClass",),
    ("AWS::Logs::LogGroup", "s3"): ("LogGroupClass",),
    ("AWS::S3::Bucket", "s3tables"): ("MetadataConfiguration", "MetadataTableConfiguration"),
}
_CUSTOM: Final = ("lambda:InvokeFunction", "sns:Publish")
# The types that the transform AWS::Serverless creates:
# https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-specification-generated-resources.html
_OF_SERVERLESS: Final[Mapping[str, tuple[str, ...]]] = {
    "AWS::Serverless::Api": (
        *("AWS::ApiGateway::RestApi", "AWS::ApiGateway::Deployment", "AWS::ApiGateway::Stage"),
        "AWS::Lambda::Permission",
    ),
    "AWS::Serverless::Application": ("AWS::CloudFormation::Stack",),
    "AWS::Serverless::Function": (
        *("AWS::Lambda::Function", "AWS::Lambda::Version", "AWS::Lambda::Alias", "AWS::Lambda::Permission"),
        *("AWS::Lambda::EventSourceMapping", "AWS::IAM::Role"),
    ),
    "AWS::Serverless::GraphQLApi": (
        *(
            "AWS::AppSync::GraphQLApi",
            "AWS::AppSync::GraphQLSchema",
            "AWS::AppSync::DataSource",
            "AWS::AppSync::Resolver",
        ),
        *("AWS::AppSync::FunctionConfiguration", "AWS::IAM::Role"),
    ),
    "AWS::Serverless::HttpApi": ("AWS::ApiGatewayV2::Api", "AWS::ApiGatewayV2::Stage", "AWS::Lambda::Permission"),
    "AWS::Serverless::LayerVersion": ("AWS::Lambda::LayerVersion",),
    "AWS::Serverless::SimpleTable": ("AWS::DynamoDB::Table",),
    "AWS::Serverless::StateMachine": ("AWS::StepFunctions::StateMachine", "AWS::IAM::Role"),
}
_OF_EVENT: Final[Mapping[str, tuple[str, ...]]] = {
    "Api": _OF_SERVERLESS["AWS::Serverless::Api"],
    "CloudWatchEvent": ("AWS::Events::Rule",),
    "CloudWatchLogs": ("AWS::Logs::SubscriptionFilter",),
    "EventBridgeRule": ("AWS::Events::Rule",),
    "HttpApi": _OF_SERVERLESS["AWS::Serverless::HttpApi"],
    "IoTRule": ("AWS::IoT::TopicRule",),
    "S3": ("AWS::S3::Bucket",),
    "SNS": ("AWS::SNS::Subscription",),
    "Schedule": ("AWS::Events::Rule",),
    "ScheduleV2": ("AWS::Scheduler::Schedule", "AWS::IAM::Role"),
}


def created_types(resource: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the types that CloudFormation creates for a parsed resource: its own, or those of the transform AWS::Serverless."""
    kind = resource.get("Type")
    if not isinstance(kind, str):
        # The linter and AWS reject such a template.
        return ()
    if kind not in _OF_SERVERLESS:
        return (kind,)
    found = list(_OF_SERVERLESS[kind])
    for event in as_mapping(as_mapping(resource.get("Properties")).get("Events")).values():
        found += _OF_EVENT.get(str(as_mapping(event).get("Type", "")), ())
    return tuple(dict.fromkeys(found))


def needed_permissions(kind: str, resource: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the actions of `permissions` that a parsed resource may need, given its properties."""
    actions = permissions(kind)
    if actions is None or resource.get("Type") != kind:
        return actions
    properties = as_mapping(resource.get("Properties"))

    def is_needed(action: str) -> bool:
        conditions = _ONLY_WITH.get((kind, action.partition(":")[0]))
        return conditions is None or any(each in properties for each in conditions)

    return tuple(filter(is_needed, actions))


def permissions(kind: str) -> tuple[str, ...] | None:
    """Return the actions for creating, reading, updating, tagging and deleting resources of a type; None if AWS does not publish them."""
    if kind.startswith("Custom::") or kind == "AWS::CloudFormation::CustomResource":
        return _CUSTOM
    if kind in _WITHOUT_HANDLERS:
        return _WITHOUT_HANDLERS[kind]
    schema = _schema(kind)
    listed = [
        action
        for handler in _HANDLERS
        for action in as_mapping(as_mapping(schema.get("handlers")).get(handler)).get("permissions", ())
    ]
    if not listed:
        return None
    listed += as_mapping(schema.get("tagging")).get("permissions", ())
    listed += _NOT_LISTED.get(kind, ())
    found: dict[str, str] = {}
    for action in listed:
        renamed = _PERMISSION_OF.get(action.lower(), action)
        if is_action(renamed):
            found.setdefault(renamed.lower(), renamed)
    return tuple(sorted(found.values()))


def is_action(action: str) -> bool:
    """Return whether AWS lists an action like this, such as ``ecs:RunTask`` or ``ecs:Run*``. Some schemas have names of other kinds."""
    return next(_matching(action), None) is not None


def resource_kinds(action: str) -> frozenset[str]:
    """Return the kinds of resources to which a policy can limit an action, such as ``role``; empty if there are no such kinds, or several actions."""
    found = list(_matching(action))
    return (
        frozenset(each.lower() for each in as_mapping(found[0]).get("Resources", ()))
        if len(found) == 1
        else frozenset()
    )


def _matching(action: str) -> Iterator[Any]:
    service, _, name = action.lower().partition(":")
    known = as_mapping(as_mapping(_services().get(service)).get("Actions"))
    if "*" not in name:
        yield from (known[name],) if name in known else ()
        return
    yield from (each for key, each in known.items() if fnmatchcase(key, name))


@cache
def _services() -> Mapping[str, Any]:
    from cfnlint.data import AdditionalSpecs
    from cfnlint.helpers import load_resource

    return as_mapping(load_resource(AdditionalSpecs, "Policies.json"))


def _schema(kind: str) -> Mapping[str, Any]:
    from cfnlint.schema import PROVIDER_SCHEMA_MANAGER, ResourceNotFoundError

    try:
        return as_mapping(PROVIDER_SCHEMA_MANAGER.get_resource_schema(_REGION, kind).schema)
    except ResourceNotFoundError:
        return {}
