"""`python -m benchmarks`: measure the program and other tools, and write the results to docs/benchmarks.md."""

from __future__ import annotations

import argparse
import os
import sys

from benchmarks import buildspecs, large, page, programs, storage, templates
from benchmarks.measure import SAM, SCEPTRE, versions


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=7, help="measured rounds [default: 7; at most 3 for fifty stacks]"
    )
    rounds = parser.parse_args().rounds
    missing = [str(each) for each in (SAM, SCEPTRE) if not each.exists()]
    if missing:
        sys.exit(f"missing: {', '.join(missing)}; `make bench` creates it")
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
    measured("The same stack again, without changes", again)
    measured(f"{programs.COUNT} new stacks, in the sandbox", programs.fifty(min(rounds, 3)))
    measured("Buildspec files", buildspecs.flavors(rounds))
    measured("A template of 500 resources", large.resources(rounds))
    page.write("measured", "\n\n".join(parts))
    storage.measure(min(rounds, 5))


if __name__ == "__main__":
    main()
