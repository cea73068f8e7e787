"""Check the commands and options that a hint names: they exist, and those without a command belong to the command of this run."""

from __future__ import annotations

import re
import shlex
from functools import cache
from typing import TYPE_CHECKING, Final

import click

from exasol_ci_setup.cli.main import PROGRAM, cli

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_QUOTED: Final = re.compile(r"`([^`]*)`")
_OPTION: Final = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z]")
# The options of the command that deployed a stack, which is another one.
_OF_DEPLOYMENT: Final = re.compile(r"run its deploy command with (--[a-z-]+)")


def problems(arguments: Sequence[str], stderr: str) -> list[str]:
    """Return what is wrong with the hints in `stderr` of the command `arguments`."""
    command = find_command(arguments)
    found: list[str] = []
    for hint in _hints(stderr):
        for quoted in _QUOTED.findall(hint):
            if quoted.startswith(f"{PROGRAM} "):
                found += command_problems(quoted)
        # Only options are written in backquotes without a command.
        text = _QUOTED.sub(lambda match: match[1] if match[1].startswith("--") else "", hint)
        for option in _OF_DEPLOYMENT.findall(text):
            if option not in options_of(find_command(["deploy-template"])):
                found.append(f"no command that deploys has {option}: {hint}")
        rest = _OF_DEPLOYMENT.sub("", text)
        if command is not None:
            found += [
                f"{command.name} has no {option}: {hint}"
                for option in _OPTION.findall(rest)
                if option not in options_of(command)
            ]
    return found


def command_problems(line: str) -> list[str]:
    """Return what is wrong with a command of this program: it does not exist, or has an option that does not exist."""
    try:
        words = shlex.split(line.replace("…", "x"))[1:]
    except ValueError:
        return [f"it cannot be pasted: {line}"]
    command = find_command(words)
    if command is None:
        return [f"no such command: {line}"]
    given = [word.partition("=")[0] for word in words if word.startswith("--") and word != "--"]
    return [f"{command.name} has no {option}: {line}" for option in given if option not in options_of(command)]


def find_command(words: Sequence[str]) -> click.Command | None:
    """Return the command that the words call, None if none is found."""
    command: click.Command = cli
    for word in words:
        if not isinstance(command, click.Group):
            return command
        inner = command.get_command(click.Context(command), word)
        command = inner if inner is not None else command
    return command if command is not cli else None


@cache
def options_of(command: click.Command | None) -> frozenset[str]:
    """Return the options of a command, and those of the program."""
    params = [*cli.params, *(command.params if command is not None else ())]
    names = [name for param in params for name in (*param.opts, *param.secondary_opts)]
    return frozenset([*names, "--help", "--version"])


def _hints(stderr: str) -> Iterator[str]:
    """Yield the hints: from ``hint:`` to the end of the output, to an empty line, or to the log of a build."""
    for part in re.split(r"^hint: ", stderr, flags=re.MULTILINE)[1:]:
        yield re.split(r"\n\n|^\[Container\]", part, maxsplit=1, flags=re.MULTILINE)[0]
