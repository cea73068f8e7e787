"""Containers on the engine: made, looked at, waited for and taken away."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.containers import engine
from exasol_ci_setup.containers.manager import ports
from exasol_ci_setup.containers.manager.arguments import IMAGE_LABEL, MANAGER_LABEL, PROCESS_LABEL, arguments
from exasol_ci_setup.containers.manager.waiting import probes
from exasol_ci_setup.errors import ContainerNotReady, EngineError, EngineUnavailable, PortTaken

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from docker import DockerClient

    from exasol_ci_setup.containers.manager.config import Image
    from exasol_ci_setup.containers.manager.options import WaitCondition
    from exasol_ci_setup.containers.manager.ports import Port
    from exasol_ci_setup.containers.manager.streams import Streams

log = logging.getLogger(__name__)

_GRACE: Final = 2  # seconds between asking a container to end and ending it
_LAST_LINES: Final = 20
_NOT_FOUND: Final = 404
_CONFLICT: Final = 409
_TAKEN: Final = ("port is already allocated", "address already in use")


@dataclass(frozen=True)
class Running:
    """A container that was started: what it runs, where its ports are, its own network, and the containers that run for it by image."""

    image: str
    id: str
    ports: Mapping[str, int]
    network: str | None
    others: Mapping[str, str]


class Containers:
    """The containers of one manager, known by a label with its id. Its functions block, and may be called by several threads at once."""

    def __init__(self, client: DockerClient, streams: Streams) -> None:
        self._client = client
        self._api = client.api
        self._streams = streams
        self.manager_id = secrets.token_hex(6)

    def start(self, name: str, image: Image, *, tag: str, asked: Sequence[Port], others: Mapping[str, str]) -> Running:
        """Make a container, start it and return it; what was made is taken away if it does not start.

        Raises EngineError with the engine's reason, PortTaken, ContainerNotReady if it has ended at once, and the errors of `arguments`.
        """
        unique = f"{name}-{self.manager_id}-{secrets.token_hex(4)}"
        labels = {
            MANAGER_LABEL: self.manager_id,
            IMAGE_LABEL: name,
            PROCESS_LABEL: f"{socket.gethostname()}:{os.getpid()}",
        }
        network = unique if image.links else None
        made = arguments(image, tag=tag, asked=asked, network=network, others=others, environ=os.environ)
        container = ""
        try:
            with _told(f"the container of {name} cannot be started"):
                if network:
                    self._api.create_network(network, driver="bridge", labels=labels)
                    self._link(network, image, others)
                container = self._api.create_container(
                    name=unique, labels=labels, host_config=self._api.create_host_config(**made.host), **made.container
                )["Id"]
                self._api.start(container)
                told = self._api.inspect_container(container)
            if not told["State"]["Running"]:
                raise self._ended(name, told)  # noqa: TRY301 - what was made is taken away for this, too
        except BaseException:
            self._remove(container, network, others)
            raise
        log.info("%s: started container %s", name, container[:12])
        return Running(name, container, _published(told), network, dict(others))

    def look(self, running: Running) -> Running | None:
        """Return what the container is now, or None if it does not run any more.

        Somebody who restarted it gave it other ports. Raises EngineError if the engine does not tell.
        """
        try:
            with engine.told(f"the container of {running.image} cannot be looked at"):
                told = self._api.inspect_container(running.id)
        except EngineError as error:
            if error.status == _NOT_FOUND:
                return None
            raise
        return replace(running, ports=_published(told)) if told["State"]["Running"] else None

    def relinked(self, running: Running, image: Image, others: Mapping[str, str]) -> Running:
        """Link those of `others` to the container that were made anew since it was started, and return what it is now."""
        changed = {name: each for name, each in others.items() if running.others.get(name) != each}
        if running.network and changed:
            with _told(f"the container of {running.image} cannot be linked"):
                self._link(running.network, image, changed)
        return replace(running, others=dict(others))

    def wait(self, running: Running, condition: WaitCondition) -> None:
        """Return when all of the condition is so.

        Raises ContainerNotReady that says what was waited for when the time is over, or when the container has ended; and ShuttingDown.
        """
        left = list(probes(condition))
        deadline = time.monotonic() + condition.timeout
        with self._streams.reading(condition.timeout), engine.told(f"the container of {running.image} cannot be asked"):
            while left:
                try:
                    left = [probe for probe in left if not probe.met(*self._run(running.id, probe.command))]
                except Exception:
                    self._require_running(running)
                    # A command that did not come back was cut off.
                    if time.monotonic() < deadline:
                        raise
                if left:
                    self._require_running(running)
                    if time.monotonic() > deadline:
                        raise ContainerNotReady(
                            f"the container of {running.image} was not ready within {condition.timeout:g} s: "
                            f"it lacked {', '.join(probe.awaits for probe in left)}",
                            output=self._said(running.id),
                        )
                    self._streams.pause(condition.wait_between_attempts)

    def remove(self, running: Running) -> None:
        """Stop and remove the container, its anonymous volumes and its network; what is gone already is no error."""
        self._remove(running.id, running.network, running.others)
        log.info("%s: removed container %s", running.image, running.id[:12])

    def sweep(self) -> list[str]:
        """Remove whatever of this manager is left, and return what could not be removed, with the reason."""
        mine = {"label": f"{MANAGER_LABEL}={self.manager_id}"}
        with engine.told("what is left cannot be listed"):
            containers = [each["Id"] for each in self._api.containers(all=True, filters=mine)]
            networks = [each["Id"] for each in self._api.networks(filters=mine)]
        left: list[str] = []
        for container, network in [*((each, None) for each in containers), *(("", each) for each in networks)]:
            try:
                self._remove(container, network, {})
            except EngineError as error:  # noqa: PERF203 - the others are removed all the same
                left.append(error.message)
        return left

    def _link(self, network: str, image: Image, others: Mapping[str, str]) -> None:
        for name, other in others.items():
            if aliases := [link.alias for link in image.links if link.image == name]:
                self._api.connect_container_to_network(other, network, aliases=aliases)

    def _run(self, container: str, command: Sequence[str]) -> tuple[int, str]:
        """Run a command in a container and return its exit status and output."""
        made = self._api.exec_create(container, list(command), stderr=False)["Id"]
        output = self._api.exec_start(made)
        status = self._api.exec_inspect(made)["ExitCode"]
        return -1 if status is None else int(status), output.decode(errors="replace")

    def _require_running(self, running: Running) -> None:
        told = self._api.inspect_container(running.id)
        if not told["State"]["Running"]:
            raise self._ended(running.image, told)

    def _ended(self, name: str, told: Mapping[str, Any]) -> ContainerNotReady:
        status = told["State"].get("ExitCode")
        return ContainerNotReady(
            f"the container of {name} ended with exit status {status}", output=self._said(str(told["Id"]))
        )

    def _said(self, container: str) -> list[str]:
        with contextlib.suppress(EngineError), engine.told("its output cannot be had"):
            return self._api.logs(container, tail=_LAST_LINES).decode(errors="replace").splitlines()
        return []

    def _remove(self, container: str, network: str | None, others: Mapping[str, str]) -> None:
        if container:
            with _unless_gone(), engine.told(f"container {container[:12]} cannot be removed"):
                self._api.stop(container, timeout=_GRACE)
            with _unless_gone(), engine.told(f"container {container[:12]} cannot be removed"):
                self._api.remove_container(container, v=True, force=True)
        if network:
            for other in others.values():
                # It may never have been linked, or be gone.
                with contextlib.suppress(EngineError), engine.told("a link cannot be undone"):
                    self._api.disconnect_container_from_network(other, network, force=True)
            with _unless_gone(), engine.told(f"network {network} cannot be removed"):
                self._api.remove_network(network)


def _published(told: Mapping[str, Any]) -> dict[str, int]:
    return ports.published(told["NetworkSettings"]["Ports"])


@contextlib.contextmanager
def _told(doing: str) -> Iterator[None]:
    """As `engine.told`, with ports that are taken told apart."""
    try:
        with engine.told(doing):
            yield
    except EngineUnavailable:
        raise
    except EngineError as error:
        if any(words in error.message for words in _TAKEN):
            raise PortTaken(error.message, status=error.status) from error
        raise


@contextlib.contextmanager
def _unless_gone() -> Iterator[None]:
    try:
        yield
    except EngineError as error:
        # 409: its removal is under way already.
        if error.status not in {_NOT_FOUND, _CONFLICT}:
            raise
