"""Write the tables of the benchmarks between the marks of docs/benchmarks.md."""

from __future__ import annotations

import os
import platform
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def write(section: str, text: str) -> None:
    """Put `text` between the marks of `section`, and print it. Raises ValueError if the page has no such marks."""
    print(f"\n{text}", flush=True)
    page = PAGE.read_text(encoding="utf-8")
    pattern = re.compile(rf"(<!-- begin {section} -->\n).*?(<!-- end {section} -->)", re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f"{PAGE} has no marks of {section}")
    new = pattern.sub(lambda found: f"{found[1]}\n{text.strip()}\n\n{found[2]}", page)
    partial = PAGE.with_suffix(".md.new")
    partial.write_text(new, encoding="utf-8")
    partial.replace(PAGE)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table with right-aligned numbers."""
    lines = [f"| {' | '.join(head)} |", "|---" + "|---:" * (len(head) - 1) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def today() -> str:
    """Return the date of a measurement."""
    return f"{datetime.now(timezone.utc):%Y-%m-%d}"


def machine() -> str:
    """Return a description of the machine, and the date."""
    system = platform.freedesktop_os_release()["PRETTY_NAME"] if hasattr(platform, "freedesktop_os_release") else ""
    model = _processor()
    load = os.getloadavg()[0]
    return (
        f"{today()}, {system or platform.platform()}, {os.cpu_count()} cores{model}, "
        f"Python {platform.python_version()}; load at the start {load:.1f}"
    )


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        return ""
    return f" ({found[1].strip()})" if found else ""
