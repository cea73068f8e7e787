"""The deploy key of a client: from a file, from standard input, or from the keyring of the operating system."""

from __future__ import annotations

import contextlib
import importlib
import shlex
import sys
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.core.errors import InputError, MissingExtraError, SetupError
from exasol_ci_setup.core.files import is_shared
from exasol_ci_setup.core.origin import install_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_SERVICE: Final = "exasol-ci-setup hosted"
_STDIN: Final = "-"
_MAX_BYTES: Final = 4096


def find(url: str, file: Path | None, warn: Callable[[str], None]) -> str | None:
    """Return the key in `file`, where ``-`` is standard input, or else the one in the keyring for the host at `url`.

    Returns None if both are missing. A file that other users can read is reported by `warn`. Raises InputError for an invalid file.
    """
    if file is not None:
        return _read(file, warn)
    try:
        with _opened_keyring("the key cannot be read") as keyring:
            return keyring.get_password(_SERVICE, url)  # type: ignore[no-any-return] # loaded on demand
    except SetupError:
        # The machine has no keyring, or the user has not unlocked it.
        return None


def require(url: str, file: Path | None, warn: Callable[[str], None]) -> str:
    """Return the key as `find` does. Raises InputError with the ways to set a missing key."""
    found = find(url, file, warn)
    if found is None:
        raise InputError(
            f"the deploy key of {url} is missing",
            hint=f"add --key-file PATH, or store the key in the keyring: `exasol-ci-setup hosted login --url {url}`",
        )
    return found


def check(key: str, where: str) -> str:
    """Return a key without the line break at its end. Raises InputError, which does not contain the key, if it cannot be a key."""
    text = key.removesuffix("\n").removesuffix("\r")
    if not text or not all("!" <= each <= "~" for each in text):
        raise InputError(f"{where} has no deploy key: a key is one line of ASCII characters without spaces")
    return text


def store(url: str, key: str) -> str:
    """Store the key of the host at `url` in the keyring, and return the name of the keyring. Raises as `_opened_keyring` does."""
    with _opened_keyring("the key cannot be stored") as keyring:
        keyring.set_password(_SERVICE, url, key)
        return str(keyring.get_keyring().name)


def forget(url: str) -> bool:
    """Delete the key of the host at `url` from the keyring, and return whether it existed. Raises as `_opened_keyring` does."""
    with _opened_keyring("the key cannot be deleted") as keyring:
        if keyring.get_password(_SERVICE, url) is None:
            return False
        keyring.delete_password(_SERVICE, url)
        return True


def shared_warning(file: Path) -> str:
    """Return the warning for a file with a key that other users can read or change."""
    return f"other users may have access to the deploy key in {file}: `chmod go= {shlex.quote(str(file))}`"


def _read(file: Path, warn: Callable[[str], None]) -> str:
    try:
        if str(file) == _STDIN:
            data = sys.stdin.buffer.read(_MAX_BYTES)
        else:
            with file.open("rb") as opened:
                data = opened.read(_MAX_BYTES)
                if is_shared(opened.fileno()):
                    warn(shared_warning(file))
    except OSError as error:
        raise InputError(f"--key-file {file} cannot be read: {error.strerror}") from error
    where = "standard input" if str(file) == _STDIN else f"--key-file {file}"
    return check(data.decode("ascii", "replace"), where)


@contextlib.contextmanager
def _opened_keyring(doing: str) -> Iterator[Any]:
    """Yield the module `keyring`.

    Raises MissingExtraError if it is not installed, and SetupError ``DOING: REASON`` if the machine has no keyring, or the user has not
    unlocked it.
    """
    try:
        keyring = importlib.import_module("keyring")
    except ModuleNotFoundError:
        raise MissingExtraError(
            f"{doing}: that needs the extra `keyring`, which is not installed",
            hint=f"`{install_command('keyring')}`; or use --key-file PATH in each command",
        ) from None
    try:
        yield keyring
    except keyring.errors.KeyringError as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise SetupError(f"{doing}: {reason}", hint="use --key-file PATH in each command") from error
