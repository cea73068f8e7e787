"""Format plans, events, diagnoses, stacks and findings: pure functions from data to styled lines."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

import click

from exasol_ci_setup.access.review import needs_approval
from exasol_ci_setup.cli.render.fitting import aligned
from exasol_ci_setup.cli.render.records import plain
from exasol_ci_setup.core.errors import DeployFailedError, InputError, StackNotUpdatableError
from exasol_ci_setup.core.stacks import ABSENT
from exasol_ci_setup.core.text import counted
from exasol_ci_setup.stacks.data_holders import HOLDERS
from exasol_ci_setup.template.intrinsics import readable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from exasol_ci_setup.core.errors import SetupError
    from exasol_ci_setup.core.errors.details import Diagnosis, Finding
    from exasol_ci_setup.core.stacks import (
        Broadening,
        Change,
        Drift,
        Event,
        Hook,
        Plan,
        PropertyChange,
        ResourceDrift,
        Setting,
        Stack,
    )

_WIDTH: Final = 64  # characters of one of two values on a line
_WIDTH_ALONE: Final = 110  # characters of a single value
_CONTEXT: Final = 16  # equal characters before the first difference
_NAME_WIDTH: Final = 40
_PARTS_OF_ARN: Final = 6
_DRIFT_WORDS: Final = {"MODIFIED": "changed", "DELETED": "deleted", "IN_SYNC": "as expected"}

_SYMBOLS: Final = {"Add": "+", "Modify": "~", "Remove": "-", "Import": "=", "SyncWithActual": "~"}
_COLORS: Final = {"+": "green", "~": "yellow", "-": "red", "±": "magenta", "=": "cyan", "?": "magenta"}
_REMARKS: Final = {
    "Import": "imported into the stack",
    "Dynamic": "known only during the change",
    "SyncWithActual": "drift reverted",
}
_POLICIES: Final = {
    "Retain": "the resource is kept",
    "Snapshot": "the resource is deleted after a snapshot",
    "ReplaceAndDelete": "the old one is deleted",
    "ReplaceAndRetain": "the old one is kept",
    "ReplaceAndSnapshot": "the old one is deleted after a snapshot",
}
_RECREATES: Final = {"Always": "forces replacement", "Conditionally": "may force replacement"}
# These characters hide text or change its direction, so a terminal would not show the real text.
_INVISIBLE: Final = frozenset(
    map(chr, (0xAD, 0x61C, *range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2060, 0x2070), 0xFEFF))
)


def clean(text: str) -> str:
    """Return `text` on one line; escape control characters that a terminal would interpret."""
    return "".join(letter if _is_harmless(letter) else _escape(letter) for letter in text)


def plan(plan: Plan, *, unicode: bool = True) -> list[str]:
    """Return a plan as lines: changes of resources, settings and access, notes, and a summary.

    With `unicode` false, only ASCII is used for arrows and symbols.
    """
    lines = [click.style(f"Plan for stack {clean(plan.stack_name)} ({plan_word(plan)})", bold=True)]
    lines += [""] if plan.changes else []
    lines += changes(plan.changes)
    if plan.drift:
        lines += ["", "Changed outside of CloudFormation, to be reverted (expected → actual):"]
        lines += [f"  {line}" for each in plan.drift for line in _resource_drift(each)]
    settings = relevant_settings(plan)
    if settings:
        lines += ["", "Settings:", *(_setting(item) for item in settings)]
    for title, items in access(plan).items():
        lines += ["", click.style(f"{title}:", bold=True)]
        lines += [_broadening(item, needs_approval=needs_approval([item], plan.kind)) for item in items]
    if plan.notes:
        lines += ["", "Notes:", *(f"  {clean(note)}" for note in plan.notes)]
    lines += ["", click.style(summary(plan), bold=True)]
    return lines if unicode else [_ascii(line) for line in lines]


def drift(drift: Drift, *, unicode: bool = True) -> list[str]:
    """Return the drift of a stack as lines, with the numbers of resources by drift status.

    With `unicode` false, only ASCII is used for arrows and symbols.
    """
    lines = [click.style(f"Drift of stack {clean(drift.stack_name)} (expected → actual)", bold=True)]
    lines += [""] if drift else []
    lines += [line for each in drift.drifted for line in _resource_drift(each)]
    if drift.notes:
        lines += ["", "Notes:", *(f"  {clean(note)}" for note in drift.notes)]
    counts = Counter(_DRIFT_WORDS.get(each.status, "not compared") for each in drift.resources)
    words = dict.fromkeys(_DRIFT_WORDS.values()) | {"not compared": None}
    numbers = [f"{counts[word]} {word}" for word in words if counts[word]]
    lines += ["", click.style(", ".join(numbers) or "no resources", bold=True)]
    return lines if unicode else [_ascii(line) for line in lines]


def event(event: Event, *, root: str = "") -> str:
    """Return an event as one line, its time in UTC, with the name of its stack if that is not `root`."""
    name = clean(event.logical_id)
    if root and event.stack_name != root:
        name = clean(event.stack_name) + ("" if event.is_stack else f"/{name}")
    status = click.style(f"{clean(event.status):<20}", fg=status_color(event.status))
    line = f"{utc(event.at):%H:%M:%S}  {status}  {name:<20}  {clean(event.type)}"
    reason = _hook(event.hook) if event.hook else clean(event.reason)
    return f"{line}  {reason}" if reason else line


def hook_warning(event: Event) -> str:
    """Return the warning of a hook that did not pass as one line; empty for other events."""
    return f"{clean(event.logical_id)}: {_hook(event.hook)}" if event.hook and event.hook.warns else ""


def _hook(hook: Hook) -> str:
    words = clean(hook.words)
    return click.style(f"warning: {words}", fg="yellow") if hook.warns else words


def diagnosis(diagnosis: Diagnosis) -> list[str]:
    """Return why an operation failed as a block of lines, with the reason of AWS and the address of the stack at the end."""
    failed = " ".join(clean(part) for part in (diagnosis.logical_id, diagnosis.type) if part)
    lines = [click.style(f"Why stack {clean(diagnosis.stack_name)} ended in {clean(diagnosis.status)}:", bold=True)]
    if failed:
        lines.append(f"  first failure  {click.style(failed, fg='red')}")
    if diagnosis.resource_status:
        lines.append(f"  status         {clean(diagnosis.resource_status)}")
    if diagnosis.physical_id:
        lines.append(f"  physical id    {clean(diagnosis.physical_id)}")
    lines += [f"  detail         {clean(detail)}" for detail in diagnosis.details]
    lines += [f"  fix            {clean(hint)}" for hint in diagnosis.hints]
    lines.append(f"  reason         {clean(diagnosis.reason) or 'AWS gave no reason'}")
    if diagnosis.console_url:
        lines.append(f"  console        {clean(diagnosis.console_url)}")
    return lines


def cause(error: SetupError) -> str:
    """Return in one line why an operation failed: the failed resource with its reason, the problems, or the first line of the message."""
    found = error.diagnosis if isinstance(error, DeployFailedError | StackNotUpdatableError) else None
    problems = "; ".join(error.problems) if isinstance(error, InputError) else ""
    return (found.cause if found is not None else "") or problems or error.message.partition("\n")[0]


def finding(finding: Finding, *, name: str = "") -> str:
    """Return a finding of the linter as one line; `name` is the name of the template."""
    color = "red" if str(finding.level).lower() == "error" else "yellow"
    level = click.style(f"{clean(str(finding.level))} {clean(str(finding.rule))}", fg=color)
    place = " ".join(part for part in (clean(str(name)), level, f"line {finding.line}" if finding.line else "") if part)
    return f"{place}: {clean(str(finding.message))}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, width: int | None = None) -> list[str]:
    """Return rows as aligned columns under a header, for a terminal with `width` columns; None for another output."""
    first, *others = aligned([[clean(cell) for cell in row] for row in (header, *rows)], width)
    return [*(click.style(line, bold=True) for line in first), *(line for lines in others for line in lines)]


def stacks(stacks: Iterable[Stack], *, width: int | None = None) -> list[str]:
    """Return a list of stacks as a table, for a terminal with `width` columns; None for another output."""
    rows = [
        (
            item.name,
            item.status,
            moment(item.updated or item.created, seconds=False),
            item.description,
        )
        for item in stacks
    ]
    return table(("STACK", "STATUS", "CHANGED (UTC)", "DESCRIPTION"), rows, width=width)


def status(stack: Stack) -> list[str]:
    """Return all details of a stack as lines."""
    color = status_color(stack.status)
    lines = [click.style(clean(stack.name), bold=True), f"  status       {click.style(clean(stack.status), fg=color)}"]
    details = {
        "reason": stack.reason,
        "description": stack.description,
        "created": moment(stack.created),
        "updated": moment(stack.updated),
        "protected": "yes" if stack.termination_protection else "no",
        "role": stack.role_arn,
    }
    lines += [f"  {name:<12} {clean(value)}" for name, value in details.items() if value]
    for title, values in (("parameters", stack.parameters), ("outputs", stack.outputs), ("tags", stack.tags)):
        if values:
            lines += [f"  {title}", *(f"    {line}" for line in pairs(values))]
    return lines


def pairs(values: Mapping[str, str]) -> list[str]:
    """Return names and values as aligned lines, such as the outputs of a stack."""
    width = max((len(clean(name)) for name in values), default=0)
    return [f"{clean(name):<{width}}  {clean(value)}".rstrip() for name, value in values.items()]


def status_color(status: str) -> str:
    """Return the color of a CloudFormation status: red for failures and rollbacks, green for completed."""
    if "FAILED" in status or "ROLLBACK" in status:
        return "red"
    if status.endswith("_COMPLETE"):
        return "green"
    return "yellow" if status.endswith("_IN_PROGRESS") else "bright_black"


def utc(moment: datetime) -> datetime:
    """Return a time in UTC; botocore may return other zones."""
    return moment.astimezone(timezone.utc)


def moment(moment: datetime | None, *, seconds: bool = True) -> str:
    """Return a time in UTC as text; empty for None."""
    if moment is None:
        return ""
    return f"{utc(moment):%Y-%m-%d %H:%M:%S} UTC" if seconds else f"{utc(moment):%Y-%m-%d %H:%M}"


def _is_harmless(letter: str) -> bool:
    return (letter.isprintable() or letter in {"\u00a0", "\u3000"}) and letter not in _INVISIBLE


def _escape(letter: str) -> str:
    # As in JSON, which does not escape all of these characters.
    short = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
    code = ord(letter)
    return short.get(letter) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")  # noqa: PLR2004


def _ascii(line: str) -> str:
    return line.replace("→", "->").replace("±", "+-").replace("…", "...").encode("ascii", "backslashreplace").decode()


def access(plan: Plan) -> dict[str, list[Broadening]]:
    """Return the access that a plan grants and broadens, by title. All access of a new stack is granted.

    The account and the region of the stack replace the references of the template to them.
    """
    new = plan.kind == "CREATE"
    titles = {"Access that is granted": True, "Access that is broadened": False}
    broadenings = [replace(item, message=with_place(item.message, plan.stack_id)) for item in plan.broadenings]
    found = {
        title: [item for item in broadenings if (new or item.granted) is granted] for title, granted in titles.items()
    }
    return {title: items for title, items in found.items() if items}


def with_place(text: str, stack_id: str) -> str:
    """Return `text` with the values of pseudo parameters in the ARN of the stack."""
    parts = stack_id.split(":")
    if len(parts) < _PARTS_OF_ARN:
        return text
    for name, value in (("Partition", parts[1]), ("Region", parts[3]), ("AccountId", parts[4])):
        text = text.replace(f"${{AWS::{name}}}", value)
    return text


def plan_word(plan: Plan) -> str:
    """Return in a word or two what a plan does to its stack."""
    if not plan:
        return "no changes"
    if plan.is_recreation:
        return "deleted and created again"
    return {"CREATE": "new", "UPDATE": "update"}.get(plan.kind, clean(plan.kind.lower()))


def _symbol(change: Change) -> str:
    if change.action == "Modify" and change.may_replace:
        return "±"
    return _SYMBOLS.get(change.action, "?")


def changes(changes: Sequence[Change]) -> list[str]:
    """Return the changes of resources as lines; those in nested stacks are indented."""
    width = min(_NAME_WIDTH, max((len(clean(change.logical_id)) for change in changes), default=0))
    return [line for change in changes for line in _change(change, width)]


def _change(change: Change, width: int) -> list[str]:
    symbol = _symbol(change)
    remark = ", ".join(map(clean, remarks(change)))
    line = f"{symbol} {clean(change.logical_id):<{width}}  {clean(change.type)}" + (f"  ({remark})" if remark else "")
    lines = [click.style(line, fg=_COLORS[symbol])]
    if change.action != "Add":
        lines += [f"    {_property(item)}" for item in change.properties]
        if not change.properties:
            lines += [f"    because of {clean(cause)}" for cause in change.causes]
    return lines + [f"    {line}" for line in changes(change.nested)]


def remarks(change: Change) -> list[str]:
    """Return what a plan says about a change beside its properties: replacement, what remains, data loss."""
    found = [_REMARKS.get(change.action, "" if change.action in _SYMBOLS else change.action)]
    if change.action == "Modify":
        found.append({"True": "replacement", "Conditional": "replacement possible"}.get(change.replacement, ""))
    found.append(_POLICIES.get(change.policy_action, ""))
    if change.data_loss:
        found.append(data_loss(change))
    return [words for words in found if words]


def data_loss(change: Change) -> str:
    """Return the data that a change deletes, as text."""
    possible = "possible " if change.action == "Dynamic" or change.replacement == "Conditional" else ""
    return f"{possible}data loss: {HOLDERS.get(change.type, 'its contents')}"


def _resource_drift(drift: ResourceDrift) -> list[str]:
    symbol, remark = ("-", "  (deleted)") if drift.status == "DELETED" else ("~", "")
    line = click.style(f"{symbol} {clean(drift.logical_id)}  {clean(drift.type)}{remark}", fg=_COLORS[symbol])
    return [
        line,
        *(f"    {clean(each.path)}: {_before_after(each.expected, each.actual)}" for each in drift.properties),
    ]


def _property(item: PropertyChange) -> str:
    word = recreation(item)
    remark = "  " + click.style(f"({word})", fg="red") if word else ""
    if item.before is ABSENT and item.after is ABSENT:
        return clean(item.path) + remark
    return f"{clean(item.path)}: {_before_after(item.before, item.after)}{remark}"


def recreation(item: PropertyChange) -> str:
    """Return whether the change of a property replaces the resource; empty if it does not."""
    return _RECREATES.get(item.recreates, "")


def relevant_settings(plan: Plan) -> list[Setting]:
    """Return the settings to show: without parameters and outputs of a new stack, which are all new."""
    hidden = ("parameters.", "outputs.") if plan.kind == "CREATE" else ()
    return [item for item in plan.settings if not item.name.startswith(hidden)]


def _setting(item: Setting) -> str:
    if item.before is ABSENT:
        return click.style(f"  + {clean(item.name)}: {_short(value(item.after), width=_WIDTH_ALONE)}", fg="green")
    if item.after is ABSENT:
        return click.style(f"  - {clean(item.name)}: {_short(value(item.before), width=_WIDTH_ALONE)}", fg="red")
    return f"{click.style(f'  ~ {clean(item.name)}', fg='yellow')}: {_before_after(item.before, item.after)}"


def _broadening(item: Broadening, *, needs_approval: bool) -> str:
    line = f"  {'!' if needs_approval else '+'} {clean(item.message)}"
    if item.public:
        return click.style(f"{line} (public)", fg="red", bold=True)
    return click.style(line, fg="yellow") if needs_approval else line


def _before_after(before: Any, after: Any) -> str:
    """Return both values; of long values the part that differs."""
    alone = before is ABSENT or after is ABSENT
    old, new = differing(before, after, _WIDTH_ALONE if alone else _WIDTH)
    return f"{click.style(old, fg='red')} → {click.style(new, fg='green')}"


def differing(before: Any, after: Any, width: int) -> tuple[str, str]:
    """Return both values with at most `width` characters; of longer values the part that differs."""
    old, new = value(before), value(after)
    start = 0
    if before is not ABSENT and after is not ABSENT and max(len(old), len(new)) > width:
        same = next(
            (at for at, (one, other) in enumerate(zip(old, new, strict=False)) if one != other), min(len(old), len(new))
        )
        start = max(0, same - _CONTEXT)
    return _short(old, start, width), _short(new, start, width)


def value(value: Any) -> str:
    """Return a value as compact text: strings in quotes, references as ``${Bucket.Arn}``, the rest as JSON."""
    if value is ABSENT:
        return "(none)"

    text = readable(value)
    if isinstance(value, str) or (text.startswith(("{", "[")) and isinstance(value, Mapping | list)):
        text = json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"))
    return clean(text)


def _short(text: str, start: int = 0, width: int = _WIDTH) -> str:
    end = start + width
    return ("…" if start else "") + text[start:end] + ("…" if end < len(text) else "")


def summary(*plans: Plan, with_zeros: bool = True) -> str:
    """Return the numbers of changed resources and settings, and of resources that lose data.

    `with_zeros`: also write that no resource is added, changed or removed.
    """
    counts = dict.fromkeys(("to add", "to change", "to remove", "to replace", "may be replaced", "to import"), 0)
    for change in (change for plan in plans for change in plan.every_change.values()):
        word = {"Add": "to add", "Remove": "to remove", "Import": "to import"}.get(change.action, "to change")
        if change.action == "Modify":
            word = {"True": "to replace", "Conditional": "may be replaced"}.get(change.replacement, word)
        counts[word] += 1
    only_deletes = all(plan.kind == "DELETE" for plan in plans)
    always = ("to remove",) if only_deletes else ("to add", "to change", "to remove")
    numbers = [f"{count} {word}" for word, count in counts.items() if count or (with_zeros and word in always)]
    if lost := sum(len(plan.data_loss) for plan in plans):
        numbers.append(f"{lost} with data loss")
    if settings := sum(len(relevant_settings(plan)) for plan in plans):
        numbers.append(counted(settings, "setting"))
    return ", ".join(numbers)
