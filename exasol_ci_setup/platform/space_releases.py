"""Releases of a space: what it ran after each deployment, stored in the template of its stack for rollbacks.

ECS keeps the task definitions that CloudFormation replaces only as inactive ones, which no service accepts:
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deregister-task-definition-v2.html.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.core.errors import ReleaseNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from exasol_ci_setup.constructs.space import Space
    from exasol_ci_setup.core.stacks import Stack

MOST: Final = 10
"""The number of stored releases."""
# Larger templates need a bucket, which a role for deployments may not be allowed to use.
_MOST_CHARACTERS: Final = 24_000
_LEAST: Final = 2
_FIELDS: Final = ("image", "cpu", "memory", "port")
_VARIABLES: Final = ("env", "secrets")


@dataclass(frozen=True, slots=True)
class Release:
    """A release of a space: `changes` names the settings and variables that differ from the release before."""

    number: int
    at: datetime
    image: str
    changes: tuple[str, ...]
    is_current: bool


@dataclass(frozen=True, slots=True)
class StoredRelease:
    """A release as the template stores it: the settings that a rollback restores. `secrets` are ARNs, `at` is ISO 8601."""

    number: int
    at: str
    image: str
    cpu: int
    memory: int
    port: int
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of a space that a rollback to this release restores."""
        return {name: getattr(self, name) for name in (*_FIELDS, *_VARIABLES)}


def stored(stack: Stack, metadata: Mapping[str, Any]) -> tuple[StoredRelease, ...]:
    """Return the releases in the metadata of a template, oldest first; a space of an earlier version has only the current one."""
    if "Releases" in metadata:
        return tuple(StoredRelease(**each) for each in json.loads(metadata["Releases"]))
    deployed = stack.updated or stack.created or datetime.now(timezone.utc)
    return (_release(1, deployed, json.loads(metadata["Space"])),)


def latest(history_text: str) -> StoredRelease:
    """Return the last release in the text that a template stores."""
    return StoredRelease(**json.loads(history_text)[-1])


def following(releases: Sequence[StoredRelease], space: Space) -> tuple[StoredRelease, ...]:
    """Return the releases with that of `space`, if it differs from the last one; the oldest of many are dropped."""
    fields = space.model_dump(include={*_FIELDS, *_VARIABLES})
    number = releases[-1].number + 1 if releases else 1
    latest = _release(number, datetime.now(timezone.utc), fields)
    if releases and latest == replace(releases[-1], number=number, at=latest.at):
        return tuple(releases)
    kept = [*releases, latest][-MOST:]
    while len(kept) > _LEAST and len(history(kept)) > _MOST_CHARACTERS:
        del kept[0]
    return tuple(kept)


def described(releases: Sequence[StoredRelease]) -> list[Release]:
    """Return the releases with their changes, newest first."""
    before = [None, *releases]
    return [
        Release(
            number=each.number,
            at=datetime.fromisoformat(each.at),
            image=each.image,
            changes=tuple(_changes(previous, each)) if previous is not None else (),
            is_current=each is releases[-1],
        )
        for previous, each in zip(before, releases, strict=False)
    ][::-1]


def find(releases: Sequence[StoredRelease], number: int | None, *, space_name: str) -> StoredRelease:
    """Return the release with this number, or without one the release before the current one. Raises ReleaseNotFoundError."""
    hint = f"list the releases with `exasol-ci-setup space releases --name {space_name}`"
    if number is None:
        if len(releases) == 1:
            raise ReleaseNotFoundError(f"space {space_name} has no release before the current one", hint=hint)
        return releases[-2]
    found = next((each for each in releases if each.number == number), None)
    if found is None:
        raise ReleaseNotFoundError(f"space {space_name} has no release {number}", hint=hint)
    return found


def history(releases: Sequence[StoredRelease]) -> str:
    """Return the releases as the JSON text that the template stores."""
    return json.dumps([asdict(each) for each in releases], sort_keys=True)


def _release(number: int, at: datetime, fields: Mapping[str, Any]) -> StoredRelease:
    text = at.astimezone(timezone.utc).isoformat(timespec="seconds")
    values: dict[str, Any] = {name: fields[name] for name in _FIELDS}
    variables: dict[str, Any] = {name: dict(fields.get(name, {})) for name in _VARIABLES}
    return StoredRelease(number=number, at=text, **values, **variables)


def _changes(before: StoredRelease, after: StoredRelease) -> Iterator[str]:
    for name in _FIELDS:
        if getattr(before, name) != getattr(after, name):
            yield name
    old, new = ({**each.env, **each.secrets} for each in (before, after))
    yield from sorted(
        name
        for name in old.keys() | new.keys()
        if old.get(name) != new.get(name) or _kind(before, name) != _kind(after, name)
    )


def _kind(release: StoredRelease, name: str) -> bool:
    return name in release.secrets
