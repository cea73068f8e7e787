"""A local server that imitates the GitHub API and records requests."""

from __future__ import annotations

import json
import signal
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

Reply: TypeAlias = tuple[int, dict[str, str], Any]


class Hub(ThreadingHTTPServer):
    """A GitHub API that sends the reply of `replies` for a method and path, and records each request.

    A reply can be a function, which is called. `on_request` is called with the method before the reply is sent.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []
        self.replies: dict[str, Reply | Callable[[], Reply]] = {}
        self.on_request: Callable[[str], object] = lambda _method: None

    @property
    def url(self) -> str:
        """The address of the server."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def _answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.command, self.path, dict(self.headers), json.loads(body) if body else None))
        self.server.on_request(self.command)
        reply = self.server.replies.get(f"{self.command} {self.path}", (404, {}, {"message": "Not Found"}))
        status, headers, answer = reply() if callable(reply) else reply
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        text = b"" if answer is None else answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_DELETE = _answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


def press_ctrl_c():
    """Send SIGINT to the main thread, as a terminal does."""
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


@contextmanager
def running():
    with Hub() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
