"""IAM policy statements: principals, actions and resources, and whether one statement covers another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.template.intrinsics import as_mapping, is_function, readable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

WORLD: Final = frozenset({"0.0.0.0/0", "::/0"})

# Operators for which more values permit more, and those for which more values permit less.
_ANY_OF: Final = {
    *("stringequals", "stringequalsignorecase", "stringlike", "arnequals", "arnlike", "ipaddress"),
    *("numericequals", "dateequals", "binaryequals", "bool"),
}
_NONE_OF: Final = {
    *("stringnotequals", "stringnotequalsignorecase", "stringnotlike", "arnnotequals", "arnnotlike"),
    *("notipaddress", "numericnotequals", "datenotequals"),
}
# Conditions that make a policy for everyone non-public for AWS, if their values have no wildcards:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
_NARROWING_KEYS: Final = {
    *("aws:principalorgid", "aws:principalorgpaths", "aws:principalaccount", "aws:principalarn", "aws:userid"),
    *("aws:sourceip", "aws:sourcearn", "aws:sourceaccount", "aws:sourceowner", "aws:sourceorgid"),
    *("aws:sourcevpc", "aws:sourcevpce", "kms:calleraccount", "s3:dataaccesspointarn", "s3:dataaccesspointaccount"),
}
_EVERYONE: Final = ("AWS", "*")
_ITSELF: Final = ("", "")
_ACCOUNT_ID_LENGTH: Final = 12


@dataclass(frozen=True, slots=True)
class Condition:
    """One key of a Condition, its operator and its values."""

    operator: str
    key: str
    values: frozenset[str]

    def implies(self, other: Condition) -> bool:
        """Return whether the other condition is true whenever this one is."""
        if self.key.lower() != other.key.lower() or self.operator.lower() != other.operator.lower():
            return False
        operator = self.operator.lower().removesuffix("ifexists")
        if operator in _ANY_OF:
            return self.values <= other.values
        return self.values >= other.values if operator in _NONE_OF else self.values == other.values

    def narrows(self) -> bool:
        """Return whether this condition restricts "everyone" to named callers."""
        fixed = not any("*" in value or "?" in value or value in WORLD for value in self.values)
        return fixed and self.operator.lower() in _ANY_OF and self.key.lower() in _NARROWING_KEYS

    def __str__(self) -> str:
        return f"{self.operator} {self.key} {', '.join(sorted(self.values))}".rstrip()


@dataclass(frozen=True, slots=True)
class Patterns:
    """The patterns of an Action or a Resource; `inverted` for NotAction and NotResource; the case of actions is ignored."""

    patterns: frozenset[str]
    inverted: bool = False
    any_case: bool = False

    def members(self) -> list[Patterns]:
        """Return the patterns one by one; an inverted set is one member."""
        return (
            [self] if self.inverted else [Patterns(frozenset({item}), False, self.any_case) for item in self.patterns]
        )

    def covers(self, member: Patterns) -> bool:
        """Return whether this set contains everything that `member` matches, as far as that is known."""
        mine, theirs = self._compared(), member._compared()
        if self.inverted and member.inverted:
            return all(_any_covers(theirs, item) for item in mine)
        if self.inverted:
            # A pattern may overlap with an excluded one without being covered by it.
            return not any("*" in item or "?" in item or _any_covers(mine, item) for item in theirs)
        return "*" in mine if member.inverted else all(_any_covers(mine, item) for item in theirs)

    def is_everything(self) -> bool:
        """Return whether this matches everything, or nearly everything."""
        return self.inverted or "*" in self.patterns

    def _compared(self) -> frozenset[str]:
        return frozenset(item.lower() for item in self.patterns) if self.any_case else self.patterns

    def __str__(self) -> str:
        names = ", ".join(sorted(self.patterns))
        return f"everything but {names}" if self.inverted else names


@dataclass(frozen=True, slots=True)
class Principals:
    """Principals, as pairs of a kind and a name; `inverted` for NotPrincipal."""

    names: frozenset[tuple[str, str]]
    inverted: bool = False

    def members(self) -> list[Principals]:
        """Return the principals one by one; an inverted set is one member."""
        return [self] if self.inverted else [Principals(frozenset({name})) for name in self.names]

    def covers(self, member: Principals) -> bool:
        """Return whether `member` is among these, as far as that is known."""
        if _EVERYONE in self.names and not self.inverted:
            return True
        if self.inverted or member.inverted:
            return self.inverted and member.inverted and self.names <= member.names
        return member.names <= self.names

    def is_everyone(self) -> bool:
        """Return whether this includes everyone, or nearly everyone."""
        return self.inverted or _EVERYONE in self.names

    def __str__(self) -> str:
        words = {"Service": "service ", "Federated": "identity provider ", "CanonicalUser": "canonical user "}
        names = sorted("everyone" if name == _EVERYONE else words.get(name[0], "") + name[1] for name in self.names)
        return ("everyone but " if self.inverted else "") + ", ".join(names)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a policy; `opaque` holds the text of a statement whose content is unknown before the deployment.

    `subject` is the target of the policy (``role R``), `kind` the kind of its `Broadening`.
    """

    subject: str
    logical_id: str
    kind: str
    effect: str = "Allow"
    actions: Patterns = Patterns(frozenset())
    resources: Patterns = Patterns(frozenset({"*"}))
    principals: Principals = Principals(frozenset({_ITSELF}))
    conditions: frozenset[Condition] = frozenset()
    opaque: str = ""

    def applies_whenever(self, other: Statement) -> bool:
        """Return whether the conditions of `other` are at least as strict as those of this statement."""
        return all(any(given.implies(wanted) for given in other.conditions) for wanted in self.conditions)

    def not_in(self, others: Iterable[Statement]) -> Iterator[tuple[Principals, list[Patterns], list[Patterns]]]:
        """Yield the principals, actions and resources of this that are in none of the `others`, grouped for a message."""
        applicable = [item for item in others if item.kind == self.kind and item.applies_whenever(self)]
        for principal in sorted(self.principals.members(), key=str):
            by_actions: dict[tuple[Patterns, ...], list[Patterns]] = {}
            for resource in sorted(self.resources.members(), key=str):
                left = tuple(
                    action
                    for action in sorted(self.actions.members(), key=str)
                    if not any(
                        item.principals.covers(principal)
                        and item.actions.covers(action)
                        and item.resources.covers(resource)
                        for item in applicable
                    )
                )
                if left:
                    by_actions.setdefault(left, []).append(resource)
            for actions, resources in by_actions.items():
                yield principal, list(actions), resources


def statements(document: Any, *, subject: str, logical_id: str, kind: str) -> Iterator[Statement]:
    """Yield the statements of a policy document, which may be JSON text with intrinsic functions; none for None.

    `subject`, `logical_id` and `kind` are those of `Statement`. Nothing is raised: an invalid
    statement becomes an opaque one.
    """
    if document is None:
        return
    if isinstance(document, str):
        with suppress(ValueError):
            document = json.loads(document)
    if not isinstance(document, Mapping) or "Statement" not in document:
        yield Statement(subject, logical_id, kind, opaque=readable(document))
        return
    for given in as_list(document["Statement"]):
        effect = readable(as_mapping(given).get("Effect", "")).capitalize()
        if effect not in {"Allow", "Deny"}:
            yield Statement(subject, logical_id, kind, opaque=readable(given))
            continue
        yield Statement(
            subject,
            logical_id,
            kind,
            effect,
            _patterns(given, "Action", any_case=True),
            _patterns(given, "Resource"),
            Principals(frozenset({_ITSELF})) if kind == "iam-allow" else _principals(given),
            frozenset(_conditions(given.get("Condition"))),
        )


def as_list(value: Any) -> list[Any]:
    """Return a value or a list of values as a list; None gives an empty one."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _patterns(statement: Mapping[str, Any], key: str, *, any_case: bool = False) -> Patterns:
    inverted = key not in statement and f"Not{key}" in statement
    values = {readable(item) for item in as_list(statement.get(f"Not{key}" if inverted else key, "*"))}
    return Patterns(frozenset("*" if item == "*:*" else item for item in values), inverted, any_case)


def _principals(statement: Mapping[str, Any]) -> Principals:
    inverted = "Principal" not in statement and "NotPrincipal" in statement
    given = statement.get("NotPrincipal" if inverted else "Principal", "*")
    by_kind = given if isinstance(given, Mapping) and not is_function(given) else {"AWS": given}
    names = {
        (str(word), f"arn:aws:iam::{name}:root" if _is_account_id(name) else name)
        for word, values in by_kind.items()
        for name in map(readable, as_list(values))
    }
    return Principals(frozenset(_EVERYONE if name == ("*", "*") else name for name in names), inverted)


def _is_account_id(name: str) -> bool:
    return len(name) == _ACCOUNT_ID_LENGTH and name.isascii() and name.isdecimal()


def _conditions(given: Any) -> Iterator[Condition]:
    if given is None:
        return
    if not isinstance(given, Mapping) or is_function(given):
        yield Condition("condition", readable(given), frozenset())
        return
    for operator, keys in given.items():
        if not isinstance(keys, Mapping) or is_function(keys):
            yield Condition(str(operator), readable(keys), frozenset())
            continue
        for key, values in keys.items():
            yield Condition(str(operator), str(key), frozenset(map(readable, as_list(values))))


def _any_covers(patterns: Iterable[str], item: str) -> bool:
    return any(_covers(pattern, item) for pattern in patterns)


def _covers(pattern: str, item: str) -> bool:
    """Return whether `pattern` matches every text that `item` matches; both may contain ``*`` and ``?``.

    If unsure, the result is false. The wildcards of `item` are treated as letters that no other letter of `pattern` matches.
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
