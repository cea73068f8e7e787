"""The settings of the hosted API. Workers, also those of gunicorn, read them from the environment."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.containers.hosted.names import domain_name
from exasol_ci_setup.containers.hosts import host_name
from exasol_ci_setup.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PREFIX: Final = "EXASOL_CI_SETUP_HOSTED_"
"""The prefix of the variables; the rest of a name is a field of Settings in upper case."""

KEY_VARIABLE: Final = "DEPLOY_KEY"
KEY_CREDENTIAL: Final = "deploy_key"
"""The name of the systemd credential with the key: https://systemd.io/CREDENTIALS/."""

DEFAULT_ANSWER_SECONDS: Final = 60.0
DEFAULT_DRAIN_SECONDS: Final = 75.0
# Characters without a special meaning in the configurations of nginx and systemd.
_PLAIN_PATH: Final = re.compile(r"[A-Za-z0-9/._@+-]+")
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"", "0", "false", "no", "off"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of the API on this machine.

    `state` is the directory for all data. Apps get names below `domain`; the default is the host of a request. With `private`, the
    list of apps needs the key. With `ssl`, each domain gets a certificate. `nginx` is the command for nginx. A new container must
    answer within `answer_seconds`. A replaced container may answer its open requests for `drain_seconds`. The API accepts requests
    for `domain` and the names in `allow_hosts`.

    Raises InputError for a path with special characters of nginx or systemd, and for an invalid domain or host name.
    """

    state: Path
    domain: str | None = None
    private: bool = False
    ssl: bool = False
    nginx: tuple[str, ...] = ()
    answer_seconds: float = DEFAULT_ANSWER_SECONDS
    drain_seconds: float = DEFAULT_DRAIN_SECONDS
    allow_hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "state", plain_path(self.state, "the state directory"))
        if self.domain is not None:
            object.__setattr__(self, "domain", domain_name(self.domain))
        object.__setattr__(self, "allow_hosts", tuple(host_name(name) for name in self.allow_hosts))
        # Only root may reload nginx.
        default = ("nginx",) if os.geteuid() == 0 else ("sudo", "-n", "nginx")
        object.__setattr__(self, "nginx", self.nginx or default)

    @property
    def hosts(self) -> frozenset[str] | None:
        """The accepted host names besides ``localhost`` and IP addresses; None for every name."""
        names = {*self.allow_hosts, *([self.domain] if self.domain is not None else [])}
        return frozenset(names) or None

    def variables(self) -> dict[str, str]:
        """Return the variables from which `from_environment` reads the same settings."""
        values = {
            "STATE": str(self.state),
            "DOMAIN": self.domain or "",
            "PRIVATE": "1" if self.private else "",
            "SSL": "1" if self.ssl else "",
            "NGINX": shlex.join(self.nginx),
            "ANSWER_SECONDS": str(self.answer_seconds),
            "DRAIN_SECONDS": str(self.drain_seconds),
            "ALLOW_HOSTS": " ".join(self.allow_hosts),
        }
        return {f"{PREFIX}{name}": value for name, value in values.items()}


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Read the settings from variables; empty variables are ignored. Raises InputError for an invalid value."""

    def value(name: str) -> str:
        return environment.get(f"{PREFIX}{name}", "").strip()

    def flag(name: str) -> bool:
        text = value(name).lower()
        if text not in _TRUE | _FALSE:
            raise InputError(f"{PREFIX}{name} is invalid: {text!a} is not 1 or 0")
        return text in _TRUE

    try:
        answer_seconds = float(value("ANSWER_SECONDS") or DEFAULT_ANSWER_SECONDS)
        drain_seconds = float(value("DRAIN_SECONDS") or DEFAULT_DRAIN_SECONDS)
        command = tuple(shlex.split(value("NGINX")))
    except ValueError as error:
        raise InputError(f"the variables {PREFIX}* cannot be read: {error}") from error
    return Settings(
        state=Path(value("STATE") or "."),
        domain=value("DOMAIN") or None,
        private=flag("PRIVATE"),
        ssl=flag("SSL"),
        nginx=command,
        answer_seconds=answer_seconds,
        drain_seconds=drain_seconds,
        allow_hosts=tuple(value("ALLOW_HOSTS").split()),
    )


def plain_path(path: Path, what: str) -> Path:
    """Return `path` as an absolute path without special characters; `what` is its name in messages.

    Raises InputError for a path with special characters of nginx or systemd.
    """
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - does not resolve links
    if not _PLAIN_PATH.fullmatch(str(absolute)):
        raise InputError(
            f"{what} {str(absolute)!a} contains characters that are not allowed in the configuration of nginx",
            hint="use a path of letters, digits and the characters . _ @ + -",
        )
    return absolute


def deploy_key(environment: Mapping[str, str]) -> str:
    """Return the deploy key: DEPLOY_KEY, or the systemd credential ``deploy_key``.

    Raises InputError if the key is missing or empty.
    """
    key = environment.get(KEY_VARIABLE, "").strip()
    folder = environment.get("CREDENTIALS_DIRECTORY")
    if not key and folder:
        try:
            key = Path(folder, KEY_CREDENTIAL).read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            key = ""
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"the deploy key cannot be read: {error}") from error
    if not key:
        raise InputError(
            f"the deploy key is missing: {KEY_VARIABLE} is not set",
            hint="set it to a random secret, such as the output of `openssl rand -hex 32`",
        )
    return key


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for child processes, without the deploy key."""
    return {name: value for name, value in environment.items() if name not in {KEY_VARIABLE, "CREDENTIALS_DIRECTORY"}}


def run_program(command: Sequence[str], *, seconds: float) -> subprocess.CompletedProcess[str]:
    """Run a program without an input and without the deploy key. Raises OSError, and TimeoutExpired after `seconds`."""
    return subprocess.run(  # noqa: S603 - the command of the operator, with validated arguments
        command,
        capture_output=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        env=child_environment(os.environ),
        timeout=seconds,
        check=False,
    )
