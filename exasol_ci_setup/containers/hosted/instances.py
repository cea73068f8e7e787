"""The containers of apps: creation on a loopback port, readiness checks, and removal."""

from __future__ import annotations

import contextlib
import http.client
import re
import secrets
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from docker.errors import NotFound
from docker.types import LogConfig

from exasol_ci_setup.containers.hosted.names import inner_port, repository_and_tag
from exasol_ci_setup.containers.hosted.networks import Networks
from exasol_ci_setup.core.errors import (
    AppConflictError,
    AppDoesNotAnswerError,
    AppNotFoundError,
    EngineError,
    EngineUnavailableError,
)
from exasol_ci_setup.docker import engine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from docker import DockerClient
    from docker.models.containers import Container
    from docker.models.images import Image
    from docker.types import CancellableStream

    from exasol_ci_setup.containers.hosted.networks import Network
    from exasol_ci_setup.containers.hosted.options import AppOptions

INSTANCE_LABEL: Final = "exasol-ci-setup.hosted"
APP_LABEL: Final = "exasol-ci-setup.hosted.app"
SAVE: Final = "/save"
_BAD_REQUEST: Final = 400
_NOT_FOUND: Final = 404
_CONFLICT: Final = 409
_HEALTHY: Final = range(200, 400)
_ANSWERING: Final = range(1, 500)
_POLL_SECONDS: Final = 0.1
_STOP_SECONDS: Final = 10
_LOG_LINES: Final = 5
_REQUEST_SECONDS: Final = 5.0


class Instances:
    """The containers of the apps of one state directory. A label has its `identity`; other containers are not changed.

    The network of each app has a part of the addresses in `subnets`.
    """

    def __init__(self, client: DockerClient, identity: str, subnets: Network) -> None:
        self._client = client
        self._identity = identity
        self._networks = Networks(client, subnets, identity)

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

    def find_image(self, id_: str) -> Image | None:
        """Return an image of this machine by its ID, or None if it no longer exists."""
        return engine.find_image(self._client, id_)

    def remove_image(self, id_: str) -> bool:
        """Remove an image, unless it has a name and cannot be pulled again; return whether no container uses it."""
        image = engine.find_image(self._client, id_)
        if image is None or (image.tags and not image.attrs.get("RepoDigests")):
            return True
        try:
            with engine.engine_errors("The image cannot be removed"):
                self._client.api.remove_image(id_)
        except EngineError as error:
            if error.status not in {_CONFLICT, _NOT_FOUND}:
                raise
            # An image with names in several repositories remains, too: another program gave it a name.
            return error.status == _NOT_FOUND or "repositories" in error.message
        return True

    def start(
        self, app: str, image: Image, variables: Mapping[str, str], *, port: int, options: AppOptions
    ) -> Container:
        """Start a container for an app on `port` of this machine, with the limits in `options`.

        Raises AppDoesNotAnswerError if the engine cannot run the image, and EngineError for other errors, such as a port in use.
        """
        try:
            return self._create_and_start(app, image, variables, port, options)
        except EngineError as error:
            if error.status == _BAD_REQUEST:
                raise AppDoesNotAnswerError(error.message) from error
            raise

    def _create_and_start(
        self, app: str, image: Image, variables: Mapping[str, str], port: int, options: AppOptions
    ) -> Container:
        labels = {INSTANCE_LABEL: self._identity, APP_LABEL: app}
        network = self._networks.ensure(app, labels)
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
                network=network,
                mem_limit=options.memory or 0,
                # The same value: no swap. https://docs.docker.com/engine/containers/resource_constraints/.
                memswap_limit=options.memory or 0,
                nano_cpus=round((options.cpus or 0) * 1e9),
                pids_limit=options.pids,
                security_opt=["no-new-privileges"],
                log_config=LogConfig(type="local", config={"max-size": "10m", "max-file": "5"}),
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

    def remove_network(self, app: str) -> None:
        """Remove the network of an app, if no other container uses it."""
        self._networks.remove(app)

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


def limits_of(container: Container) -> dict[str, Any]:
    """Return the limits of a container, by the names of the options."""
    config = container.attrs["HostConfig"]
    cpus = config.get("NanoCpus") or 0
    return {"memory": config.get("Memory") or None, "cpus": cpus / 1e9 or None, "pids": config.get("PidsLimit") or None}


def logs(container: Container, lines: int) -> str:
    """Return the last `lines` of the log of a container."""
    with engine.engine_errors("The log cannot be read"):
        return container.logs(tail=lines).decode("utf-8", "replace")


def follow_log(container: Container, lines: int) -> CancellableStream[bytes]:
    """Return the last `lines` of the log of a container, and later output until the container ends."""
    with engine.engine_errors("The log cannot be read"):
        return container.logs(tail=lines, stream=True, follow=True)


def wait_until_ready(container: Container, *, port: int, host: str, seconds: float, health_path: str | None) -> None:
    """Wait until a container answers a request on `port`: for `health_path` with a status from 200 to 399, else for ``/`` below 500.

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
        status = request_status(port, host, health_path)
        if is_healthy(status, health_path):
            return
        answer = f"GET {health_path or '/'} returned status {status}" if status else "no answer"
        time.sleep(_POLL_SECONDS)
    raise AppDoesNotAnswerError(
        f"The new container did not answer within {seconds:g} seconds on its port: {answer}{_quote_log(container)}"
    )


def is_healthy(status: int, health_path: str | None) -> bool:
    """Return whether a container is ready by its status: for `health_path` 200 to 399, else for ``/`` below 500; 0 is no answer."""
    return status in (_ANSWERING if health_path is None else _HEALTHY)


def request_status(port: int, host: str, health_path: str | None) -> int:
    """Return the status of a GET request for `health_path`, or else for ``/``; 0 without a complete head within 5 seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_REQUEST_SECONDS)
    try:
        connection.connect()
        with _shut_down_after(_REQUEST_SECONDS, connection.sock) as is_over:
            connection.request("GET", health_path or "/", headers={"Host": host, "Connection": "close"})
            status = connection.getresponse().status
        # The library accepts a head that ends early.
        return 0 if is_over.is_set() else status
    except (OSError, http.client.HTTPException):
        # The engine accepts connections for a container that does not listen yet, and closes them.
        return 0
    finally:
        connection.close()


@contextlib.contextmanager
def _shut_down_after(seconds: float, connection: socket.socket) -> Iterator[threading.Event]:
    """Shut down a connection after `seconds`, and set the event.

    The timeout of a socket restarts with each byte, so a faulty app could block the caller forever.
    """
    is_over = threading.Event()

    def shut_down() -> None:
        is_over.set()
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, shut_down)
    timer.daemon = True
    timer.start()
    try:
        yield is_over
    finally:
        timer.cancel()


def _quote_log(container: Container) -> str:
    try:
        lines = logs(container, _LOG_LINES).strip()
    except EngineError:
        lines = ""
    return f"; the last lines of its log:\n{lines}" if lines else "; its log is empty"
