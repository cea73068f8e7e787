"""Render the two buildspec files of a repository from its flavors."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Final, Literal

from exasol_ci_setup.builds.buildspecs.flavors import build_groups
from exasol_ci_setup.builds.buildspecs.output import BATCH_FILE, BUILD_FILE
from exasol_ci_setup.builds.buildspecs.package import VERSION_CHECK
from exasol_ci_setup.core.build_settings import (
    DEFAULT_BATCH_LIMIT,
    DEFAULT_COMPUTE_TYPE,
    DEFAULT_DOCKER_SECRET,
    NO_DOCKER_SECRET,
    compute_type_of,
)
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.core.patterns import SECRET_NAME
from exasol_ci_setup.template.render import environment as template_environment
from exasol_ci_setup.template.render import finalize

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import jinja2

DEFAULT_PYTHON_VERSION: Final = "3.10"

_NO_PYTHON: Final = "none"
_PYTHON_VERSION: Final = re.compile(r"[0-9]+(\.([0-9]+|x)){0,2}|latest|none")
_VARIABLE: Final = re.compile(r"(?!CODEBUILD_)[A-Za-z_][A-Za-z0-9_]*")
# Variables of the public package, which its build command reads.
_OF_PACKAGE: Final[Mapping[str, Mapping[str, str]]] = {
    "ci": {
        "BUILD_DOCKER_REPOSITORY": "exadockerci4/script-languages-build-cache",
        "RELEASE_DOCKER_REPOSITORY": "exasol/script-language-container",
    },
    "release": {"RELEASE_DOCKER_REPOSITORY": "exasol/script-language-container"},
}
# Variables that the files set for each build.
_RESERVED: Final = frozenset(
    {
        *("FLAVOR", "FLAVORS", "CONFIG_FILE", "CUSTOM_BRANCH", "CURRENT_BRANCH", "COMMIT_SHA", "RELEASE_ID", "DRY_RUN"),
        *("GITHUB_TOKEN", "DOCKER_USER", "DOCKER_PASSWORD"),
    }
)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
# YAML keeps the text of a block unchanged, except for other line breaks and characters that are not printable.
_WORD: Final = re.compile("[A-Za-z_][A-Za-z0-9_]*")
_NO_TEXT_IN_YAML: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_PLAIN_LINES: Final = re.compile(r"(?! )[\x20-\x7e]+(\n[\x20-\x7e]*)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of the buildspecs of one repository.

    `output_path` and `config_file` are POSIX paths relative to the repository's root. `build_command` is shell code that builds
    the flavor ``$FLAVOR``; None means the public package exasol_script_languages_container_ci, for which builds set up Poetry and Python
    3.10. `install_commands` replace this setup. `batch_limit` is the maximum number of builds in a batch, and `compute_type` the size of
    their hosts, both as in the deployed stack. The `docker_secret` ``none`` means builds without login to Docker Hub. The
    `python_version` ``none`` uses the Python of the image; CodeBuild requires it for custom images. `variables` are plain
    variables of the builds, and `report_files` patterns of files with test results in the format of JUnit.

    Raises InputError for an empty command or path, text that is not Unicode, a number below 1, and an invalid secret name, version
    of Python, compute type or variable.
    """

    kind: Literal["ci", "release"]
    output_path: str
    config_file: str | None = None
    flavors_per_build: int = 1
    batch_limit: int = DEFAULT_BATCH_LIMIT
    build_command: str | None = None
    install_commands: tuple[str, ...] = ()
    docker_secret: str = DEFAULT_DOCKER_SECRET
    python_version: str | None = None
    compute_type: str = DEFAULT_COMPUTE_TYPE
    privileged: bool = True
    variables: Mapping[str, str] = field(default_factory=dict)
    report_files: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for option, number in (("flavors-per-build", self.flavors_per_build), ("batch-limit", self.batch_limit)):
            if number < 1:
                raise InputError(f"--{option} {number} is invalid: use 1 or more")
        texts = [
            ("output-path", self.output_path),
            ("config-file", self.config_file),
            ("build-command", self.build_command),
            *(("install-command", command) for command in self.install_commands),
            *(("report-file", pattern) for pattern in self.report_files),
        ]
        for option, text in texts:
            if text is not None and not text.strip():
                raise InputError(f"--{option} is empty")
            if text is not None and _SURROGATE.search(text):
                raise InputError(f"--{option} {text!a} is invalid: it is not valid UTF-8")
        if self.python_version is not None and not _PYTHON_VERSION.fullmatch(self.python_version):
            raise InputError(
                f"--python-version {self.python_version!a} is invalid: use a version such as 3.10, 3.x or latest, or none"
            )
        pattern, rule = SECRET_NAME
        if not re.fullmatch(pattern, self.docker_secret):
            raise InputError(f"--docker-secret {self.docker_secret!a} is invalid: {rule}")
        try:
            # The class is frozen.
            object.__setattr__(self, "compute_type", compute_type_of(self.compute_type))
        except ValueError as error:
            raise InputError(f"--compute-type {self.compute_type!a} is invalid: {error}") from None
        for name, value in self.variables.items():
            _require_valid_variable(name, value)

    @property
    def has_own_command(self) -> bool:
        """Whether builds run another command than that of the public package."""
        return self.build_command is not None

    @property
    def has_docker_login(self) -> bool:
        """Whether builds log in to Docker Hub."""
        return self.docker_secret != NO_DOCKER_SECRET

    @property
    def python(self) -> str | None:
        """The version of Python that builds install, or None for that of the image."""
        version = self.python_version or (_NO_PYTHON if self.has_own_command else DEFAULT_PYTHON_VERSION)
        return None if version == _NO_PYTHON else version

    @property
    def all_variables(self) -> dict[str, str]:
        """The variables of the builds: those of the public package if it is used, and those of the options."""
        return {**({} if self.has_own_command else _OF_PACKAGE[self.kind]), **self.variables}


def _require_valid_variable(name: str, value: str) -> None:
    if not _VARIABLE.fullmatch(name):
        raise InputError(
            f"--variable {name!a} is invalid: use letters, digits and underscores, the first not a digit; CODEBUILD_ is reserved"
        )
    if name in _RESERVED:
        raise InputError(f"--variable {name} is invalid: the files set this variable for each build")
    if _SURROGATE.search(value) or "\x00" in value:
        raise InputError(f"--variable {name} is invalid: its value is not text")


def render(flavors: Iterable[str], options: Options) -> dict[str, str]:
    """Return the text of each file by its name; the result is the same on every machine.

    Raises the errors of `flavors.build_groups`, and InputError for text that YAML cannot represent.
    """
    groups = build_groups(flavors, flavors_per_build=options.flavors_per_build, batch_limit=options.batch_limit)
    environment = _environment()
    values = {"options": options, "grouped": options.flavors_per_build > 1}
    build_script = options.build_command
    if build_script is None:
        build_script = environment.get_template(f"run_{options.kind}.sh.j2").render(values)
    if values["grouped"]:
        # The function has lines of its own, because the command may end in a comment or a here-document.
        loop = environment.get_template("each_flavor.sh.j2").render(values)
        build_script = f"build_flavor() (\n{build_script.rstrip()}\n)\n{loop}"
    # The leading dot matches existing files of the predecessor, so that their adoption shows no difference.
    build_file = f"./{options.output_path}/{BUILD_FILE}".replace("/./", "/")
    return {
        BATCH_FILE: environment.get_template("batch.yaml.j2").render(
            values, groups=groups, build_file=build_file, host=_host(options)
        ),
        BUILD_FILE: environment.get_template("build.yaml.j2").render(
            values, build_script=build_script, version_check=VERSION_CHECK
        ),
    }


class _Block(str):
    """YAML that a filter rendered."""

    __slots__ = ()


def _block(text: str, indentation: int) -> str:
    """Return `text` as a readable literal block below a list item, or unchanged if a block cannot represent it."""
    # The shell would read a carriage return as part of the last word on its line.
    text = text.replace("\r\n", "\n").rstrip("\n")
    if not _PLAIN_LINES.fullmatch(text):
        return text
    if "\n" not in text:
        return text
    margin = " " * indentation
    return _Block("|-\n" + "\n".join(margin + line if line else "" for line in text.split("\n")))


def _host(options: Options) -> _Block:
    """Return the lines of the host in each entry of a batch; one value for both is faster for many builds."""
    privileged = finalize(options.privileged)
    return _Block(f"compute-type: {_word(options.compute_type)}\n        privileged-mode: {privileged}")


def _word(text: str) -> str:
    """Return letters, digits and underscores without quotation marks, unless YAML would not read text."""
    return text if text.casefold() in _NO_TEXT_IN_YAML or not _WORD.fullmatch(text) else _Block(text)


def _finalize(value: object) -> str:
    return str(value) if type(value) is _Block else finalize(value)


@cache
def _environment() -> jinja2.Environment:
    environment = template_environment("buildspec", _finalize)
    environment.filters["block"] = _block
    environment.filters["word"] = _word
    return environment
