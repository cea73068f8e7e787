"""The variables that a build sees: those of CodeBuild, of the buildspec, of the batch, and those given for this run."""

from __future__ import annotations

import getpass
import os
import subprocess
import time
import uuid
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from exasol_ci_setup.errors import InputError
from exasol_ci_setup.runner.buildspec import VARIABLE
from exasol_ci_setup.runner.script import SOURCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from exasol_ci_setup.runner.buildspec import BatchBuild, Buildspec

_PROJECT = "run-buildspec"
_NOBODYS_ACCOUNT = "000000000000"
_GIT_PATIENCE = 10.0  # seconds


def given(assignments: Iterable[str], files: Iterable[Path], own: Mapping[str, str]) -> dict[str, str]:
    """Return the variables given for this run, those of `files` first.

    Each is ``NAME=VALUE``, or ``NAME`` for the value that it has in `own`, the caller's environment; in a file one stands on a
    line, and lines that are empty or begin with # do not count. Raises InputError for anything else.
    """
    found: dict[str, str] = {}
    for path in files:
        try:
            # Not splitlines: a value may hold what Unicode takes for a line break.
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
    """Return values for the variables that CodeBuild would fetch from AWS: those given, else those of the caller's environment.

    Nothing is fetched here, so that a build on this machine needs no access to AWS. Raises InputError naming all that have none.
    """
    values = {name: given.get(name, own.get(name)) for name in spec.secrets}
    missing = [name for name, value in values.items() if value is None]
    if missing:
        places = "; ".join(f"{name} ({spec.secrets[name]})" for name in missing)
        raise InputError(
            f"the buildspec has variables from AWS that have no value here: {places}",
            hint="set them in the environment, or give them with --env-file FILE or --env NAME=VALUE; any value will do"
            " if the build does not really need them",
        )
    return {name: value for name, value in values.items() if value is not None}


def codebuild(source: Path, image: str, identifier: str, own: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that CodeBuild sets, as far as they have a meaning on this machine.

    The list is https://docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-env-vars.html. `identifier` is that of the batch's build, or
    empty.
    """
    number = str(uuid.uuid4())
    region = own.get("AWS_REGION") or own.get("AWS_DEFAULT_REGION") or ""
    values = {
        "AWS_DEFAULT_REGION": region,
        "AWS_REGION": region,
        "CODEBUILD_BATCH_BUILD_IDENTIFIER": identifier,
        "CODEBUILD_BUILD_ARN": f"arn:aws:codebuild:{region or 'local'}:{_NOBODYS_ACCOUNT}:build/{_PROJECT}:{number}",
        "CODEBUILD_BUILD_ID": f"{_PROJECT}:{number}",
        "CODEBUILD_BUILD_IMAGE": image,
        "CODEBUILD_BUILD_NUMBER": "1",
        "CODEBUILD_BUILD_SUCCEEDING": "1",
        "CODEBUILD_INITIATOR": _user(),
        "CODEBUILD_LAST_EXIT": "0",
        "CODEBUILD_LOCAL_BUILD": "true",
        "CODEBUILD_LOG_PATH": number,
        "CODEBUILD_RESOLVED_SOURCE_VERSION": _git(source, "rev-parse", "--verify", "HEAD"),
        "CODEBUILD_SOURCE_REPO_URL": _without_login(_git(source, "config", "--get", "remote.origin.url")),
        "CODEBUILD_SOURCE_VERSION": _git(source, "symbolic-ref", "--quiet", "HEAD"),
        "CODEBUILD_SRC_DIR": SOURCE,
        "CODEBUILD_START_TIME": str(int(time.time() * 1000)),
    }
    return {name: value for name, value in values.items() if value}


def merged(
    spec: Buildspec,
    build: BatchBuild | None,
    own: Mapping[str, str],
    secrets: Mapping[str, str],
    given: Mapping[str, str],
) -> dict[str, str]:
    """Return all variables; where one is set in several places, what was given for this run wins, then the batch, then the
    buildspec. `own` are CodeBuild's, which neither of the latter may set.
    """
    return {**spec.variables, **secrets, **(build.variables if build else {}), **own, **given}


def _assignment(text: str, own: Mapping[str, str], place: str) -> dict[str, str]:
    name, equals, value = text.partition("=")
    if not VARIABLE.fullmatch(name):
        # The text may hold a secret, so it is not repeated.
        raise InputError(f"{place}: there is no name of a variable before the =", hint="write NAME=VALUE or NAME")
    if equals:
        return {name: value}
    if name not in own:
        raise InputError(f"{place}: {name} is not set in your environment", hint=f"set it, or write {name}=VALUE")
    return {name: own[name]}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no entry for this user id, as in some containers
        return str(os.getuid())


def _git(source: Path, *arguments: str) -> str:
    """Return what git says, or nothing without git, without a repository, or if it takes too long."""
    try:
        ran = subprocess.run(  # noqa: S603 - constant arguments
            ["git", "-C", str(source), *arguments],  # noqa: S607 - the user's git
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_GIT_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "" if ran.returncode else ran.stdout.strip()


def _without_login(url: str) -> str:
    """Return a repository's URL without the user and the token that some keep in it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    if parts.scheme not in {"http", "https"}:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
