"""The images of a construct: hashed for its plan, and built before its stack, so that no service starts without its image."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.constructs.asset import Asset
from exasol_ci_setup.constructs.placeholders import placeholder
from exasol_ci_setup.constructs.registry import Registry
from exasol_ci_setup.core.errors import InputError, NotApprovedError
from exasol_ci_setup.programs.actions import sync
from exasol_ci_setup.programs.actions.build import DEFAULT_TAG, content_hash, ensure
from exasol_ci_setup.programs.missing_images import is_missing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.constructs.base import Construct
    from exasol_ci_setup.constructs.builder import ContainerBuilder
    from exasol_ci_setup.programs.actions import PlannedBuild, Runtime

_TICK: Final = 2.0
_SHOWN: Final = 12


def set_placeholders(construct: Construct) -> None:
    """Set a placeholder for the tag of each image of `construct`."""
    for builder in construct.builders:
        builder.set_image_tag(placeholder(builder, what="image tag"))


def copy_tags(old: Construct, to: Construct) -> None:
    """Set the image tags of `to` to those of `old`, the same construct in an earlier run of the program."""
    # If it is declared differently now, the number of images may differ.
    for builder, known in zip(to.builders, old.builders, strict=False):
        builder.set_image_tag(known.image_tag)


def hash_sources(construct: Construct, runtime: Runtime) -> None:
    """Set the tag of each image of `construct` to the hash of its current source. Nothing is uploaded or built.

    Raises the errors of `programs.actions.sync.fingerprint`.
    """
    for builder in construct.builders:
        builder.set_image_tag(_tag(builder, sync.fingerprint(runtime, _asset(builder))))
        runtime.say(
            f"runs image {builder.image_tag[:_SHOWN]}, which builder {builder.name} builds before if it does not exist"
        )


def build(construct: Construct, runtime: Runtime, context: Context, *, shown: Sequence[str] | None = None) -> None:
    """Build each image of `construct` that its registry lacks, and set its tag.

    `shown` are the tags in the plan, if there was one. If a source has changed since then, it is not built, and NotApprovedError is raised.
    An image also gets the tag ``latest`` if its registry allows moving it: the next build uses it as a cache.
    Raises the errors of `programs.actions.sync.sync` and `actions.build.build`, and BuildFailedError.
    """
    if not construct.builders:
        return
    with context.operation(construct.stack_name, "building its images first") as running:
        ticking = replace(runtime, clock=_ReportingClock(running))
        builds = []
        for number, builder in enumerate(construct.builders):
            tag = DEFAULT_TAG if _can_move_tag(builder, DEFAULT_TAG) else ""
            source = sync.put(ticking, _asset(builder))
            hashed = _tag(builder, source.sha256)
            if shown is not None and hashed != shown[number]:
                raise NotApprovedError(
                    f"not deployed: the source of image {builder.name} has changed since the plan: it is {hashed[:_SHOWN]} "
                    f"now, the plan has {shown[number][:_SHOWN]}",
                    hint="run the same command again for a new plan",
                    stack_name=construct.stack_name,
                )
            builds.append(ensure(ticking, builder, source, tag, builder.build_context, builder.build_arguments))
        # All builds run in parallel on AWS.
        for builder, each in zip(construct.builders, builds, strict=True):
            builder.set_image_tag(each.wait().content_hash)


def build_missing(stack_name: str, builds: Sequence[PlannedBuild], runtime: Runtime, context: Context) -> None:
    """Build the images of a stack that their registries lack, by the builds that the program starts after the deployment.

    Without its image, a service would not start. Later, the program finds that its build is not needed. Raises as `build`.
    """
    missing = [each for each in builds if is_missing(context.account, _registry(each.builder), each.tag)]
    if not missing:
        return
    with context.operation(stack_name, "building its missing images first") as running:
        ticking = replace(runtime, clock=_ReportingClock(running))
        started = [
            ensure(
                ticking,
                each.builder,
                sync.put(ticking, _asset(each.builder), each.token),
                each.tag,
                each.build_context,
                each.variables,
            )
            for each in missing
        ]
        for each in started:
            each.wait()


def _tag(builder: ContainerBuilder, source: str) -> str:
    return content_hash(source, builder.build_context, builder.build_arguments)


def _asset(builder: ContainerBuilder) -> Asset:
    if not isinstance(builder.asset, Asset):
        # Containers reject such a builder, but a copied model is not validated again.
        raise InputError(f"ContainerBuilder {builder.name!r} has no Asset to build")
    return builder.asset


def _registry(builder: ContainerBuilder) -> Registry:
    if not isinstance(builder.registry, Registry):
        raise InputError(f"ContainerBuilder {builder.name!r} has no Registry of the program")
    return builder.registry


def _can_move_tag(builder: ContainerBuilder, tag: str) -> bool:
    return isinstance(builder.registry, Registry) and any(
        fnmatchcase(tag, pattern) for pattern in builder.registry.mutable_tags
    )


class _ReportingClock:
    """A clock that reports progress while the caller sleeps."""

    def __init__(self, context: Context) -> None:
        self._clock = context.clock
        self._reporter = context.reporter

    def now(self) -> float:
        """Return the time in seconds from an arbitrary start."""
        return self._clock.now()

    def sleep(self, seconds: float) -> None:
        """Return after `seconds`; progress is reported every two seconds."""
        end = self.now() + seconds
        while (left := end - self.now()) > 0:
            self._clock.sleep(min(left, _TICK))
            self._reporter.progress()
