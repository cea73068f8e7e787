"""Launch the process of a sandbox and wait until it serves requests."""

from __future__ import annotations

import importlib.util
import os
import re
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.core import background
from exasol_ci_setup.core.errors import SandboxError
from exasol_ci_setup.core.origin import install_command
from exasol_ci_setup.sandbox.ports import read_ports

if TYPE_CHECKING:
    from pathlib import Path

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
    start_of_log = log_file.stat().st_size if log_file.exists() else 0
    process, report = background.start(
        [
            *("-m", "exasol_ci_setup.sandbox", "--state-dir", str(directory), "--settings", wanted.as_json()),
            *(
                argument
                for port in (*read_ports(directory / PORT_FILE), FIRST_PORT)
                for argument in ("--port", str(port))
            ),
        ],
        log=log_file,
        directory=directory,
        # Many other variables would change ministack. Tokens must not remain in the environment of a long-running process.
        environment=background.with_package_path(
            {name: value for name, value in os.environ.items() if _NEEDED_VARIABLE.fullmatch(name)}
        ),
        seconds=seconds,
    )
    process.wait()
    if not report:
        what = f"was not ready within {seconds:.0f} s" if report is None else "ended during its start"
        raise SandboxError(f"the sandbox {what}: {_last_line(log_file, start_of_log)}", hint=f"its log: {log_file}")


def _last_line(log_file: Path, start: int) -> str:
    with log_file.open("rb") as log:
        log.seek(start)
        lines = [line for line in log.read().decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it wrote nothing to its log"
