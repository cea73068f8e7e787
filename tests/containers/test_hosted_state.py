"""The state of the hosted API: consistent after a kill, on a full disk, and after an update; locks and wrong keys."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from exasol_ci_setup.containers.hosted.auth import MAX_WRONG_KEYS, WINDOW_SECONDS, Authenticator
from exasol_ci_setup.containers.hosted.locks import AppLocks, DirectoryLock
from exasol_ci_setup.containers.hosted.options import AppOptions
from exasol_ci_setup.containers.hosted.releases import Release, Releases, find_changes
from exasol_ci_setup.containers.hosted.state import PORTS, App, Drain, Phase, State
from exasol_ci_setup.containers.hosted.storage import storage_errors
from exasol_ci_setup.core.errors import (
    AppConflictError,
    DiskFullError,
    InputError,
    KeyRefusedError,
    StateError,
    TooManyAttemptsError,
)


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path)


def ready(state: State, container: str) -> App:
    """Return an app of the state after the deployment of a container."""
    app = state.app("app1")
    assert app is not None
    return replace(app, phase=Phase.READY, container=container, port=20000, should_run=True)


def test_app_is_creating_until_its_container_is_set(state: State, tmp_path: Path):
    state.add_app("app1", "demo:1", "app1.example.com")
    creating = App("app1", "demo:1", Phase.CREATING, None, None, (), ("app1.example.com",))
    assert state.app("app1") == creating

    options = AppOptions.model_validate({"memory": "64m", "health_path": "/healthz"})
    ready = App(
        *("app1", "demo:2", Phase.READY, "abc", 20000, ("A", "B"), ("app1.example.com",)),
        should_run=True,
        options=options,
        image_id="sha256:1",
        previous="old",
    )
    state.save_app(ready)

    # The next process reads the same state.
    assert State(tmp_path).apps() == (ready,)
    state.save_app(creating)
    assert state.app("app1") == creating
    state.delete_app("app1")
    assert state.apps() == ()
    assert state.domain_owner("app1.example.com") is None


def test_last_releases_are_kept_without_failed_ones(state: State, tmp_path: Path):
    state.add_app("app1", "demo:0", "app1.example.com")
    for number in range(25):
        state.save_app(replace(ready(state, f"c{number}"), image=f"demo:{number}"), changes=["image", "GREETING"])
    last = state.app("app1")
    assert last is not None

    state.save_app(ready(state, "failed"), changes=[])
    state.save_app(last)

    found = State(tmp_path).releases("app1")
    assert [(each.number, each.image) for each in found] == [(n, f"demo:{n - 1}") for n in range(25, 6, -1)]
    assert {each.changes for each in found} == {("image", "GREETING")}
    assert datetime.fromisoformat(found[0].at).tzinfo is not None
    state.delete_app("app1")
    assert state.releases("app1") == ()


def test_changes_of_release_are_names():
    before = Release("demo:1", {"A": "1", "B": "2", "C": "3"}, AppOptions.model_validate({"memory": "64m"}), "sha256:1")
    after = Release("demo:1", {"A": "1", "B": "x", "D": "4"}, AppOptions.model_validate({"pids": 9}), "sha256:2")

    assert find_changes(before, after) == ["image", "memory", "pids", "B", "C", "D"]
    assert find_changes(before, before) == []
    assert find_changes(None, after) == []


def test_domain_belongs_to_one_app_and_order_is_kept(state: State):
    state.add_app("app2", "demo:1", "z.example.com")
    for domain in ("c.example.org", "a.example.org"):
        state.assign_domain(domain, "app2")
    assert state.app("app2").domains == ("z.example.com", "c.example.org", "a.example.org")

    with pytest.raises(AppConflictError, match=r"^The domain a\.example\.org belongs to app2\.$"):
        state.add_app("app1", "demo:1", "a.example.org")
    assert state.app("app1") is None
    state.assign_domain("c.example.org", None)
    assert state.app("app2").domains == ("z.example.com", "a.example.org")


def test_returned_domain_has_its_previous_position(state: State):
    state.add_app("app1", "demo:1", "app1.example.com")
    state.assign_domain("second.example.com", "app1")
    state.add_app("app2", "demo:1", "app2.example.com")
    position = state.domain_position("app1.example.com")

    state.assign_domain("app1.example.com", "app2")
    state.assign_domain("app1.example.com", "app1", position=position)

    app = state.app("app1")
    assert app is not None
    assert app.domains == ("app1.example.com", "second.example.com")
    assert state.domain_position("none.example.com") is None


def test_port_is_reserved_once_and_only_if_free(state: State):
    with socket.create_server(("127.0.0.1", PORTS[0])):
        first = state.reserve_port("app1")
    second = state.reserve_port("app1", exclude={PORTS[0]})

    assert first not in {PORTS[0], second}
    assert {first, second} < set(PORTS)
    state.release_ports("app1", keep=second)
    assert state.reserve_port("app2", exclude={PORTS[0]}) == first
    state.release_ports("app1", keep=None)
    assert state.reserve_port("app3", exclude={PORTS[0]}) == second


def test_parallel_threads_reserve_different_ports(state: State):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        ports = list(pool.map(lambda number: state.reserve_port(f"app{number}"), range(20)))

    assert len(set(ports)) == 20
    assert state.reserve_port("another") not in ports


def test_lock_of_app_is_exclusive_and_forgotten():
    locks = AppLocks()
    inside: list[str] = []
    waiting = threading.Event()

    def second() -> None:
        waiting.set()
        with locks.lock("app1"):
            inside.append("second")

    with locks.lock("app1"):
        thread = threading.Thread(target=second)
        thread.start()
        waiting.wait()
        with locks.try_lock("app1") as free:
            assert not free
        with locks.try_lock("app2") as free:
            assert free
        inside.append("first")
    thread.join()

    assert inside == ["first", "second"]
    assert (locks._locks, locks._users) == ({}, {})


def test_second_process_of_directory_is_refused_until_first_ends(tmp_path: Path):
    code = (
        "import sys; from pathlib import Path\n"
        "from exasol_ci_setup.containers.hosted.locks import DirectoryLock\n"
        "lock = DirectoryLock(Path(sys.argv[1]), wait=False)\n"
        "print('locked', flush=True); input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "locked\n"
        with pytest.raises(InputError, match=r"^another process serves the state directory "):
            DirectoryLock(tmp_path, wait=False)
        process.kill()
    DirectoryLock(tmp_path, wait=True).release()


def test_images_are_listed_newest_first_until_forgotten(state: State):
    for app, image in (("app1", "a"), ("app1", "b"), ("app2", "a"), ("app1", "a")):
        state.note_image(app, image)

    assert (state.images("app1"), state.images("app2")) == (("a", "b"), ("a",))
    assert state.is_image_of_another("app1", "a")
    assert not state.is_image_of_another("app1", "b")
    state.forget_image("app1", "a")
    assert (state.images("app1"), state.images("app2")) == (("b",), ("a",))


def test_only_one_release_of_app_is_kept_and_private(tmp_path: Path):
    releases = Releases(tmp_path)
    release = Release("demo:1", {"A": "ä\n"}, AppOptions.model_validate({"cpus": 0.5}), "sha256:1")
    for container in ("a" * 64, "b" * 64):
        releases.save("app1", container, release)
    releases.save("app1-2", "a" * 64, release)

    assert releases.load("app1", "a" * 64) == release
    assert (releases.load("app1", None), releases.load("app1", "c")) == (None, None)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "releases").iterdir()} == {0o600}
    releases.delete_others("app1", keep="b" * 64)
    assert (releases.load("app1", "a" * 64), releases.load("app1", "b" * 64)) == (None, release)
    releases.delete_others("app1", keep=None)
    assert [path.name for path in (tmp_path / "releases").iterdir()] == ["app1-2." + "a" * 32]


def test_database_is_readable_by_owner_only(tmp_path: Path):
    mask = os.umask(0)
    try:
        State(tmp_path)
    finally:
        os.umask(mask)

    assert (tmp_path / "hosted.sqlite3").stat().st_mode & 0o777 == 0o600


def test_unusable_directory_is_reported(tmp_path: Path):
    (tmp_path / "file").touch()
    (tmp_path / "hosted.sqlite3").write_text("not a database, but long enough to be read as one" * 100)

    for directory in (tmp_path / "file", tmp_path):
        with pytest.raises(InputError, match=r"^the state directory .* cannot be used: "):
            State(directory)


def test_only_right_key_is_accepted():
    authenticator = Authenticator("the käy")

    authenticator.check("the käy", "10.0.0.1")
    for secret in ("", "the", "the käy ", "\ud800", "x" * 100_000):
        with pytest.raises(KeyRefusedError, match=r"^The secret is wrong\.$"):
            authenticator.check(secret, "10.0.0.1")
    with pytest.raises(KeyRefusedError, match=r"^The secret is missing\.$"):
        authenticator.check(None, "10.0.0.1")


def test_wrong_keys_of_parallel_requests_are_counted():
    authenticator = Authenticator("key")

    def attempt(number: int) -> type[Exception] | None:
        try:
            authenticator.check("key" if number % 2 else "wrong", "10.0.0.1")
        except KeyRefusedError as error:
            return type(error)
        return None

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        results = list(pool.map(attempt, range(80)))
    wrong = results[::2]

    # Wrong keys do not block the right key.
    assert results[1::2] == [None] * 40
    assert wrong.count(KeyRefusedError) == MAX_WRONG_KEYS
    assert wrong.count(TooManyAttemptsError) == 40 - MAX_WRONG_KEYS
    with pytest.raises(TooManyAttemptsError) as caught:
        authenticator.check("wrong", "10.0.0.1")
    assert 0 < caught.value.seconds <= WINDOW_SECONDS
    with pytest.raises(KeyRefusedError, match=r"^The secret is wrong\.$"):
        authenticator.check("wrong", "10.0.0.2")


def test_wrong_keys_expire():
    now = [1000.0]
    authenticator = Authenticator("key", clock=lambda: now[0])

    def attempt() -> int:
        with pytest.raises(KeyRefusedError) as caught:
            authenticator.check("wrong", "10.0.0.1")
        return getattr(caught.value, "seconds", 0)

    assert [attempt() for _ in range(MAX_WRONG_KEYS)] == [0] * MAX_WRONG_KEYS
    now[0] += 20
    assert attempt() == WINDOW_SECONDS - 20
    now[0] += 40
    assert attempt() == 0
    # Memory is limited, whatever the number of addresses.
    for number in range(10_100):
        with pytest.raises(KeyRefusedError):
            authenticator.check("wrong", f"caller {number}")
    assert len(authenticator._attempts) == 10_000


def test_drain_is_recorded_until_it_is_deleted(state: State, tmp_path: Path):
    state.add_app("app1", "demo:1", "app1.example.com")
    drain = Drain("app1", "old", 2000.0)
    state.save_app(ready(state, "new"), drain=drain)
    assert State(tmp_path).drains() == (drain,)

    known = replace(drain, workers=frozenset({(1, 2), (3, 4)}))
    state.save_drain(known)
    assert State(tmp_path).drains() == (known,)
    state.delete_drains("app1", keep={"old"})
    state.delete_drains("app2", keep=())
    assert state.drains() == (known,)
    state.delete_drains("app1", keep=())
    assert state.drains() == ()
    state.save_drain(known)
    state.delete_app("app1")
    assert state.drains() == ()


def test_stopped_app_should_not_run_until_next_deployment(state: State):
    state.add_app("app1", "demo:1", "app1.example.com")
    assert state.app("app1").should_run

    state.set_should_run("app1", should_run=False)
    stopped = state.app("app1")
    assert not stopped.should_run
    state.save_app(ready(state, "abc"))
    assert state.app("app1").should_run
    assert stopped is not None
    state.save_app(stopped)
    assert state.app("app1") == stopped


def test_drain_is_over_at_its_time_or_without_workers():
    now = time.time()
    with subprocess.Popen(["bash", "-c", "exec -a 'nginx: worker process' sleep 60"]) as process:
        # The start time of this process identifies the worker.
        started = int(Path(f"/proc/{process.pid}/stat").read_bytes().rpartition(b")")[2].split()[19])
        try:
            until_titled(process.pid)
            assert not Drain("app1", "old", now + 60, frozenset({(process.pid, started)})).is_over()
            assert Drain("app1", "old", now - 1, frozenset({(process.pid, started)})).is_over()
            # Another process may have the same ID later.
            assert Drain("app1", "old", now + 60, frozenset({(process.pid, started + 1)})).is_over()
        finally:
            process.kill()
    assert Drain("app1", "old", now + 60, frozenset({(process.pid, started)})).is_over()
    assert Drain("app1", "old", now + 60, frozenset()).is_over()
    # If the workers are unknown, only the time limit applies.
    assert not Drain("app1", "old", now + 60).is_over()
    assert Drain("app1", "old", now - 1).is_over()


def until_titled(process: int) -> None:
    deadline = time.monotonic() + 30
    while not Path(f"/proc/{process}/cmdline").read_bytes().startswith(b"nginx: "):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("failing", "kind"),
    [
        (lambda _path: fill_a_device(), DiskFullError),
        (lambda _path: fill_a_database(), DiskFullError),
        (lambda path: (path / "full" / "here").touch(), StateError),
        (sqlite3.connect, StateError),
    ],
)
def test_state_error_names_directory(tmp_path: Path, failing, kind):
    with pytest.raises(StateError) as caught, storage_errors(tmp_path):
        failing(tmp_path)

    assert type(caught.value) is kind
    assert str(tmp_path) in caught.value.message


def fill_a_device() -> None:
    file = os.open("/dev/full", os.O_WRONLY)
    try:
        os.write(file, b"x")
    finally:
        os.close(file)


def fill_a_database() -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        database.execute("PRAGMA max_page_count = 2")
        database.execute("CREATE TABLE a (b)")
        database.execute("INSERT INTO a VALUES (randomblob(100000))")


def test_database_errors_are_state_errors(state: State, tmp_path: Path):
    (tmp_path / "hosted.sqlite3").write_bytes(b"x" * 8192)

    for call in (
        state.apps,
        state.drains,
        lambda: state.app("app1"),
        lambda: state.add_app("app1", "demo:1", "app1.example.com"),
        lambda: state.reserve_port("app1"),
        lambda: state.delete_app("app1"),
        lambda: state.note_image("app1", "a"),
    ):
        with pytest.raises(StateError, match=r"^The state directory .* cannot be used: file is not a database"):
            call()


def test_state_of_earlier_release_is_migrated(tmp_path: Path):
    State(tmp_path).add_app("app1", "demo:1", "app1.example.com")
    with sqlite3.connect(tmp_path / "hosted.sqlite3") as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("DROP TABLE draining")
        database.execute("DROP TABLE releases")
        for column in ("should_run", "options", "image_id", "previous"):
            database.execute(f"ALTER TABLE apps DROP COLUMN {column}")
    database.close()

    state = State(tmp_path)

    assert [(app.name, app.should_run, app.options) for app in state.apps()] == [("app1", False, AppOptions())]
    assert state.drains() == ()
    assert state.releases("app1") == ()
    assert not list(tmp_path.glob("*-wal"))
