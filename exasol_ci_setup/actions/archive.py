"""Reproducible archives: of equal trees the same bytes, wherever they come from and whenever they were written."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import stat
import tarfile
import tempfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Final, cast

from exasol_ci_setup.errors import InputError, SetupError

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterator

    from pathspec import GitIgnoreSpec

DEFAULT_IGNORE_FILE: Final = ".gitignore"

# The first day that every format of archives can tell; with 1970 GNU tar warns of an implausible time.
_TIME: Final = 315_532_800
_LEVEL: Final = 6


@dataclass(frozen=True, slots=True)
class Entry:
    """One file or symbolic link of a tree; `link` is where a link leads, `open` gives the content of a file."""

    name: str
    open: Callable[[], IO[bytes]]
    executable: bool = False
    link: str | None = None


@dataclass(frozen=True, slots=True)
class Tree:
    """Files and symbolic links by their names. `skipped` names what an archive cannot hold, such as sockets.

    As for git, a folder is there only through the files in it.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    def add(self, entry: Entry) -> None:
        """Add an entry; one of the same name is replaced."""
        self.entries[entry.name] = entry


def pack(tree: Tree, into: IO[bytes]) -> str:
    """Write the tree as a gzipped tar, and return the SHA-256 of the tar, which no version of a compressor changes.

    Of files only the bit that makes them executable for their owner is kept. Raises InputError that names a file which
    cannot be read, and SetupError for one that changes meanwhile.
    """
    with gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=into, mtime=0) as zipped:
        hashing = _Hashing(zipped)
        with tarfile.open(mode="w|", fileobj=cast("IO[bytes]", hashing), format=tarfile.PAX_FORMAT) as archive:
            for name in sorted(tree.entries, key=os.fsencode):
                _write(archive, tree.entries[name])
    return hashing.sha256.hexdigest()


class _Hashing:
    """Passes on what is written, and hashes it on the way."""

    def __init__(self, target: gzip.GzipFile) -> None:
        self._target = target
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        return self._target.write(data)


def _write(archive: tarfile.TarFile, entry: Entry) -> None:
    info = tarfile.TarInfo(entry.name)
    info.mtime = _TIME
    if entry.link is not None:
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, entry.link, 0o777
        archive.addfile(info)
        return
    info.mode = 0o755 if entry.executable else 0o644
    with entry.open() as content:
        info.size = content.seek(0, os.SEEK_END)
        content.seek(0)
        try:
            archive.addfile(info, content)
        except OSError as error:
            # tarfile itself raises one without a number, when there is less to read than there was.
            why = error.strerror or "it became shorter meanwhile"
            raise SetupError(f"{entry.name} could not be put into the archive: {why}") from error


def of_folder(folder: Path, ignorefile: str | None = DEFAULT_IGNORE_FILE) -> Tree:
    """Return what is in `folder`, but for ``.git`` and what the ignore files exclude by git's rules; with None all that is in it.

    `ignorefile` is relative to `folder`; if it is a mere name, files of that name further down count for their folders. None there
    means that nothing is excluded, unless it is another than the default. Raises InputError that names what cannot be read.
    Source of the rules: https://git-scm.com/docs/gitignore.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder")
    if ignorefile is not None and ignorefile != DEFAULT_IGNORE_FILE and not (folder / ignorefile).is_file():
        raise InputError(f"there is no ignore file {folder / ignorefile}")
    tree = Tree()
    _walk(folder, "", ignorefile, [], tree)
    return tree


def _walk(
    folder: Path, prefix: str, ignorefile: str | None, rules: list[tuple[str, GitIgnoreSpec]], tree: Tree
) -> None:
    if ignorefile is not None and (not prefix or "/" not in ignorefile):
        rules = _with_rules_of(folder / ignorefile, prefix, rules)
    try:
        with os.scandir(folder) as listing:
            found = sorted(listing, key=lambda each: os.fsencode(each.name))
    except OSError as error:
        raise _unreadable(folder, error) from error
    for each in found:
        name = prefix + each.name
        is_folder = each.is_dir(follow_symlinks=False)
        if (each.name == ".git" and ignorefile is not None) or _is_ignored(name, is_folder, rules):
            continue
        path = folder / each.name
        if is_folder:
            _walk(path, f"{name}/", ignorefile, rules, tree)
            continue
        try:
            mode = each.stat(follow_symlinks=False).st_mode
            link = str(path.readlink()) if stat.S_ISLNK(mode) else None
        except OSError as error:
            raise _unreadable(path, error) from error
        if link is None and not stat.S_ISREG(mode):
            tree.skipped.append(name)
            continue
        tree.add(Entry(name, _Opening(path), executable=bool(mode & stat.S_IXUSR), link=link))


@dataclass(frozen=True, slots=True)
class _Opening:
    """Opens a file when it is packed, so that few are open at a time."""

    path: Path

    def __call__(self) -> IO[bytes]:
        try:
            return self.path.open("rb")
        except OSError as error:
            raise _unreadable(self.path, error) from error


def _with_rules_of(path: Path, prefix: str, rules: list[tuple[str, GitIgnoreSpec]]) -> list[tuple[str, GitIgnoreSpec]]:
    """Return the rules with those of the ignore file, if there is one, before all others."""
    from pathspec import GitIgnoreSpec

    try:
        # Line breaks of Windows are made git's by the reading; other characters that may end lines are parts of names.
        text = path.read_text(encoding="utf-8", errors="surrogateescape").removeprefix("\ufeff")
        return [(prefix, GitIgnoreSpec.from_lines(text.split("\n"))), *rules]
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return rules
    except OSError as error:
        raise _unreadable(path, error) from error
    except ValueError as error:
        raise InputError(f"{path} has a pattern that git would not take: {error}") from error


def _is_ignored(name: str, is_folder: bool, rules: list[tuple[str, GitIgnoreSpec]]) -> bool:
    for prefix, spec in rules:
        relative = name[len(prefix) :]
        for pattern in reversed(spec.patterns):
            # Comments and blank lines have no expression.
            if pattern.regex is not None and _matches(pattern.regex, relative, is_folder):
                return bool(pattern.include)
    return False


def _matches(regex: re.Pattern[str], name: str, is_folder: bool) -> bool:
    """Return whether a pattern matches a file or folder itself, and not only a folder that it is in.

    What is in a folder that is left out is not even looked at; and in one that another pattern takes back, git goes by what the
    patterns say of each name. The library's expressions mark the slash after a folder that they match.
    """
    mark = "ps_d"
    if mark not in regex.groupindex:
        return regex.search(name) is not None
    found = regex.search(name)
    if found is not None and found[mark] is None:
        return True
    return is_folder and any(each.end(mark) == len(name) + 1 for each in regex.finditer(f"{name}/"))


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(
        f"{path} cannot be read: {error.strerror or error}", hint="name it in the ignore file, or let it be read"
    )


@contextmanager
def of_download(zipped: IO[bytes]) -> Iterator[Tree]:
    """Give what is in a gzipped tar whose entries stand in one folder, as GitHub makes it, without that folder.

    Raises SetupError if it is not a whole archive, or if a name in it leads out of the folder.
    """
    # Unpacked to a file first: packing goes back and forth in it, which in a compressed file takes a start from its beginning.
    with tempfile.TemporaryFile() as plain:
        try:
            zipped.seek(0)
            with gzip.GzipFile(fileobj=zipped, mode="rb") as unzipped:
                shutil.copyfileobj(unzipped, plain)
            plain.seek(0)
            with tarfile.open(fileobj=plain, mode="r:") as archive:
                yield _tree_of(archive)
        except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise SetupError(f"what was downloaded is not a whole archive: {error}", hint="try again") from error


def _tree_of(archive: tarfile.TarFile) -> Tree:
    tree = Tree()
    for member in archive:
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts:
            raise SetupError(f"the archive that was downloaded holds a name that leads out of it: {member.name!r}")
        name = "/".join(path.parts[1:])
        if not name or member.isdir():
            continue
        if member.issym():
            tree.add(Entry(name, _nothing, link=member.linkname))
        elif member.isfile() or member.islnk():
            tree.add(Entry(name, _Extracting(archive, member), executable=bool(member.mode & stat.S_IXUSR)))
        else:
            tree.skipped.append(name)
    return tree


@dataclass(frozen=True, slots=True)
class _Extracting:
    """Gives the content of a file in an archive."""

    archive: tarfile.TarFile
    member: tarfile.TarInfo

    def __call__(self) -> IO[bytes]:
        content = self.archive.extractfile(self.member)
        if content is None:
            raise SetupError(f"the archive that was downloaded holds no content of {self.member.name!r}")
        return content


def _nothing() -> IO[bytes]:
    raise AssertionError("a link has no content of its own")
