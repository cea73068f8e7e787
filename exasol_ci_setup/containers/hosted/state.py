"""What the apps are to be, in SQLite, so that several workers see the same and a crash leaves nothing half written."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import socket
import sqlite3
import time
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.containers.hosted.storage import Reserve, storing
from exasol_ci_setup.containers.hosted.workers import is_there
from exasol_ci_setup.errors import AppConflict, InputError, StateError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from exasol_ci_setup.containers.hosted.workers import Worker

FILE: Final = "hosted.sqlite3"
LOCKS: Final = "locks"
# Below those that the system gives to outgoing connections, and that Docker takes when it chooses itself.
PORTS: Final = range(20000, 30000)
_WAIT_SECONDS: Final = 60

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS identity (id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS apps (
    name TEXT PRIMARY KEY, image TEXT NOT NULL, phase TEXT NOT NULL, container TEXT, port INTEGER, env_names TEXT NOT NULL,
    should_run INTEGER NOT NULL DEFAULT 1
);
CREATE TABLE IF NOT EXISTS domains (domain TEXT PRIMARY KEY, app TEXT NOT NULL, position INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS ports (port INTEGER PRIMARY KEY, app TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS draining (container TEXT PRIMARY KEY, app TEXT NOT NULL, until REAL NOT NULL, workers TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS attempts (caller TEXT NOT NULL, at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS attempts_by_caller ON attempts (caller, at);
"""


class Phase(Enum):
    """Where an app is in its life. Only `READY` lasts; the others are what a killed worker leaves, and are ended by the next."""

    MAKING = "making"
    READY = "ready"
    DELETING = "deleting"
    PURGING = "purging"


@dataclass(frozen=True, slots=True)
class App:
    """An app: its image as it was asked for, its container's id and port on this machine, and its domains, the first ones first.

    It should run unless a caller stopped it.
    Of its variables only the names are here; the values are in the container's configuration and nowhere else.
    """

    name: str
    image: str
    phase: Phase
    container: str | None
    port: int | None
    env_names: tuple[str, ...]
    domains: tuple[str, ...]
    should_run: bool = True


@dataclass(frozen=True, slots=True)
class Drain:
    """A container that was replaced, and answers the requests that it has: until `until`, or until no worker of nginx has any.

    `until` is in seconds since the epoch; `workers` are None if they are not known.
    """

    app: str
    container: str
    until: float
    workers: frozenset[Worker] | None = None

    def is_over(self) -> bool:
        """Return whether the container has no request any more, or no time."""
        if time.time() >= self.until:
            return True
        return self.workers is not None and not any(is_there(worker) for worker in self.workers)


class State:
    """The apps of one directory. Any number of threads and processes may use it at once."""

    def __init__(self, directory: Path) -> None:
        """Make what is missing in `directory`. Raises InputError if that is not possible."""
        self._directory = directory
        self._file = directory / FILE
        self._locks = directory / LOCKS
        try:
            self._locks.mkdir(parents=True, exist_ok=True)
            # Its owner's only: what is in it is not secret, but what it says is done.
            os.close(os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600))
            with self._connection() as connection:
                # With a write-ahead log nothing could be read on a full disk: it needs a file of its own for that.
                connection.execute("PRAGMA journal_mode = DELETE")
                connection.executescript(_SCHEMA)
                _add_missing_column(connection)
            with self._changing() as connection:
                row = connection.execute("SELECT id FROM identity").fetchone()
                self.identity: str = row[0] if row else secrets.token_hex(8)
                if not row:
                    connection.execute("INSERT INTO identity VALUES (?)", (self.identity,))
        except (OSError, StateError) as error:
            why = error.__cause__ or error
            raise InputError(
                f"the state directory {directory} cannot be used: {why}",
                hint="make it writable, or give another --state",
            ) from error
        self.reserve = Reserve(directory)
        self.reserve.hold()

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with (
            storing(self._directory),
            contextlib.closing(sqlite3.connect(self._file, timeout=_WAIT_SECONDS, isolation_level=None)) as connection,
        ):
            yield connection

    @contextlib.contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """Give a connection in a transaction that nobody else writes during, and that an error takes back."""
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                # SQLite itself may have rolled back, if the disk is full.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def locked(self, what: str) -> Iterator[None]:
        """Wait for the lock of an app, or another that has a point in its name, and hold it. The system frees that of a killed process."""
        with self._lock_file(what) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextlib.contextmanager
    def locked_if_free(self, what: str) -> Iterator[bool]:
        """Hold the lock if nobody else does, and tell whether that is so."""
        with self._lock_file(what) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    @contextlib.contextmanager
    def _lock_file(self, what: str) -> Iterator[int]:
        with storing(self._directory):
            file = os.open(self._locks / what, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            yield file
        finally:
            os.close(file)

    def app(self, name: str) -> App | None:
        """Return the app of that name, or None."""
        return next(iter(self._read("WHERE name = ?", (name,))), None)

    def apps(self) -> tuple[App, ...]:
        """Return all apps, by name."""
        return self._read("", ())

    def _read(self, where: str, values: tuple[str, ...]) -> tuple[App, ...]:
        with self._connection() as connection:
            # One transaction, so that the domains are of these apps.
            connection.execute("BEGIN")
            rows = connection.execute(
                f"SELECT name, image, phase, container, port, env_names, should_run FROM apps {where} ORDER BY name",  # noqa: S608 - our own text
                values,
            ).fetchall()
            domains: dict[str, list[str]] = {}
            for domain, app in connection.execute("SELECT domain, app FROM domains ORDER BY position, domain"):
                domains.setdefault(app, []).append(domain)
            connection.execute("COMMIT")
        return tuple(
            App(
                name,
                image,
                Phase(phase),
                container,
                port,
                tuple(json.loads(names)),
                tuple(domains.get(name, ())),
                bool(should_run),
            )
            for name, image, phase, container, port, names, should_run in rows
        )

    def begin(self, name: str, image: str, domain: str) -> None:
        """Note that an app is being made. Raises AppConflict if its domain is another's."""
        with self._changing() as connection:
            owner = _owner(connection, domain)
            if owner is not None and owner != name:
                raise AppConflict(f"The domain {domain} belongs to {owner}.")
            connection.execute(
                "INSERT INTO apps VALUES (?, ?, ?, NULL, NULL, '[]', 1)", (name, image, Phase.MAKING.value)
            )
            connection.execute("INSERT OR REPLACE INTO domains VALUES (?, ?, 0)", (domain, name))

    def settle(
        self,
        name: str,
        *,
        image: str,
        container: str,
        port: int,
        env_names: Sequence[str],
        drain: Drain | None = None,
    ) -> None:
        """Note the container that an app has from now on, and in `drain` the one that it had before."""
        with self._changing() as connection:
            if drain is not None:
                _note(connection, drain)
            connection.execute(
                "UPDATE apps SET image = ?, phase = ?, container = ?, port = ?, env_names = ?, should_run = 1 WHERE name = ?",
                (image, Phase.READY.value, container, port, json.dumps(list(env_names)), name),
            )

    def restore(self, app: App) -> None:
        """Note that an app is as it was before. Its domains are left as they are."""
        with self._changing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO apps VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    *(app.name, app.image, app.phase.value, app.container, app.port),
                    *(json.dumps(app.env_names), app.should_run),
                ),
            )

    def mark(self, name: str, phase: Phase) -> None:
        """Note where an app is in its life."""
        with self._changing() as connection:
            connection.execute("UPDATE apps SET phase = ? WHERE name = ?", (phase.value, name))

    def intend(self, name: str, *, should_run: bool) -> None:
        """Note whether an app should run."""
        with self._changing() as connection:
            connection.execute("UPDATE apps SET should_run = ? WHERE name = ?", (should_run, name))

    def forget(self, name: str) -> None:
        """Delete an app with its domains and ports."""
        with self._changing() as connection:
            connection.execute("DELETE FROM domains WHERE app = ?", (name,))
            connection.execute("DELETE FROM ports WHERE app = ?", (name,))
            connection.execute("DELETE FROM draining WHERE app = ?", (name,))
            connection.execute("DELETE FROM apps WHERE name = ?", (name,))

    def note_drain(self, drain: Drain) -> None:
        """Note that a container answers the requests that it has, in place of what was noted of it before."""
        with self._changing() as connection:
            _note(connection, drain)

    def drains(self) -> tuple[Drain, ...]:
        """Return the containers that were replaced and are not removed yet."""
        with self._connection() as connection:
            rows = connection.execute("SELECT app, container, until, workers FROM draining").fetchall()
        found = ((app, container, until, json.loads(workers)) for app, container, until, workers in rows)
        return tuple(
            Drain(app, container, until, None if workers is None else frozenset((each[0], each[1]) for each in workers))
            for app, container, until, workers in found
        )

    def forget_drains(self, app: str, *, but: Collection[str]) -> None:
        """Forget the replaced containers of an app, `but` these."""
        with self._changing() as connection:
            noted = connection.execute("SELECT container FROM draining WHERE app = ?", (app,)).fetchall()
            connection.executemany(
                "DELETE FROM draining WHERE container = ?", [(each,) for (each,) in noted if each not in but]
            )

    def owner(self, domain: str) -> str | None:
        """Return the name of the app that has a domain, or None."""
        with self._connection() as connection:
            return _owner(connection, domain)

    def place(self, domain: str) -> int | None:
        """Return the place of a domain among those of its app, or None if no app has it."""
        with self._connection() as connection:
            row = connection.execute("SELECT position FROM domains WHERE domain = ?", (domain,)).fetchone()
        return row[0] if row else None

    def give(self, domain: str, app: str | None, *, place: int | None = None) -> None:
        """Give a domain to an app, whoever had it, as its last one or in the `place` that it had before; or to nobody."""
        with self._changing() as connection:
            connection.execute("DELETE FROM domains WHERE domain = ?", (domain,))
            if app is not None:
                connection.execute(
                    "INSERT INTO domains SELECT ?, ?, COALESCE(?, MAX(position) + 1, 1) FROM domains WHERE app = ?",
                    (domain, app, place, app),
                )

    def reserve_port(self, app: str, *, besides: Collection[int] = ()) -> int:
        """Give an app a port that no other app has, and on which nothing listens, and that is none of `besides`.

        Raises AppConflict if there is none.
        """
        with self._changing() as connection:
            taken = {row[0] for row in connection.execute("SELECT port FROM ports")}
            for port in PORTS:
                if port not in taken and port not in besides and _is_free(port):
                    connection.execute("INSERT INTO ports VALUES (?, ?)", (port, app))
                    return port
        raise AppConflict(f"All ports from {PORTS[0]} to {PORTS[-1]} are taken.")

    def release_ports(self, app: str, *, but: int | None) -> None:
        """Give back the ports of an app, `but` one."""
        with self._changing() as connection:
            connection.execute("DELETE FROM ports WHERE app = ? AND port IS NOT ?", (app, but))

    def attempt(self, caller: str, *, now: float, most: int, seconds: float) -> float:
        """Count a wrong attempt of `caller`, unless there were `most` of them in the last `seconds` already.

        `now` is in seconds since the epoch. Returns in how many seconds the next is counted, 0 if this one was. All of it is one
        step, so that no number of callers at once gets more tries.
        """
        with self._changing() as connection:
            # Those of the future are of a clock that was set back.
            connection.execute("DELETE FROM attempts WHERE at <= ? OR at > ?", (now - seconds, now + seconds))
            number, oldest = connection.execute(
                "SELECT COUNT(*), MIN(at) FROM attempts WHERE caller = ?", (caller,)
            ).fetchone()
            if number >= most:
                return float(oldest + seconds - now)
            connection.execute("INSERT INTO attempts VALUES (?, ?)", (caller, now))
        return 0


def _add_missing_column(connection: sqlite3.Connection) -> None:
    """Bring the table of an earlier release up to date.

    It did not note which apps were stopped, so none of them should run until it is seen running.
    """
    connection.execute("BEGIN IMMEDIATE")
    columns = {row[1] for row in connection.execute("PRAGMA table_info(apps)")}
    if "should_run" not in columns:
        connection.execute("ALTER TABLE apps ADD COLUMN should_run INTEGER NOT NULL DEFAULT 0")
    connection.execute("COMMIT")


def _note(connection: sqlite3.Connection, drain: Drain) -> None:
    workers = None if drain.workers is None else sorted(drain.workers)
    connection.execute(
        "INSERT OR REPLACE INTO draining VALUES (?, ?, ?, ?)",
        (drain.container, drain.app, drain.until, json.dumps(workers)),
    )


def _owner(connection: sqlite3.Connection, domain: str) -> str | None:
    row = connection.execute("SELECT app FROM domains WHERE domain = ?", (domain,)).fetchone()
    return row[0] if row else None


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the engine's own: a connection that was closed a moment ago is not in the way.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
