"""Declare the stacks of a fleet file, in their order, and collect what is wrong with their names and references."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import ValidationError

from exasol_ci_setup.constructs.base import Construct, simplify_errors
from exasol_ci_setup.constructs.ci import CiBuild, ReleaseBuild
from exasol_ci_setup.constructs.source import SourceCredentials
from exasol_ci_setup.constructs.stack import Stack
from exasol_ci_setup.core.tags import FLEET_TAG
from exasol_ci_setup.core.task_graph import Node, find_cycles, order
from exasol_ci_setup.core.text import suggestion
from exasol_ci_setup.fleets.fleet import Fleet, Member
from exasol_ci_setup.template.input_files import StackOutput

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from exasol_ci_setup.fleets.model import FleetFile, FleetStack
    from exasol_ci_setup.fleets.problems import Place, Problems

# CloudFormation accepts 50 tags. The construct has up to 4 of its own, and a fleet with a name one more:
# https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateChangeSet.html.
_MOST_TAGS: Final = 45

C = TypeVar("C", bound=Construct)


@dataclass(frozen=True, slots=True)
class Names:
    """The names of the entries in a fleet file, also of those that are invalid."""

    targets: tuple[str, ...]
    projects: tuple[str, ...]
    stacks: tuple[str, ...]


class Declaration:
    """The stacks that a file declares. What is wrong with them is added to `problems`; then there is no fleet."""

    def __init__(self, file: FleetFile, names: Names, problems: Problems) -> None:
        self._file = file
        self._names = names
        self._problems = problems
        self._fleet_tag = {} if file.name is None else {FLEET_TAG: file.name}
        declared = list(self._declared())
        self._members = self._unique(declared)
        self.stacks = [self._with_references(each) for each in declared]
        self._members = {each.name: each for each in self.stacks if each.name in self._members}
        self._check_cycles()

    def fleet(self) -> Fleet:
        """Return the fleet. Call it only if the file has no problems."""
        file = self._file
        nodes = order(self._nodes())
        return Fleet(self._problems.path, file.name, file.targets, self._members, nodes, self._problems)

    def _unique(self, declared: Iterable[Member]) -> dict[str, Member]:
        """Return the stacks by their unique names."""
        found: dict[str, Member] = {}
        used: dict[tuple[str, ...], Place] = {}
        for each in declared:
            if all(self._is_unique(each, used, *name) for name in _unique_names(each)):
                found[each.name] = each
        return found

    def _is_unique(self, member: Member, used: dict[tuple[str, ...], Place], kind: str, name: str, key: Any) -> bool:
        first = used.setdefault(key, member.where)
        if first == member.where:
            return True
        other = ".".join(map(str, first))
        self._problems.add(
            member.where,
            f"its {kind} has the name {name}, like that of {other}; choose another {_NAME_KEYS[kind]} for one of them",
        )
        return False

    def _declared(self) -> Iterator[Member]:
        file = self._file
        for name, target in file.targets.items():
            where: Place = ("targets", name, "source_credentials")
            given = _given(target.source_credentials)
            credentials = self._build(SourceCredentials, where, given) if given else None
            if credentials is not None:
                yield Member(credentials, name, "", {**file.defaults.tags, **self._fleet_tag}, where=where)
        for name, project in file.projects.items():
            target_name = self._target(("projects", name), project.target)
            tags = self._tags(("projects", name), project.tags)
            for option, kind in (("ci", CiBuild), ("release", ReleaseBuild)):
                if option not in project.model_fields_set:
                    continue
                options = {**_given(getattr(file.defaults, option)), **_given(getattr(project, option))}
                options |= {"project": name, "project_url": project.project_url}
                where = ("projects", name, option)
                construct = self._build(kind, where, options)
                if construct is not None:
                    yield Member(construct, target_name, name, tags, where=where)
            self._check_needs(("projects", name), project.needs, "project", self._names.projects)
        for name, stack in file.stacks.items():
            yield from self._stack(name, stack)

    def _build(self, kind: type[C], where: Place, options: Mapping[str, Any]) -> C | None:
        try:
            return kind(**{name: value for name, value in options.items() if value is not None})
        except ValidationError as error:
            for each in simplify_errors(error.errors(include_url=False)):
                self._problems.add_invalid(each, where)
        return None

    def _stack(self, name: str, stack: FleetStack) -> Iterator[Member]:
        where = ("stacks", name)
        target = self._target(where, stack.target)
        self._check_needs(where, stack.needs, "stack", self._names.stacks)
        tags = self._tags(where, stack.tags)
        references = {key: value for key, value in stack.parameters.items() if isinstance(value, StackOutput)}
        for key, value in references.items():
            if value.target and value.target not in self._names.targets:
                self._problems.add((*where, "parameters", key), self._unknown_target(value.target))
        options = {
            "name": name,
            "stack_name": stack.stack_name or name,
            "template": stack.template,
            "variables": stack.vars,
            "parameters": {key: value for key, value in stack.parameters.items() if key not in references},
        }
        construct = self._build(Stack, where, options)
        if construct is not None:
            yield Member(
                construct.in_folder(self._problems.path.parent),
                target,
                "",
                tags,
                outputs={key: replace(each, target=each.target or target) for key, each in references.items()},
                needs=stack.needs,
                protect=stack.protect,
                where=where,
            )

    def _target(self, where: Place, own: str | None) -> str:
        """Return the name of the target of an entry: its own, the default, or the only one. Empty if it is unknown."""
        names = self._names.targets
        wanted = own or self._file.defaults.target
        if wanted is None and len(names) > 1:
            self._problems.add(where, "it has no target, and the file has several; add target: to it, or to defaults")
            return ""
        if wanted is None:
            return next(iter(names), "")
        if wanted in names:
            return wanted
        self._problems.add(
            (*where, "target") if own is not None else ("defaults", "target"), self._unknown_target(wanted)
        )
        return ""

    def _unknown_target(self, name: str) -> str:
        names = f"the targets are: {', '.join(self._names.targets)}"
        return f"target {name!a} does not exist{suggestion(name, self._names.targets, names)}"

    def _tags(self, where: Place, own: Mapping[str, str | None]) -> dict[str, str]:
        """Return the tags of the defaults with those of an entry; None removes one."""
        tags = {key: value for key, value in {**self._file.defaults.tags, **own}.items() if value is not None}
        if len(tags) > _MOST_TAGS:
            self._problems.add(where, f"its stacks have {len(tags)} tags, at most {_MOST_TAGS} are allowed")
        return {**tags, **self._fleet_tag}

    def _check_needs(self, where: Place, needs: tuple[str, ...], kind: str, names: tuple[str, ...]) -> None:
        for number, need in enumerate(needs):
            if need not in names:
                self._problems.add(
                    (*where, "needs", number), f"{kind} {need!a} does not exist{suggestion(need, names)}"
                )

    def _with_references(self, member: Member) -> Member:
        """Return the member whose `needs` and `outputs` name members, where the file names entries."""
        outputs = {key: _resolved(each, self._members, self._entries) for key, each in member.outputs.items()}
        needs = tuple(self._entries[need].name for need in member.needs if need in self._entries)
        return replace(member, needs=needs, outputs=outputs)

    @property
    def _entries(self) -> dict[str, Member]:
        """The members by the names of their entries in `stacks`."""
        return {str(each.where[1]): each for each in self._members.values() if each.where[0] == "stacks"}

    def _check_cycles(self) -> None:
        """Add the cycles among projects, and those among stacks."""
        projects = {name: each.needs for name, each in self._file.projects.items()}
        known = {name: [need for need in needs if need in projects] for name, needs in projects.items()}
        for cycle in find_cycles(known):
            rule = f"a cycle: {' → '.join(cycle)}; remove one of these dependencies"
            self._problems.add(("projects", cycle[0], "needs"), rule)
        entries = {each.name: name for name, each in self._entries.items()}
        needs = {
            entry: [entries[need] for need in _needs_of(self._members[name], self._members) if need in entries]
            for name, entry in entries.items()
        }
        for cycle in find_cycles(needs):
            rule = f"a cycle: {' → '.join(cycle)}; remove one of these references or needs"
            self._problems.add(("stacks", cycle[0]), rule)

    def _nodes(self) -> Iterator[Node]:
        """Yield the node of each stack: it depends on its target's own stack if needed, and on the stacks of the projects before it."""
        own: dict[str, str] = {}
        of_project: dict[str, list[str]] = {}
        for name, each in self._members.items():
            if each.project:
                of_project.setdefault(each.project, []).append(name)
            elif isinstance(each.construct, SourceCredentials):
                own[each.target] = name
        for name, each in self._members.items():
            needs = list(_needs_of(each, self._members))
            if each.project:
                if each.target in own and each.construct.needs_access_to_github:
                    needs.append(own[each.target])
                for project in self._file.projects[each.project].needs:
                    needs += of_project[project]
            yield Node(name, tuple(needs))


def _needs_of(member: Member, members: Mapping[str, Member]) -> Iterator[str]:
    """Yield the members that a stack needs. An output of a stack that is not in the file is looked up on AWS."""
    needs = [*member.needs, *(f"{output.target}/{output.stack}" for output in member.outputs.values())]
    yield from (need for need in dict.fromkeys(needs) if need in members)


def _resolved(output: StackOutput, members: Mapping[str, Member], entries: Mapping[str, Member]) -> StackOutput:
    """Return the output with the name of its stack on AWS, in place of the name of its entry."""
    entry = entries.get(output.stack)
    if f"{output.target}/{output.stack}" in members or entry is None or entry.target != output.target:
        return output
    return replace(output, stack=entry.construct.stack_name)


_NAME_KEYS: Final = {"stack": "stack_name", "CodeBuild project": "codebuild_name", "bucket": "bucket_name"}


def _unique_names(member: Member) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield the kind, the name and a key of each name that must be unique: in its target, for a bucket everywhere."""
    construct = member.construct
    yield "stack", construct.stack_name, ("stack", member.name.lower())
    if isinstance(construct, CiBuild | ReleaseBuild):
        yield "CodeBuild project", construct.codebuild_name, ("project", member.target, construct.codebuild_name)
        if construct.bucket_name is not None:
            yield "bucket", construct.bucket_name, ("bucket", construct.bucket_name)


def _given(options: Any) -> dict[str, Any]:
    return {} if options is None else options.model_dump(exclude_unset=True, by_alias=True)
