"""`ContainerBuilder.build()`: build the image of a source, unless the registry already contains it."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.aws.session import translate_aws_errors
from exasol_ci_setup.builds.logs import Tails, last_lines
from exasol_ci_setup.builds.model import IN_PROGRESS, build_of
from exasol_ci_setup.builds.model import Build as State
from exasol_ci_setup.constructs.asset import Asset
from exasol_ci_setup.constructs.placeholders import placeholder, placeholders_in, require_current
from exasol_ci_setup.core import patterns
from exasol_ci_setup.core.errors import BuildFailedError, InputError, OperationInterruptedError, TimedOutError
from exasol_ci_setup.core.errors.details import Failure
from exasol_ci_setup.programs import actions
from exasol_ci_setup.programs.actions.images import Images

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_codebuild import CodeBuildClient

    from exasol_ci_setup.constructs.builder import ContainerBuilder
    from exasol_ci_setup.constructs.runtime import Synced
    from exasol_ci_setup.programs.actions import Runtime

DEFAULT_TAG: Final = "latest"

_SUCCEEDED: Final = "SUCCEEDED"
_NOT_STARTED: Final = "NOT_STARTED"
_TAG, _TAG_RULE = patterns.IMAGE_TAG
_VARIABLE: Final = re.compile(r"(?!CODEBUILD_)[A-Za-z_][A-Za-z0-9_]{0,255}")
_OWN_VARIABLES: Final = frozenset(
    {"ASSET_BUCKET", "ASSET_KEY", "BUILD_ARGS", "BUILD_CONTEXT", "CONTENT_HASH", "IMAGE_TAG", "REPOSITORY_URI"}
)
# Of the newest builds. The default quotas of an account do not allow more concurrent builds of one project.
_MAX_BUILDS_READ: Final = 60
_FIRST_POLL_SECONDS: Final = 0.05
_LONGEST_POLL_SECONDS: Final = 10.0
_POLL_GROWTH: Final = 1.6
_LOG_LINES: Final = 20
_HASH_LENGTH: Final = 12


class Build:
    """An image that is being built or already exists. `id` is the CodeBuild ID, empty if no build was needed.

    `content_hash` is the permanent tag of the image. `started` is true if this call started the build.
    """

    def __init__(
        self,
        runtime: Runtime,
        builder: ContainerBuilder,
        content_hash: str,
        state: State,
        *,
        tag: str = "",
        started: bool,
    ) -> None:
        self.content_hash = content_hash
        self.started = started
        self._runtime = runtime
        self._builder = builder
        self._state = state
        # The tag to add after a build that another process started.
        self._tag = tag

    def __repr__(self) -> str:
        return f"Build({self.id or 'none needed'}, {self._state.status}, {self.content_hash})"

    @property
    def id(self) -> str:
        """The CodeBuild ID of the build, empty if no build was needed."""
        return self._state.id

    @property
    def status(self) -> str:
        """The current status in CodeBuild, ``SUCCEEDED`` if no build was needed. Raises the errors of the AWS boundary."""
        return self._refresh().status

    def logs(self) -> list[str]:
        """Return the log lines of the build up to now. Raises the errors of the AWS boundary."""
        if not self.id:
            return []
        return [
            line.message for line in Tails(self._account.client("logs"), self._runtime.clock).fresh([self._refresh()])
        ]

    def wait(self, timeout: float | None = None) -> Build:
        """Wait until the registry contains the image with its tags; `timeout` is in seconds.

        Raises BuildFailedError with the last log lines, and the errors of the AWS boundary. After TimedOutError and OperationInterruptedError the build
        continues on AWS.
        """
        clock = self._runtime.clock
        deadline = None if timeout is None else clock.now() + timeout
        pause = _FIRST_POLL_SECONDS
        try:
            while self.id and not self._refresh().has_ended:
                if deadline is not None and clock.now() >= deadline:
                    raise TimedOutError(
                        f"build {self.id} did not end within {timeout:g} seconds and continues on AWS",
                        hint="call wait() to wait again, or stop() to stop the build",
                    )
                clock.sleep(pause if deadline is None else max(min(pause, deadline - clock.now()), 0.0))
                pause = min(pause * _POLL_GROWTH, _LONGEST_POLL_SECONDS)
        except KeyboardInterrupt:
            raise OperationInterruptedError(
                f"stopped waiting: build {self.id} continues on AWS",
                hint="run the same again: it waits for this build and starts no second build of the same source",
                batch_id=self.id,
            ) from None
        if self.id and self._state.has_failed:
            raise self._failure()
        if self.id and self._tag:
            Images.of(self._runtime, self._builder).add_tag(self.content_hash, self._tag)
        return self

    def stop(self) -> None:
        """Stop the build, unless it has ended or none was needed. Raises the errors of the AWS boundary."""
        if self.id and not self._refresh().has_ended:
            with translate_aws_errors():
                self._state = build_of(self._account.client("codebuild").stop_build(id=self.id)["build"])

    @property
    def _account(self) -> Any:
        return self._runtime.connect(self._builder.resolved_scope)

    def _refresh(self) -> State:
        if self.id and not self._state.has_ended:
            with translate_aws_errors():
                builds = self._account.client("codebuild").batch_get_builds(ids=[self.id])["builds"]
            if builds:
                self._state = build_of(builds[0])
        return self._state

    def _failure(self) -> BuildFailedError:
        state = self._state
        phase = next((each for each in state.phases if each.status not in {_SUCCEEDED, IN_PROGRESS}), None)
        failure = Failure(
            group=self._builder.name,
            build_id=self.id,
            status=state.status,
            phase=phase.name if phase else "",
            message=phase.message if phase else "",
            log=last_lines(self._account.client("logs"), state, _LOG_LINES),
            log_url=state.log_url,
        )
        return BuildFailedError(f"the image was not built: {failure}", hint="\n".join(failure.log), failures=[failure])


def build(
    builder: ContainerBuilder,
    tag: str | None = None,
    build_context: str = ".",
    environment_variables: Mapping[str, str] | None = None,
) -> Build:
    """Build the image of the asset's source, unless the registry already contains it, and return the build.

    The asset is synced first, unless this was already done. The image gets the tag `tag` (None: ``latest``; empty: no tag) and a
    second tag: the hash of source, context and variables. If the registry contains an image with that hash, no build starts. If a
    build of the same content is in progress, it is returned.

    `build_context` is the folder of the Dockerfile, relative to the top of the source. Each of `environment_variables` is also a build
    argument, which the Dockerfile reads with ``ARG NAME``. The build and the image expose these values, so they must not be secrets.

    Raises InputError for invalid arguments, if the builder is not deployed, and if another image has the immutable tag `tag`. Raises the
    errors of `sync` and of the AWS boundary.
    """
    tag = DEFAULT_TAG if tag is None else tag
    variables = dict(environment_variables or {})
    require_valid(tag, build_context, variables)
    asset = builder.asset
    if not isinstance(asset, Asset):
        raise InputError(f"ContainerBuilder {builder.name!r} has no Asset to build, only bucket {asset}")
    runtime = actions.current()
    if runtime.is_dry_run:
        require_current(placeholders_in([tag, variables]), f"a build of ContainerBuilder {builder.name!r}")
        runtime.say(
            f"builder {builder.name}: would build {asset.name}" + (f" as {tag}" if tag else "") + ", if it is new"
        )
        if not any(placeholders_in([tag, build_context, variables])):
            token = runtime.recorded.tokens.get(id(asset))
            runtime.recorded.builds.append(actions.PlannedBuild(builder, tag, build_context, variables, token))
        unknown = placeholder(builder, what="content hash")
        return Build(runtime, builder, unknown, State("", "", _NOT_STARTED), started=False)
    builder.output("ProjectName")  # raises before anything is uploaded
    return ensure(runtime, builder, asset.synced or asset.sync(), tag, build_context, variables)


def ensure(
    runtime: Runtime,
    builder: ContainerBuilder,
    synced: Synced,
    tag: str,
    build_context: str = ".",
    variables: Mapping[str, str] | None = None,
) -> Build:
    """Do what `build` does with an uploaded archive, on this runtime, also in a dry run.

    Raises the errors of `build`.
    """
    variables = variables or {}
    project = builder.output("ProjectName")
    hashed = content_hash(synced.sha256, build_context, variables)
    codebuild = runtime.connect(builder.resolved_scope).client("codebuild")
    # Builds are read before the registry: a build that ends in between has pushed its image by then.
    newest, running, its_tag = _builds(codebuild, project, hashed)
    if running is not None:
        runtime.say(f"builder {builder.name}: build {running.id} of {hashed[:_HASH_LENGTH]} is in progress")
        # The build adds the tag that it was started with; only a different tag remains to be added.
        remaining_tag = "" if tag == its_tag else tag
        return Build(runtime, builder, hashed, running, tag=remaining_tag, started=False)
    images = Images.of(runtime, builder)
    if images.has(hashed):
        is_tagged = bool(tag) and images.add_tag(hashed, tag)
        what = f", added tag {tag}" if is_tagged else ""
        runtime.say(f"builder {builder.name}: the registry already contains {hashed[:_HASH_LENGTH]}{what}")
        return Build(runtime, builder, hashed, State("", "", _SUCCEEDED), started=False)
    images.require_movable(tag)
    all_variables = {
        **variables,
        "ASSET_KEY": synced.key,
        "CONTENT_HASH": hashed,
        "IMAGE_TAG": tag,
        "BUILD_CONTEXT": build_context,
        "BUILD_ARGS": " ".join(sorted(variables)),
    }
    state = _start(codebuild, project, all_variables, newest)
    runtime.say(f"builder {builder.name}: started build {state.id} of {hashed[:_HASH_LENGTH]}")
    return Build(runtime, builder, hashed, state, started=True)


def require_valid(tag: str, context: str, variables: Mapping[str, str]) -> None:
    """Raise InputError unless a build accepts this tag, folder of the Dockerfile, and these variables."""
    if tag and not re.fullmatch(_TAG, tag):
        raise InputError(
            f"{tag!r} is not a valid image tag",
            hint=_TAG_RULE,
        )
    path = PurePosixPath(context)
    if path.is_absolute() or ".." in path.parts or not context.isprintable() or not context:
        raise InputError(
            f"invalid build context {context!r}: it is not a folder in the source",
            hint="use a path relative to the top of the source, such as .",
        )
    for name in variables:
        if name in _OWN_VARIABLES or not _VARIABLE.fullmatch(name):
            raise InputError(
                f"{name!r} cannot be a variable of a build",
                hint=f"use letters, digits and underscores; CodeBuild reserves CODEBUILD_…, the builder reserves {', '.join(sorted(_OWN_VARIABLES))}",
            )


def content_hash(source: str, context: str, variables: Mapping[str, str]) -> str:
    """Return the permanent tag of an image: the hash of its source, or of the source with context and variables."""
    context = str(PurePosixPath(context))
    if context == "." and not variables:
        return source
    return hashlib.sha256(json.dumps([source, context, variables], sort_keys=True).encode()).hexdigest()


def _builds(codebuild: CodeBuildClient, project: str, content_hash: str) -> tuple[str, State | None, str]:
    """Return the ID of the newest build of the project or '', and the running build of this content with its tag."""
    with translate_aws_errors():
        ids = codebuild.list_builds_for_project(projectName=project, sortOrder="DESCENDING").get("ids", [])
        builds = codebuild.batch_get_builds(ids=ids[:_MAX_BUILDS_READ]).get("builds", []) if ids else []
    for each in builds:
        items = each.get("environment", {}).get("environmentVariables", [])
        variables = {item["name"]: item["value"] for item in items}
        if variables.get("CONTENT_HASH") == content_hash and each.get("buildStatus") == IN_PROGRESS:
            return ids[0], build_of(each), variables.get("IMAGE_TAG", "")
    return ids[0] if ids else "", None, ""


def _start(codebuild: CodeBuildClient, project: str, variables: Mapping[str, str], newest: str) -> State:
    # Concurrent requests for the same content that read the same builds send the same token and get the same build.
    token = hashlib.sha256(json.dumps([newest, project, variables], sort_keys=True).encode()).hexdigest()
    try:
        with translate_aws_errors():
            answer = codebuild.start_build(
                projectName=project,
                environmentVariablesOverride=[
                    {"name": name, "value": value, "type": "PLAINTEXT"} for name, value in sorted(variables.items())
                ],
                idempotencyToken=token,
            )
    except KeyboardInterrupt:
        raise OperationInterruptedError(
            f"interrupted while a build of {project} was being started: the build may have started"
        ) from None
    return build_of(answer["build"])
