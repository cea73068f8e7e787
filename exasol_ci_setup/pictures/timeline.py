"""An operation on a stack as bars in time, with the chain of resources that it had to wait for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.pictures.canvas import INK, QUIET, Box, Line, Picture, Shape, Text, svg, width_of
from exasol_ci_setup.stacks.references import references

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
_DONE, _CRITICAL, _FAILED, _BACK = "#9fb8d6", "#2f6db3", "#c9413b", "#d9a441"


@dataclass(frozen=True, slots=True)
class Bar:
    """What was done to a resource, once: `begin` and `end` in seconds since the operation began."""

    logical_id: str
    type: str
    begin: float
    end: float
    status: str
    reason: str = ""
    is_critical: bool = False

    @property
    def has_failed(self) -> bool:
        """Whether it went wrong."""
        return self.status.endswith("_FAILED")


@dataclass(frozen=True, slots=True)
class Timeline:
    """An operation on a stack. `duration` is in seconds; a bar that has not ended lasts until the last event."""

    stack_name: str
    status: str
    began: datetime
    duration: float
    bars: tuple[Bar, ...]


def timeline(events: Sequence[Event], template: Mapping[str, Any]) -> Timeline:
    """Return the timeline of an operation by its events, the oldest first, of which there is at least one.

    The critical path is found from its end: the bar that ended last, then of what its resource refers to (in the parsed `template`), and of what
    refers to it where that was deleted before, the bar that ended last before it began, and so on. To shorten the operation, one of these
    has to be shortened.
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
            known = open_.get(event.logical_id)
            if known is None or known.status != event.status:
                open_[event.logical_id] = event
            continue
        first = open_.pop(event.logical_id, event)
        bars.append(_bar(first, event, began, (event.at - began).total_seconds()))
    bars += [_bar(first, first, began, last) for first in open_.values()]
    bars.sort(key=lambda bar: (bar.begin, bar.end))
    critical = _critical(bars, references(template))
    shown = tuple(
        Bar(bar.logical_id, bar.type, bar.begin, bar.end, bar.status, bar.reason, id(bar) in critical) for bar in bars
    )
    whole = [event for event in events if event.is_stack and event.stack_id == stack]
    return Timeline(events[0].stack_name, whole[-1].status if whole else events[-1].status, began, last, shown)


def _bar(first: Event, final: Event, began: datetime, end: float) -> Bar:
    return Bar(
        first.logical_id,
        first.type,
        (first.at - began).total_seconds(),
        end,
        final.status,
        final.reason or first.reason,
    )


def _critical(bars: Sequence[Bar], uses: Mapping[str, Sequence[str]]) -> set[int]:
    users: dict[str, list[str]] = {}
    for name, used in uses.items():
        for each in used:
            users.setdefault(each, []).append(name)
    path: set[int] = set()
    current: Bar | None = None
    # Backwards, so that of those that ended in the same moment the one that came last is taken.
    for bar in sorted(bars, key=lambda bar: bar.end)[::-1]:
        if current is not None:
            name = current.logical_id
            if bar.end > current.begin or bar.logical_id not in {*uses.get(name, ()), *users.get(name, ()), name}:
                continue
        path.add(id(bar))
        current = bar
    return path


def text(shown: Timeline, *, width: int, unicode: bool) -> list[str]:
    """Return the timeline as lines of at most `width` characters, but for reasons; what failed is marked with ``!``, else the critical path with ``*``."""
    full, cut = ("█", "…") if unicode else ("#", "..")
    took = [duration(bar.end - bar.begin) for bar in shown.bars]
    times = max((len(each) for each in took), default=0)
    # A long name is cut off where there would be no room for the bars.
    names = min(max((len(bar.logical_id) for bar in shown.bars), default=0), max(width - times - 16, 8))
    room = max(width - names - times - 6, 10)
    lines = [f"{shown.stack_name}: {shown.status} after {duration(shown.duration)}"]
    for bar, time in zip(shown.bars, took, strict=True):
        scale = room / shown.duration if shown.duration else 0
        start = min(int(bar.begin * scale), room - 1)
        length = max(min(round(bar.end * scale), room) - start, 1)
        mark = "!" if bar.has_failed else "*" if bar.is_critical else " "
        name = bar.logical_id if len(bar.logical_id) <= names else f"{bar.logical_id[: names - len(cut)]}{cut}"
        drawn = (" " * start + full * length).ljust(room)
        lines.append(f"{mark} {name:<{names}}  {drawn}  {time:>{times}}".rstrip())
    if any(bar.has_failed for bar in shown.bars):
        lines += [
            f"! {bar.logical_id} {bar.status}: {bar.reason or 'AWS gave no reason'}"
            for bar in shown.bars
            if bar.has_failed
        ]
    lines.append("* what the operation had to wait for")
    return lines


def picture(shown: Timeline) -> Picture:
    """Return the timeline as a Gantt chart."""
    names = max((width_of(bar.logical_id) for bar in shown.bars), default=0.0) + 16
    left = _MARGIN + names
    scale = _CHART / shown.duration if shown.duration else 0.0
    height = _HEAD + _ROW * len(shown.bars) + 56
    shapes: list[Shape] = [
        Text(_MARGIN, 30, shown.stack_name, 16, INK, bold=True),
        Text(
            _MARGIN + width_of(shown.stack_name, 16) + 16,
            30,
            f"{shown.status} after {duration(shown.duration)}",
            13,
            QUIET,
        ),
    ]
    step = next((each for each in _STEPS if shown.duration / each <= _TICKS), max(shown.duration / _TICKS, 1))
    for tick in range(int(shown.duration / step) + 1):
        x = left + tick * step * scale
        shapes += [
            Line(((x, _HEAD - 6), (x, _HEAD + _ROW * len(shown.bars))), "#e4e7eb"),
            Text(x, _HEAD - 12, duration(tick * step), 11, QUIET, "middle"),
        ]
    for row, bar in enumerate(shown.bars):
        y = _HEAD + row * _ROW + (_ROW - _BAR) / 2
        hint = f"{bar.logical_id} ({bar.type}): {bar.status} in {duration(bar.end - bar.begin)}"
        width = max((bar.end - bar.begin) * scale, 2.0)
        shapes += [
            Text(left - 10, y + 13, bar.logical_id, 13, INK, "end", bold=bar.is_critical),
            Box(left + bar.begin * scale, y, width, _BAR, _colour(bar), radius=3, hint=f"{hint}\n{bar.reason}".strip()),
            Text(left + bar.begin * scale + width + 6, y + 12, duration(bar.end - bar.begin), 11, QUIET),
        ]
    x, y = float(_MARGIN), height - 18.0
    for colour, words in (
        (_CRITICAL, "had to be waited for"),
        (_DONE, "done meanwhile"),
        (_FAILED, "failed"),
        (_BACK, "deleted or rolled back"),
    ):
        shapes += [Box(x, y - 10, 12, 12, colour, radius=2), Text(x + 18, y, words, 12, QUIET)]
        x += 18 + width_of(words, 12) + 24
    return Picture(left + _CHART + 80, height, f"{shown.stack_name}: {shown.status}", tuple(shapes))


def html(shown: Timeline) -> str:
    """Return a page with the chart, which needs nothing from anywhere else."""
    from html import escape

    drawn = picture(shown)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(drawn.title)}</title>\n"
        "<style>body{margin:0;overflow-x:auto}rect:hover{opacity:.8}</style>\n</head>\n<body>\n"
        f"{svg(drawn)}</body>\n</html>\n"
    )


def _colour(bar: Bar) -> str:
    if bar.has_failed:
        return _FAILED
    if bar.is_critical:
        return _CRITICAL
    return _BACK if bar.status.startswith("DELETE") else _DONE


def duration(seconds: float) -> str:
    """Return a time as a person would say it: ``0.3 s``, ``12 s``, ``3 min 5 s``."""
    if seconds < 10:  # noqa: PLR2004 - below that a tenth counts
        return f"{seconds:.1f}".rstrip("0").rstrip(".") + " s"
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), _MINUTE)
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"
