"""Calls of the program nginx: by a command, or by requests to a unit of systemd that runs as root."""

from __future__ import annotations

import secrets
import subprocess
import time
from typing import TYPE_CHECKING, Final, Protocol

from exasol_ci_setup.containers.hosted.settings import run_program
from exasol_ci_setup.core.errors import NginxError
from exasol_ci_setup.core.files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from exasol_ci_setup.containers.hosted.settings import Settings

_COMMAND_SECONDS: Final = 60
_POLL_SECONDS: Final = 0.01
REQUEST: Final = "nginx-request"


class NginxProgram(Protocol):
    """A way to run nginx."""

    def dump(self) -> subprocess.CompletedProcess[str]:
        """Test the configuration, and print it: ``nginx -T``."""
        ...

    def reload(self) -> subprocess.CompletedProcess[str]:
        """Reload the configuration: ``nginx -s reload``."""
        ...


class NginxCommand:
    """nginx, run by a command that may reload it, such as ``sudo -n nginx``."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self._command = command

    def dump(self) -> subprocess.CompletedProcess[str]:
        """Run ``nginx -T``. Raises NginxError if nginx cannot be run or has a timeout."""
        return self._run("-T")

    def reload(self) -> subprocess.CompletedProcess[str]:
        """Run ``nginx -s reload``. Raises NginxError as `dump`."""
        return self._run("-s", "reload")

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        try:
            return run_program([*self._command, *arguments], seconds=_COMMAND_SECONDS)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NginxError(f"nginx cannot be run: {error}") from error


class NginxRequests:
    """nginx, run by the unit `hosted-nginx.service` when a file with a request exists in the directory `requests`.

    The answers are in another directory, which only root can change. One request is answered at a time.
    """

    def __init__(self, requests: Path) -> None:
        self._request = requests / REQUEST
        self._answer = answers_of(requests) / "answer"

    def dump(self) -> subprocess.CompletedProcess[str]:
        """Request ``nginx -T``. Raises NginxError if no answer arrives."""
        return self._send("test")

    def reload(self) -> subprocess.CompletedProcess[str]:
        """Request ``nginx -s reload``. Raises NginxError as `dump`."""
        return self._send("reload")

    def _send(self, action: str) -> subprocess.CompletedProcess[str]:
        id_ = secrets.token_hex(8)
        try:
            write_whole(self._request, f"{id_} {action}\n".encode("ascii"))
            deadline = time.monotonic() + _COMMAND_SECONDS
            while (status := self._read_status(id_)) is None:
                if time.monotonic() >= deadline:
                    self._request.unlink(missing_ok=True)
                    raise NginxError(
                        f"hosted-nginx.service has not answered within {_COMMAND_SECONDS} seconds",
                        hint="`systemctl status hosted-nginx.path hosted-nginx.service` shows the reason",
                    ) from TimeoutError()
                time.sleep(_POLL_SECONDS)
            texts = [self._answer.with_suffix(each).read_text(errors="replace") for each in (".out", ".err")]
        except OSError as error:
            raise NginxError(f"requests to hosted-nginx.service cannot be written or read: {error}") from error
        return subprocess.CompletedProcess((action,), status, *texts)

    def _read_status(self, id_: str) -> int | None:
        """Return the exit code of nginx for a request, or None before its answer."""
        try:
            answered, _, status = self._answer.read_text(encoding="ascii").strip().partition(" ")
        except FileNotFoundError:
            return None
        return int(status) if answered == id_ and status.isdigit() else None


def answers_of(requests: Path) -> Path:
    """Return the directory with the answers to requests in a directory."""
    return requests.with_name(f"{requests.name}-nginx")


def nginx_program(settings: Settings) -> NginxProgram:
    """Return the way to run nginx that the settings select."""
    if settings.nginx_requests is not None:
        return NginxRequests(settings.nginx_requests)
    return NginxCommand(settings.nginx)
