"""Run commands as processes, alternately, and measure their time and memory."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

ROOT: Final = Path(__file__).parents[1]
REGION: Final = "eu-central-1"
OURS: Final = str(Path(sys.executable).with_name("exasol-ci-setup"))
AWS: Final = str(Path(sys.executable).with_name("aws"))
CFN_LINT: Final = str(Path(sys.executable).with_name("cfn-lint"))
SCEPTRE: Final = ROOT / ".venv-sceptre" / "bin" / "sceptre"
SAM: Final = ROOT / ".venv-sam" / "bin" / "sam"


@dataclass
class Run:
    """The cost of one command: wall time in seconds, and peak resident memory in megabytes (10^6 bytes)."""

    seconds: float
    megabytes: float


def run(command: Sequence[str], env: Mapping[str, str], cwd: Path | None = None) -> Run:
    """Run a command. If it fails, exit with its output."""
    began = time.perf_counter()
    process = subprocess.Popen(command, env=env, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None  # noqa: S101
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{said.decode()}")
    # Linux counts in units of 1,024 bytes, macOS in bytes.
    return Run(seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6)


def alternately(
    cases: Mapping[str, Sequence[str] | Callable[[int], Sequence[str]]],
    env: Mapping[str, str],
    rounds: int,
    *,
    pause: float = 0,
) -> dict[str, list[Run]]:
    """Run the commands sequentially in each round, so that other load affects all of them.

    A command may depend on the number of the round. A round that does not count goes before. `pause` is in seconds, before each.
    """
    results: dict[str, list[Run]] = {name: [] for name in cases}
    for number in range(rounds + 1):
        for name, command in cases.items():
            time.sleep(pause)
            measured = run(command(number) if callable(command) else command, env)
            if number:
                results[name].append(measured)
    return results


def median(runs: Sequence[Run]) -> float:
    """Return the median of the seconds."""
    return statistics.median(each.seconds for each in runs)


def rows(results: Mapping[str, Sequence[Run]], ours: str) -> list[list[str]]:
    """Return a row for each command: median (minimum to maximum), peak memory, and the ratio to the time of `ours`."""
    own = median(results[ours])
    return [
        [
            name,
            format_times([each.seconds for each in runs]),
            f"{max(each.megabytes for each in runs):.0f} MB",
            f"{median(runs) / own:.2f}",
        ]
        for name, runs in results.items()
    ]


def format_times(seconds: Sequence[float]) -> str:
    """Return median, minimum and maximum of times, in a suitable unit."""
    middle, least, most = statistics.median(seconds), min(seconds), max(seconds)
    if middle < 10:  # noqa: PLR2004
        return f"{1e3 * middle:,.0f} ms ({1e3 * least:,.0f} to {1e3 * most:,.0f})"
    return f"{middle:.1f} s ({least:.1f} to {most:.1f})"


@contextmanager
def sandbox() -> Iterator[tuple[Path, dict[str, str]]]:
    """Run an empty sandbox, and yield a folder and its environment."""
    with tempfile.TemporaryDirectory() as name:
        env = {**os.environ, "EXASOL_CI_SETUP_SANDBOX_DIR": name, "PYTHONDONTWRITEBYTECODE": ""}
        subprocess.run([OURS, "sandbox", "start"], env=env, check=True, capture_output=True)
        try:
            said = subprocess.run([OURS, "sandbox", "env"], env=env, check=True, capture_output=True, text=True)
            for line in said.stdout.splitlines():
                variable, _, value = line.removeprefix("export ").partition("=")
                env[variable] = value.strip("'\"")
            env.pop("AWS_PROFILE", None)
            yield Path(name), env
        finally:
            subprocess.run([OURS, "sandbox", "stop"], env=env, check=True, capture_output=True)


def versions(names: Collection[str] = ()) -> str:
    """Return the names and versions of the measured programs: of all, or of those with these names."""
    own = Path(sys.executable)
    asked = {
        "exasol-ci-setup": own,
        "awscli": own,
        "cfn-lint": own,
        "ministack": own,
        "sceptre": SCEPTRE.with_name("python"),
        "aws-sam-cli": SAM.with_name("python"),
    }
    found = []
    for name, python in asked.items():
        if names and name not in names:
            continue
        code = f"import importlib.metadata as m; print(m.version({name!r}))"
        said = subprocess.run([str(python), "-c", code], check=True, capture_output=True, text=True)
        found.append(f"{name} {said.stdout.strip()}")
    return ", ".join(found)
