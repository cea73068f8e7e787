"""A server of OpenSSH on this machine for tests: without one they are skipped, or fail if it is required."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.sshd.server import Server, key_pair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROGRAM = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")

# Asked for before the variables of this project are taken away for the test.
REQUIRED = "sshd" in os.environ.get("EXASOL_CI_SETUP_REQUIRE", "").split(",")


def _reason_against() -> str:
    """Why the tests cannot run here, or nothing."""
    if PROGRAM is None:
        return "there is no `sshd`"
    if shutil.which("ssh-keygen") is None:
        return "there is no `ssh-keygen`"
    # It wants a directory to lock itself up in, which only root can make.
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    return ""


@pytest.fixture(scope="session")
def sshd() -> str:
    """The path of `sshd`."""
    reason = _reason_against()
    if reason and REQUIRED:
        pytest.fail(f"OpenSSH's server is required: {reason}")
    if reason:
        pytest.skip(f"{reason} (apt-get install openssh-server)")
    assert PROGRAM is not None
    return PROGRAM


@pytest.fixture
def make_key(tmp_path: Path) -> Callable[..., Path]:
    """A function that makes a pair of keys and returns the path of its private half."""

    def make(kind: str = "ed25519", *, name: str = "", passphrase: str = "") -> Path:
        return key_pair(tmp_path / (name or f"id_{kind}"), kind, passphrase)

    return make


@pytest.fixture
def key(make_key: Callable[..., Path], sshd: str) -> Path:  # noqa: ARG001 - before anything else it is known whether tests can run
    return make_key()


@pytest.fixture
def make_server(sshd: str, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """A function that starts a server which lets the current user in with the keys given, and on which it listens."""
    started: list[Server] = []

    def make(*keys: Path, **settings: str) -> Server:
        server = Server(sshd, tmp_path / f"sshd-{len(started)}", keys, settings)
        started.append(server)
        server.start()
        return server

    yield make
    for server in started:
        server.stop()


@pytest.fixture
def machine(make_server: Callable[..., Server], key: Path) -> Server:
    return make_server(key)


@pytest.fixture
def agent(sshd: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:  # noqa: ARG001 - as above
    """An agent of the test's own that holds no key yet."""
    started = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True)
    variables = dict(part.strip().split("=", 1) for part in started.stdout.replace("\n", ";").split(";") if "=" in part)
    for name in ("SSH_AUTH_SOCK", "SSH_AGENT_PID"):
        monkeypatch.setenv(name, variables[name])
    yield
    subprocess.run(["ssh-agent", "-k"], capture_output=True, check=True)
