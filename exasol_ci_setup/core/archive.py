"""Reproducible archives: equal trees give identical bytes, independent of source and modification times."""

from __future__ import annotations

import gzip
import hashlib
import os
import posixpath
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Final, cast

from exasol_ci_setup.core.errors import InputError, SetupError

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterator

    from pathspec import GitIgnoreSpec

DEFAULT_IGNORE_FILE: Final = ".gitignore"

# 1980-01-01, the earliest date of all archive formats. GNU tar warns of an implausible time for 1970.
_MODIFICATION_TIME: Final = 315_532_800
_ZIP_TIME: Final = (1980, 1, 1, 0, 0, 0)
_UNIX: Final = 3  # the system in a zip archive whose files have modes
_COMPRESSION_LEVEL: Final = 6
_BLOCK: Final = 1024 * 1024  # bytes
_GENERATED: Final = frozenset({".git", "__pycache__"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One file or symbolic link of a tree. `link` is the target of a link; `open` returns the content of a file."""

    name: str
    open: Callable[[], IO[bytes]]
    executable: bool = False
    link: str | None = None


@dataclass(frozen=True, slots=True)
class Tree:
    """Files and symbolic links by name.

    `skipped` lists the entries that an archive cannot contain, such as sockets. Empty folders are omitted, as in git.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    def add(self, entry: Entry) -> None:
        """Add an entry; replace an entry of the same name."""
        self.entries[entry.name] = entry


def pack(tree: Tree, into: IO[bytes]) -> str:
    """Write the tree as a gzipped tar and return the SHA-256 of the tar.

    The hash does not depend on the version of the compressor. Of the mode of a file, only the owner's executable bit is kept.
    Raises InputError for a file that cannot be read, and SetupError for a file that changes while it is packed.
    """
    with gzip.GzipFile(filename="", mode="wb", compresslevel=_COMPRESSION_LEVEL, fileobj=into, mtime=0) as zipped:
        hashing = _HashingWriter(zipped)
        with tarfile.open(mode="w|", fileobj=cast("IO[bytes]", hashing), format=tarfile.PAX_FORMAT) as archive:
            for name in sorted(tree.entries, key=os.fsencode):
                _write(archive, tree.entries[name])
    return hashing.sha256.hexdigest()


class _HashingWriter:
    """Computes the SHA-256 of the data that is written to a target."""

    def __init__(self, target: gzip.GzipFile) -> None:
        self._target = target
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        return self._target.write(data)


def _write(archive: tarfile.TarFile, entry: Entry) -> None:
    info = tarfile.TarInfo(entry.name)
    info.mtime = _MODIFICATION_TIME
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
            # tarfile raises an OSError without an error number if the file is shorter than its size in the header.
            reason = error.strerror or "the file was shortened while it was read"
            raise SetupError(f"{entry.name} could not be added to the archive: {reason}") from error


def pack_zip(tree: Tree, into: IO[bytes]) -> None:
    """Write the tree as a zip archive. Of the mode of a file, only the owner's executable bit is kept.

    Raises InputError for a file that cannot be read or whose name is not UTF-8, and SetupError for a file that grows while it is packed.
    """
    with zipfile.ZipFile(into, mode="w", compression=zipfile.ZIP_DEFLATED, compresslevel=_COMPRESSION_LEVEL) as packed:
        for name in sorted(tree.entries, key=os.fsencode):
            entry = tree.entries[name]
            info = zipfile.ZipInfo(_utf8(name), date_time=_ZIP_TIME)
            info.create_system = _UNIX
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = _mode(entry) << 16
            if entry.link is not None:
                packed.writestr(info, os.fsencode(entry.link))
                continue
            with entry.open() as content:
                info.file_size = content.seek(0, os.SEEK_END)
                content.seek(0)
                try:
                    with packed.open(info, mode="w") as target:
                        shutil.copyfileobj(content, target)
                except (OSError, RuntimeError) as error:
                    raise SetupError(f"{name} could not be added to the archive: {error}") from error


def content_hash(tree: Tree) -> str:
    """Return the SHA-256 of names, modes and contents, which does not depend on the format and the compressor of an archive.

    Raises InputError for a file that cannot be read or whose name is not UTF-8.
    """
    found = hashlib.sha256()
    for name in sorted(tree.entries, key=os.fsencode):
        entry = tree.entries[name]
        part = hashlib.sha256()
        if entry.link is not None:
            part.update(os.fsencode(entry.link))
        else:
            with entry.open() as content:
                while block := content.read(_BLOCK):
                    part.update(block)
        found.update(f"{_mode(entry):o} {part.hexdigest()} ".encode() + _utf8(name).encode() + b"\0")
    return found.hexdigest()


def _mode(entry: Entry) -> int:
    if entry.link is not None:
        return stat.S_IFLNK | 0o777
    return stat.S_IFREG | (0o755 if entry.executable else 0o644)


def _utf8(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise InputError(f"{name!a} cannot be archived: its name is not UTF-8", hint="rename the file") from None
    return name


def of_artifact(folder: Path) -> Tree:
    """Return the files of a folder for a service of AWS: all, except ``.git`` and Python's caches, which differ between machines.

    Raises InputError for a folder or a file that cannot be read.
    """
    tree = of_folder(folder, None)
    kept = {name: each for name, each in tree.entries.items() if _GENERATED.isdisjoint(name.split("/"))}
    return Tree(kept, tree.skipped)


def of_file(path: Path) -> Tree:
    """Return a tree with one file. Raises InputError if it cannot be read."""
    try:
        executable = bool(path.stat().st_mode & stat.S_IXUSR)
    except OSError as error:
        raise _unreadable(path, error) from error
    return Tree({path.name: Entry(path.name, partial(open_file, path), executable=executable)})


def open_file(path: Path) -> IO[bytes]:
    """Open a file for reading. Raises InputError if it cannot be read."""
    try:
        return path.open("rb")
    except OSError as error:
        raise _unreadable(path, error) from error


def links_out_of(tree: Tree) -> list[str]:
    """Return the names of the symbolic links that lead out of the tree: to an absolute path, or above its top."""
    found = []
    for name, entry in tree.entries.items():
        if entry.link is not None:
            target = posixpath.normpath(posixpath.join(posixpath.dirname(name), entry.link))
            if target.startswith(("/", "../")) or target == "..":
                found.append(name)
    return found


def of_folder(folder: Path, ignorefile: str | None = DEFAULT_IGNORE_FILE) -> Tree:
    """Return the files in `folder`, except ``.git`` and the files that ignore files exclude.

    `ignorefile` is relative to `folder`. If it is a file name without a folder, files of that name in subfolders apply to their
    folders. None includes all files, also ``.git``. Raises InputError for a file that cannot be read, and for a missing ignore file
    other than the default. Ignore files follow the rules of git: https://git-scm.com/docs/gitignore.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder")
    if ignorefile is not None and ignorefile != DEFAULT_IGNORE_FILE and not (folder / ignorefile).is_file():
        raise InputError(f"ignore file {folder / ignorefile} does not exist")
    tree = Tree()
    _walk(folder, "", ignorefile, [], tree)
    return tree


def _walk(
    folder: Path, prefix: str, ignorefile: str | None, rules: list[tuple[str, GitIgnoreSpec]], tree: Tree
) -> None:
    if ignorefile is not None and (not prefix or "/" not in ignorefile):
        rules = _add_rules(folder / ignorefile, prefix, rules)
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda each: os.fsencode(each.name))
    except OSError as error:
        raise _unreadable(folder, error) from error
    for each in entries:
        name = prefix + each.name
        is_folder = each.is_dir(follow_symlinks=False)
        if (each.name == ".git" and ignorefile is not None) or _is_ignored(name, is_folder, rules):
            continue
        if is_folder:
            _walk(folder / each.name, f"{name}/", ignorefile, rules, tree)
        else:
            _add_file(folder / each.name, name, tree)


def _add_file(path: Path, name: str, tree: Tree) -> None:
    """Add a file or a link to `tree`; list other kinds, such as sockets, as skipped."""
    try:
        mode = path.lstat().st_mode
        link = str(path.readlink()) if stat.S_ISLNK(mode) else None
    except OSError as error:
        raise _unreadable(path, error) from error
    if link is None and not stat.S_ISREG(mode):
        tree.skipped.append(name)
    else:
        # Opened when it is packed, so that few files are open at a time.
        tree.add(Entry(name, partial(open_file, path), executable=bool(mode & stat.S_IXUSR), link=link))


def _add_rules(path: Path, prefix: str, rules: list[tuple[str, GitIgnoreSpec]]) -> list[tuple[str, GitIgnoreSpec]]:
    """Return `rules` with the rules of the ignore file, if it exists, before all others."""
    from pathspec import GitIgnoreSpec

    try:
        # `read_text` converts line breaks of Windows. Other characters that may end lines are part of a name, as in git.
        text = path.read_text(encoding="utf-8", errors="surrogateescape").removeprefix("\ufeff")
        return [(prefix, GitIgnoreSpec.from_lines(text.split("\n"))), *rules]
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return rules
    except OSError as error:
        raise _unreadable(path, error) from error
    except ValueError as error:
        raise InputError(f"{path} has an invalid pattern: {error}") from error


def _is_ignored(name: str, is_folder: bool, rules: list[tuple[str, GitIgnoreSpec]]) -> bool:
    for prefix, spec in rules:
        relative = name[len(prefix) :]
        for pattern in reversed(spec.patterns):
            # Comments and blank lines have no regular expression.
            if pattern.regex is not None and _matches(pattern.regex, relative, is_folder):
                return bool(pattern.include)
    return False


def _matches(regex: re.Pattern[str], name: str, is_folder: bool) -> bool:
    """Return whether a pattern matches a file or folder itself, not only a parent folder.

    Files in an excluded folder are not checked. In a folder that another pattern includes again, git checks each name.
    The regular expressions of `pathspec` mark the slash after a matched folder.
    """
    mark = "ps_d"
    if mark not in regex.groupindex:
        return regex.search(name) is not None
    match = regex.search(name)
    if match is not None and match[mark] is None:
        return True
    return is_folder and any(each.end(mark) == len(name) + 1 for each in regex.finditer(f"{name}/"))


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(
        f"{path} cannot be read: {error.strerror or error}", hint="add it to the ignore file, or make it readable"
    )


@contextmanager
def of_download(zipped: IO[bytes]) -> Iterator[Tree]:
    """Yield the files of a gzipped tar of GitHub, without its top folder.

    Raises SetupError if the archive is incomplete, or if a name in it leads out of the folder.
    """
    # Decompressed to a file first: packing seeks in it, and each seek in a gzip file reads from its beginning.
    with tempfile.TemporaryFile() as plain:
        try:
            zipped.seek(0)
            with gzip.GzipFile(fileobj=zipped, mode="rb") as unzipped:
                shutil.copyfileobj(unzipped, plain)
            plain.seek(0)
            with tarfile.open(fileobj=plain, mode="r:") as archive:
                yield _tree_of(archive)
        except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise SetupError(f"the downloaded archive is incomplete: {error}", hint="try again") from error


def _tree_of(archive: tarfile.TarFile) -> Tree:
    tree = Tree()
    for member in archive:
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts:
            raise SetupError(f"the downloaded archive contains a path outside of it: {member.name!r}")
        name = "/".join(path.parts[1:])
        if not name or member.isdir():
            continue
        if member.issym():
            tree.add(Entry(name, _no_content, link=member.linkname))
        elif member.isfile() or member.islnk():
            tree.add(Entry(name, partial(_open_member, archive, member), executable=bool(member.mode & stat.S_IXUSR)))
        else:
            tree.skipped.append(name)
    return tree


def _open_member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = archive.extractfile(member)
    if content is None:
        raise SetupError(f"the downloaded archive has no content of {member.name!r}")
    return content


def _no_content() -> IO[bytes]:
    raise AssertionError("a link has no content")
