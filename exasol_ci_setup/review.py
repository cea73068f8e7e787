"""What a change of a template gives more access to than there was, in words that a person can approve or refuse."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.stacks.model import Broadening
from exasol_ci_setup.stacks.properties import readable, resolve

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_IDENTITIES: Final = {"AWS::IAM::Role": "role", "AWS::IAM::User": "user", "AWS::IAM::Group": "group"}
_ATTACHED_TO: Final = {"Roles": "role", "Users": "user", "Groups": "group"}
_INLINE_POLICIES: Final = {
    "AWS::IAM::Policy": None,
    "AWS::IAM::RolePolicy": ("RoleName", "role"),
    "AWS::IAM::UserPolicy": ("UserName", "user"),
    "AWS::IAM::GroupPolicy": ("GroupName", "group"),
}
# Type -> what the policy stands on (a property, or the resource itself), the policy's property, and a word for the thing.
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
# Operators of which more values let in more, and those of which more values let in less.
_ANY_OF: Final = {
    *("stringequals", "stringequalsignorecase", "stringlike", "arnequals", "arnlike", "ipaddress"),
    *("numericequals", "dateequals", "binaryequals", "bool"),
}
_NONE_OF: Final = {
    *("stringnotequals", "stringnotequalsignorecase", "stringnotlike", "arnnotequals", "arnnotlike"),
    *("notipaddress", "numericnotequals", "datenotequals"),
}
# What AWS holds to make a policy for everyone a policy that is not public, if the values have no wildcards:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
_NARROWING_KEYS: Final = {
    *("aws:principalorgid", "aws:principalorgpaths", "aws:principalaccount", "aws:principalarn", "aws:userid"),
    *("aws:sourceip", "aws:sourcearn", "aws:sourceaccount", "aws:sourceowner", "aws:sourceorgid"),
    *("aws:sourcevpc", "aws:sourcevpce", "kms:calleraccount", "s3:dataaccesspointarn", "s3:dataaccesspointaccount"),
}
_EVERYONE: Final = ("AWS", "*")
_ITSELF: Final = ("", "")
_WORLD: Final = {"0.0.0.0/0", "::/0"}
_PUBLIC_ACLS: Final = ("", "AuthenticatedRead", "PublicRead", "PublicReadWrite")
_BLOCKS: Final = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
_LOGICAL_ID: Final = re.compile(r"\$\{([A-Za-z0-9]+)(?:\.[A-Za-z0-9.]+)?\}")


def review(
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any],
    *,
    before_parameters: Mapping[str, str] | None = None,
    after_parameters: Mapping[str, str] | None = None,
) -> tuple[Broadening, ...]:
    """Return what the template `after` gives more access to than `before` does, the most public first.

    `before` is None for a new stack: then all that is granted is listed. Compared are what identities may do (policies,
    attached managed policies, permissions boundaries), who may assume a role, resource policies, what security groups
    let in, and what keeps buckets private. What cannot be understood counts as more access unless it was there
    already, word for word.
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
    }
    return tuple(sorted(found, key=lambda item: (not item.public, item.kind, item.logical_id, item.message)))


def needs_approval(broadenings: Iterable[Broadening], kind: str) -> bool:
    """Whether someone has to approve: anything in an ``UPDATE``, in a ``CREATE`` only what lets in the whole world."""
    return any(item.public or kind != "CREATE" for item in broadenings)


@dataclass(frozen=True, slots=True)
class _Condition:
    operator: str
    key: str
    values: frozenset[str]

    def implies(self, other: _Condition) -> bool:
        """Whether all that this condition lets through, the other one lets through too."""
        if self.key.lower() != other.key.lower() or self.operator.lower() != other.operator.lower():
            return False
        operator = self.operator.lower().removesuffix("ifexists")
        if operator in _ANY_OF:
            return self.values <= other.values
        return self.values >= other.values if operator in _NONE_OF else self.values == other.values

    def narrows(self) -> bool:
        """Whether this leaves of "everyone" only callers who are named."""
        fixed = not any("*" in value or "?" in value or value in _WORLD for value in self.values)
        return fixed and self.operator.lower() in _ANY_OF and self.key.lower() in _NARROWING_KEYS


@dataclass(frozen=True, slots=True)
class _Set:
    """Patterns of an Action or a Resource; `inverted` if it was NotAction or NotResource; actions come in any case."""

    patterns: frozenset[str]
    inverted: bool = False
    any_case: bool = False

    def members(self) -> list[_Set]:
        """Return the patterns one by one; an inverted set is one member."""
        return [self] if self.inverted else [_Set(frozenset({item}), False, self.any_case) for item in self.patterns]

    def covers(self, member: _Set) -> bool:
        """Whether all that `member` stands for is in this set, as far as that can be told."""
        mine, theirs = self._compared(), member._compared()
        if self.inverted and member.inverted:
            return all(_any_covers(theirs, item) for item in mine)
        if self.inverted:
            # A pattern may overlap with an excluded one without being covered by it.
            return not any("*" in item or "?" in item or _any_covers(mine, item) for item in theirs)
        return "*" in mine if member.inverted else all(_any_covers(mine, item) for item in theirs)

    def is_everything(self) -> bool:
        """Whether this is all there is, or nearly."""
        return self.inverted or "*" in self.patterns

    def _compared(self) -> frozenset[str]:
        return frozenset(item.lower() for item in self.patterns) if self.any_case else self.patterns


@dataclass(frozen=True, slots=True)
class _Principals:
    """Who, as pairs of a kind and a name; `inverted` if it was NotPrincipal."""

    names: frozenset[tuple[str, str]]
    inverted: bool = False

    def members(self) -> list[_Principals]:
        """Return them one by one; an inverted set is one member."""
        return [self] if self.inverted else [_Principals(frozenset({name})) for name in self.names]

    def covers(self, member: _Principals) -> bool:
        """Whether `member` is among these, as far as that can be told."""
        if _EVERYONE in self.names and not self.inverted:
            return True
        if self.inverted or member.inverted:
            return self.inverted and member.inverted and self.names <= member.names
        return member.names <= self.names

    def is_everyone(self) -> bool:
        """Whether the whole world is in, or nearly."""
        return self.inverted or _EVERYONE in self.names

    def __str__(self) -> str:
        words = {"Service": "service ", "Federated": "identity provider ", "CanonicalUser": "canonical user "}
        names = sorted("everyone" if name == _EVERYONE else words.get(name[0], "") + name[1] for name in self.names)
        return ("everyone but " if self.inverted else "") + ", ".join(names)


@dataclass(frozen=True, slots=True)
class _Statement:
    """One statement of a policy; `opaque` holds the text of one whose content is not known before deployment."""

    subject: str
    logical_id: str
    kind: str
    effect: str = "Allow"
    actions: _Set = _Set(frozenset())
    resources: _Set = _Set(frozenset({"*"}))
    principals: _Principals = _Principals(frozenset({_ITSELF}))
    conditions: frozenset[_Condition] = frozenset()
    opaque: str = ""

    def applies_whenever(self, other: _Statement) -> bool:
        """Whether the conditions of `other` are at least as strict as this statement's."""
        return all(any(given.implies(wanted) for given in other.conditions) for wanted in self.conditions)


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
    """All that one template grants."""

    def __init__(self, resources: Mapping[str, Mapping[str, Any]]) -> None:
        self.resources = resources
        self.statements: list[_Statement] = []
        self.attachments: list[tuple[str, str, str]] = []  # subject, logical id, what is attached
        self.boundaries: dict[str, str] = {}
        self.rules: list[_Rule] = []
        for logical_id, resource in resources.items():
            self._read(logical_id, str(resource.get("Type")), _mapping(resource.get("Properties")))

    def allows(self, subject: str) -> list[_Statement]:
        return [item for item in self.statements if item.subject == subject and item.effect == "Allow"]

    def denials(self, subject: str) -> list[_Statement]:
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
            for rule in _items(properties.get("SecurityGroupIngress")):
                self._read_rule(logical_id, logical_id, rule)
        elif kind == "AWS::EC2::SecurityGroupIngress":
            group = _name(properties.get("GroupId", properties.get("GroupName")))
            self._read_rule(group, logical_id, properties)
        if kind in _RESOURCE_POLICIES:
            owner, document, word = _RESOURCE_POLICIES[kind]
            for target in _items(properties.get(owner)) if owner else [{"Ref": logical_id}]:
                where = f"{word} {_name(target)}"
                self._read_document(where, logical_id, "resource-policy", properties.get(document))

    def _read_identity(self, logical_id: str, word: str, properties: Mapping[str, Any]) -> None:
        subject = f"{word} {logical_id}"
        for policy in _items(properties.get("Policies")):
            document = policy["PolicyDocument"] if _has(policy, "PolicyDocument") else policy
            self._read_document(subject, logical_id, "iam-allow", document)
        if "AssumeRolePolicyDocument" in properties:
            self._read_document(subject, logical_id, "iam-trust", properties["AssumeRolePolicyDocument"])
        for arn in _items(properties.get("ManagedPolicyArns")):
            self.attachments.append((subject, logical_id, f"gets the managed policy {readable(arn)}"))
        for group in _items(properties.get("Groups")):
            self.attachments.append((subject, logical_id, f"joins the group {_name(group)}"))
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
        subjects = [f"{owner[1]} {_name(properties.get(owner[0]))}"] if owner else list(_attached(properties))
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
        where = f"function {_name(properties.get('FunctionName'))}"
        self._read_document(where, logical_id, "resource-policy", {"Statement": statement})

    def _read_document(self, subject: str, logical_id: str, kind: str, document: Any) -> None:
        if document is None:
            return
        if isinstance(document, str):
            with suppress(ValueError):
                document = json.loads(document)
        if not _has(document, "Statement"):
            self.statements.append(_Statement(subject, logical_id, kind, opaque=readable(document)))
            return
        for statement in _items(document["Statement"]):
            self.statements.append(_statement(subject, logical_id, kind, statement))

    def _read_rule(self, group: str, logical_id: str, rule: Any) -> None:
        given = _mapping(rule)
        sources = [key for key in given if key.startswith(("Cidr", "Source")) and key != "SourceSecurityGroupOwnerId"]
        protocol = readable(given.get("IpProtocol", "-1"))
        first, last = readable(given.get("FromPort", "")), readable(given.get("ToPort", ""))
        if not sources:
            self.rules.append(_Rule(group, logical_id, readable(rule), protocol, first, last))
        for key in sources:
            self.rules.append(_Rule(group, logical_id, readable(given[key]), protocol, first, last))


def _access(template: Mapping[str, Any], parameters: Mapping[str, str]) -> _Access:
    resources = _mapping(resolve(template, parameters).get("Resources"))
    return _Access({str(key): value for key, value in resources.items() if isinstance(value, Mapping)})


def _statement(subject: str, logical_id: str, kind: str, given: Any) -> _Statement:
    effect = readable(_mapping(given).get("Effect", "")).capitalize()
    if effect not in {"Allow", "Deny"}:
        return _Statement(subject, logical_id, kind, opaque=readable(given))
    return _Statement(
        subject,
        logical_id,
        kind,
        effect,
        _set(given, "Action", any_case=True),
        _set(given, "Resource"),
        _principals(given, kind),
        frozenset(_conditions(given.get("Condition"))),
    )


def _set(statement: Mapping[str, Any], key: str, *, any_case: bool = False) -> _Set:
    inverted = key not in statement and f"Not{key}" in statement
    values = {readable(item) for item in _items(statement.get(f"Not{key}" if inverted else key, "*"))}
    return _Set(frozenset("*" if item == "*:*" else item for item in values), inverted, any_case)


def _principals(statement: Mapping[str, Any], kind: str) -> _Principals:
    if kind == "iam-allow":
        return _Principals(frozenset({_ITSELF}))
    inverted = "Principal" not in statement and "NotPrincipal" in statement
    given = statement.get("NotPrincipal" if inverted else "Principal", "*")
    by_kind = given if isinstance(given, Mapping) and not _is_function(given) else {"AWS": given}
    names = {
        (str(word), f"arn:aws:iam::{name}:root" if re.fullmatch(r"[0-9]{12}", name) else name)
        for word, values in by_kind.items()
        for name in map(readable, _items(values))
    }
    return _Principals(frozenset(_EVERYONE if name == ("*", "*") else name for name in names), inverted)


def _conditions(given: Any) -> Iterator[_Condition]:
    if given is None:
        return
    if not isinstance(given, Mapping) or _is_function(given):
        yield _Condition("condition", readable(given), frozenset())
        return
    for operator, keys in given.items():
        if not isinstance(keys, Mapping) or _is_function(keys):
            yield _Condition(str(operator), readable(keys), frozenset())
            continue
        for key, values in keys.items():
            yield _Condition(str(operator), str(key), frozenset(map(readable, _items(values))))


def _attached(properties: Mapping[str, Any]) -> Iterator[str]:
    for key, word in _ATTACHED_TO.items():
        for name in _items(properties.get(key)):
            yield f"{word} {_name(name)}"


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
            for who, actions, resources in _uncovered(statement, old.allows(statement.subject)):
                yield _granted(statement, who, actions, resources)


def _granted(statement: _Statement, who: _Principals, actions: Sequence[_Set], resources: Sequence[_Set]) -> Broadening:
    end = _when(statement.conditions)
    what = f"{_all_of(actions, 'do everything')} on {_all_of(resources, 'every resource')}"
    if statement.kind == "iam-allow":
        message = f"{statement.subject} may {what}{end}"
        public = any(map(_Set.is_everything, actions)) and any(map(_Set.is_everything, resources))
        return Broadening(statement.kind, statement.logical_id, message, public)
    public = who.is_everyone() and not any(condition.narrows() for condition in statement.conditions)
    if statement.kind == "iam-trust":
        message = f"{statement.subject} can be assumed by {who}{end}"
    else:
        message = f"{statement.subject} lets {who} {what}{end}"
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
            for who, actions, resources in _uncovered(statement, new.denials(subject)):
                what = f"{_all_of(actions, 'everything')} on {_all_of(resources, 'every resource')}"
                denied = (
                    f"is no longer denied {what}" if statement.kind == "iam-allow" else f"no longer denies {who} {what}"
                )
                message = f"{subject} {denied}{_when(statement.conditions)}"
                yield Broadening(statement.kind, statement.logical_id, message)


def _uncovered(
    statement: _Statement, others: Iterable[_Statement]
) -> Iterator[tuple[_Principals, list[_Set], list[_Set]]]:
    """Yield who, which actions and which resources of `statement` are in none of the `others`, grouped for a message."""
    applicable = [item for item in others if item.kind == statement.kind and item.applies_whenever(statement)]
    for who in sorted(statement.principals.members(), key=str):
        by_actions: dict[tuple[_Set, ...], list[_Set]] = {}
        for resource in sorted(statement.resources.members(), key=_text):
            left = tuple(
                action
                for action in sorted(statement.actions.members(), key=_text)
                if not any(
                    item.principals.covers(who) and item.actions.covers(action) and item.resources.covers(resource)
                    for item in applicable
                )
            )
            if left:
                by_actions.setdefault(left, []).append(resource)
        for actions, resources in by_actions.items():
            yield who, list(actions), resources


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
            # The source may be an expression that names the world somewhere.
            public = any(world in rule.source for world in _WORLD)
            yield Broadening("ingress", rule.logical_id, str(rule), public)


def _opened_buckets(old: _Access, new: _Access) -> Iterator[Broadening]:
    for logical_id, resource in new.resources.items():
        if resource.get("Type") != "AWS::S3::Bucket":
            continue
        properties = _mapping(resource.get("Properties"))
        past = _mapping(old.resources.get(logical_id, {}).get("Properties"))
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
    """Whether a public access block blocks; without one, S3 has blocked everything in new buckets since April 2023."""
    if configuration is None:
        return default
    return readable(_mapping(configuration).get(name, False)).lower() == "true"


def _openness(acl: str) -> int:
    return _PUBLIC_ACLS.index(acl) if acl in _PUBLIC_ACLS else 0


def _is_gone(subject: str, old: _Access, new: _Access) -> bool:
    name = subject.rpartition(" ")[2]
    return name in old.resources and name not in new.resources


def _any_covers(patterns: Iterable[str], item: str) -> bool:
    return any(_covers(pattern, item) for pattern in patterns)


def _covers(pattern: str, item: str) -> bool:
    """Whether every text that `item` matches is matched by `pattern`; both may hold ``*`` and ``?``.

    Errs to no. The wildcards of `item` are taken as letters that no other letter of `pattern` matches.
    """
    if pattern in {item, "*"}:
        return True
    if pattern.startswith(("{", "[")):
        return False
    at = in_item = 0
    star, mark = -1, 0
    while in_item < len(item):
        letter = pattern[at] if at < len(pattern) else ""
        if letter == "*":
            star, mark, at = at, in_item, at + 1
        elif letter and (letter == item[in_item] or (letter == "?" and item[in_item] != "*")):
            at, in_item = at + 1, in_item + 1
        elif star >= 0:
            mark += 1
            at, in_item = star + 1, mark
        else:
            return False
    return not pattern[at:].strip("*")


def _text(item: _Set) -> str:
    names = ", ".join(sorted(item.patterns))
    return f"everything but {names}" if item.inverted else names


def _all_of(items: Sequence[_Set], everything: str) -> str:
    return (
        everything
        if any(item.patterns == {"*"} and not item.inverted for item in items)
        else ", ".join(map(_text, items))
    )


def _when(conditions: Iterable[_Condition]) -> str:
    told = sorted(f"{item.operator} {item.key} {', '.join(sorted(item.values))}".rstrip() for item in conditions)
    return f" when {' and '.join(told)}" if told else ""


def _name(value: Any) -> str:
    """Return the logical id of what is referred to, or the name that is given."""
    text = readable(value)
    found = _LOGICAL_ID.fullmatch(text)
    return found[1] if found else text


def _items(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _has(value: Any, key: str) -> bool:
    return isinstance(value, Mapping) and key in value


def _is_function(value: Mapping[Any, Any]) -> bool:
    return len(value) == 1 and str(next(iter(value))).startswith(("Ref", "Fn::"))
