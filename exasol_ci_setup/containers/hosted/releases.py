"""The release that each app had before, with the values of its variables, in files that only the owner can read."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.containers.hosted.options import NO_OPTIONS, AppOptions
from exasol_ci_setup.containers.hosted.storage import storage_errors
from exasol_ci_setup.core.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FOLDER: Final = "releases"


@dataclass(frozen=True, slots=True)
class Release:
    """What an app runs: an image by its name, the variables of the request, and the options of the request.

    `image_id` selects one image of that name; None is the newest one.
    """

    image: str
    variables: Mapping[str, str] = field(repr=False)
    options: AppOptions = NO_OPTIONS
    image_id: str | None = None


def find_changes(before: Release | None, after: Release) -> list[str]:
    """Return the names of the image, the options and the variables that differ, without values; none if `before` is unknown."""
    if before is None:
        return []
    fields: list[tuple[str, Any, Any]] = [("image", (before.image, before.image_id), (after.image, after.image_id))]
    fields += [(name, getattr(before.options, name), getattr(after.options, name)) for name in AppOptions.model_fields]
    names = before.variables.keys() | after.variables.keys()
    fields += [(name, before.variables.get(name), after.variables.get(name)) for name in sorted(names)]
    return [name for name, old, new in fields if old != new]


class Releases:
    """The files in a state `directory`, by app and ID of the container that ran the release.

    Docker has the variables of running apps. Those of the release before are kept here until the next deployment.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._folder = directory / FOLDER

    def save(self, app: str, container: str, release: Release) -> None:
        """Store a release. Raises StateError if it cannot be written."""
        record = {
            "image": release.image,
            "image_id": release.image_id,
            "variables": dict(release.variables),
            "options": release.options.model_dump(exclude_none=True),
        }
        with storage_errors(self._directory):
            self._folder.mkdir(mode=0o700, exist_ok=True)
            write_whole(self._path(app, container), json.dumps(record).encode("ascii"), mode=0o600, fsync=True)

    def load(self, app: str, container: str | None) -> Release | None:
        """Return a release, or None if it is not stored."""
        if container is None:
            return None
        with storage_errors(self._directory):
            try:
                found = json.loads(self._path(app, container).read_bytes())
            except FileNotFoundError:
                return None
        return Release(
            found["image"], found["variables"], AppOptions.model_validate(found["options"]), found["image_id"]
        )

    def delete_others(self, app: str, *, keep: str | None) -> None:
        """Delete the releases of an app, except that of the container `keep`."""
        with storage_errors(self._directory):
            # Names of apps have no point. Names of temporary files of a killed process begin with one.
            for path in (*self._folder.glob(f"{app}.*"), *self._folder.glob(f".{app}.*")):
                if keep is None or path != self._path(app, keep):
                    path.unlink(missing_ok=True)

    def _path(self, app: str, container: str) -> Path:
        return self._folder / f"{app}.{container[:32]}"
