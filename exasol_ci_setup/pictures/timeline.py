"""Gantt chart of a stack operation, with its critical path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.pictures.canvas import INK, QUIET, Box, Line, Picture, Shape, Text, svg, width_of
from exasol_ci_setup.template.references import references

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from exasol_ci_setup.stacks.model import Event

_ROW: Final = 26
_BAR: Final = 16
_CHART: Final = 720
_MARGIN: Final = 24
_HEAD: Final = 64
_TICKS: Final = 6
_STEPS: Final = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
_MINUTE: Final = 60
_DONE, _CRITICAL, _FAILED, _UNDONE = "#9fb8d6", "#2f6db3", "#c9413b", "#d9a441"


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
    """An operation on a stack. `duration` is in seconds; unfinished bars end at the last event."""

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
    durations = [duration(bar.end - bar.begin) for bar in chart.bars]
    times = max((len(each) for each in durations), default=0)
    # Long names are cut, so that the bars have enough space.
    names = min(max((len(bar.logical_id) for bar in chart.bars), default=0), max(width - times - 16, 8))
    space = max(width - names - times - 6, 10)
    lines = [f"{chart.stack_name}: {chart.status} after {duration(chart.duration)}"]
    for bar, time in zip(chart.bars, durations, strict=True):
        scale = space / chart.duration if chart.duration else 0
        start = min(int(bar.begin * scale), space - 1)
        length = max(min(round(bar.end * scale), space) - start, 1)
        mark = "!" if bar.has_failed else "*" if bar.is_critical else " "
        name = bar.logical_id if len(bar.logical_id) <= names else f"{bar.logical_id[: names - len(cut)]}{cut}"
        drawn = (" " * start + full * length).ljust(space)
        lines.append(f"{mark} {name:<{names}}  {drawn}  {time:>{times}}".rstrip())
    if any(bar.has_failed for bar in chart.bars):
        lines += [
            f"! {bar.logical_id} {bar.status}: {bar.reason or 'AWS gave no reason'}"
            for bar in chart.bars
            if bar.has_failed
        ]
    lines.append("* critical path")
    return lines


def picture(chart: Timeline) -> Picture:
    """Return the timeline as a Gantt chart."""
    names = max((width_of(bar.logical_id) for bar in chart.bars), default=0.0) + 16
    left = _MARGIN + names
    scale = _CHART / chart.duration if chart.duration else 0.0
    height = _HEAD + _ROW * len(chart.bars) + 56
    shapes: list[Shape] = [
        Text(_MARGIN, 30, chart.stack_name, 16, INK, bold=True),
        Text(
            _MARGIN + width_of(chart.stack_name, 16) + 16,
            30,
            f"{chart.status} after {duration(chart.duration)}",
            13,
            QUIET,
        ),
    ]
    step = next((each for each in _STEPS if chart.duration / each <= _TICKS), max(chart.duration / _TICKS, 1))
    for tick in range(int(chart.duration / step) + 1):
        x = left + tick * step * scale
        shapes += [
            Line(((x, _HEAD - 6), (x, _HEAD + _ROW * len(chart.bars))), "#e4e7eb"),
            Text(x, _HEAD - 12, duration(tick * step), 11, QUIET, "middle"),
        ]
    for row, bar in enumerate(chart.bars):
        y = _HEAD + row * _ROW + (_ROW - _BAR) / 2
        hint = f"{bar.logical_id} ({bar.type}): {bar.status} in {duration(bar.end - bar.begin)}"
        width = max((bar.end - bar.begin) * scale, 2.0)
        shapes += [
            Text(left - 10, y + 13, bar.logical_id, 13, INK, "end", bold=bar.is_critical),
            Box(left + bar.begin * scale, y, width, _BAR, _color(bar), radius=3, hint=f"{hint}\n{bar.reason}".strip()),
            Text(left + bar.begin * scale + width + 6, y + 12, duration(bar.end - bar.begin), 11, QUIET),
        ]
    x, y = float(_MARGIN), height - 18.0
    for color, words in (
        (_CRITICAL, "critical path"),
        (_DONE, "done in parallel"),
        (_FAILED, "failed"),
        (_UNDONE, "deleted or rolled back"),
    ):
        shapes += [Box(x, y - 10, 12, 12, color, radius=2), Text(x + 18, y, words, 12, QUIET)]
        x += 18 + width_of(words, 12) + 24
    return Picture(left + _CHART + 80, height, f"{chart.stack_name}: {chart.status}", tuple(shapes))


def html(chart: Timeline) -> str:
    """Return a self-contained HTML page with the chart."""
    from html import escape

    drawn = picture(chart)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(drawn.title)}</title>\n"
        "<style>body{margin:0;overflow-x:auto}rect:hover{opacity:.8}</style>\n</head>\n<body>\n"
        f"{svg(drawn)}</body>\n</html>\n"
    )


def _color(bar: Bar) -> str:
    if bar.has_failed:
        return _FAILED
    if bar.is_critical:
        return _CRITICAL
    return _UNDONE if bar.status.startswith("DELETE") else _DONE


def duration(seconds: float) -> str:
    """Return a duration as text: ``0.3 s``, ``12 s``, ``3 min 5 s``."""
    if seconds < 10:  # noqa: PLR2004 - short durations with one decimal
        return f"{seconds:.1f}".rstrip("0").rstrip(".") + " s"
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), _MINUTE)
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"
