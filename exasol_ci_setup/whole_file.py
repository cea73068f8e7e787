"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write_whole(
    path: Path, content: bytes, *, mode: int | None = None, fsync: bool = False, scratch: Path | None = None
) -> None:
    """Put `content` in the place of what is in `path`: whoever reads it finds the one or the other.

    The file has `mode` from its first byte; without one the umask decides. With `fsync` the content is on the disk before it takes
    the place, which costs milliseconds. It is written beside `path`, or in the directory `scratch`, which has to be on the same file
    system. A link at `path` is replaced by the file. What `is_stream` is never replaced: the content is written to it.

    Raises OSError; then nothing is left of it, and what was in `path` is there.
    """
    if is_stream(path):
        _write_into(path, content)
        return
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


def is_stream(path: Path) -> bool:
    """Return whether `path` leads to a device, a pipe or a socket, or to a file that a process has open, as ``/dev/stdout`` does.

    A rename over one of these would take it from the machine, or from another process.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) or _leads_through_proc(path)


def _leads_through_proc(path: Path) -> bool:
    while not os.path.realpath(path.parent).startswith("/proc/"):
        if not path.is_symlink():
            return False
        # It ends, since the system itself has followed the links.
        path = path.parent / path.readlink()
    return True


def _write_into(path: Path, content: bytes) -> None:
    if path.is_block_device():
        raise OSError(errno.EINVAL, "it is a block device", str(path))
    # What is in a file already, to which a shell appends this output, stays.
    with open(os.open(path, os.O_WRONLY | os.O_APPEND), "wb") as stream:  # noqa: PTH123 - a descriptor
        stream.write(content)
