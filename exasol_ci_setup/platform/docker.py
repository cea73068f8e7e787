"""The `docker` command of this machine: log in, build, push. What it says is handed on line by line, its exit status is looked at."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.errors import DockerFailed, EngineUnavailable, InputError, Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_SIGNALLED: Final = (
    128  # as shells count: the exit status of a process that a signal ended is this and the signal's number
)
# What Fargate runs unless a task asks for another; the machine that builds may be another.
_PLATFORM: Final = "linux/amd64"
_END_SECONDS: Final = 10.0


def require() -> str:
    """Return the path of `docker`. Raises EngineUnavailable if it is not there."""
    program = shutil.which("docker")
    if program is None:
        raise EngineUnavailable(
            "`docker` is not on the PATH", hint="install Docker: https://docs.docker.com/get-docker/"
        )
    return program


def require_engine() -> None:
    """Raise EngineUnavailable unless there is a `docker` and an engine that answers it."""
    said: list[str] = []
    try:
        _run(["version", "--format", "{{.Server.Version}}"], "the Docker engine cannot be used", said.append)
    except DockerFailed:
        raise EngineUnavailable(
            f"the Docker engine cannot be used: {said[-1] if said else 'no reason given'}",
            hint="start it, or set DOCKER_HOST; `docker version` shows whether it answers",
        ) from None


def require_tag(tag: str) -> None:
    """Raise InputError unless an image can have this tag: https://docs.docker.com/reference/cli/docker/image/tag/."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", tag):
        raise InputError(
            f"--image-tag {tag!r} is not acceptable: use at most 128 letters, digits and _.-, the first neither a period nor a hyphen"
        )


def login(host: str, username: str, password: str, say: Callable[[str], None]) -> None:
    """Log in to a registry. The password goes through docker's standard input, and is in no argument and no message.

    Raises DockerFailed if docker says no, and EngineUnavailable.
    """
    arguments = ["login", "--username", username, "--password-stdin", host]
    _run(arguments, f"docker did not log in to {host}", say, password)


def build(image: str, *, dockerfile: Path, context: Path, say: Callable[[str], None]) -> None:
    """Build an image for the processors that spaces run on. Raises DockerFailed with docker's exit code, and EngineUnavailable."""
    named = ["--platform", _PLATFORM, "--tag", image, "--file", str(dockerfile)]
    _run(["build", *named, "--", str(context)], f"{image} was not built", say)


def image_id(image: str) -> str:
    """Return the hash that is the id of an image on this machine, in hexadecimal digits. Raises DockerFailed."""
    said: list[str] = []
    _run(["image", "inspect", "--format", "{{.Id}}", "--", image], f"{image} cannot be looked at", said.append)
    return said[-1].rpartition(":")[2]


def tag(image: str, another: str) -> None:
    """Give an image on this machine another name. Raises DockerFailed."""
    _run(["tag", "--", image, another], f"{image} did not get the name {another}", lambda _line: None)


def push(image: str, say: Callable[[str], None]) -> None:
    """Push an image to its registry. Raises DockerFailed with docker's exit code, and EngineUnavailable."""
    _run(["push", "--", image], f"{image} was not pushed", say)


def _run(arguments: Sequence[str], failure: str, say: Callable[[str], None], given: str | None = None) -> None:
    process = subprocess.Popen(  # noqa: S603 - docker, without a shell
        [require(), *arguments],
        stdin=subprocess.DEVNULL if given is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    last = ""
    try:
        with process:
            if process.stdin is not None:
                try:
                    process.stdin.write(f"{given}\n")
                    process.stdin.close()
                except BrokenPipeError:
                    pass  # what broke it, docker itself tells
            assert process.stdout is not None  # noqa: S101 - a pipe was asked for
            for line in process.stdout:
                # Nothing that docker may say shows what it was given in secret.
                if text := (line if given is None else line.replace(given, "****")).rstrip():
                    last = text
                    say(text)
            status = process.wait()
    except KeyboardInterrupt:
        _end(process)
        raise Interrupted(f"interrupted: {failure}") from None
    if status:
        code = status if status > 0 else _SIGNALLED - status
        raise DockerFailed(
            f"{failure}: docker {arguments[0]} ended with exit code {code}{f': {last}' if last else ''}", exit_code=code
        )


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
