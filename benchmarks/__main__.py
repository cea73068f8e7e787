"""`python -m benchmarks`: what one run of the program costs, next to what the same costs with another tool.

Each pair is measured alternately, so that whatever else the machine does meets both. Figures are wall time in milliseconds and
peak resident memory in megabytes (10^6 bytes) of whole processes: median (least to most).
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import buildspecs, programs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

URL = "https://github.com/exasol/script-languages-release"
OURS = [str(Path(sys.executable).with_name("exasol-ci-setup"))]
AWS = [str(Path(sys.executable).with_name("aws"))]


@dataclass
class Run:
    """What one process took."""

    seconds: float
    megabytes: float


def run(command: Sequence[str], env: dict[str, str]) -> Run:
    """Run a command to its end and return its wall time and the most memory that it held."""
    began = time.perf_counter()
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None  # noqa: S101
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{said.decode()}")
    # Linux counts in units of 1,024 bytes, macOS in bytes.
    factor = 1 if sys.platform == "darwin" else 1024
    return Run(seconds, usage.ru_maxrss * factor / 1e6)


def told(values: Sequence[float], unit: str) -> str:
    return f"{statistics.median(values):7.0f} {unit} ({min(values):.0f} to {max(values):.0f})"


def pair(
    title: str,
    ours: tuple[str, Callable[[int], Sequence[str]]],
    peer: tuple[str, Callable[[int], Sequence[str]]],
    env: dict[str, str],
    rounds: int,
    *,
    pause: float = 0,
) -> None:
    """Measure two commands alternately, after one round that does not count, and print their ratio.

    `pause` is in seconds, between the runs.
    """
    results: dict[str, list[Run]] = {ours[0]: [], peer[0]: []}
    for number in range(rounds + 1):
        for name, command in (ours, peer):
            time.sleep(pause)
            measured = run(command(number), env)
            if number:
                results[name].append(measured)
    print(f"\n{title}")
    width = max(map(len, results))
    for name, runs in results.items():
        times = told([1e3 * each.seconds for each in runs], "ms")
        print(f"  {name:<{width}} {times:<28} peak {max(each.megabytes for each in runs):5.0f} MB")
    medians = [statistics.median([each.seconds for each in runs]) for runs in results.values()]
    print(f"  ratio: {medians[0] / medians[1]:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="rounds of each pair [default: 9]")
    rounds = parser.parse_args().rounds
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}, {rounds} rounds")
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "EXASOL_CI_SETUP_SANDBOX_DIR": folder, "PYTHONDONTWRITEBYTECODE": ""}
        pair(
            "Start-up: --help",
            ("exasol-ci-setup --help", lambda _: [*OURS, "--help"]),
            ("python -c 'import click'", lambda _: [sys.executable, "-c", "import click"]),
            env,
            rounds * 3,
        )
        subprocess.run([*OURS, "sandbox", "start"], env=env, check=True, capture_output=True)
        try:
            deployments(folder, env, rounds)
        finally:
            subprocess.run([*OURS, "sandbox", "stop"], env=env, check=True, capture_output=True)
    print()
    programs.main()
    print()
    buildspecs.main()
    own = resource.getrusage(resource.RUSAGE_SELF)
    print(f"\n(the measuring process itself used {own.ru_utime + own.ru_stime:.1f} s)")


def deployments(folder: str, env: dict[str, str], rounds: int) -> None:
    sandboxed = subprocess.run(
        [*OURS, "sandbox", "env", "--format", "sh"], env=env, check=True, capture_output=True, text=True
    )
    for line in sandboxed.stdout.splitlines():
        name, _, value = line.removeprefix("export ").partition("=")
        env[name] = value.strip("'\"")
    env.pop("AWS_PROFILE", None)
    # The peer looks nothing up, so neither do we: with its ARN, the secret need not be asked for.
    secret = subprocess.run(
        [*AWS, "secretsmanager", "describe-secret", "--secret-id", "Dockerhub", "--query", "ARN", "--output", "text"],
        env=env,
        check=True,
        capture_output=True,
        text=True,
    )
    same = ["--project-url", URL, "--docker-secret", secret.stdout.strip()]
    ours = [*OURS, "deploy-release-build", *same, "--yes"]

    def template(number: int) -> str:
        """Return the template that our command renders, so that both tools deploy the same."""
        path = Path(folder, f"peer{number}.yaml")
        rendered = subprocess.run(
            [
                *(*OURS, "validate-release-build", "--offline", "--print-template"),
                *("--project", f"Peer{number}", *same),
            ],
            env=env,
            check=True,
            capture_output=True,
            text=True,
        )
        path.write_text(rendered.stdout)
        return str(path)

    templates = [template(number) for number in range(rounds + 1)]

    def aws_deploy(number: int) -> list[str]:
        return [
            *(*AWS, "cloudformation", "deploy", "--stack-name", f"Peer{number}"),
            *("--template-file", templates[number], "--capabilities", "CAPABILITY_IAM"),
        ]

    pair(
        "One new stack of 6 resources, without lint",
        ("deploy-release-build --no-lint", lambda number: [*ours, "--no-lint", "--project", f"Ours{number}"]),
        ("aws cloudformation deploy", aws_deploy),
        env,
        rounds,
    )
    pair(
        "The same again: nothing to do",
        ("deploy-release-build --no-lint", lambda _: [*ours, "--no-lint", "--project", "Ours0"]),
        ("aws cloudformation deploy", lambda _: [*aws_deploy(0), "--no-fail-on-empty-changeset"]),
        env,
        rounds,
        # The peer names its change sets by the second, and leaves the empty ones behind.
        pause=0.6,
    )
    pair(
        "One new stack, with lint overlapped, and cfn-lint of the template alone",
        ("deploy-release-build", lambda number: [*ours, "--project", f"Linted{number}"]),
        (
            "cfn-lint",
            lambda number: [
                *(
                    str(Path(sys.executable).with_name("cfn-lint")),
                    "--regions",
                    "eu-central-1",
                    "--",
                    templates[number],
                ),
            ],
        ),
        env,
        rounds,
    )


if __name__ == "__main__":
    main()
