"""The files that an image is built from, as an archive of which equal files make equal bytes."""

from __future__ import annotations

import io
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from exasol_ci_setup.actions import archive

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True)
class Context:
    """Which files of which folder: all, but for those that git ignores if asked for, and `exclude`; `include` brings back.

    Both have patterns as in ignore files: https://git-scm.com/docs/gitignore.
    """

    folder: Path
    enabled: bool = True
    use_gitignore: bool = False
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


def tree(context: Context) -> archive.Tree:
    """Return the files of a context. Raises InputError that names what cannot be read, or the folder that is not there."""
    if not context.enabled:
        return archive.Tree()
    everything = archive.of_folder(context.folder, None) if context.include or not context.use_gitignore else None
    chosen = _not_ignored(context.folder) if context.use_gitignore else everything
    assert chosen is not None  # noqa: S101 - one of the two was read
    if not context.include and not context.exclude:
        return chosen
    from pathspec import GitIgnoreSpec

    excluded = set(GitIgnoreSpec.from_lines(context.exclude).match_files(chosen.entries))
    kept = {name: entry for name, entry in chosen.entries.items() if name not in excluded}
    if everything is not None and context.include:
        wanted = GitIgnoreSpec.from_lines(context.include).match_files(everything.entries)
        kept |= {name: everything.entries[name] for name in wanted}
    return archive.Tree(kept, chosen.skipped)


def _not_ignored(folder: Path) -> archive.Tree:
    """Return what git does not ignore; the ignore files of the whole repository count, although only a folder of it is wanted."""
    folder = folder.absolute()
    root = next((each for each in (folder, *folder.parents) if (each / ".git").exists()), folder)
    found = archive.of_folder(root)
    if root == folder:
        return found
    prefix = f"{folder.relative_to(root).as_posix()}/"
    return archive.Tree(
        {
            name.removeprefix(prefix): archive.Entry(
                name.removeprefix(prefix), entry.open, entry.executable, entry.link
            )
            for name, entry in found.entries.items()
            if name.startswith(prefix)
        },
        [name.removeprefix(prefix) for name in found.skipped if name.startswith(prefix)],
    )


@contextmanager
def packed(
    files: archive.Tree, contents: Mapping[str, str], contexts: Mapping[str, Context]
) -> Iterator[tuple[IO[bytes], str]]:
    """Give an archive of `files`, of texts and of archives of further contexts, each by its name, and the SHA-256 of what is in it.

    Raises the errors of `tree`, and SetupError for a file that changes meanwhile.
    """
    with tempfile.TemporaryDirectory(prefix="exasol-ci-setup-") as folder:
        for name, text in contents.items():
            files.add(archive.Entry(name, _Text(text)))
        for number, (name, context) in enumerate(contexts.items()):
            path = Path(folder) / str(number)
            with path.open("wb") as inner:
                archive.pack(tree(context), inner)
            files.add(archive.Entry(name, _File(path)))
        with tempfile.TemporaryFile(dir=folder) as whole:
            digest = archive.pack(files, whole)
            whole.seek(0)
            yield whole, digest


@dataclass(frozen=True, slots=True)
class _Text:
    text: str

    def __call__(self) -> IO[bytes]:
        return io.BytesIO(self.text.encode("utf-8", "surrogatepass"))


@dataclass(frozen=True, slots=True)
class _File:
    path: Path

    def __call__(self) -> IO[bytes]:
        return self.path.open("rb")
