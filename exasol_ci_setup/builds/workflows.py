"""Generate the GitHub Actions workflow of a space or of a CI stack; no value can change its structure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

import yaml
from pydantic import TypeAdapter, ValidationError

from exasol_ci_setup.builds.buildspecs.files import GeneratedFile, compare, from_root, write
from exasol_ci_setup.builds.checkout import enclosing_repository, require_root
from exasol_ci_setup.constructs.ci import ProjectName
from exasol_ci_setup.constructs.scope import Region
from exasol_ci_setup.constructs.space import SpaceName
from exasol_ci_setup.constructs.values import Name, RoleArn, matching
from exasol_ci_setup.core import origin
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.core.rules import rule_of
from exasol_ci_setup.template.render import environment as template_environment
from exasol_ci_setup.template.render import finalize

if TYPE_CHECKING:
    import jinja2

DIRECTORY: Final = Path(".github/workflows")
"""The directory of workflows for GitHub, below the repository's root."""

ACTIONS: Final = {
    "checkout": ("actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8", "v5.0.0"),
    "configure_aws_credentials": (
        "aws-actions/configure-aws-credentials@8df5847569e6427dd6c4fb1cf565c83acfa8afa7",
        "v6.0.0",
    ),
    "setup_python": ("actions/setup-python@e797f83bcb11b83ae66e0230d6156d7c80228e7c", "v6.0.0"),
}
"""The actions in workflows, each at the commit of a release: a tag can be moved to other code, a commit cannot."""

_EXPRESSION: Final = "${{"
_PACKAGE: Final = re.compile(r"^ +PACKAGE: (.+)$", re.MULTILINE)
_Path = Annotated[
    str,
    matching(
        r"(?!/)(?!.*(^|/)\.\.(/|$))[^\x00-\x1f\x7f\\]*[^\x00-\x1f\x7f\\\s][^\x00-\x1f\x7f\\]*",
        "use a path inside the repository, with / between directories",
    ),
]
_Branch = Annotated[
    str,
    matching(
        r"(?!!)[^\x00-\x20\x7f~^:\\]+",
        "use the name of a branch, or a pattern such as release/*",
    ),
]
_Environment = Annotated[
    str,
    matching(
        r"[^\x00-\x1f\x7f]{1,255}",
        "use the name of an environment of the repository, at most 255 characters",
    ),
]
_LONGEST_NUMBER: Final = len("-pr-1234567")
_LONGEST_SPACE: Final = 63
_Requirement = Annotated[
    str, matching(r"[^\x00-\x20\x7f-][^\x00-\x1f\x7f]*", "use one requirement for pip, not an option")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Workflow:
    """The common part of all workflows.

    Each push to `branch`, which may be a pattern, starts one. It assumes `role_arn` in `region`; with None these come from the
    repository's secrets AWS_ROLE_ARN and AWS_REGION. `package` is the requirement with which pip installs this program.
    """

    branch: str = "main"
    role_setting: ClassVar[str] = "AWS_ROLE_ARN"

    role_arn: str | None = None
    region: str | None = None
    package: str

    def __post_init__(self) -> None:
        _require("branch", _Branch, self.branch)
        _require("package", _Requirement, self.package)
        if self.role_arn is not None:
            _require("role-arn", RoleArn, self.role_arn)
        if self.region is not None:
            _require("region", Region, self.region)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceWorkflow(_Workflow):
    """Builds the image of a space, pushes it with the commit as its tag, and updates the space.

    `dockerfile_path` and `docker_context` are POSIX paths relative to the repository's root. With `registry` None nothing is built: the
    workflow then only checks the space. With `environment` its runs wait for the protection rules of that environment on GitHub. A manual run
    can roll back the space.

    Raises InputError for an invalid value, naming its option.
    """

    template = "space.yaml.j2"

    space: str
    registry: str | None
    dockerfile_path: str = "Dockerfile"
    docker_context: str = "."
    environment: str | None = None

    def __post_init__(self) -> None:
        _Workflow.__post_init__(self)
        _require("name", SpaceName, self.space)
        if self.environment is not None:
            _require("environment", _Environment, self.environment)
        if self.registry is not None:
            _require("registry-name", Name, self.registry)
        _require("dockerfile-path", _Path, self.dockerfile_path)
        _require("docker-context", _Path, self.docker_context)

    @property
    def file_name(self) -> str:
        """The name of the file."""
        return f"ci-{self.space}.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewWorkflow(_Workflow):
    """Deploys each pull request against `branch` as a space of its own, and deletes that space when the pull request is closed.

    The space is called after `space` and the number of the pull request. With `role_arn` None the role is the secret AWS_PREVIEW_ROLE_ARN.

    Raises InputError for an invalid value, naming its option.
    """

    template = "preview.yaml.j2"
    role_setting: ClassVar[str] = "AWS_PREVIEW_ROLE_ARN"

    space: str
    registry: str
    dockerfile_path: str = "Dockerfile"
    docker_context: str = "."

    def __post_init__(self) -> None:
        _Workflow.__post_init__(self)
        if len(self.space) + _LONGEST_NUMBER > _LONGEST_SPACE:
            raise InputError(
                f"--name {self.space} is too long for previews: with the number of a pull request, it is the name of a space",
                hint=f"use a name of at most {_LONGEST_SPACE - _LONGEST_NUMBER} characters, or omit --preview",
            )

    @property
    def file_name(self) -> str:
        """The name of the file."""
        return f"preview-{self.space}.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildWorkflow(_Workflow):
    """Starts the CodeBuild builds of the CI stack of `project`, and follows them.

    Raises InputError for an invalid value, naming its option.
    """

    template = "codebuild.yaml.j2"

    project: str

    def __post_init__(self) -> None:
        _Workflow.__post_init__(self)
        _require("project", ProjectName, self.project)

    @property
    def file_name(self) -> str:
        """The name of the file."""
        return f"ci-{self.project}.yaml"


def render(workflow: SpaceWorkflow | PreviewWorkflow | BuildWorkflow) -> str:
    """Return the text of the file; the same on every machine.

    Raises InputError for a value that is invalid in a workflow: GitHub would evaluate an expression in it.
    """
    return _environment().get_template(workflow.template).render(workflow=workflow)


def package_of(path: Path, chosen: str | None = None) -> str | None:
    """Return the requirement that the workflow at `path` installs: `chosen`, or a safe default; None if none is known.

    The default is the origin of this installation, or the commit or archive that the file already names. A name from an index counts only if
    this program was installed from there under that name: otherwise anyone could publish another package under it. It has the extra `aws`,
    which the commands of the workflow need.

    Raises InputError if `chosen` is such a name, or the example of the hints, because its owner on GitHub is another user.
    """
    if chosen == origin.EXAMPLE:
        raise InputError(
            f"--package {chosen} is only an example", hint="replace OWNER and COMMIT with those of your repository"
        )
    this = origin.of_this()
    name = None if chosen is None else origin.named_in_index(chosen)
    if name is not None and not (name == origin.NAME and this.version):
        raise InputError(
            f"--package {chosen} is a name from an index, where another package may have it",
            hint=f"name a commit, such as --package {origin.EXAMPLE}, or an archive with its hash",
        )
    package = chosen or this.requirement or _package_in(path)
    return None if package is None else origin.with_extra(package, "aws")


def _package_in(path: Path) -> str | None:
    """Return the commit or archive that the workflow at `path` installs, or None."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None

    found = _PACKAGE.search(text)
    try:
        named = yaml.safe_load(found[1]) if found else None
    except yaml.YAMLError:
        return None
    return named if isinstance(named, str) and "://" in named and named != origin.EXAMPLE else None


def on_disk(workflow: SpaceWorkflow | PreviewWorkflow | BuildWorkflow, directory: Path = DIRECTORY) -> GeneratedFile:
    """Return the file in `directory`, as generated and as it exists.

    Raises InputError as `render` does, if the file cannot be read, and below the root of a repository unless `directory` is that of the root.
    """
    root = enclosing_repository()
    if root is not None and directory.resolve() != (root / DIRECTORY).resolve():
        require_root()
    return compare(directory, {workflow.file_name: render(workflow)})[0]


def _require(option: str, kind: Any, value: str) -> None:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        rule = rule_of(error.errors(include_url=False)[0])
    else:
        return
    raise InputError(f"--{option} {value!a} is invalid: {rule}")


class _Literal(str):
    """Text that appears unquoted in a workflow: an action with its version."""

    __slots__ = ()


def _action(name: Literal["checkout", "configure_aws_credentials", "setup_python"]) -> _Literal:
    commit, version = ACTIONS[name]
    return _Literal(f"{commit} # {version}")


def _secret(name: str) -> _Literal:
    """Return the expression for a secret of the repository."""
    return _Literal(f"{_EXPRESSION} secrets.{name} }}}}")


def _numbered(prefix: str) -> _Literal:
    """Return the name of the space of a pull request; `prefix` needs no quotes."""
    return _Literal(f"{prefix}{_EXPRESSION} github.event.number }}}}")


def _finalize(value: object) -> str:
    if type(value) is _Literal:
        return str(value)
    if type(value) is str and _EXPRESSION in value:
        raise InputError(f"{value!a} cannot be used in a workflow: GitHub would evaluate the expression in it")
    return finalize(value)


@cache
def _environment() -> jinja2.Environment:
    environment = template_environment("workflow", _finalize)
    environment.globals.update(action=_action, secret=_secret, numbered=_numbered)
    return environment


__all__ = [
    "ACTIONS",
    "DIRECTORY",
    "BuildWorkflow",
    "GeneratedFile",
    "PreviewWorkflow",
    "SpaceWorkflow",
    "from_root",
    "on_disk",
    "package_of",
    "render",
    "write",
]
