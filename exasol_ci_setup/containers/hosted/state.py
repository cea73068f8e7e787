"""The intended state of the apps, in SQLite: consistent after a crash."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import sqlite3
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.containers.hosted.options import NO_OPTIONS, AppOptions
from exasol_ci_setup.containers.hosted.storage import Reserve, storage_errors
from exasol_ci_setup.containers.hosted.workers import is_alive
from exasol_ci_setup.core.errors import AppConflictError, InputError, StateError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from exasol_ci_setup.containers.hosted.workers import Worker

FILE: Final = "hosted.sqlite3"
# Below the ephemeral ports, which outgoing connections and Docker use.
PORTS: Final = range(20000, 30000)
_WAIT_SECONDS: Final = 60
_KEPT_RELEASES: Final = 20

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS identity (id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS apps (
    name TEXT PRIMARY KEY, image TEXT NOT NULL, phase TEXT NOT NULL, container TEXT, port INTEGER, env_names TEXT NOT NULL,
    should_run INTEGER NOT NULL DEFAULT 1, options TEXT NOT NULL DEFAULT '{}', image_id TEXT, previous TEXT
);
CREATE TABLE IF NOT EXISTS domains (domain TEXT PRIMARY KEY, app TEXT NOT NULL, position INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS ports (port INTEGER PRIMARY KEY, app TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS draining (container TEXT PRIMARY KEY, app TEXT NOT NULL, until REAL NOT NULL, workers TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS releases (
    app TEXT NOT NULL, number INTEGER NOT NULL, at TEXT NOT NULL, image TEXT NOT NULL, changes TEXT NOT NULL, container TEXT,
    PRIMARY KEY (app, number)
);
CREATE TABLE IF NOT EXISTS images (app TEXT NOT NULL, id TEXT NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (app, id));
DROP TABLE IF EXISTS attempts;
"""
# Columns that tables of earlier releases do not have. Those releases did not record stopped apps, so `should_run` is false until an
# app is seen running.
_NEWER_COLUMNS: Final = {
    "should_run": "INTEGER NOT NULL DEFAULT 0",
    "options": "TEXT NOT NULL DEFAULT '{}'",
    "image_id": "TEXT",
    "previous": "TEXT",
}
_COLUMNS: Final = ("name", "image", "phase", "container", "port", "env_names", *_NEWER_COLUMNS)


class Phase(Enum):
    """The phase of an app. Only `READY` is stable; the others are completed after a crash."""

    CREATING = "making"
    READY = "ready"
    DELETING = "deleting"
    PURGING = "purging"


@dataclass(frozen=True, slots=True)
class App:
    """An app: the requested image, the ID and port of its container, and its domains in order of addition.

    `should_run` is false after a request to stop the app. Only the names of its variables are stored; the values are in the
    configuration of the container. `image_id` is the ID of the image of the container. `previous` is the ID of the replaced container,
    whose release can be restored.
    """

    name: str
    image: str
    phase: Phase
    container: str | None
    port: int | None
    env_names: tuple[str, ...]
    domains: tuple[str, ...]
    should_run: bool = True
    options: AppOptions = NO_OPTIONS
    image_id: str | None = None
    previous: str | None = None


@dataclass(frozen=True, slots=True)
class PastRelease:
    """A deployment of an app: its time in ISO 8601, its image, and the names of what it changed."""

    number: int
    at: str
    image: str
    changes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Drain:
    """A replaced container that answers its open requests until `until`, or until its `workers` of nginx have ended.

    `until` is in seconds since the epoch; `workers` is None if they are unknown.
    """

    app: str
    container: str
    until: float
    workers: frozenset[Worker] | None = None

    def is_over(self) -> bool:
        """Return whether the container has no open requests, or its time is over."""
        if time.time() >= self.until:
            return True
        return self.workers is not None and not any(is_alive(worker) for worker in self.workers)


class State:
    """The apps of one directory. Any number of threads may use it."""

    def __init__(self, directory: Path) -> None:
        """Create missing files in `directory`. Raises InputError if that fails."""
        self._directory = directory
        self._file = directory / FILE
        try:
            directory.mkdir(parents=True, exist_ok=True)
            # Only for the owner: the content is not secret, but it controls the service.
            os.close(os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600))
            with self._connection() as connection:
                # A write-ahead log needs a file for each read, which fails on a full disk.
                connection.execute("PRAGMA journal_mode = DELETE")
                connection.executescript(_SCHEMA)
                _add_missing_columns(connection)
            with self._transaction() as connection:
                row = connection.execute("SELECT id FROM identity").fetchone()
                self.identity: str = row[0] if row else secrets.token_hex(8)
                if not row:
                    connection.execute("INSERT INTO identity VALUES (?)", (self.identity,))
        except (OSError, StateError) as error:
            why = error.__cause__ or error
            raise InputError(
                f"the state directory {directory} cannot be used: {why}",
                hint="make it writable, or choose another `--state DIR`",
            ) from error
        self.reserve = Reserve(directory)
        self.reserve.hold()

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with (
            storage_errors(self._directory),
            contextlib.closing(sqlite3.connect(self._file, timeout=_WAIT_SECONDS, isolation_level=None)) as connection,
        ):
            yield connection

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection in an exclusive transaction, which an error rolls back."""
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                # On a full disk, SQLite may have rolled back already.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

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
                f"SELECT {', '.join(_COLUMNS)} FROM apps {where} ORDER BY name",  # noqa: S608 - our own text
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
                AppOptions.model_validate_json(options),
                image_id,
                previous,
            )
            for name, image, phase, container, port, names, should_run, options, image_id, previous in rows
        )

    def add_app(self, name: str, image: str, domain: str) -> None:
        """Record an app in creation. Raises AppConflictError if its domain belongs to another app."""
        with self._transaction() as connection:
            owner = _find_owner(connection, domain)
            if owner is not None and owner != name:
                raise AppConflictError(f"The domain {domain} belongs to {owner}.")
            _write_app(connection, App(name, image, Phase.CREATING, None, None, (), ()))
            connection.execute("INSERT OR REPLACE INTO domains VALUES (?, ?, 0)", (domain, name))

    def save_app(self, app: App, *, drain: Drain | None = None, changes: Collection[str] | None = None) -> None:
        """Record an app, and in `drain` the container that its container replaces; its domains stay unchanged.

        With `changes`, its container is a new release. Otherwise, releases after that of its container have failed and are deleted.
        """
        with self._transaction() as connection:
            if drain is not None:
                _save_drain(connection, drain)
            _write_app(connection, app)
            if changes is not None:
                _add_release(connection, app, changes)
            else:
                _delete_failed_releases(connection, app)

    def releases(self, app: str) -> tuple[PastRelease, ...]:
        """Return the last releases of an app, the newest first; those of earlier versions of this program are unknown."""
        with self._connection() as connection:
            rows = connection.execute(
                "SELECT number, at, image, changes FROM releases WHERE app = ? ORDER BY number DESC", (app,)
            ).fetchall()
        return tuple(PastRelease(number, at, image, tuple(json.loads(changes))) for number, at, image, changes in rows)

    def set_phase(self, name: str, phase: Phase) -> None:
        """Record the phase of an app."""
        with self._transaction() as connection:
            connection.execute("UPDATE apps SET phase = ? WHERE name = ?", (phase.value, name))

    def set_should_run(self, name: str, *, should_run: bool) -> None:
        """Record whether an app should run."""
        with self._transaction() as connection:
            connection.execute("UPDATE apps SET should_run = ? WHERE name = ?", (should_run, name))

    def delete_app(self, name: str) -> None:
        """Delete an app with its domains and ports."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM domains WHERE app = ?", (name,))
            connection.execute("DELETE FROM ports WHERE app = ?", (name,))
            connection.execute("DELETE FROM draining WHERE app = ?", (name,))
            connection.execute("DELETE FROM images WHERE app = ?", (name,))
            connection.execute("DELETE FROM releases WHERE app = ?", (name,))
            connection.execute("DELETE FROM apps WHERE name = ?", (name,))

    def save_drain(self, drain: Drain) -> None:
        """Record or replace the drain of a container."""
        with self._transaction() as connection:
            _save_drain(connection, drain)

    def drains(self) -> tuple[Drain, ...]:
        """Return the replaced containers that are not removed yet."""
        with self._connection() as connection:
            rows = connection.execute("SELECT app, container, until, workers FROM draining").fetchall()
        found = ((app, container, until, json.loads(workers)) for app, container, until, workers in rows)
        return tuple(
            Drain(app, container, until, None if workers is None else frozenset((each[0], each[1]) for each in workers))
            for app, container, until, workers in found
        )

    def delete_drains(self, app: str, *, keep: Collection[str]) -> None:
        """Delete the drains of an app, except those of the containers in `keep`."""
        with self._transaction() as connection:
            noted = connection.execute("SELECT container FROM draining WHERE app = ?", (app,)).fetchall()
            connection.executemany(
                "DELETE FROM draining WHERE container = ?", [(each,) for (each,) in noted if each not in keep]
            )

    def domain_owner(self, domain: str) -> str | None:
        """Return the name of the app that has a domain, or None."""
        with self._connection() as connection:
            return _find_owner(connection, domain)

    def domain_position(self, domain: str) -> int | None:
        """Return the position of a domain among the domains of its app, or None if no app has it."""
        with self._connection() as connection:
            row = connection.execute("SELECT position FROM domains WHERE domain = ?", (domain,)).fetchone()
        return row[0] if row else None

    def assign_domain(self, domain: str, app: str | None, *, position: int | None = None) -> None:
        """Assign a domain to an app, replacing the previous owner, as the last domain or at `position`.

        If `app` is None, only remove the domain from its owner.
        """
        with self._transaction() as connection:
            connection.execute("DELETE FROM domains WHERE domain = ?", (domain,))
            if app is not None:
                connection.execute(
                    "INSERT INTO domains SELECT ?, ?, COALESCE(?, MAX(position) + 1, 1) FROM domains WHERE app = ?",
                    (domain, app, position, app),
                )

    def reserve_port(self, app: str, *, exclude: Collection[int] = ()) -> int:
        """Reserve a free port for an app that no other app has and that is not in `exclude`.

        Raises AppConflictError if no port is free.
        """
        with self._transaction() as connection:
            taken = {row[0] for row in connection.execute("SELECT port FROM ports")}
            for port in PORTS:
                if port not in taken and port not in exclude and _is_free(port):
                    connection.execute("INSERT INTO ports VALUES (?, ?)", (port, app))
                    return port
        raise AppConflictError(f"All ports from {PORTS[0]} to {PORTS[-1]} are in use.")

    def release_ports(self, app: str, *, keep: int | None) -> None:
        """Release the ports of an app, except `keep`."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM ports WHERE app = ? AND port IS NOT ?", (app, keep))

    def note_image(self, app: str, image: str) -> None:
        """Record the ID of an image as the newest one of an app."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO images SELECT ?, ?, COALESCE(MAX(position), 0) + 1 FROM images WHERE app = ?",
                (app, image, app),
            )

    def images(self, app: str) -> tuple[str, ...]:
        """Return the IDs of the images that an app has used, the newest first."""
        with self._connection() as connection:
            rows = connection.execute("SELECT id FROM images WHERE app = ? ORDER BY position DESC", (app,)).fetchall()
        return tuple(id_ for (id_,) in rows)

    def is_image_of_another(self, app: str, image: str) -> bool:
        """Return whether another app has used an image."""
        with self._connection() as connection:
            found = connection.execute("SELECT 1 FROM images WHERE id = ? AND app != ?", (image, app)).fetchone()
        return found is not None

    def forget_image(self, app: str, image: str) -> None:
        """Delete the record that an app has used an image."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM images WHERE app = ? AND id = ?", (app, image))


def _add_missing_columns(connection: sqlite3.Connection) -> None:
    """Migrate the table of an earlier release."""
    connection.execute("BEGIN IMMEDIATE")
    columns = {row[1] for row in connection.execute("PRAGMA table_info(apps)")}
    for name, kind in _NEWER_COLUMNS.items():
        if name not in columns:
            connection.execute(f"ALTER TABLE apps ADD COLUMN {name} {kind}")
    connection.execute("COMMIT")


def _write_app(connection: sqlite3.Connection, app: App) -> None:
    values = (
        *(app.name, app.image, app.phase.value, app.container, app.port, json.dumps(app.env_names), app.should_run),
        *(app.options.model_dump_json(exclude_none=True), app.image_id, app.previous),
    )
    connection.execute(
        f"INSERT OR REPLACE INTO apps ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})",  # noqa: S608 - our own text
        values,
    )


def _add_release(connection: sqlite3.Connection, app: App, changes: Collection[str]) -> None:
    (number,) = connection.execute(
        "SELECT COALESCE(MAX(number), 0) + 1 FROM releases WHERE app = ?", (app.name,)
    ).fetchone()
    at = datetime.now(timezone.utc).isoformat(timespec="seconds")
    connection.execute(
        "INSERT INTO releases VALUES (?, ?, ?, ?, ?, ?)",
        (app.name, number, at, app.image, json.dumps(list(changes)), app.container),
    )
    connection.execute("DELETE FROM releases WHERE app = ? AND number <= ?", (app.name, number - _KEPT_RELEASES))


def _delete_failed_releases(connection: sqlite3.Connection, app: App) -> None:
    (current,) = connection.execute(
        "SELECT COALESCE(MAX(number), 0) FROM releases WHERE app = ? AND container = ?", (app.name, app.container)
    ).fetchone()
    connection.execute("DELETE FROM releases WHERE app = ? AND number > ?", (app.name, current))


def _save_drain(connection: sqlite3.Connection, drain: Drain) -> None:
    workers = None if drain.workers is None else sorted(drain.workers)
    connection.execute(
        "INSERT OR REPLACE INTO draining VALUES (?, ?, ?, ?)",
        (drain.container, drain.app, drain.until, json.dumps(workers)),
    )


def _find_owner(connection: sqlite3.Connection, domain: str) -> str | None:
    row = connection.execute("SELECT app FROM domains WHERE domain = ?", (domain,)).fetchone()
    return row[0] if row else None


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As in the engine: recently closed connections do not block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
