"""The hosted API with a real nginx and Docker engine: endpoints, and the texts that scripts of callers expect."""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from exasol_ci_setup.containers.hosted.auth import MAX_WRONG_KEYS
from tests.engine.conftest import need
from tests.engine.hosted import DOMAIN, KEY, LABEL, Host, docker, request, until

pytestmark = pytest.mark.engine

RUNNING = {"running": True, "image": "demo:1", "domains": ["app1.example.com"]}


@contextlib.contextmanager
def collect_errors(failures: list[BaseException]) -> Iterator[None]:
    """Collect connection errors of the block instead of raising them."""
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        failures.append(error)


def failure(reason: str) -> dict[str, object]:
    return {"success": False, "reason": reason}


def test_each_endpoint_returns_expected_texts(host: Host):
    assert host.curl("/").json == {}

    new = host.new("demo:1")
    assert (new.status, new.text) == (200, "Running on app1.example.com!")
    assert host.curl("/").json == {"app1": RUNNING}
    assert request("app1.example.com").text == "1 prod 8001 - -"

    run = host.curl("/run", {"name": "app1"})
    assert (run.status, run.json) == (409, failure("That container is already running."))
    assert host.curl("/stop", {"name": "app1"}).json == {"success": True}
    assert host.curl("/").json == {"app1": {**RUNNING, "running": False}}
    stop = host.curl("/stop", {"name": "app1"})
    assert (stop.status, stop.json) == (409, failure("That container isn't running."))
    assert host.curl("/run", {"name": "app1"}).json == {"success": True}
    assert until(lambda: request("app1.example.com").status == 200)

    assert host.curl("/add_domain", {"name": "app1", "domain": "app1-pr.example.com"}).json == {"success": True}
    assert host.curl("/").json["app1"]["domains"] == ["app1.example.com", "app1-pr.example.com"]
    assert request("app1-pr.example.com").text == "1 prod 8001 - -"

    logs = host.curl("/logs", {"name": "app1"}).json
    assert logs == {"success": True, "logs": "this is an app\nthis is an app\n"}
    assert host.curl("/logs", {"name": "app1", "lines": 1}).json["logs"] == "this is an app\n"

    assert host.curl("/delete", {"name": "app1"}).json == {"success": True}
    delete = host.curl("/delete", {"name": "app1"})
    assert (delete.status, delete.json) == (404, failure("That container doesn't exist."))
    assert host.curl("/").json == {}
    assert host.files() == {}
    assert host.containers() == []


def test_key_in_header_is_accepted_and_never_shown(host: Host):
    answer = host.curl(
        "/new", {"image": "demo:1", "name": "app1"}, "--header", f"Authorization: Bearer {KEY}", key=None
    )

    assert answer.text == "Running on app1.example.com!"
    # The key is not in the app, the list, the files or the log.
    assert request("app1.example.com").text.endswith(" -")
    texts = [host.curl("/").text, host.log.read_text(), *host.files().values()]
    texts += [(host.folder / name).read_text() for name in ("hosted.conf", "hosted.service")]
    texts.append((host.state / "hosted.sqlite3").read_bytes().decode("latin-1"))
    texts.append(docker("inspect", *host.containers()))
    assert not [text for text in texts if KEY in text]


def test_wrong_keys_change_nothing_and_never_block_right_key(stopped_host: Host):
    host = stopped_host
    host.start()

    missing = host.curl("/new", {"image": "demo:1", "name": "app1"}, key=None)
    assert (missing.status, missing.json) == (403, failure("The secret is missing."))
    wrong = [
        host.curl("/new", {"image": "demo:1", "name": "app1"}, key=f"wrong {number}")
        for number in range(MAX_WRONG_KEYS)
    ]
    assert [(answer.status, answer.json) for answer in wrong] == [
        (403, failure("The secret is wrong."))
    ] * MAX_WRONG_KEYS

    refused = host.curl("/new", {"image": "demo:1", "name": "app1"}, "--include", key="wrong")
    assert refused.status == 429
    assert "Too many wrong secrets" in refused.text
    assert "retry-after: " in refused.text.lower()
    assert host.curl("/").json == {}
    # The address that a caller sends is ignored; nginx sets the real one.
    assert host.curl("/stop", {"name": "app1"}, "--header", "X-Real-IP: 10.1.2.3", key="wrong").status == 429
    assert host.curl("/stop", {"name": "app1"}).status == 404


def test_private_list_needs_key(stopped_host: Host):
    host = stopped_host
    host.start("--private")

    assert host.curl("/").status == 403
    assert host.curl("/", None, "--header", "Authorization: Bearer wrong").status == 403
    assert host.curl("/", None, "--header", f"Authorization: Bearer {KEY}").json == {}


def test_variables_override_defaults_and_survive_redeploy(host: Host):
    host.new("demo:1", env={"ENV": "test", "PORT": 9000, "GREETING": "hi $HOME; }"})

    assert request("app1.example.com").text == "1 test 9000 hi $HOME; } -"
    assert host.curl("/redeploy", {"name": "app1"}).text == "Running on app1.example.com!"
    assert request("app1.example.com").text == "1 test 9000 hi $HOME; } -"
    assert "hi $HOME" not in (host.state / "hosted.sqlite3").read_bytes().decode("latin-1")


def test_default_name_is_derived_from_image(host: Host):
    docker("tag", "demo:1", "registry.example.com:5000/team/My_Demo.App:7".lower())

    answer = host.curl("/new", {"image": "registry.example.com:5000/team/my_demo.app:7"})

    assert answer.text == "Running on my-demo-app.example.com!"
    assert list(host.curl("/").json) == ["my-demo-app"]


def test_ports_are_published_on_loopback_only(host: Host):
    host.new("demo:1")

    found = json.loads(docker("inspect", *host.containers()))[0]
    assert found["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    bindings = [each for port in found["NetworkSettings"]["Ports"].values() for each in port]
    assert {each["HostIp"] for each in bindings} == {"127.0.0.1"}


def test_twenty_parallel_deployments_get_twenty_ports(stopped_host: Host):
    host = stopped_host
    host.start()
    names = [f"app{number}" for number in range(20)]

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda name: host.new("demo:1", name, env={"GREETING": name}), names))

    assert [answer.text for answer in answers] == [f"Running on {name}.example.com!" for name in names]
    shown = host.curl("/").json
    assert sorted(shown) == sorted(names)
    assert all(shown[name] == {**RUNNING, "domains": [f"{name}.example.com"]} for name in names)
    assert [request(f"{name}.example.com").text for name in names] == [f"1 prod 8001 {name} -" for name in names]
    ports = {docker("port", *host.containers(name), "8001/tcp") for name in names}
    assert len(ports) == 20


def test_replacement_of_app_loses_no_request(host: Host):
    host.new("demo:1")
    seen: list[tuple[int, str]] = []
    enough = threading.Event()
    failures: list[BaseException] = []

    def load() -> None:
        while not enough.is_set():
            with collect_errors(failures):
                answer = request("app1.example.com")
                seen.append((answer.status, answer.text[0]))

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    # The old container answers a slow request, although it ends immediately on SIGTERM.
    with host.in_background(lambda: request("app1.example.com", "/sleep/3")) as slow:
        until(lambda: len(seen) > 100)
        first = host.containers()
        replaced = [host.new("demo:2"), host.new("demo:1"), host.new("demo:2")]
        until(lambda: len(seen) >= 1000)
    enough.set()
    for thread in threads:
        thread.join()

    assert [answer.text for answer in replaced] == ["Running on app1.example.com!"] * 3
    assert failures == []
    assert len(seen) >= 1000
    assert {status for status, _ in seen} == {200}
    assert {version for _, version in seen} == {"1", "2"}
    assert [(answer.status, answer.text[0]) for answer in slow] == [(200, "1")]
    assert until(lambda: len(host.containers()) == 1)
    assert host.containers() != first


def hold_a_request(host: Host) -> int:
    """Wait until the request for /hold has reached the app, and return the port of the app."""
    (container,) = host.containers()
    until(lambda: "/hold" in docker("logs", container))
    return int(docker("port", container, "8001/tcp").rpartition(":")[2])


def test_app_can_be_replaced_while_old_container_still_answers(host: Host):
    host.new("demo:1")
    (first,) = host.containers()
    with host.in_background(lambda: request("app1.example.com", "/hold")) as slow:
        port = hold_a_request(host)
        assert host.new("demo:2").status == 200
        assert host.new("demo:1").status == 200
        assert host.curl("/stop", {"name": "app1"}).json == {"success": True}
        assert slow == []
        assert first in host.containers()
        request("app1.example.com", "/release", port=port)

    assert [(answer.status, answer.text[0]) for answer in slow] == [(200, "1")]
    assert until(lambda: len(host.containers()) == 1)


def test_open_request_survives_reloads_and_restart(host: Host):
    host.new("demo:1")
    host.new("demo:1", "app2")
    with host.in_background(lambda: request("app1.example.com", "/hold")) as held:
        port = hold_a_request(host)
        # The worker with the open request is shutting down from now on.
        assert host.curl("/add_domain", {"name": "app2", "domain": "two.example.org"}).status == 200
        assert host.new("demo:2").status == 200
        assert host.stop() == 0
        assert "open requests; the next start removes them: app1\n" in host.log.read_text()
        host.start()
        assert request("app1.example.com").text.startswith("2 ")
        assert len(host.containers()) == 2
        request("app1.example.com", "/release", port=port)

    assert [(answer.status, answer.text[0]) for answer in held] == [(200, "1")]
    assert until(lambda: len(host.containers()) == 1)


def test_open_request_is_cut_after_drain(stopped_host: Host):
    host = stopped_host
    host.start("--drain", "1s")
    host.new("demo:1")
    with host.in_background(lambda: request("app1.example.com", "/hold")) as held:
        hold_a_request(host)
        assert host.new("demo:2").status == 200
        assert until(lambda: len(host.containers()) == 1)

    assert [answer.status for answer in held] == [502]


def test_followed_log_continues_after_timeout_of_requests(stopped_host: Host):
    host = stopped_host
    host.start("--answer-within", "5s")
    host.new("demo:1")
    server = host.folder / "hosted.conf"
    server.write_text(server.read_text().replace("proxy_read_timeout 30m", "proxy_read_timeout 1s"))
    subprocess.run([*host.nginx, "-s", "reload"], check=True, capture_output=True)
    until(lambda: host.new("slow:1", "app2").status == 504)
    body = json.dumps({"name": "app1", "follow": True})
    header = ("--header", f"Authorization: Bearer {KEY}", "--header", f"Host: {DOMAIN}")
    command = ["curl", "--silent", "--no-buffer", *header, "--json", body, "http://127.0.0.1/logs"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as followed:
        assert followed.stdout is not None
        assert followed.stdout.readline() == "this is an app\n"
        # Meanwhile, another request has no answer for that time.
        assert host.new("slow:1", "app2").status == 504

        request("app1.example.com", "/sleep/0")

        assert followed.stdout.readline() == "received /sleep/0\n"
        host.curl("/stop", {"name": "app1"})
    assert followed.returncode == 0


def test_domain_of_another_site_is_rejected_and_site_works(host: Host):
    site = "server {{ listen 80; server_name {}; return 200 shop; }}"
    before, after = host.folder / "before.conf", host.folder / "after.conf"
    before.write_text(site.format("first.example.net app3.example.com"))
    after.write_text(site.format("second.example.net *.shop.example"))
    http = f"http {{ access_log off; include {before}; include {host.folder}/hosted.conf; include {after}; }}"
    host.config.write_text(host.config.read_text().partition("http {")[0] + http)
    subprocess.run([*host.nginx, "-s", "reload"], check=True, capture_output=True)
    until(lambda: request("first.example.net").text == "shop")
    host.new("demo:1")
    files = host.files()

    for domain, file in (("first.example.net", before), ("second.example.net", after), ("a.shop.example", after)):
        for force in (False, True):
            answer = host.curl("/add_domain", {"name": "app1", "domain": domain, "force": force})
            reason = f"The domain {domain} belongs to another site of this nginx: see {file}."
            assert (answer.status, answer.json) == (409, failure(reason))
        assert request(domain).text == "shop"
    new = host.new("demo:1", "app3")
    assert new.status == 409
    assert new.json["reason"].startswith("The domain app3.example.com belongs to another site")
    assert (host.files(), host.containers("app3"), list(host.curl("/").json)) == (files, [], ["app1"])
    # A conflict between other sites has no effect.
    after.write_text(site.format("first.example.net"))
    assert host.new("demo:2").status == 200
    # If a site gets the name of an app later, the conflict is logged and a deployment of the app fails.
    after.write_text(site.format("app1.example.com"))
    assert host.new("demo:1").status == 409
    assert request("app1.example.com").text.startswith("2 ")
    assert host.curl("/stop", {"name": "app1"}).status == 200
    host.stop()
    host.start()
    assert (
        f"the domain app1.example.com also belongs to another site of this nginx: see {after}" in host.log.read_text()
    )
    assert host.curl("/delete", {"name": "app1"}).status == 200


def test_deployment_without_nginx_leaves_nothing(host: Host):
    host.new("demo:1")
    host.new("demo:1", "app2")
    before = (host.files(), host.containers(), host.containers("app2"))
    host.stop_nginx()
    socket = ("--unix-socket", str(host.state / "api.sock"))

    for name in ("app9", "app1"):
        answer = host.curl("/new", {"image": "demo:2", "name": name}, *socket)
        assert answer.status == 502
        assert answer.json["reason"].startswith("nginx -s reload failed: ")

    assert host.containers("app9") == []
    assert (host.files(), host.containers(), host.containers("app2")) == before
    found = host.curl("/releases", {"name": "app1"}, *socket).json["releases"]
    assert [(each["number"], each["image"]) for each in found] == [(1, "demo:1")]
    # Operations that do not need nginx work without it, even with pending files.
    assert host.curl("/stop", {"name": "app2"}, *socket).status == 200
    (host.state / "nginx-unread").touch()
    assert host.curl("/run", {"name": "app2"}, *socket).status == 200
    host.start_nginx()
    assert list(host.curl("/").json) == ["app1", "app2"]
    assert until(lambda: request("app1.example.com").text.startswith("1 "))


def test_app_that_ended_without_request_is_started_again(host: Host):
    def is_running(name: str) -> bool:
        return docker("inspect", "--format", "{{.State.Running}}", *host.containers(name)) == "true"

    for name in ("app1", "app2"):
        host.new("demo:1", name)
    host.curl("/stop", {"name": "app2"})

    # As after a crash of the engine: the container has ended, and the engine does not restart it.
    docker("stop", *host.containers())
    until(lambda: is_running("app1"))
    assert until(lambda: request("app1.example.com").status == 200)
    host.stop()
    docker("stop", *host.containers())
    host.start()
    until(lambda: is_running("app1"))
    assert not is_running("app2")
    assert host.curl("/run", {"name": "app2"}).status == 200


def test_full_disk_is_507_but_apps_can_be_listed_and_deleted(stopped_host: Host):
    host = stopped_host
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=2750", "tmpfs", str(host.state)], check=True)
    try:
        shutil.chown(host.state, group="www-data")
        host.start()
        host.new("demo:1")
        host.new("demo:1", "app2")
        fill = host.state / "fill"
        with contextlib.suppress(OSError), fill.open("wb", buffering=0) as file:
            while file.write(b"x" * 4096):
                pass
        full = failure(f"The disk with the state directory {host.state} is full.")

        for path, body in (
            ("/new", {"image": "demo:1", "name": "app3"}),
            ("/new", {"image": "demo:2", "name": "app1"}),
            ("/redeploy", {"name": "app1"}),
            ("/add_domain", {"name": "app1", "domain": "www.example.org"}),
        ):
            answer = host.curl(path, body)
            assert (answer.status, answer.json) == (507, full)
        assert host.curl("/stop", {"name": "app1"}, key="wrong").json == failure("The secret is wrong.")
        assert host.curl("/").json == {"app1": RUNNING, "app2": {**RUNNING, "domains": ["app2.example.com"]}}
        assert (len(host.containers()), host.containers("app3")) == (1, [])
        for name in ("app2", "app1"):
            assert host.curl("/delete", {"name": name}).json == {"success": True}
            host.stop()
            host.start()
        assert (host.curl("/").json, host.containers(), host.containers("app2")) == ({}, [], [])
        assert "Traceback" not in host.log.read_text()
        fill.unlink()
        assert host.new("demo:1").status == 200
    finally:
        host.kill()
        subprocess.run(["umount", "--lazy", str(host.state)], check=True)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("broken:1", "The new container ended"),
        ("failing:1", "GET / returned status 500"),
        ("slow:1", "did not answer within 2 seconds"),
        ("nothing:1", "/no/such/program"),
    ],
)
def test_failing_image_keeps_old_container(stopped_host: Host, bad, reason):
    host = stopped_host
    host.start("--answer-within", "2s")
    host.new("demo:1", env={"GREETING": "kept"})
    before = (host.containers(), host.files(), host.curl("/").text)

    answer = host.new(bad)

    assert answer.status == 400
    assert reason in answer.json["reason"]
    assert request("app1.example.com").text == "1 prod 8001 kept -"
    assert (host.containers(), host.files(), host.curl("/").text) == before
    # A new app with this image leaves nothing.
    assert host.new(bad, "app2").status == 400
    assert (host.containers("app2"), list(host.curl("/").json), len(host.files())) == ([], ["app1"], 1)
    assert host.new("demo:2", "app2").status == 200


def test_log_of_failing_image_is_reported(host: Host):
    assert "no configuration" in host.new("broken:1").json["reason"]


def test_failed_pull_is_reported_and_changes_nothing(host: Host):
    host.new("demo:1")

    answer = host.new("127.0.0.1:1/nothing/here:1")

    assert answer.status == 404
    assert answer.json["reason"].startswith("The image 127.0.0.1:1/nothing/here:1 cannot be pulled: ")
    assert host.curl("/").json == {"app1": RUNNING}


@contextlib.contextmanager
def registry(folder: Path) -> Iterator[str]:
    """Start a registry without a login; yield its address."""
    address = "127.0.0.1:5010"
    (folder / "config.yml").write_text(
        f"{{version: 0.1, storage: {{filesystem: {{rootdirectory: {folder}/images}}}}, http: {{addr: '{address}'}}}}"
    )
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(["docker-registry", "serve", str(folder / "config.yml")], stdout=log, stderr=log)
    try:
        until(
            lambda: (
                subprocess.run(["curl", "--silent", f"http://{address}/v2/"], capture_output=True, check=False).stdout
            )
        )
        yield address
    finally:
        process.kill()
        process.wait()


def test_image_is_pulled_each_time_and_failed_pull_keeps_old_one(host: Host, tmp_path: Path):
    need("docker-registry")
    with registry(tmp_path) as address:
        image = f"{address}/team/demo"
        for version in ("1", "2"):
            docker("tag", f"demo:{version}", image)
            docker("push", image)
            # The engine has the other version under this name, so only a pull returns this version.
            docker("tag", "demo:1", image)
            answer = host.new(image) if version == "1" else host.curl("/redeploy", {"name": "app1"})
            assert answer.text == "Running on app1.example.com!"
            assert request("app1.example.com").text.startswith(f"{version} ")
        unknown = host.new(f"{address}/team/unknown", "app2")
        assert (unknown.status, host.containers("app2")) == (404, [])

    failed = host.curl("/redeploy", {"name": "app1"})

    assert failed.status == 404
    assert f"The image {image} cannot be pulled: " in failed.json["reason"]
    assert request("app1.example.com").text.startswith("2 ")
    assert host.curl("/").json["app1"]["running"]


def test_configuration_rejected_by_nginx_is_reverted_and_reported(host: Host):
    host.new("demo:1")
    before = (host.files(), host.curl("/").text)
    # Too long for the default size of the table of names in nginx.
    long = f"{'a' * 60}.{'b' * 60}.example.com"

    answer = host.curl("/add_domain", {"name": "app1", "domain": long})

    assert answer.status == 400
    assert answer.json["reason"].startswith("nginx rejects the configuration: could not build server_names_hash")
    assert (host.files(), host.curl("/").text) == before
    assert host.new("demo:1", "c" * 63).status == 400
    assert (host.files(), host.curl("/").text, host.containers("c" * 63)) == (*before, [])
    assert request("app1.example.com").status == 200


def test_previously_invalid_configuration_of_nginx_is_reported(host: Host):
    host.new("demo:1")
    before = host.files()
    good = host.config.read_text()
    host.config.write_text(good + "nonsense;\n")

    new = host.new("demo:2")
    delete = host.curl("/delete", {"name": "app1"})

    for answer in (new, delete):
        assert answer.status == 502
        assert answer.json["reason"].startswith("the configuration of nginx was already invalid: ")
        assert 'unknown directive "nonsense"' in answer.json["reason"]
    assert host.files() == before
    assert host.curl("/").json == {"app1": RUNNING}
    assert request("app1.example.com").text.startswith("1 ")
    host.config.write_text(good)
    assert host.new("demo:2").status == 200


def test_domain_of_another_app_needs_force(host: Host):
    host.new("demo:1", "app1")
    host.new("demo:2", "app2")
    assert host.curl("/add_domain", {"name": "app1", "domain": "Www.Example.org"}).status == 200
    assert host.curl("/add_domain", {"name": "app1", "domain": "www.example.org"}).status == 200

    refused = host.curl("/add_domain", {"name": "app2", "domain": "www.example.org"})
    assert (refused.status, refused.json) == (409, failure("That domain belongs to app1."))
    assert request("www.example.org").text.startswith("1 ")
    assert host.curl("/add_domain", {"name": "app2", "domain": "www.example.org", "force": True}).status == 200
    assert until(lambda: request("www.example.org").text.startswith("2 "))
    shown = host.curl("/").json
    assert (shown["app1"]["domains"], shown["app2"]["domains"]) == (
        ["app1.example.com"],
        ["app2.example.com", "www.example.org"],
    )
    own = host.curl("/add_domain", {"name": "app1", "domain": DOMAIN, "force": True})
    assert (own.status, own.json) == (409, failure("That domain belongs to this service."))
    # A new app whose domain belongs to another app is rejected before its container starts.
    assert host.curl("/add_domain", {"name": "app1", "domain": "app3.example.com"}).status == 200
    assert host.new("demo:1", "app3").json == failure("The domain app3.example.com belongs to app1.")
    assert host.containers("app3") == []


def test_data_of_app_survives_deletion_unless_purged(host: Host):
    host.new("demo:1")
    assert request("app1.example.com", "/save").text == "x"
    host.new("demo:2")
    assert request("app1.example.com", "/save").text == "xx"
    host.curl("/delete", {"name": "app1"})
    host.new("demo:1")
    assert request("app1.example.com", "/save").text == "xxx"

    host.curl("/delete", {"name": "app1", "purge": True})

    assert docker("volume", "ls", "--quiet", "--filter", f"label={LABEL}") == ""
    host.new("demo:1")
    assert request("app1.example.com", "/save").text == "x"


def test_containers_of_other_programs_are_listed_but_not_changed(host: Host):
    foreign = docker("run", "--detach", "--name", "foreign", "--env", "PORT=1", "demo:1")
    docker("volume", "create", "hosted-app1-save")
    try:
        assert host.curl("/").json == {"foreign": {"running": True, "image": "demo:1", "domains": []}}
        for path in ("/new", "/stop", "/run", "/delete", "/get", "/logs", "/redeploy", "/releases", "/add_domain"):
            fields: dict[str, dict[str, object]] = {
                "/new": {"image": "demo:1"},
                "/add_domain": {"domain": "foreign.example.com"},
                "/delete": {"purge": True},
            }
            more = fields.get(path, {})
            answer = host.curl(path, {"name": "foreign", **more})
            assert (answer.status, answer.json) == (409, failure("That container was not created by this service."))
        assert host.new("demo:1").json == failure("The volume hosted-app1-save was not created by this service.")
        assert docker("inspect", "--format", "{{.State.Running}}", foreign) == "true"
        assert host.curl("/").json == {"foreign": {"running": True, "image": "demo:1", "domains": []}}
    finally:
        docker("rm", "--force", foreign)
        docker("volume", "rm", "hosted-app1-save")


def test_app_with_removed_container_can_be_deployed_again(host: Host):
    host.new("demo:1")
    docker("rm", "--force", *host.containers())

    assert host.curl("/").json == {"app1": {**RUNNING, "running": False}}
    for path in ("/run", "/stop", "/redeploy"):
        assert host.curl(path, {"name": "app1"}).status == 409
    assert host.new("demo:2").status == 200
    assert until(lambda: request("app1.example.com").text.startswith("2 "))


def test_openapi_document_and_page_are_served(host: Host):
    found = host.curl("/openapi.json").json

    paths = {
        "/",
        "/new",
        "/redeploy",
        "/rollback",
        "/get",
        "/releases",
        "/stop",
        "/run",
        "/add_domain",
        "/remove_domain",
        "/delete",
        "/logs",
    }
    assert set(found["paths"]) == paths
    assert host.curl("/docs").status == 200
    assert host.curl("/docs/files/swagger-ui-bundle.js").status == 200


def test_default_domain_is_host_of_request(stopped_host: Host):
    host = stopped_host
    host.start(command=host.program(*("hosted", "serve", "--socket", "api.sock", "--nginx", " ".join(host.nginx))))

    assert host.new("demo:1").text == "Running on app1.example.com!"
    through = ("--unix-socket", str(host.state / "api.sock"))
    other = host.curl("/new", {"image": "demo:1", "name": "app2"}, *through, host="127.0.0.1")
    assert other.status == 400


def test_sigterm_ends_service_with_exit_code_0(host: Host):
    assert (host.state / "api.sock").stat().st_mode & 0o777 == 0o660

    assert host.stop() == 0
    assert not (host.state / "api.sock").exists()
    assert "Traceback" not in host.log.read_text()


def test_second_service_of_socket_or_state_is_rejected(host: Host):
    for socket, reason in (
        ("api.sock", "another server answers on it"),
        ("b.sock", "another process serves the state"),
    ):
        ran = subprocess.run(
            host.program("hosted", "serve", "--socket", str(host.state / socket), "--state", str(host.state)),
            capture_output=True,
            text=True,
            env=host.environment,
            check=False,
        )

        assert ran.returncode == 2
        assert reason in ran.stderr
        assert "listens" not in ran.stderr
    assert host.curl("/").status == 200


def test_start_without_engine_is_rejected(tmp_path: Path):
    ran = subprocess.run(
        [sys.executable, "-m", "exasol_ci_setup", "hosted", "serve", "--state", str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "DEPLOY_KEY": KEY, "DOCKER_HOST": f"unix://{tmp_path}/nothing.sock"},
        check=False,
    )

    assert ran.returncode == 1
    assert ran.stderr.startswith(f"error: the Docker engine at unix://{tmp_path}/nothing.sock cannot be used: ")
    assert "Traceback" not in ran.stderr


def test_gunicorn_serves_application_with_old_unit(stopped_host: Host):
    host = stopped_host
    # The old unit runs `gunicorn … wsgi:app` in the working directory, which needs these two files.
    (host.state / "wsgi.py").write_text("from exasol_ci_setup.containers.hosted.wsgi import app\n")
    (host.state / "gunicorn.conf.py").write_text('worker_class = "asgi"\n')
    gunicorn = str(Path(sys.executable).with_name("gunicorn"))
    host.start(
        command=[gunicorn, "--workers", "3", "--bind", "unix:api.sock", "-m", "007", "wsgi:app"],
        environment={"EXASOL_CI_SETUP_HOSTED_NGINX": " ".join(host.nginx)},
    )

    assert host.new("demo:1").text == "Running on app1.example.com!"
    assert host.new("demo:2").text == "Running on app1.example.com!"
    assert host.curl("/stop", {"name": "app1"}, key="wrong").status == 403
    assert [host.curl("/").json["app1"]["running"] for _ in range(5)] == [True] * 5
    host.service.send_signal(signal.SIGTERM)
    assert host.service.wait(60) == 0
