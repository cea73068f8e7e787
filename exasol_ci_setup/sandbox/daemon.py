"""Starts, finds, stops and resets the one sandbox process of a state directory, without importing what it runs.

A process that serves holds an exclusive lock on ``running.lock`` until it is gone. That lock, and not a process id in a file, says
whether one runs: it cannot go stale, and the kernel drops it after a SIGKILL too.
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

from exasol_ci_setup.errors import SandboxError
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

# Each of these leads a client elsewhere, or makes it look for a profile, whatever else is set.
_MISLEADING: Final = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
)

# How long a start may take, and how long a running sandbox may take to answer or to end. A start needs 0.6 s of CPU time; ten at once
# took 10 s on two cores with a load of 12.
_PATIENCE_SECONDS = 30.0
_KILL_SECONDS = 5.0
_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Endpoint:
    """A running sandbox. `instance` is drawn at its start, so that no other server on the port is taken for it.

    `registry` is HOST:PORT of the registry that stands for ECR, empty if there is none; `engine` is then the Docker engine that builds
    images, or why there is none.
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
    """Return where the sandbox keeps everything: ``$EXASOL_CI_SETUP_SANDBOX_DIR``, else below ``$XDG_STATE_HOME`` or ``~/.local/state``."""
    if chosen := os.environ.get(DIRECTORY_VARIABLE):
        return Path(chosen).expanduser().absolute()
    # The XDG base directory specification wants a relative path ignored.
    base = os.environ.get("XDG_STATE_HOME", "")
    root = Path(base) if base.startswith("/") else Path.home() / ".local" / "state"
    return root / "exasol-ci-setup" / "sandbox"


def environment(endpoint: Endpoint) -> dict[str, str]:
    """Return the variables that make any AWS client use `endpoint` and nothing else, provided that no `misleading_variables` are set."""
    variables = {
        "AWS_ENDPOINT_URL": endpoint.url,
        "AWS_ACCESS_KEY_ID": endpoint.account,
        "AWS_SECRET_ACCESS_KEY": "sandbox",
        "AWS_REGION": endpoint.region,
        "AWS_DEFAULT_REGION": endpoint.region,
        "AWS_EC2_METADATA_DISABLED": "true",
        # A client told to ignore configured endpoints would send the same requests to AWS.
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false",
    }
    if any(os.environ.get(name) for name in ("http_proxy", "HTTP_PROXY")):
        # Which of the two spellings counts differs from client to client.
        exceptions = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
        around = ",".join(filter(None, [exceptions, "127.0.0.1"]))
        variables |= {"no_proxy": around, "NO_PROXY": around}
    return variables


def misleading_variables() -> tuple[str, ...]:
    """Return the names of variables that must not be set for `environment` to be the whole truth, in this process's environment."""
    return (*_MISLEADING, *sorted(name for name in os.environ if name.startswith("AWS_ENDPOINT_URL_")))


class End(Enum):
    """How `stop` left the sandbox."""

    NOT_RUNNING = "not running"
    SAVED = "saved"
    KILLED = "killed"


def find(*, seconds: float = _PATIENCE_SECONDS) -> Endpoint | None:
    """Return the running sandbox of this user's state directory, or None if no process holds its lock.

    Waits up to `seconds` for its answer. Raises SandboxError if it runs but does not answer.
    """
    directory = state_directory()
    deadline = time.monotonic() + seconds
    while _runs(directory):
        endpoint = _recorded(directory)
        # A killed process leaves its record until the next one is ready.
        if endpoint is not None and endpoint.pid == _holder(directory):
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
        f"the sandbox (process {_holder(directory)}) runs but does not answer: {why}",
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
    """Return the running sandbox, started in the background if there is none.

    `delay` is in seconds for each resource operation, `build_seconds` for each build, `sources` has the directories that stand for
    repositories, by URL, `registry` is whether a real registry stands for ECR, and with `access_control` policies are enforced. They count only for a
    sandbox that is started by this call; None, or False, leaves them to the variables of the
    environment that `settings` names. Any number of processes may call this at once: one of them starts it.

    Raises SandboxError if the extra or the registry's program is not installed, or if it does not start, and InputError for a setting
    that is none.
    """
    if running := find():
        return running
    wanted = settings.chosen(
        delay=delay, build_seconds=build_seconds, sources=sources, registry=registry, access_control=access_control
    )
    if wanted.registry:
        images.program()
    directory = _prepared(state_directory())
    with _locked(directory / START_LOCK):
        if running := find():
            return running
        launch(directory, wanted, _PATIENCE_SECONDS)
        if running := find():
            return running
    raise SandboxError("the sandbox ended after its start", hint=f"see its log: {directory / LOG_FILE}")


def stop(*, seconds: float = _PATIENCE_SECONDS) -> End:
    """End the running sandbox after it has saved its state, and wait until it is gone.

    A suspended process is resumed first. One that does not end within `seconds` is killed: what it did in its last second may
    then not be saved. Raises SandboxError if not even that ends it.
    """
    directory = state_directory()
    if not directory.is_dir():
        return End.NOT_RUNNING
    with _locked(directory / START_LOCK):
        process = _holder(directory)
        if process is None:
            return End.NOT_RUNNING
        _signal(process, signal.SIGTERM)
        _signal(process, signal.SIGCONT)
        if _is_gone(directory, seconds):
            return End.SAVED
        _signal(process, signal.SIGKILL)
        if _is_gone(directory, _KILL_SECONDS):
            return End.KILLED
    raise SandboxError(f"the sandbox (process {process}) does not end", hint=f"see its log: {directory / LOG_FILE}")


def _signal(process: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, number)


def _is_gone(directory: Path, seconds: float) -> bool:
    """Whether no process serves `directory`, or none does before `seconds` have passed."""
    deadline = time.monotonic() + seconds
    while _runs(directory):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def reset() -> None:
    """Empty the sandbox, in the running process and on disk. The dummy secrets exist again at the next use.

    Raises SandboxError if the running sandbox does not do it.
    """
    directory = state_directory()
    if not directory.is_dir():
        return
    with _locked(directory / START_LOCK):
        if endpoint := find():
            status, _ = _ask(endpoint.url, "POST", RESET_PATH, time.monotonic() + _PATIENCE_SECONDS)
            if status != http.client.OK:
                raise SandboxError(
                    "the sandbox could not be reset: it did not confirm",
                    hint=f"stop it with `exasol-ci-setup sandbox stop` and retry; its log: {endpoint.log_file}",
                )
            return
        for name in (SERVICES_DIR, OBJECTS_DIR, f"{REGISTRY_DIR}/{images.DATA_DIR}"):
            shutil.rmtree(directory / name, ignore_errors=True)


def _prepared(directory: Path) -> Path:
    """Create `directory` for this user only: templates, tags and secrets are in it."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
    except OSError as error:
        raise SandboxError(
            f"the sandbox's directory cannot be used: {error}", hint=f"name another one in {DIRECTORY_VARIABLE}"
        ) from error
    return directory


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _runs(directory: Path) -> bool:
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


def _holder(directory: Path) -> int | None:
    """Return the process id of the running sandbox, which it writes as soon as it holds the lock; None if it ended before."""
    while _runs(directory):
        if text := (directory / RUNNING_LOCK).read_text(encoding="ascii"):
            return int(text)
        time.sleep(_POLL_SECONDS)
    return None


def _recorded(directory: Path) -> Endpoint | None:
    try:
        values: dict[str, Any] = json.loads((directory / ENDPOINT_FILE).read_text(encoding="utf-8"))
        return Endpoint(
            url=str(values["url"]),
            pid=int(values["pid"]),
            region=str(values["region"]),
            account=str(values["account"]),
            state_dir=directory,
            log_file=directory / LOG_FILE,
            instance=str(values["instance"]),
            registry=str(values.get("registry", "")),
            engine=str(values.get("engine", "")),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _ask(url: str, method: str, path: str, deadline: float) -> tuple[int, bytes]:
    """Return status and body of one request, 0 and nothing without an answer. Never through a proxy, which urllib would use."""
    seconds = max(deadline - time.monotonic(), _POLL_SECONDS)
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=seconds)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def _identity(url: str, deadline: float) -> dict[str, Any]:
    status, body = _ask(url, "GET", IDENTITY_PATH, deadline)
    if status != http.client.OK:
        return {}
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
