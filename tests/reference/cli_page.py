"""Generate docs/cli.md, the command reference, from the commands and errors."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from exasol_ci_setup.cli.main import COMMANDS, PROGRAM, SPELLINGS, cli
from exasol_ci_setup.core import errors
from tests.reference.markdown import spaced, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"

_HEAD = """\
# Reference of the commands

This page lists all commands, their options and exit codes. `make reference` generates it from the commands: change the commands, not this page. `--help`
prints the same text. For completion in a shell, see [`completion`](#completion).

To pass several values to an option that can be repeated, write the option once for each value. Results go to stdout; all other output goes to stderr. With
`--output json`, stdout has one JSON object per line. With `--output markdown`, it has [one document for GitHub](deploying.md#run-in-a-ci-job).

"""
_SPELLINGS = """\
## Spellings in two words

Each of these commands can also be written in two words, such as `exasol-ci-setup build logs`. A first word with `--help` lists its second words.

"""
_SHARED = """\
## What commands that talk to AWS share

"""
_EXITS = """\
## Exit codes

An error has a code of its own in `--output json`, as `code`, and one of these exit codes:

"""
# The introduction to exit codes; the errors follow it.
_MEANING = {
    1: "the operation failed",
    2: "bad usage or bad input",
    3: "the template was rejected",
    4: "AWS cannot be used",
    5: "differences were found (with `--check` or `--exit-code`)",
    6: "a build failed",
    7: "timed out",
    130: "interrupted",
}


def commands() -> dict[str, click.Command]:
    """Return every command by its full name; a group precedes its commands."""
    context = click.Context(cli)
    found: dict[str, click.Command] = {}
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        found[name] = command
        if isinstance(command, click.Group):
            found |= {f"{name} {inner}": each for inner, each in command.commands.items()}
    return found


def shared(found: dict[str, click.Command]) -> list[str]:
    """Return the names of the options that most commands have, in the order of the first such command."""
    counts: dict[str, int] = {}
    for command in found.values():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                counts[parameter.opts[0]] = counts.get(parameter.opts[0], 0) + 1
    return [name for name, count in counts.items() if count > len(found) / 2]


def page() -> str:
    """Return the text of the page."""
    found = commands()
    common = shared(found)
    holder = next(each for each in found.values() if {o for p in each.params for o in p.opts} >= set(common))
    lines = [_HEAD.rstrip("\n"), ""]
    for section, rows in COMMANDS.items():
        lines += table((section, ""), [(f"[`{name}`](#{name})", text) for name, _, text in rows])
    lines += [_SPELLINGS.rstrip("\n"), "", *_spellings()]
    lines += [_SHARED.rstrip("\n"), "", *_options(holder, common)]
    lines += [_EXITS.rstrip("\n"), "", *_exits()]
    for section, rows in COMMANDS.items():
        lines += [f"## {section}", ""]
        for name, _, _ in rows:
            for words, command in found.items():
                if words == name or words.startswith(f"{name} "):
                    lines += _section(words, command, _records(holder, common))
    return "\n".join(lines).rstrip("\n") + "\n"


def _spellings() -> Iterator[str]:
    rows = []
    for word, names in SPELLINGS.items():
        seconds = ", ".join(f"`{second}`" for second in names)
        # Of most words, the command is both words with a hyphen, or the second word alone.
        commands = dict.fromkeys(
            f"`{word}-…`" if name == f"{word}-{second}" else f"`{name}`" for second, name in names.items()
        )
        rows.append((f"`{word}`", seconds, ", ".join(commands)))
    yield from table(("first word", "second word", "command"), rows)


def _records(command: click.Command, names: Iterable[str]) -> dict[str, tuple[str, str] | None]:
    """Return what the help says about options, by name."""
    options = {p.opts[0]: p for p in command.params if isinstance(p, click.Option)}
    return {name: options[name].get_help_record(_context("x", command)) for name in names if name in options}


def _section(words: str, command: click.Command, common: dict[str, tuple[str, str] | None]) -> Iterator[str]:
    context = _context(words, command)
    yield from (f"### {words}", "")
    usage = " ".join(command.collect_usage_pieces(context))
    yield from ("```text", f"{PROGRAM} {words} {usage}", "```", "")
    help_text = inspect.cleandoc(command.help or "")
    yield from spaced(_paragraph(each) for each in re.split(r"\n\s*\n", help_text.replace("\b\n", "\b")))
    names = [p.opts[0] for p in command.params if isinstance(p, click.Option)]
    same = {name for name, record in _records(command, common).items() if record == common[name]}
    yield from _options(command, [name for name in names if name not in same], words)
    if same:
        yield from (
            "Besides, it takes [what commands that talk to AWS share](#what-commands-that-talk-to-aws-share).",
            "",
        )


def _paragraph(text: str) -> str:
    """Return a paragraph of a help text as Markdown; a paragraph that click does not wrap keeps its lines."""
    if text.startswith("\b"):
        return f"```text\n{text[1:].rstrip()}\n```"
    return " ".join(text.split())


def _context(words: str, command: click.Command) -> click.Context:
    return click.Context(command, info_name=words.rsplit(maxsplit=1)[-1], show_default=True)


def _options(command: click.Command, names: list[str], words: str = "") -> Iterator[str]:
    context = _context(words or "x", command)
    rows = []
    for parameter in command.params:
        if not isinstance(parameter, click.Option) or parameter.opts[0] not in names:
            continue
        record = parameter.get_help_record(context)
        if record is None:
            continue
        text = " ".join(record[1].split()).replace(' [default: ""]', "")
        several = " Can be repeated." if parameter.multiple and "repeated" not in text else ""
        rows.append((f"`{record[0]}`", text + several))
    yield from table(("option", ""), rows)


def _exits() -> Iterator[str]:
    kinds = [each for each in vars(errors).values() if inspect.isclass(each) and issubclass(each, errors.SetupError)]
    rows = [("0", "done, or no changes", "")]
    for code, meaning in _MEANING.items():
        names = sorted({f"`{each.code}`" for each in kinds if each.exit_code == code})
        rows.append((str(code), meaning, ", ".join(names)))
    yield from table(("exit code", "", "`code` of the errors"), rows)
