"""The constructs that a program declares, with all their dependencies, as a graph of stacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exasol_ci_setup.constructs.load_balancer import find_equal_routes
from exasol_ci_setup.constructs.service import Cluster
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.core.task_graph import Node, order

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from exasol_ci_setup.constructs.base import Construct
    from exasol_ci_setup.constructs.container import Container
    from exasol_ci_setup.constructs.scope import Scope
    from exasol_ci_setup.constructs.service import Service
    from exasol_ci_setup.programs.actions import PlannedBuild


class Declared:
    """The constructs that have a stack, each once, dependencies first.

    `constructs` maps stack names to constructs. `scope` is that of constructs without one. Builds are deployed after the GitHub credentials of
    their account and region. Raises InputError for two constructs whose names differ at most in case, two rules of a load balancer for one
    host and path, a cycle, and a construct without a scope or with two.
    """

    def __init__(
        self, constructs: Iterable[Construct], scope: Scope | None = None, builds: Sequence[PlannedBuild] = ()
    ) -> None:
        self._scope = scope
        self._builds = builds
        found = list(_with_dependencies(constructs))
        for construct in found:
            self._scope_of(construct)  # raises before anything is done
        _require_names_of_their_own(found)
        _require_routes_of_their_own(found)
        self.nodes = order(
            Node(construct.stack_name, tuple(each.stack_name for each in self._needs(construct, found)))
            for construct in found
        )
        named = {construct.stack_name: construct for construct in found}
        self.constructs: Mapping[str, Construct] = {node.name: named[node.name] for node in self.nodes}

    def scope_of(self, name: str) -> Scope:
        """Return the scope of the construct with that stack name."""
        return self._scope_of(self.constructs[name])

    def _scope_of(self, construct: Construct) -> Scope:
        if self._scope is not None and not construct.is_scoped:
            return self._scope
        return construct.resolved_scope

    def _needs(self, construct: Construct, found: Iterable[Construct]) -> list[Construct]:
        """Return the constructs whose stacks are deployed before that of `construct`."""
        here = self._scope_of(construct)
        credentials = (
            each for each in found if each.gives_access_to_github and _has_same_account(here, self._scope_of(each))
        )
        return [
            *construct.dependencies,
            *(credentials if construct.needs_access_to_github else ()),
            *(each.builder for each in self._builds_of(construct)),
        ]

    def builds_of(self, name: str) -> list[PlannedBuild]:
        """Return the builds of the program that push images of the stack with this name."""
        return self._builds_of(self.constructs[name])

    def _builds_of(self, construct: Construct) -> list[PlannedBuild]:
        if not isinstance(construct, Cluster):
            return []
        images = [(id(each.registry), each.tag) for service in construct.services for each in _containers(service)]
        return [
            build
            for build in self._builds
            if (id(build.builder.registry), build.tag) in images
            and construct not in _with_dependencies([build.builder, *build.builder.dependencies])
        ]

    @property
    def scopes(self) -> list[Scope]:
        """The scopes of the constructs, each once."""
        return list(dict.fromkeys(map(self._scope_of, self.constructs.values())))


def _containers(service: Service) -> Iterator[Container]:
    """Yield the containers of a service whose image is in a registry of the program, and is not built with its stack."""
    for each in service.containers:
        if each.container.registry is not None and each.container.builder is None:
            yield each.container


def _has_same_account(one: Scope, other: Scope) -> bool:
    """Return whether two scopes have the same credentials and region."""
    names = ("profile", "role_assumptions", "external_id", "region")
    return all(getattr(one, name) == getattr(other, name) for name in names)


def _with_dependencies(constructs: Iterable[Construct]) -> Iterator[Construct]:
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


def _require_names_of_their_own(constructs: Iterable[Construct]) -> None:
    named: dict[str, Construct] = {}
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
                f"{kinds} have the name {construct.label!r} in scope {construct.resolved_scope.name!r}"
                if construct.is_scoped
                else f"{kinds} have the name {construct.label!r}",
                hint="choose another name for one of them, or declare it once and use it twice",
            )


def _require_routes_of_their_own(constructs: Iterable[Construct]) -> None:
    equal = find_equal_routes(
        ((id(balancer), output), rule)
        for construct in constructs
        for rule in construct.listener_rules
        for balancer, output in [construct.parameter_sources[rule.listener]]
    )
    if equal:
        one, other, route = equal
        raise InputError(
            f"{one.target} and {other.target} have the same load balancer, host and path: {route}",
            hint="choose another host or path for one of them",
        )
