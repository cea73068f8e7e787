"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write_whole(
    path: Path, content: bytes, *, mode: int | None = None, fsync: bool = False, scratch: Path | None = None
) -> None:
    """Put `content` in the place of what is in `path`: whoever reads it finds the one or the other.

    The file has `mode` from its first byte; without one the umask decides. With `fsync` the content is on the disk before it takes
    the place, which costs milliseconds. It is written beside `path`, or in the directory `scratch`, which has to be on the same file
    system. A link at `path` is replaced by the file.

    Raises OSError; then nothing is left of it, and what was in `path` is there.
    """
    # From the system, since the module `secrets` takes its time to load.
    unfinished = (scratch or path.parent) / f".{path.name[:200]}.{os.urandom(4).hex()}.new"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        with open(os.open(unfinished, flags, 0o666 if mode is None else mode), "wb") as stream:  # noqa: PTH123 - a descriptor
            if mode is not None:
                os.fchmod(stream.fileno(), mode)
            stream.write(content)
            if fsync:
                stream.flush()
                os.fsync(stream.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
