"""`python -m benchmarks`: what runs of the program cost, next to what the same costs with other tools, written to docs/benchmarks.md."""

from __future__ import annotations

import argparse
import os
import sys

from benchmarks import buildspecs, page, programs, templates
from benchmarks.measure import SAM, SCEPTRE, versions


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=7, help="rounds that count [default: 7; of fifty stacks 3 at most]"
    )
    rounds = parser.parse_args().rounds
    missing = [str(each) for each in (SAM, SCEPTRE) if not each.exists()]
    if missing:
        sys.exit(f"{', '.join(missing)} is not there: `make bench` makes it")
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    machine = page.machine()
    parts = [f"{machine}. {versions()}. {rounds} {'round' if rounds == 1 else 'rounds'}."]

    def measured(title: str, text: str) -> None:
        print(f"\n{title}\n\n{text}", flush=True)
        parts.append(f"### {title}\n\n{text}")

    measured("Start-up", templates.start_up(env, rounds))
    measured("Checking one template, without AWS", templates.checks(env, rounds))
    new, again = templates.deployments(rounds)
    measured("One new stack of six resources, in the sandbox", new)
    measured("The same again: nothing to do", again)
    measured(f"{programs.COUNT} new stacks, in the sandbox", programs.fifty(min(rounds, 3)))
    measured("Buildspec files", buildspecs.flavors(rounds))
    page.write("measured", "\n\n".join(parts))


if __name__ == "__main__":
    main()
