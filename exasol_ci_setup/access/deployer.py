"""The IAM policy that suffices to deploy stacks: the calls of this tool, and what CloudFormation does with the caller's permissions."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from exasol_ci_setup.access.policies import as_list
from exasol_ci_setup.access.resource_arns import OwnArns, Place, own_arns, pattern
from exasol_ci_setup.access.resource_permissions import (
    created_types,
    needed_permissions,
    permissions,
    resource_kinds,
)
from exasol_ci_setup.core.parameter_actions import ACTIONS
from exasol_ci_setup.template.intrinsics import as_mapping, readable, resolve, resources_with_loops
from exasol_ci_setup.template.references import resource_references
from exasol_ci_setup.template.render import texts, transforms

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

Audience = Literal["caller", "cloudformation-role"]

LARGEST_POLICY: Final = 6_144
"""Maximum characters of a managed policy, without white space: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html."""

_VERSION: Final = "2012-10-17"
_PASSING: Final = "iam:PassRole"
_LINKED_ROLE: Final = "iam:CreateServiceLinkedRole"
_STACK: Final = "AWS::CloudFormation::Stack"
_ROLE: Final = "AWS::IAM::Role"
_SSM_VALUE: Final = "AWS::SSM::Parameter::Value"
# A custom resource calls the function or the topic of its ServiceToken.
_CUSTOM_ACTIONS: Final = frozenset({"lambda:InvokeFunction", "sns:Publish"})
# Calls of this tool that name a stack. Deleting is among them: a plan that is not applied deletes the empty stack.
_STACK_ACTIONS: Final = (
    *("CancelUpdateStack", "ContinueUpdateRollback", "CreateChangeSet", "DeleteChangeSet", "DeleteStack"),
    *("DescribeChangeSet", "DescribeStackEvents", "DescribeStackResource", "DescribeStackResourceDrifts"),
    *("DetectStackDrift", "DetectStackResourceDrift", "ExecuteChangeSet", "GetStackPolicy", "GetTemplate"),
    *("ListChangeSets", "ListStackResources", "SetStackPolicy", "TagResource", "UntagResource"),
    "UpdateTerminationProtection",
)
# Calls that name a change set by its ARN, which AWS may check instead of the stack.
_CHANGE_SET_ACTIONS: Final = ("DeleteChangeSet", "DescribeChangeSet", "ExecuteChangeSet", "GetTemplate")
CHANGE_SETS: Final = "exasol-ci-setup-"
"""The start of the names of change sets of this tool."""
# Calls that name no stack, or list several.
_ACCOUNT_ACTIONS: Final = (
    *("DescribeEvents", "DescribeStackDriftDetectionStatus", "DescribeStackResources", "DescribeStacks"),
    "EstimateTemplateCost",
    *("GetTemplateSummary", "ListExports", "ListImports", "ListStacks", "ValidateTemplate"),
)
# What CloudFormation does for a nested stack, with the permissions of the caller or of its role.
_NESTED_ACTIONS: Final = (
    *("CreateChangeSet", "CreateStack", "DeleteChangeSet", "DeleteStack", "DescribeChangeSet", "DescribeStacks"),
    *("ExecuteChangeSet", "TagResource", "UntagResource", "UpdateStack"),
)
_BUCKET_ACTIONS: Final = (
    *("CreateBucket", "ListBucket", "PutBucketPublicAccessBlock", "PutBucketTagging", "PutBucketVersioning"),
    *("PutEncryptionConfiguration", "PutLifecycleConfiguration"),
)
_OBJECT_ACTIONS: Final = ("AbortMultipartUpload", "GetObject", "PutObject")
# Calls that explain why an ECS service does not become stable.
_OF_SERVICE: Final = (
    *("ecs:DescribeServices", "ecs:DescribeTaskDefinition", "ecs:DescribeTasks", "ecs:ListTasks"),
    "logs:GetLogEvents",
)
# Calls that explain why a custom resource failed.
_OF_FUNCTION: Final = ("lambda:GetFunctionConfiguration", "logs:FilterLogEvents")
_DYNAMIC: Final = re.compile(r"\{\{resolve:(secretsmanager|ssm|ssm-secure):([^}]+)\}\}")
_SECRET_ARN: Final = re.compile(r"arn:[a-z-]+:secretsmanager:[^:]+:[0-9*]+:secret:[^:}]+")
_ROLE_ARN: Final = re.compile(r"arn:[a-z*-]+:iam::[0-9*]*:role/[A-Za-z0-9+=,.@_/*-]+")


@dataclass(frozen=True, slots=True)
class StackToDeploy:
    """A stack of which a policy is made: its name, its parsed template, and the values of parameters as far as they are known.

    `has_uploads`: the template is large, or it has local artifacts. `bucket` is the user's bucket for them, empty for that of this tool.
    `nested` has the parsed templates of nested stacks, at any depth, by their paths of logical IDs, such as ``Outer/Inner``. `calls` are further actions that this tool calls before the deployment,
    with their ARNs, such as ``secretsmanager:DescribeSecret``.
    """

    name: str
    template: Mapping[str, Any]
    parameters: Mapping[str, str] = field(default_factory=dict)
    has_uploads: bool = False
    bucket: str = ""
    nested: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    calls: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeployerPolicy:
    """Policy documents, each within the limit of IAM for a managed policy. `trust` is for a role of CloudFormation, else None.

    `notes` say what the policy does not contain.
    """

    documents: tuple[Mapping[str, Any], ...]
    trust: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()


def deployer_policy(
    stacks: Sequence[StackToDeploy],
    place: Place,
    *,
    audience: Audience = "caller",
    role_arn: str = "",
) -> DeployerPolicy:
    """Return the policy for deploying `stacks`, by the caller or by a role that CloudFormation assumes.

    `role_arn`: CloudFormation uses this role, so the caller needs only the calls of this tool, and the permission to pass the role.
    """
    grants = _Grants(place)
    notes: list[str] = []
    for stack in stacks:
        if audience == "caller":
            _grant_calls(grants, stack)
        if stack.has_uploads:
            grants.add_bucket(stack.bucket, is_reader=audience != "caller")
        if audience == "caller" and role_arn:
            grants.pass_role([role_arn], ["cloudformation.amazonaws.com"])
        else:
            notes += _grant_resources(grants, stack)
    documents = tuple(_documents(grants.statements()))
    if len(documents) > 1:
        notes.append(
            f"the policy is split into {len(documents)} documents, because IAM allows {LARGEST_POLICY} characters in one"
        )
    trust = _trust(place) if audience == "cloudformation-role" else None
    return DeployerPolicy(documents, trust, tuple(dict.fromkeys(notes)))


def size(document: Mapping[str, Any]) -> int:
    """Return the size of a policy as IAM counts it: characters without white space."""
    return len("".join(json.dumps(document).split()))


class _Grants:
    """Actions with the ARNs to which they are limited."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._arns: dict[str, set[str]] = defaultdict(set)
        self._names: dict[str, str] = {}
        self._roles: dict[str, set[str]] = defaultdict(set)

    def add(self, actions: Iterable[str], arns: Iterable[str]) -> None:
        """Allow `actions` on `arns`."""
        for action in actions:
            name = self._names.setdefault(action.lower(), action)
            self._arns[name].update(arns)

    def pass_role(self, arns: Iterable[str], services: Iterable[str]) -> None:
        """Allow to pass roles to `services`, or to all if that is empty."""
        for arn in arns:
            self._roles[arn].update(services or {"*"})

    def add_bucket(self, bucket: str, *, is_reader: bool) -> None:
        """Allow to use the bucket for templates and artifacts."""
        place = self.place
        name = bucket or f"exasol-ci-setup-templates-{place.account}-{place.region}"
        arn = f"arn:{place.partition}:s3:::{name}"
        if not is_reader:
            self.add((f"s3:{each}" for each in (("ListBucket",) if bucket else _BUCKET_ACTIONS)), [arn])
        self.add((f"s3:{each}" for each in (("GetObject",) if is_reader else _OBJECT_ACTIONS)), [f"{arn}/*"])

    def statements(self) -> list[dict[str, Any]]:
        """Return the statements, one for each set of ARNs, with sorted actions."""
        by_arns: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for action, arns in self._arns.items():
            key = ("*",) if "*" in arns else tuple(sorted(_without_covered(arns)))
            by_arns[key].append(action)
        found = [
            {"Effect": "Allow", "Action": sorted(actions), "Resource": _one_or_list(arns)}
            for arns, actions in sorted(by_arns.items())
        ]
        by_services: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for arn, services in self._roles.items():
            by_services[() if "*" in services else tuple(sorted(services))].append(arn)
        for allowed, arns_of_roles in sorted(by_services.items()):
            statement: dict[str, Any] = {
                "Effect": "Allow",
                "Action": _PASSING,
                "Resource": _one_or_list(sorted(_without_covered(set(arns_of_roles)))),
            }
            if allowed:
                statement["Condition"] = {"StringEquals": {"iam:PassedToService": _one_or_list(allowed)}}
            found.append(statement)
        return found


def _without_covered(arns: set[str]) -> set[str]:
    """Return `arns` without those that another one with a wildcard at its end contains."""
    prefixes = {arn[:-1] for arn in arns if arn.endswith("*")}
    return {arn for arn in arns if not any(arn.startswith(each) and arn != f"{each}*" for each in prefixes)}


def _one_or_list(values: Sequence[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else list(values)


def _grant_calls(grants: _Grants, stack: StackToDeploy) -> None:
    """Allow the calls of this tool for one stack."""
    place = grants.place
    name = pattern(stack.name)
    arns = [place.arn("cloudformation", f"stack/{name}/*")]
    templates = [stack.template, *stack.nested.values()]
    kinds = {
        kind for each in templates for _, resource in resources_with_loops(each) for kind in created_types(resource)
    }
    if _STACK in kinds:
        # This tool follows nested stacks too.
        arns.append(place.arn("cloudformation", f"stack/{name}-*/*"))
    grants.add((f"cloudformation:{each}" for each in _STACK_ACTIONS), arns)
    change_sets = place.arn("cloudformation", f"changeSet/{CHANGE_SETS}*")
    grants.add((f"cloudformation:{each}" for each in _CHANGE_SET_ACTIONS), [change_sets])
    grants.add((f"cloudformation:{each}" for each in _ACCOUNT_ACTIONS), ["*"])
    _grant_transforms(grants, stack.template)
    for action, on in stack.calls.items():
        grants.add([action], on)
    if "AWS::ECS::Service" in kinds:
        grants.add(_OF_SERVICE, ["*"])
    if any(kind.startswith("Custom::") or kind == "AWS::CloudFormation::CustomResource" for kind in kinds):
        grants.add(_OF_FUNCTION, ["*"])
    # Explains general failure reasons.
    grants.add(["cloudtrail:LookupEvents"], ["*"])


def _grant_transforms(grants: _Grants, template: Mapping[str, Any]) -> None:
    """Allow to use the macros of a template."""
    place = grants.place
    for macro in transforms(template):
        owner = "aws" if macro.startswith("AWS::") else place.account
        transform = pattern(macro.removeprefix("AWS::"))
        arn = f"arn:{place.partition}:cloudformation:{place.region}:{owner}:transform/{transform}"
        grants.add(("cloudformation:CreateChangeSet",), [arn])


class _Resources:
    """The resources of a stack, resolved as far as values are known, and their ARNs by the types that they create."""

    def __init__(self, stack: StackToDeploy, place: Place) -> None:
        values = {"AWS::StackName": stack.name, "AWS::Partition": place.partition, **stack.parameters}
        known = {"AWS::AccountId": place.account, "AWS::Region": place.region}
        values |= {name: value for name, value in known.items() if value != "*"}
        self._original = _by_id(stack.template)
        self.by_id = _by_id(resolve(stack.template, values))
        self.arns = {
            logical_id: {
                kind: own_arns(logical_id, kind, resource, stack.name, place) for kind in created_types(resource)
            }
            for logical_id, resource in self.by_id.items()
        }

    def references(self, logical_id: str) -> list[str]:
        """Return the names that a resource refers to."""
        return [each.name for each in resource_references(self._original.get(logical_id, {}))]

    def near(self, logical_id: str) -> list[OwnArns]:
        """Return the known ARNs of the resources that a resource refers to."""
        names = [name for name in self.references(logical_id) if name in self.arns]
        return [each for name in names for each in self.arns[name].values() if each is not None]

    def type(self, logical_id: str) -> str:
        """Return the type of a resource, empty if no resource has that logical ID."""
        return str(as_mapping(self.by_id.get(logical_id)).get("Type", ""))


def _by_id(template: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {str(keys[-1]): resource for keys, resource in resources_with_loops(template)}


def _grant_resources(grants: _Grants, stack: StackToDeploy) -> Iterator[str]:
    """Allow what CloudFormation does for the resources of a stack, and of those nested in it; yield notes."""
    _grant_parameters(grants, stack)
    resources = _Resources(stack, grants.place)
    for logical_id, resource in resources.by_id.items():
        kinds = created_types(resource)
        near = resources.near(logical_id)
        for kind in kinds:
            actions = needed_permissions(kind, resource)
            if actions is None:
                yield f"{logical_id}: AWS does not publish which permissions {kind} needs, so they are not in the policy"
                continue
            _grant_resource(grants, resource, actions, resources.arns[logical_id][kind], near)
        if any(_PASSING in (permissions(kind) or ()) for kind in kinds):
            _grant_roles(grants, resources, logical_id)
        if _STACK in kinds:
            yield from _grant_nested(grants, stack, logical_id, resource)


def _grant_nested(grants: _Grants, stack: StackToDeploy, logical_id: str, resource: Mapping[str, Any]) -> Iterator[str]:
    """Allow what CloudFormation does for a nested stack; yield notes."""
    name = f"{stack.name}-{logical_id}-*"
    arn = grants.place.arn("cloudformation", f"stack/{pattern(name)}/*")
    grants.add((f"cloudformation:{each}" for each in _NESTED_ACTIONS), [arn])
    template = stack.nested.get(logical_id)
    if template is None:
        yield f"{logical_id}: the permissions for the resources of this nested stack are not in the policy"
        return
    _grant_transforms(grants, template)
    given = as_mapping(as_mapping(resource.get("Properties")).get("Parameters"))
    prefix = f"{logical_id}/"
    inner = StackToDeploy(
        name,
        template,
        {str(key): value for key, value in given.items() if isinstance(value, str)},
        nested={path.removeprefix(prefix): each for path, each in stack.nested.items() if path.startswith(prefix)},
    )
    for note in _grant_resources(grants, inner):
        yield f"{prefix}{note}"


def _grant_resource(
    grants: _Grants, resource: Mapping[str, Any], actions: Iterable[str], own: OwnArns | None, near: Sequence[OwnArns]
) -> None:
    """Allow `actions` on the resource itself and on those that it refers to, or on all if their ARNs are unknown."""
    is_custom = "ServiceToken" in as_mapping(resource.get("Properties"))
    candidates = near if own is None else [own, *near]
    for action in actions:
        if action == _LINKED_ROLE:
            grants.add([action], [grants.place.arn("iam", "role/aws-service-role/*", is_global=True)])
        elif is_custom and action in _CUSTOM_ACTIONS:
            _grant_custom(grants, resource, action, near)
        elif action != _PASSING:
            grants.add([action], _arns_for(action, candidates))


def _arns_for(action: str, candidates: Sequence[OwnArns]) -> list[str]:
    """Return those ARNs of `candidates` that policies accept for `action`, or a wildcard."""
    if _is_listing(action):
        return ["*"]
    service = action.partition(":")[0]
    kinds = resource_kinds(action)
    of_service = [each for each in candidates if each.service == service]
    return [arn for each in of_service for kind in kinds for arn in each.by_kind.get(kind, ())] or ["*"]


def _grant_custom(grants: _Grants, resource: Mapping[str, Any], action: str, near: Sequence[OwnArns]) -> None:
    """Allow to call the function or the topic behind a custom resource."""
    service = action.partition(":")[0]
    found = [arn for each in near if each.service == service for arn in each.all]
    token = pattern(as_mapping(resource.get("Properties"))["ServiceToken"])
    if not found and f":{service}:" in token:
        found = [token]
    if not found and not near and "*" in token:
        found = ["*"]
    if found:
        grants.add([action], found)


def _is_listing(action: str) -> bool:
    """Return whether AWS may check an action against all resources, even if the call names one. IAM and S3 check the named one."""
    service, _, name = action.partition(":")
    return service not in {"iam", "s3"} and name.startswith(("Describe", "List", "BatchGet"))


def _grant_roles(grants: _Grants, resources: _Resources, logical_id: str) -> None:
    """Allow to pass the roles of a resource to the services that may assume them."""
    names = resources.references(logical_id)
    for profile in [each for each in names if resources.type(each) == "AWS::IAM::InstanceProfile"]:
        names += resources.references(profile)
    own = resources.arns[logical_id].get(_ROLE)
    if own is not None:
        grants.pass_role(own.all, ["lambda.amazonaws.com", "states.amazonaws.com", "scheduler.amazonaws.com"])
    is_found = own is not None
    for name in names:
        role = resources.arns.get(name, {}).get(_ROLE)
        if role is not None and resources.type(name) == _ROLE:
            grants.pass_role(role.all, _trusted_services(resources.by_id[name]))
            is_found = True
    properties = as_mapping(resources.by_id[logical_id].get("Properties"))
    given = [arn for _, text in texts(properties) for arn in _ROLE_ARN.findall(pattern(text))]
    grants.pass_role(given, ())
    is_named = any("role" in place.lower() for place, _ in texts(properties))
    if is_named and not is_found and not given:
        # The role is a parameter or an import, whose value is unknown.
        grants.pass_role([grants.place.arn("iam", "role/*", is_global=True)], ())


def _trusted_services(role: Mapping[str, Any]) -> list[str]:
    document = as_mapping(as_mapping(role.get("Properties")).get("AssumeRolePolicyDocument"))
    found: list[str] = []
    for statement in as_list(document.get("Statement")):
        principals = as_mapping(as_mapping(statement).get("Principal"))
        found += [readable(each) for each in as_list(principals.get("Service"))]
    return found if all(re.fullmatch(r"[a-z0-9.-]+", each) for each in found) else []


def _grant_parameters(grants: _Grants, stack: StackToDeploy) -> None:
    """Allow what CloudFormation does to check and to resolve values."""
    for name, declared in as_mapping(stack.template.get("Parameters")).items():
        _grant_parameter(grants, as_mapping(declared), stack.parameters.get(str(name)))
    for _, text in texts(stack.template):
        for service, rest in _DYNAMIC.findall(text):
            _grant_dynamic_reference(grants, service, rest)


def _grant_parameter(grants: _Grants, declared: Mapping[str, Any], value: str | None) -> None:
    """Allow to check the value of a parameter, and to read it if it is the name of one of Systems Manager."""
    kind = str(declared.get("Type", ""))
    inner = kind.removeprefix(_SSM_VALUE).removeprefix("List").strip("<>").removeprefix("List<")
    if inner in ACTIONS:
        grants.add([ACTIONS[inner]], ["*"])
    if kind.startswith(_SSM_VALUE):
        place = grants.place
        path = declared.get("Default", "*") if value is None else value
        owner = "" if str(path).startswith("/aws/service/") else place.account
        resource = f"parameter/{pattern(path).removeprefix('/')}"
        grants.add(["ssm:GetParameters"], [f"arn:{place.partition}:ssm:{place.region}:{owner}:{resource}"])


def _grant_dynamic_reference(grants: _Grants, service: str, rest: str) -> None:
    """Allow to read the value of ``{{resolve:SERVICE:REST}}``."""
    name = pattern(rest.partition(":")[0])
    if service == "secretsmanager":
        arn = _SECRET_ARN.match(rest)
        resource = f"{arn[0]}*" if arn else grants.place.arn("secretsmanager", f"secret:{name}-*")
        grants.add(["secretsmanager:GetSecretValue"], [resource])
    else:
        grants.add(["ssm:GetParameters"], [grants.place.arn("ssm", f"parameter/{name.removeprefix('/')}")])


def _trust(place: Place) -> dict[str, Any]:
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"Service": "cloudformation.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    if place.account != "*":
        statement["Condition"] = {"StringEquals": {"aws:SourceAccount": place.account}}
    return {"Version": _VERSION, "Statement": [statement]}


def _documents(statements: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield documents with the statements, each within the limit."""
    current: list[dict[str, Any]] = []
    for statement in (part for each in statements for part in _parts(each)):
        if current and size(_document([*current, statement])) > LARGEST_POLICY:
            yield _document(current)
            current = []
        current.append(statement)
    if current:
        yield _document(current)


def _parts(statement: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a statement, or if it is too large for one document, several with the same meaning."""
    for name in ("Action", "Resource"):
        values = statement[name]
        if size(_document([statement])) > LARGEST_POLICY and isinstance(values, list) and len(values) > 1:
            middle = len(values) // 2
            for half in (values[:middle], values[middle:]):
                yield from _parts({**statement, name: _one_or_list(half)})
            return
    yield statement


def _document(statements: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"Version": _VERSION, "Statement": list(statements)}
