"""Compare the deployment of fifty independent stacks with Sceptre and a loop of `aws cloudformation deploy`.

All deploy the same templates to a sandbox of their own, and do not lint them.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.measure import AWS, OURS, REGION, SCEPTRE, Run, rows, run, sandbox
from benchmarks.page import table
from exasol_ci_setup import Registry, render

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COUNT = 50
_PROGRAM = f"""
from exasol_ci_setup import Registry, Scope


def hangar_run():
    scope = Scope(name="bench", region="{REGION}")
    for number in range({COUNT}):
        Registry(scope=scope, name=f"registry-{{number}}").deploy()
"""


def ours(folder: Path) -> list[str]:
    """Write the program and return the command that runs it."""
    program = folder / "program.py"
    program.write_text(_PROGRAM, encoding="utf-8")
    return [OURS, "--sandbox", "up", str(program), "--yes", "--no-lint"]


def sceptre(folder: Path) -> list[str]:
    """Write a Sceptre project with one group of stacks from our templates, and return the command that launches it."""
    project = folder / "sceptre"
    for below in ("config/bench", "templates"):
        (project / below).mkdir(parents=True)
    (project / "config/config.yaml").write_text(f"project_code: sceptre\nregion: {REGION}\n", encoding="utf-8")
    for number in range(COUNT):
        body = render(Registry(name=f"sceptre-{number}")).body
        (project / f"templates/{number}.yaml").write_text(body, encoding="utf-8")
        config = f"template:\n  type: file\n  path: {number}.yaml\n"
        (project / f"config/bench/registry-{number}.yaml").write_text(config, encoding="utf-8")
    return [str(SCEPTRE), "--dir", str(project), "launch", "--yes", "bench"]


def loop() -> Run:
    """Deploy the stacks sequentially with `aws cloudformation deploy`."""
    with sandbox() as (folder, env):
        runs = []
        for number in range(COUNT):
            template = folder / f"{number}.yaml"
            template.write_text(render(Registry(name=f"peer-{number}")).body, encoding="utf-8")
            words = [*("cloudformation", "deploy", "--stack-name", f"peer-{number}"), "--template-file", str(template)]
            runs.append(run([AWS, *words], env))
    return Run(sum(each.seconds for each in runs), max(each.megabytes for each in runs))


def fifty(rounds: int) -> str:
    """Measure all tools alternately, each in a new sandbox per round; the slow loop runs once."""
    tools: dict[str, Callable[[Path], list[str]]] = {
        "`exasol-ci-setup up program.py`": ours,
        "`sceptre launch` of one group": sceptre,
    }
    results: dict[str, list[Run]] = {}
    for _ in range(rounds):
        for name, tool in tools.items():
            with sandbox() as (folder, env):
                command = tool(folder)
                for title in (name, f"{name}, again without changes"):
                    results.setdefault(title, []).append(run(command, env))
        print(".", end="", file=sys.stderr, flush=True)
    results["`aws cloudformation deploy` in a loop, once"] = [loop()]
    return table(("", "time", "memory", "ratio to the first"), rows(results, "`exasol-ci-setup up program.py`"))
