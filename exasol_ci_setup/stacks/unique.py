"""Resources that exist only once per identity on AWS, and their logical IDs, which a stack must keep.

CloudFormation creates what a template adds before it deletes what the template no longer has:
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-updating-stacks-update-behaviors.html. With a new logical ID such a
resource either fails with "already exists", or is created and then deleted under its old ID.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.template import intrinsics, references
from exasol_ci_setup.template.render import parse, written

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exasol_ci_setup.core.stacks import Change
    from exasol_ci_setup.template.render import Template

IDENTITY: Final[Mapping[str, tuple[str, ...]]] = {
    "AWS::CodeBuild::Project": ("Name",),
    # https://docs.aws.amazon.com/codebuild/latest/APIReference/API_ImportSourceCredentials.html: one for each kind of server.
    "AWS::CodeBuild::SourceCredential": ("ServerType",),
    "AWS::DynamoDB::Table": ("TableName",),
    "AWS::EC2::KeyPair": ("KeyName",),
    "AWS::ECR::Repository": ("RepositoryName",),
    "AWS::ECS::Cluster": ("ClusterName",),
    "AWS::ECS::Service": ("Cluster", "ServiceName"),
    "AWS::ElasticLoadBalancingV2::ListenerCertificate": ("ListenerArn", "Certificates"),
    "AWS::ElasticLoadBalancingV2::LoadBalancer": ("Name",),
    "AWS::ElasticLoadBalancingV2::TargetGroup": ("Name",),
    "AWS::Events::Rule": ("Name",),
    "AWS::IAM::InstanceProfile": ("InstanceProfileName",),
    "AWS::IAM::ManagedPolicy": ("ManagedPolicyName",),
    "AWS::IAM::Role": ("RoleName",),
    "AWS::IAM::User": ("UserName",),
    "AWS::Lambda::Function": ("FunctionName",),
    "AWS::Logs::LogGroup": ("LogGroupName",),
    "AWS::Route53::RecordSet": ("Name", "Type"),
    "AWS::S3::Bucket": ("BucketName",),
    "AWS::S3::BucketPolicy": ("Bucket",),
    "AWS::SNS::Topic": ("TopicName",),
    "AWS::SQS::Queue": ("QueueName",),
    "AWS::SSM::Parameter": ("Name",),
    "AWS::SecretsManager::Secret": ("Name",),
}
"""The properties that identify a resource of a type. A resource without one of them gets a generated name from CloudFormation."""


_UNNAMED: Final = frozenset(
    {
        "AWS::CodeBuild::SourceCredential",
        "AWS::ElasticLoadBalancingV2::ListenerCertificate",
        "AWS::Route53::RecordSet",
        "AWS::S3::BucketPolicy",
    }
)
"""Types that are identified by properties other than a name."""


def renamed(
    before: Mapping[str, Any],
    wanted: Mapping[str, Any],
    *,
    before_parameters: Mapping[str, str],
    parameters: Mapping[str, str],
    former_ids: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """Return the logical IDs in the parsed template `before` of resources that have another ID in `wanted`.

    The keys are the IDs in `wanted`, the values those in `before`. Resources with equal identity count, and those of one type in `former_ids`.
    """
    found: dict[str, str] = {}
    after = intrinsics.as_mapping(wanted.get("Resources"))
    taken = {*after, *intrinsics.as_mapping(wanted.get("Parameters"))}
    there = intrinsics.as_mapping(before.get("Resources"))
    if there.keys() <= taken:
        return found
    found |= {
        name: former
        for name, former in former_ids.items()
        if former in there.keys() - taken
        and name in after.keys() - there.keys()
        and _type(after[name]) == _type(there[former])
    }
    gone = {
        name: identity
        for name, identity in _identities(before, before_parameters).items()
        if name not in {*taken, *found.values()}
    }
    while gone:
        # The identity of a bucket policy is its bucket. That may be renamed too, so the policy is matched in the next round.
        new = _identities(references.renamed(wanted, found), parameters)
        by_identity = {identity: name for name, identity in new.items() if name not in there}
        more = {by_identity[identity]: name for name, identity in gone.items() if identity in by_identity}
        if not more:
            break
        found.update(more)
        gone = {name: identity for name, identity in gone.items() if name not in more.values()}
    return found


def with_kept_ids(template: Template, ids: Mapping[str, str]) -> Template:
    """Return `template` with the resources renamed from the keys of `ids` to their values, including all references."""
    if not ids:
        return template
    return replace(template, body=written(references.renamed(parse(template.body), ids)))


def notes(template: Mapping[str, Any], ids: Mapping[str, str]) -> tuple[str, ...]:
    """Return a line for each kept logical ID, a value of `ids`, in the parsed `template`."""
    return tuple(
        f"{kept} keeps its logical ID, instead of {name}: an update to a new ID would delete this "
        f"{template['Resources'][kept].get('Type')}"
        for name, kept in ids.items()
    )


def replacement_notes(
    changes: Iterable[Change],
    before: Mapping[str, Any],
    wanted: Mapping[str, Any],
    *,
    before_parameters: Mapping[str, str],
    parameters: Mapping[str, str],
) -> tuple[str, ...]:
    """Return a line for each change that replaces, or may replace, a resource with an unchanged name of its own.

    `before` and `wanted` are the parsed templates. CloudFormation creates the new resource first, and refuses to do so under the same name:
    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-name.html.
    """
    replaced = [change for change in changes if change.action == "Modify" and change.may_replace]
    if not replaced:
        return ()
    old, new = _identities(before, before_parameters), _identities(wanted, parameters)
    return tuple(
        f"{change.logical_id} has a name of its own ({IDENTITY[change.type][-1]}): CloudFormation refuses to replace it"
        f"{'' if change.replacement == 'True' else ', if this change does that'}; "
        "choose another name, or remove the resource in one deployment and add it in the next"
        for change in replaced
        if change.logical_id in new
        and old.get(change.logical_id) == new[change.logical_id]
        and change.type not in _UNNAMED
    )


def _type(resource: Any) -> str:
    return str(intrinsics.as_mapping(resource).get("Type", ""))


def _identities(template: Mapping[str, Any], parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the identity of each resource of a parsed template, with its type; resources with a generated name are omitted."""
    found = {}
    resources = intrinsics.as_mapping(intrinsics.resolve(template, parameters).get("Resources"))
    for name, resource in resources.items():
        kind = _type(resource)
        properties = intrinsics.as_mapping(intrinsics.as_mapping(resource).get("Properties"))
        named = IDENTITY.get(kind, ())
        if named and all(each in properties for each in named):
            found[str(name)] = intrinsics.canonical([kind, *(properties[each] for each in named)])
    return found
