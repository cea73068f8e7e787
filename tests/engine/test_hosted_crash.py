"""The hosted API after a kill: its list, the containers and nginx become consistent again."""

from __future__ import annotations

import json
import sqlite3
import time
from typing import Any

import pytest

from tests.engine.hosted import LABEL, Host, docker, request, until

pytestmark = pytest.mark.engine


def assert_consistent(host: Host) -> dict[str, Any]:
    """Check that the list, the containers, the releases, the reserved ports and the files of nginx agree; return the list."""
    shown: dict[str, Any] = host.curl("/").json
    ours = docker("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={LABEL}").split()
    described = json.loads(docker("inspect", *ours)) if ours else []
    assert sorted(each["Config"]["Labels"][f"{LABEL}.app"] for each in described) == sorted(shown)
    assert set(host.files()) == {domain for app in shown.values() for domain in app["domains"]}
    with sqlite3.connect(host.state / "hosted.sqlite3") as database:
        reserved = dict(database.execute("SELECT app, port FROM ports"))
        assert [phase for (phase,) in database.execute("SELECT phase FROM apps")] == ["ready"] * len(shown)
        running = set(database.execute("SELECT name, container FROM apps"))
        last = "SELECT app, container FROM releases GROUP BY app HAVING number = MAX(number)"
        assert set(database.execute(last)) == running
    database.close()
    bound = {
        each["Config"]["Labels"][f"{LABEL}.app"]: int(
            next(iter(each["HostConfig"]["PortBindings"].values()))[0]["HostPort"]
        )
        for each in described
    }
    assert reserved == bound
    for name, app in shown.items():
        assert f"127.0.0.1:{bound[name]};" in host.files()[app["domains"][0]]
        assert until(lambda app=app: request(app["domains"][0]).status == 200)
    return shown


def test_kill_during_first_deployment_leaves_nothing(host: Host):
    with host.in_background(lambda: host.new("slow:1")):
        until(host.containers)
        host.kill()
    assert len(host.containers()) == 1

    host.start()

    assert assert_consistent(host) == {}
    assert host.new("demo:1").text == "Running on app1.example.com!"


def test_kill_during_replacement_keeps_old_container(host: Host):
    host.new("demo:1")
    before = host.containers()
    with host.in_background(lambda: host.new("slow:1")):
        until(lambda: len(host.containers()) == 2)
        host.kill()
    # nginx and the container work without the service.
    assert request("app1.example.com").text.startswith("1 ")

    host.start()

    assert assert_consistent(host)["app1"]["image"] == "demo:1"
    assert host.containers() == before


def test_kill_before_removal_of_old_container_keeps_new_one(host: Host):
    host.new("demo:1")
    (old,) = host.containers()
    port = int(docker("port", old, "8001/tcp").rpartition(":")[2])
    with host.in_background(lambda: request("app1.example.com", "/hold")) as held:
        until(lambda: "/hold" in docker("logs", old))
        assert host.new("demo:2").status == 200
        assert len(host.containers()) == 2
        host.kill()

        host.start()

        assert request("app1.example.com").text.startswith("2 ")
        # The old container answers its open request before it is removed.
        request("app1.example.com", "/release", port=port)
    assert [(answer.status, answer.text[0]) for answer in held] == [(200, "1")]
    until(lambda: old not in host.containers())
    assert assert_consistent(host)["app1"]["image"] == "demo:2"


def test_kill_before_reload_reloads_nginx_at_next_start(stopped_host: Host):
    host = stopped_host
    slow = host.folder / "slow-nginx"
    # Blocks between the change of the files and the reload.
    slow.write_text(
        f'#!/bin/sh\n[ "$1" = -s ] && [ -e {host.folder}/wait ] && touch {host.folder}/reached && sleep 600\nexec {" ".join(host.nginx)} "$@"\n'
    )
    slow.chmod(0o755)
    host.start("--nginx", str(slow))
    host.new("demo:1")
    (host.folder / "wait").touch()
    with host.in_background(lambda: host.new("demo:2")):
        until((host.folder / "reached").exists)
        host.kill()
    (host.folder / "wait").unlink()

    host.start()

    until(lambda: len(host.containers()) == 1)
    assert assert_consistent(host)["app1"]["image"] == "demo:2"
    assert request("app1.example.com").text.startswith("2 ")


def test_kill_during_deletion_completes_it_at_next_start(host: Host):
    host.new("demo:1")
    # The recorded state during a deletion.
    host.kill()
    with sqlite3.connect(host.state / "hosted.sqlite3") as database:
        database.execute("UPDATE apps SET phase = 'purging'")
    database.close()

    host.start()

    assert assert_consistent(host) == {}
    assert docker("volume", "ls", "--quiet", "--filter", f"label={LABEL}") == ""


@pytest.mark.parametrize("delay", [0.05, 0.15, 0.25, 0.4, 0.6, 0.8, 1.2])
def test_state_is_consistent_after_kill_at_any_moment(stopped_host: Host, delay):
    host = stopped_host
    host.start("--drain", "3s")
    host.new("demo:1", "app1")
    with (
        host.in_background(lambda: host.new("demo:2", "app1")),
        host.in_background(lambda: host.new("demo:2", "app2")),
    ):
        # The delay selects the step at which the service is killed.
        time.sleep(delay)
        host.kill()

    host.start()

    until(lambda: len(host.containers()) == 1)
    shown = assert_consistent(host)
    assert shown["app1"]["image"] in {"demo:1", "demo:2"}
    assert host.new("demo:1", "app2").status == 200
    assert until(lambda: len(host.containers("app2")) == 1)
