"""Compare generated files with the files on disk, and replace them atomically."""

from __future__ import annotations

import contextlib
import difflib
import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from exasol_ci_setup.builds.checkout import require_root, working_directory
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.core.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class GeneratedFile:
    """A generated file; `existing` is its current content on disk, None if the file does not exist."""

    path: Path
    content: str
    existing: bytes | None

    @property
    def stale(self) -> bool:
        """Whether the file on disk differs from the generated content, apart from line ends, which Git may convert (``core.autocrlf``)."""
        return self.existing is None or self._existing_lines != self.content.encode()

    @property
    def _existing_lines(self) -> bytes:
        return (self.existing or b"").replace(b"\r\n", b"\n")

    def diff(self) -> str:
        """Return the change as a unified diff, empty without changes."""
        name = self.path.as_posix()
        lines = difflib.unified_diff(
            # Only line feeds end a line, as in other diff tools.
            list(io.StringIO(self._existing_lines.decode("utf-8", "replace"))),
            list(io.StringIO(self.content)),
            "/dev/null" if self.existing is None else f"{name} (on disk)",
            f"{name} (generated)",
        )
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def from_root(path: Path, what: str) -> str:
    """Return `path` as a POSIX path relative to the working directory, which is the repository's root.

    Raises InputError for a path outside of the repository or with a backslash, and as `require_root`; `what` names the path in the message.
    """
    require_root()
    if "\\" in str(path):
        raise InputError(f"{what} {path} contains a backslash", hint="write / between directories")
    root = working_directory()
    # The second pair handles a path that reaches the working directory through a symbolic link.
    for candidate, base in ((Path(os.path.abspath(path)), root), (path.resolve(), root.resolve())):  # noqa: PTH100 - does not resolve links
        with contextlib.suppress(ValueError):
            return candidate.relative_to(base).as_posix()
    raise InputError(
        f"{what} {path} is outside of {root}: builds find only files of the repository",
        hint="run the command in the repository's root, and pass a path below it",
    )


def compare(directory: Path, contents: Mapping[str, str]) -> tuple[GeneratedFile, ...]:
    """Read the existing file for each of `contents` (text by file name). Raises InputError if a file cannot be read."""
    return tuple(
        GeneratedFile(directory / name, content, _read(directory / name)) for name, content in contents.items()
    )


def write(file: GeneratedFile) -> None:
    """Create or replace the file atomically. An existing file keeps its mode; a symbolic link is kept.

    A missing directory is created. Raises InputError if the file cannot be written.
    """
    target = Path(os.path.realpath(file.path))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        mode = None if file.existing is None else stat.S_IMODE(target.stat().st_mode)
        write_whole(target, file.content.encode(), mode=mode)
    except (FileExistsError, NotADirectoryError) as error:
        raise InputError(
            f"{file.path} cannot be written: {error.filename} is not a directory", hint="use another --output-path"
        ) from error
    except OSError as error:
        raise InputError(
            f"{file.path} cannot be written: {error.strerror}",
            hint=f"make {file.path.parent} writable, or use another --output-path",
        ) from error


def _read(path: Path) -> bytes | None:
    try:
        if stat.S_ISFIFO(path.stat().st_mode):
            # A read would wait for a writer without limit.
            raise InputError(f"{path} cannot be read: it is a pipe", hint="use another --output-path")
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        raise InputError(
            f"{path} cannot be read: {path.parent} is not a directory", hint="use another --output-path"
        ) from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", hint="use another --output-path") from error
