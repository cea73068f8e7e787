"""`python -m benchmarks.programs`: fifty independent stacks by one program, next to Sceptre's launch of them and a loop of `aws cloudformation deploy`.

All deploy the same templates to a sandbox of their own, and do not lint them. Wall time in seconds and peak resident memory of the largest process in
megabytes (10^6 bytes): the median of three rounds, of the loop one round, as it takes a minute or more. `make bench` puts Sceptre into an environment of
its own.
"""

from __future__ import annotations

import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from exasol_ci_setup import Registry, render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COUNT = 50
ROUNDS = 3
REGION = "eu-central-1"
OURS = [sys.executable, "-m", "exasol_ci_setup"]
AWS = str(Path(sys.executable).with_name("aws"))
SCEPTRE = Path(__file__).parents[1] / ".venv-sceptre" / "bin" / "sceptre"
PROGRAM = f"""
from exasol_ci_setup import Registry, Scope


def hangar_run():
    scope = Scope(name="bench", region="{REGION}")
    for number in range({COUNT}):
        Registry(scope=scope, name=f"registry-{{number}}").deploy()
"""


def measured(command: list[str], env: dict[str, str]) -> tuple[float, float]:
    """Run a command to its end and return its wall time and the most memory that it held."""
    began = time.perf_counter()
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed")
    # Linux counts in units of 1,024 bytes, macOS in bytes.
    return seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


@contextmanager
def sandbox() -> Iterator[tuple[Path, dict[str, str]]]:
    """Give a folder and the environment of an empty sandbox that runs while this is open."""
    with tempfile.TemporaryDirectory() as name:
        env = {**os.environ, "EXASOL_CI_SETUP_SANDBOX_DIR": name}
        subprocess.run([*OURS, "sandbox", "start"], env=env, check=True, capture_output=True)
        try:
            told = subprocess.run([*OURS, "sandbox", "env"], env=env, check=True, capture_output=True, text=True)
            for line in told.stdout.splitlines():
                variable, _, value = line.removeprefix("export ").partition("=")
                env[variable] = value.strip("'\"")
            env.pop("AWS_PROFILE", None)
            yield Path(name), env
        finally:
            subprocess.run([*OURS, "sandbox", "stop"], env=env, check=True, capture_output=True)


def ours(folder: Path) -> list[str]:
    program = folder / "program.py"
    program.write_text(PROGRAM)
    return [*OURS, "--sandbox", "up", str(program), "--yes", "--no-lint"]


def sceptre(folder: Path) -> list[str]:
    """Write a project with one group of stacks, whose templates are ours."""
    project = folder / "sceptre"
    for below in ("config/bench", "templates"):
        (project / below).mkdir(parents=True)
    (project / "config/config.yaml").write_text(f"project_code: sceptre\nregion: {REGION}\n")
    for number in range(COUNT):
        (project / f"templates/{number}.yaml").write_text(render(Registry(name=f"sceptre-{number}")).body)
        (project / f"config/bench/registry-{number}.yaml").write_text(
            f"template:\n  type: file\n  path: {number}.yaml\n"
        )
    return [str(SCEPTRE), "--dir", str(project), "launch", "--yes", "bench"]


def twice(tool: Callable[[Path], list[str]]) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Deploy fifty new stacks, and the same ones once more, in a sandbox of their own; return what each took."""
    with sandbox() as (folder, env):
        command = tool(folder)
        return [measured(command, env)], [measured(command, env)]


def loop() -> tuple[float, float]:
    with sandbox() as (folder, env):
        seconds = peak = 0.0
        for number in range(COUNT):
            template = folder / f"{number}.yaml"
            template.write_text(render(Registry(name=f"peer-{number}")).body)
            name = ["--stack-name", f"peer-{number}", "--template-file", str(template)]
            took, memory = measured([AWS, "cloudformation", "deploy", *name], env)
            seconds, peak = seconds + took, max(peak, memory)
    return seconds, peak


def told(title: str, runs: list[tuple[float, float]]) -> float:
    seconds = [each for each, _ in runs]
    median, most = statistics.median(seconds), max(memory for _, memory in runs)
    print(f"  {title:<40} {median:6.1f} s ({min(seconds):.1f} to {max(seconds):.1f})  peak {most:4.0f} MB")
    return median


def main() -> None:
    print(f"{COUNT} new stacks that do not depend on each other, without lint")
    print(f"({platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}, {ROUNDS} rounds)")
    tools: dict[str, Callable[[Path], list[str]]] = {"up program.py": ours}
    if SCEPTRE.exists():
        tools["sceptre launch"] = sceptre
    else:
        print("  (Sceptre is not there: `make bench` puts it into .venv-sceptre)")
    results: dict[str, list[tuple[float, float]]] = {}
    # Alternately, so that whatever else the machine does meets both.
    for _ in range(ROUNDS):
        for name, tool in tools.items():
            for title, runs in zip((name, f"{name} again: nothing to do"), twice(tool), strict=True):
                results.setdefault(title, []).extend(runs)
    medians = {title: told(title, runs) for title, runs in results.items()}
    medians["the loop"] = told("aws cloudformation deploy, in a loop", [loop()])
    for peer in ("sceptre launch", "the loop"):
        if peer in medians:
            print(f"  {peer} takes {medians[peer] / medians['up program.py']:.1f} times as long")
    own = resource.getrusage(resource.RUSAGE_SELF)
    print(f"  (the measuring process itself used {own.ru_utime + own.ru_stime:.1f} s)")


if __name__ == "__main__":
    main()
