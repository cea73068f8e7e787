"""Read the JSON file with a repository's build configuration, which the build commands share."""

from __future__ import annotations

import json
import stat
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.core.files import read_error
from exasol_ci_setup.core.text import suggestion, without_duplicates

# The valid content of the file: an object with these keys, or a value of this type.
_SHAPE: Final[dict[str, Any]] = {
    "build": {"ignore": {"paths": list}, "base_branch": str},
    "release": {"timeout_in_minutes": int},
}
# Thirty-one days: far longer than any build, and no overflow as a timeout in seconds.
_LONGEST_TIMEOUT: Final = 31 * 24 * 60
_TYPES: Final = {dict: "an object", list: "a list", str: "text", int: "a whole number"}


@dataclass(frozen=True, slots=True)
class Ignore:
    """`paths`, relative to the repository's root: a push that changes only these starts no build."""

    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Build:
    """How pushes are built. `base_branch` is the branch with which a build compares, or None if not set."""

    ignore: Ignore = field(default_factory=Ignore)
    base_branch: str | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """How releases are built. `timeout_in_minutes` is how long to wait for one, in minutes, or None if not set."""

    timeout_in_minutes: int | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """The whole file. `absent` names its missing keys, such as ``release.timeout_in_minutes``."""

    build: Build = field(default_factory=Build)
    release: Release = field(default_factory=Release)
    absent: tuple[str, ...] = ()


def load(path: Path, *, check_paths: bool = True) -> Config:
    """Read the file at `path`, in which every key is optional.

    Ignored paths are searched in the working directory, which is the repository's root; without `check_paths` they are not
    checked. Raises InputError with the file, and the line or the key: it cannot be read, is not JSON, has an unknown or
    duplicate key, a value of the wrong type or an invalid time, or an ignored path that does not exist or that
    can never match a changed file.
    """
    data = _parsed(path)
    _check(path, "", data, _SHAPE)
    build, release = data.get("build", {}), data.get("release", {})
    paths = tuple(build.get("ignore", {}).get("paths", ()))
    for number, each in enumerate(paths if check_paths else ()):
        _check_ignored(path, f"build.ignore.paths[{number}]", each)
    if build.get("base_branch") == "":
        raise _refused(path, "build.base_branch", "it is empty")
    if not 1 <= (minutes := release.get("timeout_in_minutes", 1)) <= _LONGEST_TIMEOUT:
        rule = "use 1 or more" if minutes < 1 else f"use at most {_LONGEST_TIMEOUT}, which is 31 days"
        raise _refused(path, "release.timeout_in_minutes", f"{rule}, not {str(minutes)[:20]}")
    return Config(
        build=Build(ignore=Ignore(paths), base_branch=build.get("base_branch")),
        release=Release(release.get("timeout_in_minutes")),
        absent=tuple(_absent("", data, _SHAPE)),
    )


def _parsed(path: Path) -> Any:
    try:
        if not stat.S_ISREG(mode := path.stat().st_mode) and not stat.S_ISDIR(mode):
            # Reading a pipe without a writer would never end.
            raise InputError(f"the config file {path} cannot be read: it is not a regular file")
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(
            f"the config file {path} does not exist", hint="set the path of a JSON file with --config-file"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise read_error(f"the config file {path}", error) from error
    try:
        return json.loads(text, object_pairs_hook=without_duplicates)
    except json.JSONDecodeError as error:
        raise InputError(
            f"the config file {path} is not JSON: line {error.lineno}, column {error.colno}: {error.msg}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"the config file {path} cannot be read: {error}") from error


def _check(path: Path, where: str, value: Any, shape: Any) -> None:
    kind = dict if isinstance(shape, dict) else shape
    # In Python true is an integer, in JSON it is not.
    if not isinstance(value, kind) or isinstance(value, bool):
        raise _refused(path, where, f"use {_TYPES[kind]}, not {json.dumps(value)[:60]}")
    if isinstance(shape, dict):
        for key, inner in value.items():
            if key not in shape:
                near = suggestion(key, shape, f"valid keys: {', '.join(shape)}")
                raise _refused(path, _below(where, key), f"unknown key{near}")
            _check(path, _below(where, key), inner, shape[key])
    elif kind is list:
        for number, inner in enumerate(value):
            _check(path, f"{where}[{number}]", inner, str)


def _check_ignored(path: Path, where: str, ignored: str) -> None:
    # A build compares the start of each changed path, as Git prints it, with the ignored path.
    written = PurePosixPath(ignored)
    below_root = not written.is_absolute() and ".." not in written.parts and written.parts
    if not below_root or ignored.rstrip("/") != str(written):
        instead = f"write {str(written)!a}" if below_root else "write a path below the repository's root, such as 'doc'"
        raise _refused(path, where, f"{ignored!a} does not match any path of Git; {instead}")
    try:
        exists = Path(ignored).exists()
    except (OSError, ValueError):
        exists = False
    if not exists:
        raise _refused(path, where, f"{ignored!a} does not exist in {Path.cwd()}")


def _absent(where: str, value: dict[str, Any], shape: dict[str, Any]) -> list[str]:
    found: list[str] = []
    for key, inner in shape.items():
        if isinstance(inner, dict):
            found += _absent(_below(where, key), value.get(key, {}), inner)
        elif key not in value:
            found.append(_below(where, key))
    return found


def _below(where: str, key: str) -> str:
    name = key if key.isidentifier() and key.isascii() else ascii(key)
    return f"{where}.{name}" if where else name


def _refused(path: Path, where: str, rule: str) -> InputError:
    return InputError(f"the config file {path} is invalid: {where + ': ' if where else ''}{rule}")


__all__ = ["Build", "Config", "Ignore", "Release", "load"]
