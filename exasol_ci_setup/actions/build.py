"""`containerBuilder.build()`: the image of a source in the registry, built only if it is not there yet."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup import actions
from exasol_ci_setup.actions.images import Images
from exasol_ci_setup.aws import translate_aws_errors
from exasol_ci_setup.builds.logs import Tails, last_lines
from exasol_ci_setup.builds.model import IN_PROGRESS, build_of
from exasol_ci_setup.builds.model import Build as State
from exasol_ci_setup.constructs.asset import Asset
from exasol_ci_setup.constructs.placeholders import placeholder
from exasol_ci_setup.errors import BuildFailed, InputError, Interrupted, TimedOut

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_codebuild import CodeBuildClient

    from exasol_ci_setup.actions import Runtime
    from exasol_ci_setup.constructs.builder import ContainerBuilder
    from exasol_ci_setup.constructs.runtime import Synced

DEFAULT_TAG: Final = "latest"

_SUCCEEDED: Final = "SUCCEEDED"
_NOT_ACTING: Final = "NOT_STARTED"
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_VARIABLE: Final = re.compile(r"(?!CODEBUILD_)[A-Za-z_][A-Za-z0-9_]{0,255}")
_OWN_VARIABLES: Final = frozenset(
    {"ASSET_BUCKET", "ASSET_KEY", "BUILD_ARGS", "BUILD_CONTEXT", "CONTENT_HASH", "IMAGE_TAG", "REPOSITORY_URI"}
)
# Of the newest builds; no more of one project are under way at once, unless somebody raised the account's quotas far.
_LOOKED_AT: Final = 60
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 10.0
_GROWTH: Final = 1.6
_LINES: Final = 20
_SHOWN: Final = 12


class Build:
    """An image that is built, or was there. `id` is CodeBuild's of the build, empty if none was needed.

    `content_hash` is the tag that the image has for good; `started` says whether this very call began the build.
    """

    def __init__(
        self,
        stage: Runtime,
        builder: ContainerBuilder,
        content_hash: str,
        state: State,
        *,
        tag: str = "",
        started: bool,
    ) -> None:
        self.content_hash = content_hash
        self.started = started
        self._stage = stage
        self._builder = builder
        self._state = state
        # What is left to be done once a build that somebody else began has ended.
        self._tag = tag

    def __repr__(self) -> str:
        return f"Build({self.id or 'none needed'}, {self._state.status}, {self.content_hash})"

    @property
    def id(self) -> str:
        """CodeBuild's id of the build, empty if none was needed."""
        return self._state.id

    @property
    def status(self) -> str:
        """CodeBuild's status as it is now, ``SUCCEEDED`` if no build was needed. Raises the errors of the AWS boundary."""
        return self._look().status

    def logs(self) -> list[str]:
        """Return all lines that the build has written so far. Raises the errors of the AWS boundary."""
        if not self.id:
            return []
        return [line.message for line in Tails(self._account.client("logs"), self._stage.clock).fresh([self._look()])]

    def wait(self, timeout: float | None = None) -> Build:
        """Return when the image is in the registry with its tags; `timeout` is in seconds.

        Raises BuildFailed with the end of the log, TimedOut and Interrupted, after which the build goes on, and the errors of
        the AWS boundary.
        """
        clock = self._stage.clock
        deadline = None if timeout is None else clock.now() + timeout
        pause = _FIRST_PAUSE
        try:
            while self.id and not self._look().has_ended:
                if deadline is not None and clock.now() >= deadline:
                    raise TimedOut(
                        f"build {self.id} did not end within {timeout:g} seconds, and goes on",
                        hint="wait() looks on again, stop() stops it",
                    )
                clock.sleep(pause if deadline is None else max(min(pause, deadline - clock.now()), 0.0))
                pause = min(pause * _GROWTH, _LONGEST_PAUSE)
        except KeyboardInterrupt:
            raise Interrupted(
                f"stopped waiting: AWS goes on with build {self.id}",
                hint="run the same again: it waits for this build, and begins no other of the same source",
                batch_id=self.id,
            ) from None
        if self.id and self._state.has_failed:
            raise self._failure()
        if self.id and self._tag:
            Images.of(self._stage, self._builder).add_tag(self.content_hash, self._tag)
        return self

    def stop(self) -> None:
        """Stop the build; one that has ended, or was not needed, stays as it is. Raises the errors of the AWS boundary."""
        if self.id and not self._look().has_ended:
            with translate_aws_errors():
                self._state = build_of(self._account.client("codebuild").stop_build(id=self.id)["build"])

    @property
    def _account(self) -> Any:
        return self._stage.connect(self._builder.resolved_scope)

    def _look(self) -> State:
        if self.id and not self._state.has_ended:
            with translate_aws_errors():
                found = self._account.client("codebuild").batch_get_builds(ids=[self.id])["builds"]
            if found:
                self._state = build_of(found[0])
        return self._state

    def _failure(self) -> BuildFailed:
        from exasol_ci_setup.errors.details import Failure

        state = self._state
        phase = next((each for each in state.phases if each.status not in {_SUCCEEDED, IN_PROGRESS}), None)
        failure = Failure(
            group=self._builder.name,
            build_id=self.id,
            status=state.status,
            phase=phase.name if phase else "",
            message=phase.message if phase else "",
            log=last_lines(self._account.client("logs"), state, _LINES),
            log_url=state.log_url,
        )
        return BuildFailed(f"the image was not built: {failure}", hint="\n".join(failure.log), failures=[failure])


def build(
    builder: ContainerBuilder,
    tag: str | None = None,
    build_context: str = ".",
    environment_variables: Mapping[str, str] | None = None,
) -> Build:
    """See to it that the registry holds the image of the asset's source, and return the build that makes it.

    The asset is synced before, unless this was done. The image gets the tag `tag` (None: ``latest``; empty: none), and one that is the hash
    of all that goes into it: source, context and variables. If the registry holds that one, nothing starts; if a build of it is under
    way, that is returned. `build_context` is the folder with the Dockerfile, relative to the source's top. Of `environment_variables` each is
    a build argument too, which the Dockerfile has by ``ARG NAME``; such values can be read in the build and in the image, so none may be secret.

    Raises InputError for what a build cannot be told, if the builder is not deployed, and if `tag` is another image's for good; the errors of
    `sync`; and those of the AWS boundary.
    """
    tag = DEFAULT_TAG if tag is None else tag
    variables = dict(environment_variables or {})
    _require(tag, build_context, variables)
    asset = builder.asset
    if not isinstance(asset, Asset):
        raise InputError(f"ContainerBuilder {builder.name!r} has no Asset to build, only the bucket {asset}")
    stage = actions.current()
    if not stage.acts:
        stage.say(
            f"builder {builder.name}: would build {asset.name}" + (f" as {tag}" if tag else "") + ", if it is new"
        )
        unknown = placeholder(builder, what="content hash")
        return Build(stage, builder, unknown, State("", "", _NOT_ACTING), started=False)
    builder.output("ProjectName")  # raises before anything is uploaded
    return ensure(stage, builder, asset.synced or asset.sync(), tag, build_context, variables)


def ensure(
    stage: Runtime,
    builder: ContainerBuilder,
    synced: Synced,
    tag: str,
    build_context: str = ".",
    variables: Mapping[str, str] | None = None,
) -> Build:
    """Do as `build` does with an archive that is in the bucket, on this stage, whether a program is acting or not.

    Raises the errors of `build`.
    """
    variables = variables or {}
    project = builder.output("ProjectName")
    content_hash = _content_hash(synced.sha256, str(PurePosixPath(build_context)), variables)
    codebuild = stage.connect(builder.resolved_scope).client("codebuild")
    # First the builds and then the registry: a build that ends in between has pushed its image by then.
    newest, under_way, its_tag = _builds(codebuild, project, content_hash)
    if under_way is not None:
        stage.say(f"builder {builder.name}: build {under_way.id} of {content_hash[:_SHOWN]} is under way")
        # It gives the image the tag that it was told; only another one is left to be given.
        left = "" if tag == its_tag else tag
        return Build(stage, builder, content_hash, under_way, tag=left, started=False)
    images = Images.of(stage, builder)
    if images.has(content_hash):
        moved = bool(tag) and images.add_tag(content_hash, tag)
        what = f", now {tag} too" if moved else ""
        stage.say(f"builder {builder.name}: the registry holds {content_hash[:_SHOWN]}{what}, nothing to build")
        return Build(stage, builder, content_hash, State("", "", _SUCCEEDED), started=False)
    images.require_movable(tag)
    told = {
        **variables,
        "ASSET_KEY": synced.key,
        "CONTENT_HASH": content_hash,
        "IMAGE_TAG": tag,
        "BUILD_CONTEXT": build_context,
        "BUILD_ARGS": " ".join(sorted(variables)),
    }
    state = _start(codebuild, project, told, newest)
    stage.say(f"builder {builder.name}: build {state.id} of {content_hash[:_SHOWN]} began")
    return Build(stage, builder, content_hash, state, started=True)


def _require(tag: str, context: str, variables: Mapping[str, str]) -> None:
    if tag and not _TAG.fullmatch(tag):
        raise InputError(
            f"{tag!r} is not a valid image tag",
            hint="use at most 128 letters, digits and ._-, the first neither a period nor a hyphen",
        )
    path = PurePosixPath(context)
    if path.is_absolute() or ".." in path.parts or not context.isprintable() or not context:
        raise InputError(f"{context!r} is not a folder in the source", hint="use a path relative to its top, such as .")
    for name in variables:
        if name in _OWN_VARIABLES or not _VARIABLE.fullmatch(name):
            raise InputError(
                f"{name!r} cannot be a variable of a build",
                hint=f"use letters, digits and underscores; CodeBuild has CODEBUILD_… and the builder {', '.join(sorted(_OWN_VARIABLES))}",
            )


def _content_hash(source: str, context: str, variables: Mapping[str, str]) -> str:
    if context == "." and not variables:
        return source
    return hashlib.sha256(json.dumps([source, context, variables], sort_keys=True).encode()).hexdigest()


def _builds(codebuild: CodeBuildClient, project: str, content_hash: str) -> tuple[str, State | None, str]:
    """Return the id of the project's newest build, empty if there is none, and the build of this content that is under way, with its tag."""
    with translate_aws_errors():
        ids = codebuild.list_builds_for_project(projectName=project, sortOrder="DESCENDING").get("ids", [])
        found = codebuild.batch_get_builds(ids=ids[:_LOOKED_AT]).get("builds", []) if ids else []
    for each in found:
        variables = each.get("environment", {}).get("environmentVariables", [])
        told = {item["name"]: item["value"] for item in variables}
        if told.get("CONTENT_HASH") == content_hash and each.get("buildStatus") == IN_PROGRESS:
            return ids[0], build_of(each), told.get("IMAGE_TAG", "")
    return ids[0] if ids else "", None, ""


def _start(codebuild: CodeBuildClient, project: str, variables: Mapping[str, str], newest: str) -> State:
    # Whoever wants the same at the same time, having seen the same builds, sends the same token and gets the same build.
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
        raise Interrupted(f"interrupted while a build of {project} was being started: it may have begun") from None
    return build_of(answer["build"])
