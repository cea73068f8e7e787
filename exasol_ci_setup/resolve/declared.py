"""What a program declares: the constructs with all that they are made of, as a graph of stacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exasol_ci_setup.errors import InputError
from exasol_ci_setup.stacks.graph import Node, order

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from exasol_ci_setup.constructs.base import ScopedConstruct
    from exasol_ci_setup.constructs.scope import Scope


class Declared:
    """The constructs that have a stack, each once, those first that others depend on.

    `constructs` are by the names of their stacks. Raises InputError for two different constructs of one name, in capitals or not, a cycle, and a construct
    without a scope or with two.
    """

    def __init__(self, constructs: Iterable[ScopedConstruct]) -> None:
        found = list(_with_dependencies(constructs))
        for construct in found:
            construct.resolved_scope  # noqa: B018 - raises before anything is done
        _require_names_of_their_own(found)
        self.nodes = order(
            Node(construct.stack_name, tuple(each.stack_name for each in construct.dependencies)) for construct in found
        )
        named = {construct.stack_name: construct for construct in found}
        self.constructs: Mapping[str, ScopedConstruct] = {node.name: named[node.name] for node in self.nodes}

    def scope_of(self, name: str) -> Scope:
        """Return the scope of the construct whose stack has that name."""
        return self.constructs[name].resolved_scope

    @property
    def scopes(self) -> list[Scope]:
        """The scopes that the constructs are in, each once."""
        return list(dict.fromkeys(construct.resolved_scope for construct in self.constructs.values()))


def _with_dependencies(constructs: Iterable[ScopedConstruct]) -> Iterator[ScopedConstruct]:
    """Yield the constructs and all that they depend on, each once, in the order in which they are come across."""
    seen: set[int] = set()
    left = list(constructs)[::-1]
    while left:
        construct = left.pop()
        if id(construct) in seen:
            continue
        seen.add(id(construct))
        if construct.has_stack:
            yield construct
        left.extend(reversed(construct.dependencies))


def _require_names_of_their_own(constructs: Iterable[ScopedConstruct]) -> None:
    named: dict[str, ScopedConstruct] = {}
    for construct in constructs:
        # In the names of repositories and buckets AWS knows no capitals.
        other = named.setdefault(construct.stack_name.lower(), construct)
        if other is not construct and other.stack_name != construct.stack_name:
            raise InputError(
                f"the names of the stacks {other.stack_name} and {construct.stack_name} differ only in capitals",
                hint="give one of them another name: some names on AWS have no capitals",
            )
        if other is not construct:
            kinds = (
                f"{other.kind} and {construct.kind}"
                if other.kind != construct.kind
                else f"two constructs {construct.kind}"
            )
            raise InputError(
                f"{kinds} have the name {construct.name!r} in scope {construct.resolved_scope.name!r}",
                hint="give one of them another name, or make it once and use it twice",
            )
