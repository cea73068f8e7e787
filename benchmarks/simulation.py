"""`python -m benchmarks.simulation`: simulate many stacks with our program and other tools under the rate limits of AWS.

In virtual time, see tests/simulation: the machine affects only the run time, not the result.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

from benchmarks import page
from tests.simulation import ours, peers

if TYPE_CHECKING:
    from tests.simulation.cloudformation import Cost

COUNTS = (10, 100, 1_000, 5_000)
_CONCURRENT = 64


def _run(task: tuple[str, int]) -> tuple[str, int, Cost]:
    tool, count = task
    if tool == "`up`, 8 at a time (default)":
        return tool, count, ours.deploy(count, concurrency=min(8, count))
    if tool == f"`up`, {_CONCURRENT} at a time":
        return tool, count, ours.deploy(count, concurrency=min(_CONCURRENT, count))
    if tool == f"`up`, {_CONCURRENT} at a time, half of the limits left":
        return tool, count, ours.deploy(count, concurrency=min(_CONCURRENT, count), share=0.5)
    habit, concurrency, share = _PEERS[tool]
    return tool, count, peers.deploy(habit, count, concurrency=concurrency or count, share=share)


_OURS = (
    "`up`, 8 at a time (default)",
    f"`up`, {_CONCURRENT} at a time",
    f"`up`, {_CONCURRENT} at a time, half of the limits left",
)
_PEERS = {
    "`aws cloudformation deploy`, sequentially": (peers.aws_deploy, 1, 1.0),
    f"the same, {_CONCURRENT} processes at a time": (peers.aws_deploy, _CONCURRENT, 1.0),
    "CDK, 8 at a time": (peers.cdk_deploy, 8, 1.0),
    f"CDK, {_CONCURRENT} at a time": (peers.cdk_deploy, _CONCURRENT, 1.0),
    f"CDK, {_CONCURRENT} at a time, half of the limits left": (peers.cdk_deploy, _CONCURRENT, 0.5),
    "Sceptre, all in parallel (default)": (peers.sceptre_launch, 0, 1.0),
    f"Sceptre, {_CONCURRENT} at a time": (peers.sceptre_launch, _CONCURRENT, 1.0),
}


def _time(seconds: float) -> str:
    if seconds < 3_600:  # noqa: PLR2004
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3_600:.1f} h"


def _row(tool: str, cost: Cost) -> list[str]:
    late = f"{statistics.mean(cost.late):.1f} s, {max(cost.late):.0f} s" if cost.late else "never"
    return [tool, f"{cost.calls:,}", f"{cost.refused:,}", f"{cost.failed:,}", _time(cost.seconds), late]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulation", description=__doc__)
    parser.add_argument("--most", type=int, default=COUNTS[-1], help="maximum number of stacks [default: 5000]")
    counts = [count for count in COUNTS if count <= parser.parse_args().most]
    # The configuration and credentials of this machine are not used.
    os.environ.update(
        AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull, AWS_EC2_METADATA_DISABLED="true"
    )
    tasks = [(tool, count) for count in reversed(counts) for tool in (*_OURS, *_PEERS)]
    with ProcessPoolExecutor() as pool:
        found = {}
        for tool, count, cost in pool.map(_run, tasks):
            found[tool, count] = cost
            print(f"{count:6,} {tool}: {cost.calls:,} requests", file=sys.stderr, flush=True)
    head = ("", "requests", "refused", "stacks failed by it", "time", "end seen after: mean, most")
    parts = [
        f"**{count:,} stacks**\n\n" + page.table(head, [_row(tool, found[tool, count]) for tool in (*_OURS, *_PEERS)])
        for count in counts
    ]
    page.write("simulation", "\n\n".join([f"{page.today()}, in virtual time.", *parts]))


if __name__ == "__main__":
    main()
