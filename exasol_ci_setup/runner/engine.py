"""The Docker engine, by way of the `docker` program: a container for one build, which is gone when the build is."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import subprocess
import tarfile
import tempfile
import threading
from typing import IO, TYPE_CHECKING, Final

from exasol_ci_setup.errors import EngineError, EngineUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_CHUNK: Final = 65536  # bytes
_PATIENCE: Final = 20.0  # seconds for what an engine answers at once
_FROM_ENGINE: Final = "Error response from daemon: "
_NOT_PERMITTED: Final = ("operation not permitted", "permission denied", "privileged mode is incompatible")


class NotPermitted(Exception):
    """The engine may not start a container with the privileges asked for."""


class Engine:
    """A Docker engine that answers."""

    def __init__(self) -> None:
        """Find `docker` and ask the engine. Raises EngineUnavailable if there is none, or none that answers."""
        program = shutil.which("docker")
        if program is None:
            raise EngineUnavailable(
                "`docker` is not on the PATH", hint="install Docker: https://docs.docker.com/get-docker/"
            )
        self._program = program
        try:
            asked = self._run("version", "--format", "{{.Server.Version}}", patience=_PATIENCE)
        except subprocess.TimeoutExpired:
            raise EngineUnavailable(
                f"the Docker engine did not answer within {_PATIENCE:g} s", hint="try: docker version"
            ) from None
        except OSError as error:
            raise EngineUnavailable(
                f"{program} cannot be run: {error.strerror}", hint="install Docker: https://docs.docker.com/get-docker/"
            ) from None
        if asked.returncode or not asked.stdout.strip():
            raise EngineUnavailable(
                f"the Docker engine cannot be used: {_reason(asked.stderr)}",
                hint="start it, or set DOCKER_HOST; `docker version` shows whether it answers",
            )

    def has(self, image: str) -> bool:
        """Return whether the image is on the engine's machine."""
        return not self._run("image", "inspect", "--format", "{{.Id}}", "--", image).returncode

    def pull(self, image: str, say: Callable[[str], None]) -> None:
        """Get an image, telling what Docker says of it line by line. Raises EngineError if that fails."""
        process = subprocess.Popen(  # noqa: S603 - docker, with the user's own image
            [self._program, "pull", "--", image],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        last = ""
        with _ended(process):
            assert process.stdout is not None  # noqa: S101 - a pipe was asked for
            for line in process.stdout:
                last = line.decode(errors="replace").strip() or last
                say(last)
            if process.wait():
                raise EngineError(
                    f"image {image} cannot be had: {_reason(last.encode())}", hint="name another with --image"
                )

    @contextlib.contextmanager
    def container(self, image: str, arguments: Sequence[str], *, privileged: bool) -> Iterator[Container]:
        """Make a container that runs ``/bin/sh ARGUMENTS`` as root once it is started; it is removed at the end, whatever happens.

        Raises EngineError if it cannot be made.
        """
        options = ["--privileged", "--env", "EXASOL_CI_SETUP_PRIVILEGED=1"] if privileged else []
        # --rm also takes it away when this process is killed: its input ends, and with it the agent.
        # The name is ours, so that it can be removed although an interruption kept us from learning its id.
        name = f"exasol-ci-setup-{secrets.token_hex(6)}"
        try:
            status, said = _uninterrupted(
                *(self._program, "create", "--rm", "--interactive", "--name", name, "--user", "0", "--workdir", "/"),
                *("--entrypoint", "/bin/sh", *options, "--", image, *arguments),
            )
            if status:
                raise EngineError(f"no container can be made of {image}: {_reason(said)}")
            yield Container(self._program, name)
        finally:
            _uninterrupted(self._program, "rm", "--force", "--volumes", name)

    def _run(self, *arguments: str, patience: float | None = None) -> subprocess.CompletedProcess[bytes]:
        return _run(self._program, *arguments, patience=patience)


class Container:
    """A container of an engine."""

    def __init__(self, program: str, name: str) -> None:
        self._program = program
        self.name = name

    def put(self, write: Callable[[tarfile.TarFile], None]) -> None:
        """Copy to the container's root what `write` adds to an archive. Raises EngineError if Docker does not take it."""
        process = subprocess.Popen(  # noqa: S603 - docker, with the name of our container
            [self._program, "cp", "-", f"{self.name}:/"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        with _ended(process):
            assert process.stdin is not None  # noqa: S101 - a pipe was asked for
            assert process.stderr is not None  # noqa: S101 - a pipe was asked for
            # What breaks the pipe is told by Docker itself.
            with contextlib.suppress(BrokenPipeError):
                with tarfile.open(fileobj=process.stdin, mode="w|", bufsize=_CHUNK * 16) as archive:
                    write(archive)
                process.stdin.close()
            said = process.stderr.read()
            if process.wait():
                raise EngineError(f"the source cannot be copied into the container: {_reason(said)}")

    def get(self, path: str, file: IO[bytes]) -> bool:
        """Write an archive of a file or folder of the container to `file`; return whether there is such a path.

        Raises EngineError if it cannot be read.
        """
        process = subprocess.Popen(  # noqa: S603 - docker, with the name of our container
            [self._program, "cp", f"{self.name}:{path}", "-"],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        with _ended(process):
            assert process.stderr is not None  # noqa: S101 - a pipe was asked for
            said = process.stderr.read()
            if not process.wait():
                return True
        if b"ould not find the file" in said or b"o such container:path" in said.lower():
            return False
        raise EngineError(f"{path} cannot be copied out of the container: {_reason(said)}")

    def start(self) -> None:
        """Start it. Raises EngineError, or NotPermitted if the engine may not give it the privileges asked for."""
        started = _run(self._program, "start", self.name)
        if not started.returncode:
            return
        reason = _reason(started.stderr)
        if any(words in reason.lower() for words in _NOT_PERMITTED):
            raise NotPermitted(reason)
        raise EngineError(f"the container cannot be started: {reason}", hint="the image needs /bin/sh")

    @contextlib.contextmanager
    def attached(self) -> Iterator[Conversation]:
        """Connect to the input and the output of the program that runs in it."""
        process = subprocess.Popen(  # noqa: S603 - docker, with the name of our container
            [self._program, "attach", "--sig-proxy=false", self.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
        )
        with _ended(process):
            yield Conversation(process)


class Conversation:
    """The input and output of a container's program."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None  # noqa: S101 - a pipe was asked for
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        self._process, self._input, self._output = process, process.stdin, process.stdout
        # Docker's own words would block it once the pipe is full.
        self._said: list[bytes] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def write(self, data: bytes) -> None:
        """Send input; that nobody reads it any more shows when reading."""
        with contextlib.suppress(BrokenPipeError):
            self._input.write(data)

    def read(self) -> bytes:
        """Return the next output, waiting for it; nothing means that it has ended."""
        return self._output.read(_CHUNK)

    def said(self) -> str:
        """Return the last that Docker itself said."""
        return _reason(b"".join(self._said)) if self._said else ""

    def _listen(self) -> None:
        assert self._process.stderr is not None  # noqa: S101 - a pipe was asked for
        with contextlib.suppress(ValueError, OSError):
            for line in self._process.stderr:
                self._said.append(line)


@contextlib.contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """End a process of ours and close its pipes, whatever happens."""
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


def _run(program: str, *arguments: str, patience: float | None = None) -> subprocess.CompletedProcess[bytes]:
    # In a session of its own, so that Ctrl-C in a terminal reaches us only, and what is to be taken away still can be.
    return subprocess.run(  # noqa: S603 - docker, with arguments of ours
        [program, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=patience,
        check=False,
        start_new_session=True,
    )


def _uninterrupted(*command: str) -> tuple[int, bytes]:
    """Run a command and return its exit status and what it said on stderr; an interruption is raised when it has ended.

    Whoever is asked to make a container makes it, although the one who asked is gone; it could then be made after it was removed.
    """
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(  # noqa: S603 - docker, with arguments of ours
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said, start_new_session=True
        )
        interruption: KeyboardInterrupt | None = None
        patience: float | None = None
        while True:
            try:
                status = process.wait(patience)
                break
            except KeyboardInterrupt as raised:
                interruption, patience = raised, _PATIENCE
            except subprocess.TimeoutExpired:
                # An engine that hangs must not keep us from ending.
                process.kill()
        if interruption is not None:
            raise interruption
        said.seek(0)
        return status, said.read()


def _reason(said: bytes) -> str:
    """Return Docker's reason without what it always says around it."""
    lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(("Run 'docker", "See 'docker", "errors pretty printing"))]
    if not lines:
        return "no reason given"
    # What the engine says comes first; what `docker` adds to it tells less.
    own = [line for line in lines if _FROM_ENGINE in line]
    return (own or lines)[-1].rpartition(_FROM_ENGINE)[2].removeprefix("Error: ").strip()
