"""Simulate CodeBuild's batch builds: start, run, stop, retry and list them."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.sandbox import build_records, builds, buildspecs
from exasol_ci_setup.sandbox.api import ApiError

if TYPE_CHECKING:
    from exasol_ci_setup.sandbox.builds import Builds
    from exasol_ci_setup.sandbox.codebuild import Service
    from exasol_ci_setup.sandbox.private import Values

_DOWNLOAD: Final = "DOWNLOAD_SOURCE"
# From the projects in the AWS CLI reference; API_ProjectBuildBatchConfig does not document the default.
_TIMEOUT_MINUTES: Final = 480


def finish(batch: Values, status: str, code: str = "", message: str = "") -> None:
    """End a batch and its current phase with `status`."""
    build_records.leave(batch, status, code, message)
    # A batch has more final statuses than final phases.
    build_records.enter(batch, status if status in {"SUCCEEDED", "STOPPED"} else "FAILED")
    batch |= {"buildBatchStatus": status, "complete": True, "endTime": time.time()}


class Batches:
    """The API operations on batches; `records` maps ids to batches for each account and region."""

    def __init__(self, service: Service, single: Builds, records: Any) -> None:
        self._service = service
        self._builds = single
        self._records = records

    def start_build_batch(self, request: Values) -> Values:
        """StartBuildBatch."""
        project = self._service.project(str(request.get("projectName", "")))
        if known := build_records.find_repeated(self._records, request):
            return {"buildBatch": self._describe(known)}
        settings = build_records.settings(project, request)
        config = settings.get("buildBatchConfig")
        if not config or not config.get("serviceRole"):
            raise ApiError(
                "InvalidInputException", f"Project {project['name']} has no service role for batch builds configured"
            )
        name, uid = project["name"], str(uuid.uuid4())
        batch = {
            **build_records.common(settings, builds.INITIATOR),
            "id": f"{name}:{uid}",
            "arn": self._service.arn(f"build-batch/{name}:{uid}"),
            "buildBatchNumber": build_records.next_number(self._records.values(), name, "buildBatchNumber"),
            "buildBatchStatus": "IN_PROGRESS",
            "buildBatchConfig": config,
            "buildTimeoutInMinutes": settings.get("timeoutInMinutes", 60),
            "logConfig": settings.get("logsConfig", {}),
            "complete": False,
            "debugSessionEnabled": False,
            "buildGroups": [],
            "_settings": settings,
            "_request": request,
            "_tries": 0,
        }
        self._records[batch["id"]] = batch
        build_records.enter(batch, "SUBMITTED")
        builds.launch(batch["arn"], self._run(batch, failed_only=False))
        return {"buildBatch": self._describe(batch)}

    def batch_get_build_batches(self, request: Values) -> Values:
        """BatchGetBuildBatches, which takes ids and ARNs."""
        return build_records.batch_get(self._records, request, "buildBatches", self._describe)

    def list_build_batches(self, request: Values) -> Values:
        """ListBuildBatches."""
        return self._list_page(self._records.values(), request)

    def list_build_batches_for_project(self, request: Values) -> Values:
        """ListBuildBatchesForProject."""
        return self._list_page(self._service.of_project(self._records, request), request)

    def stop_build_batch(self, request: Values) -> Values:
        """StopBuildBatch. A completed batch does not change."""
        batch = build_records.find(self._records, request, "Build batch")
        if not batch["complete"]:
            finish(batch, "STOPPED")
            self._stop_builds(batch)
            if task := builds.running(batch["arn"]):
                task.cancel()
        return {"buildBatch": self._describe(batch)}

    def retry_build_batch(self, request: Values) -> Values:
        """RetryBuildBatch. It continues the same batch, as in the example of the AWS CLI reference."""
        batch = build_records.find(self._records, request, "Build batch")
        if not batch["complete"] or batch["buildBatchStatus"] == "SUCCEEDED":
            raise ApiError(
                "InvalidInputException",
                f"Batch {batch['id']} is {batch['buildBatchStatus']}: only batch builds that have failed can be retried",
            )
        failed_only = request.get("retryType", "RETRY_ALL_BUILDS") == "RETRY_FAILED_BUILDS"
        build_records.leave(batch, "RETRY")
        build_records.enter(batch, "SUBMITTED")
        batch |= {"buildBatchStatus": "IN_PROGRESS", "complete": False, "_tries": batch["_tries"] + 1}
        del batch["endTime"]
        builds.launch(batch["arn"], self._run(batch, failed_only=failed_only))
        return {"buildBatch": self._describe(batch)}

    def delete_build_batch(self, request: Values) -> Values:
        """DeleteBuildBatch, with its builds."""
        batch = self._records.get(build_records.bare_id(str(request.get("id", ""))))
        if batch is None:
            return {"statusCode": "BATCH_NOT_FOUND", "buildsDeleted": [], "buildsNotDeleted": []}
        if not batch["complete"]:
            raise ApiError("InvalidInputException", f"Batch {batch['id']} is in progress, so it cannot be deleted")
        of_batch = [
            build["id"] for build in self._builds.records.values() if build.get("buildBatchArn") == batch["arn"]
        ]
        del self._records[batch["id"]]
        return {"statusCode": "BATCH_DELETED", **self._builds.batch_delete_builds({"ids": of_batch})}

    def _list_page(self, batches: Any, request: Values) -> Values:
        status = request.get("filter", {}).get("status")
        return builds.page([batch for batch in batches if status in {None, batch["buildBatchStatus"]}], request)

    def _describe(self, batch: Values) -> Values:
        groups = [
            {**build_records.public(group), "currentBuildSummary": self._summary(batch, group)}
            for group in batch["buildGroups"]
        ]
        return {**build_records.public(batch), "buildGroups": groups}

    def _summary(self, batch: Values, group: Values) -> Values:
        """Return the summary of a group's current build. AWS lists its artifacts after the build has ended."""
        status = self._status(group)
        name = f"{batch['projectName']}:{group['_uid']}"
        summary = {"arn": self._service.arn(f"build/{name}"), "requestedOn": group["_requested"], "buildStatus": status}
        build = self._builds.records.get(name)
        if build is None or not build["buildComplete"]:
            return summary
        location = build["artifacts"]["location"]
        artifact = {"type": "S3", "location": location} if location else {"type": "NO_ARTIFACTS"}
        return {
            **summary,
            "primaryArtifact": {**artifact, "identifier": group["identifier"]},
            "secondaryArtifacts": [],
        }

    def _status(self, group: Values) -> str:
        build = self._builds.records.get(group["_build"]) if group["_build"] else None
        return str(build["buildStatus"] if build else group["_status"])

    def _has_failed(self, group: Values) -> bool:
        return self._status(group) != "SUCCEEDED" and not group["ignoreFailure"]

    def _stop_builds(self, batch: Values) -> None:
        for group in batch["buildGroups"]:
            if build := self._builds.records.get(group["_build"]):
                self._builds.stop(build)
            elif group["_status"] == "PENDING":
                group["_status"] = "STOPPED"

    async def _run(self, batch: Values, *, failed_only: bool) -> None:
        minutes = batch["buildBatchConfig"].get("timeoutInMins") or _TIMEOUT_MINUTES
        try:
            await asyncio.wait_for(self._phases(batch, failed_only=failed_only), minutes * 60)
        except asyncio.TimeoutError:
            finish(batch, "TIMED_OUT", "BATCH_TIMED_OUT", "The batch has timed out. ")
            self._stop_builds(batch)
        except Exception:
            finish(batch, "FAULT", "INTERNAL_SERVICE_ERROR", "The sandbox failed; see its log")
            raise

    async def _phases(self, batch: Values, *, failed_only: bool) -> None:
        build_records.leave(batch, "SUCCEEDED")
        if not failed_only or not batch.get("_plan"):
            build_records.enter(batch, "DOWNLOAD_BATCHSPEC")
            if not await self._download(batch):
                return
            build_records.leave(batch, "SUCCEEDED")
        else:
            for group in batch["buildGroups"]:
                if self._status(group) != "SUCCEEDED":
                    self._renew(batch, group)
        build_records.enter(batch, "IN_PROGRESS")
        await self._work(batch)
        if batch["complete"]:
            return
        if any(self._has_failed(group) for group in batch["buildGroups"]):
            finish(batch, "FAILED")
            return
        build_records.leave(batch, "SUCCEEDED")
        build_records.enter(batch, "COMBINE_ARTIFACTS")
        finish(batch, "SUCCEEDED")

    async def _download(self, batch: Values) -> bool:
        """Read the batch's buildspec in a separate build, as CodeBuild does; False if the batch ended in it."""
        priors = {group["identifier"]: self._prior(batch, group) for group in batch["buildGroups"]}
        download = _group(buildspecs.Task(_DOWNLOAD))
        del download["dependsOn"]
        download["priorBuildSummaryList"] = priors.get(_DOWNLOAD)
        batch["buildGroups"] = [download]
        batch.pop("_plan", None)
        build = await self._build(batch, download)
        if batch["complete"]:
            return False
        if build["buildStatus"] != "SUCCEEDED":
            # A stopped build has no failed phase.
            contexts = [phase["contexts"][0] for phase in build["phases"] if phase.get("contexts")]
            problem = next((each for each in contexts if each["statusCode"]), None) or {
                "statusCode": "CLIENT_ERROR",
                "message": f"The build {_DOWNLOAD} is {build['buildStatus']}",
            }
            finish(batch, "FAILED", problem["statusCode"], problem["message"])
            return False
        batch["resolvedSourceVersion"] = build["resolvedSourceVersion"]
        settings = batch["_settings"]
        try:
            plan = buildspecs.batch(self._builds.source_text(settings, settings["source"].get("buildspec", "")))
        except buildspecs.BuildspecError as error:
            finish(batch, "FAILED", error.code, error.message)
            return False
        restrictions = batch["buildBatchConfig"].get("restrictions", {})
        if broken := buildspecs.restriction_broken(plan, restrictions, settings["environment"].get("computeType", "")):
            finish(batch, "FAILED", "CLIENT_ERROR", broken)
            return False
        for unmatched in self._builds.unmatched_switches(build, [task.identifier for task in plan.tasks]):
            self._builds.open_log(build).agent(f"sandbox: {unmatched.message}")
            if unmatched.is_error:
                finish(batch, "FAILED", "CLIENT_ERROR", unmatched.message)
                return False
        batch["_plan"] = {"fast_fail": plan.fast_fail}
        for task in plan.tasks:
            batch["buildGroups"].append({**_group(task), "priorBuildSummaryList": priors.get(task.identifier)})
        return True

    async def _work(self, batch: Values) -> None:
        """Build each group as soon as its dependencies are built."""
        groups = {group["identifier"]: group for group in batch["buildGroups"]}
        running: dict[asyncio.Task[Values], Values] = {}
        while not batch["complete"]:
            # A stopped group stops its dependents, which can come before or after it.
            while any(self._advance(batch, group, groups, running) for group in groups.values()):
                pass
            if not running:
                return
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                group = running.pop(task)
                if self._has_failed(group) and batch["_plan"]["fast_fail"] and not batch["complete"]:
                    self._stop_builds(batch)

    def _advance(
        self, batch: Values, group: Values, groups: dict[str, Values], running: dict[asyncio.Task[Values], Values]
    ) -> bool:
        """Start a group if its dependencies are built, or stop it if one failed; True if it was stopped."""
        if group["_status"] != "PENDING":
            return False
        needed = [groups[name] for name in group.get("dependsOn", [])]
        states = [(self._status(other), other["ignoreFailure"]) for other in needed]
        if any(status not in {"SUCCEEDED", "PENDING", "IN_PROGRESS"} and not ignored for status, ignored in states):
            group["_status"] = "STOPPED"
            return True
        if all(status not in {"PENDING", "IN_PROGRESS"} for status, _ in states):
            group["_status"] = "IN_PROGRESS"
            running[asyncio.get_running_loop().create_task(self._build(batch, group))] = group
        return False

    async def _build(self, batch: Values, group: Values) -> Values:
        """Build a group and return the build after its end."""
        settings = batch["_settings"]
        build = self._builds.create(
            {**settings, "environment": build_records.with_environment(settings["environment"], group["_environment"])},
            identifier=group["identifier"],
            buildspec=group["_buildspec"] or settings["source"].get("buildspec", ""),
            tries=batch["_tries"],
            uid=group["_uid"],
            batch_arn=batch["arn"],
        )
        group["_build"] = build["id"]
        await asyncio.wait([self._builds.start(build)])
        group["_status"] = build["buildStatus"]
        return build

    def _renew(self, batch: Values, group: Values) -> None:
        group["priorBuildSummaryList"] = self._prior(batch, group)
        group |= {"_build": None, "_status": "PENDING", "_uid": str(uuid.uuid4()), "_requested": time.time()}

    def _prior(self, batch: Values, group: Values) -> list[Values]:
        return [self._summary(batch, group), *(group.get("priorBuildSummaryList") or [])]


def _group(task: buildspecs.Task) -> Values:
    return {
        "identifier": task.identifier,
        "dependsOn": list(task.depends_on),
        "ignoreFailure": task.ignore_failure,
        "_environment": task.environment,
        "_buildspec": task.buildspec,
        "_build": None,
        "_status": "PENDING",
        "_uid": str(uuid.uuid4()),
        "_requested": time.time(),
    }
