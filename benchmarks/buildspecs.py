"""Measure the generation and check of buildspec files, for 100 to 10,000 flavors."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import format_times, run
from benchmarks.page import table

COUNTS = (100, 1_000, 10_000)


def flavors(rounds: int) -> str:
    """Measure both commands for each number of flavors, with one build for each flavor, after a warm-up round."""
    program = [sys.executable, "-m", "exasol_ci_setup", "generate-buildspec"]
    rows = []
    for count in COUNTS:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            for number in range(count):
                (root / "flavors" / f"template-Exasol-all-python-3.{number:05}-conda").mkdir(parents=True)
            command = [*program, "--flavor-root-path", "flavors", "--batch-limit", str(count)]
            row = [f"{count:,}"]
            for arguments in (command, [*command, "--check"]):
                runs = []
                for number in range(rounds + 1):
                    if arguments is command:
                        for path in root.glob("aws-code-build/ci/*"):
                            path.unlink()
                    each = run(arguments, os.environ, root)
                    if number:
                        runs.append(each)
                row.append(format_times([each.seconds for each in runs]))
            rows.append(row)
    return table(("flavors", "`generate-buildspec`", "`--check`"), rows)
