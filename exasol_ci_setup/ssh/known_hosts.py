"""Host keys pinned at the first connection, in a known_hosts file of OpenSSH for each scope."""

from __future__ import annotations

import base64
import binascii
import fcntl
import hashlib
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exasol_ci_setup.core.errors import HostKeyChangedError, SSHError
from exasol_ci_setup.core.files import STATE_HINT, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class HostKey:
    """The public key of a machine: its type, such as ``ssh-ed25519``, and its bytes."""

    kind: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """The fingerprint in the form of OpenSSH."""
        digest = base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")
        return f"{self.kind} SHA256:{digest}"


@dataclass(frozen=True)
class KnownHosts:
    """The known hosts in the file `path`, which may be missing. Several threads and processes may use it."""

    path: Path

    def find_key(self, name: str) -> HostKey | None:
        """Return the pinned key of the machine `name`, or None. Raises SSHError if the file cannot be read."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise self._file_error("read", error) from error
        for number, line in enumerate(text.splitlines(), start=1):
            fields = line.split()
            if not fields or fields[0].startswith("#"):
                continue
            try:
                names, kind, encoded = fields[:3]
                key = HostKey(kind, base64.b64decode(encoded, validate=True))
            except (ValueError, binascii.Error):
                # An ignored line could be the pinned key of this machine.
                raise SSHError(
                    f"line {number} of {self.path} has no valid host key", hint="correct the line or remove it"
                ) from None
            if name in names.split(","):
                return key
        return None

    def verify_or_pin(self, name: str, key: HostKey) -> None:
        """Verify the key of the machine `name`, or pin it if the machine has no pinned key.

        Raises HostKeyChangedError if another key is pinned, and SSHError if the file cannot be read or written.
        """
        known = self.find_key(name)
        if known is None:
            with self._lock():
                known = self.find_key(name)
                if known is None:
                    self._add(name, key)
                    return
        if known != key:
            raise HostKeyChangedError(
                f"the host key of {name} has changed: it is {key.fingerprint}, and the one pinned in {self.path} is "
                f"{known.fingerprint}",
                hint="the connection may be intercepted; if the change is expected, remove the old key:\n"
                f"`ssh-keygen -R '{name}' -f '{self.path}'`",
            )

    def _add(self, name: str, key: HostKey) -> None:
        before = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        if before and not before.endswith("\n"):
            before += "\n"
        line = f"{name} {key.kind} {base64.b64encode(key.blob).decode()}\n"
        try:
            write_whole(self.path, (before + line).encode(), mode=0o600, fsync=True)
        except OSError as error:
            raise self._file_error("written", error) from error

    @contextmanager
    def _lock(self) -> Iterator[None]:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.path.with_name(f"{self.path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._file_error("written", error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _file_error(self, done: str, error: Exception) -> SSHError:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        return SSHError(
            f"the file of known host keys {self.path} cannot be {done}: {why}",
            hint=STATE_HINT,
        )
