"""What the deployer's policy has to know of a stack: its template, its parameters, and the calls before its deployment and its deletion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from exasol_ci_setup.access.deployer import StackToDeploy
from exasol_ci_setup.constructs import CiBuild, Instance, ReleaseBuild, SourceCredentials
from exasol_ci_setup.constructs.base import ScopedConstruct
from exasol_ci_setup.stacks import linked_roles, source_access, users
from exasol_ci_setup.stacks.user_template import known_choice
from exasol_ci_setup.template.intrinsics import as_mapping
from exasol_ci_setup.template.limits import LARGEST_BODY
from exasol_ci_setup.template.render import parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exasol_ci_setup.access.resource_arns import Place
    from exasol_ci_setup.constructs.base import Construct
    from exasol_ci_setup.stacks.user_template import TemplateStack
    from exasol_ci_setup.template.artifacts import LocalArtifacts
    from exasol_ci_setup.template.render import Template


def of_construct(
    construct: Construct, artifacts: LocalArtifacts, parsed: Mapping[str, Any], place: Place, *, bucket: str = ""
) -> StackToDeploy:
    """Return what the policy for `construct` has to know.

    `artifacts` has its template, and `parsed` is the same template parsed. `bucket` is the user's bucket for large templates and artifacts.
    """
    scoped = isinstance(construct, ScopedConstruct)
    return StackToDeploy(
        construct.stack_name,
        parsed,
        parameters=construct.static_parameters if isinstance(construct, ScopedConstruct) else {},
        has_uploads=bool(artifacts) or _is_large(artifacts.template),
        bucket=bucket,
        nested=_nested(artifacts),
        calls={
            **_linked_role_calls(parsed, place),
            **_source_access_calls(parsed),
            **_deletion_calls(parsed, place),
            **_secret_calls(construct, place),
            **(_parameter_calls(construct, place) if scoped else {}),
        },
    )


def of_template(stack: TemplateStack, place: Place, *, bucket: str = "") -> StackToDeploy:
    """Return what the policy for the user's own template has to know; only values without AWS are known."""
    choice = known_choice(stack)
    return StackToDeploy(
        stack.name,
        stack.loaded.parsed,
        parameters={name: value for name, value in choice.values.items() if not stack.declared[name].no_echo},
        has_uploads=bool(stack.artifacts) or _is_large(stack.loaded.template),
        bucket=bucket,
        nested=_nested(stack.artifacts),
        calls={
            **_linked_role_calls(stack.loaded.parsed, place),
            **_source_access_calls(stack.loaded.parsed),
            **_deletion_calls(stack.loaded.parsed, place),
        },
    )


def _nested(artifacts: LocalArtifacts, above: str = "") -> dict[str, dict[str, Any]]:
    """Return the parsed templates of nested stacks in local files at any depth, by their paths of logical IDs."""
    found: dict[str, dict[str, Any]] = {}
    for each in artifacts.artifacts:
        if each.nested is None:
            continue
        path = f"{above}{each.keys[-3]}"
        found[path] = parse(each.nested.template.body)
        found |= _nested(each.nested, f"{path}/")
    return found


def _is_large(template: Template) -> bool:
    return len(template.body.encode()) > LARGEST_BODY


def _types(parsed: Mapping[str, Any]) -> set[Any]:
    return {as_mapping(each).get("Type") for each in as_mapping(parsed.get("Resources")).values()}


def _source_access_calls(parsed: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the call that checks whether CodeBuild can read repositories."""
    return {"codebuild:ListSourceCredentials": ("*",)} if source_access.PROJECT in _types(parsed) else {}


def _deletion_calls(parsed: Mapping[str, Any], place: Place) -> dict[str, tuple[str, ...]]:
    """Return the call that finds the stacks which use a resource, before its deletion."""
    if not _types(parsed) & users.NAMED_IN_TEMPLATES:
        return {}
    return {"cloudformation:GetTemplate": (place.arn("cloudformation", "stack/*"),)}


def _linked_role_calls(parsed: Mapping[str, Any], place: Place) -> dict[str, tuple[str, ...]]:
    """Return the calls that create missing service-linked roles, with the ARNs of the roles."""
    types = _types(parsed)
    arns = tuple(
        place.arn("iam", f"role/aws-service-role/{service}/{role}", is_global=True)
        for kind, (service, role) in linked_roles.ROLES.items()
        if kind in types
    )
    return {"iam:CreateServiceLinkedRole": arns, "iam:GetRole": arns} if arns else {}


def _secret_calls(construct: Construct, place: Place) -> dict[str, tuple[str, ...]]:
    """Return the call that checks a secret, with the ARN of the secret."""
    name = ""
    if isinstance(construct, CiBuild | ReleaseBuild) and construct.has_docker_login:
        name = construct.known_docker_secret_arn or construct.docker_secret
    elif isinstance(construct, SourceCredentials):
        name = construct.secret_name
    if not name:
        return {}
    # Secrets Manager adds six random characters to the name.
    arn = name if name.startswith("arn:") else place.arn("secretsmanager", f"secret:{name}-*")
    return {"secretsmanager:DescribeSecret": (arn,)}


def _parameter_calls(construct: Construct, place: Place) -> dict[str, tuple[str, ...]]:
    """Return the calls that find values of parameters: default VPC and subnets, image of an instance, priorities of rules."""
    actions = ["ec2:DescribeSubnets", "ec2:DescribeVpcs"] if construct.network_parameters else []
    if isinstance(construct, Instance):
        actions += ["ec2:DescribeInstances", "ec2:DescribeInstanceTypeOfferings"]
    if construct.listener_rules:
        actions.append("elasticloadbalancing:DescribeRules")
    image = construct.ami_parameter if isinstance(construct, Instance) and construct.image_id is None else None
    parameter = {"ssm:GetParameter": (f"arn:{place.partition}:ssm:{place.region}::parameter{image}",)} if image else {}
    return {**dict.fromkeys(actions, ("*",)), **parameter}
