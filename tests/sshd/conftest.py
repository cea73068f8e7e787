"""A server of OpenSSH for tests. Without one they are skipped, or fail if it is required."""

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

# Read on import: fixtures remove the variables of this project.
REQUIRED = "sshd" in os.environ.get("EXASOL_CI_SETUP_REQUIRE", "").split(",")


def _find_problem() -> str:
    """Return why the tests cannot run here, or an empty string."""
    if PROGRAM is None:
        return "`sshd` is not installed"
    if shutil.which("ssh-keygen") is None:
        return "`ssh-keygen` is not installed"
    # sshd needs a directory for chroot, which only root can create.
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    return ""


@pytest.fixture(scope="session")
def sshd() -> str:
    """The path of `sshd`."""
    reason = _find_problem()
    if reason and REQUIRED:
        pytest.fail(f"the server of OpenSSH is required: {reason}")
    if reason:
        pytest.skip(f"{reason} (apt-get install openssh-server)")
    assert PROGRAM is not None
    return PROGRAM


@pytest.fixture
def make_key(tmp_path: Path) -> Callable[..., Path]:
    """A function that creates a key pair and returns the path of the private key."""

    def make(kind: str = "ed25519", *, name: str = "", passphrase: str = "") -> Path:
        return key_pair(tmp_path / (name or f"id_{kind}"), kind, passphrase)

    return make


@pytest.fixture
def key(make_key: Callable[..., Path], sshd: str) -> Path:  # noqa: ARG001 - skips the test without sshd
    return make_key()


@pytest.fixture
def make_server(sshd: str, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """A function that starts a server that accepts the current user with the given keys."""
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
    """An empty SSH agent for the test."""
    started = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True)
    variables = dict(part.strip().split("=", 1) for part in started.stdout.replace("\n", ";").split(";") if "=" in part)
    for name in ("SSH_AUTH_SOCK", "SSH_AGENT_PID"):
        monkeypatch.setenv(name, variables[name])
    yield
    subprocess.run(["ssh-agent", "-k"], capture_output=True, check=True)
