"""The settings of the hosted API, from options of the command and from environment variables."""

from __future__ import annotations

import ipaddress
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from exasol_ci_setup.containers.hosted.names import domain_name
from exasol_ci_setup.containers.hosted.options import MIB, AppOptions, Cpus, Memory, Pids, Seconds, Size
from exasol_ci_setup.containers.hosts import host_name
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.core.files import is_shared
from exasol_ci_setup.core.rules import rule_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PREFIX: Final = "EXASOL_CI_SETUP_HOSTED_"
"""The prefix of the variables; the rest of a name is a field of Settings in upper case."""

KEY_VARIABLE: Final = "DEPLOY_KEY"
KEY_CREDENTIAL: Final = "deploy_key"
"""The name of the systemd credential with the key: https://systemd.io/CREDENTIALS/."""

_DRAIN_MARGIN_SECONDS: Final = 15
_MAX_PREFIX: Final = 24
# Characters without a special meaning in the configurations of nginx and systemd.
_PLAIN_PATH: Final = re.compile(r"[A-Za-z0-9/._@+-]+")


def _state_path(path: Path) -> Path:
    return plain_path(path, "the state directory")


def _command(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return tuple(shlex.split(value))
    except ValueError as error:
        raise ValueError(f"{value!r} is not a command: {error}") from error


def _subnets(network: ipaddress.IPv4Network) -> ipaddress.IPv4Network:
    if network.prefixlen > _MAX_PREFIX:
        raise ValueError("use a network such as 10.213.0.0/16, with at least 256 addresses")
    return network


def _default_nginx() -> tuple[str, ...]:
    # Only root may reload nginx.
    return ("nginx",) if os.geteuid() == 0 else ("sudo", "-n", "nginx")


def _names(value: object) -> tuple[str, ...]:
    names = value.split() if isinstance(value, str) else value
    if not isinstance(names, list | tuple):
        raise ValueError("use host names, separated by spaces")  # noqa: TRY004 - pydantic reports only ValueError
    return tuple(host_name(str(name)) for name in names)


class Settings(BaseSettings):
    """The settings of the API on this machine. Settings that are not passed are read from the environment.

    Raises InputError for an invalid value, such as a path with special characters of nginx or systemd.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid")

    state: Annotated[Path, AfterValidator(_state_path)] = Field(
        Path(), validate_default=True, description="The directory for all data."
    )
    domain: Annotated[str, AfterValidator(domain_name)] | None = Field(
        None, description="The parent domain of new apps; if None, the host of the request."
    )
    private: bool = Field(default=False, description="Whether the list of apps needs the key.")
    ssl: bool = Field(default=False, description="Whether each domain gets a certificate.")
    nginx: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_command)] = Field(
        default_factory=_default_nginx, min_length=1, description="The command for nginx."
    )
    nginx_requests: Path | None = Field(
        None, description="The directory with requests to the unit that runs nginx, instead of the command."
    )
    answer_seconds: Seconds = Field(60, description="The time limit for the first answer of a new container.")
    drain_seconds: Seconds | None = Field(
        None,
        description="The time for a replaced container to answer its open requests; if None, 15 s more than the timeout of the app.",
    )
    allow_hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)] = Field(
        (), description="Accepted host names of the API besides the domain."
    )
    memory: Memory = Field(512 * MIB, description="The default memory limit of an app, in bytes.")
    cpus: Cpus | None = Field(None, description="The default limit of processors of an app.")
    pids: Pids = Field(512, description="The default limit of processes and threads of an app.")
    max_body: Size = Field(100 * MIB, description="The default largest body of a request to an app, in bytes.")
    subnets: Annotated[ipaddress.IPv4Network, AfterValidator(_subnets)] = Field(
        ipaddress.IPv4Network("10.213.0.0/16"), description="The addresses of the networks of apps, 16 for each app."
    )
    timeout: Seconds = Field(
        60, description="The default time without data after which nginx ends a request to an app."
    )

    def __init__(self, **values: Any) -> None:
        """Use `values`, and variables for the other settings. A value that is None is not set."""
        given = {name: value for name, value in values.items() if value is not None}
        try:
            super().__init__(**given)
        except ValidationError as error:
            raise InputError("; ".join(_describe(each, given) for each in error.errors())) from error

    @property
    def hosts(self) -> frozenset[str] | None:
        """The accepted host names besides ``localhost`` and IP addresses; None for every name."""
        names = {*self.allow_hosts, *([self.domain] if self.domain is not None else [])}
        return frozenset(names) or None

    def complete(self, options: AppOptions) -> AppOptions:
        """Return the options of an app, with the defaults of the service where they are None."""
        names = ("memory", "cpus", "pids", "max_body", "timeout")
        defaults = AppOptions.model_construct(**{name: getattr(self, name) for name in names})
        return defaults.model_copy(update=options.model_dump(exclude_none=True))

    def drain_of(self, options: AppOptions) -> float:
        """Return the seconds that a replaced container of an app with these options may answer open requests.

        The default is longer than nginx waits for data of the app.
        """
        if self.drain_seconds is not None:
            return self.drain_seconds
        return (self.complete(options).timeout or 0) + _DRAIN_MARGIN_SECONDS


def _describe(error: Any, given: Mapping[str, object]) -> str:
    """Return the name of an invalid setting, as the user wrote it, and the reason."""
    field = str(error["loc"][0])
    name = f"--{_OPTIONS.get(field, field).replace('_', '-')}" if field in given else f"{PREFIX}{field.upper()}"
    return f"{name} is invalid: {rule_of(error)}"


_OPTIONS: Final = {"answer_seconds": "answer_within", "drain_seconds": "drain", "allow_hosts": "allow_host"}


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


def find_shared_credential(environment: Mapping[str, str]) -> Path | None:
    """Return the systemd credential with the key if all users of this machine can read it, or else None."""
    folder = environment.get("CREDENTIALS_DIRECTORY")
    if environment.get(KEY_VARIABLE, "").strip() or not folder:
        return None
    file = Path(folder, KEY_CREDENTIAL)
    try:
        # Not the group: systemd gives access to the user of the service by an ACL, which appears as permissions of the group.
        return file if is_shared(file, group=False) else None
    except OSError:
        return None


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
