"""The state of the hosted API: what several workers see, and what is left when one of them is killed."""

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

from exasol_ci_setup.containers.hosted.auth import MOST_WRONG, WINDOW_SECONDS, Gate
from exasol_ci_setup.containers.hosted.state import PORTS, App, Drain, Phase, State
from exasol_ci_setup.containers.hosted.storage import storing
from exasol_ci_setup.errors import AppConflict, DiskFull, InputError, KeyRefused, StateError, TooManyAttempts


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path)


def test_an_app_is_being_made_until_it_is_settled(state: State, tmp_path: Path):
    state.begin("app1", "demo:1", "app1.example.com")
    making = App("app1", "demo:1", Phase.MAKING, None, None, (), ("app1.example.com",))
    assert state.app("app1") == making

    state.settle("app1", image="demo:2", container="abc", port=20000, env_names=["A", "B"])

    # Another worker sees the same.
    ready = App("app1", "demo:2", Phase.READY, "abc", 20000, ("A", "B"), ("app1.example.com",))
    assert State(tmp_path).apps() == (ready,)
    state.restore(making)
    assert state.app("app1") == making
    state.forget("app1")
    assert state.apps() == ()
    assert state.owner("app1.example.com") is None


def test_a_domain_belongs_to_one_app_and_the_first_stays_first(state: State):
    state.begin("app2", "demo:1", "z.example.com")
    for domain in ("c.example.org", "a.example.org"):
        state.give(domain, "app2")
    assert state.app("app2").domains == ("z.example.com", "c.example.org", "a.example.org")

    with pytest.raises(AppConflict, match=r"^The domain a\.example\.org belongs to app2\.$"):
        state.begin("app1", "demo:1", "a.example.org")
    assert state.app("app1") is None
    state.give("c.example.org", None)
    assert state.app("app2").domains == ("z.example.com", "a.example.org")


def test_a_domain_that_is_given_back_has_its_place_again(state: State):
    state.begin("app1", "demo:1", "app1.example.com")
    state.give("second.example.com", "app1")
    state.begin("app2", "demo:1", "app2.example.com")
    place = state.place("app1.example.com")

    state.give("app1.example.com", "app2")
    state.give("app1.example.com", "app1", place=place)

    found = state.app("app1")
    assert found is not None
    assert found.domains == ("app1.example.com", "second.example.com")
    assert state.place("none.example.com") is None


def test_a_port_is_given_once_and_only_if_it_is_free(state: State):
    with socket.create_server(("127.0.0.1", PORTS[0])):
        first = state.reserve_port("app1")
    second = state.reserve_port("app1", besides={PORTS[0]})

    assert first not in {PORTS[0], second}
    assert {first, second} < set(PORTS)
    state.release_ports("app1", but=second)
    assert state.reserve_port("app2", besides={PORTS[0]}) == first
    state.release_ports("app1", but=None)
    assert state.reserve_port("app3", besides={PORTS[0]}) == second


def _reserve(directory: str, number: int) -> int:
    return State(Path(directory)).reserve_port(f"app{number}")


def test_workers_that_ask_at_once_get_different_ports(state: State, tmp_path: Path):
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        ports = list(pool.map(_reserve, [str(tmp_path)] * 20, range(20)))

    assert len(set(ports)) == 20
    assert state.reserve_port("another") not in ports


def test_work_on_one_app_is_done_by_one_after_the_other(state: State, tmp_path: Path):
    inside: list[str] = []
    waiting = threading.Event()

    def second() -> None:
        waiting.set()
        with State(tmp_path).locked("app1"):
            inside.append("second")

    with state.locked("app1"):
        thread = threading.Thread(target=second)
        thread.start()
        waiting.wait()
        with state.locked_if_free("app1") as free:
            assert not free
        with state.locked_if_free("app2") as free:
            assert free
        inside.append("first")
    thread.join()

    assert inside == ["first", "second"]


def test_the_lock_of_a_killed_worker_is_free(state: State, tmp_path: Path):
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from exasol_ci_setup.containers.hosted.state import State\n"
        "with State(Path(sys.argv[1])).locked('app1'):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )

    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)

    assert killed.returncode < 0
    with state.locked_if_free("app1") as free:
        assert free


def test_the_database_is_its_owners_only(tmp_path: Path):
    mask = os.umask(0)
    try:
        State(tmp_path)
    finally:
        os.umask(mask)

    assert (tmp_path / "hosted.sqlite3").stat().st_mode & 0o777 == 0o600


def test_a_directory_that_cannot_be_used_is_told(tmp_path: Path):
    (tmp_path / "file").touch()
    (tmp_path / "hosted.sqlite3").write_text("not a database, but long enough to be looked at as one" * 100)

    for directory in (tmp_path / "file", tmp_path):
        with pytest.raises(InputError, match=r"^the state directory .* cannot be used: "):
            State(directory)


def test_the_right_key_lets_in_and_a_wrong_one_does_not(state: State):
    gate = Gate(state, "the käy")

    gate.check("the käy", "10.0.0.1")
    for secret in ("", "the", "the käy ", "\ud800", "x" * 100_000):
        with pytest.raises(KeyRefused, match=r"^The secret is wrong\.$"):
            gate.check(secret, "10.0.0.1")
    with pytest.raises(KeyRefused, match=r"^The secret is missing\.$"):
        gate.check(None, "10.0.0.1")


def test_wrong_keys_are_counted_over_all_workers_and_the_right_one_never(tmp_path: Path):
    gates = [Gate(State(tmp_path), "key") for _ in range(4)]

    def attempt(number: int) -> type[Exception] | None:
        try:
            gates[number % 4].check("key" if number % 2 else "wrong", "10.0.0.1")
        except KeyRefused as error:
            return type(error)
        return None

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        found = list(pool.map(attempt, range(80)))
    wrong = found[::2]

    # Wrong keys do not lock the right one out.
    assert found[1::2] == [None] * 40
    assert wrong.count(KeyRefused) == MOST_WRONG
    assert wrong.count(TooManyAttempts) == 40 - MOST_WRONG
    with pytest.raises(TooManyAttempts) as caught:
        gates[0].check("wrong", "10.0.0.1")
    assert 0 < caught.value.seconds <= WINDOW_SECONDS
    with pytest.raises(KeyRefused, match=r"^The secret is wrong\.$"):
        gates[0].check("wrong", "10.0.0.2")


def test_wrong_keys_count_for_a_while_only(state: State):
    def attempt(now: float) -> float:
        return state.attempt("10.0.0.1", now=now, most=2, seconds=60)

    assert [attempt(1000), attempt(1010), attempt(1020), attempt(1020)] == [0, 0, 40, 40]
    assert attempt(1060) == 0
    # A clock that is set back does not count.
    assert attempt(0) == 0


def test_replaced_container_is_noted_until_it_is_forgotten(state: State, tmp_path: Path):
    state.begin("app1", "demo:1", "app1.example.com")
    drain = Drain("app1", "old", 2000.0)
    state.settle("app1", image="demo:2", container="new", port=20001, env_names=[], drain=drain)
    assert State(tmp_path).drains() == (drain,)

    known = replace(drain, workers=frozenset({(1, 2), (3, 4)}))
    state.note_drain(known)
    assert State(tmp_path).drains() == (known,)
    state.forget_drains("app1", but={"old"})
    state.forget_drains("app2", but=())
    assert state.drains() == (known,)
    state.forget_drains("app1", but=())
    assert state.drains() == ()
    state.note_drain(known)
    state.forget("app1")
    assert state.drains() == ()


def test_stopped_app_should_not_run_until_it_is_started_or_deployed(state: State):
    state.begin("app1", "demo:1", "app1.example.com")
    assert state.app("app1").should_run

    state.intend("app1", should_run=False)
    stopped = state.app("app1")
    assert not stopped.should_run
    state.settle("app1", image="demo:2", container="abc", port=20000, env_names=[])
    assert state.app("app1").should_run
    assert stopped is not None
    state.restore(stopped)
    assert state.app("app1") == stopped


def test_drain_is_over_at_its_time_or_without_workers():
    now = time.time()
    with subprocess.Popen(["bash", "-c", "exec -a 'nginx: worker process' sleep 60"]) as process:
        # Its title is the system's to say, so this process is asked for by its own start.
        started = int(Path(f"/proc/{process.pid}/stat").read_bytes().rpartition(b")")[2].split()[19])
        try:
            until_titled(process.pid)
            assert not Drain("app1", "old", now + 60, frozenset({(process.pid, started)})).is_over()
            assert Drain("app1", "old", now - 1, frozenset({(process.pid, started)})).is_over()
            # Its number may be another process's by now.
            assert Drain("app1", "old", now + 60, frozenset({(process.pid, started + 1)})).is_over()
        finally:
            process.kill()
    assert Drain("app1", "old", now + 60, frozenset({(process.pid, started)})).is_over()
    assert Drain("app1", "old", now + 60, frozenset()).is_over()
    # Where workers cannot be seen, only the time counts.
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
        (lambda _path: fill_a_device(), DiskFull),
        (lambda _path: fill_a_database(), DiskFull),
        (lambda path: (path / "nothing" / "here").touch(), StateError),
        (sqlite3.connect, StateError),
    ],
)
def test_error_of_the_state_names_its_directory(tmp_path: Path, failing, kind):
    with pytest.raises(StateError) as caught, storing(tmp_path):
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


def test_each_error_of_the_database_is_one_of_the_state(state: State, tmp_path: Path):
    (tmp_path / "hosted.sqlite3").write_bytes(b"x" * 8192)

    for call in (
        state.apps,
        state.drains,
        lambda: state.app("app1"),
        lambda: state.begin("app1", "demo:1", "app1.example.com"),
        lambda: state.reserve_port("app1"),
        lambda: state.forget("app1"),
        lambda: state.attempt("10.0.0.1", now=1, most=1, seconds=1),
    ):
        with pytest.raises(StateError, match=r"^The state directory .* cannot be used: file is not a database"):
            call()
    # Keys are still compared.
    gate = Gate(state, "key")
    gate.check("key", "10.0.0.1")
    with pytest.raises(KeyRefused):
        gate.check("wrong", "10.0.0.1")


def test_state_of_an_earlier_release_is_read_without_its_log(tmp_path: Path):
    State(tmp_path).begin("app1", "demo:1", "app1.example.com")
    with sqlite3.connect(tmp_path / "hosted.sqlite3") as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("DROP TABLE draining")
        database.execute("ALTER TABLE apps DROP COLUMN should_run")
    database.close()

    state = State(tmp_path)

    assert [(app.name, app.should_run) for app in state.apps()] == [("app1", False)]
    assert state.drains() == ()
    assert not list(tmp_path.glob("*-wal"))
