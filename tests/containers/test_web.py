"""Request checks of both HTTP services: hosts, origins, sizes, slow clients, and the page `/docs`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import docker
import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.containers import web
from exasol_ci_setup.containers.hosted import app as hosted
from exasol_ci_setup.containers.hosted.auth import Authenticator
from exasol_ci_setup.containers.hosted.deployments import Deployments
from exasol_ci_setup.containers.hosted.instances import Instances
from exasol_ci_setup.containers.hosted.nginx import Nginx
from exasol_ci_setup.containers.hosted.nginx_program import NginxCommand
from exasol_ci_setup.containers.hosted.settings import Settings
from exasol_ci_setup.containers.hosted.state import State
from exasol_ci_setup.containers.hosts import host_name, is_accepted
from exasol_ci_setup.containers.manager import app as manager_app
from exasol_ci_setup.containers.manager import config
from exasol_ci_setup.containers.manager.images import Images
from exasol_ci_setup.containers.manager.manager import Manager
from exasol_ci_setup.containers.manager.run import Containers
from exasol_ci_setup.containers.manager.streams import Streams
from exasol_ci_setup.core.errors import InputError

KEY = "a-key"
BEARER = {"Authorization": f"Bearer {KEY}"}
PATHS = {
    "manager": [
        *("GET /version", "GET /shutdown", "GET /docs", "GET /docs/files/swagger-ui.css", "GET /openapi.json"),
        *(
            "GET /nothing",
            "POST /start_container",
            "POST /stop_container",
            "POST /unlock_container",
            "OPTIONS /version",
        ),
    ],
    "hosted": [
        *("GET /", "GET /docs", "GET /docs/files/swagger-ui.css", "GET /openapi.json", "GET /nothing"),
        *("POST /new", "POST /redeploy", "POST /stop", "POST /run", "POST /add_domain", "POST /delete", "POST /logs"),
        *("POST /rollback", "POST /remove_domain", "POST /get", "POST /releases"),
    ],
}


@pytest.fixture(scope="module")
def client() -> Iterator[docker.DockerClient]:
    """A client of an engine that does not exist: rejected requests must not reach it."""
    with contextlib.closing(docker.DockerClient(base_url="tcp://127.0.0.1:1", version="1.41")) as found:
        yield found


@pytest.fixture(scope="module")
def ended() -> list[list[str]]:
    """The failed removals that each shutdown of a manager reports."""
    return []


@pytest.fixture(scope="module")
def make_manager(
    client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory, ended: list[list[str]]
) -> Callable[..., FastAPI]:
    file = tmp_path_factory.mktemp("manager") / "harpoon.yml"
    file.write_text('images: {server: {context: false, commands: ["FROM scratch"]}}')

    def make(*hosts: str) -> FastAPI:
        loaded, streams = config.load(file), Streams(client)
        containers = Containers(client, streams)
        return manager_app.create(
            Manager(loaded, Images(client, streams, loaded), containers, streams), ended.append, hosts=hosts
        )

    return make


@pytest.fixture(scope="module")
def make_hosted(client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., FastAPI]:
    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> Any:
        yield

    def make(**options: Any) -> FastAPI:
        folder = tmp_path_factory.mktemp("state")
        settings = Settings(state=folder, **{"domain": "example.com", **options})
        state = State(folder)
        deployments = Deployments(
            settings,
            state,
            Instances(client, state.identity, settings.subnets),
            Nginx(NginxCommand(("false",)), folder, processes=list),
            None,
        )
        return hosted.assemble(settings, Authenticator(KEY), deployments, lifespan)

    return make


@pytest.fixture(scope="module")
def applications(make_manager: Callable[..., FastAPI], make_hosted: Callable[..., FastAPI]) -> dict[str, FastAPI]:
    return {"manager": make_manager(), "hosted": make_hosted()}


def request(app: FastAPI, method: str, path: str, **more: Any) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as caller:
            return await caller.request(method, path, **more)

    return asyncio.run(send())


def reason(answer: httpx.Response) -> str:
    found = answer.json()
    return str(found["reason"] if "reason" in found else found["error"]["message"])


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST:80", "127.0.0.1:4545", "[::1]:4545", "[::1]", "192.168.1.7", "10.0.0.1:1"),
        *("ci.example.com", "CI.example.com:8080", "builder"),
    ],
)
def test_address_localhost_or_allowed_name_is_accepted(host: str):
    assert is_accepted(host, {"ci.example.com", "builder"})


@pytest.mark.parametrize(
    "host",
    [
        *("", "evil.example", "127.0.0.1.attack.example:80", "localhost.attack.example", "localhost.", "[::1].evil"),
        *("notci.example.com", "ci.example.com.evil", "evil@localhost", "localhost, evil", "127.1", "2130706433"),
        *(
            "localhost:80:80",
            "localhost:x",
            "::1",
            "[::1",
            "[localhost]",
            "[fe80::1%eth0]",
            " localhost",
            "localhost\n",
        ),
    ],
)
def test_other_host_is_not_accepted(host: str):
    assert not is_accepted(host, {"ci.example.com", "builder"})


@given(st.text(st.characters(codec="ascii", exclude_characters=":"), max_size=20))
def test_name_that_extends_accepted_name_is_rejected(text: str):
    for host in (f"127.0.0.1.{text}", f"localhost.{text}", f"{text}.localhost", f"x{text}127.0.0.1"):
        assert not is_accepted(host, ())


@pytest.mark.parametrize("text", ["", "http://a", "a:80", "*.example.com", "a b", "ä", "a.", "[::1]"])
def test_invalid_allowed_host_is_rejected_with_its_text(text: str):
    with pytest.raises(InputError, match=r"^--allow-host .* is not a host name") as caught:
        host_name(text)
    assert ascii(text) in caught.value.message


@pytest.mark.parametrize("service", PATHS)
def test_foreign_host_or_origin_is_rejected_on_every_route(
    applications: dict[str, FastAPI], service: str, ended: list[list[str]]
):
    foreign = [
        {"Host": "evil.example:80", "Origin": "http://evil.example:80"},
        {"Host": "127.0.0.1.attack.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://localhost:81"},
    ]
    before = list(ended)
    for route in PATHS[service]:
        method, path = route.split()
        for headers in foreign:
            answer = request(applications[service], method, path, headers={**BEARER, **headers})
            assert answer.status_code == 403, (route, headers)
            assert "evil.example" in reason(answer) or "attack" in reason(answer) or "page of" in reason(answer)
    assert ended == before


@pytest.mark.parametrize("service", PATHS)
def test_request_without_exactly_one_host_is_rejected(applications: dict[str, FastAPI], service: str):
    async def status(headers: list[tuple[bytes, bytes]]) -> int:
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "GET", "path": "/openapi.json", "raw_path": b"/openapi.json"}
        more = {"query_string": b"", "root_path": "", "http_version": "1.0", "scheme": "http", "headers": headers}
        await applications[service]({**scope, **more}, receive, send)
        return int(sent[0]["status"])

    assert asyncio.run(status([])) == 403
    assert asyncio.run(status([(b"host", b"localhost"), (b"host", b"evil.example")])) == 403
    assert asyncio.run(status([(b"host", b"localhost"), (b"origin", b"http://localhost"), (b"origin", b"null")])) == 403
    assert asyncio.run(status([(b"host", b"localhost"), (b"origin", b"http://localhost")])) == 200


def test_own_origin_and_allowed_name_are_accepted(
    make_manager: Callable[..., FastAPI], make_hosted: Callable[..., FastAPI]
):
    manager, api = make_manager("ci.example.com"), make_hosted(allow_hosts=("CI.example.com",))
    for host in ("localhost", "[::1]:4545", "ci.example.com:4545"):
        own = {"Host": host, "Origin": f"http://{host}"}
        assert request(manager, "GET", "/version", headers=own).status_code == 200
        assert request(api, "GET", "/openapi.json", headers=own).status_code == 200
    # nginx terminates TLS for the hosted API; the manager has no TLS.
    encrypted = {"Host": "localhost", "Origin": "https://localhost"}
    assert request(api, "GET", "/openapi.json", headers={**encrypted, "Host": "example.com"}).status_code == 403
    assert request(api, "GET", "/openapi.json", headers=encrypted).status_code == 200
    assert request(manager, "GET", "/version", headers=encrypted).status_code == 403


def test_hosted_api_without_domain_answers_under_every_name(make_hosted: Callable[..., FastAPI]):
    api = make_hosted(domain=None)

    assert request(api, "GET", "/openapi.json", headers={"Host": "any.example"}).status_code == 200
    crossing = {"Host": "any.example", "Origin": "http://evil.example"}
    assert request(api, "GET", "/openapi.json", headers=crossing).status_code == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        # A browser does not send the site to an untrustworthy address.
        ({"User-Agent": "Mozilla/5.0 (X11; Linux x86_64)"}, 403),
        ({"Sec-Fetch-Site": "none", "User-Agent": "Mozilla/5.0 (X11; Linux x86_64)"}, 204),
        ({"User-Agent": "curl/8.5.0"}, 204),
    ],
)
def test_page_of_another_site_cannot_shut_down_manager(
    make_manager: Callable[..., FastAPI], ended: list[list[str]], headers: dict[str, str], status: int
):
    before = len(ended)

    assert request(make_manager(), "GET", "/shutdown", headers={"Host": "192.168.1.7", **headers}).status_code == status

    assert len(ended) == before + (status == 204)


@pytest.mark.parametrize("service", PATHS)
def test_body_over_limit_is_413_before_it_is_read(applications: dict[str, FastAPI], service: str):
    read = 0

    async def body(total: int) -> Any:
        nonlocal read
        for _ in range(total // 65536):
            read += 65536
            yield b" " * 65536

    path = {"manager": "/start_container", "hosted": "/new"}[service]
    declared = {**BEARER, "Content-Type": "application/json", "Content-Length": str(web.MAX_BODY_BYTES + 1)}

    answer = request(applications[service], "POST", path, content=body(2 * web.MAX_BODY_BYTES), headers=declared)
    assert (answer.status_code, reason(answer)) == (413, "the body is larger than 1048576 bytes")
    # The size of this body is not declared, so it is read up to the limit.
    chunked = {**BEARER, "Content-Type": "application/json"}
    answer = request(applications[service], "POST", path, content=body(300 << 20), headers=chunked)
    assert answer.status_code == 413
    assert read <= web.MAX_BODY_BYTES + 2 * 65536
    small = request(applications[service], "POST", path, content=body(web.MAX_BODY_BYTES), headers=chunked)
    assert small.status_code == 400


@pytest.mark.parametrize("service", PATHS)
def test_body_that_does_not_arrive_is_408(
    applications: dict[str, FastAPI], service: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(web, "BODY_TIMEOUT_SECONDS", 0.05)

    async def body() -> Any:
        yield b"{"
        await asyncio.sleep(60)

    path = {"manager": "/start_container", "hosted": "/new"}[service]
    answer = request(
        applications[service], "POST", path, content=body(), headers={**BEARER, "Content-Type": "application/json"}
    )

    assert (answer.status_code, reason(answer)) == (408, "the body did not arrive within 0.05 seconds")


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/logs", {"name": "a", "lines": 0}, "lines: use 1 or more"),
        ("/logs", {"name": "a", "lines": 10_001}, "lines: use 10000 or less"),
        ("/logs", {"name": "a", "lines": "many"}, "lines: use a whole number"),
        ("/logs", {"name": "a", "follow": "perhaps"}, "follow: use true or false"),
        ("/new", {}, "image: it is required"),
        ("/new", {"image": []}, "image: use text"),
        ("/new", {"image": "a", "env": []}, "env: use names with values"),
        ("/new", {"image": "a", "env": {"A": {}, "B": []}}, "env.A: use text; env.B: use text"),
        ("/new", {"image": "a", "envs": {}}, "envs: unknown field"),
        ("/new", {"image": "a", "pids": "many"}, "pids: use a whole number"),
        ("/get", {"name": None}, "name: use text"),
        ("/stop", [], "the body must be a JSON object, with the content type application/json"),
    ],
)
def test_invalid_field_is_reported_with_plain_rule(applications: dict[str, FastAPI], path: str, body: Any, said: str):
    answer = request(applications["hosted"], "POST", path, json=body, headers=BEARER)

    assert (answer.status_code, reason(answer)) == (400, said)


@pytest.mark.parametrize("service", PATHS)
def test_docs_page_and_its_files_name_no_other_host(applications: dict[str, FastAPI], service: str):
    page = request(applications[service], "GET", "/docs")

    loaded = re.findall(r"""(?:src|href)=["']([^"']+)""", page.text)
    assert len(loaded) == 3
    assert "//" not in page.text.replace("//-->", "").replace("<!-- ", "")
    for path in loaded:
        answer = request(applications[service], "GET", path)
        assert answer.status_code == 200
        if path.endswith(".css"):
            assert set(re.findall(r"url\(\s*[\"']?([a-z]+:)", answer.text)) <= {"data:"}
            assert "@import" not in answer.text
    # The browser also enforces the policy for requests of scripts.
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'self';")
    assert "http" not in policy
    assert "*" not in policy


@contextlib.contextmanager
def served(app: Callable[..., Awaitable[None]]) -> Iterator[int]:
    """Serve on a free port as the services do; yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, http=web.Protocol, lifespan="off", log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive()


def closed_after(caller: socket.socket) -> float:
    """Return the seconds until the server closes a connection."""
    begun = time.monotonic()
    caller.settimeout(30)
    with contextlib.suppress(ConnectionResetError):
        while caller.recv(65536):
            pass
    return time.monotonic() - begun


async def slow_app(scope: Any, _receive: Any, send: Any) -> None:
    """Answer after a second without reading the body."""
    await asyncio.sleep(1 if scope["path"] == "/slow" else 0)
    length = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": length})
    await send({"type": "http.response.body", "body": b"ok"})


HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HT",
        HEAD + b"GET / HT",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nx",
    ],
    ids=["nothing", "part of a head", "second head", "body after answer"],
)
def test_connection_without_complete_head_is_closed(monkeypatch: pytest.MonkeyPatch, sent: bytes):
    monkeypatch.setattr(web, "HEAD_TIMEOUT_SECONDS", 0.3)
    with served(slow_app) as port, socket.create_connection(("127.0.0.1", port)) as caller:
        caller.sendall(sent)
        assert closed_after(caller) < 4  # uvicorn alone closes idle connections after 5 s


def test_slow_answer_and_idle_connection_are_not_cut(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(web, "HEAD_TIMEOUT_SECONDS", 0.3)
    with served(slow_app) as port, socket.create_connection(("127.0.0.1", port), timeout=30) as caller:
        caller.sendall(HEAD.replace(b"GET /", b"GET /slow"))
        stream = caller.makefile("rb")
        assert stream.readline() == b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize("path", ["/new", "/redeploy", "/stop", "/run", "/add_domain", "/delete", "/logs"])
def test_unknown_field_is_rejected_with_its_name(applications: dict[str, FastAPI], path: str):
    body = {"image": "demo:1", "name": "typo", "domain": "a.example.org", "envs": {"GREETING": "hi"}}
    known = {"/new": {"image", "name"}, "/add_domain": {"name", "domain"}}.get(path, {"name"})
    sent = {name: value for name, value in body.items() if name in {*known, "envs"}}

    answer = request(applications["hosted"], "POST", path, json=sent, headers=BEARER)

    assert (answer.status_code, reason(answer)) == (400, "envs: unknown field")


def test_key_is_checked_before_body(applications: dict[str, FastAPI]):
    api = applications["hosted"]
    long = json.dumps({"image": "x", "name": "a" * 500_000})
    for content in ("{", "[" * 100_000, '{"secret": 5}', '"x"', long, ""):
        answer = request(api, "POST", "/new", content=content, headers={"Content-Type": "application/json"})
        assert (answer.status_code, reason(answer)) == (403, "The secret is missing.")
    for sent in ({"json": {"secret": "wrong"}}, {"content": long, "headers": {"Authorization": "bearer wrong"}}):
        answer = request(api, "POST", "/new", **sent)
        assert (answer.status_code, reason(answer)) == (403, "The secret is wrong.")

    # With the key, the answer contains a short reason.
    answer = request(api, "POST", "/new", content=long, headers={**BEARER, "Content-Type": "application/json"})
    assert answer.status_code == 400
    assert reason(answer).startswith("name: 'aaa")
    assert len(answer.content) < 400


def test_wrong_key_is_rejected_before_body_arrives(applications: dict[str, FastAPI]):
    async def body() -> Any:
        await asyncio.sleep(60)
        yield b"{}"

    answer = request(applications["hosted"], "POST", "/new", content=body(), headers={"Authorization": "Bearer wrong"})

    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/new", {"image": "x" * 500_000}),
        ("/new", {"image": "x", "env": {"=" * 500_000: "x"}}),
        ("/new", {"image": "x", "env": {"PORT": "9" * 500_000}}),
        ("/new", {"image": "x", "x" * 500_000: "x"}),
        ("/add_domain", {"name": "app1", "domain": "x" * 500_000}),
        ("/start_container", {"image": "x" * 500_000, "ports": []}),
        ("/start_container", {"image": "server", "ports": ["x" * 500_000]}),
        ("/start_container", {"image": "server", "ports": [["x" * 500_000, {}]]}),
        ("/start_container", {"image": "server", "ports": [], "x" * 500_000: 1}),
        ("/start_container", {"image": "server", "ports": ["x"] * 100_000}),
    ],
)
def test_answer_does_not_repeat_long_values(applications: dict[str, FastAPI], path: str, body: dict[str, Any]):
    app = applications["manager" if path == "/start_container" else "hosted"]

    answer = request(app, "POST", path, json=body, headers=BEARER)

    assert answer.status_code == 400
    assert 0 < len(answer.content) < 10_000
