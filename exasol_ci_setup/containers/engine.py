"""The connection to the API of the Docker engine, and the translation of its errors."""

from __future__ import annotations

import contextlib
import importlib.util
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.core.errors import EngineError, EngineUnavailableError, MissingExtraError
from exasol_ci_setup.core.origin import install_command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker import DockerClient

# The modules of the extra `containers`.
_EXTRA: Final = ("docker", "fastapi", "fastapi_offline", "uvicorn")
_START_HINT: Final = "start it, or set DOCKER_HOST; check the connection with `docker version`"


def require_extra() -> None:
    """Raise MissingExtraError unless all modules of the extra `containers` are installed."""
    if any(importlib.util.find_spec(name) is None for name in _EXTRA):
        raise MissingExtraError(
            "containers on this machine need the extra `containers`, which is not installed",
            hint=f"`{install_command('containers')}`",
        )


def connect(*, timeout: int = 60, connections: int = 32) -> DockerClient:
    """Return a client of the Docker engine, after the engine has answered.

    ``DOCKER_HOST``, ``DOCKER_TLS_VERIFY`` and ``DOCKER_CERT_PATH`` select the engine. `timeout` is in seconds for each answer.
    `connections` is the size of the connection pool. Several threads may use the client. The caller closes it.
    Raises MissingExtraError, and EngineUnavailableError if no engine answers.
    Source of the variables: https://docs.docker.com/reference/cli/docker/#environment-variables.
    """
    require_extra()
    import docker
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    client: DockerClient | None = None
    try:
        # The client requests the newest version of the API that both sides support.
        client = docker.from_env(timeout=timeout, max_pool_size=connections)
        client.ping()
    except (DockerException, RequestException, OSError, ValueError) as error:
        if client is not None:
            client.close()
        raise EngineUnavailableError(f"the Docker engine cannot be used: {reason(error)}", hint=_START_HINT) from error
    return client


@contextlib.contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """Translate errors of the Docker client to EngineError ``DOING: REASON``.

    Use it as a context manager or as a decorator. `status` of the error is the HTTP status of the engine, or 0 without an answer:
    404 for a missing object, 409 for a conflict. Raises EngineUnavailableError if the engine no longer answers.
    Source of the statuses: https://docs.docker.com/reference/api/engine/.
    """
    from docker.errors import DockerException
    from requests.exceptions import ConnectionError as NoConnection
    from requests.exceptions import RequestException, Timeout
    from urllib3.exceptions import HTTPError

    try:
        yield
    except DockerException as error:
        # Only errors with an answer come from the engine; the client raises others itself.
        raise EngineError(f"{doing}: {reason(error)}", status=getattr(error, "status_code", None) or 0) from error
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
