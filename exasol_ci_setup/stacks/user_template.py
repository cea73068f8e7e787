"""A stack of the user's own template: its file, its artifacts, its parameters, and the request that deploys it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.core.tags import TAG_PREFIX
from exasol_ci_setup.stacks import output_values, state
from exasol_ci_setup.stacks.request import Request
from exasol_ci_setup.stacks.upload import TemplateBucket, Uploads
from exasol_ci_setup.template.artifacts import LocalArtifacts, PlaceholderStore, find_artifacts, package
from exasol_ci_setup.template.intrinsics import MASK
from exasol_ci_setup.template.parameters import GivenParameter, choose, declarations, resolve_outputs
from exasol_ci_setup.template.render import capability_reasons
from exasol_ci_setup.template.source import default_stack_name, load_template, open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.core.stacks import Stack
    from exasol_ci_setup.template.parameter_files import ParameterFile
    from exasol_ci_setup.template.parameters import ParameterChoice, ParameterDeclaration
    from exasol_ci_setup.template.render import Template
    from exasol_ci_setup.template.source import LoadedTemplate

_MOST_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class TemplateInput:
    """What the user gives: a template file, or ``-`` for standard input, and its values.

    `name` is the name of the stack, by default that of the file, and without one `fallback_name`. Of `files` later ones win, and `parameters` win over all files.
    """

    file: str
    name: str = ""
    fallback_name: str = ""
    variables: Mapping[str, Any] = field(default_factory=dict)
    template_dir: Path | None = None
    files: Sequence[ParameterFile] = ()
    parameters: Mapping[str, GivenParameter] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TemplateStack:
    """A stack of the user's own template, as far as it is known without AWS. `tags` include those that identify the stack."""

    name: str
    loaded: LoadedTemplate
    artifacts: LocalArtifacts
    declared: Mapping[str, ParameterDeclaration]
    given: Mapping[str, GivenParameter] = field(repr=False)
    tags: Mapping[str, str]
    stack_policy: str = ""


def open_template(given: TemplateInput) -> TemplateStack:
    """Read the template and find its artifacts.

    Raises InputError for a file that cannot be read, and with all problems of artifacts and of the names and values of parameters.
    """
    source = open_source(given.file, given.variables, template_dir=given.template_dir)
    name = given.name or _default_name(given)
    loaded = load_template(source)
    parameters: dict[str, GivenParameter] = {}
    tags: dict[str, str] = {}
    policy = ""
    for file in given.files:
        parameters.update(file.parameters)
        tags.update(file.tags)
        policy = file.stack_policy or policy
    parameters.update(given.parameters)
    declared = declarations(loaded.parsed)
    try:
        artifacts = find_artifacts(loaded.template, loaded.parsed, loaded.folder or Path())
    except InputError as error:
        # The missing parameters are unknown before the stack is read.
        problems = choose(declared, parameters, deployed=dict.fromkeys(declared, MASK)).problems
        lines = [*(error.problems or [error.message]), *map(str, problems)]
        raise InputError.of(lines, f"{given.file} has {len(lines)} problems", hint=error.hint) from None
    identity = {f"{TAG_PREFIX}construct": "Template", f"{TAG_PREFIX}name": name}
    return TemplateStack(name, loaded, artifacts, declared, parameters, {**tags, **identity}, policy)


def _default_name(given: TemplateInput) -> str:
    try:
        return default_stack_name(given.file)
    except InputError:
        if not given.fallback_name:
            raise
        return given.fallback_name


def offline_template(stack: TemplateStack) -> Template:
    """Return the template with placeholders in place of its artifacts, to check it without AWS."""
    return package(stack.artifacts, PlaceholderStore()).template if stack.artifacts else stack.loaded.template


def known_choice(stack: TemplateStack) -> ParameterChoice:
    """Return the values of parameters that are known without AWS; the others are missing or outputs."""
    return choose(stack.declared, stack.given)


def require_valid_values(stack: TemplateStack) -> None:
    """Raise InputError with all problems of the given names and values of parameters; missing ones are no problem."""
    choice = choose(stack.declared, stack.given, deployed=dict.fromkeys(stack.declared, MASK))
    choice.require_valid()


def choose_parameters(
    stack: TemplateStack,
    account: Account,
    current: Stack | None,
    *,
    ask: Callable[[ParameterDeclaration], str | None] | None = None,
) -> ParameterChoice:
    """Return the values of the parameters; `current` is the stack now, or None.

    A parameter without a value keeps that of the stack. `ask` returns the value of a missing parameter, or None to leave it missing.
    Raises InputError with all problems, and for outputs of stacks that do not exist.
    """
    given, deployed = _previous(stack, current)
    choice = choose(stack.declared, given, deployed=deployed)
    if ask is not None and choice.missing and not choice.problems:
        answers = {each.name: ask(each) for each in choice.missing}
        given |= {name: GivenParameter(value, "the prompt") for name, value in answers.items() if value is not None}
        choice = choose(stack.declared, given, deployed=deployed)
    choice.require_valid()
    choice = resolve_outputs(choice, stack.declared, lambda outputs: output_values.look_up(outputs, _only(account)))
    choice.require_valid()
    return choice


def build_request(
    stack: TemplateStack, account: Account, choice: ParameterChoice, *, bucket: str | None = None
) -> Request:
    """Return the request that deploys the template. Its artifacts are uploaded when CloudFormation needs them.

    `bucket` is for artifacts and large templates, by default that of this tool. Raises InputError for a file that cannot be read, and the
    errors of the AWS boundary.
    """
    template, uploads = package_artifacts(stack.artifacts, account, bucket=bucket)
    return Request(
        name=stack.name,
        template=template,
        parameters=choice.values,
        kept_parameters=choice.kept,
        tags=stack.tags,
        template_bucket=bucket,
        stack_policy=stack.stack_policy or None,
        uploads=uploads,
        notes=(*_kept_notes(choice), *capability_notes(stack.loaded.parsed)),
    )


def package_artifacts(
    artifacts: LocalArtifacts, account: Account, *, bucket: str | None = None
) -> tuple[Template, Uploads | None]:
    """Return the template with the addresses of its artifacts, and their uploads, None if it has no artifacts. Raises as `build_request`."""
    if not artifacts:
        return artifacts.template, None
    uploads = Uploads(TemplateBucket(account, bucket))
    return package(artifacts, uploads).template, uploads


def capability_notes(parsed: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a line for each capability that the parsed template requires, with what requires it."""
    found = []
    for capability, names in capability_reasons(parsed).items():
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        found.append(f"{capability} for {', '.join(names[:_MOST_NAMED])}{more}")
    return tuple(found)


def _previous(stack: TemplateStack, current: Stack | None) -> tuple[dict[str, GivenParameter], Mapping[str, str]]:
    """Return the given values, and the values that CloudFormation can keep."""
    given = dict(stack.given)
    if current is None or state.is_absent(current):
        return given, {}
    if not state.is_stuck(current):
        return given, current.parameters
    # The stack is deleted and created again, so its values are given; CloudFormation does not return those of NoEcho parameters.
    for name, value in current.parameters.items():
        is_open = name in stack.declared and (name not in given or given[name].value is None)
        if is_open and value != MASK:
            given[name] = GivenParameter(value, "the deployed stack")
    return given, {}


def _kept_notes(choice: ParameterChoice) -> tuple[str, ...]:
    return (f"parameters that keep their deployed values: {', '.join(choice.kept)}",) if choice.kept else ()


def _only(account: Account) -> Callable[[str], Account]:
    def of_target(target: str) -> Account:
        if target:
            raise InputError(f"{target} is a target: only a fleet has targets", hint="write STACK.OUTPUT")
        return account

    return of_target
