"""`python -m benchmarks.throttled`: deploy 300 stacks in the sandbox, in real time, with the request limits that the simulation assumes.

A proxy in front of the sandbox refuses requests to CloudFormation, as AWS does. Nothing of the program is simulated.
"""

from __future__ import annotations

import argparse
import http.client
import os
import subprocess
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

from benchmarks import page
from benchmarks.measure import OURS, REGION, sandbox
from tests.simulation.cloudformation import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

COUNT: Final = 300
_CASES: Final = (
    ("8 at a time (default)", 8, 1.0),
    ("64 at a time", 64, 1.0),
    ("64 at a time, half of the limits left", 64, 0.5),
)
_REFUSED: Final = (
    b'<ErrorResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><Error><Type>Sender</Type>'
    b"<Code>Throttling</Code><Message>Rate exceeded</Message></Error><RequestId>throttled</RequestId></ErrorResponse>"
)


class _Throttle:
    """The limits, for concurrent requests."""

    def __init__(self, share: float) -> None:
        self.limits = Limits(share)
        self.refused: Counter[str] = Counter()
        self._lock = threading.Lock()

    def accepts(self, operation: str) -> bool:
        with self._lock:
            accepted = self.limits.take(operation, time.monotonic())
            self.refused[operation] += not accepted
            return accepted


@contextmanager
def proxy(port: int, throttle: _Throttle) -> Iterator[str]:
    """Serve a proxy for the sandbox at `port`, and yield its URL."""

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            operation = parse_qs(body.decode(errors="replace")).get("Action", [""])[0]
            if "/cloudformation/" in self.headers.get("Authorization", "") and not throttle.accepts(operation):
                self._reply(400, {"Content-Type": "text/xml"}, _REFUSED)
                return
            onward = http.client.HTTPConnection("127.0.0.1", port)
            onward.request("POST", self.path, body, dict(self.headers))
            answer = onward.getresponse()
            content = answer.read()
            self._reply(answer.status, dict(answer.getheaders()), content)
            onward.close()

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST  # noqa: N815 - names of the base class

        def _reply(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in {"content-length", "transfer-encoding", "connection", "date", "server"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is that of the base class
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _program(count: int) -> str:
    return f"""
from exasol_ci_setup import Registry, Scope


def hangar_run():
    scope = Scope(name="load", region="{REGION}")
    for number in range({count}):
        Registry(scope=scope, name=f"registry-{{number}}").deploy()
"""


def deploy(count: int, concurrency: int, share: float, delay: float) -> list[str]:
    """Deploy `count` stacks, and return a row: accepted and refused requests, failed stacks, and time."""
    os.environ["EXASOL_CI_SETUP_SANDBOX_DELAY"] = str(delay)
    with sandbox() as (folder, env):
        (folder / "program.py").write_text(_program(count), encoding="utf-8")
        throttle = _Throttle(share)
        with proxy(int(env["AWS_ENDPOINT_URL"].rpartition(":")[2]), throttle) as url:
            variables = {**env, "AWS_ENDPOINT_URL": url}
            began = time.monotonic()
            command = [OURS, "up", "program.py", "--yes", "--no-lint", "--concurrency", str(concurrency)]
            done = subprocess.run(command, env=variables, cwd=folder, capture_output=True, text=True, check=False)
            seconds = time.monotonic() - began
        ended = sum(line.endswith(": done") for line in done.stderr.splitlines())
        if done.returncode:
            print("\n".join(done.stderr.splitlines()[-20:]))
        limits = throttle.limits
        return [f"{limits.taken + limits.refused:,}", f"{limits.refused:,}", f"{count - ended:,}", f"{seconds:.0f} s"]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throttled", description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT, help="number of stacks [default: 300]")
    parser.add_argument("--delay", type=float, default=1.0, help="seconds of each resource operation [default: 1]")
    options = parser.parse_args(arguments)
    machine = page.machine()
    rows = [[name, *deploy(options.count, concurrency, share, options.delay)] for name, concurrency, share in _CASES]
    head = (f"`up` of {options.count} stacks", "requests", "refused", "stacks failed", "time")
    page.write("throttled", f"{machine}.\n\n{page.table(head, rows)}")


if __name__ == "__main__":
    main()
