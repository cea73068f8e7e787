"""The containers of apps: made for one port on this machine only, waited for until they answer, and removed."""

from __future__ import annotations

import contextlib
import http.client
import re
import secrets
import time
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.containers import engine
from exasol_ci_setup.containers.hosted.names import inner_port, repository_and_tag
from exasol_ci_setup.errors import AppConflict, AppFailed, AppNotFound, EngineError, EngineUnavailable

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
    """The containers of the apps of one state directory, whose `identity` is on each of them; others are not touched."""

    def __init__(self, client: DockerClient, identity: str) -> None:
        self._client = client
        self._identity = identity

    def fetch(self, name: str) -> Image:
        """Return the newest image of that name: the registry's, or this machine's if it was made here.

        Raises AppNotFound, with the engine's reason, if there is none or the registry does not answer.
        """
        here = self._image(name)
        repository, tag = repository_and_tag(name)
        if here is not None and not _is_of_registry(here, repository):
            return here
        try:
            with engine.engine_errors(f"The image {name} cannot be pulled"):
                # The client's own pull() does not notice a failure after the first byte.
                lines = self._client.api.pull(repository, tag=tag, stream=True, decode=True)
                problem = next((line["error"] for line in lines if "error" in line), None)
                if problem is None:
                    return self._client.images.get(name)
        except EngineUnavailable:
            raise
        except EngineError as error:
            if here is not None and error.status == _NOT_FOUND:
                return here
            raise AppNotFound(error.message) from error
        raise AppNotFound(f"The image {name} cannot be pulled: {problem}")

    def _image(self, name: str) -> Image | None:
        from docker.errors import ImageNotFound

        with engine.engine_errors(f"The image {name} cannot be looked up"):
            try:
                return self._client.images.get(name)
            except ImageNotFound:
                return None

    def start(self, app: str, image: Image, variables: Mapping[str, str], port: int) -> Container:
        """Start a container for an app on `port` of this machine.

        Raises AppFailed if the engine cannot run the image, and EngineError for all else, such as a port that somebody else has.
        """
        try:
            return self._started(app, image, variables, port)
        except EngineError as error:
            if error.status == _BAD_REQUEST:
                raise AppFailed(error.message) from error
            raise

    def _started(self, app: str, image: Image, variables: Mapping[str, str], port: int) -> Container:
        labels = {INSTANCE_LABEL: self._identity, APP_LABEL: app}
        with engine.engine_errors(f"The container of {app} cannot be started"):
            container = self._client.containers.create(
                image,
                # A label has no point in it, so this is no other app's.
                name=f"{app}.{secrets.token_hex(4)}",
                environment=dict(variables),
                ports={f"{inner_port(variables)}/tcp": ("127.0.0.1", port)},
                volumes={self._volume(app): {"bind": SAVE, "mode": "rw"}},
                labels=labels,
                restart_policy={"Name": "unless-stopped"},  # type: ignore[arg-type] # the count is for another policy
            )
            try:
                container.start()
            except BaseException:
                container.remove(force=True, v=True)
                raise
        return container

    def _volume(self, app: str) -> str:
        """Return the name of an app's volume, which is made if need be. Raises AppConflict if it is not ours."""
        name = volume_name(app)
        # Of an existing one the engine gives the labels that it has.
        volume = self._client.volumes.create(name, labels={INSTANCE_LABEL: self._identity, APP_LABEL: app})
        if (volume.attrs.get("Labels") or {}).get(INSTANCE_LABEL) != self._identity:
            raise AppConflict(f"The volume {name} was not made by this service.")
        return name

    def of(self, app: str) -> list[Container]:
        """Return all containers of an app, running or not."""
        with engine.engine_errors(f"The containers of {app} cannot be listed"):
            return self._client.containers.list(
                all=True, ignore_removed=True, filters=self._filters(f"{APP_LABEL}={app}")
            )

    def apps(self) -> set[str]:
        """Return the names of the apps that have containers."""
        with engine.engine_errors("The containers cannot be listed"):
            found = self._client.api.containers(all=True, filters=self._filters())
        return {each["Labels"][APP_LABEL] for each in found if APP_LABEL in each["Labels"]}

    def _filters(self, *labels: str) -> dict[str, Any]:
        return {"label": [f"{INSTANCE_LABEL}={self._identity}", *labels]}

    def get(self, container: str | None) -> Container | None:
        """Return a container by its id, or None if it is not there any more."""
        from docker.errors import NotFound

        if container is None:
            return None
        with engine.engine_errors("The container cannot be looked up"):
            try:
                return self._client.containers.get(container)
            except NotFound:
                return None

    def everything(self) -> list[dict[str, Any]]:
        """Return what the engine says of each container on this machine, in one request however many there are."""
        with engine.engine_errors("The containers cannot be listed"):
            found: list[dict[str, Any]] = self._client.api.containers(all=True)
        return found

    def is_ours(self, described: Mapping[str, Any]) -> bool:
        """Tell whether a container, as `everything` describes it, is of one of the apps."""
        return (described.get("Labels") or {}).get(INSTANCE_LABEL) == self._identity

    def remove(self, container: Container) -> None:
        """Stop a container gracefully, and remove it with its anonymous volumes."""
        from docker.errors import NotFound

        with engine.engine_errors("The container cannot be removed"), contextlib.suppress(NotFound):
            container.stop(timeout=_STOP_SECONDS)
            container.remove(force=True, v=True)

    def run(self, container: Container) -> None:
        """Start a container that was stopped."""
        with engine.engine_errors("The container cannot be started"):
            container.start()

    def stop(self, container: Container) -> None:
        """Stop a container: it is told to, and killed after 10 seconds."""
        with engine.engine_errors("The container cannot be stopped"):
            container.stop(timeout=_STOP_SECONDS)

    def purge(self, app: str) -> None:
        """Remove the volume of an app, if it is ours."""
        from docker.errors import NotFound

        with engine.engine_errors(f"The volume of {app} cannot be removed"), contextlib.suppress(NotFound):
            volume = self._client.volumes.get(volume_name(app))
            if (volume.attrs.get("Labels") or {}).get(INSTANCE_LABEL) == self._identity:
                volume.remove()


def _is_of_registry(image: Image, repository: str) -> bool:
    """Tell whether an image was ever in a registry by this name; by another it may well have been."""
    short = re.sub(r"^(index\.)?docker\.io/(library/)?", "", repository)
    return any(each.rpartition("@")[0] in {repository, short} for each in image.attrs.get("RepoDigests") or ())


def volume_name(app: str) -> str:
    """Return the name of the volume that an app finds at ``/save``."""
    return f"hosted-{app}-save"


def is_running(container: Container) -> bool:
    """Tell whether a container runs, as the engine said when it was last asked."""
    return bool(container.attrs["State"]["Running"]) and not container.attrs["State"].get("Restarting")


def variables_of(container: Container) -> dict[str, str]:
    """Return the environment of a container, that of its image included."""
    return dict(each.partition("=")[::2] for each in container.attrs["Config"]["Env"] or ())


def logs(container: Container, lines: int) -> str:
    """Return the last `lines` of what a container wrote."""
    with engine.engine_errors("The log cannot be read"):
        return container.logs(tail=lines).decode("utf-8", "replace")


def wait_until_it_answers(container: Container, *, port: int, host: str, seconds: float) -> None:
    """Return when a container answers an HTTP request on `port`, with anything but a server's error.

    Raises AppFailed, with the last lines of its log, if it ends, or has not answered after `seconds`.
    """
    deadline = time.monotonic() + seconds
    answer = "no answer"
    while time.monotonic() < deadline:
        with engine.engine_errors("The new container cannot be looked up"):
            container.reload()
        state = container.attrs["State"]
        if not is_running(container) or container.attrs["RestartCount"]:
            # The engine starts it again and again, and has forgotten the exit code when it runs.
            code = f" with exit code {state['ExitCode']}" if not state["Running"] else ""
            raise AppFailed(f"The new container ended{code}{_told_by(container)}")
        status = _status(port, host)
        if status and status < _SERVER_ERROR:
            return
        answer = f"GET / was answered with {status}" if status else "no answer"
        time.sleep(_POLL_SECONDS)
    raise AppFailed(
        f"The new container did not answer within {seconds:g} seconds on its port: {answer}{_told_by(container)}"
    )


def _status(port: int, host: str) -> int:
    """Return the status that a GET request is answered with, 0 without an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/", headers={"Host": host, "Connection": "close"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        # The engine listens for a container that does not yet, and hangs up.
        return 0
    finally:
        connection.close()


def _told_by(container: Container) -> str:
    try:
        said = logs(container, _LOG_LINES).strip()
    except EngineError:
        said = ""
    return f"; the last of its log:\n{said}" if said else "; it wrote nothing to its log"
