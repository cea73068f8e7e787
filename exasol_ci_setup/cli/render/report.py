"""Print results of commands: as text on stdout or stderr, and as JSON records."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Final

import click
import yaml

from exasol_ci_setup.cli.render import records, show
from exasol_ci_setup.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exasol_ci_setup.cli.output import Output
    from exasol_ci_setup.core.errors.details import Diagnosis, Finding
    from exasol_ci_setup.core.stacks import Drift, Plan, Result, Stack
    from exasol_ci_setup.stacks.resources import Resource
    from exasol_ci_setup.template.render import Template

PLAN_ONLY: Final = "plan only: nothing was changed"
DELETION_PLAN_ONLY: Final = "plan only: nothing was deleted"
_CONTENTS = {"AWS::S3::Bucket": "objects", "AWS::ECR::Repository": "images"}
_DIFF_COLORS = {"+": "green", "-": "red", "@": "cyan"}


def plan(output: Output, plan: Plan, *, as_data: bool, name: str = "", heading: str = "", same_as: str = "") -> None:
    """Show what would change, on stdout if `as_data`. `name` is the name of the stack among several, `heading` a line above the plan.

    `same_as` is the name of a stack whose shown plan differs only in names; it replaces the lines of the plan.
    """
    lines = show.plan(plan, unicode=output.unicode)
    if same_as:
        heading, lines = "", [f"{show.clean(name)}: the same plan as {show.clean(same_as)}"]
    _print(output, [heading, *lines] if heading else lines, as_data=as_data)
    output.record(plan, name=name)


def drift(output: Output, drift: Drift, *, as_data: bool) -> None:
    """Show changes made outside of CloudFormation, on stdout if `as_data`."""
    _print(output, show.drift(drift, unicode=output.unicode), as_data=as_data)
    output.record(drift)


def _print(output: Output, lines: Sequence[str], *, as_data: bool) -> None:
    if as_data:
        output.data("\n".join(lines), wrap=True)
    elif output.format == "text":
        output.say(*lines)


def diagnosis(output: Output, diagnosis: Diagnosis) -> None:
    """Print why an operation failed."""
    output.data("\n".join(show.diagnosis(diagnosis)), wrap=True)
    output.record(diagnosis)


def outcome(output: Output, result: Result, *, deployed: str) -> None:
    """Print how a deployment ended; `deployed` is the text for one that changed the stack."""
    name = result.plan.stack_name
    if not result.plan:
        output.document.plan(result.plan)
    output.say({"planned": PLAN_ONLY, "unchanged": f"stack {name} is up to date"}.get(result.outcome.value, deployed))


def finding(output: Output, finding: Finding, template: str) -> None:
    """Show a finding of the linter in the template of this name."""
    if output.format == "text":
        output.say(show.finding(finding, name=template))
    output.record(finding)


def template(output: Output, template: Template) -> None:
    """Print a template."""
    output.data(template.body.rstrip("\n"))
    output.record({"type": "template", "name": template.name, "body": template.body})


def stacks(output: Output, stacks: Sequence[Stack]) -> None:
    """List stacks, one on each line."""
    if stacks:
        output.data("\n".join(show.stacks(stacks, width=output.data_width)))
    output.record(*stacks)


def details(output: Output, stacks: Sequence[Stack]) -> None:
    """Show all details of stacks."""
    if stacks:
        output.data("\n".join(line for stack in stacks for line in show.status(stack)), wrap=True)
    output.record(*stacks)


def outputs(output: Output, stack: Stack, *, style: str = "text") -> None:
    """Print a stack's outputs as ``text``, ``json``, ``yaml`` or ``env``.

    With ``env``, raises InputError if an output's name is not valid as a shell variable.
    """
    values = dict(stack.outputs)
    if style == "json":
        output.data(json.dumps(values, indent=2, ensure_ascii=False))
    elif style == "yaml":
        output.data(yaml.safe_dump(values, sort_keys=False, allow_unicode=True).rstrip("\n"))
    elif style == "env":
        invalid = [name for name in values if not name.isidentifier() or not name.isascii()]
        if invalid:
            raise InputError(
                f"output {invalid[0]!r} is not a valid name of a shell variable", hint="use another --format"
            )
        if values:
            output.data("\n".join(f"{name}={shlex.quote(value)}" for name, value in values.items()))
    elif values:
        output.data("\n".join(show.pairs(values)))
    output.record(records.outputs(stack.name, values))


def deletion(
    output: Output,
    resources: Sequence[Resource],
    removal: Plan,
    *,
    empty: bool,
    as_data: bool,
    name: str = "",
    is_shown: bool = True,
) -> None:
    """Show the plan that deletes a stack with its `resources`, and which of them are kept. `name` is as for `plan`.

    If not `is_shown`, it is only a record.
    """
    document = output.document.of(name) if name else output.document
    lines = [click.style(f"Plan for stack {show.clean(removal.stack_name)} (delete)", bold=True)]
    deleted = {change.logical_id: change for change in removal.changes}
    for resource in resources:
        line = f"{show.clean(resource.logical_id)}  {show.clean(resource.type)}  {show.clean(resource.physical_id)}".rstrip()
        change = deleted.get(resource.logical_id)
        if change is None:
            lines.append(f"  {line}  (kept)")
            document.note(f"kept: {resource.logical_id} {resource.type}")
            continue
        remarks = [show.data_loss(change)] if change.data_loss else []
        if resource.type in _CONTENTS:
            contents = _CONTENTS[resource.type]
            condition = (
                "also if it is not empty" if empty else f"only if it is empty; --empty also deletes its {contents}"
            )
            remarks.append(condition)
            document.note(f"{resource.logical_id}: deleted {condition}")
        lines.append(click.style(f"- {line}", fg="red") + (f"  ({', '.join(remarks)})" if remarks else ""))
        lines += [f"    {inner}" for inner in show.changes(change.nested)]
    lines += ["", click.style(show.summary(removal), bold=True)]
    if is_shown:
        _print(output, lines, as_data=as_data)
    output.record(removal, name=name)


def diff(output: Output, stack_name: str, lines: Sequence[str]) -> None:
    """Print a unified diff."""
    if lines:
        # The lines end with the line breaks of the template.
        output.data(
            "\n".join(
                click.style(
                    show.clean(line.rstrip("\n")), fg=_DIFF_COLORS.get(line[:1]), bold=line[:3] in {"---", "+++"}
                )
                for line in lines
            )
        )
    output.record({"type": "diff", "stack_name": stack_name, "diff": "".join(lines)})


def result(output: Output, status: str, stack_name: str, *, changed: bool) -> None:
    """Write the last record of a command."""
    output.record(records.result(status, stack_name=stack_name, changed=changed))
