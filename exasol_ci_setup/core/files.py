"""Write files atomically, and find the directory of this program's state."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from exasol_ci_setup.core.errors import InputError

STATE_HINT: Final = "set XDG_STATE_HOME to another folder"


def state_directory(name: str) -> Path:
    """Return the directory `name` of this program below ``$XDG_STATE_HOME``, by default ``~/.local/state``.

    A relative path in the variable is ignored: https://specifications.freedesktop.org/basedir-spec/latest/.
    """
    base = os.environ.get("XDG_STATE_HOME", "")
    root = Path(base) if base.startswith("/") else Path.home() / ".local" / "state"
    return root / "exasol-ci-setup" / name


def read_error(what: str, error: OSError | UnicodeDecodeError) -> InputError:
    """Return the error for the input file `what` that cannot be read, or is not UTF-8."""
    why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
    return InputError(f"{what} cannot be read: {why}")


def is_shared(file: Path | int, *, group: bool = True) -> bool:
    """Return whether `file`, a path or a descriptor, is a regular file with permissions for all users, or with `group` for its group.

    Raises OSError.
    """
    mode = os.stat(file).st_mode  # noqa: PTH116 - also a descriptor
    return stat.S_ISREG(mode) and bool(mode & (stat.S_IRWXO | (stat.S_IRWXG if group else 0)))


def write_whole(
    path: Path, content: bytes, *, mode: int | None = None, fsync: bool = False, scratch: Path | None = None
) -> None:
    """Replace the content of `path` atomically: readers see the old or the new content.

    The file has `mode` from its first byte; without one the umask applies. With `fsync` the content is on disk before the
    replacement, which takes milliseconds. The temporary file is in the same directory, or in `scratch`, which must be on the same file
    system. A link at `path` is replaced by the file. If `is_stream`, the content is written to `path`, which is not replaced.

    Raises OSError; then the temporary file is deleted, and `path` is unchanged.
    """
    if is_stream(path):
        _write_into(path, content)
        return
    temporary = (scratch or path.parent) / f".{path.name[:200]}.{secrets.token_hex(4)}.new"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        with open(os.open(temporary, flags, 0o666 if mode is None else mode), "wb") as stream:  # noqa: PTH123 - a descriptor
            if mode is not None:
                os.fchmod(stream.fileno(), mode)
            stream.write(content)
            if fsync:
                stream.flush()
                os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def is_stream(path: Path) -> bool:
    """Return whether `path` is a device, a pipe or a socket, or a file that a process has open, such as ``/dev/stdout``.

    A rename would replace it for the whole machine, or for another process.
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
        # The loop ends, because the system itself has followed the links.
        path = path.parent / path.readlink()
    return True


def _write_into(path: Path, content: bytes) -> None:
    if path.is_block_device():
        raise OSError(errno.EINVAL, "it is a block device", str(path))
    # Keep the content of a file to which a shell appends this output.
    with open(os.open(path, os.O_WRONLY | os.O_APPEND), "wb") as stream:  # noqa: PTH123 - a descriptor
        stream.write(content)
