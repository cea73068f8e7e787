"""The state of the hosted API: shared by workers, consistent after a kill, on a full disk, and after an update."""

from __future__ import annotations

import concurrent.futures
import contextlib
import multiprocessing
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from exasol_ci_setup.containers.hosted.auth import MAX_WRONG_KEYS, WINDOW_SECONDS, Authenticator
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


def test_app_is_creating_until_its_container_is_set(state: State, tmp_path: Path):
    state.add_app("app1", "demo:1", "app1.example.com")
    creating = App("app1", "demo:1", Phase.CREATING, None, None, (), ("app1.example.com",))
    assert state.app("app1") == creating

    state.set_container("app1", image="demo:2", container="abc", port=20000, env_names=["A", "B"])

    # Another worker reads the same state.
    ready = App("app1", "demo:2", Phase.READY, "abc", 20000, ("A", "B"), ("app1.example.com",))
    assert State(tmp_path).apps() == (ready,)
    state.restore_app(creating)
    assert state.app("app1") == creating
    state.delete_app("app1")
    assert state.apps() == ()
    assert state.domain_owner("app1.example.com") is None


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


def _reserve(directory: str, number: int) -> int:
    return State(Path(directory)).reserve_port(f"app{number}")


def test_parallel_workers_reserve_different_ports(state: State, tmp_path: Path):
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        ports = list(pool.map(_reserve, [str(tmp_path)] * 20, range(20)))

    assert len(set(ports)) == 20
    assert state.reserve_port("another") not in ports


def test_lock_of_app_is_exclusive(state: State, tmp_path: Path):
    inside: list[str] = []
    waiting = threading.Event()

    def second() -> None:
        waiting.set()
        with State(tmp_path).lock("app1"):
            inside.append("second")

    with state.lock("app1"):
        thread = threading.Thread(target=second)
        thread.start()
        waiting.wait()
        with state.try_lock("app1") as free:
            assert not free
        with state.try_lock("app2") as free:
            assert free
        inside.append("first")
    thread.join()

    assert inside == ["first", "second"]


def test_lock_of_killed_worker_is_released(state: State, tmp_path: Path):
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from exasol_ci_setup.containers.hosted.state import State\n"
        "with State(Path(sys.argv[1])).lock('app1'):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )

    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)

    assert killed.returncode < 0
    with state.try_lock("app1") as free:
        assert free


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


def test_only_right_key_is_accepted(state: State):
    authenticator = Authenticator(state, "the käy")

    authenticator.check("the käy", "10.0.0.1")
    for secret in ("", "the", "the käy ", "\ud800", "x" * 100_000):
        with pytest.raises(KeyRefusedError, match=r"^The secret is wrong\.$"):
            authenticator.check(secret, "10.0.0.1")
    with pytest.raises(KeyRefusedError, match=r"^The secret is missing\.$"):
        authenticator.check(None, "10.0.0.1")


def test_wrong_keys_of_all_workers_are_counted(tmp_path: Path):
    authenticators = [Authenticator(State(tmp_path), "key") for _ in range(4)]

    def attempt(number: int) -> type[Exception] | None:
        try:
            authenticators[number % 4].check("key" if number % 2 else "wrong", "10.0.0.1")
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
        authenticators[0].check("wrong", "10.0.0.1")
    assert 0 < caught.value.seconds <= WINDOW_SECONDS
    with pytest.raises(KeyRefusedError, match=r"^The secret is wrong\.$"):
        authenticators[0].check("wrong", "10.0.0.2")


def test_wrong_keys_expire(state: State):
    def attempt(now: float) -> float:
        return state.count_wrong_key("10.0.0.1", now=now, limit=2, seconds=60)

    assert [attempt(1000), attempt(1010), attempt(1020), attempt(1020)] == [0, 0, 40, 40]
    assert attempt(1060) == 0
    # The clock was set back.
    assert attempt(0) == 0


def test_drain_is_recorded_until_it_is_deleted(state: State, tmp_path: Path):
    state.add_app("app1", "demo:1", "app1.example.com")
    drain = Drain("app1", "old", 2000.0)
    state.set_container("app1", image="demo:2", container="new", port=20001, env_names=[], drain=drain)
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
    state.set_container("app1", image="demo:2", container="abc", port=20000, env_names=[])
    assert state.app("app1").should_run
    assert stopped is not None
    state.restore_app(stopped)
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
        (lambda path: (path / "nothing" / "here").touch(), StateError),
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
        lambda: state.count_wrong_key("10.0.0.1", now=1, limit=1, seconds=1),
    ):
        with pytest.raises(StateError, match=r"^The state directory .* cannot be used: file is not a database"):
            call()
    # Keys are still compared.
    authenticator = Authenticator(state, "key")
    authenticator.check("key", "10.0.0.1")
    with pytest.raises(KeyRefusedError):
        authenticator.check("wrong", "10.0.0.1")


def test_state_of_earlier_release_is_migrated(tmp_path: Path):
    State(tmp_path).add_app("app1", "demo:1", "app1.example.com")
    with sqlite3.connect(tmp_path / "hosted.sqlite3") as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("DROP TABLE draining")
        database.execute("ALTER TABLE apps DROP COLUMN should_run")
    database.close()

    state = State(tmp_path)

    assert [(app.name, app.should_run) for app in state.apps()] == [("app1", False)]
    assert state.drains() == ()
    assert not list(tmp_path.glob("*-wal"))
