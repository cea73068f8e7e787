"""The host keys that were seen at the first connection to each machine, in a file of OpenSSH's format for each scope."""

from __future__ import annotations

import base64
import binascii
import fcntl
import hashlib
import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from exasol_ci_setup.errors import HostKeyChanged, SSHError
from exasol_ci_setup.whole_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator


def state_directory() -> Path:
    """Return where the files of all scopes are: below ``$XDG_STATE_HOME``, else ``~/.local/state``."""
    # The XDG base directory specification wants a relative path ignored.
    base = os.environ.get("XDG_STATE_HOME", "")
    root = Path(base) if base.startswith("/") else Path.home() / ".local" / "state"
    return root / "exasol-ci-setup" / "known_hosts"


@dataclass(frozen=True)
class HostKey:
    """A machine's public key: its type, such as ``ssh-ed25519``, and its bytes."""

    kind: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """The fingerprint as OpenSSH writes it."""
        digest = base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")
        return f"{self.kind} SHA256:{digest}"


@dataclass(frozen=True)
class KnownHosts:
    """The file `path`, which need not be there yet. Several threads and processes may use it at once."""

    path: Path

    def pinned(self, name: str) -> HostKey | None:
        """Return the key that was pinned for the machine `name`. Raises SSHError if the file cannot be read."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise self._unusable("read", error) from error
        for number, line in enumerate(text.splitlines(), start=1):
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            try:
                names, kind, encoded = words[:3]
                key = HostKey(kind, base64.b64decode(encoded, validate=True))
            except (ValueError, binascii.Error):
                # To go on without it could be to trust a machine whose key was pinned here.
                raise SSHError(
                    f"line {number} of {self.path} holds no host key", hint="correct the line, or remove it"
                ) from None
            if name in names.split(","):
                return key
        return None

    def require(self, name: str, key: HostKey) -> None:
        """Pin `key` if there is none for the machine `name` yet.

        Raises HostKeyChanged if another one is pinned, and SSHError if the file cannot be read or written.
        """
        known = self.pinned(name)
        if known is None:
            with self._locked():
                known = self.pinned(name)
                if known is None:
                    self._add(name, key)
                    return
        if known != key:
            raise HostKeyChanged(
                f"the machine that answers for {name} is not the one that was connected to before: its key is {key.fingerprint}, "
                f"and the one pinned in {self.path} is {known.fingerprint}",
                hint="somebody may be in between. If you know why the key is another one:\n"
                f"ssh-keygen -R '{name}' -f '{self.path}' forgets the old one",
            )

    def _add(self, name: str, key: HostKey) -> None:
        before = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        if before and not before.endswith("\n"):
            before += "\n"
        line = f"{name} {key.kind} {base64.b64encode(key.blob).decode()}\n"
        try:
            write_whole(self.path, (before + line).encode(), mode=0o600, fsync=True)
        except OSError as error:
            raise self._unusable("written", error) from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.path.with_name(f"{self.path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._unusable("written", error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _unusable(self, done: str, error: Exception) -> SSHError:
        why = getattr(error, "strerror", None) or "it is no text"
        return SSHError(
            f"the file of known host keys, {self.path}, cannot be {done}: {why}",
            hint="XDG_STATE_HOME says where such files are",
        )
