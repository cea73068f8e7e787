"""A fleet as a graph of constructs: which stacks there are, where they go, and which come before which."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.constructs.base import build
from exasol_ci_setup.constructs.ci import CiBuild, ReleaseBuild
from exasol_ci_setup.errors import InputError
from exasol_ci_setup.fleets.stack_sets import StackSets
from exasol_ci_setup.stacks.graph import Node, order

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from exasol_ci_setup.constructs.base import Construct
    from exasol_ci_setup.constructs.scope import Scope
    from exasol_ci_setup.fleets.model import FleetFile, Project, Target

# CloudFormation takes 50 tags, of which the construct's own are up to 4:
# https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateChangeSet.html.
_MOST_TAGS: Final = 46


@dataclass(frozen=True, slots=True)
class Member:
    """One stack of a fleet: what it is of, the target it goes to, and the project it belongs to (empty for a target's own).

    `tags` are those of the file, which come besides the construct's own.
    """

    construct: Construct
    target: str
    project: str
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name that it has among all stacks of the fleet, such as ``main/Slc``."""
        return f"{self.target}/{self.construct.stack_name}"


@dataclass(frozen=True)
class Fleet:
    """What a file declares: `targets` and `members` by name, and the `nodes` of their graph, those first that others need."""

    path: Path
    targets: Mapping[str, Target]
    members: Mapping[str, Member]
    nodes: Sequence[Node]

    @classmethod
    def of(cls, path: Path, file: FleetFile, line: Callable[[Sequence[int | str]], int]) -> Fleet:
        """Return the fleet that `file` declares; `line` tells where in the file at `path` something stands.

        Raises InputError for names that are not there, go in a circle, or are used twice.
        """
        place = _Places(path, line)
        members: dict[str, Member] = {}
        of_project: dict[str, list[str]] = {}
        own: dict[str, str] = {}
        taken: dict[str, str] = {}
        made: dict[tuple[str, str], str] = {}
        for where, each in _members(file, place):
            other = taken.setdefault(each.name.lower(), where)
            if other != where:
                raise place.refused(
                    where,
                    f"its stack has the name {each.construct.stack_name}, as that of {other}",
                    "give one of them another stack_name",
                )
            for thing, key in _names_made(each):
                if (first := made.setdefault(key, where)) != where:
                    raise place.refused(
                        where, f"it has the {thing} {key[1]}, as {first}", "give one of them another name"
                    )
            members[each.name] = each
            if each.project:
                of_project.setdefault(each.project, []).append(each.name)
            else:
                own[each.target] = each.name
        _require_order(file, place)
        nodes = []
        for name, each in members.items():
            needs = [own[each.target]] if each.project and each.target in own and _takes_token(each.construct) else []
            for project in file.projects[each.project].needs if each.project else ():
                needs += of_project[project]
            nodes.append(Node(name, tuple(needs)))
        return cls(path, file.targets, members, order(nodes))

    @property
    def constructs(self) -> Mapping[str, Construct]:
        """The constructs by the names of their stacks in the fleet."""
        return {name: each.construct for name, each in self.members.items()}

    @property
    def used_targets(self) -> list[str]:
        """The names of the targets that stacks go to, each once."""
        return list(dict.fromkeys(each.target for each in self.members.values()))

    def scope_of(self, name: str) -> Scope:
        """Return where the stack of that name goes."""
        target = self.members[name].target
        return self.targets[target].scope(target)

    def stack_sets(self) -> dict[str, StackSets]:
        """Return what deploys each stack as a StackSet. Raises InputError for a target that does not say where to."""
        found: dict[str, StackSets] = {}
        for name, each in self.members.items():
            wanted = self.targets[each.target].stack_set
            if wanted is None:
                raise InputError(
                    f"{self.path}: targets.{each.target} has no stack_set, which --stack-set asks for",
                    hint="say there which organizational_units and regions the stacks go to, or --select others",
                )
            options = each.construct.model_dump(
                include={"docker_secret", "secret_name", "connection_arn", "bucket_name"}
            )
            for option, value in options.items():
                if value is not None and (value.startswith("arn:") or option == "bucket_name"):
                    raise InputError(
                        f"{self.path}: {name} has {option} {value}, which there is in one account only",
                        hint="StackSets have the same template everywhere: give a name in place of an ARN, and no bucket's name",
                    )
            found[name] = StackSets(wanted)
        return found

    def selected(self, patterns: Sequence[str]) -> Fleet:
        """Return the stacks whose name, or whose project's, one of `patterns` matches, with what their targets need; all if there is none.

        Projects that they need are taken to be there. Raises InputError for a pattern that matches nothing.
        """
        if not patterns:
            return self
        found: set[str] = set()
        for pattern in patterns:
            matching = {
                name
                for name, each in self.members.items()
                if any(fnmatchcase(text, pattern) for text in (each.project, each.construct.stack_name, name) if text)
            }
            if not matching:
                names = list(dict.fromkeys(each.project for each in self.members.values() if each.project))
                near = difflib.get_close_matches(pattern, names, n=3)
                raise InputError(
                    f"--select {pattern!a} matches no project and no stack of {self.path}",
                    hint=f"did you mean {' or '.join(near)}?"
                    if near
                    else "in a pattern * stands for any text: --select 'slc*'",
                )
            found |= matching
        needed = {
            need for node in self.nodes if node.name in found for need in node.needs if not self.members[need].project
        }
        return self.only(found | needed)

    def only(self, names: Collection[str]) -> Fleet:
        """Return the fleet with the stacks of these names alone; what else they need is taken to be there."""
        return replace(
            self,
            members={name: each for name, each in self.members.items() if name in names},
            nodes=[
                Node(node.name, tuple(need for need in node.needs if need in names))
                for node in self.nodes
                if node.name in names
            ],
        )


@dataclass(frozen=True, slots=True)
class _Places:
    """Makes errors that name the place in the file."""

    path: Path
    line: Callable[[Sequence[int | str]], int]

    def refused(self, where: str, rule: str, hint: str = "") -> InputError:
        return InputError(f"{self.path}:{self.line(where.split('.'))}: {where}: {rule}", hint=hint)


def _members(file: FleetFile, place: _Places) -> Iterator[tuple[str, Member]]:
    """Yield each stack with its place in the file."""
    for name, target in file.targets.items():
        if target.source_credentials is not None:
            yield f"targets.{name}.source_credentials", Member(target.source_credentials, name, "", file.defaults.tags)
    for name, project in file.projects.items():
        target_name = _target(file, place, name, project)
        tags = {key: value for key, value in {**file.defaults.tags, **project.tags}.items() if value is not None}
        if len(tags) > _MOST_TAGS:
            raise place.refused(f"projects.{name}", f"its stacks have {len(tags)} tags, and {_MOST_TAGS} are the most")
        for option, kind in (("ci", CiBuild), ("release", ReleaseBuild)):
            if option in project.model_fields_set:
                options = {**_given(getattr(file.defaults, option)), **_given(getattr(project, option))}
                construct = build(kind, project=name, project_url=project.project_url, **options)
                yield f"projects.{name}.{option}", Member(construct, target_name, name, tags)


def _names_made(member: Member) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield in words and as a key what of a stack can be there only once: in its target, and of a bucket's name at all."""
    construct = member.construct
    if isinstance(construct, CiBuild | ReleaseBuild):
        yield "CodeBuild project", (member.target, construct.codebuild_name)
        if construct.bucket_name is not None:
            yield "bucket", ("", construct.bucket_name)


def _target(file: FleetFile, place: _Places, name: str, project: Project) -> str:
    """Return the name of a project's target: its own, the default, or the only one there is."""
    where = f"projects.{name}.target" if project.target is not None else "defaults.target"
    wanted = project.target or file.defaults.target
    if wanted is None and len(file.targets) > 1:
        raise place.refused(
            f"projects.{name}", "it has no target, and there are several", "add target: to it, or to defaults"
        )
    if wanted is None:
        return next(iter(file.targets))
    if wanted not in file.targets:
        raise place.refused(where, f"there is no target {wanted!a}", f"the targets are: {', '.join(file.targets)}")
    return wanted


def _given(options: Any) -> dict[str, Any]:
    return {} if options is None else options.model_dump(exclude_unset=True, by_alias=True)


def _takes_token(construct: Construct) -> bool:
    """Return whether a project reaches GitHub by the credentials of the account, which are to be there before it."""
    return isinstance(construct, CiBuild | ReleaseBuild) and construct.connection_arn is None


def _require_order(file: FleetFile, place: _Places) -> None:
    for name, project in file.projects.items():
        for number, need in enumerate(project.needs):
            if need not in file.projects:
                near = difflib.get_close_matches(need, file.projects, n=1)
                raise InputError(
                    f"{place.path}:{place.line(('projects', name, 'needs', number))}: projects.{name}.needs[{number}]: "
                    f"there is no project {need!a}",
                    hint=f"did you mean {near[0]}?" if near else "",
                )
    try:
        order(Node(name, tuple(project.needs)) for name, project in file.projects.items())
    except InputError as error:
        first = error.message.removeprefix("a cycle: ").split(" → ")[0]
        raise place.refused(f"projects.{first}.needs", error.message, error.hint) from None
