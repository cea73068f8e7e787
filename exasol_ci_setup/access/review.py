"""Review which access a change of a template adds, in words that a person can approve or reject."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.access import policies
from exasol_ci_setup.access.policies import WORLD, Patterns, as_list
from exasol_ci_setup.core.stacks import Broadening
from exasol_ci_setup.template.intrinsics import as_mapping, readable, resolve
from exasol_ci_setup.template.references import referred_name
from exasol_ci_setup.template.render import has_transform

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from exasol_ci_setup.access.policies import Condition, Principals, Statement

_IDENTITIES: Final = {"AWS::IAM::Role": "role", "AWS::IAM::User": "user", "AWS::IAM::Group": "group"}
_ATTACHED_TO: Final = {"Roles": "role", "Users": "user", "Groups": "group"}
_INLINE_POLICIES: Final = {
    "AWS::IAM::Policy": None,
    "AWS::IAM::RolePolicy": ("RoleName", "role"),
    "AWS::IAM::UserPolicy": ("UserName", "user"),
    "AWS::IAM::GroupPolicy": ("GroupName", "group"),
}
# Type -> the property with the policy's target (or the resource itself), the policy's property, and a word for the resource.
_RESOURCE_POLICIES: Final = {
    "AWS::S3::BucketPolicy": ("Bucket", "PolicyDocument", "bucket"),
    "AWS::SQS::QueuePolicy": ("Queues", "PolicyDocument", "queue"),
    "AWS::SQS::QueueInlinePolicy": ("Queue", "PolicyDocument", "queue"),
    "AWS::SNS::TopicPolicy": ("Topics", "PolicyDocument", "topic"),
    "AWS::SNS::TopicInlinePolicy": ("TopicArn", "PolicyDocument", "topic"),
    "AWS::SecretsManager::ResourcePolicy": ("SecretId", "ResourcePolicy", "secret"),
    "AWS::Logs::ResourcePolicy": ("", "PolicyDocument", "log policy"),
    "AWS::KMS::Key": ("", "KeyPolicy", "key"),
    "AWS::KMS::ReplicaKey": ("", "KeyPolicy", "key"),
    "AWS::ECR::Repository": ("", "RepositoryPolicyText", "image repository"),
    "AWS::ECR::PublicRepository": ("", "RepositoryPolicyText", "image repository"),
    "AWS::ECR::RegistryPolicy": ("", "PolicyText", "image registry"),
    "AWS::EFS::FileSystem": ("", "FileSystemPolicy", "file system"),
}
_PUBLIC_ACLS: Final = ("", "AuthenticatedRead", "PublicRead", "PublicReadWrite")
_BLOCKS: Final = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")


def review(
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any],
    *,
    before_parameters: Mapping[str, str] | None = None,
    after_parameters: Mapping[str, str] | None = None,
) -> tuple[Broadening, ...]:
    """Return how the template `after` broadens access compared with `before`, public access first.

    `before` is None for a new stack: then all granted access is listed. Compared are permissions of identities (policies,
    attached managed policies, permissions boundaries), trust policies of roles, resource policies, rules of security
    groups, and the protection of buckets. A part that cannot be interpreted counts as broadened access unless it existed
    before, unchanged. So does a template `after` that has transforms: pass the processed one.
    """
    old = _access(before, before_parameters or {}) if before is not None else _Access({})
    new = _access(after, after_parameters or {})
    found = {
        *_new_statements(old, new),
        *_lost_denials(old, new),
        *_new_attachments(old, new),
        *_lost_boundaries(old, new),
        *_new_ingress(old, new),
        *_opened_buckets(old, new),
        *_transformed(after),
    }
    return tuple(sorted(found, key=lambda item: (not item.public, item.kind, item.logical_id, item.message)))


def needs_approval(broadenings: Iterable[Broadening], kind: str) -> bool:
    """Return whether approval is needed: for a ``CREATE`` only for public access, else for everything that was not requested."""
    return any(not item.granted and (item.public or kind != "CREATE") for item in broadenings)


def _transformed(after: Mapping[str, Any]) -> Iterator[Broadening]:
    if has_transform(after):
        message = "access cannot be reviewed: the template has transforms, and what these create is unknown"
        yield Broadening("transform", "", message, public=True)


@dataclass(frozen=True, slots=True)
class _Rule:
    """One rule of a security group."""

    group: str
    logical_id: str
    source: str
    protocol: str
    first: str
    last: str

    def covers(self, other: _Rule) -> bool:
        same_protocol = self.protocol in {"-1", other.protocol}
        return self.group == other.group and same_protocol and self._ports_cover(other) and self._source_covers(other)

    def _ports_cover(self, other: _Rule) -> bool:
        if self.protocol == "-1" or (self.first, self.last) == (other.first, other.last):
            return True
        ports = (self.first, other.first, other.last, self.last)
        if not all(port.isdecimal() for port in ports):
            return False
        return int(self.first) <= int(other.first) and int(other.last) <= int(self.last)

    def _source_covers(self, other: _Rule) -> bool:
        if self.source == other.source:
            return True
        try:
            inner, outer = (ipaddress.ip_network(text, strict=False) for text in (other.source, self.source))
        except ValueError:
            return False
        return inner.version == outer.version and outer.supernet_of(inner)  # type: ignore[arg-type]

    def __str__(self) -> str:
        if self.protocol == "-1":
            return f"security group {self.group} lets {self.source} in on every port"
        ports = self.first if self.first == self.last else f"{self.first}-{self.last}"
        return f"security group {self.group} lets {self.source} in on {self.protocol} {ports}"


class _Access:
    """All access that one template grants."""

    def __init__(self, resources: Mapping[str, Mapping[str, Any]]) -> None:
        self.resources = resources
        self.statements: list[Statement] = []
        self.attachments: list[tuple[str, str, str]] = []  # subject, logical id, what is attached
        self.boundaries: dict[str, str] = {}
        self.rules: list[_Rule] = []
        for logical_id, resource in resources.items():
            self._read(logical_id, str(resource.get("Type")), as_mapping(resource.get("Properties")))

    def allows(self, subject: str) -> list[Statement]:
        return [item for item in self.statements if item.subject == subject and item.effect == "Allow"]

    def denials(self, subject: str) -> list[Statement]:
        return [item for item in self.statements if item.subject == subject and item.effect == "Deny"]

    def _read(self, logical_id: str, kind: str, properties: Mapping[str, Any]) -> None:
        if kind in _IDENTITIES:
            self._read_identity(logical_id, _IDENTITIES[kind], properties)
        elif kind == "AWS::IAM::ManagedPolicy":
            self._read_managed_policy(logical_id, properties)
        elif kind in _INLINE_POLICIES:
            self._read_inline_policy(logical_id, _INLINE_POLICIES[kind], properties)
        elif kind == "AWS::Lambda::Permission":
            self._read_permission(logical_id, properties)
        elif kind == "AWS::EC2::SecurityGroup":
            for rule in as_list(properties.get("SecurityGroupIngress")):
                self._read_rule(logical_id, logical_id, rule)
        elif kind == "AWS::EC2::SecurityGroupIngress":
            group = referred_name(properties.get("GroupId", properties.get("GroupName")))
            self._read_rule(group, logical_id, properties)
        if kind in _RESOURCE_POLICIES:
            owner, document, word = _RESOURCE_POLICIES[kind]
            for target in as_list(properties.get(owner)) if owner else [{"Ref": logical_id}]:
                where = f"{word} {referred_name(target)}"
                self._read_document(where, logical_id, "resource-policy", properties.get(document))

    def _read_identity(self, logical_id: str, word: str, properties: Mapping[str, Any]) -> None:
        subject = f"{word} {logical_id}"
        for policy in as_list(properties.get("Policies")):
            document = as_mapping(policy).get("PolicyDocument", policy)
            self._read_document(subject, logical_id, "iam-allow", document)
        if "AssumeRolePolicyDocument" in properties:
            self._read_document(subject, logical_id, "iam-trust", properties["AssumeRolePolicyDocument"])
        for arn in as_list(properties.get("ManagedPolicyArns")):
            self.attachments.append((subject, logical_id, f"gets the managed policy {readable(arn)}"))
        for group in as_list(properties.get("Groups")):
            self.attachments.append((subject, logical_id, f"joins the group {referred_name(group)}"))
        if "PermissionsBoundary" in properties:
            self.boundaries[subject] = readable(properties["PermissionsBoundary"])

    def _read_managed_policy(self, logical_id: str, properties: Mapping[str, Any]) -> None:
        document = properties.get("PolicyDocument")
        self._read_document(f"managed policy {logical_id}", logical_id, "iam-allow", document)
        for subject in _attached(properties):
            self.attachments.append((subject, logical_id, f"gets the managed policy ${{{logical_id}}}"))

    def _read_inline_policy(
        self, logical_id: str, owner: tuple[str, str] | None, properties: Mapping[str, Any]
    ) -> None:
        subjects = [f"{owner[1]} {referred_name(properties.get(owner[0]))}"] if owner else list(_attached(properties))
        for subject in subjects or [f"policy {logical_id}"]:
            self._read_document(subject, logical_id, "iam-allow", properties.get("PolicyDocument"))

    def _read_permission(self, logical_id: str, properties: Mapping[str, Any]) -> None:
        conditions = {key: properties[key] for key in ("SourceArn", "SourceAccount") if key in properties}
        if "PrincipalOrgID" in properties:
            conditions["PrincipalOrgID"] = properties["PrincipalOrgID"]
        principal = properties.get("Principal", "*")
        is_service = isinstance(principal, str) and principal.endswith((".amazonaws.com", ".amazonaws.com.cn"))
        statement = {
            "Effect": "Allow",
            "Action": properties.get("Action", "*"),
            "Principal": {"Service" if is_service else "AWS": principal},
            "Condition": {"StringLike": {f"aws:{key}": value for key, value in conditions.items()}},
        }
        where = f"function {referred_name(properties.get('FunctionName'))}"
        self._read_document(where, logical_id, "resource-policy", {"Statement": statement})

    def _read_document(self, subject: str, logical_id: str, kind: str, document: Any) -> None:
        self.statements.extend(policies.statements(document, subject=subject, logical_id=logical_id, kind=kind))

    def _read_rule(self, group: str, logical_id: str, rule: Any) -> None:
        given = as_mapping(rule)
        sources = [key for key in given if key.startswith(("Cidr", "Source")) and key != "SourceSecurityGroupOwnerId"]
        protocol = readable(given.get("IpProtocol", "-1"))
        first, last = readable(given.get("FromPort", "")), readable(given.get("ToPort", ""))
        if not sources:
            self.rules.append(_Rule(group, logical_id, readable(rule), protocol, first, last))
        for key in sources:
            self.rules.append(_Rule(group, logical_id, readable(given[key]), protocol, first, last))


def _access(template: Mapping[str, Any], parameters: Mapping[str, str]) -> _Access:
    resources = as_mapping(resolve(template, parameters).get("Resources"))
    return _Access({str(key): value for key, value in resources.items() if isinstance(value, Mapping)})


def _attached(properties: Mapping[str, Any]) -> Iterator[str]:
    for key, word in _ATTACHED_TO.items():
        for name in as_list(properties.get(key)):
            yield f"{word} {referred_name(name)}"


def _new_statements(old: _Access, new: _Access) -> Iterator[Broadening]:
    known = {(item.subject, item.opaque) for item in old.statements}
    for statement in new.statements:
        if statement.opaque:
            if (statement.subject, statement.opaque) not in known:
                message = (
                    f"{statement.subject} gets a policy that is not known before it is deployed: {statement.opaque}"
                )
                yield Broadening(statement.kind, statement.logical_id, message)
        elif statement.effect == "Allow":
            for principals, actions, resources in statement.not_in(old.allows(statement.subject)):
                yield _granted(statement, principals, actions, resources)


def _granted(
    statement: Statement, principals: Principals, actions: Sequence[Patterns], resources: Sequence[Patterns]
) -> Broadening:
    end = _when(statement.conditions)
    what = f"{_all_of(actions, 'do everything')} on {_all_of(resources, 'every resource')}"
    if statement.kind == "iam-allow":
        message = f"{statement.subject} may {what}{end}"
        public = any(map(Patterns.is_everything, actions)) and any(map(Patterns.is_everything, resources))
        return Broadening(statement.kind, statement.logical_id, message, public)
    public = principals.is_everyone() and not any(condition.narrows() for condition in statement.conditions)
    if statement.kind == "iam-trust":
        message = f"{statement.subject} can be assumed by {principals}{end}"
    else:
        message = f"{statement.subject} lets {principals} {what}{end}"
    return Broadening(statement.kind, statement.logical_id, message, public)


def _lost_denials(old: _Access, new: _Access) -> Iterator[Broadening]:
    known = {(item.subject, item.opaque) for item in new.statements}
    for statement in old.statements:
        subject = statement.subject
        if _is_gone(subject, old, new):
            continue
        if statement.opaque:
            if "Deny" in statement.opaque and (subject, statement.opaque) not in known:
                message = f"{subject} loses a policy that may have denied something: {statement.opaque}"
                yield Broadening(statement.kind, statement.logical_id, message)
        elif statement.effect == "Deny":
            for principals, actions, resources in statement.not_in(new.denials(subject)):
                what = f"{_all_of(actions, 'everything')} on {_all_of(resources, 'every resource')}"
                denied = (
                    f"is no longer denied {what}"
                    if statement.kind == "iam-allow"
                    else f"no longer denies {principals} {what}"
                )
                message = f"{subject} {denied}{_when(statement.conditions)}"
                yield Broadening(statement.kind, statement.logical_id, message)


def _new_attachments(old: _Access, new: _Access) -> Iterator[Broadening]:
    known = {(subject, what) for subject, _, what in old.attachments}
    for subject, logical_id, what in new.attachments:
        if (subject, what) not in known:
            public = what.endswith(":policy/AdministratorAccess")
            yield Broadening("iam-allow", logical_id, f"{subject} {what}", public)


def _lost_boundaries(old: _Access, new: _Access) -> Iterator[Broadening]:
    for subject, boundary in old.boundaries.items():
        now = new.boundaries.get(subject)
        if now == boundary or _is_gone(subject, old, new):
            continue
        message = f"{subject} is no longer bounded by {boundary}" + (f" but by {now}" if now else "")
        yield Broadening("iam-allow", subject.rpartition(" ")[2], message)


def _new_ingress(old: _Access, new: _Access) -> Iterator[Broadening]:
    for rule in new.rules:
        if not any(known.covers(rule) for known in old.rules):
            # The source may be an expression that contains every address.
            public = any(world in rule.source for world in WORLD)
            yield Broadening("ingress", rule.logical_id, str(rule), public)


def _opened_buckets(old: _Access, new: _Access) -> Iterator[Broadening]:
    for logical_id, resource in new.resources.items():
        if resource.get("Type") != "AWS::S3::Bucket":
            continue
        properties = as_mapping(resource.get("Properties"))
        past = as_mapping(old.resources.get(logical_id, {}).get("Properties"))
        was, now = past.get("PublicAccessBlockConfiguration"), properties.get("PublicAccessBlockConfiguration")
        opened = [
            name for name in _BLOCKS if _blocks(was, name, default=True) and not _blocks(now, name, default=not was)
        ]
        if opened:
            message = f"bucket {logical_id} is no longer protected from public access by {', '.join(opened)}"
            yield Broadening("public-bucket", logical_id, message, public=True)
        acl, acl_before = readable(properties.get("AccessControl", "")), readable(past.get("AccessControl", ""))
        if acl in _PUBLIC_ACLS and _openness(acl) > _openness(acl_before):
            message = f"bucket {logical_id} is opened to everyone by its ACL {acl}"
            yield Broadening("public-bucket", logical_id, message, public=True)


def _blocks(configuration: Any, name: str, *, default: bool) -> bool:
    """Return whether a public access block blocks; without one, S3 blocks everything in new buckets since April 2023."""
    if configuration is None:
        return default
    return readable(as_mapping(configuration).get(name, False)).lower() == "true"


def _openness(acl: str) -> int:
    return _PUBLIC_ACLS.index(acl) if acl in _PUBLIC_ACLS else 0


def _is_gone(subject: str, old: _Access, new: _Access) -> bool:
    name = subject.rpartition(" ")[2]
    return name in old.resources and name not in new.resources


def _all_of(items: Sequence[Patterns], everything: str) -> str:
    return (
        everything
        if any(item.patterns == {"*"} and not item.inverted for item in items)
        else ", ".join(map(str, items))
    )


def _when(conditions: Iterable[Condition]) -> str:
    texts = sorted(map(str, conditions))
    return f" when {' and '.join(texts)}" if texts else ""
