"""Containers of the manager on the Docker engine: create, inspect, wait, remove."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.containers.manager import ports, processes
from exasol_ci_setup.containers.manager.arguments import IMAGE_LABEL, MANAGER_LABEL, build_arguments
from exasol_ci_setup.core.errors import ContainerNotReadyError, EngineError, InputError
from exasol_ci_setup.docker import engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from docker import DockerClient

    from exasol_ci_setup.containers.manager.config import Image
    from exasol_ci_setup.containers.manager.options import WaitCondition
    from exasol_ci_setup.containers.manager.ports import Port
    from exasol_ci_setup.containers.manager.streams import Streams

log = logging.getLogger(__name__)

_STOP_SECONDS: Final = 2  # between SIGTERM and SIGKILL
_LAST_LINES: Final = 20
_NOT_FOUND: Final = 404
_CONFLICT: Final = 409
_ENDED_STATES: Final = frozenset({"created", "exited", "dead"})


@dataclass(frozen=True)
class RunningContainer:
    """A started container: its image, ID, ports, own network, the IDs of its dependencies by image, and whether it has a health check."""

    image: str
    id: str
    ports: Mapping[str, int]
    network: str | None
    dependencies: Mapping[str, str]
    has_health_check: bool = False


class Containers:
    """The containers of one manager, with its ID as label. The methods block; several threads may call them.

    Ports without an address are published on `publish_address`.
    """

    def __init__(self, client: DockerClient, streams: Streams, publish_address: str = ports.LOOPBACK) -> None:
        self._client = client
        self._api = client.api
        self._streams = streams
        self._publish_address = publish_address
        self.manager_id = secrets.token_hex(6)
        self._labels = {MANAGER_LABEL: self.manager_id, **processes.own_labels()}

    def start(
        self, name: str, image: Image, *, tag: str, requested: Sequence[Port], dependencies: Mapping[str, str]
    ) -> RunningContainer:
        """Create and start a container. If the start fails, remove the container and its network.

        Raises EngineError with the reason of the engine, PortTakenError, ContainerNotReadyError if the container has ended, and the errors of
        `build_arguments`.
        """
        unique = f"{name}-{self.manager_id}-{secrets.token_hex(4)}"
        labels = {**self._labels, IMAGE_LABEL: name}
        network = unique if image.links else None
        configured = (
            ports.merge(self._find_exposed(tag), image.ports) if image.network.publish_all_ports else image.ports
        )
        settings = build_arguments(
            image,
            tag=tag,
            published=ports.merge(configured, requested),
            address=self._publish_address,
            network=network,
            dependencies=dependencies,
            environ=os.environ,
        )
        container = ""
        try:
            with engine.engine_errors(f"the container of {name} cannot be started"):
                if network:
                    self._api.create_network(network, driver="bridge", labels=labels)
                    self._link(network, image, dependencies)
                container = self._api.create_container(
                    name=unique,
                    labels=labels,
                    host_config=self._api.create_host_config(**settings.host),
                    **settings.container,
                )["Id"]
                self._api.start(container)
                description = self._api.inspect_container(container)
            if not _is_running(description):
                raise self._ended_error(name, description)  # noqa: TRY301 - the cleanup below applies to it, too
        except BaseException:
            self._remove(container, network, dependencies)
            raise
        log.info("%s: started container %s", name, container[:12])
        return RunningContainer(
            name,
            container,
            _read_ports(description),
            network,
            dict(dependencies),
            has_health_check=_read_health(description) is not None,
        )

    def inspect(self, running: RunningContainer) -> RunningContainer | None:
        """Return the container with its current ports, or None if it no longer runs.

        The ports change if another user restarts the container. Raises EngineError if the request fails.
        """
        try:
            with engine.engine_errors(f"the container of {running.image} cannot be inspected"):
                description = self._api.inspect_container(running.id)
        except EngineError as error:
            if error.status == _NOT_FOUND:
                return None
            raise
        return replace(running, ports=_read_ports(description)) if _is_running(description) else None

    def update_links(
        self, running: RunningContainer, image: Image, dependencies: Mapping[str, str]
    ) -> RunningContainer:
        """Link the container to the `dependencies` that were recreated, and return its new state."""
        changed = {name: each for name, each in dependencies.items() if running.dependencies.get(name) != each}
        if running.network and changed:
            with engine.engine_errors(f"the container of {running.image} cannot be linked"):
                self._link(running.network, image, changed)
        return replace(running, dependencies=dict(dependencies))

    def wait(self, running: RunningContainer, condition: WaitCondition) -> None:
        """Wait until all parts of the condition are met.

        Raises ContainerNotReadyError with the unmet parts after the timeout, or if the container has ended or is unhealthy; InputError if
        the health check is missing; and ShuttingDownError.
        """
        left = self._list_checks(running, condition)
        deadline = time.monotonic() + condition.timeout
        with (
            self._streams.reading(condition.timeout),
            engine.engine_errors(f"the container of {running.image} cannot be checked"),
        ):
            while left:
                try:
                    left = {expected: is_met for expected, is_met in left.items() if not is_met()}
                except ContainerNotReadyError:
                    raise
                except Exception:
                    self._require_running(running)
                    # After the deadline the error only means that the running command was canceled.
                    if time.monotonic() < deadline:
                        raise
                if left:
                    self._require_running(running)
                    if time.monotonic() > deadline:
                        raise ContainerNotReadyError(
                            f"the container of {running.image} was not ready within {condition.timeout:g} s: "
                            f"missing {', '.join(left)}",
                            output=self._read_last_output(running.id),
                        )
                    self._streams.pause(condition.wait_between_attempts)

    def _list_checks(self, running: RunningContainer, condition: WaitCondition) -> dict[str, Callable[[], bool]]:
        """Return the functions that check the parts of the condition, by descriptions of what they expect."""
        checks: dict[str, Callable[[], bool]] = {
            probe.expects: partial(self._is_met, running, probe) for probe in probes(condition)
        }
        if condition.checks_health(has_health_check=running.has_health_check):
            if not running.has_health_check:
                raise InputError(
                    f"images.{running.image}.wait_condition.healthy: the image has no health check",
                    hint="add a HEALTHCHECK to its commands, or remove `healthy`",
                )
            checks["success of its health check"] = partial(self._is_healthy, running)
        return checks

    def _is_met(self, running: RunningContainer, probe: Probe) -> bool:
        return probe.is_met(*self._exec(running.id, probe.command))

    def _is_healthy(self, running: RunningContainer) -> bool:
        """Return whether the container is healthy. Raises ContainerNotReadyError with the output of the check if it is unhealthy.

        Source: https://docs.docker.com/reference/dockerfile/#healthcheck.
        """
        health = _read_health(self._api.inspect_container(running.id)) or {}
        if health.get("Status") == "unhealthy":
            last = (health.get("Log") or [{}])[-1]
            raise ContainerNotReadyError(
                f"the container of {running.image} is unhealthy: its health check ended with exit status {last.get('ExitCode')}",
                output=str(last.get("Output", "")).splitlines()[-_LAST_LINES:],
            )
        return health.get("Status") == "healthy"

    def remove(self, running: RunningContainer) -> None:
        """Stop and remove the container, its anonymous volumes and its network; missing ones are no error."""
        self._remove(running.id, running.network, running.dependencies)
        log.info("%s: removed container %s", running.image, running.id[:12])

    def remove_all(self) -> list[str]:
        """Remove all containers and networks of this manager; return the reasons of failed removals."""
        mine = {"label": f"{MANAGER_LABEL}={self.manager_id}"}
        with engine.engine_errors("the remaining containers cannot be listed"):
            containers = [each["Id"] for each in self._api.containers(all=True, filters=mine)]
            networks = [each["Id"] for each in self._api.networks(filters=mine)]
        left: list[str] = []
        for container, network in [*((each, None) for each in containers), *(("", each) for each in networks)]:
            try:
                self._remove(container, network, {})
            except EngineError as error:  # noqa: PERF203 - the others are still removed
                left.append(error.message)
        return left

    def remove_leftovers(self) -> None:
        """Remove containers and networks of managers of this host that were killed. Failures are logged.

        Raises EngineError if they cannot be listed, and ShuttingDownError.
        """
        labeled = {"label": [MANAGER_LABEL, processes.START_LABEL]}
        with engine.engine_errors("leftovers of other managers cannot be listed"):
            containers = [
                each["Id"]
                for each in self._api.containers(all=True, filters=labeled)
                if processes.has_ended(each["Labels"], is_running=each["State"] not in _ENDED_STATES)
            ]
            # The engine does not remove a network of a running container.
            networks = [
                each["Id"]
                for each in self._api.networks(filters=labeled)
                if processes.has_ended(each["Labels"], is_running=False)
            ]
        for container, network in [*((each, None) for each in containers), *(("", each) for each in networks)]:
            self._streams.pause(0)
            try:
                self._remove(container, network, {}, is_graceful=False)
            except EngineError as error:
                log.warning("a leftover of a killed manager: %s", error)
            else:
                log.info(
                    "removed %s, which a killed manager left",
                    f"container {container[:12]}" if container else f"network {network}",
                )

    def _find_exposed(self, tag: str) -> list[Port]:
        found = engine.find_image(self._client, tag)
        exposed = found.attrs["Config"].get("ExposedPorts") or {} if found is not None else {}
        return [ports.parse(each) for each in exposed]

    def _link(self, network: str, image: Image, dependencies: Mapping[str, str]) -> None:
        for name, other in dependencies.items():
            if aliases := [link.alias for link in image.links if link.image == name]:
                self._api.connect_container_to_network(other, network, aliases=aliases)

    def _exec(self, container: str, command: Sequence[str]) -> tuple[int, str]:
        """Run a command in a container and return its exit status and output."""
        exec_id = self._api.exec_create(container, list(command), stderr=False)["Id"]
        output = self._api.exec_start(exec_id)
        status = self._api.exec_inspect(exec_id)["ExitCode"]
        return -1 if status is None else int(status), output.decode(errors="replace")

    def _require_running(self, running: RunningContainer) -> None:
        description = self._api.inspect_container(running.id)
        if not _is_running(description):
            raise self._ended_error(running.image, description)

    def _ended_error(self, name: str, description: Mapping[str, Any]) -> ContainerNotReadyError:
        status = description["State"].get("ExitCode")
        return ContainerNotReadyError(
            f"the container of {name} ended with exit status {status}",
            output=self._read_last_output(str(description["Id"])),
        )

    def _read_last_output(self, container: str) -> list[str]:
        with contextlib.suppress(EngineError), engine.engine_errors("its output cannot be read"):
            return self._api.logs(container, tail=_LAST_LINES).decode(errors="replace").splitlines()
        return []

    def _remove(
        self, container: str, network: str | None, dependencies: Mapping[str, str], *, is_graceful: bool = True
    ) -> None:
        if container and is_graceful:
            with _ignore_missing(), engine.engine_errors(f"container {container[:12]} cannot be removed"):
                self._api.stop(container, timeout=_STOP_SECONDS)
        if container:
            with _ignore_missing(), engine.engine_errors(f"container {container[:12]} cannot be removed"):
                self._api.remove_container(container, v=True, force=True)
        if network:
            for other in dependencies.values():
                # The dependency may not be linked, or no longer exist.
                with contextlib.suppress(EngineError), engine.engine_errors("a link cannot be removed"):
                    self._api.disconnect_container_from_network(other, network, force=True)
            with _ignore_missing(), engine.engine_errors(f"network {network} cannot be removed"):
                self._api.remove_network(network)


def _read_ports(description: Mapping[str, Any]) -> dict[str, int]:
    return ports.read_published(description["NetworkSettings"]["Ports"])


def _is_running(description: Mapping[str, Any]) -> bool:
    """Return whether a container runs; with a restart policy, one that has ended is restarting."""
    state = description["State"]
    return bool(state["Running"]) and not state.get("Restarting")


def _read_health(description: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the state of the health check, or None if the container has none."""
    health: Mapping[str, Any] | None = description["State"].get("Health")
    return health if health and health.get("Status") not in {None, "", "none"} else None


@contextlib.contextmanager
def _ignore_missing() -> Iterator[None]:
    try:
        yield
    except EngineError as error:
        # 409: its removal is already in progress.
        if error.status not in {_NOT_FOUND, _CONFLICT}:
            raise


# Many commands are written for bash. Images without bash use their sh.
_SHELL: Final = 'command -v bash >/dev/null 2>&1 && exec bash -c "$1"; exec sh -c "$1"'
# Neither program prints the body of an error. Some builds of Busybox's wget fail with a time limit.
_FETCH: Final = (
    'if command -v curl >/dev/null 2>&1; then exec curl --silent --show-error --fail --max-time 10 -- "$1"; fi; '
    'exec wget -q -O - "$1"'
)
# The state LISTEN: https://www.kernel.org/doc/html/latest/networking/proc_net_tcp.html.
_LISTENS: Final = re.compile(r"^\s*\d+:\s+[0-9A-F]+:([0-9A-F]{4})\s+[0-9A-F]+:[0-9A-F]+\s+0A\s", re.MULTILINE)


@dataclass(frozen=True)
class Probe:
    """A command; `is_met` evaluates its exit status and output, `expects` describes the condition."""

    expects: str
    command: tuple[str, ...]
    is_met: Callable[[int, str], bool]


def probes(condition: WaitCondition) -> Iterator[Probe]:
    """Yield the probes that must all be met."""
    for path, pattern in condition.greps.items():
        yield Probe(f"{pattern!r} in {path}", ("grep", "-q", "-e", pattern, "--", path), _succeeds)
    for path, content in condition.file_value.items():
        yield Probe(f"{path} with {content!r}", ("cat", "--", path), _outputs(content))
    for port in condition.port_open:
        # Read from the kernel: few images have a program that connects, and a connection may disturb the server.
        listing = "cat /proc/net/tcp /proc/net/tcp6 2>/dev/null || cat /proc/net/tcp"
        yield Probe(f"a listener on port {port}", ("sh", "-c", listing), _has_listener(port))
    for url, content in condition.curl_result.items():
        yield Probe(f"{url} with {content!r}", ("sh", "-c", _FETCH, "sh", url), _outputs(content))
    for path in condition.file_exists:
        yield Probe(f"a file {path}", ("sh", "-c", 'test -e "$1"', "sh", path), _succeeds)
    for command in condition.command:
        yield Probe(f"success of {command!r}", ("sh", "-c", _SHELL, "sh", command), _succeeds)


def _succeeds(status: int, _output: str) -> bool:
    return status == 0


def _outputs(content: str) -> Callable[[int, str], bool]:
    return lambda status, output: status == 0 and output.strip() == content.strip()


def _has_listener(port: int) -> Callable[[int, str], bool]:
    return lambda _status, output: any(int(found, 16) == port for found in _LISTENS.findall(output))
