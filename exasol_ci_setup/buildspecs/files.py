"""Compares generated files with those on disk, and replaces them without anybody seeing half a file."""

from __future__ import annotations

import contextlib
import difflib
import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from exasol_ci_setup.errors import InputError
from exasol_ci_setup.whole_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class GeneratedFile:
    """A file as it is to be, and as it was `found`; None if it was not there."""

    path: Path
    content: str
    found: bytes | None

    @property
    def stale(self) -> bool:
        """Whether the file on disk is not what it is to be."""
        return self.found != self.content.encode()

    def diff(self) -> str:
        """Return the change as a unified diff; empty if there is none."""
        name = self.path.as_posix()
        lines = difflib.unified_diff(
            # Line breaks of other kinds are part of a line, as for other tools that show differences.
            list(io.StringIO((self.found or b"").decode("utf-8", "replace"))),
            list(io.StringIO(self.content)),
            "/dev/null" if self.found is None else f"{name} (on disk)",
            f"{name} (generated)",
        )
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def from_root(path: Path, what: str) -> str:
    """Return `path` as a POSIX path relative to the working directory, which is the repository's root.

    Raises InputError if it lies outside, or has a backslash in it; `what` is what the message calls it.
    """
    if "\\" in str(path):
        raise InputError(f"{what} {path} has a backslash in it", hint="write / between directories")
    try:
        root = Path.cwd()
    except OSError as error:
        raise InputError(
            f"the working directory cannot be read: {error.strerror}", hint="run the command in the repository's root"
        ) from None
    # The second way is for a path that reaches the working directory by another name, through a symbolic link.
    for candidate, base in ((Path(os.path.abspath(path)), root), (path.resolve(), root.resolve())):  # noqa: PTH100 - links stay as they are
        with contextlib.suppress(ValueError):
            return candidate.relative_to(base).as_posix()
    raise InputError(
        f"{what} {path} lies outside of {root}: builds find it only inside the repository",
        hint="run the command in the repository's root, and give a path below it",
    )


def compare(directory: Path, contents: Mapping[str, str]) -> tuple[GeneratedFile, ...]:
    """Read what is on disk for each of `contents`, texts by file name. Raises InputError if that is not possible."""
    return tuple(
        GeneratedFile(directory / name, content, _found(directory / name)) for name, content in contents.items()
    )


def write(file: GeneratedFile) -> None:
    """Replace the file, or make it, in one step; an existing one keeps its mode, and a link to it stays a link.

    The directory is made if need be. Raises InputError if it cannot be written.
    """
    target = Path(os.path.realpath(file.path))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        mode = None if file.found is None else stat.S_IMODE(target.stat().st_mode)
        write_whole(target, file.content.encode(), mode=mode)
    except (FileExistsError, NotADirectoryError) as error:
        raise InputError(
            f"{file.path} cannot be written: {error.filename} is not a directory", hint="give another --output-path"
        ) from error
    except OSError as error:
        raise InputError(
            f"{file.path} cannot be written: {error.strerror}",
            hint=f"make {file.path.parent} writable, or give another --output-path",
        ) from error


def _found(path: Path) -> bytes | None:
    try:
        if stat.S_ISFIFO(path.stat().st_mode):
            # Reading it would wait for somebody to write.
            raise InputError(f"{path} cannot be read: it is a pipe", hint="give another --output-path")
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        raise InputError(
            f"{path} cannot be read: {path.parent} is not a directory", hint="give another --output-path"
        ) from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", hint="give another --output-path") from error
