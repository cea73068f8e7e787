"""Run the `docker` program: log in, build, tag, push. All other requests go to the engine through `docker.engine`.

The program is needed where the user's configuration in ``~/.docker`` applies, or BuildKit builds. It stores logins in the user's file or
credential helper, where later commands of the user find them, and it builds with the user's builder, plugins and proxies. The client
library has only the builder without BuildKit: https://github.com/docker/docker-py/issues/2230.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.core import background, patterns
from exasol_ci_setup.core.errors import DockerFailedError, EngineUnavailableError, InputError, OperationInterruptedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# A process that a signal ended has this exit status plus the number of the signal, as in a shell.
_SIGNALED: Final = 128
# The architecture of Fargate unless a task sets another; the build host may have another.
_PLATFORM: Final = "linux/amd64"
_END_SECONDS: Final = 10.0
_ANSWER_SECONDS: Final = 10.0
_MAX_LINE_LENGTH: Final = 65_536
# Since version 23 the program needs a plugin for BuildKit: https://docs.docker.com/engine/release-notes/23.0/.
_FIRST_WITH_PLUGIN: Final = 23


def require() -> str:
    """Return the path of `docker`. Raises EngineUnavailableError if it is not on the PATH."""
    program = shutil.which("docker")
    if program is None:
        raise EngineUnavailableError(
            "`docker` is not on the PATH", hint="install Docker: https://docs.docker.com/get-docker/"
        )
    return program


def find_all() -> list[str]:
    """Return the paths of all `docker` programs on the PATH, in its order."""
    directories = [Path(entry) for entry in os.environ.get("PATH", "").split(os.pathsep) if entry]
    return [str(path) for path in dict.fromkeys(each / "docker" for each in directories) if os.access(path, os.X_OK)]


def has_buildkit(program: str) -> bool:
    """Return whether this program can build with BuildKit."""
    version = re.search(r"version (\d+)", _output(program, "--version"))
    if version and int(version[1]) < _FIRST_WITH_PLUGIN:
        return True
    return bool(_output(program, "buildx", "version"))


def require_tag(tag: str) -> None:
    """Raise InputError unless an image can have this tag: https://docs.docker.com/reference/cli/docker/image/tag/."""
    pattern, rule = patterns.IMAGE_TAG
    if not re.fullmatch(pattern, tag):
        raise InputError(f"--image-tag {tag!r} is invalid: {rule}")


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
    """Return the hexadecimal digits of the ID of a local image. Raises DockerFailedError."""
    said: list[str] = []
    _run(["image", "inspect", "--format", "{{.Id}}", "--", image], f"{image} cannot be inspected", said.append)
    return said[-1].rpartition(":")[2]


def exposed_ports(image: str) -> list[int]:
    """Return the TCP ports that a local image exposes. Raises DockerFailedError."""
    said: list[str] = []
    _run(["image", "inspect", "--format", "{{json .Config}}", "--", image], f"{image} cannot be inspected", said.append)
    try:
        config = json.loads(said[-1])
    except (ValueError, IndexError):
        return []
    ports = (config or {}).get("ExposedPorts") or {}
    return sorted(int(port.removesuffix("/tcp")) for port in ports if port.endswith("/tcp"))


def tag(image: str, another: str) -> None:
    """Add another name to a local image. Raises DockerFailedError."""
    _run(["tag", "--", image, another], f"{image} did not get the name {another}", lambda _line: None)


def push(image: str, say: Callable[[str], None]) -> None:
    """Push an image to its registry. Raises DockerFailedError with docker's exit code, and EngineUnavailableError."""
    _run(["push", "--", image], f"{image} was not pushed", say)


def _run(arguments: Sequence[str], failure: str, say: Callable[[str], None], secret: str = "") -> None:
    last = ""

    def say_redacted(line: str) -> None:
        nonlocal last
        # Redact the password in the output of docker.
        if text := (line.replace(secret, "****") if secret else line).rstrip():
            last = text
            say(text)

    process = _start([require(), *arguments])
    try:
        with process:
            status = _read(process, say_redacted, f"{secret}\n" if secret else "")
    except KeyboardInterrupt:
        background.end(process, _END_SECONDS)
        raise OperationInterruptedError(f"interrupted: {failure}") from None
    if status:
        code = status if status > 0 else _SIGNALED - status
        raise DockerFailedError(
            f"{failure}: docker {arguments[0]} ended with exit code {code}{f': {last}' if last else ''}", exit_code=code
        )


async def run(
    command: Sequence[str], environment: Mapping[str, str], say: Callable[[str], None], secret: str = ""
) -> int:
    """Run `docker` with this environment, pass the lines of its output to `say`, and return its exit status.

    `secret` is its standard input. On cancellation, the process and its child processes are killed.
    """
    loop = asyncio.get_running_loop()
    process = _start(command, environment)

    def say_in_loop(line: str) -> None:
        loop.call_soon_threadsafe(say, line)

    reading = asyncio.ensure_future(asyncio.to_thread(_read, process, say_in_loop, secret))
    try:
        return await asyncio.shield(reading)
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        await reading


def _start(command: Sequence[str], environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start `docker`; with an `environment` of its own also in a process group of its own."""
    return subprocess.Popen(  # noqa: S603 - docker, without a shell
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        env=environment,
        start_new_session=environment is not None,
    )


def _read(process: subprocess.Popen[str], say: Callable[[str], None], text: str) -> int:
    """Write `text` to a process, pass its output lines to `say`, and return its exit status."""
    assert process.stdin is not None  # noqa: S101 - a pipe
    assert process.stdout is not None  # noqa: S101 - a pipe
    with contextlib.suppress(BrokenPipeError), process.stdin as stdin:  # docker itself prints the cause
        stdin.write(text)
    with process.stdout as stdout:
        while line := stdout.readline(_MAX_LINE_LENGTH):
            say(line.rstrip("\r\n"))
    return process.wait()


def _output(*command: str) -> str:
    """Return the stdout of a command; empty if it cannot run or times out."""
    try:
        ran = subprocess.run(  # noqa: S603 - found on the PATH
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_ANSWER_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ran.stdout.decode("utf-8", "replace").strip()
