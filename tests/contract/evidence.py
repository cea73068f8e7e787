"""The evidence of a run: `DATE-REGION.json` and `.md`, without account numbers. Only that of AWS is below `evidence/`, which is committed."""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from exasol_ci_setup.core.version import __version__
from tests.contract import cases

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FOLDER: Final = Path("evidence")
LOCAL_FOLDER: Final = Path("build/evidence")
SCHEMA: Final = 1
_ACCOUNT: Final = "111122223333"
# IDs of access keys, for the case that a message has one.
_KEY: Final = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")


class Recorder:
    """A plugin of pytest that collects the result of each case."""

    def __init__(self) -> None:
        self.cases: dict[str, dict[str, Any]] = {}

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add the phase of a test to its case."""
        case = self.cases.setdefault(
            cases.case_of(report.nodeid), {"result": "passed", "seconds": 0.0, "reason": "", "commands": []}
        )
        case["seconds"] = round(case["seconds"] + report.duration, 1)
        if report.skipped:
            expected = getattr(report, "wasxfail", None)
            case.update(
                result="failed as expected" if expected is not None else "not run", reason=expected or _reason(report)
            )
        elif report.failed:
            case.update(result="failed", reason=_last_line(report.longreprtext))
        if report.when == "teardown":
            case["commands"] = [json.loads(str(text)) for name, text in report.user_properties if name == "command"]

    @property
    def counts(self) -> dict[str, int]:
        """The number of cases with each result."""
        results = [case["result"] for case in self.cases.values()]
        return {name: results.count(name) for name in dict.fromkeys(sorted(results))}


def _reason(report: pytest.TestReport) -> str:
    return str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr).removeprefix("Skipped: ")


def _last_line(text: str) -> str:
    lines = [line.removeprefix("E").strip() for line in text.splitlines() if line.startswith("E  ")]
    return " / ".join(line for line in lines if line)[:2_000]


def write(
    recorder: Recorder,
    *,
    kind: str,
    region: str,
    account: str,
    leftovers: Sequence[str],
    seconds: float,
    complete: bool,
) -> Path:
    """Write both files and return the path of the page."""
    now = datetime.now(timezone.utc)
    record: dict[str, Any] = {
        "schema": SCHEMA,
        "date": now.date().isoformat(),
        "endpoint": kind,
        "region": region,
        "version": __version__,
        "minutes": round(seconds / 60, 1),
        # False after Ctrl-C: further cases were not run.
        "complete": complete,
        "counts": recorder.counts,
        "leftovers": list(leftovers),
        "cases": recorder.cases,
    }
    text = _KEY.sub("AKIA…", json.dumps(record, indent=2, ensure_ascii=False).replace(account, _ACCOUNT))
    folder, name = (FOLDER, region) if kind == "aws" else (LOCAL_FOLDER, kind)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{now.date().isoformat()}-{name}.json"
    path.write_text(f"{text}\n", encoding="utf-8")
    page = path.with_suffix(".md")
    page.write_text(_page(json.loads(text)), encoding="utf-8")
    return page


def _page(record: Mapping[str, Any]) -> str:
    counts = ", ".join(f"{number} {name}" for name, number in record["counts"].items())
    lines = [
        f"# Contract tests against {record['endpoint']}, {record['region']}, {record['date']}",
        "",
        f"Version {record['version']}, {record['minutes']} minutes: {counts}."
        + ("" if record["complete"] else " Interrupted."),
        "",
        "Left behind: " + (", ".join(record["leftovers"]) or "nothing") + ".",
        "",
        "| case | result | seconds | reason |",
        "|---|---|---:|---|",
    ]
    for name, case in record["cases"].items():
        reason = case["reason"].replace("|", "\\|").replace("\n", " ")[:300]
        lines.append(f"| {name} | {case['result']} | {case['seconds']} | {reason} |")
    messages = [(name, each) for name, case in record["cases"].items() for each in case["commands"] if each["messages"]]
    lines += ["", "## Messages of commands that failed", ""]
    for name, each in messages:
        lines += [
            f"{name}, `{each['command']}`, exit code {each['exit_code']}:",
            "",
            "```text",
            *each["messages"],
            "```",
            "",
        ]
    return "\n".join(lines).rstrip() + "\n"
