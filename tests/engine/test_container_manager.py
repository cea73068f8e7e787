"""The container manager as a process with a real Docker engine: answers to callers, and cleanup."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.engine.manager import NOTHING, PROGRAM, Manager, docker, on_engine, until

pytestmark = pytest.mark.engine

Managers = Callable[..., Manager]


@pytest.fixture
def managers(tmp_path: Path, image: str) -> Iterator[Managers]:
    """Start managers; when the test ends, they must end and leave nothing on the engine."""
    del image  # only requires the engine
    started: list[Manager] = []

    def start(images: dict[str, Any], folder: str = "one", **environment: str) -> Manager:
        started.append(Manager(tmp_path / folder, images, environment))
        return started[-1]

    try:
        yield start
    finally:
        for each in started:
            each.end()
    assert on_engine() == NOTHING
    assert not [each.file for each in started if each.file.exists()]


def server(image: str, *more: Any, **options: Any) -> dict[str, Any]:
    """Return an image with a web server on port 4545 that ends on SIGTERM."""
    # The shell handles the signal: the first process of a container ignores signals without a handler.
    command = "trap 'exit 0' TERM; python3 -m http.server 4545 --directory /www & wait"
    return {
        "context": False,
        "commands": [
            f"FROM {image}",
            ["ADD", {"dest": "/www/example_file", "content": "hello there"}],
            *more,
            ["CMD", json.dumps(["sh", "-c", command]).replace("{", "{{")],
        ],
        "wait_condition": {"port_open": [4545]},
        **options,
    }


def images_of(image: str) -> dict[str, Any]:
    """Return the images of the shared manager; names that tests do not share are in no other test."""
    database, linked = server(image), server(image, links=[["{images.db}", "dbhost"]])
    waiting = "sleep 0.5; echo now ready > /log; echo 7 > /value; touch /file; exec python3 -m http.server 4545"
    writing = "env > /shared/env; hostname >> /shared/env; cat /etc/hosts >> /shared/env; exec sleep 1000"
    kept = {"include": ["kind"], "exclude": ["*"]}
    return {
        "server": server(image),
        "slow": server(image, "RUN sleep 0.5; echo built once"),
        "left": server(image, "RUN sleep 1 # left"),
        "right": server(image, "RUN sleep 1 # right"),
        "changing": server(image, "COPY data /www/data", context={"include": ["data"], "exclude": ["*"]}),
        "base": {"context": False, "commands": [f"FROM {image}", "RUN mkdir /www && echo from base > /www/base"]},
        "files": {"context": False, "commands": [f"FROM {image}", "RUN echo from files > /made"]},
        "composed": {
            "context": False,
            "commands": [
                ["FROM", "{images.base}"],
                ["ENV", ["A=1", "B=2"]],
                ["COPY", {"from": "{images.files}", "path": "/made", "to": "/www/made"}],
                ["ADD", {"dest": "/www/context", "context": {"include": ["harpoon.yml"], "exclude": ["*"]}}],
                "CMD cd /www && echo $A $B > env && exec python3 -m http.server 4545",
            ],
            "wait_condition": {"port_open": [4545]},
        },
        "db": database,
        "one": linked,
        "two": linked,
        "dependent": server(image, dependencies=["db"]),
        "calling": server(
            image,
            links=["{images.db}:dbhost"],
            wait_condition={"curl_result": {"http://dbhost:4545/example_file": "hello there"}, "timeout": 20},
        ),
        "failing": server(image, "COPY kind /kind", "RUN echo looking; sleep 0.5; grep good /kind", context=kept),
        "unknown": {"context": False, "commands": ["FROM localhost:1/none:none"]},
        "nonsense": {"context": False, "commands": [f"FROM {image}", "NONSENSE x"]},
        "ended": {
            "context": False,
            "commands": [f"FROM {image}", "CMD echo last words; exit 3"],
            "wait_condition": {"file_exists": ["/never"]},
        },
        "unstartable": {"context": False, "commands": [f"FROM {image}", 'CMD ["/nothing"]']},
        "unbuildable": {"context": False, "commands": [f"FROM {image}", "RUN exit 1"]},
        "ended_with_link": {
            "context": False,
            "commands": [f"FROM {image}", "CMD exit 1"],
            "links": ["{images.db}"],
            "wait_condition": {"file_exists": ["/never"]},
        },
        "waiting": {
            "context": False,
            "commands": [f"FROM {image}", f"CMD {waiting}"],
            "wait_condition": {
                "greps": {"/log": "^now"},
                "file_value": {"/value": "7"},
                "file_exists": ["/file"],
                "port_open": [4545],
                "curl_result": {"http://127.0.0.1:4545/log": "now ready"},
                "command": ["diff <(cat /value) <(echo 7)", "test -f /file"],
                "timeout": 20,
            },
        },
        "never": {
            "context": False,
            "commands": [f"FROM {image}", "CMD echo waiting; exec sleep 1000"],
            "wait_condition": {"file_exists": ["/never"], "port_open": [80], "command": ["true"], "timeout": 0.5},
        },
        "hanging": server(image, wait_condition={"command": ["sleep 1000"], "timeout": 0.5}),
        "unready": server(image, wait_condition={"file_exists": ["/never"], "timeout": 0.5}),
        "overriding": server(
            image,
            dependencies=["unready"],
            dependency_options={"unready": {"wait_condition": {"port_open": [4545]}}},
        ),
        "published": server(image, ports=["7000"]),
        "odd": {
            "context": False,
            "commands": [f"FROM {image}", "VOLUME /data"],
            "env": ["GIVEN", "DEFAULTED:default", "OVERRIDDEN:default", "SET=a=b:c"],
            "volumes": {"mount": ["./shared:/shared:rw"]},
            "cpu": {"mem_limit": "64m"},
            "network": {"hostname": "named", "extra_hosts": ["other:10.0.0.1"]},
            "command": f"sh -c '{writing}'",
            "wait_condition": {"greps": {"/shared/env": "10.0.0.1"}},
        },
        "incomplete": server(image, env=["SURELY_NOT_SET"]),
    }


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, image: str) -> Iterator[Manager]:
    """A manager for all tests that do not end it."""
    folder = tmp_path_factory.mktemp("shared")
    (folder / "shared").mkdir()
    running = Manager(folder, images_of(image), {"GIVEN": "given", "OVERRIDDEN": "overridden"})
    yield running
    running.end()
    assert on_engine() == NOTHING
    assert not running.file.exists()


@pytest.fixture
def manager(shared: Manager) -> Iterator[Manager]:
    """The shared manager, without containers; the test may leave containers of its images."""
    yield shared
    label = "exasol-ci-setup.container-manager.image"
    listed = docker("ps", "--all", "--format", f'{{{{.Label "{label}"}}}}', "--filter", f"label={label}")
    for name in set(listed.split()):
        shared.stop(name)
    assert on_engine() == NOTHING


def fetch(port: int, path: str = "/example_file") -> str:
    return httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False).text


def is_running(container: str) -> bool:
    return container in docker("ps", "--quiet", "--no-trunc").split()


def test_container_is_created_reused_stopped_and_recreated(manager):
    first = manager.start("server", [0, 4545])
    again = manager.start("server", [0, 4545])

    assert first == {**again, "just_created": True}
    assert again["just_created"] is False
    assert fetch(first["ports"]["4545"]) == "hello there"
    manager.stop("server")
    assert on_engine() == NOTHING
    manager.stop("server")
    assert manager.start("server", [0, 4545])["container_id"] != first["container_id"]


def test_twenty_parallel_starts_share_one_build_and_one_container(manager):
    answers = [
        each.json() for each in manager.post_in_parallel(20, "/start_container", image="slow", ports=[[0, 4545]])
    ]

    assert len({each["container_id"] for each in answers}) == 1
    assert [each["just_created"] for each in answers].count(True) == 1
    assert manager.log.read_text().count(": slow: building ") == 1
    assert len(on_engine()["containers"]) == 1


def test_different_images_are_built_in_parallel(manager):
    with ThreadPoolExecutor() as threads:
        answers = list(threads.map(manager.start, ["left", "right"]))

    assert [each["just_created"] for each in answers] == [True, True]
    lines = manager.log.read_text().splitlines()
    begun = [number for number, line in enumerate(lines) if re.search(r": (left|right): building ", line)]
    done = [number for number, line in enumerate(lines) if re.search(r": (left|right): built$", line)]
    assert max(begun) < min(done)


def test_only_changed_images_are_built_again(manager):
    (manager.folder / "data").write_text("1")
    manager.start("changing", [0, 4545])
    manager.stop("changing")

    manager.start("changing", [0, 4545])
    assert manager.log.read_text().count(": changing: building ") == 1
    manager.stop("changing")
    (manager.folder / "data").write_text("2")
    port = manager.start("changing", [0, 4545])["ports"]["4545"]

    assert manager.log.read_text().count(": changing: building ") == 2
    assert fetch(port, "/data") == "2"


def test_image_is_built_from_base_and_files_of_another_image(manager):
    port = manager.start("composed", [0, 4545])["ports"]["4545"]

    assert [fetch(port, f"/{name}") for name in ("base", "made", "env")] == ["from base\n", "from files\n", "1 2\n"]
    assert fetch(port, "/context/harpoon.yml") == (manager.folder / "harpoon.yml").read_text()


def test_shared_dependency_stops_with_last_dependent(manager):
    manager.start("one", [0, 4545])
    manager.start("two", [0, 4545])
    shared = docker("ps", "--quiet", "--no-trunc", "--filter", "label=exasol-ci-setup.container-manager.image=db")

    assert len(on_engine()["containers"]) == 3
    manager.stop("one")
    assert is_running(shared)
    manager.stop("db")
    assert is_running(shared), "another container needs it"
    manager.stop("two")
    assert on_engine() == NOTHING


def test_requested_dependency_stays_when_dependent_stops(manager):
    db = manager.start("db", [0, 4545])["container_id"]
    manager.start("dependent")

    manager.stop("dependent")

    assert is_running(db)
    manager.stop("db")
    assert on_engine() == NOTHING


def test_recreated_dependency_is_linked_under_its_alias(manager):
    app = manager.start("calling")["container_id"]
    db = docker("ps", "--quiet", "--filter", "label=exasol-ci-setup.container-manager.image=db")
    docker("rm", "--force", db)

    again = manager.start("calling")

    assert again["container_id"] == app
    assert docker("exec", app, "wget", "-q", "-O", "-", "http://dbhost:4545/example_file") == "hello there"
    assert len(on_engine()["networks"]) == 1


@pytest.mark.parametrize("how", [("kill",), ("rm", "--force")])
def test_container_ended_by_user_is_recreated(manager, how):
    first = manager.start("server", [0, 4545])
    docker(*how, first["container_id"])

    again = manager.start("server", [0, 4545])

    assert again["just_created"] is True
    assert again["container_id"] != first["container_id"]
    assert fetch(again["ports"]["4545"]) == "hello there"
    assert len(on_engine()["containers"]) == 1


def test_restarted_container_is_returned_with_new_ports(manager):
    first = manager.start("server", [0, 4545])
    docker("stop", first["container_id"])
    with socket.create_server(("0.0.0.0", first["ports"]["4545"])):  # noqa: S104 - the restart must not get the same port
        docker("start", first["container_id"])

    again = manager.start("server", [0, 4545])

    assert (again["container_id"], again["just_created"]) == (first["container_id"], False)
    published = docker("port", first["container_id"], "4545/tcp").splitlines()[0].rpartition(":")[2]
    assert again["ports"] == {"4545": int(published)}


def test_failed_build_fails_all_callers_but_not_next_start(manager):
    (manager.folder / "kind").write_text("bad")

    answers = manager.post_in_parallel(5, "/start_container", image="failing", ports=[])

    assert [each.status_code for each in answers] == [502] * 5
    for each in answers:
        assert each.json()["error_code"] == "ImageNotBuilt"
        assert "grep good /kind" in each.json()["error"]["message"]
        assert "returned a non-zero code: 1" in each.json()["error"]["message"]
        assert "looking" in each.json()["error"]["output"]
    assert manager.log.read_text().count(": failing: building ") == 1
    assert docker("ps", "--all", "--quiet") == ""
    (manager.folder / "kind").write_text("good")
    assert manager.start("failing")["just_created"] is True


@pytest.mark.parametrize(
    ("name", "code", "why"),
    [
        ("unknown", "ImageNotBuilt", "image localhost:1/none:none cannot be pulled: "),
        ("nonsense", "ImageNotBuilt", "unknown instruction: NONSENSE"),
        ("ended", "ContainerNotReady", "ended with exit status 3"),
        ("unstartable", "EngineError", "/nothing"),
    ],
)
def test_errors_of_engine_are_reported_with_its_reason(manager, name, code, why):
    answer = manager.post("/start_container", image=name, ports=[])

    assert (answer.status_code, answer.json()["error_code"]) == (502, code)
    assert why in answer.json()["error"]["message"]
    if code == "ContainerNotReady":
        assert answer.json()["error"]["output"] == ["last words"]
    assert on_engine() == NOTHING


def test_failed_start_removes_its_dependencies(manager):
    assert manager.post("/start_container", image="ended_with_link", ports=[]).status_code == 502

    assert on_engine() == NOTHING


def test_start_waits_for_all_wait_conditions(manager):
    container = manager.start("waiting")["container_id"]

    assert docker("exec", container, "cat", "/log") == "now ready"


def test_container_not_ready_in_time_is_reported_and_removed(manager):
    answer = manager.post("/start_container", image="never", ports=[])

    assert answer.status_code == 502
    assert answer.json()["error"]["message"] == (
        "the container of never was not ready within 0.5 s: missing a listener on port 80, a file /never"
    )
    assert answer.json()["error"]["output"] == ["waiting"]
    assert on_engine() == NOTHING


def test_dependency_options_replace_wait_condition(manager):
    assert manager.start("overriding")["just_created"] is True
    assert manager.post("/start_container", image="unready", ports=[]).status_code == 502


def test_ports_are_published_as_requested_and_on_loopback(manager):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    started = manager.start("published", ["127.0.0.1", 0, "53/udp"], f"127.0.0.1:{port}:4545", 6379)
    ports = started["ports"]

    assert ports.keys() == {"53/udp", "4545", "6379", "7000"}
    published = docker("port", started["container_id"]).splitlines()
    assert {line.rpartition(" ")[2].rpartition(":")[0] for line in published} == {"127.0.0.1"}
    assert ports["4545"] == port
    assert fetch(port) == "hello there"


def test_host_port_in_use_is_conflict(manager):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        answer = manager.post("/start_container", image="server", ports=[["127.0.0.1", taken.getsockname()[1], 4545]])

    assert (answer.status_code, answer.json()["error_code"]) == (409, "PortTaken")
    assert on_engine() == NOTHING
    assert manager.start("server")["just_created"] is True


def test_options_apply_to_container_and_its_volumes_are_removed(manager):
    container = manager.start("odd")["container_id"]

    lines = (manager.folder / "shared" / "env").read_text().splitlines()
    assert {"GIVEN=given", "DEFAULTED=default", "OVERRIDDEN=overridden", "SET=a=b:c", "named"} <= set(lines)
    assert docker("inspect", "--format", "{{.HostConfig.Memory}}", container) == str(64 * 2**20)
    assert docker("volume", "ls", "--quiet") != ""
    manager.stop("odd")
    assert docker("volume", "ls", "--quiet") == ""


def test_missing_variable_is_reported_to_caller(manager):
    answer = manager.post("/start_container", image="incomplete", ports=[])

    assert answer.status_code == 409
    assert answer.json()["error"]["message"].endswith(": SURELY_NOT_SET")


class Caller:
    """A request for a container with a lock; the manager has read it when the constructor returns."""

    def __init__(self, manager: Manager) -> None:
        body = json.dumps({"image": "server", "ports": [[0, 4545]], "lock": True}).encode()
        self.socket = socket.create_connection(("127.0.0.1", manager.port))
        self.socket.sendall(b"POST /start_container HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n")
        self.socket.sendall(b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        # A later request is answered, so the manager has read the first one.
        assert httpx.get(f"http://127.0.0.1:{manager.port}/version", trust_env=False).status_code == 200

    @property
    def is_answered(self) -> bool:
        return bool(select.select([self.socket], [], [], 0)[0])

    def answer(self) -> str:
        with self.socket, self.socket.makefile() as reading:
            return reading.read()


def test_locks_are_acquired_in_order_of_requests(manager):
    first = Caller(manager)
    assert '"just_created": true' in first.answer()

    second, third = Caller(manager), Caller(manager)
    assert not second.is_answered
    assert manager.post("/unlock_container", image="server").status_code == 204
    assert '"just_created": false' in second.answer()
    assert not third.is_answered
    assert manager.post("/unlock_container", image="server").status_code == 204
    assert '"just_created": false' in third.answer()

    assert manager.post("/unlock_container", image="server").status_code == 204
    assert manager.start("server", lock=True)["just_created"] is False
    assert manager.post("/unlock_container", image="server").status_code == 204


def test_disconnected_waiter_does_not_acquire_lock(manager):
    manager.start("server", lock=True)
    disconnected, waiting = Caller(manager), Caller(manager)
    disconnected.socket.close()
    assert manager.http.get("/version").status_code == 200

    manager.post("/unlock_container", image="server")

    assert '"just_created": false' in waiting.answer()
    assert manager.post("/unlock_container", image="server").status_code == 204


def test_failed_start_releases_lock(manager):
    for _ in range(2):
        assert manager.post("/start_container", image="unbuildable", ports=[], lock=True).status_code == 502


def test_shutdown_answers_waiters_with_503(managers, image):
    manager = managers({"server": server(image)})
    manager.start("server", lock=True)
    waiting = [Caller(manager) for _ in range(3)]

    answer = manager.http.get("/shutdown")

    assert answer.status_code == 204
    expected = {"error": {"message": "the container manager is shutting down"}, "error_code": "ShuttingDown"}
    for each in waiting:
        head, _, body = each.answer().partition("\n\n")
        assert head.startswith("HTTP/1.1 503 ")
        assert json.loads(body) == expected
    assert on_engine() == NOTHING
    assert not manager.file.exists()
    until(lambda: not manager.is_alive)


def test_start_during_shutdown_is_rejected(managers, image):
    # The container ignores SIGTERM, so that the shutdown takes some time.
    slow = {"context": False, "commands": [f"FROM {image}", 'CMD ["sleep", "1000"]']}
    manager = managers({"slow": slow, "server": server(image)})
    manager.start("slow")
    with ThreadPoolExecutor() as threads:
        ending = threads.submit(httpx.get, f"http://127.0.0.1:{manager.port}/shutdown", trust_env=False, timeout=60)
        until(lambda: "shutting down" in manager.log.read_text())

        answer = manager.post("/start_container", image="server", ports=[])

        assert (answer.status_code, answer.json()["error_code"]) == (503, "ShuttingDown")
        assert ending.result().status_code == 204


def test_wait_condition_with_hanging_command_times_out(manager):
    answer = manager.post("/start_container", image="hanging", ports=[])

    assert answer.json()["error"]["message"] == (
        "the container of hanging was not ready within 0.5 s: missing success of 'sleep 1000'"
    )


def test_signal_during_build_leaves_nothing(managers, image):
    manager = managers({"db": server(image), "slow": {**server(image, "RUN sleep 4711"), "links": ["{images.db}"]}})
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(manager.post, "/start_container", image="slow", ports=[])
        until(lambda: processes("sleep 4711"))

        manager.end(signal.SIGTERM)

        assert waiting.result().status_code == 503
    until(lambda: not processes("sleep 4711"))
    until(lambda: docker("ps", "--all", "--quiet") == "")
    assert on_engine() == NOTHING
    assert not manager.file.exists()


def processes(command: str) -> list[str]:
    """Return the processes that run `command`, also those in containers."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text == command:
            found.append(text)
    return found


def test_signal_during_wait_leaves_nothing(managers, image):
    manager = managers({"server": {**server(image), "wait_condition": {"file_exists": ["/never"]}}})
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(manager.post, "/start_container", image="server", ports=[])
        until(lambda: on_engine()["containers"])

        manager.end(signal.SIGINT)

        assert waiting.result().status_code == 503
    assert on_engine() == NOTHING


def test_managers_do_not_change_containers_of_each_other(managers, manager, image):
    one, two = managers({"server": server(image)}), manager
    first, second = one.start("server", [0, 4545]), two.start("server", [0, 4545])

    assert first["container_id"] != second["container_id"]
    one.stop("server")
    assert is_running(second["container_id"])
    one.start("server")
    assert one.http.get("/shutdown").status_code == 204
    assert fetch(second["ports"]["4545"]) == "hello there"


def test_next_manager_removes_leftovers_of_killed_one_only(managers, manager, image):
    linked = {"db": server(image), "server": {**server(image), "links": ["{images.db}"]}}
    killed = managers(linked)
    kept, left = manager.start("server")["container_id"], killed.start("server")["container_id"]
    labels = json.loads(docker("inspect", left, "--format", "{{json .Config.Labels}}"))
    start, process = (labels[f"exasol-ci-setup.container-manager.{name}"] for name in ("start", "process"))
    killed.end(signal.SIGKILL)
    killed.file.unlink()
    # Of another host, of another PID namespace, and of an unknown process.
    foreign = [
        docker(
            "create", *(f"--label=exasol-ci-setup.container-manager{each}" for each in ("=x", *other)), image, "true"
        )
        for other in (
            (f".process=other:{killed.pid}", f".start={start}"),
            (f".process={process}", f".start={start.replace('pid:[', 'pid:[1')}"),
            (f".process={process}",),
        )
    ]

    log = managers({"server": server(image)}, "two").log

    until(lambda: "removed network" in log.read_text())
    found = docker(
        "ps", "--all", "--quiet", "--no-trunc", "--filter", "label=exasol-ci-setup.container-manager.process"
    )
    assert sorted(found.split()) == sorted([kept, *foreign])
    assert on_engine()["networks"] == []
    docker("rm", *foreign)


def test_background_manager_is_daemon_with_port_and_id_in_file(managers, image):
    manager = managers({"server": server(image)})

    assert manager.file.read_text() == f"{manager.port}\n{manager.pid}\n"
    assert os.getsid(manager.pid) != os.getsid(0)
    assert Path(f"/proc/{manager.pid}/cwd").readlink() == Path("/")
    assert Path(f"/proc/{manager.pid}/fd/2").readlink() == manager.log
    manager.end()
    assert not manager.file.exists()


def test_port_in_use_is_reported_and_no_file_is_written(manager):
    file = manager.folder / "second"

    for arguments in ([f"{file}:{manager.port}"], [f":{manager.port}"]):
        ran = manager.command(*arguments)

        assert ran.returncode == 1
        assert not ran.stdout
        assert ran.stderr.splitlines()[0] == (
            f"error: cannot listen on 127.0.0.1:{manager.port}: Address already in use"
        )
        assert "Traceback" not in ran.stderr
    assert not file.exists()


def test_missing_engine_is_reported_and_no_file_is_written(manager, monkeypatch):
    monkeypatch.setitem(manager.environment, "DOCKER_HOST", "unix:///nowhere/docker.sock")

    ran = manager.command(str(manager.folder / "second"))

    assert ran.returncode == 1
    assert ran.stderr.startswith(
        "error: the Docker engine at unix:///nowhere/docker.sock cannot be used: No such file or directory\n"
    )
    assert not (manager.folder / "second").exists()


def test_unwritable_file_exits_2(manager):
    ran = manager.command(str(manager.folder / "none" / "file"))

    assert ran.returncode == 2
    assert "cannot be written" in ran.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signal_stops_foreground_manager_and_its_containers(tmp_path, image, number):
    (tmp_path / "harpoon.yml").write_text(json.dumps({"images": {"server": server(image)}}))
    process = subprocess.Popen([*PROGRAM, ":0"], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    line = until(process.stderr.readline)
    while "runs at" not in line:
        line = process.stderr.readline()
    url = line.rpartition(" ")[2].strip()
    answer = httpx.post(f"{url}/start_container", json={"image": "server", "ports": []}, trust_env=False, timeout=60)
    assert answer.status_code == 200

    process.send_signal(number)
    _, rest = process.communicate()

    assert process.returncode == 0, rest
    assert "Traceback" not in rest
    assert on_engine() == NOTHING


def test_page_of_another_site_cannot_shut_down_manager(manager):
    answer = manager.http.get("/shutdown", headers={"Sec-Fetch-Site": "cross-site"})

    assert answer.status_code == 403
    assert manager.http.get("/version").status_code == 200


FORWARD = """
import asyncio, os, sys
async def pump(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
async def forward(reader, writer):
    target = await asyncio.open_unix_connection(sys.argv[2])
    await asyncio.gather(pump(reader, target[1]), pump(target[0], writer), return_exceptions=True)
async def main():
    server = await asyncio.start_unix_server(forward, sys.argv[1])
    print("ready", flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


def test_lost_engine_is_reported_and_manager_still_ends(tmp_path, image):
    between = tmp_path / "docker.sock"
    engine = os.environ["DOCKER_HOST"].removeprefix("unix://")
    forwarding = subprocess.Popen([sys.executable, "-c", FORWARD, between, engine], stdout=subprocess.PIPE, text=True)
    assert forwarding.stdout is not None
    assert forwarding.stdout.readline() == "ready\n"
    manager = Manager(tmp_path / "one", {"server": server(image)}, {"DOCKER_HOST": f"unix://{between}"})
    left = manager.start("server")["container_id"]
    forwarding.kill()
    forwarding.communicate()

    answer = manager.post("/start_container", image="server", ports=[])
    manager.end()

    assert (answer.status_code, answer.json()["error_code"]) == (502, "EngineUnavailable")
    assert "the Docker engine does not answer" in answer.json()["error"]["message"]
    assert not manager.file.exists()
    assert "Traceback" not in manager.log.read_text()
    assert is_running(left)
    docker("rm", "--force", "--volumes", left)
