"""An `sshd` for a test, with its own keys and settings, on a loopback port."""

from __future__ import annotations

import contextlib
import getpass
import socket
import subprocess
import time
from typing import TYPE_CHECKING

from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def key_pair(path: Path, kind: str, passphrase: str = "") -> Path:
    path.parent.mkdir(exist_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "", "-f", path], check=True)
    return path


class Server:
    """A server that accepts `keys` (paths of private keys); `settings` are those of sshd_config."""

    def __init__(self, program: str, directory: Path, keys: Sequence[Path], settings: Mapping[str, str]) -> None:
        self.port = free_port()
        self.user = getpass.getuser()
        self._program = program
        self._directory = directory
        self._settings = dict(settings)
        self._process: subprocess.Popen[bytes] | None = None
        directory.mkdir()
        self._host_key = key_pair(directory / "host", self._settings.pop("host_key", "ed25519"))
        publics = [key.with_name(f"{key.name}.pub").read_text(encoding="utf-8") for key in keys]
        (directory / "authorized_keys").write_text("".join(publics), encoding="utf-8")

    @property
    def log(self) -> str:
        return (self._directory / "log").read_text(encoding="utf-8")

    def new_host_key(self) -> None:
        """Replace the host key, as another machine would have one."""
        self.stop()
        for path in (self._host_key, self._host_key.with_name("host.pub")):
            path.unlink()
        key_pair(self._host_key, "ed25519")
        self.start()

    def start(self) -> None:
        """Start the server, and return when it listens."""
        lines = {
            "ListenAddress": f"127.0.0.1:{self.port}",
            "HostKey": str(self._host_key),
            "AuthorizedKeysFile": str(self._directory / "authorized_keys"),
            "PidFile": "none",
            "UsePAM": "no",
            "StrictModes": "no",
            "PasswordAuthentication": "no",
            "PermitRootLogin": "prohibit-password",
            **self._settings,
        }
        config = self._directory / "config"
        config.write_text("".join(f"{name} {value}\n" for name, value in lines.items()), encoding="utf-8")
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen([self._program, "-D", "-e", "-f", str(config)], stderr=log)
        for _ in range(1200):
            if self._process.poll() is not None:
                break
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError(f"sshd did not start: {self.log}")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=10)
            self._process = None
            # A process that sshd has forked for a connection listens on the port for a moment longer.
            while True:
                with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", self.port)):
                    return
                time.sleep(0.05)
