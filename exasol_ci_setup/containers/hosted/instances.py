"""The containers of apps: creation on a loopback port, readiness checks, and removal."""

from __future__ import annotations

import contextlib
import http.client
import re
import secrets
import time
from typing import TYPE_CHECKING, Any, Final

from docker.errors import NotFound

from exasol_ci_setup.containers.hosted.names import inner_port, repository_and_tag
from exasol_ci_setup.core.errors import (
    AppConflictError,
    AppDoesNotAnswerError,
    AppNotFoundError,
    EngineError,
    EngineUnavailableError,
)
from exasol_ci_setup.docker import engine

if TYPE_CHECKING:
    from collections.abc import Mapping

    from docker import DockerClient
    from docker.models.containers import Container
    from docker.models.images import Image

INSTANCE_LABEL: Final = "exasol-ci-setup.hosted"
APP_LABEL: Final = "exasol-ci-setup.hosted.app"
SAVE: Final = "/save"
_BAD_REQUEST: Final = 400
_NOT_FOUND: Final = 404
_SERVER_ERROR: Final = 500
_POLL_SECONDS: Final = 0.1
_STOP_SECONDS: Final = 10
_LOG_LINES: Final = 5


class Instances:
    """The containers of the apps of one state directory. A label has its `identity`; other containers are not changed."""

    def __init__(self, client: DockerClient, identity: str) -> None:
        self._client = client
        self._identity = identity

    def fetch_image(self, name: str) -> Image:
        """Return the newest image of that name: from the registry, or a local image that was built here.

        Raises AppNotFoundError with the reason of the engine if the image does not exist or the registry does not answer.
        """
        local = engine.find_image(self._client, name)
        repository, _ = repository_and_tag(name)
        if local is not None and not _is_of_registry(local, repository):
            return local
        try:
            engine.pull(self._client, name, lambda _line: None)
        except EngineUnavailableError:
            raise
        except EngineError as error:
            if local is not None and error.status == _NOT_FOUND:
                return local
            raise AppNotFoundError(f"The {error.message}") from error
        if (pulled := engine.find_image(self._client, name)) is None:
            raise AppNotFoundError(f"The image {name} is missing after the pull.")
        return pulled

    def start(self, app: str, image: Image, variables: Mapping[str, str], port: int) -> Container:
        """Start a container for an app on `port` of this machine.

        Raises AppDoesNotAnswerError if the engine cannot run the image, and EngineError for other errors, such as a port in use.
        """
        try:
            return self._create_and_start(app, image, variables, port)
        except EngineError as error:
            if error.status == _BAD_REQUEST:
                raise AppDoesNotAnswerError(error.message) from error
            raise

    def _create_and_start(self, app: str, image: Image, variables: Mapping[str, str], port: int) -> Container:
        labels = {INSTANCE_LABEL: self._identity, APP_LABEL: app}
        with engine.engine_errors(f"The container of {app} cannot be started"):
            container = self._client.containers.create(
                image,
                # Names of apps have no point, so this cannot be the name of another app.
                name=f"{app}.{secrets.token_hex(4)}",
                environment=dict(variables),
                ports={f"{inner_port(variables)}/tcp": ("127.0.0.1", port)},
                volumes={self._ensure_volume(app): {"bind": SAVE, "mode": "rw"}},
                labels=labels,
                restart_policy={"Name": "unless-stopped"},  # type: ignore[arg-type] # only another policy needs a count
            )
            try:
                container.start()
            except BaseException:
                container.remove(force=True, v=True)
                raise
        return container

    def _ensure_volume(self, app: str) -> str:
        """Return the name of the volume of an app; create it if it is missing.

        Raises AppConflictError if another program created it.
        """
        name = volume_name(app)
        # For an existing volume, the engine returns its labels.
        volume = self._client.volumes.create(name, labels={INSTANCE_LABEL: self._identity, APP_LABEL: app})
        if (volume.attrs.get("Labels") or {}).get(INSTANCE_LABEL) != self._identity:
            raise AppConflictError(f"The volume {name} was not created by this service.")
        return name

    def list_app(self, app: str) -> list[Container]:
        """Return all containers of an app, running or not."""
        with engine.engine_errors(f"The containers of {app} cannot be listed"):
            return self._client.containers.list(
                all=True, ignore_removed=True, filters=self._filters(f"{APP_LABEL}={app}")
            )

    def list_app_names(self) -> set[str]:
        """Return the names of the apps that have containers."""
        with engine.engine_errors("The containers cannot be listed"):
            found = self._client.api.containers(all=True, filters=self._filters())
        return {each["Labels"][APP_LABEL] for each in found if APP_LABEL in each["Labels"]}

    def _filters(self, *labels: str) -> dict[str, Any]:
        return {"label": [f"{INSTANCE_LABEL}={self._identity}", *labels]}

    def get(self, container: str | None) -> Container | None:
        """Return a container by its ID, or None if it no longer exists."""
        if container is None:
            return None
        with engine.engine_errors("The container cannot be inspected"):
            try:
                return self._client.containers.get(container)
            except NotFound:
                return None

    def list_all(self) -> list[dict[str, Any]]:
        """Return the description of each container on this machine, with a single request."""
        with engine.engine_errors("The containers cannot be listed"):
            found: list[dict[str, Any]] = self._client.api.containers(all=True)
        return found

    def is_own(self, described: Mapping[str, Any]) -> bool:
        """Return whether a container, as described by `list_all`, belongs to an app."""
        return (described.get("Labels") or {}).get(INSTANCE_LABEL) == self._identity

    def remove(self, container: Container) -> None:
        """Stop a container gracefully, and remove it with its anonymous volumes."""
        with engine.engine_errors("The container cannot be removed"), contextlib.suppress(NotFound):
            container.stop(timeout=_STOP_SECONDS)
            container.remove(force=True, v=True)

    def run(self, container: Container) -> None:
        """Start a stopped container."""
        with engine.engine_errors("The container cannot be started"):
            container.start()

    def stop(self, container: Container) -> None:
        """Stop a container with SIGTERM, and with SIGKILL after 10 seconds."""
        with engine.engine_errors("The container cannot be stopped"):
            container.stop(timeout=_STOP_SECONDS)

    def remove_volume(self, app: str) -> None:
        """Remove the volume of an app, if this service created it."""
        with engine.engine_errors(f"The volume of {app} cannot be removed"), contextlib.suppress(NotFound):
            volume = self._client.volumes.get(volume_name(app))
            if (volume.attrs.get("Labels") or {}).get(INSTANCE_LABEL) == self._identity:
                volume.remove()


def _is_of_registry(image: Image, repository: str) -> bool:
    """Return whether an image was ever in a registry under this name."""
    short = re.sub(r"^(index\.)?docker\.io/(library/)?", "", repository)
    return any(each.rpartition("@")[0] in {repository, short} for each in image.attrs.get("RepoDigests") or ())


def volume_name(app: str) -> str:
    """Return the name of the volume that is mounted at ``/save`` of an app."""
    return f"hosted-{app}-save"


def is_running(container: Container) -> bool:
    """Return whether a container runs, according to its last description."""
    return bool(container.attrs["State"]["Running"]) and not container.attrs["State"].get("Restarting")


def variables_of(container: Container) -> dict[str, str]:
    """Return the environment of a container, including that of its image."""
    return dict(each.partition("=")[::2] for each in container.attrs["Config"]["Env"] or ())


def logs(container: Container, lines: int) -> str:
    """Return the last `lines` of the log of a container."""
    with engine.engine_errors("The log cannot be read"):
        return container.logs(tail=lines).decode("utf-8", "replace")


def wait_until_ready(container: Container, *, port: int, host: str, seconds: float) -> None:
    """Wait until a container answers an HTTP request on `port` with a status below 500.

    Raises AppDoesNotAnswerError with the last lines of its log if it ends, or does not answer within `seconds`.
    """
    deadline = time.monotonic() + seconds
    answer = "no answer"
    while time.monotonic() < deadline:
        with engine.engine_errors("The new container cannot be inspected"):
            container.reload()
        state = container.attrs["State"]
        if not is_running(container) or container.attrs["RestartCount"]:
            # The engine restarts the container. While it runs, its last exit code is unknown.
            code = f" with exit code {state['ExitCode']}" if not state["Running"] else ""
            raise AppDoesNotAnswerError(f"The new container ended{code}{_quote_log(container)}")
        status = _status(port, host)
        if status and status < _SERVER_ERROR:
            return
        answer = f"GET / returned status {status}" if status else "no answer"
        time.sleep(_POLL_SECONDS)
    raise AppDoesNotAnswerError(
        f"The new container did not answer within {seconds:g} seconds on its port: {answer}{_quote_log(container)}"
    )


def _status(port: int, host: str) -> int:
    """Return the status of a GET request, or 0 without an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/", headers={"Host": host, "Connection": "close"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        # The engine accepts connections for a container that does not listen yet, and closes them.
        return 0
    finally:
        connection.close()


def _quote_log(container: Container) -> str:
    try:
        lines = logs(container, _LOG_LINES).strip()
    except EngineError:
        lines = ""
    return f"; the last lines of its log:\n{lines}" if lines else "; its log is empty"
