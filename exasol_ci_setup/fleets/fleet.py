"""A fleet as a graph of constructs: its stacks, their targets, and their order."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.constructs.placeholders import placeholder
from exasol_ci_setup.constructs.source import SourceCredentials
from exasol_ci_setup.constructs.stack import Stack
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.core.task_graph import Node
from exasol_ci_setup.fleets.stack_sets import StackSets

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from exasol_ci_setup.constructs.base import Construct
    from exasol_ci_setup.constructs.scope import Scope
    from exasol_ci_setup.fleets.model import Target
    from exasol_ci_setup.fleets.problems import Place, Problems
    from exasol_ci_setup.template.input_files import StackOutput

# Options whose values may be, or are always, names of resources of one account.
_ARNS: Final = {"docker_secret", "secret_name", "connection_arn", "kms_key_arn", "managed_policy_arns", "boundary"}
_NAMES: Final = {"bucket_name", "vpc_id", "subnet_ids", "security_groups"}


@dataclass(frozen=True, slots=True)
class Member:
    """One stack of a fleet: its construct, its target, and its project (empty for a target's own stack).

    `tags` are those of the file, in addition to the construct's own. `outputs` are the outputs of other stacks that are values of its
    parameters, each with its target, and `needs` the members that are deployed first. `protect` is its termination protection, None for unchanged.
    `where` is its place in the file.
    """

    construct: Construct
    target: str
    project: str
    tags: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, StackOutput] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    protect: bool | None = None
    where: Place = ()

    @property
    def name(self) -> str:
        """The unique name among all stacks of the fleet, such as ``main/Slc``."""
        return f"{self.target}/{self.construct.stack_name}"

    def matches(self, patterns: Iterable[str]) -> bool:
        """Return whether the project or a name of the stack matches one of `patterns`, in which ``*`` matches any text."""
        texts = (self.project, self.construct.stack_name, self.name)
        return any(fnmatchcase(text, pattern) for pattern in patterns for text in texts if text)


@dataclass(frozen=True)
class Fleet:
    """The content of a fleet file: `targets` and `members` by name, and the `nodes` of their graph, dependencies first.

    `name` is the name of the fleet, None if the file has none. `problems` collects what is wrong with the file.
    """

    path: Path
    name: str | None
    targets: Mapping[str, Target]
    members: Mapping[str, Member]
    nodes: Sequence[Node]
    problems: Problems = field(repr=False, compare=False)

    @property
    def constructs(self) -> Mapping[str, Construct]:
        """The constructs by the names of their stacks in the fleet."""
        return {name: each.construct for name, each in self.members.items()}

    @property
    def used_targets(self) -> list[str]:
        """The names of the targets with stacks, each once."""
        return list(dict.fromkeys(each.target for each in self.members.values()))

    @property
    def searched_targets(self) -> list[str]:
        """The names of the targets whose stacks are read: all if the fleet has a name, since they may have stacks that are not in the file."""
        return list(self.targets) if self.name is not None else self.used_targets

    def linked(self) -> Fleet:
        """Return the fleet in which outputs of its own stacks are values of parameters; `outputs` of a member has the others."""
        members = dict(self.members)
        for node in self.nodes:
            member = members[node.name]
            own = {key: each for key, each in member.outputs.items() if f"{each.target}/{each.stack}" in members}
            if own and isinstance(member.construct, Stack):
                values = {
                    key: placeholder(members[f"{each.target}/{each.stack}"].construct, each.output)
                    for key, each in own.items()
                }
                construct = member.construct.with_parameters(values)
                rest = {key: each for key, each in member.outputs.items() if key not in own}
                members[node.name] = replace(member, construct=construct, outputs=rest)
        return replace(self, members=members)

    def scope_of(self, name: str) -> Scope:
        """Return the scope of the stack with that name."""
        target = self.members[name].target
        return self.targets[target].scope(target)

    def stack_sets(self) -> dict[str, StackSets]:
        """Return the StackSet deployment of each stack. Raises InputError for a target without a `stack_set`."""
        found: dict[str, StackSets] = {}
        for name, each in self.members.items():
            wanted = self.targets[each.target].stack_set
            if isinstance(each.construct, Stack):
                raise InputError(
                    f"{self.path}: stacks.{each.construct.name} cannot be deployed as a StackSet",
                    hint="--select the projects, or omit --stack-set",
                )
            if wanted is None:
                raise InputError(
                    f"{self.path}: targets.{each.target} has no stack_set, which --stack-set needs",
                    hint="add its organizational_units and regions, or --select others",
                )
            option, value = next(_values_of_one_account(each.construct), ("", ""))
            if value:
                raise InputError(
                    f"{self.path}: {name} has {option} {value}, which exists in one account only",
                    hint="a StackSet has the same template everywhere: use a name instead of an ARN, no bucket name and no VPC",
                )
            found[name] = StackSets(wanted)
        return found

    def selected(self, patterns: Sequence[str], *, alone: bool = False) -> Fleet:
        """Return the fleet with the stacks whose name or project matches one of `patterns`; all without patterns.

        Unless `alone`, also the targets' stacks that they need. Other stacks that they need are assumed to exist. Raises InputError for a pattern that matches nothing.
        """
        if not patterns:
            return self
        found = {name for pattern in patterns for name in self._matching(pattern)}
        needed = {
            need
            for node in self.nodes
            if node.name in found
            for need in node.needs
            if isinstance(self.members[need].construct, SourceCredentials)
        }
        return self.only(found if alone else found | needed)

    def _matching(self, pattern: str) -> list[str]:
        """Return the names of the stacks that match `pattern`. Raises InputError if no stack matches."""
        found = [name for name, each in self.members.items() if each.matches([pattern])]
        if not found:
            names = list(dict.fromkeys(each.project or each.construct.stack_name for each in self.members.values()))
            near = difflib.get_close_matches(pattern, names, n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else "in a pattern * matches any text: --select 'slc*'"
            raise InputError(f"--select {pattern!a} matches no project and no stack of {self.path}", hint=hint)
        return found

    def only(self, names: Collection[str]) -> Fleet:
        """Return the fleet with only the stacks of these names; other dependencies are assumed to exist."""
        return replace(
            self,
            members={name: each for name, each in self.members.items() if name in names},
            nodes=[
                Node(node.name, tuple(need for need in node.needs if need in names))
                for node in self.nodes
                if node.name in names
            ],
        )


def _values_of_one_account(construct: Construct) -> Iterator[tuple[str, str]]:
    """Yield the options whose values exist in one account only, by their names in the file."""
    for name, values in construct.model_dump(include=_ARNS | _NAMES).items():
        for value in values if isinstance(values, tuple) else (values,):
            # Managed policies of AWS exist in each account.
            if value and (name in _NAMES or (value.startswith("arn:") and ":iam::aws:" not in value)):
                yield type(construct).model_fields[name].alias or name, value
