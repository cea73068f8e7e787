"""The images that a construct runs: hashed for its plan, and built before its stack, so that no service starts without its image."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.constructs.asset import Asset
from exasol_ci_setup.constructs.placeholders import placeholder
from exasol_ci_setup.constructs.registry import Registry
from exasol_ci_setup.errors import InputError, NotApprovedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exasol_ci_setup.actions import Runtime
    from exasol_ci_setup.clock import Clock
    from exasol_ci_setup.constructs.base import Construct
    from exasol_ci_setup.constructs.builder import ContainerBuilder
    from exasol_ci_setup.stacks.events import View

_TICK: Final = 2.0
_SHOWN: Final = 12


def set_placeholders(construct: Construct) -> None:
    """Set a placeholder for the tag of each image that `construct` runs."""
    for builder in construct.builders:
        builder.set_image_tag(placeholder(builder, what="image tag"))


def hand_on(made: Construct, to: Construct) -> None:
    """Set the tags of the images that `to` runs to those of `made`, the same construct as a program declared it before."""
    # If it turns out to be declared otherwise, their numbers may differ.
    for builder, known in zip(to.builders, made.builders, strict=False):
        builder.set_image_tag(known.image_tag)


def hash_sources(construct: Construct, stage: Runtime) -> None:
    """Set the tag of each image that `construct` runs to the hash of its source as it is now. Nothing is uploaded or built.

    Raises the errors of `actions.sync.fingerprint`.
    """
    from exasol_ci_setup.actions import sync

    for builder in construct.builders:
        builder.set_image_tag(sync.fingerprint(stage, _asset(builder)))
        stage.say(f"runs image {builder.image_tag[:_SHOWN]}, which builder {builder.name} makes before, if it is new")


def make(
    construct: Construct, stage: Runtime, view: Callable[[str], View], *, shown: Sequence[str] | None = None
) -> None:
    """See to it that each image that `construct` runs is in its registry, and set its tag.

    `shown` are the tags that the plan had, if there was one; a source that is another one by now is not built, and NotApprovedError is raised.
    An image gets the tag ``latest`` too where its registry lets that move: the next build takes its layers from there. `view` is opened
    while this goes on. Raises the errors of `actions.sync.sync` and `actions.build.build`, and BuildFailed.
    """
    from exasol_ci_setup.actions import sync
    from exasol_ci_setup.actions.build import DEFAULT_TAG, ensure

    if not construct.builders:
        return
    with view("its images come first") as seen:
        ticking = replace(stage, clock=_Ticking(stage.clock, seen))
        for number, builder in enumerate(construct.builders):
            tag = DEFAULT_TAG if _may_move(builder, DEFAULT_TAG) else ""
            source = sync.put(ticking, _asset(builder))
            if shown is not None and source.sha256 != shown[number]:
                raise NotApprovedError(
                    f"not deployed: the source of image {builder.name} has changed since the plan was made: it is {source.sha256[:_SHOWN]} "
                    f"now, and {shown[number][:_SHOWN]} was shown",
                    hint="run the same command again: its plan has the source as it is by then",
                    stack_name=construct.stack_name,
                )
            builder.set_image_tag(ensure(ticking, builder, source, tag).wait().content_hash)


def _asset(builder: ContainerBuilder) -> Asset:
    if not isinstance(builder.asset, Asset):
        # Containers refuse such a builder, but a model that is copied is not validated again.
        raise InputError(f"ContainerBuilder {builder.name!r} has no Asset to build")
    return builder.asset


def _may_move(builder: ContainerBuilder, tag: str) -> bool:
    return isinstance(builder.registry, Registry) and any(
        fnmatchcase(tag, pattern) for pattern in builder.registry.mutable_tags
    )


class _Ticking:
    """A clock that lets a view tell now and then what is waited for."""

    def __init__(self, clock: Clock, view: View) -> None:
        self._clock = clock
        self._view = view

    def now(self) -> float:
        """Return the time in seconds from an arbitrary start."""
        return self._clock.now()

    def sleep(self, seconds: float) -> None:
        """Return when `seconds` have passed; the view hears of it every two seconds."""
        end = self.now() + seconds
        while (left := end - self.now()) > 0:
            self._clock.sleep(min(left, _TICK))
            self._view.tick(self.now())
