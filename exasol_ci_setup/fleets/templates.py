"""Check the templates of the stacks of a fleet without AWS: the files, local artifacts, parameters, and outputs of other stacks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from exasol_ci_setup.constructs.stack import Stack
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.core.text import suggestion
from exasol_ci_setup.template.artifacts import find_artifacts
from exasol_ci_setup.template.intrinsics import as_mapping
from exasol_ci_setup.template.parameters import GivenParameter, choose, declarations
from exasol_ci_setup.template.render import transforms
from exasol_ci_setup.template.source import construct_source, load_template

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from exasol_ci_setup.fleets.fleet import Member
    from exasol_ci_setup.fleets.problems import Problems
    from exasol_ci_setup.template.source import LoadedTemplate


def check_templates(members: Sequence[Member], problems: Problems) -> None:
    """Add the problems of the stacks' templates to `problems`.

    Templates that cannot be read, artifacts that do not exist, unknown and missing parameters and values that break their rules, and
    outputs that the template of another stack does not declare.
    """
    of_files: dict[str, list[Member]] = {}
    loaded: dict[str, LoadedTemplate] = {}
    for member in members:
        if not isinstance(member.construct, Stack):
            continue
        try:
            _require_file(member.construct)
            template = load_template(construct_source(member.construct))
            loaded[member.name] = template
            find_artifacts(template.template, template.parsed, template.folder or Path())
        except InputError as error:
            for text in error.problems or (error.message,):
                of_files.setdefault(text, []).append(member)
        if member.name in loaded:
            _check_parameters(member, loaded[member.name].parsed, problems)
    for text, (first, *others) in of_files.items():
        also = f"; also stacks.{', stacks.'.join(str(each.where[1]) for each in others)}" if others else ""
        problems.add((*first.where, "template"), f"{text}{also}")
    _check_outputs(members, {name: each.parsed for name, each in loaded.items()}, problems)


def _require_file(stack: Stack) -> None:
    """Raise InputError if the template is not a file, with the name of a similar one."""
    name = str(stack.source)
    path = stack.folder / name
    try:
        if path.is_file():
            return
        others = [str(Path(name).parent / each.name) for each in path.parent.iterdir() if each.is_file()]
    except (OSError, ValueError):
        # The folder does not exist either, or the text is no name of a file.
        others = []
    raise InputError(f"the file {path} does not exist{suggestion(name, others)}")


def _check_parameters(member: Member, template: Mapping[str, Any], problems: Problems) -> None:
    given: dict[str, GivenParameter] = {
        name: GivenParameter(value) for name, value in member.construct.static_parameters.items()
    }
    given |= {name: GivenParameter(output) for name, output in member.outputs.items()}
    choice = choose(declarations(template), given)
    for each in choice.problems:
        problems.add((*member.where, "parameters", each.name), each.rule, value=each.shown)
    for declared in choice.missing:
        problems.add(member.where, declared.missing)


def _check_outputs(members: Iterable[Member], templates: Mapping[str, Mapping[str, Any]], problems: Problems) -> None:
    for member in members:
        for name, output in member.outputs.items():
            template = templates.get(f"{output.target}/{output.stack}")
            # A transform can add outputs.
            if template is None or transforms(template):
                continue
            declared = as_mapping(template.get("Outputs"))
            if output.output not in declared:
                names = f"its outputs: {', '.join(declared) or 'none'}"
                near = suggestion(output.output, declared, names)
                rule = f"the template of stack {output.stack} has no output {output.output}{near}"
                problems.add((*member.where, "parameters", name), rule)
