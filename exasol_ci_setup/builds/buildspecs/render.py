"""Render the two buildspec files of a repository from its flavors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, Literal

from pydantic import TypeAdapter, ValidationError

from exasol_ci_setup.builds.buildspecs.flavors import build_groups
from exasol_ci_setup.builds.buildspecs.package import VERSION_CHECK
from exasol_ci_setup.constructs.ci import DEFAULT_BATCH_LIMIT
from exasol_ci_setup.constructs.values import SecretName
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.template.render import environment as template_environment
from exasol_ci_setup.template.render import finalize

if TYPE_CHECKING:
    from collections.abc import Iterable

    import jinja2

BATCH_FILE: Final = "buildspec.yaml"
"""The buildspec of the CodeBuild project in a stack: the builds of a batch."""

BUILD_FILE: Final = "build_buildspec.yaml"
"""The buildspec of each build in the batch."""

DEFAULT_PYTHON_VERSION: Final = "3.10"
DEFAULT_DOCKER_SECRET: Final = "Dockerhub"  # noqa: S105 - the name of a secret, not a secret

_PYTHON_VERSION: Final = re.compile(r"[0-9]+(\.([0-9]+|x)){0,2}|latest|none")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
# YAML keeps the text of a block unchanged, except for other line breaks and characters that are not printable.
_PLAIN_LINES: Final = re.compile(r"(?! )[\x20-\x7e]+(\n[\x20-\x7e]*)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of the buildspecs of one repository.

    `output_path` and `config_file` are POSIX paths relative to the repository's root. `build_command` is shell code that builds
    the flavor ``$FLAVOR``; None means the public package exasol_script_languages_container_ci. `install_commands` replace the
    setup of Poetry. `batch_limit` is the maximum number of builds in a batch, as in the deployed stack. The `python_version`
    ``none`` uses the Python of the image; CodeBuild requires it for custom images.

    Raises InputError for an empty command or path, text that is not Unicode, a number below 1, and an invalid secret name or
    version of Python.
    """

    kind: Literal["ci", "release"]
    output_path: str
    config_file: str | None = None
    flavors_per_build: int = 1
    batch_limit: int = DEFAULT_BATCH_LIMIT
    build_command: str | None = None
    install_commands: tuple[str, ...] = ()
    docker_secret: str = DEFAULT_DOCKER_SECRET
    python_version: str = DEFAULT_PYTHON_VERSION

    def __post_init__(self) -> None:
        for option, number in (("flavors-per-build", self.flavors_per_build), ("batch-limit", self.batch_limit)):
            if number < 1:
                raise InputError(f"--{option} {number} is invalid: use 1 or more")
        texts = [
            ("output-path", self.output_path),
            ("config-file", self.config_file),
            ("build-command", self.build_command),
            *(("install-command", command) for command in self.install_commands),
        ]
        for option, text in texts:
            if text is not None and not text.strip():
                raise InputError(f"--{option} is empty")
            if text is not None and _SURROGATE.search(text):
                raise InputError(f"--{option} {text!a} is invalid: it is not valid UTF-8")
        if not _PYTHON_VERSION.fullmatch(self.python_version):
            raise InputError(
                f"--python-version {self.python_version!a} is invalid: use a version such as 3.10, 3.x or latest, or none"
            )
        try:
            TypeAdapter(SecretName).validate_python(self.docker_secret)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]["msg"]
            raise InputError(f"--docker-secret {self.docker_secret!a} is invalid: {problem}") from None


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
        BATCH_FILE: environment.get_template("batch.yaml.j2").render(values, groups=groups, build_file=build_file),
        BUILD_FILE: environment.get_template("build.yaml.j2").render(
            values, build_script=build_script, version_check=VERSION_CHECK
        ),
    }


class _Block(str):
    """YAML that `_block` rendered."""

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


def _finalize(value: object) -> str:
    return str(value) if type(value) is _Block else finalize(value)


@cache
def _environment() -> jinja2.Environment:
    environment = template_environment("buildspec", _finalize)
    environment.filters["block"] = _block
    return environment
