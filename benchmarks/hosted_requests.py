"""`python -m benchmarks.hosted_requests`: 2,000 requests to an app during 4 redeployments and a restart of the hosted API.

Some requests take 45 s. Needs a Docker engine with the image of the tests: `.ci/engine .venv/bin/python -m benchmarks.hosted_requests`.
"""

from __future__ import annotations

import collections
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.engine.hosted import Host, build_images, request, until

REQUESTS = 2_000
SLOW_SECONDS = 45
THREADS = 8
DEPLOYMENTS = 4
PAUSE_SECONDS = 15
IMAGE = "exasol-ci-setup-tests:base"


class Load:
    """Threads that send requests, and the results by kind of request and status."""

    def __init__(self) -> None:
        self.results: collections.Counter[tuple[str, str]] = collections.Counter()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def start(self, path: str, kind: str) -> None:
        """Send one request in a thread."""
        thread = threading.Thread(target=self.send, args=(path, kind))
        self._threads.append(thread)
        thread.start()

    def send(self, path: str, kind: str) -> None:
        """Send one request, and count its status, or the name of its error."""
        try:
            result = str(request("app1.example.com", path, timeout=120).status)
        except OSError as error:
            result = type(error).__name__
        with self._lock:
            self.results[kind, result] += 1

    def run(self, ending: threading.Event) -> None:
        """Send short requests until all are sent, and the deployments are done."""
        while not ending.is_set() or sum(self.results.values()) < REQUESTS:
            self.send("/", "short")
            time.sleep(0.1)

    def join(self) -> None:
        """Wait for the requests in threads."""
        for thread in self._threads:
            thread.join()


def main() -> None:
    with tempfile.TemporaryDirectory() as text:
        build_images(IMAGE, Path(text))
    host = Host()
    load, ending = Load(), threading.Event()
    try:
        host.start_nginx()
        host.start()
        host.new("demo:1")
        runners = [threading.Thread(target=load.run, args=(ending,)) for _ in range(THREADS)]
        for runner in runners:
            runner.start()
        for number in range(DEPLOYMENTS):
            for _ in range(5):
                load.start(f"/sleep/{SLOW_SECONDS}", f"{SLOW_SECONDS} s")
            time.sleep(PAUSE_SECONDS / 2)
            answer = host.curl("/redeploy", {"name": "app1", "image": f"demo:{2 - number % 2}"})
            print(f"deployment {number + 1}: {answer.text}", flush=True)
            if number == 1:
                print(f"restart: exit code {host.stop()}", flush=True)
                host.start()
            time.sleep(PAUSE_SECONDS / 2)
        ending.set()
        for runner in runners:
            runner.join()
        load.join()
        until(lambda: len(host.containers()) == 1, 120)
        for (kind, result), count in sorted(load.results.items()):
            print(f"  {kind:>6} requests with result {result}: {count:,}")
        lost = sum(count for (_, result), count in load.results.items() if result != "200")
        print(f"  lost: {lost:,} of {sum(load.results.values()):,}")
    finally:
        host.close()
    sys.exit(1 if lost else 0)


if __name__ == "__main__":
    main()
