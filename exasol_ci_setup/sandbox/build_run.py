"""Run one simulated build: spend the time of its phases, and log its commands.

Commands do not run, except those that build a container image.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.sandbox import build_logs, build_secrets, buildspecs, switches

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exasol_ci_setup.sandbox.builds import Builds
    from exasol_ci_setup.sandbox.image_builds import ImageBuild
    from exasol_ci_setup.sandbox.private import Values

# Phases after those of every build, and the share of a build's time that each takes.
SHARES: Final = {
    "PROVISIONING": 0.1,
    "DOWNLOAD_SOURCE": 0.1,
    "INSTALL": 0.1,
    "PRE_BUILD": 0.1,
    "BUILD": 0.4,
    "POST_BUILD": 0.1,
    "UPLOAD_ARTIFACTS": 0.05,
    "FINALIZING": 0.05,
}
# The transitions after a failure: https://docs.aws.amazon.com/codebuild/latest/userguide/view-build-details-phases.html.
_CONTINUES_AFTER_FAILURE: Final = ("BUILD", "POST_BUILD")


class Run:
    """The run of one build: its commands, its requested failure, its log, and its image build if any."""

    def __init__(self, builds: Builds, build: Values, failure: switches.Failure | None) -> None:
        self._builds = builds
        self._build = build
        self._failure = failure
        self._commands: dict[str, list[str]] = {}
        self._log: build_logs.BuildLog | None = None
        self._image: ImageBuild | None = None
        self._is_succeeding = True
        self.omitted_phases: tuple[str, ...] = ()
        self.skipped_after_failure: tuple[str, ...] = (
            "INSTALL",
            "PRE_BUILD",
            "BUILD",
            "POST_BUILD",
            "UPLOAD_ARTIFACTS",
        )
        if build["_identifier"] == "DOWNLOAD_SOURCE":
            self.omitted_phases = self.skipped_after_failure

    @property
    def log(self) -> build_logs.BuildLog:
        """The log of the build, created at the first write."""
        if self._log is None:
            self._log = self._builds.open_log(self._build)
        return self._log

    async def run_phase(self, phase: str, seconds: float) -> tuple[str, str] | None:
        """Run a phase and return the code and message of its failure, None if it succeeds."""
        problem = None
        if phase == "DOWNLOAD_SOURCE":
            problem = await self._download(seconds)
        elif phase in buildspecs.PHASES:
            problem = await self._command_phase(phase, seconds)
        else:
            await asyncio.sleep(seconds)
            if phase == "UPLOAD_ARTIFACTS":
                self._complete(phase, None)
        self._is_succeeding = self._is_succeeding and problem is None
        if phase == "POST_BUILD" and self._is_succeeding and self._image is None:
            self._builds.put_stand_in(self._build, self._commands, self.log)
        return problem

    async def close(self) -> None:
        """Remove the files and images of the build from this machine."""
        if self._image is not None:
            await self._image.close()

    async def _download(self, seconds: float) -> tuple[str, str] | None:
        self.log.agent("Waiting for agent ping", "Waiting for DOWNLOAD_SOURCE")
        await asyncio.sleep(seconds)
        settings = self._build["_settings"]
        self.log.agent(
            "Phase is DOWNLOAD_SOURCE",
            f"CODEBUILD_SRC_DIR={source_path(settings)}",
        )
        problem = None
        what_happens = "commands are logged, but not run"
        try:
            text = self._builds.source_text(settings, self._build["_buildspec"])
            self._commands = buildspecs.commands(text)
            self._image = self._builds.image_build(self._build, self._commands, self.log)
            if text == buildspecs.STAND_IN:
                self.log.agent(
                    f"No directory is registered for {settings['source'].get('location', 'the source')}, so an example "
                    "buildspec is used; to use yours: exasol-ci-setup sandbox start --source URL=PATH"
                )
        except buildspecs.BuildspecError as error:
            problem = (error.code, error.message)
        if self._image is not None:
            what_happens = f"it builds the image itself, with the Docker engine at {self._image.engine}"
        self.log.agent(f"This is the sandbox: {what_happens}")
        if denied := build_secrets.secret_problem(settings, str(self._build.get("serviceRole", ""))):
            problem = ("Secrets Manager Error Message", denied)
        if self._failure and self._failure.phase == "DOWNLOAD_SOURCE":
            problem = ("CLIENT_ERROR", f"this phase fails because of {self._failure.switch}")
        location, version = settings["source"].get("location", ""), self._build["sourceVersion"]
        commit = hashlib.sha1(f"{location} {version}".encode(), usedforsecurity=False).hexdigest()
        self._build["resolvedSourceVersion"] = commit
        self._complete("DOWNLOAD_SOURCE", problem)
        return problem

    async def _command_phase(self, phase: str, seconds: float) -> tuple[str, str] | None:
        commands_of_phase = self._commands.get(phase, [])
        problem = None
        fails = self._failure is not None and self._failure.phase == phase
        if fails and not commands_of_phase:
            commands_of_phase = ["false"]
        self.log.agent(f"Entering phase {phase}")
        for number, command in enumerate(commands_of_phase, 1):
            self.log.agent(f"Running command {command}")
            if self._failure and fails and number == len(commands_of_phase):
                await asyncio.sleep(seconds / len(commands_of_phase))
                self.log.output([f"sandbox: this command fails because of {self._failure.switch}"])
                status = 1
            else:
                status = await self._command(command, seconds / len(commands_of_phase))
            if status:
                self.log.agent(f"Command did not exit successfully {command} exit status {status}")
                problem = (
                    "COMMAND_EXECUTION_ERROR",
                    f"Error while executing command: {command}. Reason: exit status {status}",
                )
                break
        if not commands_of_phase:
            await asyncio.sleep(seconds)
        self._complete(phase, problem)
        if problem and phase in _CONTINUES_AFTER_FAILURE:
            # POST_BUILD and the upload of artifacts run also after a failed BUILD.
            self.skipped_after_failure = ()
        return problem

    async def _command(self, command: str, seconds: float) -> int:
        """Spend the time of a command, or perform it for an image build, and return its exit status."""
        if self._image is None:
            await asyncio.sleep(seconds)
            return 0
        return await self._image.run(command, is_succeeding=self._is_succeeding)

    def _complete(self, phase: str, problem: tuple[str, str] | None) -> None:
        code, message = problem or ("", "")
        self.log.agent(
            f"Phase complete: {phase} State: {'FAILED' if problem else 'SUCCEEDED'}",
            f"Phase context status code: {code} Message: {message}",
        )


def source_path(settings: Mapping[str, Any]) -> str:
    """Return the path of the source in the container of a build."""
    location = str(settings["source"].get("location", ""))
    number = int(hashlib.sha1(location.encode(), usedforsecurity=False).hexdigest(), 16) % 10**9
    return f"/codebuild/output/src{number:09d}/src/{location.rpartition('://')[2].removesuffix('.git')}"
