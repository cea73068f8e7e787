"""What an IAM policy statement lets whom do, and whether one covers another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from exasol_ci_setup.stacks.intrinsics import as_mapping, is_function, readable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

WORLD: Final = frozenset({"0.0.0.0/0", "::/0"})

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
_ACCOUNT_ID_LENGTH: Final = 12


# Named tuples, because dataclasses take longer to make, and every deployment would wait for that at its start.
class Condition(NamedTuple):
    """One key of a Condition and the values that its operator compares it with."""

    operator: str
    key: str
    values: frozenset[str]

    def implies(self, other: Condition) -> bool:
        """Whether all that this condition lets through, the other one lets through too."""
        if self.key.lower() != other.key.lower() or self.operator.lower() != other.operator.lower():
            return False
        operator = self.operator.lower().removesuffix("ifexists")
        if operator in _ANY_OF:
            return self.values <= other.values
        return self.values >= other.values if operator in _NONE_OF else self.values == other.values

    def narrows(self) -> bool:
        """Whether this leaves of "everyone" only callers who are named."""
        fixed = not any("*" in value or "?" in value or value in WORLD for value in self.values)
        return fixed and self.operator.lower() in _ANY_OF and self.key.lower() in _NARROWING_KEYS

    def __str__(self) -> str:
        return f"{self.operator} {self.key} {', '.join(sorted(self.values))}".rstrip()


class Patterns(NamedTuple):
    """An Action or a Resource; `inverted` if it was NotAction or NotResource; actions come in any case."""

    patterns: frozenset[str]
    inverted: bool = False
    any_case: bool = False

    def members(self) -> list[Patterns]:
        """Return the patterns one by one; an inverted set is one member."""
        return (
            [self] if self.inverted else [Patterns(frozenset({item}), False, self.any_case) for item in self.patterns]
        )

    def covers(self, member: Patterns) -> bool:
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

    def __str__(self) -> str:
        names = ", ".join(sorted(self.patterns))
        return f"everything but {names}" if self.inverted else names


class Principals(NamedTuple):
    """Who, as pairs of a kind and a name; `inverted` if it was NotPrincipal."""

    names: frozenset[tuple[str, str]]
    inverted: bool = False

    def members(self) -> list[Principals]:
        """Return them one by one; an inverted set is one member."""
        return [self] if self.inverted else [Principals(frozenset({name})) for name in self.names]

    def covers(self, member: Principals) -> bool:
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


class Statement(NamedTuple):
    """One statement of a policy; `opaque` holds the text of one whose content is not known before deployment.

    `subject` is what the policy stands on (``role R``), `kind` that of the `Broadening` which more access by it is.
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
        """Whether the conditions of `other` are at least as strict as this statement's."""
        return all(any(given.implies(wanted) for given in other.conditions) for wanted in self.conditions)

    def not_in(self, others: Iterable[Statement]) -> Iterator[tuple[Principals, list[Patterns], list[Patterns]]]:
        """Yield who, which actions and which resources of this are in none of the `others`, grouped for a message."""
        applicable = [item for item in others if item.kind == self.kind and item.applies_whenever(self)]
        for who in sorted(self.principals.members(), key=str):
            by_actions: dict[tuple[Patterns, ...], list[Patterns]] = {}
            for resource in sorted(self.resources.members(), key=str):
                left = tuple(
                    action
                    for action in sorted(self.actions.members(), key=str)
                    if not any(
                        item.principals.covers(who) and item.actions.covers(action) and item.resources.covers(resource)
                        for item in applicable
                    )
                )
                if left:
                    by_actions.setdefault(left, []).append(resource)
            for actions, resources in by_actions.items():
                yield who, list(actions), resources


def statements(document: Any, *, subject: str, logical_id: str, kind: str) -> Iterator[Statement]:
    """Yield the statements of a policy document, which may be JSON text and hold intrinsic functions; of None nothing.

    `subject`, `logical_id` and `kind` say what the policy stands on, see `Statement`. Nothing is raised: what is no
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
    """Return what may be one thing or a list of them as a list; None is none."""
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
