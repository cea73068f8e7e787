"""Start, find, stop and reset the sandbox process of a state directory, without importing the server.

The serving process holds an exclusive lock on ``running.lock`` until it ends. This lock shows whether a sandbox runs. Unlike a process id in
a file it cannot become stale: the kernel releases it also after a SIGKILL.
"""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import shutil
import signal
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.core import files
from exasol_ci_setup.core.errors import SandboxError
from exasol_ci_setup.sandbox import registry as images
from exasol_ci_setup.sandbox import settings
from exasol_ci_setup.sandbox.launch import LOG_FILE, launch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

REGION: Final = "eu-central-1"
ACCOUNT: Final = "111122223333"
IDENTITY_PATH: Final = "/_exasol_ci_setup/identity"
RESET_PATH: Final = "/_exasol_ci_setup/reset"
DIRECTORY_VARIABLE: Final = "EXASOL_CI_SETUP_SANDBOX_DIR"

# Names inside the state directory.
ENDPOINT_FILE: Final = "endpoint.json"
START_LOCK: Final = "start.lock"
RUNNING_LOCK: Final = "running.lock"
SERVICES_DIR: Final = "services"
OBJECTS_DIR: Final = "objects"
REGISTRY_DIR: Final = "registry"

# Each of these sends a client to another endpoint, or makes it look for a profile, regardless of other variables.
_MISLEADING: Final = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
)

# Time limit of a start, of an answer, and of a stop. A start needs 0.6 s of CPU time. Ten concurrent starts took 10 s on two cores with a load
# of 12.
_TIMEOUT_SECONDS = 30.0
_KILL_SECONDS = 5.0
_POLL_SECONDS = 0.02


SECRET_KEY: Final = "sandbox"  # noqa: S105 - not secret
"""The secret key of each account's root user."""


@dataclass(frozen=True)
class Endpoint:
    """A running sandbox. `instance` is a random id that distinguishes it from other servers on the port.

    `registry` is HOST:PORT of the registry that serves ECR, empty without one. With a registry, `engine` is the Docker engine that builds
    images, or the reason why no engine is used.
    """

    url: str
    pid: int
    region: str
    account: str
    state_dir: Path
    log_file: Path
    instance: str = ""
    registry: str = ""
    engine: str = ""


def state_directory() -> Path:
    """Return the state directory: ``$EXASOL_CI_SETUP_SANDBOX_DIR``, else one below ``$XDG_STATE_HOME`` or ``~/.local/state``."""
    if chosen := os.environ.get(DIRECTORY_VARIABLE):
        return Path(chosen).expanduser().absolute()
    return files.state_directory("sandbox")


def environment(endpoint: Endpoint) -> dict[str, str]:
    """Return the variables that make any AWS client use only `endpoint`, if no `misleading_variables` are set."""
    variables = {
        "AWS_ENDPOINT_URL": endpoint.url,
        "AWS_ACCESS_KEY_ID": endpoint.account,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_REGION": endpoint.region,
        "AWS_DEFAULT_REGION": endpoint.region,
        "AWS_EC2_METADATA_DISABLED": "true",
        # A client that ignores configured endpoints would send the requests to AWS.
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false",
    }
    if any(os.environ.get(name) for name in ("http_proxy", "HTTP_PROXY")):
        # Clients differ in which of the two spellings they read.
        exceptions = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
        around = ",".join(filter(None, [exceptions, "127.0.0.1"]))
        variables |= {"no_proxy": around, "NO_PROXY": around}
    return variables


def misleading_variables() -> tuple[str, ...]:
    """Return the names of variables that override those of `environment` and so must not be set."""
    return (*_MISLEADING, *sorted(name for name in os.environ if name.startswith("AWS_ENDPOINT_URL_")))


class StopResult(Enum):
    """The result of `stop`."""

    NOT_RUNNING = "not running"
    SAVED = "saved"
    KILLED = "killed"


def find(*, seconds: float = _TIMEOUT_SECONDS) -> Endpoint | None:
    """Return the running sandbox of this user's state directory, or None if no process holds its lock.

    Waits up to `seconds` for an answer. Raises SandboxError if the sandbox runs but does not answer.
    """
    directory = state_directory()
    deadline = time.monotonic() + seconds
    while _is_running(directory):
        endpoint = _read_record(directory)
        # The record of a killed process exists until the next process is ready.
        if endpoint is not None and endpoint.pid == _process_id(directory):
            answered = _identity(endpoint.url, deadline)
            if answered.get("instance") == endpoint.instance:
                return endpoint
            if answered:
                raise _does_not_answer(directory, f"another server answers at {endpoint.url}")
        if time.monotonic() >= deadline:
            raise _does_not_answer(directory, f"waited {seconds:.0f} s")
        time.sleep(_POLL_SECONDS)
    return None


def _does_not_answer(directory: Path, why: str) -> SandboxError:
    return SandboxError(
        f"the sandbox (process {_process_id(directory)}) runs but does not answer: {why}",
        hint=f"stop it with `exasol-ci-setup sandbox stop`; its log: {directory / LOG_FILE}",
    )


def ensure(
    *,
    delay: float | None = None,
    build_seconds: float | None = None,
    sources: Mapping[str, Path] | None = None,
    registry: bool | None = None,
    access_control: bool = False,
) -> Endpoint:
    """Return the running sandbox; if none runs, start one in the background.

    `delay` is the time of each resource operation and `build_seconds` that of each build, in seconds. `sources` maps the URLs of repositories
    to local directories. `registry` is whether a real registry serves ECR. With `access_control` policies are enforced. These settings apply only
    if this call starts the sandbox. For None, or False, the environment variables in `settings` apply. Of concurrent calls, one
    starts the sandbox.

    Raises SandboxError if the extra or the registry program is missing, or if the sandbox does not start, and InputError for an invalid
    setting.
    """
    if running := find():
        return running
    wanted = settings.collect(
        delay=delay, build_seconds=build_seconds, sources=sources, registry=registry, access_control=access_control
    )
    if wanted.registry:
        images.program()
    directory = _prepare(state_directory())
    with _lock_file(directory / START_LOCK):
        if running := find():
            return running
        launch(directory, wanted, _TIMEOUT_SECONDS)
        if running := find():
            return running
    raise SandboxError("the sandbox ended after its start", hint=f"see its log: {directory / LOG_FILE}")


def stop(*, seconds: float = _TIMEOUT_SECONDS) -> StopResult:
    """Stop the running sandbox after it has saved its state, and wait for its end.

    A suspended process is resumed. A process that does not end within `seconds` is killed; changes of its last second can be lost then. Raises
    SandboxError if the process still does not end.
    """
    directory = state_directory()
    if not directory.is_dir():
        return StopResult.NOT_RUNNING
    with _lock_file(directory / START_LOCK):
        process = _process_id(directory)
        if process is None:
            return StopResult.NOT_RUNNING
        _signal(process, signal.SIGTERM)
        _signal(process, signal.SIGCONT)
        if _wait_until_stopped(directory, seconds):
            return StopResult.SAVED
        _signal(process, signal.SIGKILL)
        if _wait_until_stopped(directory, _KILL_SECONDS):
            return StopResult.KILLED
    raise SandboxError(f"the sandbox (process {process}) does not end", hint=f"see its log: {directory / LOG_FILE}")


def _signal(process: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, number)


def _wait_until_stopped(directory: Path, seconds: float) -> bool:
    """Wait up to `seconds` until no process serves `directory`; return whether none does."""
    deadline = time.monotonic() + seconds
    while _is_running(directory):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def reset() -> None:
    """Delete everything in the sandbox, in the running process and on disk. The next use recreates the dummy secrets.

    Raises SandboxError if the running sandbox does not confirm.
    """
    directory = state_directory()
    if not directory.is_dir():
        return
    with _lock_file(directory / START_LOCK):
        if endpoint := find():
            status, _ = _request(endpoint.url, "POST", RESET_PATH, time.monotonic() + _TIMEOUT_SECONDS)
            if status != http.client.OK:
                raise SandboxError(
                    "the sandbox could not be reset: it did not confirm",
                    hint=f"stop it with `exasol-ci-setup sandbox stop` and retry; its log: {endpoint.log_file}",
                )
            return
        for name in (SERVICES_DIR, OBJECTS_DIR, f"{REGISTRY_DIR}/{images.DATA_DIR}"):
            shutil.rmtree(directory / name, ignore_errors=True)


def _prepare(directory: Path) -> Path:
    """Create `directory` for this user only because it contains templates, tags and secrets."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
    except OSError as error:
        raise SandboxError(
            f"the state directory of the sandbox cannot be used: {error}",
            hint=f"set {DIRECTORY_VARIABLE} to another directory",
        ) from error
    return directory


@contextmanager
def _lock_file(path: Path) -> Iterator[None]:
    with path.open("a", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _is_running(directory: Path) -> bool:
    try:
        file = (directory / RUNNING_LOCK).open(encoding="ascii")
    except FileNotFoundError:
        return False
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _process_id(directory: Path) -> int | None:
    """Return the process id of the running sandbox, or None. The sandbox writes it after it has acquired the lock."""
    while _is_running(directory):
        if text := (directory / RUNNING_LOCK).read_text(encoding="ascii"):
            return int(text)
        time.sleep(_POLL_SECONDS)
    return None


def _read_record(directory: Path) -> Endpoint | None:
    try:
        values: dict[str, Any] = json.loads((directory / ENDPOINT_FILE).read_text(encoding="utf-8"))
        return Endpoint(**values, state_dir=directory, log_file=directory / LOG_FILE)
    except (OSError, ValueError, TypeError):
        return None


def _request(url: str, method: str, path: str, deadline: float) -> tuple[int, bytes]:
    """Send a request and return status and body; 0 and an empty body without an answer."""
    seconds = max(deadline - time.monotonic(), _POLL_SECONDS)
    return images.send_request(url.removeprefix("http://"), method, path, seconds=seconds)


def _identity(url: str, deadline: float) -> dict[str, Any]:
    status, body = _request(url, "GET", IDENTITY_PATH, deadline)
    if status != http.client.OK:
        return {}
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
