"""Call the `docker` command of this host: log in, build, push. Its output is reported line by line."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.core import patterns
from exasol_ci_setup.core.errors import DockerFailedError, EngineUnavailableError, InputError, OperationInterruptedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_SIGNALLED: Final = (
    128  # the exit status of a process that a signal ended is this plus the signal's number, as in a shell
)
# The architecture of Fargate unless a task sets another; the build host may have another.
_PLATFORM: Final = "linux/amd64"
_END_SECONDS: Final = 10.0


def require() -> str:
    """Return the path of `docker`. Raises EngineUnavailableError if it is not on the PATH."""
    program = shutil.which("docker")
    if program is None:
        raise EngineUnavailableError(
            "`docker` is not on the PATH", hint="install Docker: https://docs.docker.com/get-docker/"
        )
    return program


def require_engine() -> None:
    """Raise EngineUnavailableError unless `docker` exists and its engine answers."""
    said: list[str] = []
    try:
        _run(["version", "--format", "{{.Server.Version}}"], "the Docker engine cannot be used", said.append)
    except DockerFailedError:
        raise EngineUnavailableError(
            f"the Docker engine cannot be used: {said[-1] if said else 'no reason given'}",
            hint="start it, or set DOCKER_HOST; `docker version` shows whether it answers",
        ) from None


def require_tag(tag: str) -> None:
    """Raise InputError unless an image can have this tag: https://docs.docker.com/reference/cli/docker/image/tag/."""
    pattern, rule = patterns.IMAGE_TAG
    if not re.fullmatch(pattern, tag):
        raise InputError(f"--image-tag {tag!r} is not acceptable: {rule}")


def login(host: str, username: str, password: str, say: Callable[[str], None]) -> None:
    """Log in to a registry. The password goes through docker's standard input, never into an argument or a message.

    Raises DockerFailedError if docker rejects the login, and EngineUnavailableError.
    """
    arguments = ["login", "--username", username, "--password-stdin", host]
    _run(arguments, f"docker did not log in to {host}", say, password)


def build(image: str, *, dockerfile: Path, context: Path, say: Callable[[str], None]) -> None:
    """Build an image for the architecture of spaces. Raises DockerFailedError with docker's exit code, and EngineUnavailableError."""
    named = ["--platform", _PLATFORM, "--tag", image, "--file", str(dockerfile)]
    _run(["build", *named, "--", str(context)], f"{image} was not built", say)


def image_id(image: str) -> str:
    """Return the hexadecimal digits of the id of a local image. Raises DockerFailedError."""
    said: list[str] = []
    _run(["image", "inspect", "--format", "{{.Id}}", "--", image], f"{image} cannot be inspected", said.append)
    return said[-1].rpartition(":")[2]


def tag(image: str, another: str) -> None:
    """Add another name to a local image. Raises DockerFailedError."""
    _run(["tag", "--", image, another], f"{image} did not get the name {another}", lambda _line: None)


def push(image: str, say: Callable[[str], None]) -> None:
    """Push an image to its registry. Raises DockerFailedError with docker's exit code, and EngineUnavailableError."""
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
                    pass  # docker itself prints the cause
            assert process.stdout is not None  # noqa: S101 - stdout is a pipe
            for line in process.stdout:
                # Redact the password in the output of docker.
                if text := (line if given is None else line.replace(given, "****")).rstrip():
                    last = text
                    say(text)
            status = process.wait()
    except KeyboardInterrupt:
        _end(process)
        raise OperationInterruptedError(f"interrupted: {failure}") from None
    if status:
        code = status if status > 0 else _SIGNALLED - status
        raise DockerFailedError(
            f"{failure}: docker {arguments[0]} ended with exit code {code}{f': {last}' if last else ''}", exit_code=code
        )


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
