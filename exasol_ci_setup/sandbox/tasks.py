"""Run one-off tasks: with the registry and a Docker engine as containers, otherwise simulated. Tasks of services are records that never end."""

from __future__ import annotations

import asyncio
import copy
import json
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.core.errors import EngineError
from exasol_ci_setup.docker import program
from exasol_ci_setup.sandbox import docker_client, registry
from exasol_ci_setup.sandbox.build_logs import BuildLog
from exasol_ci_setup.sandbox.image_builds import Location, UnsupportedBuildError, repository_at
from exasol_ci_setup.sandbox.private import names_of_api, resource_handlers, wrap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from exasol_ci_setup.sandbox.docker_client import Client
    from exasol_ci_setup.sandbox.private import Reply, Values

_OK: Final = 200
_SIMULATED: Final = "This is the sandbox: it does not run the container{why}, and simulates its end with exit code 0"


def extend(get_service: Callable[[str], Any]) -> None:
    """Let the tasks of RunTask end. `get_service` returns ministack's services."""
    from ministack.services import ecs

    def run_task(inner: Callable[[Values], Reply], data: Values) -> Reply:
        from ministack.core.responses import get_account_id, get_region

        reply = inner(data)
        if reply[0] == _OK:
            for answered in json.loads(reply[2])["tasks"]:
                place = Location(get_account_id(), get_region(), get_service)
                task = _OneOffTask(place, ecs._tasks[answered["taskArn"]], data)  # noqa: SLF001
                threading.Thread(target=task.run, daemon=True, name="one-off task").start()
        return reply

    # The scheduler of services calls the function itself, not this entry.
    wrap(ecs._ACTION_MAP, "RunTask", run_task)  # noqa: SLF001


def extend_types() -> None:
    """Let task definitions of templates have all properties of their containers, and their volumes and platform."""
    for operation in ("create", "update"):
        wrap(resource_handlers()["AWS::ECS::TaskDefinition"], operation, _define)


def _define(inner: Callable[..., Any], first: str, *arguments: Any) -> Any:
    from ministack.services import ecs

    result = inner(first, *arguments)
    properties = arguments[-2]
    record = ecs._task_defs[ecs._resolve_td_key(result[0])]  # noqa: SLF001
    for name in ("ContainerDefinitions", "Volumes", "RuntimePlatform", "EphemeralStorage"):
        if name in properties:
            record |= names_of_api({name: properties[name]})
    return result


@dataclass
class _OneOffTask:
    """A task, whose record is ministack's, and the request that started it."""

    place: Location
    record: Values
    request: Values

    def run(self) -> None:
        """Run the first container, and record its end."""
        from ministack.core.responses import request_scope

        with request_scope(self.place.account, self.place.region):
            try:
                code, reason = asyncio.run(self._run()), ""
            except (UnsupportedBuildError, EngineError, OSError) as problem:
                code, reason = None, str(problem)
            self._end(code, reason)

    async def _run(self) -> int:
        container = self._container()
        running, found = registry.current(), docker_client.in_use()
        if running is None or found.client is None:
            self._say([_SIMULATED.format(why=f" ({found.reason})")])
            return 0
        name, _, tag = container["image"].rpartition(":")
        local = running.uri(self.place.account, self.place.region, "")
        try:
            repository = name.removeprefix(local) if name.startswith(local) else repository_at(name, self.place)
        except UnsupportedBuildError:
            # Containers have images of this registry only, so that a request cannot run any other image.
            self._say([_SIMULATED.format(why=", whose image is not in the registry of the sandbox")])
            return 0
        return await self._run_container(found.client, running, f"{local}{repository}:{tag}", container)

    async def _run_container(self, client: Client, running: registry.Registry, image: str, container: Values) -> int:
        with tempfile.TemporaryDirectory(prefix="exasol-ci-setup-task-") as folder:
            environment = client.configure(Path(folder) / "docker")
            failed: list[str] = []
            login = [client.program, "login", "--username", registry.USER, "--password-stdin", running.address]
            for command, secret in ((login, running.password), ([client.program, "pull", "--quiet", image], "")):
                if await program.run(command, environment, failed.append, secret):
                    raise UnsupportedBuildError(f"CannotPullContainerError: {' '.join(failed[-1:])}")
            variables = self._variables(container)
            arguments = [each for name in variables for each in ("--env", name)]
            command = [client.program, "run", "--rm", *arguments, image, *container.get("command", ())]
            # The values are in the environment of docker, not in its arguments.
            return await program.run(command, {**environment, **variables}, lambda line: self._say([line]))

    def _container(self) -> Values:
        """Return the first container of the task definition, with the overrides of the request."""
        from ministack.services import ecs

        definition = ecs._task_defs[ecs._resolve_td_key(self.record["taskDefinitionArn"])]  # noqa: SLF001
        container: Values = copy.deepcopy(definition["containerDefinitions"][0])
        for override in self.request.get("overrides", {}).get("containerOverrides", []):
            if override.get("name") == container["name"]:
                container |= {"command": override.get("command", container.get("command", []))}
                container["environment"] = [*container.get("environment", []), *override.get("environment", [])]
        return container

    def _variables(self, container: Values) -> dict[str, str]:
        from ministack.services import ecs

        try:
            secrets: dict[str, str] = ecs._resolve_container_secrets(container)  # noqa: SLF001
        except ecs._SecretResolutionError as problem:  # noqa: SLF001
            raise UnsupportedBuildError(f"ResourceInitializationError: {problem}") from None
        return {**{each["name"]: each["value"] for each in container.get("environment", [])}, **secrets}

    def _say(self, lines: Iterable[str]) -> None:
        container = self._container()
        options = container.get("logConfiguration", {}).get("options", {})
        if not options.get("awslogs-group"):
            return
        task = self.record["taskArn"].rsplit("/", 1)[-1]
        logs = {
            "cloudWatchLogs": {"status": "ENABLED"},
            "groupName": options["awslogs-group"],
            "streamName": f"{options.get('awslogs-stream-prefix', '')}/{container['name']}/{task}",
        }
        BuildLog(self.place.get_service, {"logs": logs}).output(lines)

    def _end(self, code: int | None, reason: str) -> None:
        now = time.time()
        for number, container in enumerate(self.record["containers"]):
            container |= {"lastStatus": "STOPPED", "exitCode": code if number == 0 else 0}
            if reason and number == 0:
                container["reason"] = reason
        self.record |= {
            "lastStatus": "STOPPED",
            "desiredStatus": "STOPPED",
            "stoppedAt": int(now),
            "stoppingAt": int(now),
            "stopCode": "TaskFailedToStart" if code is None else "EssentialContainerExited",
            "stoppedReason": "Task failed to start" if code is None else "Essential container in task exited",
        }
