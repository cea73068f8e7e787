"""The report of stacks as one HTML page, without scripts and without other files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from exasol_ci_setup.cli.render import cost_view, show
from exasol_ci_setup.core.text import counted
from exasol_ci_setup.core.version import __version__
from exasol_ci_setup.pictures.timeline import COLORS, STYLE, figure, heading, html_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from exasol_ci_setup.pictures.stack_report import StackReport

_STYLE: Final = """\
main,header{max-width:75rem;margin:0 auto}
header p{color:var(--quiet)}
section{margin-top:2.5rem}
h2{font-size:1.1rem;border-bottom:2px solid var(--line);padding-bottom:.2rem;overflow-wrap:anywhere}
summary{font-weight:600;padding:.5rem 0;cursor:pointer}
.wide{overflow-x:auto}
table.timeline{min-width:40rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem;margin:0}
dt{color:var(--quiet)}
dd{margin:0;overflow-wrap:anywhere}
.wide th,.wide td{overflow-wrap:normal}
.good,.bad,.running{font-weight:600}
.bad{color:var(--failed)}.running{color:var(--deleted)}
pre{margin:.2rem 0;white-space:pre-wrap;overflow-wrap:anywhere}
a{color:var(--critical)}
@media print{details>summary{list-style:none}}
"""


def page(title: str, reports: Sequence[StackReport], *, now: datetime) -> str:
    """Return the page. `title` names its subject, `now` is the time of the report in UTC."""
    regions = ", ".join(dict.fromkeys(each.region for each in reports))
    about = f"{counted(len(reports), 'stack')} in {regions}. Read from AWS at {now:%Y-%m-%d %H:%M} UTC by exasol-ci-setup {__version__}."
    sections = "".join(_section(number, each) for number, each in enumerate(reports))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{html_text(title)}</title>\n<style>\n{COLORS}{STYLE}{_STYLE}</style>\n</head>\n<body>\n"
        f"<header><h1>{html_text(title)}</h1>\n<p>{html_text(about)}</p></header>\n<main>\n"
        f"{_summary(reports)}{sections}</main>\n</body>\n</html>\n"
    )


def _summary(reports: Sequence[StackReport]) -> str:
    rows = (
        (
            f'<a href="#stack-{number}">{html_text(each.name)}</a>',
            _status(each.stack.status),
            html_text(show.moment(each.stack.updated or each.stack.created, seconds=False)),
            str(len(each.resources)),
            _drift_word(each),
            html_text(_amount(each)),
        )
        for number, each in enumerate(reports)
    )
    return _table(("Stack", "Status", "Changed (UTC)", "Resources", "Drift", "Cost a month"), rows)


def _amount(report: StackReport) -> str:
    cost = report.cost
    if cost is None:
        return "unknown"
    if not any(line.basis == "always" for line in cost.lines):
        return "by use"
    return "unknown" if cost.total is None else f"{cost.total:.2f} {cost.currency}".rstrip()


def _drift_word(report: StackReport) -> str:
    if report.drift is None:
        return "not compared"
    count = len(report.drift.drifted)
    return f'<span class="bad">{counted(count, "resource")}</span>' if count else "none"


def _section(number: int, report: StackReport) -> str:
    parts = {
        "Resources": _resources(report),
        "Last operation": _operation(report),
        "Drift": _drift(report),
        "Outputs": _pairs(report.stack.outputs.items(), "The stack has no outputs."),
        "Cost": _cost(report),
        "Access": _access(report),
    }
    details = "".join(f"<details open><summary>{name}</summary>\n{text}</details>\n" for name, text in parts.items())
    return f'<section id="stack-{number}">\n<h2>{html_text(report.name)}</h2>\n{_facts(report)}{details}</section>\n'


def _facts(report: StackReport) -> str:
    stack = report.stack
    facts = {
        "status": _status(stack.status),
        "reason": html_text(stack.reason),
        "description": html_text(stack.description),
        "region": html_text(report.region),
        "created": html_text(show.moment(stack.created)),
        "updated": html_text(show.moment(stack.updated)),
        "protected": "yes" if stack.termination_protection else "no",
        "console": f'<a href="{html_text(report.console_url)}">AWS console</a>' if report.console_url else "",
        "note": "<br>".join(map(html_text, report.notes)),
    }
    return "<dl>" + "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts.items() if value) + "</dl>\n"


def _status(status: str) -> str:
    kind = {"red": "bad", "green": "good", "yellow": "running"}.get(show.status_color(status), "")
    return f'<span class="{kind}">{html_text(status)}</span>'


def _resources(report: StackReport) -> str:
    rows = (
        (html_text(each.logical_id), html_text(each.type), html_text(each.physical_id), _status(each.status))
        for each in report.resources
    )
    return _table(("Resource", "Type", "Physical ID", "Status"), rows)


def _operation(report: StackReport) -> str:
    if report.timeline is None:
        return "<p>AWS has no events of this stack: it keeps them for 90 days.</p>\n"
    return f'<p>{heading(report.timeline)}</p>\n<div class="wide">{figure(report.timeline)}</div>\n'


def _drift(report: StackReport) -> str:
    if report.drift is None:
        return "<p>The resources were not compared with the template.</p>\n"
    return f"<pre>{_plain(show.drift(report.drift)[1:])}</pre>\n"


def _cost(report: StackReport) -> str:
    if report.cost is None:
        return "<p>The cost is unknown.</p>\n"
    table = _table(cost_view.HEADER, (map(html_text, row) for row in cost_view.rows(report.cost)))
    return f"{table if report.cost.lines else ''}<p>{html_text(cost_view.total(report.cost))}</p>\n"


def _access(report: StackReport) -> str:
    if not report.access:
        return "<p>The template grants no access.</p>\n"
    items = (
        f"<li>{html_text(show.with_place(each.message, report.stack.id))}{' <b class=bad>(public)</b>' if each.public else ''}</li>"
        for each in report.access
    )
    return f"<ul>{''.join(items)}</ul>\n"


def _pairs(values: Iterable[tuple[str, str]], otherwise: str) -> str:
    shown = "".join(f"<dt>{html_text(name)}</dt><dd>{html_text(value)}</dd>" for name, value in values)
    return f"<dl>{shown}</dl>\n" if shown else f"<p>{otherwise}</p>\n"


def _plain(lines: Iterable[str]) -> str:
    return "\n".join(html_text(click.unstyle(line)) for line in lines).strip("\n")


def _table(header: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table whose cells are HTML; the first cell of a row is its heading."""
    head = "".join(f"<th>{name}</th>" for name in header)
    return f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{"".join(_rows(rows))}</tbody>\n</table></div>\n'


def _rows(rows: Iterable[Iterable[str]]) -> Iterator[str]:
    for first, *others in rows:
        yield f"<tr><th>{first}</th>{''.join(f'<td>{each}</td>' for each in others)}</tr>\n"
