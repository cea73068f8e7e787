"""A server with the API of a Docker engine as far as tests need it: its version, new and removed containers, and failing pulls."""

from __future__ import annotations

import contextlib
import json
import socketserver
import tempfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit


class EngineServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """The server at a Unix socket. `hooks` are called for a method before the request has its effect."""

    daemon_threads = True
    platform = "Docker Engine - Community"
    version = ""
    """The body in place of the version."""

    def __init__(self, path: str) -> None:
        super().__init__(path, _Handler)
        self.url = f"unix://{path}"
        self.containers: set[str] = set()
        self.hooks: dict[str, Callable[[], object]] = {}
        # Of the requests in progress, also of those whose client is gone.
        self.pending: list[threading.Thread] = []


class _Handler(BaseHTTPRequestHandler):
    server: EngineServer

    def do_GET(self) -> None:
        if self.path.endswith("/_ping"):
            self._answer(200, b"OK")
        else:
            version = {"ApiVersion": "1.47", "Version": "28.0.0", "Platform": {"Name": self.server.platform}}
            self._answer(200, (self.server.version or json.dumps(version)).encode())

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        if "fromImage" in query:
            # The failure follows the status of the answer, as in an engine.
            lines = [
                {"id": "layer", "status": f"pulling {query['fromImage']} tag {query['tag']}"},
                {"id": "layer", "status": "Downloading", "progressDetail": {"current": 1, "total": 2}},
                {"error": "no such luck"},
            ]
            self.protocol_version = "HTTP/1.1"
            self.send_response(200)
            self.send_header("Connection", "close")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for chunk in [f"{json.dumps(line)}\r\n" for line in lines] + [""]:
                self.wfile.write(f"{len(chunk):x}\r\n{chunk}\r\n".encode())
            return
        name = query["name"]
        self._change("POST", name, self.server.containers.add)
        self._answer(201, json.dumps({"Id": name}).encode())

    def do_DELETE(self) -> None:
        name = urlsplit(self.path).path.rpartition("/")[2]
        found = name in self.server.containers
        self._change("DELETE", name, self.server.containers.discard)
        self._answer(204 if found else 404, b"" if found else b'{"message": "no such container"}')

    def _change(self, method: str, name: str, change: Callable[[str], None]) -> None:
        self.server.pending.append(threading.current_thread())
        self.server.hooks.get(method, lambda: None)()
        change(name)

    def _answer(self, status: int, body: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):
            self.send_response(status)
            self.send_header("Api-Version", "1.47")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def address_string(self) -> str:
        return "test"

    def log_message(self, *_arguments: object) -> None:
        pass


@contextlib.contextmanager
def running() -> Iterator[EngineServer]:
    """Run a server in a thread while the context is open."""
    # pytest's own directories can be too long for a socket.
    with tempfile.TemporaryDirectory() as folder, EngineServer(str(Path(folder) / "docker.sock")) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
