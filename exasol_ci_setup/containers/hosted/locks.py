"""Locks of the one process of a state directory: one for each app, and one for the directory."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE: Final = "hosted.lock"


class AppLocks:
    """A lock for each name of an app. A lock exists only while a thread holds it or waits for it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._users: dict[str, int] = {}

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Wait for the lock of an app, and hold it."""
        with self._use(name) as lock, lock:
            yield

    @contextlib.contextmanager
    def try_lock(self, name: str) -> Iterator[bool]:
        """Acquire the lock of an app if it is free; yield whether it was acquired."""
        with self._use(name) as lock:
            is_mine = lock.acquire(blocking=False)
            try:
                yield is_mine
            finally:
                if is_mine:
                    lock.release()

    @contextlib.contextmanager
    def _use(self, name: str) -> Iterator[threading.Lock]:
        with self._guard:
            lock = self._locks.setdefault(name, threading.Lock())
            self._users[name] = self._users.get(name, 0) + 1
        try:
            yield lock
        finally:
            with self._guard:
                self._users[name] -= 1
                if not self._users[name]:
                    del self._users[name], self._locks[name]


class DirectoryLock:
    """The lock of a state directory. The system releases it when the process ends."""

    def __init__(self, directory: Path, *, wait: bool) -> None:
        """Acquire the lock; with `wait`, wait until another process has released it.

        Raises InputError if another process holds the lock, or the directory cannot be used.
        """
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._file = os.open(directory / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise InputError(
                f"the state directory {directory} cannot be used: {error.strerror}",
                hint="make it writable, or choose another `--state DIR`",
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            self.release()
            raise InputError(
                f"another process serves the state directory {directory}",
                hint="stop it, or choose another `--state DIR`",
            ) from None

    def release(self) -> None:
        """Release the lock."""
        os.close(self._file)
