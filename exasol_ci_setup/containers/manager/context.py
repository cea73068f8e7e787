"""The files of a build context, as a reproducible archive."""

from __future__ import annotations

import io
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from pathspec import GitIgnoreSpec

from exasol_ci_setup.core import archive

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True)
class Context:
    """A selection of the files in `folder`: all except the patterns in `exclude`.

    With `use_gitignore`, files that git ignores are omitted. `include` adds omitted files again.
    The patterns are those of ignore files: https://git-scm.com/docs/gitignore.
    """

    folder: Path
    enabled: bool = True
    use_gitignore: bool = False
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


def read_tree(context: Context) -> archive.Tree:
    """Return the files of a context. Raises InputError if the folder is missing or a file cannot be read."""
    if not context.enabled:
        return archive.Tree()
    everything = archive.of_folder(context.folder, None) if context.include or not context.use_gitignore else None
    chosen = _read_unignored(context.folder) if context.use_gitignore else everything
    assert chosen is not None  # noqa: S101 - one of the two was read
    if not context.include and not context.exclude:
        return chosen
    excluded = set(GitIgnoreSpec.from_lines(context.exclude).match_files(chosen.entries))
    kept = {name: entry for name, entry in chosen.entries.items() if name not in excluded}
    if everything is not None and context.include:
        wanted = GitIgnoreSpec.from_lines(context.include).match_files(everything.entries)
        kept |= {name: everything.entries[name] for name in wanted}
    return archive.Tree(kept, chosen.skipped)


def _read_unignored(folder: Path) -> archive.Tree:
    """Return the files of a folder that git does not ignore, by the ignore files of the whole repository."""
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
def pack(
    files: archive.Tree, contents: Mapping[str, str], contexts: Mapping[str, Context]
) -> Iterator[tuple[IO[bytes], str]]:
    """Yield an archive and the SHA-256 of its content.

    The archive contains `files`, the texts in `contents`, and an archive of each of `contexts`, by name.
    Raises the errors of `read_tree`, and SetupError for a file that changes meanwhile.
    """
    with tempfile.TemporaryDirectory(prefix="exasol-ci-setup-") as folder:
        for name, text in contents.items():
            files.add(archive.Entry(name, partial(io.BytesIO, text.encode("utf-8", "surrogatepass"))))
        for number, (name, context) in enumerate(contexts.items()):
            path = Path(folder) / str(number)
            with path.open("wb") as inner:
                archive.pack(read_tree(context), inner)
            files.add(archive.Entry(name, partial(archive.open_file, path)))
        with tempfile.TemporaryFile(dir=folder) as whole:
            digest = archive.pack(files, whole)
            whole.seek(0)
            yield whole, digest
