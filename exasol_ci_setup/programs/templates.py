"""The template of a declared construct, in which the outputs of other constructs are parameters."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from exasol_ci_setup.constructs.placeholders import only_placeholders, placeholder, placeholders_in, refusal_of
from exasol_ci_setup.constructs.stack import Stack
from exasol_ci_setup.constructs.unresolved import UnresolvedText
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.template.artifacts import LocalArtifacts, PlaceholderStore, find_artifacts, package
from exasol_ci_setup.template.input_files import StackOutput
from exasol_ci_setup.template.output_parameters import declare_outputs
from exasol_ci_setup.template.parameters import GivenParameter, choose, declarations
from exasol_ci_setup.template.render import parse
from exasol_ci_setup.template.source import construct_source, load_template

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from exasol_ci_setup.constructs.base import Construct
    from exasol_ci_setup.constructs.placeholders import Placeholder
    from exasol_ci_setup.template.render import Template


@dataclass(frozen=True, slots=True)
class DeclaredTemplate:
    """The template of a construct, parsed, with the output behind each parameter for one, and the folder of its local paths."""

    template: Template
    parsed: Mapping[str, Any]
    outputs: Mapping[str, Placeholder]
    folder: Path | None = None

    @property
    def artifacts(self) -> LocalArtifacts:
        """The local artifacts of a template of the user. Raises as `find_artifacts`."""
        if self.folder is None:
            return LocalArtifacts(self.template)
        return find_artifacts(self.template, self.parsed, self.folder)


def template_of(construct: Construct) -> DeclaredTemplate:
    """Render the template of a construct. The outputs that it uses become parameters, also if their values are known.

    Raises InputError for an invalid value, and for an output where CloudFormation evaluates no function.
    """
    with only_placeholders(), _hints_for_programs():
        loaded = load_template(construct_source(construct))
    found = declare_outputs(loaded.template, loaded.parsed, described(construct))
    parsed = parse(found.template.body) if found.outputs else loaded.parsed
    return DeclaredTemplate(found.template, parsed, found.outputs, loaded.folder)


def checked_template(construct: Construct) -> Template:
    """Return the template of a construct with placeholders for its local artifacts, for a check without AWS. Raises as `template_of`."""
    declared = template_of(construct)
    return package(declared.artifacts, PlaceholderStore()).template if declared.artifacts else declared.template


@contextmanager
def _hints_for_programs() -> Iterator[None]:
    """Name the argument of the program in the hint of an error, and not the option of a command."""
    try:
        yield
    except InputError as error:
        if "--var" in error.hint:
            error.hint = "the variables are those in variables= of the Stack; a construct of your own is `construct`"
        raise


def require_valid(construct: Construct) -> None:
    """Check what is known of a declared construct before anything is deployed.

    Raises InputError if it uses the result of an action, or an output where it must be known; for a template of the user also for an
    artifact that does not exist, and for invalid and missing parameters.
    """
    declared = template_of(construct)
    tags = [builder.image_tag for builder in construct.builders]
    given = {name: value for name, value in construct.static_parameters.items() if value not in tags}
    for name, text in {**given, **construct.tags}.items():
        refused = next((each for each in placeholders_in(text) if not each.output), None)
        if refused is not None:
            raise refusal_of(refused, f"parameter {name}", described(construct))
    if declared.folder is not None:
        declared.artifacts  # noqa: B018 - raises for files that do not exist
        unknown = (*construct.network_parameters, *construct.parameter_sources)
        try:
            require_valid_parameters(construct, declared, given, unknown=unknown)
        except InputError as error:
            error.hint = "set the parameters with parameters=" if isinstance(construct, Stack) else ""
            raise


def require_valid_parameters(
    construct: Construct, declared: DeclaredTemplate, given: Mapping[str, str], *, unknown: Iterable[str] = ()
) -> None:
    """Raise InputError with all problems of the parameters that the user's own template declares, and with the missing ones.

    Values that are not known yet, such as those of the parameters `unknown`, are not checked.
    """
    if declared.folder is None:
        return
    later = {*unknown, *(name for name, text in given.items() if any(placeholders_in(text)))}
    values = {
        name: GivenParameter(StackOutput("", "") if name in later else given[name])
        for name in {**given, **dict.fromkeys(later)}
    }
    wanted = {name: each for name, each in declarations(declared.parsed).items() if name not in declared.outputs}
    try:
        choose(wanted, values).require_valid()
    except InputError as error:
        error.message = f"{described(construct)}: {error.message}"
        # Not the options of a command.
        error.hint = ""
        raise


def placeholders(construct: Construct) -> dict[str, str]:
    """Return a placeholder for each output of the construct's future stack. Raises as `template_of`."""
    return {name: placeholder(construct, name) for name in template_of(construct).parsed.get("Outputs") or {}}


def require_values(construct: Construct, parameters: Mapping[str, str]) -> None:
    """Raise InputError if a parameter of `construct` still contains a placeholder."""
    for name, value in parameters.items():
        found = next(placeholders_in(value), None)
        if found is not None:
            raise refusal_of(found, f"parameter {name}", described(construct))


def described(construct: Construct) -> str:
    """Return the kind of the construct and the name of its stack, for messages."""
    return f"{type(construct).__name__} {construct.stack_name!r}"


class AnyOutput(dict[str, str]):
    """A placeholder for any requested output of a construct, without reading its template.

    A template may need a file that is no longer available, such as a key.
    """

    def __init__(self, construct: Construct) -> None:
        super().__init__()
        self._construct = construct

    def __missing__(self, name: str) -> str:
        return UnresolvedText(placeholder(self._construct, name))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str)
