"""Starts, finds, stops and resets the one sandbox process of a state directory, without importing what it runs.

A process that serves holds an exclusive lock on ``running.lock`` until it is gone. That lock, and not a process id in a file, says
whether one runs: it cannot go stale, and the kernel drops it after a SIGKILL too.
"""

from __future__ import annotations

import fcntl
import http.client
import importlib.util
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.errors import SandboxError
from exasol_ci_setup.sandbox import registry as images
from exasol_ci_setup.sandbox import settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

REGION: Final = "eu-central-1"
ACCOUNT: Final = "111122223333"
IDENTITY_PATH: Final = "/_exasol_ci_setup/identity"
RESET_PATH: Final = "/_exasol_ci_setup/reset"
DIRECTORY_VARIABLE: Final = "EXASOL_CI_SETUP_SANDBOX_DIR"

# Names inside the state directory.
ENDPOINT_FILE: Final = "endpoint.json"
PORT_FILE: Final = "port"
LOG_FILE: Final = "sandbox.log"
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

# Where programs, libraries and temporary files are, the language, and Python's own settings.
_NEEDED_VARIABLE: Final = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|TMPDIR|TZ|LANG|LC_[A-Z]+|LD_LIBRARY_PATH|DYLD_[A-Z_]+|VIRTUAL_ENV|XDG_[A-Z_]+|PYTHON[A-Z0-9]*"
)
_FIRST_PORT = 4566  # what every emulator of AWS listens on, so the one that people have in their scripts
_START_SECONDS = 20.0
_STOP_SECONDS = 15.0
_ANSWER_SECONDS = 2.0
_LOG_BYTES = 1_000_000


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


def find() -> Endpoint | None:
    """Return the running sandbox of this user's state directory, or None.

    It is asked who it is: a file that was left behind, or another server on its port, is not taken for it.
    """
    directory = state_directory()
    endpoint = _recorded(directory)
    if endpoint is None or not _runs(directory):
        return None
    return endpoint if _identity(endpoint.url).get("instance") == endpoint.instance else None


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
        _start(directory, wanted)
        if running := find():
            return running
    raise SandboxError("the sandbox was started but does not answer", hint=f"see its log: {directory / LOG_FILE}")


def stop() -> bool:
    """End the running sandbox after it has saved its state, and wait until it is gone. False if none ran.

    Raises SandboxError if it does not end within 15 s.
    """
    directory = state_directory()
    if not directory.is_dir():
        return False
    with _locked(directory / START_LOCK):
        if not _runs(directory):
            return False
        # Written by the holder of the lock before anything else, so the process id is that of a living sandbox.
        process = int((directory / RUNNING_LOCK).read_text(encoding="ascii"))
        try:
            os.kill(process, signal.SIGTERM)
        except ProcessLookupError:
            return True
        deadline = time.monotonic() + _STOP_SECONDS
        while _runs(directory):
            if time.monotonic() > deadline:
                raise SandboxError(
                    f"the sandbox (process {process}) does not end", hint=f"see its log: {directory / LOG_FILE}"
                )
            time.sleep(0.01)
    return True


def reset() -> None:
    """Forget everything in the sandbox, in the running process and on disk. The secrets are there again at the next use.

    Raises SandboxError if the running sandbox does not do it.
    """
    if endpoint := find():
        status, _ = _ask(endpoint.url, "POST", RESET_PATH)
        if status != http.client.OK:
            raise SandboxError(
                "the sandbox could not be reset", hint=f"stop it and try again; its log: {endpoint.log_file}"
            )
        return
    directory = state_directory()
    if not directory.is_dir():
        return
    with _locked(directory / START_LOCK):
        if _runs(directory):
            raise SandboxError("the sandbox runs but does not answer", hint=f"see its log: {directory / LOG_FILE}")
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


def _ask(url: str, method: str, path: str) -> tuple[int, bytes]:
    """Return status and body of one request, 0 and nothing without an answer. Never through a proxy, which urllib would take."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=_ANSWER_SECONDS)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def _identity(url: str) -> dict[str, Any]:
    status, body = _ask(url, "GET", IDENTITY_PATH)
    if status != http.client.OK:
        return {}
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _start(directory: Path, wanted: settings.Settings) -> None:
    if importlib.util.find_spec("ministack") is None:
        raise SandboxError(
            "the sandbox is not installed: it is an extra", hint="pip install 'exasol-ci-setup[sandbox]'"
        )
    log_file = directory / LOG_FILE
    if log_file.exists() and log_file.stat().st_size > _LOG_BYTES:
        log_file.replace(log_file.with_suffix(".log.1"))
    reading, writing = os.pipe()
    try:
        with log_file.open("ab") as log:
            log_file.chmod(0o600)
            start_of_log = log.tell()
            subprocess.run(  # noqa: S603  (this interpreter, our own module)
                [
                    *(sys.executable, "-m", "exasol_ci_setup.sandbox"),
                    *("--state-dir", str(directory), "--settings", wanted.as_json(), "--ready-fd", str(writing)),
                    *(argument for port in _ports(directory) for argument in ("--port", str(port))),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=directory,
                env=_process_environment(),
                pass_fds=(writing,),
                start_new_session=True,
                check=False,
            )
        os.close(writing)
        writing = -1
        ready, _, _ = select.select([reading], [], [], _START_SECONDS)
        # The end of the pipe without a word is the end of the process.
        if ready and os.read(reading, 16):
            return
    finally:
        os.close(reading)
        if writing >= 0:
            os.close(writing)
    what = "ended at once" if ready else f"was not ready after {_START_SECONDS:.0f} s"
    raise SandboxError(f"the sandbox {what}: {_last_line(log_file, start_of_log)}", hint=f"its log: {log_file}")


def _ports(directory: Path) -> tuple[int, ...]:
    try:
        last = int((directory / PORT_FILE).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return (_FIRST_PORT,)
    return (last, _FIRST_PORT)


def _process_environment() -> dict[str, str]:
    """Return what the new process needs of this environment, with this package where it finds it.

    Nothing else: many variables would change ministack, and a token should not live on in a process that runs until it is stopped.
    """
    package_root = Path(__file__).parents[2]
    values = {name: value for name, value in os.environ.items() if _NEEDED_VARIABLE.fullmatch(name)}
    if package_root.name not in {"site-packages", "dist-packages"}:
        # The new process has the state directory for its working directory, so the one of this process does not count.
        inherited = [str(Path(entry).absolute()) for entry in values.get("PYTHONPATH", "").split(os.pathsep) if entry]
        values["PYTHONPATH"] = os.pathsep.join([*inherited, str(package_root)])
    return values


def _last_line(log_file: Path, start: int) -> str:
    with log_file.open("rb") as log:
        log.seek(start)
        lines = [line for line in log.read().decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it wrote nothing to its log"
