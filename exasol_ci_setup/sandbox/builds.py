"""Single builds that move through their phases in time, log their commands, and run nothing."""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.sandbox import build_logs, build_records, buildspecs, switches
from exasol_ci_setup.sandbox.codebuild import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from exasol_ci_setup.sandbox.codebuild import Service, Values

INITIATOR: Final = "sandbox-user"
# A token makes a request idempotent for five minutes: API_StartBuild, and the same of batches.
TOKEN_SECONDS: Final = 300

# Phases after those of every build, and the share of a build's time that each takes.
_SHARES: Final = {
    "PROVISIONING": 0.1,
    "DOWNLOAD_SOURCE": 0.1,
    "INSTALL": 0.1,
    "PRE_BUILD": 0.1,
    "BUILD": 0.4,
    "POST_BUILD": 0.1,
    "UPLOAD_ARTIFACTS": 0.05,
    "FINALIZING": 0.05,
}
# What comes next after a failure: https://docs.aws.amazon.com/codebuild/latest/userguide/view-build-details-phases.html.
_GOES_ON_AFTER_FAILURE: Final = ("BUILD", "POST_BUILD")

_tasks: dict[str, asyncio.Task[None]] = {}


def launch(key: str, work: Any) -> asyncio.Task[None]:
    """Let `work` run beside the requests, known by the id or ARN of what it works on."""
    task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
    _tasks[key] = task
    task.add_done_callback(lambda done: _tasks.pop(key, None) if _tasks.get(key) is done else None)
    return task


def running(key: str) -> asyncio.Task[None] | None:
    """Return the task that works on a build or batch, None if there is none."""
    return _tasks.get(key)


def any_runs() -> bool:
    """Whether a build or batch is under way, in any account."""
    return bool(_tasks)


def cancel_all() -> None:
    """End the work on all builds and batches, and leave their records as they are."""
    for task in list(_tasks.values()):
        task.cancel()


def finish(build: Values, status: str, code: str = "", message: str = "") -> None:
    """End a build: its phase under way with `status`, and the build with it."""
    build_records.leave(build, status, code, message)
    build_records.enter(build, "COMPLETED")
    build |= {"buildStatus": status, "buildComplete": True, "endTime": time.time()}


class Builds:
    """The operations on builds, on ministack's store of them."""

    def __init__(self, service: Service, get_service: Callable[[str], Any]) -> None:
        from ministack.core import responses
        from ministack.services import codebuild

        self._service = service
        self._get_service = get_service
        self._responses = responses
        self._inner = codebuild

    @property
    def records(self) -> Any:
        """The builds by id, of the account and region of the request under way."""
        return self._inner._builds  # noqa: SLF001

    def operations(self) -> dict[str, Callable[[Values], Values]]:
        """Return the API's operations on builds, by name."""
        return {
            "StartBuild": self.start_build,
            "BatchGetBuilds": self.batch_get_builds,
            "ListBuilds": self.list_builds,
            "ListBuildsForProject": self.list_builds_for_project,
            "StopBuild": self.stop_build,
            "RetryBuild": self.retry_build,
            "BatchDeleteBuilds": self.batch_delete_builds,
        }

    def start_build(self, request: Values) -> Values:
        """StartBuild."""
        project = self._service.project(str(request.get("projectName", "")))
        if token := str(request.get("idempotencyToken", "")):
            for known in self.records.values():
                if known.get("_token") == token and time.time() - known["startTime"] < TOKEN_SECONDS:
                    if known["_request"] != request:
                        raise Refused("InvalidInputException", f"Parameter mismatch: {token} came with another request")
                    return {"build": build_records.public(known)}
        settings = build_records.settings(project, request)
        build = self.create(settings, identifier=project["name"], buildspec=settings["source"].get("buildspec", ""))
        build |= {"_token": token, "_request": request}
        self.start(build)
        return {"build": build_records.public(build)}

    def batch_get_builds(self, request: Values) -> Values:
        """BatchGetBuilds, which takes ids and ARNs."""
        found = {name: self.records.get(build_records.bare_id(name)) for name in request.get("ids", [])}
        return {
            "builds": [build_records.public(build) for build in found.values() if build],
            "buildsNotFound": [name for name, build in found.items() if not build],
        }

    def list_builds(self, request: Values) -> Values:
        """ListBuilds."""
        return page(self.records.values(), request)

    def list_builds_for_project(self, request: Values) -> Values:
        """ListBuildsForProject."""
        project = self._service.project(str(request.get("projectName", "")))["name"]
        return page([build for build in self.records.values() if build["projectName"] == project], request)

    def stop_build(self, request: Values) -> Values:
        """StopBuild. A build that has ended stays as it is."""
        build = self._build(request)
        self.stop(build)
        return {"build": build_records.public(build)}

    def retry_build(self, request: Values) -> Values:
        """RetryBuild: a new build with the settings of the one that ended."""
        old = self._build(request)
        if not old["buildComplete"]:
            raise Refused("InvalidInputException", f"Build {old['id']} is in progress, so it cannot be retried")
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
        """Record a new build of `settings`, those of a project and a request together, and return it.

        `buildspec` is the text of one or the path to one; `tries` is how often the same was built before; `uid` is the part of
        the id after the colon.
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
            # The names are there when the stream is.
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
        """Let a build that was created go through its phases."""
        return launch(build["id"], self._run(build))

    def stop(self, build: Values) -> None:
        """Stop a build that is under way."""
        if build["buildComplete"]:
            return
        finish(build, "STOPPED")
        if task := running(build["id"]):
            task.cancel()

    def source_text(self, settings: Mapping[str, Any], buildspec: str) -> str:
        """Return the text of a buildspec, given as such or as a path in the source.

        Raises BuildspecError for a path that does not lead to a file.
        """
        if buildspecs.is_text(buildspec):
            return buildspec
        location = str(settings["source"].get("location", ""))
        directory = switches.source_directory(self._responses.get_account_id(), location)
        if directory is None:
            return buildspecs.STAND_IN
        path = buildspec or "buildspec.yml"
        file = (directory / path).resolve()
        # Whoever reaches the sandbox's port could read any file of this user in the log of a build.
        if not (file.is_relative_to(directory.resolve()) and file.is_file()):
            raise buildspecs.BuildspecError(f"stat {_source_path(settings)}/{path}: no such file or directory")
        try:
            return file.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise buildspecs.BuildspecError(f"stat {_source_path(settings)}/{path}: {error}") from error

    def _build(self, request: Values) -> Values:
        name = str(request.get("id", ""))
        build: Values | None = self.records.get(build_records.bare_id(name))
        if build is None:
            raise Refused("ResourceNotFoundException", f"Build cannot be found: {name}")
        return build

    async def _run(self, build: Values) -> None:
        try:
            await asyncio.wait_for(self._phases(build), build["timeoutInMinutes"] * 60)
        except asyncio.TimeoutError:
            finish(build, "TIMED_OUT", "BUILD_TIMED_OUT", "Build has timed out. ")
        except Exception:
            finish(build, "FAULT", "INTERNAL_SERVICE_ERROR", "The sandbox failed; its log says why")
            raise

    async def _phases(self, build: Values) -> None:
        account = self._responses.get_account_id()
        seconds = switches.build_seconds(account)
        failure = switches.failure(
            account, build["_identifier"], build["sourceVersion"] or "", first_try=not build["_tries"]
        )
        run = _Run(self, build, failure)
        build_records.leave(build, "SUCCEEDED")
        failed = False
        for phase, share in _SHARES.items():
            if (failed and phase in run.skipped_after_failure) or phase in run.left_out:
                continue
            build_records.enter(build, phase)
            problem = await run.go_through(phase, seconds * share)
            if build["buildComplete"]:
                return  # it was stopped when this task was about to go on
            build_records.leave(build, "FAILED" if problem else "SUCCEEDED", *(problem or ("", "")))
            failed = failed or bool(problem)
        finish(build, "FAILED" if failed else "SUCCEEDED")

    def unmatched_switches(self, build: Values, identifiers: Sequence[str]) -> tuple[switches.Unmatched, ...]:
        """Return the switches that name a build which is none of a batch's `identifiers`."""
        return switches.unmatched(self._responses.get_account_id(), build["sourceVersion"] or "", identifiers)

    def open_log(self, build: Values) -> build_logs.BuildLog:
        """Return a build's log, whose names the build shows from now on."""
        build["logs"] = build["_logs"]
        return build_logs.BuildLog(self._get_service, build)


class _Run:
    """One build on its way: its commands, where it is to fail, its log."""

    def __init__(self, builds: Builds, build: Values, failure: switches.Failure | None) -> None:
        self._builds = builds
        self._build = build
        self._failure = failure
        self._commands: dict[str, list[str]] = {}
        self._log: build_logs.BuildLog | None = None
        self.left_out: tuple[str, ...] = ()
        self.skipped_after_failure: tuple[str, ...] = (
            "INSTALL",
            "PRE_BUILD",
            "BUILD",
            "POST_BUILD",
            "UPLOAD_ARTIFACTS",
        )
        if build["_identifier"] == "DOWNLOAD_SOURCE":
            self.left_out = self.skipped_after_failure

    @property
    def log(self) -> build_logs.BuildLog:
        """The log, which begins when it is first written to."""
        if self._log is None:
            self._log = self._builds.open_log(self._build)
        return self._log

    async def go_through(self, phase: str, seconds: float) -> tuple[str, str] | None:
        """Spend a phase, and return the code and message of its failure, None if there is none."""
        if phase == "DOWNLOAD_SOURCE":
            return await self._download(seconds)
        if phase in buildspecs.PHASES:
            return await self._command_phase(phase, seconds)
        await asyncio.sleep(seconds)
        if phase == "UPLOAD_ARTIFACTS":
            self._complete(phase, None)
        return None

    async def _download(self, seconds: float) -> tuple[str, str] | None:
        self.log.agent("Waiting for agent ping", "Waiting for DOWNLOAD_SOURCE")
        await asyncio.sleep(seconds)
        settings = self._build["_settings"]
        self.log.agent(
            "Phase is DOWNLOAD_SOURCE",
            f"CODEBUILD_SRC_DIR={_source_path(settings)}",
            "This is the sandbox: commands are shown and not run",
        )
        problem = None
        try:
            text = self._builds.source_text(settings, self._build["_buildspec"])
            self._commands = buildspecs.commands(text)
            if text == buildspecs.STAND_IN:
                self.log.agent(
                    f"No directory stands for {settings['source'].get('location', 'the source')} here, so this builds a "
                    "stand-in; to build the real one: exasol-ci-setup sandbox start --source URL=PATH"
                )
        except buildspecs.BuildspecError as error:
            problem = (error.code, error.message)
        if self._failure and self._failure.phase == "DOWNLOAD_SOURCE":
            problem = ("CLIENT_ERROR", f"the sandbox was told to fail here, by {self._failure.switch}")
        location, version = settings["source"].get("location", ""), self._build["sourceVersion"]
        commit = hashlib.sha1(f"{location} {version}".encode(), usedforsecurity=False).hexdigest()
        self._build["resolvedSourceVersion"] = commit
        self._complete("DOWNLOAD_SOURCE", problem)
        return problem

    async def _command_phase(self, phase: str, seconds: float) -> tuple[str, str] | None:
        listed = self._commands.get(phase, [])
        problem = None
        fails = self._failure is not None and self._failure.phase == phase
        if fails and not listed:
            listed = ["false"]
        self.log.agent(f"Entering phase {phase}")
        for number, command in enumerate(listed, 1):
            self.log.agent(f"Running command {command}")
            await asyncio.sleep(seconds / len(listed))
            if self._failure and fails and number == len(listed):
                self.log.output([f"sandbox: this command fails because of {self._failure.switch}"])
                self.log.agent(f"Command did not exit successfully {command} exit status 1")
                problem = (
                    "COMMAND_EXECUTION_ERROR",
                    f"Error while executing command: {command}. Reason: exit status 1",
                )
        if not listed:
            await asyncio.sleep(seconds)
        self._complete(phase, problem)
        if problem and phase in _GOES_ON_AFTER_FAILURE:
            # POST_BUILD and the upload of artifacts come also after a BUILD that failed.
            self.skipped_after_failure = ()
        return problem

    def _complete(self, phase: str, problem: tuple[str, str] | None) -> None:
        code, message = problem or ("", "")
        self.log.agent(
            f"Phase complete: {phase} State: {'FAILED' if problem else 'SUCCEEDED'}",
            f"Phase context status code: {code} Message: {message}",
        )


def _source_path(settings: Mapping[str, Any]) -> str:
    location = str(settings["source"].get("location", ""))
    number = int(hashlib.sha1(location.encode(), usedforsecurity=False).hexdigest(), 16) % 10**9
    return f"/codebuild/output/src{number:09d}/src/{location.rpartition('://')[2].removesuffix('.git')}"


def page(records: Any, request: Values) -> Values:
    """Return ids of builds or batches, newest first unless asked otherwise, in pages of 100 at most."""
    oldest_first = sorted(records, key=lambda record: record["startTime"])
    ids = [record["id"] for record in oldest_first]
    if request.get("sortOrder", "DESCENDING") == "DESCENDING":
        ids.reverse()
    size = min(int(request.get("maxResults") or 100), 100)
    try:
        start = int(request.get("nextToken") or 0)
    except ValueError:
        raise Refused("InvalidInputException", f"Invalid nextToken: {request['nextToken']}") from None
    following = {"nextToken": str(start + size)} if start + size < len(ids) else {}
    return {"ids": ids[start : start + size], **following}
