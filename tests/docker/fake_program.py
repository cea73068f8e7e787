"""A fake `docker` that records its arguments, its input and its environment."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

_PROGRAM = f"""#!{sys.executable}
import json, os, signal, sys
here = os.path.dirname(os.path.abspath(__file__))
verb = sys.argv[1]
call = {{"arguments": sys.argv[1:], "environment": list(os.environ.values())}}
call["input"] = sys.stdin.read() if "--password-stdin" in sys.argv else ""
with open(os.path.join(here, "calls"), "a") as stream:
    stream.write(json.dumps(call) + "\\n")
plan = json.load(open(os.path.join(here, "plan.json")))
if "{{{{json .Config}}}}" in sys.argv:
    print(json.dumps({{"ExposedPorts": {{port: {{}} for port in plan.get("exposed", [])}}}}), flush=True)
    sys.exit(0)
print(plan.get(f"{{verb}} says", f"{{verb}} done").replace("INPUT", call["input"]), flush=True)
if verb in plan.get("killed", []):
    os.kill(os.getpid(), 9)
if verb in plan.get("blocked", []):
    signal.pause()
sys.exit(plan.get(verb, 0))
"""


@dataclass
class FakeDocker:
    """The fake `docker` in its folder."""

    folder: Path

    def plan(self, **verbs: object) -> None:
        """Set the exit code of a verb, or its output (``login_says=``)."""
        text = json.dumps({name.replace("_", " "): value for name, value in verbs.items()})
        (self.folder / "plan.json").write_text(text, encoding="utf-8")

    @property
    def calls(self) -> list[dict[str, object]]:
        """The recorded calls, in order."""
        file = self.folder / "calls"
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []

    @property
    def commands(self) -> list[str]:
        """The arguments of each call, in one line."""
        return [" ".join(call["arguments"]) for call in self.calls]  # type: ignore[arg-type] # a list of texts


def put_on_path(folder: Path, path: str) -> tuple[FakeDocker, str]:
    """Write the program to `folder`, and return it with a PATH that finds it first."""
    program = folder / "docker"
    program.write_text(_PROGRAM, encoding="utf-8")
    program.chmod(0o755)
    fake = FakeDocker(folder)
    fake.plan()
    return fake, f"{folder}{os.pathsep}{path}"
