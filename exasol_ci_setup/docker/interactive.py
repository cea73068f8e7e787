"""Run a program in a container of its own, talk to it, copy files in and out, and always remove the container."""

from __future__ import annotations

import contextlib
import os
import secrets
import struct
from typing import IO, TYPE_CHECKING, Any, Final

from exasol_ci_setup.core.errors import EngineError
from exasol_ci_setup.core.interrupts import DeferredSignals
from exasol_ci_setup.docker.engine import engine_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from docker import DockerClient

_NOT_PERMITTED: Final = ("operation not permitted", "permission denied", "privileged mode is incompatible")
_NOT_FOUND: Final = 404
# Each frame begins with the number of its stream and its length: https://docs.docker.com/reference/api/engine/ (attach to a container).
_FRAME: Final = struct.Struct(">BxxxL")
_STDOUT: Final = 1


class NotPermittedError(Exception):
    """The Docker engine refuses to start a privileged container."""


@contextlib.contextmanager
def container(client: DockerClient, image: str, arguments: Sequence[str], *, privileged: bool) -> Iterator[Container]:
    """Create a container that runs ``/bin/sh ARGUMENTS`` as root when started, and always remove it at the end.

    The variable DOCKER_DEFAULT_PLATFORM applies, as for the `docker` program. Raises EngineError if the container cannot be created.
    """
    api = client.api
    # With a name chosen here, the container can be removed even if an interruption hides its ID.
    name = f"exasol-ci-setup-{secrets.token_hex(6)}"
    try:
        # The engine creates a container even if the request was interrupted: it could then appear after its removal.
        with DeferredSignals() as deferred, engine_errors(f"no container can be created from {image}"):
            # If this process is killed, the agent's input ends, the agent exits, and the engine removes the container.
            api.create_container(
                image,
                list(arguments),
                name=name,
                user="0",
                working_dir="/",
                entrypoint=["/bin/sh"],
                stdin_open=True,
                environment={"EXASOL_CI_SETUP_PRIVILEGED": "1"} if privileged else {},
                host_config=api.create_host_config(auto_remove=True, privileged=privileged),
                platform=os.environ.get("DOCKER_DEFAULT_PLATFORM"),
            )
        deferred.deliver()
        yield Container(client, name)
    finally:
        with (
            DeferredSignals() as deferred,
            contextlib.suppress(EngineError),
            engine_errors(f"{name} cannot be removed"),
        ):
            api.remove_container(name, v=True, force=True)
        deferred.deliver()


class Container:
    """A container of `container`."""

    def __init__(self, client: DockerClient, name: str) -> None:
        self._api = client.api
        self.name = name

    @engine_errors("the source cannot be copied into the container")
    def put(self, archive: IO[bytes]) -> None:
        """Unpack an archive at the root of the container. Raises EngineError if Docker rejects it."""
        self._api.put_archive(self.name, "/", archive)

    def get(self, path: str, file: IO[bytes]) -> bool:
        """Write an archive of a file or folder of the container to `file`; return whether the path exists.

        Raises EngineError if it cannot be read.
        """
        try:
            with engine_errors(f"{path} cannot be copied out of the container"):
                chunks, _ = self._api.get_archive(self.name, path)
                for chunk in chunks:
                    file.write(chunk)
        except EngineError as error:
            if error.status == _NOT_FOUND and "no such container" not in error.message.lower():
                return False
            raise
        return True

    @contextlib.contextmanager
    def started(self) -> Iterator[Conversation]:
        """Start the container, connected to the input and output of its program.

        Raises NotPermittedError if the engine refuses its privileges, and EngineError for other reasons.
        """
        doing = "the container cannot be started"
        with engine_errors(doing):
            # Before the start, so that no output is lost.
            connection = self._api.attach_socket(self.name, {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
        with contextlib.closing(Conversation(connection)) as conversation:
            try:
                with engine_errors(doing):
                    self._api.start(self.name)
            except EngineError as error:
                if any(words in error.message.lower() for words in _NOT_PERMITTED):
                    raise NotPermittedError(error.message.removeprefix(f"{doing}: ")) from None
                error.hint = error.hint or "the image needs /bin/sh"
                raise
            yield conversation


class Conversation:
    """The input and output of the program in a container."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        # Over HTTP without TLS, the client returns the raw file of a socket.
        self._socket = getattr(connection, "_sock", connection)
        self._output = self._socket.makefile("rb")
        self._messages = b""

    def write(self, data: bytes) -> None:
        """Send input. If the program no longer reads it, the next `read` returns nothing."""
        with contextlib.suppress(OSError):
            self._socket.sendall(data)

    def read(self) -> bytes:
        """Wait for output and return it; empty at the end of the program."""
        with contextlib.suppress(ConnectionError):
            while len(header := self._output.read(_FRAME.size)) == _FRAME.size:
                stream, size = _FRAME.unpack(header)
                data: bytes = self._output.read(size)
                if stream == _STDOUT and data:
                    return data
                self._messages += data
        return b""

    def last_message(self) -> str:
        """Return the last line on the standard error of the program, or an empty text."""
        return self._messages.decode(errors="replace").strip().rpartition("\n")[2].strip()

    def close(self) -> None:
        """Close the connection."""
        self._output.close()
        if response := getattr(self._connection, "_response", None):
            response.close()
        self._connection.close()
