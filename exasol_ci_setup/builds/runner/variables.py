"""Collect the variables of a build: from CodeBuild, the buildspec, the batch, and the command line."""

from __future__ import annotations

import getpass
import os
import time
import uuid
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from exasol_ci_setup.builds.checkout import git
from exasol_ci_setup.builds.runner.buildspec import VARIABLE
from exasol_ci_setup.builds.runner.script import SOURCE
from exasol_ci_setup.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from exasol_ci_setup.builds.runner.buildspec import BatchBuild, Buildspec

_PROJECT = "run-buildspec"
_DUMMY_ACCOUNT = "000000000000"


def parse(assignments: Iterable[str], files: Iterable[Path], own: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the command line: those of `files` first, then `assignments`.

    Each is ``NAME=VALUE``, or ``NAME`` for its value in `own`, the caller's environment. A file has one on each line; empty lines
    and lines that begin with # are skipped. Raises InputError for anything else.
    """
    found: dict[str, str] = {}
    for path in files:
        try:
            # Not splitlines: a value can contain characters that Unicode regards as line breaks.
            lines = [line.removesuffix("\r") for line in path.read_text(encoding="utf-8-sig").split("\n")]
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}"
            ) from None
        for number, line in enumerate(lines, 1):
            if line.strip() and not line.lstrip().startswith("#"):
                found.update(_assignment(line, own, f"{path}, line {number}"))
    for text in assignments:
        found.update(_assignment(text, own, "--env"))
    return found


def secret_values(spec: Buildspec, given: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """Return values for the variables that CodeBuild would fetch from AWS: from `given`, else from the caller's environment.

    Nothing is fetched, so that a local build needs no access to AWS. Raises InputError with the names of all missing variables.
    """
    values = {name: given.get(name, own.get(name)) for name in spec.secrets}
    missing = [name for name, value in values.items() if value is None]
    if missing:
        places = "; ".join(f"{name} ({spec.secrets[name]})" for name in missing)
        raise InputError(
            f"variables that CodeBuild reads from AWS have no value in your environment: {places}",
            hint="set them in the environment, or with --env-file FILE or --env NAME=VALUE; any value works if the build"
            " does not use them",
        )
    return {name: value for name, value in values.items() if value is not None}


def of_codebuild(source: Path, image: str, identifier: str, own: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that CodeBuild sets, as far as they have a meaning locally.

    The list is https://docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-env-vars.html. `identifier` is that of the build in its
    batch, or empty.
    """
    number = str(uuid.uuid4())
    region = own.get("AWS_REGION") or own.get("AWS_DEFAULT_REGION") or ""
    values = {
        "AWS_DEFAULT_REGION": region,
        "AWS_REGION": region,
        "CODEBUILD_BATCH_BUILD_IDENTIFIER": identifier,
        "CODEBUILD_BUILD_ARN": f"arn:aws:codebuild:{region or 'local'}:{_DUMMY_ACCOUNT}:build/{_PROJECT}:{number}",
        "CODEBUILD_BUILD_ID": f"{_PROJECT}:{number}",
        "CODEBUILD_BUILD_IMAGE": image,
        "CODEBUILD_BUILD_NUMBER": "1",
        "CODEBUILD_BUILD_SUCCEEDING": "1",
        "CODEBUILD_INITIATOR": _user(),
        "CODEBUILD_LAST_EXIT": "0",
        "CODEBUILD_LOCAL_BUILD": "true",
        "CODEBUILD_LOG_PATH": number,
        "CODEBUILD_RESOLVED_SOURCE_VERSION": git(source, "rev-parse", "--verify", "HEAD"),
        "CODEBUILD_SOURCE_REPO_URL": _without_login(git(source, "config", "--get", "remote.origin.url")),
        "CODEBUILD_SOURCE_VERSION": git(source, "symbolic-ref", "--quiet", "HEAD"),
        "CODEBUILD_SRC_DIR": SOURCE,
        "CODEBUILD_START_TIME": str(int(time.time() * 1000)),
    }
    return {name: value for name, value in values.items() if value}


def merge(
    spec: Buildspec,
    build: BatchBuild | None,
    own: Mapping[str, str],
    secrets: Mapping[str, str],
    given: Mapping[str, str],
) -> dict[str, str]:
    """Return all variables of a build.

    `given` overrides `own`, the variables of CodeBuild; these override the batch, and the batch overrides the buildspec.
    """
    return {**spec.variables, **secrets, **(build.variables if build else {}), **own, **given}


def _assignment(text: str, own: Mapping[str, str], place: str) -> dict[str, str]:
    name, equals, value = text.partition("=")
    if not VARIABLE.fullmatch(name):
        # The text can contain a secret, so the message does not repeat it.
        raise InputError(f"{place}: no valid variable name before the =", hint="write NAME=VALUE or NAME")
    if equals:
        return {name: value}
    if name not in own:
        raise InputError(f"{place}: {name} is not set in your environment", hint=f"set it, or write {name}=VALUE")
    return {name: own[name]}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # some containers have no entry for this user id
        return str(os.getuid())


def _without_login(url: str) -> str:
    """Return the URL of a repository without a user or token in it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    if parts.scheme not in {"http", "https"}:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
