"""Health checks of apps of the hosted API: a faulty app must not block the service."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from collections.abc import Callable, Iterable, Iterator

import pytest

from exasol_ci_setup.containers.hosted import instances


@pytest.fixture
def app() -> Iterator[Callable[[Iterable[bytes]], int]]:
    """Return a function that starts an app, which sends the parts of its answer, and returns its port."""
    with contextlib.ExitStack() as stack:

        def start(parts: Iterable[bytes]) -> int:
            listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def serve() -> None:
                connection, _ = listening.accept()
                pause = threading.Event()
                with connection, contextlib.suppress(OSError):
                    for part in parts:
                        connection.sendall(part)
                        pause.wait(0.01)

            thread = threading.Thread(target=serve)
            thread.start()
            stack.callback(thread.join, 30)
            return int(listening.getsockname()[1])

        yield start


@pytest.mark.parametrize(
    "parts",
    [
        itertools.chain([b"HTTP/1.1 200 "], itertools.repeat(b"O")),
        itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n"),
        itertools.chain([b"HTTP/1.1 200 OK\r\n"], (b"H%d: x\r\n" % number for number in range(10**9))),
    ],
    ids=["endless status line", "endless interim answers", "endless head"],
)
@pytest.mark.timeout(60)
def test_endless_answer_is_no_answer(
    app: Callable[[Iterable[bytes]], int], monkeypatch: pytest.MonkeyPatch, parts: Iterable[bytes]
):
    # Below the limits of the library for lines and headers.
    monkeypatch.setattr(instances, "_REQUEST_SECONDS", 0.3)

    assert instances.request_status(app(parts), "app1.example.com", "/healthz") == 0


@pytest.mark.parametrize("code", [200, 404, 503])
def test_status_of_answer_is_returned(app: Callable[[Iterable[bytes]], int], code: int):
    head = f"HTTP/1.1 {code} Any\r\nContent-Length: 0\r\n\r\n".encode()

    assert instances.request_status(app([head]), "app1.example.com", None) == code
