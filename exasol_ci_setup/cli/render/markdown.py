"""The reporter of `--output markdown`: what a command reports, as one document for a pull request or the summary of a job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import click

from exasol_ci_setup.access.review import needs_approval
from exasol_ci_setup.cli.render import equal_plans, show
from exasol_ci_setup.cli.render.markdown_text import (
    INDENT,
    Part,
    Section,
    bullets,
    code,
    fence,
    fit,
    html_code,
    listed,
    paragraphs,
    table,
)
from exasol_ci_setup.core.errors import DeployFailedError, DifferencesFoundError, SetupError, TemplateRejectedError
from exasol_ci_setup.core.errors.details import Finding
from exasol_ci_setup.core.reporter import NullReporter, Reporter
from exasol_ci_setup.core.stacks import ABSENT, Drift, Plan
from exasol_ci_setup.core.task_graph import Ended
from exasol_ci_setup.core.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from exasol_ci_setup.core.stacks import Broadening, Change, PropertyChange, ResourceDrift

LIMIT: Final = 65_000
"""Largest size of a document in bytes. A comment on GitHub has at most 65,536 characters; the rest is for a marker in it."""

_WIDTH: Final = 300  # characters of a value
_TOP: Final = 6  # a list above the sections has at most this fraction of the document
_COUNTED: Final = {"update": "to update", "delete": "to delete", "no changes": "up to date"}
_COLUMNS: Final = ("change", "resource", "type", "property", "before", "after")
_COLUMNS_OF_DRIFT: Final = ("resource", "property", "expected", "actual")
_COLUMNS_OF_RESOURCE: Final = 3
_WORDS: Final = {"Add": "add", "Modify": "change", "Remove": "remove"}


@dataclass
class _Text:
    """A text that a command prints as a block of code: a diff or a template."""

    name: str
    language: str
    text: str


@dataclass
class _Collected:
    """What the reporters of one command have received."""

    plans: dict[str, Plan] = field(default_factory=dict)
    failures: dict[str, Ended] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    texts: list[_Text] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    drift: Drift | None = None
    status: str = ""
    subject: str = ""
    error: SetupError | None = None


class MarkdownReporter(NullReporter):
    """Collects plans, findings, differences, notes and errors; `document` returns them.

    It never approves a plan. The reporters of `of` collect for the same document; several threads may call them.
    """

    def __init__(self, name: str = "", collected: _Collected | None = None) -> None:
        self._name = name
        self._collected = collected or _Collected()

    def of(self, name: str, /) -> Reporter:
        """Return the reporter for one of several stacks."""
        return MarkdownReporter(name, self._collected)

    def note(self, message: str, /) -> None:
        """Collect a note."""
        notes = self._collected.notes.setdefault(self._name, [])
        if message not in notes:
            notes.append(message)

    def plan(self, plan: object, /) -> None:
        """Collect a plan, also one without changes."""
        if isinstance(plan, Plan):
            self._collected.plans[self._name or plan.stack_name] = plan

    def confirm(self, _plan: object, /) -> bool:
        """Reject the plan."""
        return False

    def event(self, event: object, /) -> None:
        """Collect a finding of the linter."""
        if isinstance(event, Finding):
            self._collected.findings.append(event)

    def result(self, result: object, /) -> None:
        """Collect a plan, a finding, the failure of a stack, an error, drift, a difference, a template, or the last status."""
        collected = self._collected
        self.plan(result)
        self.event(result)
        if isinstance(result, Ended) and (result.error is not None or result.because):
            collected.failures[result.name] = result
        elif isinstance(result, SetupError):
            collected.error = result
        elif isinstance(result, Drift):
            collected.drift = result
        elif isinstance(result, Mapping):
            self._record(result)

    def _record(self, record: Mapping[str, Any]) -> None:
        collected = self._collected
        if record["type"] == "diff":
            name = str(record.get("path") or record["stack_name"])
            if record["diff"]:
                collected.texts.append(_Text(name, "diff", record["diff"]))
            else:
                collected.same.append(name)
        elif record["type"] == "template":
            collected.texts.append(_Text(record["name"], "yaml", record["body"]))
        elif record["type"] == "result":
            collected.status, collected.subject = record["status"], record.get("stack_name", "")

    def document(self, limit: int = LIMIT) -> str:
        """Return the document with at most `limit` bytes, or empty text if nothing was reported."""
        return _Document(self._collected, limit).text()


class _Document:
    """The text of what was collected: a summary, then what needs attention, then folded details of each stack."""

    def __init__(self, collected: _Collected, limit: int) -> None:
        self._collected = collected
        self._limit = limit
        self._plans = {name: plan for name, plan in collected.plans.items() if name not in collected.failures}
        self._changed = {name: plan for name, plan in self._plans.items() if plan}
        self._groups = equal_plans.groups(self._changed, collected.notes)

    def text(self) -> str:
        """Return the document, empty if there is nothing to report."""
        heading = self._heading()
        if not heading:
            return ""
        parts = [*self._lost(), *self._access(), *self._failure(), *self._notes()]
        top = f"## {heading}\n\n{self._totals()}" + "".join(part.text(self._limit // _TOP) for part in parts)
        sections = [
            *self._failed(),
            *self._planned(),
            *self._unchanged(),
            *self._drift(),
            *self._findings(),
            *self._texts(),
        ]
        return fit(top, sections, self._limit).rstrip("\n") + "\n"

    @property
    def _is_single(self) -> bool:
        """Whether the document is about one stack, which its heading names."""
        return len(self._plans) + len(self._collected.failures) == 1

    def _heading(self) -> str:
        collected, error = self._collected, self._collected.error
        failed = " (failed)" if error is not None and not isinstance(error, DifferencesFoundError) else ""
        if self._is_single and self._plans:
            ((name, plan),) = self._plans.items()
            return (_heading(code(name), plan) if plan else f"Stack {code(name)} is up to date") + failed
        if self._plans or collected.failures:
            return self._heading_of_many()
        if isinstance(error, TemplateRejectedError):
            return "The template was rejected"
        return "Failed" if failed else self._heading_of_check()

    def _heading_of_many(self) -> str:
        counts = Counter(map(show.plan_word, self._plans.values()))
        counts += Counter("failed" if each.error else "skipped" for each in self._collected.failures.values())
        words = ", ".join(f"{count} {_COUNTED.get(word, word)}" for word, count in counts.items())
        return f"Plan for {counted(counts.total(), 'stack')}: {words}"

    def _heading_of_check(self) -> str:
        """Return the heading of a comparison or a check; empty for no heading."""
        collected = self._collected
        if collected.drift is not None:
            found = f"drift of {counted(len(collected.drift.drifted), 'resource')}" if collected.drift else "no drift"
            return f"Stack {code(collected.drift.stack_name)} has {found}"
        different = [text for text in collected.texts if text.language == "diff"]
        if collected.subject and collected.status in {"same", "different"}:
            same = "differs from" if different else "is the same as"
            return f"The template of stack {code(collected.subject)} {same} the deployed one"
        if different or collected.same:
            return f"{len(different)} of {counted(len(different) + len(collected.same), 'generated file')} outdated"
        if collected.status == "valid":
            return f"The template of stack {code(collected.subject)} is valid"
        return "No changes" if collected.status == "unchanged" else ""

    def _totals(self) -> str:
        return f"{show.summary(*self._changed.values())}\n\n" if self._changed and not self._is_single else ""

    def _of_group(self, group: Sequence[str], items: Sequence[str]) -> list[str]:
        """Return the items of a list about a group of stacks, below its names unless the heading of the document names it."""
        return list(items) if self._is_single or not items else [_names(group), *(f"{INDENT}{item}" for item in items)]

    def _lost(self) -> Iterator[Part]:
        """Return the list of data that is deleted."""
        found: list[str] = []
        for group, plan in self._each_group():
            lost = [(name, change) for name, change in plan.every_change.items() if change.data_loss]
            lines = [f"{code(name)} ({code(change.type)}): {show.data_loss(change)}" for name, change in lost]
            found += self._of_group(group, lines)
        if found:
            yield bullets("Data loss", found)

    def _access(self) -> Iterator[Part]:
        """Return the lists of access: first what is broadened, then what new stacks or the user's options grant."""
        found: dict[str, list[str]] = {"Access that is broadened": [], "Access that is granted": []}
        for group, plan in self._each_group():
            for title, items in show.access(plan).items():
                # What needs approval is first, so that it is cut last.
                sorted_items = sorted(items, key=lambda item: not needs_approval([item], plan.kind))
                found[title] += self._of_group(group, [_broadening(item, plan) for item in sorted_items])
        for title, lines in found.items():
            if lines:
                yield bullets(title, lines)

    def _failure(self) -> Iterator[Part]:
        if self._collected.error is not None:
            yield _error(self._collected.error)

    def _notes(self) -> Iterator[Part]:
        """Return the notes that belong to no section."""
        items = [
            f"{code(name)}: {code(note)}" if name and not self._is_single else code(note)
            for name, notes in self._collected.notes.items()
            for note in notes
            if name not in self._changed or self._is_single
        ]
        if items:
            yield bullets("Notes", items)

    def _each_group(self) -> Iterator[tuple[list[str], Plan]]:
        """Return the groups of equal plans, those that delete data first, then those that need approval."""

        def rank(group: list[str]) -> tuple[bool, bool]:
            plan = self._changed[group[0]]
            return not plan.data_loss, not needs_approval(plan.broadenings, plan.kind)

        return ((group, self._changed[group[0]]) for group in sorted(self._groups, key=rank))

    def _failed(self) -> Iterator[Section]:
        for name, end in self._collected.failures.items():
            if end.error is None:
                yield Section(f"{code(name)}: skipped, because {listed(end.because)} failed", "", ())
            else:
                is_shown = end.error is self._collected.error
                yield Section(f"{code(name)}: failed", "reason", () if is_shown else (_error(end.error, title=""),))

    def _planned(self) -> Iterator[Section]:
        for group, plan in self._each_group():
            heading = "" if self._is_single else _heading(_names(group), plan)
            notes = () if self._is_single else self._collected.notes.get(group[0], ())
            parts = tuple(_parts(plan, [*plan.notes, *notes], group))
            yield Section(
                heading, f"{counted(len(plan.every_change), 'resource')} of {html_code(plan.stack_name)}", parts
            )

    def _unchanged(self) -> Iterator[Section]:
        names = [name for name, plan in self._plans.items() if not plan]
        if names and not self._is_single:
            yield Section(f"{counted(len(names), 'stack')} without changes", "names", (bullets("", map(code, names)),))

    def _drift(self) -> Iterator[Section]:
        drift = self._collected.drift
        if drift is not None and (drift or drift.notes):
            rows = [row for each in drift.drifted for row in _drift(each)]
            parts = [table("", _COLUMNS_OF_DRIFT, rows)] if rows else []
            parts += [bullets("Notes", map(code, drift.notes))] if drift.notes else []
            yield Section("", "Changes outside of CloudFormation", tuple(parts))

    def _findings(self) -> Iterator[Section]:
        if findings := self._collected.findings:
            rows = [
                (each.level, code(each.rule), code(each.template), str(each.line or ""), code(each.message))
                for each in findings
            ]
            part = table("", ("level", "rule", "template", "line", "message"), rows)
            yield Section(counted(len(findings), "finding") + " of cfn-lint", "findings", (part,))

    def _texts(self) -> Iterator[Section]:
        for each in self._collected.texts:
            yield Section(code(each.name), "text", (fence(each.text, each.language),))


def _names(group: Sequence[str]) -> str:
    return code(group[0]) + (f" and {counted(len(group) - 1, 'equal stack')}" if len(group) > 1 else "")


def _heading(name: str, plan: Plan) -> str:
    return f"Plan for stack {name} ({show.plan_word(plan)}): {show.summary(plan)}"


def _broadening(item: Broadening, plan: Plan) -> str:
    marks = ["public"] if item.public else []
    marks += ["needs approval"] if needs_approval([item], plan.kind) else []
    return code(item.message) + (f" **({', '.join(marks)})**" if marks else "")


def _error(error: SetupError, title: str = "Failed") -> Part:
    text = "\n".join([error.message, *([f"hint: {error.hint}"] if error.hint else [])])
    diagnosis = map(click.unstyle, show.diagnosis(error.diagnosis)) if isinstance(error, DeployFailedError) else ()
    return paragraphs(title, [*text.split("\n"), *diagnosis])


def _parts(plan: Plan, notes: Sequence[str], group: Sequence[str]) -> Iterator[Part]:
    """Return the tables of a plan, and its notes."""
    if plan.changes:
        yield _changes(plan)
    if plan.drift:
        rows = [row for each in plan.drift for row in _drift(each)]
        yield table("Changed outside of CloudFormation, to be reverted", _COLUMNS_OF_DRIFT, rows)
    if settings := show.relevant_settings(plan):
        values = [(code(item.name), *_values(item.before, item.after)) for item in settings]
        yield table("Settings", ("setting", "before", "after"), values)
    if notes:
        yield bullets("Notes", map(code, notes))
    if len(group) > 1:
        yield bullets("Equal, except for the names", map(code, group))


def _changes(plan: Plan) -> Part:
    """Return the table of changed resources; without values of properties, it has fewer columns."""
    rows = [row for name, change in plan.every_change.items() for row in _change(name, change)]
    columns = _COLUMNS if any(any(row[_COLUMNS_OF_RESOURCE:]) for row in rows) else _COLUMNS[:_COLUMNS_OF_RESOURCE]
    return table("", columns, [row[: len(columns)] for row in rows])


def _change(name: str, change: Change) -> Iterator[tuple[str, ...]]:
    """Return the rows of a change: one for each property; of a new resource one in all."""
    known = [_WORDS[change.action]] if change.action in _WORDS else []
    # An action that is newer than this code is text of AWS.
    words = [*known, *(code(word) if word == change.action else word for word in show.remarks(change))]
    cells = (", ".join(words), code(name), code(change.type))
    properties = [] if change.action == "Add" else [_property(item) for item in change.properties]
    if change.action != "Add" and not properties:
        properties = [(f"because of {code(cause)}", "", "") for cause in change.causes]
    for row in properties or [("", "", "")]:
        yield *cells, *row
        cells = ("", "", "")


def _property(item: PropertyChange) -> tuple[str, ...]:
    word = show.recreation(item)
    name = code(item.path) + (f" ({word})" if word else "")
    if item.before is ABSENT and item.after is ABSENT:
        return name, "", ""
    return name, *_values(item.before, item.after)


def _drift(drift: ResourceDrift) -> Iterator[tuple[str, ...]]:
    name = code(drift.logical_id)
    if not drift.properties:
        yield name, "", "", drift.status.lower() if drift.status == "DELETED" else ""
    for item in drift.properties:
        yield name, code(item.path), *_values(item.expected, item.actual)


def _values(before: Any, after: Any) -> tuple[str, str]:
    """Return both values as cells; of long values the part that differs, and their length."""
    old, new = show.differing(before, after, _WIDTH)
    return _value(before, old), _value(after, new)


def _value(value: Any, shown: str) -> str:
    if value is ABSENT:
        return "(none)"
    length = len(show.value(value))
    return code(shown) + (f" (cut, {length:,} characters)" if length > _WIDTH else "")
