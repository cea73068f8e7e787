"""Programs as forks of one process that has imported their modules: imports take most of the time of a short run."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import signal
import sys
import termios
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from multiprocessing.context import ForkServerProcess

_FORKS: Final = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.preloaded"])


def start(
    terminal: str, cwd: Path, environment: Mapping[str, str], code: str, arguments: Sequence[str]
) -> ForkServerProcess:
    """Run `code` as the program in a new session with this terminal."""
    process = _FORKS.Process(target=_run, args=(terminal, cwd, environment, code, arguments))
    before = os.environ.get("PYTHONPATH")
    # The first call starts the server, in which only the environment leads to the modules of the tests.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), before]))
    try:
        process.start()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
    return process


def _run(terminal: str, cwd: Path, environment: Mapping[str, str], code: str, arguments: Sequence[str]) -> None:
    """Run `code` in a new session with this terminal, so that Ctrl-C is a key and a closed terminal sends SIGHUP."""
    os.setsid()
    theirs = os.open(terminal, os.O_RDWR)
    fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)
    for number in (0, 1, 2):
        os.dup2(theirs, number)
    os.close(theirs)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115 - for as long as the process lives
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["exasol-ci-setup", *arguments]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    exec(code, {"__name__": "__main__"})  # noqa: S102 - a test's own
