"""`python -m benchmarks.buildspecs`: what generating and checking buildspec files costs, from 100 to 10,000 flavors.

Wall time in milliseconds of whole processes, start of Python included: median (least to most).
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 9
COUNTS = (100, 1_000, 10_000)


def measured(command: list[str], directory: Path) -> float:
    """Run a command to its end and return its wall time in milliseconds."""
    began = time.perf_counter()
    subprocess.run(command, cwd=directory, check=True, capture_output=True)
    return 1e3 * (time.perf_counter() - began)


def main() -> None:
    program = [sys.executable, "-m", "exasol_ci_setup", "generate-buildspec", "--flavor-root-path", "flavors"]
    print("\nBuildspec files, one build for each flavor")
    medians: dict[int, float] = {}
    for count in COUNTS:
        with tempfile.TemporaryDirectory() as folder:
            for number in range(count):
                Path(folder, "flavors", f"template-Exasol-all-python-3.{number:05}-conda").mkdir(parents=True)
            command = [*program, "--batch-limit", str(count)]
            for name, arguments in (("generate", command), ("--check", [*command, "--check"])):
                times: list[float] = []
                for number in range(ROUNDS + 1):
                    if name == "generate":
                        for path in Path(folder).glob("aws-code-build/ci/*"):
                            path.unlink()
                    each = measured(arguments, Path(folder))
                    if number:
                        times.append(each)
                median = statistics.median(times)
                print(f"  {count:6,} flavors  {name:<8}  {median:6.0f} ms ({min(times):.0f} to {max(times):.0f})")
                if name == "generate":
                    medians[count] = median
    least, *_, most = COUNTS
    print(f"  {most // least} times as many flavors take {medians[most] / medians[least]:.1f} times as long")


if __name__ == "__main__":
    main()
