"""The connection to the Docker engine over its API, and the one place where what it refuses becomes an error of ours."""

from __future__ import annotations

import contextlib
import importlib.util
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.errors import EngineError, EngineUnavailable, ExtraMissing
from exasol_ci_setup.origin import install_command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker import DockerClient

# What the extra `containers` brings, by the names that are imported.
_EXTRA: Final = ("docker", "fastapi", "fastapi_offline", "uvicorn")
_START_HINT: Final = "start it, or set DOCKER_HOST; `docker version` shows whether it answers"


def require_extra() -> None:
    """Raise ExtraMissing unless everything of the extra `containers` is installed."""
    if any(importlib.util.find_spec(name) is None for name in _EXTRA):
        raise ExtraMissing(
            "containers on this machine are not installed: they are an extra",
            hint=f"`{install_command('containers')}`",
        )


def connect(*, timeout: int = 60, connections: int = 32) -> DockerClient:
    """Return a client of the engine that ``DOCKER_HOST``, ``DOCKER_TLS_VERIFY`` and ``DOCKER_CERT_PATH`` name, after it has answered.

    `timeout` is in seconds, for each answer; `connections` is how many are kept for further requests. The client may be used by
    several threads. Whoever asked for it closes it. Raises ExtraMissing, and EngineUnavailable if there is no engine, or none that
    answers.
    Source of the variables: https://docs.docker.com/reference/cli/docker/#environment-variables.
    """
    require_extra()
    import docker
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    client: DockerClient | None = None
    try:
        # It asks the engine for the newest version of the API that both know.
        client = docker.from_env(timeout=timeout, max_pool_size=connections)
        client.ping()
    except (DockerException, RequestException, OSError, ValueError) as error:
        if client is not None:
            client.close()
        raise EngineUnavailable(f"the Docker engine cannot be used: {reason(error)}", hint=_START_HINT) from error
    return client


@contextlib.contextmanager
def told(doing: str) -> Iterator[None]:
    """Raise what goes wrong inside with the engine as EngineError ``DOING: REASON``; as a decorator it does so for a function.

    The error's `status` is the engine's HTTP status, or 0 if it gave none: 404 for what it does not have, 409 for what is in the way of
    something else. EngineUnavailable is raised if it does not answer any more.
    Source of the statuses: https://docs.docker.com/reference/api/engine/.
    """
    from docker.errors import DockerException
    from requests.exceptions import ConnectionError as NoConnection
    from requests.exceptions import RequestException, Timeout
    from urllib3.exceptions import HTTPError

    try:
        yield
    except DockerException as error:
        # Not every one of the client's errors is the engine's: only those carry an answer.
        raise EngineError(f"{doing}: {reason(error)}", status=getattr(error, "status_code", None) or 0) from error
    except (NoConnection, Timeout) as error:
        raise EngineUnavailable(
            f"{doing}: the Docker engine does not answer: {reason(error)}", hint=_START_HINT
        ) from error
    except (RequestException, HTTPError) as error:
        raise EngineError(f"{doing}: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """Return in one line what went wrong: the engine's own message where there is one, else the innermost error's."""
    said = getattr(error, "explanation", None) or getattr(error, "msg", None)
    if said is None:
        number = next((each.strerror for each in _chain(error) if isinstance(each, OSError) and each.strerror), None)
        said = number or str(error)
    if isinstance(said, bytes):
        said = said.decode(errors="replace")
    return " ".join(str(said).split()) or type(error).__name__


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Give an error and those that it was made of; requests and urllib3 put them into their arguments."""
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
