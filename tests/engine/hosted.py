"""A host with the hosted API, set up as in its documentation: nginx on port 80, the service on a Unix socket, and images."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KEY = "a-key-for-tests"
DOMAIN = "example.com"
LABEL = "exasol-ci-setup.hosted"

# An app that answers with its variables. It ends immediately on SIGTERM, even while it answers.
APP = """
import base64, hashlib, http.server, os, pathlib, signal, sys, threading, time
released = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
mode = os.environ.get("MODE", "")
print("this is", mode or "an app", flush=True)
if mode == "broken":
    sys.exit("no configuration")
time.sleep(float(os.environ.get("WAIT", "0")))
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        left = length = int(self.headers["Content-Length"])
        while left:
            left -= len(self.rfile.read(min(left, 1 << 20)))
        self.answer(f"{length} bytes")
    def echo(self):
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Connection", "Upgrade")
        self.send_header("Upgrade", "websocket")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        while head := self.rfile.read(6):
            masked = self.rfile.read(head[1] & 127)
            self.wfile.write(bytes([129, len(masked)]) + bytes(each ^ head[2 + at % 4] for at, each in enumerate(masked)))
        self.close_connection = True
    def answer(self, text, status=200):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())
    def do_GET(self):
        if self.headers["Upgrade"] == "websocket" and self.headers["Connection"].lower() == "upgrade":
            return self.echo()
        if self.path.startswith("/sleep/"):
            print("received", self.path, flush=True)
            time.sleep(float(self.path.rpartition("/")[2]))
        if self.path == "/hold":
            print("received", self.path, flush=True)
            released.wait(120)
        if self.path == "/release":
            released.set()
        if self.path == "/protocol":
            return self.answer(f"{self.request_version} {self.headers['Connection']} {self.headers['Upgrade']}")
        if self.path == "/healthz":
            return self.answer("health", int(os.environ.get("HEALTH", "200")))
        if self.path == "/save":
            with pathlib.Path("/save/visits").open("a") as file:
                file.write("x")
            text = pathlib.Path("/save/visits").read_text()
        else:
            text = " ".join(os.environ.get(name, "-") for name in ("VERSION", "ENV", "PORT", "GREETING", "DEPLOY_KEY"))
        self.answer(text, 500 if mode == "failing" else 200)
    def log_message(self, *_):
        pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
Server(("0.0.0.0", int(os.environ["PORT"])), Answer).serve_forever()
"""
IMAGES = {
    "demo:1": ["ENV VERSION=1"],
    "demo:2": ["ENV VERSION=2"],
    "slow:1": ["ENV VERSION=slow", "ENV WAIT=600"],
    "broken:1": ["ENV MODE=broken"],
    "failing:1": ["ENV MODE=failing"],
    "nothing:1": ['ENTRYPOINT ["/no/such/program"]'],
}


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def build_images(base: str, folder: Path) -> None:
    """Create the images of the tests locally, because no registry is available."""
    (folder / "app.py").write_text(APP)
    container = docker("create", base, "true")
    docker("cp", str(folder / "app.py"), f"{container}:/app.py")
    for name, changes in IMAGES.items():
        start = ['ENTRYPOINT ["python3", "-u", "/app.py"]', "CMD []", *changes]
        docker("commit", *(word for change in start for word in ("--change", change)), container, name)
    docker("rm", container)


@dataclass
class Answer:
    """The answer to a request."""

    status: int
    text: str
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def request(
    host: str, path: str = "/", *, port: int = 80, timeout: float = 60, address: str = "127.0.0.1", **headers: str
) -> Answer:
    """Send one request to nginx over a new connection."""
    connection = http.client.HTTPConnection(address, port, timeout=timeout)
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"Host": host, **headers})
        response = connection.getresponse()
        return Answer(response.status, response.read().decode(), dict(response.headers))


def upload(host: str, size: int, *, address: str, tls: bool = False) -> Answer:
    """Send a body of `size` bytes to nginx."""
    with connect(address=address, tls=tls) as connection, connection.makefile("rb") as answers:
        with contextlib.suppress(ConnectionError):
            connection.sendall(f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: {size}\r\n\r\n".encode())
            chunk = bytes(1 << 20)
            for _ in range(size // len(chunk)):
                connection.sendall(chunk)
            connection.sendall(chunk[: size % len(chunk)])
        head = answers.readline().split()
        length = 0
        while (line := answers.readline().strip().lower()) != b"":
            length = int(line.partition(b":")[2]) if line.startswith(b"content-length:") else length
        return Answer(int(head[1]), answers.read(length).decode())


def connect(*, address: str, tls: bool = False) -> socket.socket:
    """Connect to nginx; with `tls` without a check of the certificate."""
    plain = socket.create_connection((address, 443 if tls else 80), timeout=60)
    if not tls:
        return plain
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(plain, server_hostname="app1.example.com")


def echo(host: str, text: str, *, address: str, tls: bool = False) -> str:
    """Open a WebSocket, send a message, and return the answer. Source: https://www.rfc-editor.org/rfc/rfc6455."""
    with connect(address=address, tls=tls) as connection, connection.makefile("rb") as answers:
        connection.sendall(
            f"GET /echo HTTP/1.1\r\nHost: {host}\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        head = answers.readline()
        lines = {answers.readline() for _ in range(5)}
        assert head.startswith(b"HTTP/1.1 101 "), head
        assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in lines
        while b"\r\n" not in lines:
            lines.add(answers.readline())
        data, mask = text.encode(), b"mask"
        masked = bytes(each ^ mask[number % 4] for number, each in enumerate(data))
        connection.sendall(bytes([129, 128 | len(data)]) + mask + masked)
        return answers.read(2 + len(data))[2:].decode()


def until(condition: Any, seconds: float = 60) -> Any:
    """Wait until `condition()` is true, and return its value."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"timed out after {seconds} s")


class Host:
    """A state directory with nginx and the service, which can be started and killed."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="hosted-"))
        self.state = self.folder / "state"
        self.state.mkdir()
        # As in the documentation: workers of nginx run as another user and need the socket and the challenges.
        for path in (self.folder, self.state):
            shutil.chown(path, group="www-data")
            path.chmod(0o2750)
        self.config = self.folder / "nginx.conf"
        self.service: subprocess.Popen[str] | None = None
        self.log = self.folder / "service.log"
        self.environment = {**os.environ, "DEPLOY_KEY": KEY}
        self.init()

    def program(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "exasol_ci_setup", *arguments]

    def init(self, *options: str) -> None:
        into = ("--state", str(self.state), "--into", str(self.folder))
        subprocess.run(
            self.program("hosted", "init", "--domain", DOMAIN, *into, *options), check=True, capture_output=True
        )
        (self.state / "nginx-confs").mkdir(exist_ok=True)
        self.config.write_text(
            f"user www-data; worker_processes 2; pid {self.folder}/nginx.pid; error_log {self.folder}/error.log;\n"
            "events { worker_connections 512; }\n"
            f"http {{ access_log off; include {self.folder}/hosted.conf; }}\n"
        )

    @property
    def nginx(self) -> list[str]:
        return ["nginx", "-c", str(self.config)]

    def start_nginx(self) -> None:
        # nginx listens when the command returns.
        subprocess.run(self.nginx, check=True, capture_output=True)

    def stop_nginx(self) -> None:
        pid = self.folder / "nginx.pid"
        if pid.exists():
            master = int(pid.read_text())
            subprocess.run([*self.nginx, "-s", "stop"], check=True, capture_output=True)
            until(lambda: not Path(f"/proc/{master}").exists())

    def start(self, *options: str, command: list[str] | None = None, environment: dict[str, str] | None = None) -> None:
        """Start the service and wait until it answers."""
        serve = self.program(
            *("hosted", "serve", "--socket", "api.sock", "--state", ".", "--domain", DOMAIN),
            *("--nginx", " ".join(self.nginx), *options),
        )
        with self.log.open("a") as log:
            self.service = subprocess.Popen(
                command or serve,
                cwd=self.state,
                env={**self.environment, **(environment or {})},
                stdout=log,
                stderr=log,
                text=True,
                start_new_session=True,
                group="www-data",
            )
        until(lambda: self._answers() or self.service.poll() is not None)
        assert self.service.poll() is None, self.log.read_text()

    def _answers(self) -> bool:
        try:
            # With TLS, nginx forwards no request over HTTP.
            if request(DOMAIN, "/openapi.json").status == 301:
                with socket.socket(socket.AF_UNIX) as connection:
                    connection.connect(str(self.state / "api.sock"))
                return True
            return request(DOMAIN, "/openapi.json").status == 200
        except OSError:
            return False

    def stop(self) -> int:
        """Stop the service with SIGTERM, and return its exit code."""
        self.service.send_signal(signal.SIGTERM)
        return self.service.wait(60)

    def kill(self) -> None:
        """Kill the service with all its processes."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.service.pid, signal.SIGKILL)
        self.service.wait(60)

    def close(self) -> None:
        if self.service is not None and self.service.poll() is None:
            self.kill()
        self.stop_nginx()
        found = docker("ps", "--all", "--quiet", "--filter", f"label={LABEL}").split()
        if found:
            docker("rm", "--force", "--volumes", *found)
        for volume in docker("volume", "ls", "--quiet", "--filter", f"label={LABEL}").split():
            docker("volume", "rm", volume)
        for network in docker("network", "ls", "--quiet", "--filter", f"label={LABEL}").split():
            docker("network", "rm", network)
        shutil.rmtree(self.folder)

    def curl(
        self,
        path: str,
        body: object = None,
        *options: str,
        key: str | None = KEY,
        host: str = DOMAIN,
        url: str = "http://127.0.0.1",
    ) -> Answer:
        """Send a request to the API through nginx, as a deploy script does."""
        sent = {"secret": key, **body} if isinstance(body, dict) and key is not None else body
        data = ["--header", "Content-Type: application/json", "--data", json.dumps(sent)] if body is not None else []
        ran = subprocess.run(
            [
                *("curl", "--silent", "--show-error", "--write-out", "\n%{http_code}", "--header", f"Host: {host}"),
                *(*data, *options, f"{url}{path}"),
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        text, _, status = ran.stdout.rpartition("\n")
        return Answer(int(status), text)

    def new(self, image: str, name: str = "app1", **more: object) -> Answer:
        return self.curl("/new", {"image": image, "name": name, **more})

    def containers(self, name: str = "app1") -> list[str]:
        """Return the IDs of the containers of an app, running or not."""
        return docker("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={LABEL}.app={name}").split()

    def files(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in (self.state / "nginx-confs").iterdir()}

    @contextlib.contextmanager
    def in_background(self, call: Any) -> Iterator[list[Any]]:
        """Run `call` in a thread; the yielded list receives its result."""
        results: list[Any] = []

        def run() -> None:
            with contextlib.suppress(subprocess.CalledProcessError):
                results.append(call())

        thread = threading.Thread(target=run)
        thread.start()
        yield results
        thread.join(90)
        assert not thread.is_alive()
