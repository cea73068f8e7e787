"""Simulate CodeBuild's single builds: the API operations, and the background tasks that run builds."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.sandbox import (
    api,
    build_logs,
    build_records,
    buildspecs,
    docker_client,
    registry,
    stand_ins,
    switches,
)
from exasol_ci_setup.sandbox.api import ApiError
from exasol_ci_setup.sandbox.build_run import SHARES, Run, source_path
from exasol_ci_setup.sandbox.image_builds import ImageBuild, Location, is_image_build

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from exasol_ci_setup.sandbox.codebuild import Service
    from exasol_ci_setup.sandbox.private import Values

INITIATOR: Final = "sandbox-user"

_tasks: dict[str, asyncio.Task[None]] = {}


def launch(key: str, work: Any) -> asyncio.Task[None]:
    """Start `work` as a background task; `key` is the id or ARN of its build or batch."""
    task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
    _tasks[key] = task
    task.add_done_callback(lambda done: _tasks.pop(key, None) if _tasks.get(key) is done else None)
    return task


def running(key: str) -> asyncio.Task[None] | None:
    """Return the task of a build or batch, None without one."""
    return _tasks.get(key)


async def wait_for_all() -> None:
    """Wait until no build or batch is in progress in this thread."""
    loop = asyncio.get_running_loop()
    await asyncio.gather(*(task for task in _tasks.values() if task.get_loop() is loop), return_exceptions=True)


def is_any_running() -> bool:
    """Whether a build or batch is in progress in any account."""
    return bool(_tasks)


def cancel_all() -> None:
    """Cancel the tasks of all builds and batches without changing their records."""
    for task in list(_tasks.values()):
        task.cancel()


def finish(build: Values, status: str, code: str = "", message: str = "") -> None:
    """End a build and its current phase with `status`."""
    build_records.leave(build, status, code, message)
    build_records.enter(build, "COMPLETED")
    build |= {"buildStatus": status, "buildComplete": True, "endTime": time.time()}


class Builds:
    """The API operations on builds, on ministack's store of builds."""

    def __init__(self, service: Service, get_service: Callable[[str], Any]) -> None:
        from ministack.core import responses
        from ministack.services import codebuild

        self._service = service
        self._get_service = get_service
        self._responses = responses
        self._inner = codebuild

    @property
    def records(self) -> Any:
        """The builds by id, in the account and region of the current request."""
        return self._inner._builds  # noqa: SLF001

    def start_build(self, request: Values) -> Values:
        """StartBuild."""
        project = self._service.project(str(request.get("projectName", "")))
        if known := build_records.find_repeated(self.records, request):
            return {"build": build_records.public(known)}
        settings = build_records.settings(project, request)
        build = self.create(settings, identifier=project["name"], buildspec=settings["source"].get("buildspec", ""))
        build["_request"] = request
        self.start(build)
        return {"build": build_records.public(build)}

    def batch_get_builds(self, request: Values) -> Values:
        """BatchGetBuilds, which takes ids and ARNs."""
        return build_records.batch_get(self.records, request, "builds", build_records.public)

    def list_builds(self, request: Values) -> Values:
        """ListBuilds."""
        return page(self.records.values(), request)

    def list_builds_for_project(self, request: Values) -> Values:
        """ListBuildsForProject."""
        return page(self._service.of_project(self.records, request), request)

    def stop_build(self, request: Values) -> Values:
        """StopBuild. A completed build does not change."""
        build = build_records.find(self.records, request, "Build")
        self.stop(build)
        return {"build": build_records.public(build)}

    def retry_build(self, request: Values) -> Values:
        """RetryBuild: start a new build with the settings of a completed one."""
        old = build_records.find(self.records, request, "Build")
        if not old["buildComplete"]:
            raise ApiError("InvalidInputException", f"Build {old['id']} is in progress, so it cannot be retried")
        build = self.create(old["_settings"], identifier=old["_identifier"], buildspec=old["_buildspec"], tries=1)
        self.start(build)
        return {"build": build_records.public(build)}

    def batch_delete_builds(self, request: Values) -> Values:
        """BatchDeleteBuilds."""
        deleted, kept = [], []
        for name in request.get("ids", []):
            build = self.records.get(build_records.bare_id(name))
            if build is None:
                kept.append({"id": name, "statusCode": "BUILD_NOT_FOUND"})
            elif not build["buildComplete"]:
                kept.append({"id": name, "statusCode": "BUILD_IN_PROGRESS"})
            else:
                del self.records[build["id"]]
                deleted.append(build["arn"])
        return {"buildsDeleted": deleted, "buildsNotDeleted": kept}

    def create(
        self,
        settings: Values,
        *,
        identifier: str,
        buildspec: str,
        tries: int = 0,
        uid: str = "",
        batch_arn: str | None = None,
    ) -> Values:
        """Record and return a new build of `settings`, which combine a project and a request.

        `buildspec` is a text or a path; `tries` is the number of previous builds; `uid` is the part of the id after the colon.
        """
        name, uid = settings["name"], uid or str(uuid.uuid4())
        region, account = self._responses.get_region(), self._responses.get_account_id()
        logs = build_logs.location(name, uid, settings.get("logsConfig", {}), region, account)
        build: Values = {
            **build_records.common(settings, INITIATOR),
            "id": f"{name}:{uid}",
            "arn": self._service.arn(f"build/{name}:{uid}"),
            "buildNumber": build_records.next_number(self.records.values(), name, "buildNumber"),
            "buildStatus": "IN_PROGRESS",
            "buildComplete": False,
            "timeoutInMinutes": settings.get("timeoutInMinutes", 60),
            # AWS shows the names after the stream was created.
            "logs": {key: logs[key] for key in ("cloudWatchLogs", "s3Logs")},
            "buildBatchArn": batch_arn,
            "_logs": logs,
            "_settings": settings,
            "_identifier": identifier,
            "_buildspec": buildspec,
            "_tries": tries,
        }
        self.records[build["id"]] = build
        build_records.enter(build, "SUBMITTED")
        build_records.leave(build, "SUCCEEDED")
        build_records.enter(build, "QUEUED")
        return build

    def start(self, build: Values) -> asyncio.Task[None]:
        """Start the phases of a created build."""
        return launch(build["id"], self._run(build))

    def stop(self, build: Values) -> None:
        """Stop a build in progress."""
        if build["buildComplete"]:
            return
        finish(build, "STOPPED")
        if task := running(build["id"]):
            task.cancel()

    def source_text(self, settings: Mapping[str, Any], buildspec: str) -> str:
        """Return the text of a buildspec, given as text or as a path in the source.

        Raises BuildspecError if the path is not a readable file.
        """
        if buildspecs.is_text(buildspec):
            return buildspec
        location = str(settings["source"].get("location", ""))
        directory = switches.source_directory(self._responses.get_account_id(), location)
        if directory is None:
            return buildspecs.STAND_IN
        path = buildspec or "buildspec.yml"
        file = (directory / path).resolve()
        # Otherwise, any client of the sandbox could read files of this user in the log of a build.
        if not (file.is_relative_to(directory.resolve()) and file.is_file()):
            raise buildspecs.BuildspecError(f"stat {source_path(settings)}/{path}: no such file or directory")
        try:
            return file.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise buildspecs.BuildspecError(f"stat {source_path(settings)}/{path}: {error}") from error

    async def _run(self, build: Values) -> None:
        try:
            await asyncio.wait_for(self._phases(build), build["timeoutInMinutes"] * 60)
        except asyncio.TimeoutError:
            finish(build, "TIMED_OUT", "BUILD_TIMED_OUT", "Build has timed out. ")
        except Exception:
            finish(build, "FAULT", "INTERNAL_SERVICE_ERROR", "The sandbox failed; see its log")
            raise

    async def _phases(self, build: Values) -> None:
        account = self._responses.get_account_id()
        seconds = switches.build_seconds(account)
        failure = switches.failure(
            account, build["_identifier"], build["sourceVersion"] or "", first_try=not build["_tries"]
        )
        run = Run(self, build, failure)
        build_records.leave(build, "SUCCEEDED")
        failed = False
        try:
            for phase, share in SHARES.items():
                if (failed and phase in run.skipped_after_failure) or phase in run.omitted_phases:
                    continue
                build_records.enter(build, phase)
                problem = await run.run_phase(phase, seconds * share)
                if build["buildComplete"]:
                    return  # the build was stopped during the phase
                build_records.leave(build, "FAILED" if problem else "SUCCEEDED", *(problem or ("", "")))
                failed = failed or bool(problem)
        finally:
            await run.close()
        finish(build, "FAILED" if failed else "SUCCEEDED")

    def unmatched_switches(self, build: Values, identifiers: Sequence[str]) -> tuple[switches.UnmatchedSwitch, ...]:
        """Return the switches that name a build outside of `identifiers`, those of a batch."""
        return switches.unmatched(self._responses.get_account_id(), build["sourceVersion"] or "", identifiers)

    def open_log(self, build: Values) -> build_logs.BuildLog:
        """Return a build's log, and make the build show its names."""
        build["logs"] = build["_logs"]
        return build_logs.BuildLog(self._get_service, build)

    def image_build(
        self, build: Values, commands: Mapping[str, Sequence[str]], log: build_logs.BuildLog
    ) -> ImageBuild | None:
        """Return the image build of a build, None if its commands only are logged.

        If a container builder has a registry but no Docker engine, the reason is written to the log.
        """
        running = registry.current()
        if running is None or not is_image_build(commands):
            return None
        found = docker_client.in_use()
        if found.client is None:
            log.agent(f"This build creates no image: {found.reason}")
            return None
        variables = {**_variables(build), **self._secret_variables(build)}
        return ImageBuild(found.client, running, self._place, variables, log.output)

    def _secret_variables(self, build: Values) -> dict[str, str]:
        """Return the values of variables from Secrets Manager and Parameter Store; without those that do not exist."""
        values: dict[str, str | None] = {}
        for each in build["environment"]["environmentVariables"]:
            if each["type"] == "PARAMETER_STORE":
                values[each["name"]] = self._get_service("ssm").resolve_parameter_value(each["value"])
            elif each["type"] == "SECRETS_MANAGER":
                # SECRET[:KEY], where SECRET may be an ARN of seven parts.
                parts = each["value"].split(":")
                length = 7 if parts[0] == "arn" else 1
                text = self._get_service("secretsmanager").resolve_secret_string(":".join(parts[:length]))
                key = (parts[length:] or [""])[0]
                values[each["name"]] = json.loads(text).get(key) if text and key else text
        return {name: value for name, value in values.items() if value is not None}

    def put_stand_in(self, build: Values, commands: Mapping[str, Sequence[str]], log: build_logs.BuildLog) -> None:
        """Put a stand-in into ECR for the image of a simulated build, unless a real registry runs."""
        if registry.current() is None and is_image_build(commands):
            log.agent(*stand_ins.put(self._place, _variables(build)))

    @property
    def _place(self) -> Location:
        return Location(self._responses.get_account_id(), self._responses.get_region(), self._get_service)


def _variables(build: Values) -> dict[str, str]:
    return {
        each["name"]: each["value"]
        for each in build["environment"]["environmentVariables"]
        if each["type"] == "PLAINTEXT"
    }


def page(records: Any, request: Values) -> Values:
    """Return a page of at most 100 ids of builds or batches; the newest come first by default."""
    oldest_first = sorted(records, key=lambda record: record["startTime"])
    ids = [record["id"] for record in oldest_first]
    if request.get("sortOrder", "DESCENDING") == "DESCENDING":
        ids.reverse()
    return api.page("ids", ids, request, error_code="InvalidInputException")
