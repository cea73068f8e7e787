"""Run a container for one build with the `docker` program, and remove it with the build."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import subprocess
import tarfile
import tempfile
import threading
from typing import IO, TYPE_CHECKING, Final

from exasol_ci_setup.builds.interrupts import DeferredSignals
from exasol_ci_setup.core.errors import EngineError, EngineUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_CHUNK: Final = 65536  # bytes
_TIMEOUT_SECONDS: Final = 20.0  # for requests that a Docker engine answers immediately
_FROM_ENGINE: Final = "Error response from daemon: "
_NOT_PERMITTED: Final = ("operation not permitted", "permission denied", "privileged mode is incompatible")


class NotPermittedError(Exception):
    """The Docker engine refuses to start a privileged container."""


class Engine:
    """A Docker engine that answers."""

    def __init__(self) -> None:
        """Find `docker` and request the engine's version. Raises EngineUnavailableError if one of the two fails."""
        program = shutil.which("docker")
        if program is None:
            raise EngineUnavailableError(
                "`docker` is not on the PATH", hint="install Docker: https://docs.docker.com/get-docker/"
            )
        self._program = program
        try:
            version = self._run("version", "--format", "{{.Server.Version}}", timeout=_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            raise EngineUnavailableError(
                f"the Docker engine did not answer within {_TIMEOUT_SECONDS:g} s", hint="try: docker version"
            ) from None
        except OSError as error:
            raise EngineUnavailableError(
                f"{program} cannot be run: {error.strerror}", hint="install Docker: https://docs.docker.com/get-docker/"
            ) from None
        if version.returncode or not version.stdout.strip():
            raise EngineUnavailableError(
                f"the Docker engine cannot be used: {_reason(version.stderr)}",
                hint="start it, or set DOCKER_HOST; `docker version` shows whether it answers",
            )

    def has(self, image: str) -> bool:
        """Return whether the engine has the image locally."""
        return not self._run("image", "inspect", "--format", "{{.Id}}", "--", image).returncode

    def pull(self, image: str, say: Callable[[str], None]) -> None:
        """Pull an image, and pass each line of Docker's output to `say`. Raises EngineError if that fails."""
        process = subprocess.Popen(  # noqa: S603 - docker, with the user's own image
            [self._program, "pull", "--", image],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        last = ""
        with _closing(process):
            assert process.stdout is not None  # noqa: S101 - a pipe was requested
            for line in process.stdout:
                last = line.decode(errors="replace").strip() or last
                say(last)
            if process.wait():
                raise EngineError(
                    f"image {image} cannot be pulled: {_reason(last.encode())}", hint="name another one with --image"
                )

    @contextlib.contextmanager
    def container(self, image: str, arguments: Sequence[str], *, privileged: bool) -> Iterator[Container]:
        """Create a container that runs ``/bin/sh ARGUMENTS`` as root when started, and always remove it at the end.

        Raises EngineError if it cannot be created.
        """
        options = ["--privileged", "--env", "EXASOL_CI_SETUP_PRIVILEGED=1"] if privileged else []
        # If this process is killed, the agent's input ends, the agent exits, and --rm removes the container.
        # With a name chosen here, the container can be removed even if an interruption hides its id.
        name = f"exasol-ci-setup-{secrets.token_hex(6)}"
        try:
            status, stderr = _run_to_end(
                *(self._program, "create", "--rm", "--interactive", "--name", name, "--user", "0", "--workdir", "/"),
                *("--entrypoint", "/bin/sh", *options, "--", image, *arguments),
            )
            if status:
                raise EngineError(f"no container can be created from {image}: {_reason(stderr)}")
            yield Container(self._program, name)
        finally:
            _run_to_end(self._program, "rm", "--force", "--volumes", name)

    def _run(self, *arguments: str, timeout: float | None = None) -> subprocess.CompletedProcess[bytes]:
        return _run(self._program, *arguments, timeout=timeout)


class Container:
    """A container of a Docker engine."""

    def __init__(self, program: str, name: str) -> None:
        self._program = program
        self.name = name

    def put(self, write: Callable[[tarfile.TarFile], None]) -> None:
        """Copy the archive that `write` fills to the root of the container. Raises EngineError if Docker rejects it."""
        process = subprocess.Popen(  # noqa: S603 - docker, with the name of our container
            [self._program, "cp", "-", f"{self.name}:/"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        with _closing(process):
            assert process.stdin is not None  # noqa: S101 - a pipe was requested
            assert process.stderr is not None  # noqa: S101 - a pipe was requested
            # Docker reports the cause of a broken pipe on stderr.
            with contextlib.suppress(BrokenPipeError):
                with tarfile.open(fileobj=process.stdin, mode="w|", bufsize=_CHUNK * 16) as archive:
                    write(archive)
                process.stdin.close()
            stderr = process.stderr.read()
            if process.wait():
                raise EngineError(f"the source cannot be copied into the container: {_reason(stderr)}")

    def get(self, path: str, file: IO[bytes]) -> bool:
        """Write an archive of a file or folder of the container to `file`; return whether the path exists.

        Raises EngineError if it cannot be read.
        """
        process = subprocess.Popen(  # noqa: S603 - docker, with the name of our container
            [self._program, "cp", f"{self.name}:{path}", "-"],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        with _closing(process):
            assert process.stderr is not None  # noqa: S101 - a pipe was requested
            stderr = process.stderr.read()
            if not process.wait():
                return True
        if b"ould not find the file" in stderr or b"o such container:path" in stderr.lower():
            return False
        raise EngineError(f"{path} cannot be copied out of the container: {_reason(stderr)}")

    def start(self) -> None:
        """Start the container. Raises NotPermittedError if the engine refuses its privileges, else EngineError."""
        started = _run(self._program, "start", self.name)
        if not started.returncode:
            return
        reason = _reason(started.stderr)
        if any(words in reason.lower() for words in _NOT_PERMITTED):
            raise NotPermittedError(reason)
        raise EngineError(f"the container cannot be started: {reason}", hint="the image needs /bin/sh")

    @contextlib.contextmanager
    def attached(self) -> Iterator[Conversation]:
        """Connect to the input and output of the program in the container."""
        process = subprocess.Popen(  # noqa: S603 - docker, with the name of our container
            [self._program, "attach", "--sig-proxy=false", self.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
        )
        with _closing(process):
            yield Conversation(process)


class Conversation:
    """The input and output of the program in a container."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None  # noqa: S101 - a pipe was requested
        assert process.stdout is not None  # noqa: S101 - a pipe was requested
        self._process, self._input, self._output = process, process.stdin, process.stdout
        # Docker's messages are read in a thread: a full pipe would block Docker.
        self._messages: list[bytes] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def write(self, data: bytes) -> None:
        """Send input. If the program no longer reads it, the next `read` returns nothing."""
        with contextlib.suppress(BrokenPipeError):
            self._input.write(data)

    def read(self) -> bytes:
        """Wait for output and return it; empty at the end of the program."""
        return self._output.read(_CHUNK)

    def last_message(self) -> str:
        """Return the last message of Docker itself, or an empty text."""
        return _reason(b"".join(self._messages)) if self._messages else ""

    def _listen(self) -> None:
        assert self._process.stderr is not None  # noqa: S101 - a pipe was requested
        with contextlib.suppress(ValueError, OSError):
            for line in self._process.stderr:
                self._messages.append(line)


@contextlib.contextmanager
def _closing(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """End a process and close its pipes when the block ends."""
    try:
        yield
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def _run(program: str, *arguments: str, timeout: float | None = None) -> subprocess.CompletedProcess[bytes]:
    # Ctrl-C in a terminal must not end `docker`: the new session keeps it able to clean up.
    return subprocess.run(  # noqa: S603 - docker, with arguments of ours
        [program, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout,
        check=False,
        start_new_session=True,
    )


def _run_to_end(*command: str) -> tuple[int, bytes]:
    """Run a command to its end and return its exit status and stderr; then raise a KeyboardInterrupt that came meanwhile.

    The engine creates a container even if `docker create` was killed. The container could then appear after its removal.
    """
    with tempfile.TemporaryFile() as stderr:
        # Inside the constructor an interruption would hide the process, and with it the end of what it does.
        with DeferredSignals() as deferred:
            process = subprocess.Popen(  # noqa: S603 - docker, with arguments of ours
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr, start_new_session=True
            )
        interruption = KeyboardInterrupt() if deferred.pressed else None
        timeout = _TIMEOUT_SECONDS if deferred.pressed else None
        while True:
            try:
                status = process.wait(timeout)
                break
            except KeyboardInterrupt as raised:
                interruption, timeout = raised, _TIMEOUT_SECONDS
            except subprocess.TimeoutExpired:
                # An engine that hangs must not delay the end of this process.
                process.kill()
        if interruption is not None:
            raise interruption
        stderr.seek(0)
        return status, stderr.read()


def _reason(stderr: bytes) -> str:
    """Return the reason from Docker's output, without its standard phrases."""
    lines = [line.strip() for line in stderr.decode(errors="replace").splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(("Run 'docker", "See 'docker", "errors pretty printing"))]
    if not lines:
        return "no reason given"
    # The engine's line is more specific than those that `docker` adds.
    own = [line for line in lines if _FROM_ENGINE in line]
    return (own or lines)[-1].rpartition(_FROM_ENGINE)[2].removeprefix("Error: ").strip()
