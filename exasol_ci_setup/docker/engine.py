"""The client of the Docker engine: the selected engine, its availability, its errors, and requests for images."""

from __future__ import annotations

import contextlib
import os
import re
import socket
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from exasol_ci_setup.core.errors import EngineError, EngineUnavailableError, PortTakenError
from exasol_ci_setup.core.http import LOOPBACK
from exasol_ci_setup.core.origin import install_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from docker import DockerClient
    from docker.models.images import Image

_START_HINT: Final = (
    "install and start Docker, or select another engine with DOCKER_HOST or `docker context use`; "
    "`docker version` shows whether it answers"
)
_FIRST_ANSWER_SECONDS: Final = 20
_PORT_IN_USE: Final = ("port is already allocated", "address already in use")
_GROUP_HINT: Final = "add the user to the socket's group (`sudo usermod -aG docker $USER`) and log in again"


def address() -> str:
    """Return the address of the selected engine: DOCKER_HOST, else that of DOCKER_CONTEXT, else of the context in use.

    The `docker` program selects it in the same order. Raises EngineUnavailableError if the context does not exist.
    Source: https://docs.docker.com/engine/manage-resources/contexts/.
    """
    if host := os.environ.get("DOCKER_HOST"):
        return host
    from docker.context import ContextAPI
    from docker.context.config import get_current_context_name
    from docker.utils.config import find_config_file

    name = os.environ.get("DOCKER_CONTEXT") or get_current_context_name()
    # Without this file, the client would look for contexts in the working directory.
    if name != "default" and find_config_file() is None:
        raise EngineUnavailableError(
            f"the Docker context {name} cannot be read: Docker's config.json is missing",
            hint=f"`docker context use {name}` creates it",
        )
    try:
        found = ContextAPI.kwargs_from_context(name)
    except Exception as error:
        raise EngineUnavailableError(
            f"the Docker context {name} cannot be read: {reason(error)}", hint="`docker context ls` lists the contexts"
        ) from error
    # Without this check, the client would use the default engine.
    if "base_url" not in found:
        raise EngineUnavailableError(
            f"the Docker context {name} does not exist",
            hint="`docker context ls` lists the contexts; select one with `docker context use NAME`",
        )
    return str(found["base_url"])


def is_remote(where: str) -> bool:
    """Return whether the engine at an `address`, such as ``tcp://build:2376``, is on another host."""
    parts = urlsplit(where)
    return parts.scheme in {"tcp", "http", "https", "ssh"} and parts.hostname not in LOOPBACK


def connect(*, timeout: int | None = 60, connections: int = 32) -> DockerClient:
    """Return a client of the engine at `address`, after the engine has answered.

    DOCKER_TLS_VERIFY and DOCKER_CERT_PATH apply, too. `timeout` is in seconds for each answer. With None only the first answer has a
    limit, as a pull or a copy may take hours. `connections` is the size of the connection pool. Several threads may use the client.
    The caller closes it. Raises EngineUnavailableError if no engine answers.
    Source of the variables: https://docs.docker.com/reference/cli/docker/#environment-variables.
    """
    import docker
    from docker.utils import parse_host

    where = address()
    client: DockerClient | None = None
    first_timeout = timeout or _FIRST_ANSWER_SECONDS
    try:
        kind, _, path = str(parse_host(where)).partition("://")
        if kind == "http+unix":
            # The client does not close a socket that cannot connect.
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(first_timeout)
                probe.connect(f"/{path.lstrip('/')}")
        # The client requests the newest version of the API that both sides support.
        client = docker.from_env(timeout=first_timeout, max_pool_size=connections)
        client.ping()
        client.api.timeout = timeout  # type: ignore[assignment] # None waits without a limit
    except Exception as error:  # also those of paramiko, which is optional
        if client is not None:
            client.close()
        hint = _START_HINT
        if any(isinstance(each, PermissionError) for each in _error_chain(error)):
            hint = _GROUP_HINT
        elif "paramiko" in str(error):
            hint = f"`{install_command('ssh')}`"
        raise EngineUnavailableError(
            f"the Docker engine at {where} cannot be used: {reason(error)}", hint=hint
        ) from error
    return client


def find_image(client: DockerClient, name: str) -> Image | None:
    """Return an image that the engine has locally, or None. Raises EngineError."""
    from docker.errors import ImageNotFound

    with engine_errors(f"image {name} cannot be inspected"), contextlib.suppress(ImageNotFound):
        return client.images.get(name)
    return None


def pull(
    client: DockerClient, name: str, say: Callable[[str], None], *, login: Mapping[str, str] | None = None
) -> None:
    """Pull an image, and pass progress lines to `say`; without `login`, the logins of `docker login` apply.

    The variable DOCKER_DEFAULT_PLATFORM selects the platform, as for the `docker` program.

    Raises EngineError ``image NAME cannot be pulled: REASON``.
    """
    doing = f"image {name} cannot be pulled"
    # With a digest, the tag has no effect, and the client cannot parse both.
    wanted = re.sub(r":[\w.-]+@", "@", name)
    with engine_errors(doing):
        # pull() of the client ignores a failure after the first byte.
        answer = client.api.pull(
            wanted,
            stream=True,
            decode=True,
            auth_config=None if login is None else dict(login),
            platform=os.environ.get("DOCKER_DEFAULT_PLATFORM"),
        )
        problem = read_progress(answer, say)
    if problem is not None:
        raise EngineError(f"{doing}: {problem}")


def read_progress(answer: Iterable[Any], say: Callable[[str], None]) -> str | None:
    """Read the answer to a build or a pull to its end, and pass its lines to `say`; return the reason of a failure, or None."""
    for part in answer:
        if "error" in part:
            return " ".join(str(part["error"]).split())
        text = str(part.get("stream", ""))
        # Progress bars are omitted.
        if "status" in part and not part.get("progressDetail"):
            text = f"{part['id']}: {part['status']}" if "id" in part else part["status"]
        for line in text.splitlines():
            if line.strip():
                say(line.rstrip())
    return None


@contextlib.contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """Translate errors of the Docker client to EngineError ``DOING: REASON``.

    Use it as a context manager or as a decorator. `status` of the error is the HTTP status of the engine, or 0 without an answer:
    404 for a missing object, 409 for a conflict. Raises PortTakenError for a port of the host in use, and EngineUnavailableError if the
    engine no longer answers.
    Source of the statuses: https://docs.docker.com/reference/api/engine/.
    """
    from docker.errors import DockerException
    from requests.exceptions import ConnectionError as NoConnection
    from requests.exceptions import RequestException, Timeout
    from urllib3.exceptions import HTTPError

    try:
        yield
    except DockerException as error:
        message = f"{doing}: {reason(error)}"
        kind = PortTakenError if any(words in message for words in _PORT_IN_USE) else EngineError
        # Only errors with an answer come from the engine; the client raises others itself.
        raise kind(message, status=getattr(error, "status_code", None) or 0) from error
    except (NoConnection, Timeout) as error:
        raise EngineUnavailableError(
            f"{doing}: the Docker engine does not answer: {reason(error)}", hint=_START_HINT
        ) from error
    except (RequestException, HTTPError) as error:
        raise EngineError(f"{doing}: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """Return the cause of an error in one line: the message of the engine, or that of the innermost error."""
    message = getattr(error, "explanation", None) or getattr(error, "msg", None)
    if message is None:
        cause = next(
            (each.strerror for each in _error_chain(error) if isinstance(each, OSError) and each.strerror), None
        )
        message = cause or str(error)
    if isinstance(message, bytes):
        message = message.decode(errors="replace")
    return " ".join(str(message).split()) or type(error).__name__


def _error_chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes; requests and urllib3 keep causes in their arguments."""
    seen: list[BaseException] = []
    waiting = [error]
    while waiting:
        each = waiting.pop()
        if each in seen:
            continue
        seen.append(each)
        yield each
        inner = (each.__cause__, each.__context__, getattr(each, "reason", None), *each.args)
        waiting += [one for one in inner if isinstance(one, BaseException)]
