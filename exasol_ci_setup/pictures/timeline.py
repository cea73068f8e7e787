"""Gantt chart of a stack operation, with its critical path."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.core.text import duration
from exasol_ci_setup.pictures.characters import printable
from exasol_ci_setup.template.references import references

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from exasol_ci_setup.core.stacks import Event

_TICKS: Final = 6
_STEPS: Final = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
# Classes of bars in the HTML page, and their legend.
_KINDS: Final = {
    "critical": "critical path",
    "done": "done in parallel",
    "failed": "failed",
    "deleted": "deleted or rolled back",
}
# Marks of bars in text.
_MARKS: Final = {"critical": "*", "failed": "!"}
COLORS: Final = """\
:root{color-scheme:light dark;--page:#fff;--text:#1f2933;--quiet:#52606d;--line:#d5dae0;
--critical:#2f6db3;--done:#9fb8d6;--failed:#c9413b;--deleted:#c98a1b}
@media (prefers-color-scheme:dark){:root{--page:#14181d;--text:#e4e7eb;--quiet:#9aa5b1;--line:#343d47;
--critical:#6aa5ea;--done:#46617f;--failed:#f0736d;--deleted:#e0b050}}
body{margin:1.5rem;background:var(--page);color:var(--text);font:14px/1.4 system-ui,sans-serif}
h1{font-size:1.2rem}
table{width:100%;border-collapse:collapse}
th,td{padding:.25rem .75rem .25rem 0;text-align:left;font-weight:normal;border-bottom:1px solid var(--line)}
thead th,td{color:var(--quiet)}
tbody th{color:var(--text);overflow-wrap:anywhere}
"""
"""The colors and the tables of a page, for light and dark screens."""

STYLE: Final = """\
.legend{display:flex;flex-wrap:wrap;gap:.3rem 1.5rem;list-style:none;padding:0;color:var(--quiet)}
i{display:inline-block;width:.8em;height:.8em;margin-right:.5em;border-radius:2px}
.timeline td:nth-child(3){white-space:nowrap;text-align:right}
.timeline th:last-child,.timeline td:last-child{width:60%;padding-right:3rem}
td p{margin:0;color:var(--failed);overflow-wrap:anywhere}
.scale{position:relative;height:1.4em}
.scale span{position:absolute;white-space:nowrap}
.bar{position:relative;height:1em;min-width:3px;border-radius:3px}
.critical{background:var(--critical)}.done{background:var(--done)}
.failed{background:var(--failed)}.deleted{background:var(--deleted)}
"""
"""The style of `figure`, which needs that of `COLORS`."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One action on a resource; `begin` and `end` are seconds since the start of the operation."""

    logical_id: str
    type: str
    begin: float
    end: float
    status: str
    reason: str = ""
    is_critical: bool = False

    @property
    def has_failed(self) -> bool:
        """Whether the action failed."""
        return self.status.endswith("_FAILED")


@dataclass(frozen=True, slots=True)
class Timeline:
    """An operation on a stack. `duration` is in seconds; bars of resources in progress end at the last event."""

    stack_name: str
    status: str
    began: datetime
    duration: float
    bars: tuple[Bar, ...]


def timeline(events: Sequence[Event], template: Mapping[str, Any]) -> Timeline:
    """Return the timeline of an operation from its events: at least one, the oldest first.

    The critical path is determined backwards from the bar that ended last. The previous bar of a path is the last one that ended before the
    current bar began, of a resource that refers to the current one, or that it refers to, in the parsed `template`.
    """
    stack = events[0].stack_id
    began = events[0].at
    last = (events[-1].at - began).total_seconds()
    open_: dict[str, Event] = {}
    bars: list[Bar] = []
    for event in events:
        if event.is_stack or event.stack_id != stack:
            continue
        if event.status.endswith("_IN_PROGRESS"):
            first_event = open_.get(event.logical_id)
            if first_event is None or first_event.status != event.status:
                open_[event.logical_id] = event
            continue
        first = open_.pop(event.logical_id, event)
        bars.append(_bar(first, event, began, (event.at - began).total_seconds()))
    bars += [_bar(first, first, began, last) for first in open_.values()]
    bars.sort(key=lambda bar: (bar.begin, bar.end))
    critical = _critical_path(bars, references(template))
    marked = tuple(
        Bar(bar.logical_id, bar.type, bar.begin, bar.end, bar.status, bar.reason, id(bar) in critical) for bar in bars
    )
    whole = [event for event in events if event.is_stack and event.stack_id == stack]
    return Timeline(events[0].stack_name, whole[-1].status if whole else events[-1].status, began, last, marked)


def _bar(first: Event, final: Event, began: datetime, end: float) -> Bar:
    return Bar(
        first.logical_id,
        first.type,
        (first.at - began).total_seconds(),
        end,
        final.status,
        final.reason or first.reason,
    )


def _critical_path(bars: Sequence[Bar], uses: Mapping[str, Sequence[str]]) -> set[int]:
    users: dict[str, list[str]] = {}
    for name, used in uses.items():
        for each in used:
            users.setdefault(each, []).append(name)
    path: set[int] = set()
    current: Bar | None = None
    # Backwards, so that the last one is used of bars that ended at the same time.
    for bar in sorted(bars, key=lambda bar: bar.end)[::-1]:
        if current is not None:
            name = current.logical_id
            if bar.end > current.begin or bar.logical_id not in {*uses.get(name, ()), *users.get(name, ()), name}:
                continue
        path.add(id(bar))
        current = bar
    return path


def text(chart: Timeline, *, width: int, unicode: bool) -> list[str]:
    """Return the timeline as lines of at most `width` characters, except reasons.

    Failed bars are marked with ``!``, other bars of the critical path with ``*``.
    """
    full, cut = ("█", "…") if unicode else ("#", "..")
    durations = [duration(bar.end - bar.begin, exact=True) for bar in chart.bars]
    times = max((len(each) for each in durations), default=0)
    # Long names are cut, so that the bars have enough space.
    names = min(max((len(bar.logical_id) for bar in chart.bars), default=0), max(width - times - 16, 8))
    space = max(width - names - times - 6, 10)
    lines = [f"{chart.stack_name}: {chart.status} after {duration(chart.duration, exact=True)}"]
    scale = space / chart.duration if chart.duration else 0
    for bar, time in zip(chart.bars, durations, strict=True):
        start = min(int(bar.begin * scale), space - 1)
        length = max(min(round(bar.end * scale), space) - start, 1)
        name = bar.logical_id if len(bar.logical_id) <= names else f"{bar.logical_id[: names - len(cut)]}{cut}"
        drawn = (" " * start + full * length).ljust(space)
        lines.append(f"{_MARKS.get(_kind(bar), ' ')} {name:<{names}}  {drawn}  {time:>{times}}".rstrip())
    failed = [bar for bar in chart.bars if bar.has_failed]
    lines += [f"! {bar.logical_id} {bar.status}: {bar.reason or 'AWS gave no reason'}" for bar in failed]
    return [*lines, "* critical path"]


def html(chart: Timeline) -> str:
    """Return a self-contained HTML page without scripts, for light and dark screens. Failed bars show their reasons."""
    title = heading(chart)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>\n{COLORS}{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
        f"{figure(chart)}</body>\n</html>\n"
    )


def heading(chart: Timeline) -> str:
    """Return the stack, the status and the duration of an operation as HTML."""
    return f"{html_text(chart.stack_name)}: {html_text(chart.status)} after {duration(chart.duration, exact=True)}"


def figure(chart: Timeline) -> str:
    """Return the chart as HTML for a page with the styles `COLORS` and `STYLE`."""
    step = next((each for each in _STEPS if chart.duration / each <= _TICKS), max(chart.duration / _TICKS, 1))
    ticks = [number * step for number in range(int(chart.duration / step) + 1)]
    scale = "".join(f'<span style="left:{_percent(tick, chart)}">{duration(tick, exact=True)}</span>' for tick in ticks)
    legend = "".join(f'<li><i class="{name}"></i>{words}</li>' for name, words in _KINDS.items())
    return (
        f'<ul class="legend">{legend}</ul>\n<table class="timeline">\n'
        f'<thead><tr><th>Resource</th><th>Status</th><th>Time</th><th><div class="scale">{scale}</div></th></tr></thead>\n'
        f"<tbody>\n{''.join(_html_row(bar, chart) for bar in chart.bars)}</tbody>\n</table>\n"
    )


def _html_row(bar: Bar, chart: Timeline) -> str:
    time = duration(bar.end - bar.begin, exact=True)
    hint = html_text(f"{bar.logical_id} ({bar.type}): {bar.status} in {time}")
    reason = f"<p>{html_text(bar.reason)}</p>" if bar.reason and bar.has_failed else ""
    position = f"left:{_percent(bar.begin, chart)};width:{_percent(bar.end - bar.begin, chart)}"
    return (
        f'<tr><th title="{html_text(bar.type)}">{html_text(bar.logical_id)}</th>'
        f"<td>{html_text(bar.status)}{reason}</td><td>{time}</td>"
        f'<td><div class="bar {_kind(bar)}" style="{position}" title="{hint}"></div></td></tr>\n'
    )


def html_text(text: str) -> str:
    """Return text for HTML, with visible control characters."""
    return escape(printable(text))


def _percent(seconds: float, chart: Timeline) -> str:
    return f"{100 * seconds / chart.duration if chart.duration else 0:.2f}%"


def _kind(bar: Bar) -> str:
    if bar.has_failed:
        return "failed"
    if bar.is_critical:
        return "critical"
    return "deleted" if bar.status.startswith("DELETE") else "done"
