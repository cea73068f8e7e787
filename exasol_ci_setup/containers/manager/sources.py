"""The files of a configuration: the file of the user, the selected file, and the files that they list."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from exasol_ci_setup.containers.manager.document import Document
from exasol_ci_setup.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_FILE: Final = Path("harpoon.yml")
USER_FILES: Final = (".harpoonrc.yml", ".harpoon.yml")
_FOLDERS: Final = "__images_from__"
_MAX_FILES: Final = 100


@dataclass
class Sources:
    """The merged values of all files. `origins` has the file of each image that is not in the selected file."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, Path] = field(default_factory=dict)


def select_file(given: Path | None) -> Path:
    """Return the file of `--config` or its variables, otherwise `harpoon.yml`, otherwise the file of the user."""
    if given is not None:
        return given
    user_file = find_user_file()
    return user_file if user_file is not None and not DEFAULT_FILE.exists() else DEFAULT_FILE


def find_user_file() -> Path | None:
    """Return the file in the home directory with values for all configurations, or None."""
    try:
        home = Path.home()
    except RuntimeError:
        return None
    return next((home / name for name in USER_FILES if (home / name).is_file()), None)


def read(path: Path) -> Sources:
    """Read `path`, over the file of the user, with the files that both list.

    Values of the file override those of the user and those in `images.__images_from__`. Values in `harpoon.extra_files` override those
    of the file. Raises InputError with the file, the position and the reason.
    """
    reader = _Reader(path)
    user_file = find_user_file()
    if user_file is not None:
        reader.collect(user_file)
    reader.collect(path)
    return reader.found


def read_file(path: Path, *, listed_in: str = "") -> dict[str, Any]:
    """Read one file; `listed_in` is the place that lists it, if any. Raises InputError with the file, the position and the reason."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{listed_in}{': ' if listed_in else ''}{path} cannot be read: {error.strerror}",
            hint="" if listed_in else "set the configuration with `--config PATH` or CONTAINER_MANAGER_CONFIG",
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} cannot be read: it is not UTF-8 at byte {error.start}") from error
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise InputError(f"{path}: {where}{getattr(error, 'problem', None) or error}") from error
    except (ValueError, RecursionError) as error:
        # Such as an impossible date. The YAML reader does not report its position.
        why = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise InputError(f"{path}: a value cannot be read: {why}") from error
    if values is not None and not isinstance(values, dict):
        raise InputError(f"{path}: the file must be a mapping with the key `images`")
    return values or {}


class _Reader:
    """Reads each file once, and merges the values in the order of the files."""

    def __init__(self, path: Path) -> None:
        self._root = path.absolute().parent
        self._selected = _resolve(path)
        self._done: set[Path] = set()
        self.found = Sources()

    def collect(self, path: Path, *, listed_in: str = "") -> None:
        """Add the values of a file and of the files that it lists; `listed_in` is the place that lists the file, if any."""
        if _resolve(path) in self._done:
            return
        self._done.add(_resolve(path))
        if len(self._done) > _MAX_FILES:
            raise InputError(f"{path}: the configuration has more than {_MAX_FILES} files")
        values = read_file(path, listed_in=listed_in)
        images = values.get("images")
        if isinstance(images, dict) and _FOLDERS in images:
            values = {**values, "images": {name: each for name, each in images.items() if name != _FOLDERS}}
            self._add_folders(images[_FOLDERS], values, path)
        self._add(values, path)
        settings = values.get("harpoon")
        if isinstance(settings, dict) and "extra_files" in settings:
            where = f"{path}: harpoon.extra_files"
            for each in self._list_paths(settings["extra_files"], where, self.found.values, path):
                self.collect(each, listed_in=where)

    def _add_folders(self, written: Any, values: Mapping[str, Any], path: Path) -> None:
        """Add the images of folders: one file for each image, with its name."""
        where = f"{path}: images.{_FOLDERS}"
        for folder in self._list_paths(written, where, values, path):
            if not folder.is_dir():
                raise InputError(f"{where}: {folder} is not a directory")
            for each in sorted((*folder.rglob("*.yml"), *folder.rglob("*.yaml"))):
                self._add({"images": {each.stem: read_file(each)}}, each)

    def _add(self, values: dict[str, Any], path: Path) -> None:
        images = values.get("images")
        for name in images if isinstance(images, dict) else ():
            self.found.origins[str(name)] = path
            if _resolve(path) == self._selected:
                del self.found.origins[str(name)]
        self.found.values = merge(self.found.values, values)

    def _list_paths(self, written: Any, where: str, values: Mapping[str, Any], path: Path) -> list[Path]:
        """Return the paths in a file, relative to its folder, with their references expanded."""
        listed = written if isinstance(written, list) else [written]
        if not all(isinstance(each, str) and each for each in listed):
            raise InputError(f"{where}: a path or a list of paths is needed")
        document = Document(values, self._root)
        try:
            return [path.absolute().parent / Path(document.expand(each)).expanduser() for each in listed]
        except (ValueError, RuntimeError) as error:
            raise InputError(f"{where}: {error}") from None


def _resolve(path: Path) -> Path:
    """Return a path that is equal for all names of a file."""
    try:
        return path.resolve()
    except RuntimeError:
        # A loop of links, which cannot be read either.
        return path.absolute()


def merge(base: Any, over: Any) -> Any:
    """Return `over`, with the members of `base` that a mapping does not have."""
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    return {**base, **{key: merge(base[key], each) if key in base else each for key, each in over.items()}}
