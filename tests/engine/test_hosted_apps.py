"""Apps of the hosted API behind nginx: protocols, limits, releases and logs, on one host for all tests."""

from __future__ import annotations

import concurrent.futures
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.engine.hosted import DOMAIN, KEY, LABEL, Host, docker, echo, request, until, upload

pytestmark = pytest.mark.engine

ADDRESSES = ("127.0.0.1", "::1")
MIB = 1 << 20


def failure(reason: str) -> dict[str, object]:
    return {"success": False, "reason": reason}


@pytest.mark.parametrize(
    "path",
    [
        *("/stop", "/run", "/add_domain", "/remove_domain", "/delete", "/logs", "/redeploy", "/rollback"),
        *("/get", "/releases"),
    ],
)
def test_missing_app_is_reported_by_each_endpoint(shared_host: Host, path):
    more = {"domain": "app.example.com"} if path.endswith("_domain") else {}

    answer = shared_host.curl(path, {"name": "missing", **more})

    assert (answer.status, answer.json) == (404, failure("That container doesn't exist."))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/new", {"image": "demo:1", "name": "../x"}),
        ("/new", {"image": "demo:1", "name": "a; }"}),
        ("/new", {"image": "demo:1", "name": "A"}),
        ("/new", {"image": "../../containers/x", "name": "refused"}),
        ("/new", {"image": "demo:1", "name": "refused", "env": {"A=B": "c"}}),
        ("/new", {"image": "demo:1", "name": "refused", "env": {"A": "\0"}}),
        ("/new", {"image": "demo:1", "name": "refused", "env": {"PORT": "http"}}),
        ("/new", {"name": "refused"}),
        ("/add_domain", {"name": "plain", "domain": "a; }"}),
        ("/add_domain", {"name": "plain", "domain": "../app2"}),
        ("/add_domain", {"name": "plain", "domain": "localhost"}),
        ("/add_domain", {"name": "plain", "domain": "example.org\n"}),
        ("/logs", {"name": "plain", "lines": 0}),
        ("/new", ["not", "an", "object"]),
    ],
)
def test_invalid_request_is_rejected_without_changes(shared_host: Host, path, body):
    host = shared_host
    if not host.containers("plain"):
        host.new("demo:1", "plain")
    before = (host.files(), host.curl("/").text, docker("ps", "--all", "--quiet"), sorted(host.state.rglob("*")))

    answer = host.curl(path, body, "--header", f"Authorization: Bearer {KEY}")

    assert answer.status == 400
    assert set(answer.json) == {"success", "reason"}
    assert answer.json["success"] is False
    assert (
        host.files(),
        host.curl("/").text,
        docker("ps", "--all", "--quiet"),
        sorted(host.state.rglob("*")),
    ) == before


def test_invalid_json_is_rejected(shared_host: Host):
    host = shared_host
    header = ("--header", "Content-Type: application/json")

    bearer = ("--header", f"Authorization: Bearer {KEY}")

    assert host.curl("/new", None, *header, *bearer, "--data", "{").status == 400
    assert host.curl("/new", None, *header, *bearer, "--data", json.dumps({"image": "\ud800"})).status == 400
    assert host.curl("/new", None, *header, "--data", "{").json == failure("The secret is missing.")
    assert host.curl("/stop", {"name": "plain"}, key="\ud800").json == failure("The secret is wrong.")
    assert host.curl("/nothing").json == failure("Not Found")
    assert host.curl("/new").json == failure("Method Not Allowed")


@pytest.mark.parametrize("address", ADDRESSES)
def test_app_gets_http_1_1_and_websockets(shared_host: Host, address):
    shared_host.new("demo:1", "tunnel")

    assert request("tunnel.example.com", "/protocol", address=address).text == "HTTP/1.1 close None"
    assert echo("tunnel.example.com", "hello", address=address) == "hello"
    # Other upgrades are not forwarded.
    plain = request("tunnel.example.com", "/protocol", address=address, Connection="Upgrade", Upgrade="h2c")
    assert plain.text == "HTTP/1.1 close None"


def test_upload_of_50_mib_is_accepted_over_ipv4_and_ipv6(shared_host: Host):
    shared_host.new("demo:1", "upload")

    for address in ADDRESSES:
        assert upload("upload.example.com", 50 * MIB, address=address).text == f"{50 * MIB} bytes"
    # The default limit is 100 MiB.
    assert upload("upload.example.com", 101 * MIB, address="127.0.0.1").status == 413
    assert request("example.com", "/openapi.json", address="::1").status == 200


def inspect(host: Host, name: str) -> Any:
    """Return the description of the container of an app."""
    (container,) = host.containers(name)
    return json.loads(docker("inspect", container))[0]


def test_limits_have_defaults_and_are_kept_by_redeploy(shared_host: Host):
    shared_host.new("demo:1", "limits")
    config = inspect(shared_host, "limits")["HostConfig"]
    assert (config["Memory"], config["MemorySwap"], config["PidsLimit"], config["NanoCpus"]) == (
        512 * MIB,
        512 * MIB,
        512,
        0,
    )
    assert config["SecurityOpt"] == ["no-new-privileges"]
    assert config["LogConfig"] == {"Type": "local", "Config": {"max-file": "5", "max-size": "10m"}}

    new = shared_host.new("demo:1", "limits", memory="256m", pids=200, cpus=0.5, max_body="1m", timeout="2s")
    assert new.text == "Running on limits.example.com!"
    assert upload("limits.example.com", 2 * MIB, address="127.0.0.1").status == 413
    assert request("limits.example.com", "/sleep/5").status == 504
    shared_host.curl("/redeploy", {"name": "limits", "image": "demo:2", "pids": None, "max_body": "3m"})

    until(lambda: len(shared_host.containers("limits")) == 1)
    config = inspect(shared_host, "limits")["HostConfig"]
    assert (config["Memory"], config["PidsLimit"], config["NanoCpus"]) == (268435456, 512, 500_000_000)
    assert upload("limits.example.com", 2 * MIB, address="127.0.0.1").text == f"{2 * MIB} bytes"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"envs": {"GREETING": "hi"}}, "envs: unknown field"),
        ({"privileged": True}, "privileged: unknown field"),
        ({"memory": "1m"}, "use at least 6m"),
        ({"memory": "-1"}, "'-1' is not a size"),
        ({"cpus": 0}, "use a number of processors"),
        ({"pids": 0}, "pids: use 1 or more"),
        ({"max_body": "1m; }"}, "is not a size"),
        ({"timeout": "60s; }"}, "is not a time"),
        ({"health_path": "healthz"}, "use a path that begins with /"),
        ({"health_path": "/a b"}, "use a path that begins with /"),
    ],
)
def test_unknown_or_invalid_option_deploys_nothing(shared_host: Host, fields, reason):
    for path, more in (("/new", {"image": "demo:1"}), ("/redeploy", {})):
        answer = shared_host.curl(path, {"name": "refused", **more, **fields})

        assert answer.status == 400
        assert reason in answer.json["reason"]
    assert shared_host.containers("refused") == []


def test_health_path_decides_whether_container_is_ready(shared_host: Host):
    healthy = shared_host.new("failing:1", "health", health_path="/healthz")
    assert healthy.text == "Running on health.example.com!"

    ill = shared_host.new("demo:1", "health", health_path="/healthz", env={"HEALTH": "404"})

    assert ill.status == 400
    assert "GET /healthz returned status 404" in ill.json["reason"]
    # The path is kept, so the container is still not accepted.
    assert shared_host.curl("/redeploy", {"name": "health", "env": {"HEALTH": "500"}}).status == 400
    assert request("health.example.com").status == 500


def test_new_tag_keeps_variables_and_merges_new_ones(shared_host: Host):
    shared_host.new("demo:1", "tag", env={"GREETING": "hi", "ENV": "test"})

    changed = shared_host.curl("/redeploy", {"name": "tag", "image": "demo:2"})

    assert changed.text == "Running on tag.example.com!"
    assert request("tag.example.com").text == "2 test 8001 hi -"
    shared_host.curl("/redeploy", {"name": "tag", "env": {"GREETING": None, "ENV": "dev", "PORT": 9000}})
    assert request("tag.example.com").text == "2 dev 9000 - -"
    assert shared_host.curl("/").json["tag"]["image"] == "demo:2"
    refused = shared_host.curl("/redeploy", {"name": "tag", "env": {"PORT": "http"}})
    assert refused.status == 400
    assert request("tag.example.com").text == "2 dev 9000 - -"


def test_rollback_restores_image_by_id_variables_and_options(shared_host: Host):
    docker("tag", "demo:1", "moving:1")
    first = docker("inspect", "--format", "{{.Id}}", "moving:1")
    shared_host.new("moving:1", "back", env={"GREETING": "a secret"}, memory="64m")
    assert shared_host.curl("/rollback", {"name": "back"}).status == 409
    # Same name, other image.
    docker("tag", "demo:2", "moving:1")
    shared_host.new("moving:1", "back", env={"GREETING": "new"})
    assert request("back.example.com").text == "2 prod 8001 new -"

    answer = shared_host.curl("/rollback", {"name": "back"})

    assert answer.text == "Running on back.example.com!"
    assert request("back.example.com").text == "1 prod 8001 a secret -"
    until(lambda: len(shared_host.containers("back")) == 1)
    found = inspect(shared_host, "back")
    assert (found["Image"], found["HostConfig"]["Memory"]) == (first, 64 * MIB)
    # The replaced release is now the previous one. A restart does not lose it.
    shared_host.stop()
    shared_host.start("--answer-within", "5s")
    shared_host.curl("/rollback", {"name": "back"})
    assert request("back.example.com").text == "2 prod 8001 new -"
    # A failed deployment does not change it.
    assert shared_host.new("broken:1", "back").status == 400
    again = shared_host.curl("/rollback", {"name": "back"})
    assert again.text == "Running on back.example.com!"
    assert request("back.example.com").text == "1 prod 8001 a secret -"
    files = [path for path in Path(shared_host.state, "releases").iterdir() if path.name.startswith("back.")]
    assert [path.stat().st_mode & 0o777 for path in files] == [0o600]
    shared_host.curl("/delete", {"name": "back"})
    assert not [path for path in Path(shared_host.state, "releases").iterdir() if path.name.startswith("back.")]
    docker("rmi", "moving:1")


def test_releases_name_changes_without_values(shared_host: Host):
    def releases() -> list[dict[str, Any]]:
        answer = shared_host.curl("/releases", {"name": "story"})
        assert "a-secret" not in answer.text
        return list(answer.json["releases"])

    shared_host.new("demo:1", "story", env={"GREETING": "a-secret", "ENV": "test"}, memory="64m")
    shared_host.new("demo:2", "story", env={"GREETING": "a-secret-2", "MORE": "a-secret"}, memory="64m", pids=200)
    assert shared_host.new("broken:1", "story").status == 400
    shared_host.curl("/rollback", {"name": "story"})
    shared_host.curl("/redeploy", {"name": "story"})

    changes = ["image", "pids", "ENV", "GREETING", "MORE"]
    assert [(each["number"], each["image"], each["changes"]) for each in releases()] == [
        (4, "demo:1", []),
        (3, "demo:1", changes),
        (2, "demo:2", changes),
        (1, "demo:1", []),
    ]
    assert "a-secret" not in (shared_host.state / "hosted.sqlite3").read_bytes().decode("latin-1")
    shared_host.curl("/delete", {"name": "story"})
    shared_host.new("demo:1", "story")
    assert [each["number"] for each in releases()] == [1]


def test_description_has_limits_domains_and_health(shared_host: Host):
    shared_host.new("demo:1", "known", env={"GREETING": "a-secret"}, memory="64m", cpus=0.5, health_path="/healthz")
    shared_host.curl("/add_domain", {"name": "known", "domain": "known.example.net"})

    answer = shared_host.curl("/get", {"name": "known"})

    assert "a-secret" not in answer.text
    found = answer.json
    assert found.pop("deployed").endswith("+00:00")
    assert found == {
        "success": True,
        "name": "known",
        "image": "demo:1",
        "running": True,
        "health": "healthy",
        "release": 1,
        "domains": ["known.example.com", "known.example.net"],
        "variables": ["GREETING"],
        "memory": 64 * MIB,
        "cpus": 0.5,
        "pids": 512,
        "max_body": 100 * MIB,
        "timeout": 60,
        "health_path": "/healthz",
    }
    shared_host.new("failing:1", "failed", health_path="/healthz")
    assert shared_host.curl("/get", {"name": "failed"}).json["health"] == "healthy"
    shared_host.curl("/stop", {"name": "known"})
    stopped = shared_host.curl("/get", {"name": "known"}).json
    assert (stopped["running"], stopped["health"]) == (False, "stopped")
    docker("rm", "--force", *shared_host.containers("known"))
    missing = shared_host.curl("/get", {"name": "known"}).json
    assert (missing["running"], missing["health"], missing["memory"]) == (False, "missing", 64 * MIB)


def test_removed_domain_is_free_and_others_stay(shared_host: Host):
    shared_host.new("demo:1", "domains")
    for domain in ("a.example.net", "b.example.net"):
        shared_host.curl("/add_domain", {"name": "domains", "domain": domain})

    removed = shared_host.curl("/remove_domain", {"name": "domains", "domain": "A.example.net"})

    assert removed.json == {"success": True}
    assert shared_host.curl("/").json["domains"]["domains"] == ["domains.example.com", "b.example.net"]
    assert "a.example.net" not in shared_host.files()
    assert request("b.example.net").text.startswith("1 ")
    # Another app can have it.
    shared_host.new("demo:2", "others")
    assert shared_host.curl("/add_domain", {"name": "others", "domain": "a.example.net"}).status == 200
    for domain in ("a.example.net", "none.example.net", DOMAIN):
        refused = shared_host.curl("/remove_domain", {"name": "domains", "domain": domain})
        assert (refused.status, refused.json["success"]) == (404, False)
    assert until(lambda: request("a.example.net").text.startswith("2 "))


def test_apps_have_own_networks_and_do_not_reach_each_other(shared_host: Host):
    shared_host.new("demo:1", "net1")
    shared_host.new("demo:1", "net2")
    networks = [inspect(shared_host, name)["NetworkSettings"]["Networks"] for name in ("net1", "net2")]

    assert [[name[:12] for name in each] for each in networks] == [["hosted-net1-"], ["hosted-net2-"]]
    (other,) = (each["IPAddress"] for each in networks[1].values())
    code = f"import socket; socket.create_connection(('{other}', 8001), timeout=1)"
    (first,) = shared_host.containers("net1")
    with pytest.raises(Exception, match="docker"):
        docker("exec", first, "python3", "-c", code)
    docker("exec", first, "python3", "-c", code.replace(other, "127.0.0.1"))
    shared_host.curl("/delete", {"name": "net2"})
    names = docker("network", "ls", "--format", "{{.Name}}", "--filter", f"label={LABEL}").split()
    assert set(networks[0]) < set(names)
    assert not set(networks[1]) & set(names)


def test_old_images_of_app_are_removed_except_last_five(shared_host: Host, tmp_path: Path):
    ids = []
    for version in range(7):
        (tmp_path / "Dockerfile").write_text(f"FROM demo:1\nENV VERSION={version}\nLABEL only=prune\n")
        docker("build", "--quiet", "--tag", "pruned:1", str(tmp_path))
        ids.append(docker("inspect", "--format", "{{.Id}}", "pruned:1"))
        assert shared_host.new("pruned:1", "prune").status == 200
        until(lambda: len(shared_host.containers("prune")) == 1)

    def left() -> set[str]:
        return set(docker("images", "--no-trunc", "--quiet", "--filter", "label=only=prune").split())

    assert until(lambda: left() == set(ids[-5:]))
    assert request("prune.example.com").text.startswith("6 ")
    # With the app, its images without a name are removed.
    shared_host.curl("/delete", {"name": "prune"})
    assert left() == {ids[-1]}
    docker("rmi", "pruned:1")


def test_followed_log_continues_until_caller_or_service_ends(shared_host: Host):
    shared_host.new("demo:1", "follow")
    body = json.dumps({"name": "follow", "lines": 5, "follow": True})
    command = [
        *("curl", "--silent", "--no-buffer", "--include", "--header", f"Authorization: Bearer {KEY}"),
        *("--header", f"Host: {DOMAIN}", "--json", body, "http://127.0.0.1/logs"),
    ]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as second,
    ):
        heads = []
        for each in (first, second):
            heads.append("".join(iter(each.stdout.readline, "\n")).lower())
            assert each.stdout.readline() == "this is an app\n"
        assert all("200 ok" in head and "content-type: text/plain" in head for head in heads)
        # The line arrives although the request has not ended.
        request("follow.example.com", "/sleep/0")
        assert first.stdout.readline() == "received /sleep/0\n"
        first.kill()
        assert shared_host.stop() == 0
        assert second.stdout.read() == "received /sleep/0\n"
    shared_host.start("--answer-within", "5s")
    assert shared_host.curl("/logs", {"name": "follow", "lines": 1}).json["logs"] == "received /sleep/0\n"
    assert shared_host.curl("/logs", {"name": "nothing", "follow": True}).status == 404


def test_list_is_answered_while_many_requests_wait_for_app(shared_host: Host):
    log = shared_host.log
    with (
        concurrent.futures.ThreadPoolExecutor(60) as pool,
        shared_host.in_background(lambda: shared_host.new("slow:1", "busy")) as deployed,
    ):
        until(lambda: shared_host.containers("busy"))
        # More than the default number of threads. Each waits for the deployment of the app.
        waiting = [pool.submit(shared_host.curl, "/delete", {"name": "busy"}) for _ in range(60)]
        assert shared_host.curl("/").status == 200
        assert deployed == []
        assert not [each for each in waiting if each.done()]

    assert {each.result().status for each in waiting} == {404}
    assert deployed[0].status == 400
    assert "Traceback" not in log.read_text()
