"""`python -m benchmarks.programs`: fifty independent stacks by one program, next to a loop of `aws cloudformation deploy` over the same templates.

Wall time in seconds and peak resident memory in megabytes (10^6 bytes), of one round each: the loop takes a minute or more.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from exasol_ci_setup import Registry, render

COUNT = 50
OURS = [sys.executable, "-m", "exasol_ci_setup"]
AWS = str(Path(sys.executable).with_name("aws"))
PROGRAM = f"""
from exasol_ci_setup import Registry, Scope


def hangar_run():
    scope = Scope(name="bench", region="eu-central-1")
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


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "EXASOL_CI_SETUP_SANDBOX_DIR": folder}
        subprocess.run([*OURS, "sandbox", "start"], env=env, check=True, capture_output=True)
        try:
            compare(Path(folder), env)
        finally:
            subprocess.run([*OURS, "sandbox", "stop"], env=env, check=True, capture_output=True)
    own = resource.getrusage(resource.RUSAGE_SELF)
    print(f"  (the measuring process itself used {own.ru_utime + own.ru_stime:.1f} s)")


def compare(folder: Path, env: dict[str, str]) -> None:
    program = folder / "program.py"
    program.write_text(PROGRAM)
    print(f"{COUNT} new stacks that do not depend on each other, without lint")
    up = [*OURS, "--sandbox", "up", str(program), "--yes", "--no-lint"]
    ours, memory = measured(up, env)
    print(f"  up program.py                        {ours:6.1f} s  peak {memory:4.0f} MB")
    again, memory = measured(up, env)
    print(f"  up program.py again: nothing to do   {again:6.1f} s  peak {memory:4.0f} MB")
    sandboxed = subprocess.run([*OURS, "sandbox", "env"], env=env, check=True, capture_output=True, text=True)
    for line in sandboxed.stdout.splitlines():
        name, _, value = line.removeprefix("export ").partition("=")
        env[name] = value.strip("'\"")
    peer = peak = 0.0
    for number in range(COUNT):
        template = folder / f"{number}.yaml"
        template.write_text(render(Registry(name=f"peer-{number}")).body)
        command = [AWS, "cloudformation", "deploy", "--stack-name", f"peer-{number}", "--template-file", str(template)]
        seconds, memory = measured(command, env)
        peer, peak = peer + seconds, max(peak, memory)
    print(f"  aws cloudformation deploy, in a loop {peer:6.1f} s  peak {peak:4.0f} MB")
    print(f"  the loop takes {peer / ours:.0f} times as long")


if __name__ == "__main__":
    main()
