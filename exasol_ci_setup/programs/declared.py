"""The constructs that a program declares, with all their dependencies, as a graph of stacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.core.task_graph import Node, order

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from exasol_ci_setup.constructs.base import ScopedConstruct
    from exasol_ci_setup.constructs.scope import Scope


class Declared:
    """The constructs that have a stack, each once, dependencies first.

    `constructs` maps stack names to constructs. Raises InputError for two constructs whose names differ at most in case, a cycle, and a construct
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
        """Return the scope of the construct with that stack name."""
        return self.constructs[name].resolved_scope

    @property
    def scopes(self) -> list[Scope]:
        """The scopes of the constructs, each once."""
        return list(dict.fromkeys(construct.resolved_scope for construct in self.constructs.values()))


def _with_dependencies(constructs: Iterable[ScopedConstruct]) -> Iterator[ScopedConstruct]:
    """Yield the constructs and all their dependencies, each once, in the order of discovery."""
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
        # Names of repositories and buckets are lower case.
        other = named.setdefault(construct.stack_name.lower(), construct)
        if other is not construct and other.stack_name != construct.stack_name:
            raise InputError(
                f"the names of the stacks {other.stack_name} and {construct.stack_name} differ only in upper and lower case",
                hint="choose another name for one of them: some names on AWS are lower case",
            )
        if other is not construct:
            kinds = (
                f"{other.kind} and {construct.kind}"
                if other.kind != construct.kind
                else f"two constructs {construct.kind}"
            )
            raise InputError(
                f"{kinds} have the name {construct.name!r} in scope {construct.resolved_scope.name!r}",
                hint="choose another name for one of them, or declare it once and use it twice",
            )
