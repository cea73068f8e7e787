"""Launch the process of a sandbox and wait until it serves requests."""

from __future__ import annotations

import importlib.util
import os
import re
import select
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.core.errors import SandboxError
from exasol_ci_setup.core.origin import install_command
from exasol_ci_setup.sandbox.ports import read_ports

if TYPE_CHECKING:
    from exasol_ci_setup.sandbox import settings

# Names inside the state directory.
PORT_FILE: Final = "port"
LOG_FILE: Final = "sandbox.log"

# Locations of programs, libraries and temporary files, the language, and Python's settings.
_NEEDED_VARIABLE: Final = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|TMPDIR|TZ|LANG|LC_[A-Z]+|LD_LIBRARY_PATH|DYLD_[A-Z_]+|VIRTUAL_ENV|XDG_[A-Z_]+|PYTHON[A-Z0-9]*"
)
FIRST_PORT: Final = 4566  # the usual port of AWS emulators, which existing scripts use
_LOG_BYTES = 1_000_000


def launch(directory: Path, wanted: settings.Settings, seconds: float) -> None:
    """Start the process that serves `directory`, and wait until it reports ready.

    Raises SandboxError if the extra is missing, the process ends, or it is not ready within `seconds`.
    """
    if importlib.util.find_spec("ministack") is None:
        raise SandboxError(
            "the sandbox is not installed: it needs the extra `sandbox`", hint=f"`{install_command('sandbox')}`"
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
                    *(
                        argument
                        for port in (*read_ports(directory / PORT_FILE), FIRST_PORT)
                        for argument in ("--port", str(port))
                    ),
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
        ready, _, _ = select.select([reading], [], [], seconds)
        # If the pipe closes without a line, the process has ended.
        if ready and os.read(reading, 16):
            return
    finally:
        os.close(reading)
        if writing >= 0:
            os.close(writing)
    what = "ended during its start" if ready else f"was not ready within {seconds:.0f} s"
    raise SandboxError(f"the sandbox {what}: {_last_line(log_file, start_of_log)}", hint=f"its log: {log_file}")


def _process_environment() -> dict[str, str]:
    """Return the environment of the new process: only the needed variables, and the path of this package.

    Many other variables would change ministack. Tokens must not remain in the environment of a long-running process.
    """
    package_root = Path(__file__).parents[2]
    values = {name: value for name, value in os.environ.items() if _NEEDED_VARIABLE.fullmatch(name)}
    if package_root.name not in {"site-packages", "dist-packages"}:
        # Absolute paths, because the working directory of the new process is the state directory.
        inherited = [str(Path(entry).absolute()) for entry in values.get("PYTHONPATH", "").split(os.pathsep) if entry]
        values["PYTHONPATH"] = os.pathsep.join([*inherited, str(package_root)])
    return values


def _last_line(log_file: Path, start: int) -> str:
    with log_file.open("rb") as log:
        log.seek(start)
        lines = [line for line in log.read().decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it wrote nothing to its log"
