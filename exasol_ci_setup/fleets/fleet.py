"""A fleet as a graph of constructs: its stacks, their targets, and their order."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.constructs.base import build
from exasol_ci_setup.constructs.ci import CiBuild, ReleaseBuild
from exasol_ci_setup.constructs.placeholders import placeholder
from exasol_ci_setup.constructs.source import SourceCredentials
from exasol_ci_setup.constructs.stack import Stack
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.core.tags import FLEET_TAG
from exasol_ci_setup.core.task_graph import Node, order
from exasol_ci_setup.fleets.stack_sets import StackSets
from exasol_ci_setup.programs.templates import require_valid_parameters, template_of
from exasol_ci_setup.template.input_files import StackOutput

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from exasol_ci_setup.constructs.base import Construct
    from exasol_ci_setup.constructs.scope import Scope
    from exasol_ci_setup.fleets.model import FleetFile, FleetStack, Target

# CloudFormation accepts 50 tags. The construct has up to 4 of its own, and a fleet with a name one more:
# https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateChangeSet.html.
_MOST_TAGS: Final = 45


@dataclass(frozen=True, slots=True)
class Member:
    """One stack of a fleet: its construct, its target, and its project (empty for a target's own stack).

    `tags` are those of the file, in addition to the construct's own. `outputs` are the outputs of other stacks that are values of its
    parameters, each with its target, and `needs` the members that are deployed first. `protect` is its termination protection, None for unchanged.
    """

    construct: Construct
    target: str
    project: str
    tags: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, StackOutput] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    protect: bool | None = None

    @property
    def name(self) -> str:
        """The unique name among all stacks of the fleet, such as ``main/Slc``."""
        return f"{self.target}/{self.construct.stack_name}"

    def matches(self, pattern: str) -> bool:
        """Return whether the project or a name of the stack matches `pattern`, in which ``*`` matches any text."""
        texts = (self.project, self.construct.stack_name, self.name)
        return any(fnmatchcase(text, pattern) for text in texts if text)


@dataclass(frozen=True)
class Fleet:
    """The content of a fleet file: `targets` and `members` by name, and the `nodes` of their graph, dependencies first.

    `name` is the name of the fleet, None if the file has none.
    """

    path: Path
    name: str | None
    targets: Mapping[str, Target]
    members: Mapping[str, Member]
    nodes: Sequence[Node]

    @classmethod
    def of(cls, path: Path, file: FleetFile, line: Callable[[Sequence[int | str]], int]) -> Fleet:
        """Return the fleet that `file` declares; `line` returns the line of a place in the file at `path`.

        Raises InputError for unknown names, cycles, and duplicate names.
        """
        place = _Places(path, line)
        members: dict[str, Member] = {}
        used: dict[tuple[str, ...], str] = {}
        for where, each in _members(file, place):
            for kind, name, key in _unique_names(each):
                first = used.setdefault(key, where)
                if first != where:
                    raise place.refused(
                        where,
                        f"its {kind} has the name {name}, like that of {first}",
                        f"choose another {'stack_name' if kind == 'stack' else 'name'} for one of them",
                    )
            members[each.name] = each if file.name is None else replace(each, tags={**each.tags, FLEET_TAG: file.name})
        _require_order(file, place)
        try:
            nodes = order(_nodes(file, members))
        except InputError as error:
            raise place.refused("stacks", error.message, "remove one of these references or needs") from None
        return cls(path, file.name, file.targets, members, nodes)

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

    def require_valid_templates(self) -> None:
        """Read the templates of `stacks`. Raises InputError with all problems of templates, artifacts and parameters."""
        problems = []
        for name, each in self.members.items():
            if isinstance(each.construct, Stack):
                try:
                    declared = template_of(each.construct)
                    declared.artifacts  # noqa: B018 - raises for files that do not exist
                    require_valid_parameters(
                        each.construct, declared, each.construct.static_parameters, unknown=each.outputs
                    )
                except InputError as error:
                    problems.append(f"{name}: {error.message}")
        if problems:
            raise InputError(
                "\n".join([f"{self.path} has stacks that cannot be deployed:", *problems]),
                hint="correct the templates, and `vars` and `parameters` of these entries",
            )

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
            options = each.construct.model_dump(
                include={"docker_secret", "secret_name", "connection_arn", "bucket_name"}
            )
            for option, value in options.items():
                if value is not None and (value.startswith("arn:") or option == "bucket_name"):
                    raise InputError(
                        f"{self.path}: {name} has {option} {value}, which exists in one account only",
                        hint="a StackSet has the same template everywhere: use a name instead of an ARN, and no bucket name",
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
        found = [name for name, each in self.members.items() if each.matches(pattern)]
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


@dataclass(frozen=True, slots=True)
class _Places:
    """Creates errors that name the place in the file."""

    path: Path
    line: Callable[[Sequence[int | str]], int]

    def refused(self, where: str, rule: str, hint: str = "") -> InputError:
        return InputError(f"{self.path}:{self.line(where.split('.'))}: {where}: {rule}", hint=hint)


def _members(file: FleetFile, place: _Places) -> Iterator[tuple[str, Member]]:
    """Yield each stack with its place in the file."""
    for name, target in file.targets.items():
        if target.source_credentials is not None:
            credentials = build(SourceCredentials, **_given(target.source_credentials))
            yield f"targets.{name}.source_credentials", Member(credentials, name, "", file.defaults.tags)
    for name, project in file.projects.items():
        target_name = _target(file, place, f"projects.{name}", project.target)
        tags = _tags(file, place, f"projects.{name}", project.tags)
        for option, kind in (("ci", CiBuild), ("release", ReleaseBuild)):
            if option in project.model_fields_set:
                options = {**_given(getattr(file.defaults, option)), **_given(getattr(project, option))}
                construct = build(kind, project=name, project_url=project.project_url, **options)
                yield f"projects.{name}.{option}", Member(construct, target_name, name, tags)
    for name, stack in file.stacks.items():
        yield f"stacks.{name}", _stack_member(file, place, name, stack)


def _stack_member(file: FleetFile, place: _Places, name: str, stack: FleetStack) -> Member:
    where = f"stacks.{name}"
    target = _target(file, place, where, stack.target)
    template = place.path.parent / stack.template
    if not template.is_file():
        raise place.refused(f"{where}.template", f"the template {stack.template} does not exist in {place.path.parent}")
    references = {key: value for key, value in stack.parameters.items() if isinstance(value, StackOutput)}
    unknown = next((each.target for each in references.values() if each.target and each.target not in file.targets), "")
    if unknown:
        raise place.refused(
            f"{where}.parameters", f"target {unknown!a} does not exist", f"the targets are: {', '.join(file.targets)}"
        )
    construct = Stack(
        name=name,
        stack_name=stack.stack_name or name,
        template=template.resolve(),
        variables=stack.vars,
        parameters={key: value for key, value in stack.parameters.items() if key not in references},
    )
    return Member(
        construct,
        target,
        "",
        _tags(file, place, where, stack.tags),
        outputs={key: replace(each, target=each.target or target) for key, each in references.items()},
        needs=_needs(file, place, name, stack),
        protect=stack.protect,
    )


def _needs(file: FleetFile, place: _Places, name: str, stack: FleetStack) -> tuple[str, ...]:
    """Return the members that are deployed before a stack. Raises InputError for an entry that does not exist."""
    found = []
    for number, need in enumerate(stack.needs):
        if need not in file.stacks:
            near = difflib.get_close_matches(need, file.stacks, n=1)
            raise place.refused(
                f"stacks.{name}.needs.{number}",
                f"stack {need!a} does not exist",
                f"did you mean {near[0]}?" if near else "",
            )
        other = file.stacks[need]
        found.append(f"{_target(file, place, f'stacks.{need}', other.target)}/{other.stack_name or need}")
    return tuple(found)


def _tags(file: FleetFile, place: _Places, where: str, own: Mapping[str, str | None]) -> dict[str, str]:
    """Return the tags of the defaults with those of an entry; None removes one. Raises InputError for too many."""
    tags = {key: value for key, value in {**file.defaults.tags, **own}.items() if value is not None}
    if len(tags) > _MOST_TAGS:
        raise place.refused(where, f"its stacks have {len(tags)} tags, at most {_MOST_TAGS} are allowed")
    return tags


def _unique_names(member: Member) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield the kind, the name and a key of each name that must be unique: in its target, for a bucket everywhere."""
    construct = member.construct
    yield "stack", construct.stack_name, ("stack", member.name.lower())
    if isinstance(construct, CiBuild | ReleaseBuild):
        yield "CodeBuild project", construct.codebuild_name, ("project", member.target, construct.codebuild_name)
        if construct.bucket_name is not None:
            yield "bucket", construct.bucket_name, ("bucket", construct.bucket_name)


def _nodes(file: FleetFile, members: Mapping[str, Member]) -> Iterator[Node]:
    """Yield the node of each stack: it depends on its target's own stack if needed, and on the stacks of the projects before it."""
    own: dict[str, str] = {}
    of_project: dict[str, list[str]] = {}
    for name, each in members.items():
        if each.project:
            of_project.setdefault(each.project, []).append(name)
        elif isinstance(each.construct, SourceCredentials):
            own[each.target] = name
    for name, each in members.items():
        needs = [*each.needs, *(f"{output.target}/{output.stack}" for output in each.outputs.values())]
        # An output of a stack that is not in the file is looked up on AWS.
        needs = [need for need in dict.fromkeys(needs) if need in members]
        if each.project:
            if each.target in own and each.construct.needs_access_to_github:
                needs.append(own[each.target])
            for project in file.projects[each.project].needs:
                needs += of_project[project]
        yield Node(name, tuple(needs))


def _target(file: FleetFile, place: _Places, where: str, own: str | None) -> str:
    """Return the name of the target of an entry: its own, the default, or the only one."""
    wanted = own or file.defaults.target
    if wanted is None and len(file.targets) > 1:
        raise place.refused(where, "it has no target, and the file has several", "add target: to it, or to defaults")
    if wanted is None:
        return next(iter(file.targets))
    if wanted not in file.targets:
        raise place.refused(
            f"{where}.target" if own is not None else "defaults.target",
            f"target {wanted!a} does not exist",
            f"the targets are: {', '.join(file.targets)}",
        )
    return wanted


def _given(options: Any) -> dict[str, Any]:
    return {} if options is None else options.model_dump(exclude_unset=True, by_alias=True)


def _require_order(file: FleetFile, place: _Places) -> None:
    for name, project in file.projects.items():
        for number, need in enumerate(project.needs):
            if need not in file.projects:
                near = difflib.get_close_matches(need, file.projects, n=1)
                raise InputError(
                    f"{place.path}:{place.line(('projects', name, 'needs', number))}: projects.{name}.needs[{number}]: "
                    f"project {need!a} does not exist",
                    hint=f"did you mean {near[0]}?" if near else "",
                )
    try:
        order(Node(name, tuple(project.needs)) for name, project in file.projects.items())
    except InputError as error:
        first = error.message.removeprefix("a cycle: ").split(" → ")[0]
        raise place.refused(f"projects.{first}.needs", error.message, error.hint) from None
