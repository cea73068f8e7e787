"""Parse buildspecs as CodeBuild does: the builds of a batch, and the commands of a build.

These are pure functions. The format is described in https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html and
https://docs.aws.amazon.com/codebuild/latest/userguide/batch-build-buildspec.html. Messages are those of AWS if known from public reports,
else written for the sandbox.
"""

from __future__ import annotations

import functools
import itertools
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PHASES: Final = ("INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD")
"""The phases of a build that have commands, in order."""

STAND_IN: Final = """\
version: 0.2

batch:
  fast-fail: false
  build-graph:
    - identifier: build_one
      env: {variables: {FLAVOR: stand-in-one}}
    - identifier: build_two
      env: {variables: {FLAVOR: stand-in-two}}
    - identifier: build_three
      env: {variables: {FLAVOR: stand-in-three}}

phases:
  install:
    commands: [echo "install what $FLAVOR needs"]
  pre_build:
    commands: [echo "prepare $FLAVOR"]
  build:
    commands: [echo "build $FLAVOR", echo "test $FLAVOR"]
  post_build:
    commands: [echo "clean up after $FLAVOR"]
"""
"""The buildspec of projects without a registered directory for their repository."""

_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9_]{1,127}")
_KINDS: Final = ("build-graph", "build-list", "build-matrix")


class BuildspecError(Exception):
    """A buildspec that CodeBuild would reject; `code` and `message` are those of the phase's context."""

    def __init__(self, message: str, code: str = "YAML_FILE_ERROR") -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Task:
    """One build of a batch. `buildspec` is its path, empty for that of the batch; `environment` has the names of the API."""

    identifier: str
    depends_on: tuple[str, ...] = ()
    ignore_failure: bool = False
    buildspec: str = ""
    environment: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Batch:
    """The builds of a batch, and whether the first failure ends it."""

    tasks: tuple[Task, ...]
    fast_fail: bool = False


def is_text(buildspec: str) -> bool:
    """Whether the buildspec of a project is a text and not a path."""
    return "\n" in buildspec or ": " in buildspec or buildspec.lstrip().startswith("{")


def commands(text: str) -> dict[str, list[str]]:
    """Return the commands by phase, with those of ``finally`` last.

    Raises BuildspecError if the buildspec is invalid.
    """
    phases = _mapping(_document(text).get("phases") or {}, "phases")
    found: dict[str, list[str]] = {}
    for phase in PHASES:
        section = _mapping(phases.get(phase.lower()) or {}, f"phases/{phase.lower()}")
        listed = [*_listed(section.get("commands")), *_listed(section.get("finally"))]
        for number, command in enumerate(listed):
            if not isinstance(command, str):
                raise BuildspecError(
                    f"Expected Commands[{number}] to be of string type: found subkeys instead, "
                    f"in phases/{phase.lower()}"
                )
        if listed:
            found[phase] = [str(command) for command in listed]
    return found


def batch(text: str) -> Batch:
    """Return the batch of a buildspec.

    Raises BuildspecError if the buildspec is invalid or has no batch.
    """
    document = _document(text)
    if not document.get("batch"):
        raise BuildspecError("Invalid buildspec: it has no batch section", "INVALID_BATCHSPEC")
    section = _mapping(document["batch"], "batch")
    kinds = [kind for kind in _KINDS if kind in section]
    if len(kinds) != 1:
        raise BuildspecError(f"Invalid batch: one of {', '.join(_KINDS)} is needed", "INVALID_BATCHSPEC")
    tasks = _matrix(section["build-matrix"]) if kinds == ["build-matrix"] else _tasks(section[kinds[0]], kinds[0])
    if not tasks:
        raise BuildspecError(f"Invalid batch: {kinds[0]} is empty", "INVALID_BATCHSPEC")
    _check(tasks)
    return Batch(tuple(tasks), fast_fail=section.get("fast-fail") is True)


def restriction_broken(plan: Batch, restrictions: Mapping[str, Any], default_compute_type: str) -> str:
    """Return the message about a batch that violates the restrictions of its project; empty if it does not."""
    allowed = int(restrictions.get("maximumBuildsAllowed") or 0)
    if allowed and len(plan.tasks) > allowed:
        return f"The batch has {len(plan.tasks)} builds, which is more than the maximum of {allowed} builds allowed"
    types = restrictions.get("computeTypesAllowed") or []
    for task in plan.tasks:
        compute_type = task.environment.get("computeType", default_compute_type)
        if types and compute_type not in types:
            return f"The compute type {compute_type} of build {task.identifier} is not allowed: {', '.join(types)} are"
    return ""


# Cached because all builds of a batch can have the same buildspec.
@functools.lru_cache(maxsize=16)
def _document(text: str) -> Mapping[str, Any]:
    try:
        # The C parser, if available, is ten times as fast; this matters for a batch of a thousand builds.
        document = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except yaml.YAMLError as error:
        raise BuildspecError(" ".join(str(error).split())) from error
    if not isinstance(document, dict):
        raise BuildspecError("wrong number of container tags, expected 1")
    if str(document.get("version")) not in {"0.1", "0.2"}:
        raise BuildspecError(f"Unsupported buildspec version: {document.get('version')}")
    return document


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise BuildspecError(f"Invalid buildspec: {where} must be a mapping")
    return value


def _listed(value: Any) -> Sequence[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _tasks(entries: Any, kind: str) -> list[Task]:
    if not isinstance(entries, list):
        raise BuildspecError(f"Invalid batch: {kind} must be a list", "INVALID_BATCHSPEC")
    tasks = []
    for number, entry in enumerate(entries):
        values = _mapping(entry, f"batch/{kind}[{number}]")
        if kind == "build-graph" and "identifier" not in values:
            raise BuildspecError(f"Invalid batch: build-graph[{number}] has no identifier", "INVALID_BATCHSPEC")
        tasks.append(
            Task(
                identifier=str(values.get("identifier", f"build{number}")),
                depends_on=tuple(str(name) for name in _listed(values.get("depend-on"))),
                ignore_failure=values.get("ignore-failure") is True,
                buildspec=str(values.get("buildspec") or ""),
                environment=_environment(_mapping(values.get("env") or {}, f"batch/{kind}[{number}]/env")),
            )
        )
    return tasks


def _matrix(section: Any) -> list[Task]:
    values = _mapping(section, "batch/build-matrix")
    static = _mapping(values.get("static") or {}, "batch/build-matrix/static")
    dynamic = _mapping(values.get("dynamic") or {}, "batch/build-matrix/dynamic")
    fixed = _mapping(static.get("env") or {}, "batch/build-matrix/static/env")
    varied = dict(_mapping(dynamic.get("env") or {}, "batch/build-matrix/dynamic/env"))
    variables = _mapping(varied.pop("variables", None) or {}, "batch/build-matrix/dynamic/env/variables")
    axes = [
        [("buildspec", "", value) for value in _listed(dynamic.get("buildspec"))],
        *([("env", name, value) for value in _listed(choices)] for name, choices in varied.items()),
        *([("variables", name, value) for value in _listed(choices)] for name, choices in variables.items()),
    ]
    tasks = []
    for number, chosen in enumerate(itertools.product(*filter(None, axes))):
        environment = {**fixed, **{name: value for kind, name, value in chosen if kind == "env"}}
        environment["variables"] = {
            **(fixed.get("variables") or {}),
            **{name: value for kind, name, value in chosen if kind == "variables"},
        }
        tasks.append(
            Task(
                identifier=f"build{number}",
                ignore_failure=static.get("ignore-failure") is True,
                buildspec=next((str(value) for kind, _, value in chosen if kind == "buildspec"), ""),
                environment=_environment(environment),
            )
        )
    return tasks


def _environment(values: Mapping[str, Any]) -> dict[str, Any]:
    names = {
        "compute-type": "computeType",
        "image": "image",
        "privileged-mode": "privilegedMode",
        "type": "type",
    }
    found = {ours: values[theirs] for theirs, ours in names.items() if theirs in values}
    variables = _mapping(values.get("variables") or {}, "env/variables")
    found["environmentVariables"] = [
        {"name": str(name), "value": _scalar(value), "type": "PLAINTEXT"} for name, value in variables.items()
    ]
    return found


def _scalar(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _check(tasks: Sequence[Task]) -> None:
    names = [task.identifier for task in tasks]
    for name in names:
        if not _IDENTIFIER.fullmatch(name):
            raise BuildspecError(
                f"Invalid identifier {name!r}: it must consist of letters, digits and underscores", "INVALID_BATCHSPEC"
            )
    doubles = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) != len(names) else []
    if doubles:
        raise BuildspecError(f"Duplicate identifiers in the batch: {', '.join(doubles)}", "INVALID_BATCHSPEC")
    waiting = {task.identifier: set(task.depends_on) for task in tasks}
    for name, needed in waiting.items():
        if unknown := sorted(needed - waiting.keys()):
            raise BuildspecError(f"Build {name} depends on {unknown[0]}, which does not exist", "INVALID_BATCHSPEC")
    while ready := {name for name, needed in waiting.items() if not needed}:
        waiting = {name: needed - ready for name, needed in waiting.items() if name not in ready}
    if waiting:
        raise BuildspecError(f"Circular dependency between builds: {', '.join(sorted(waiting))}", "INVALID_BATCHSPEC")
