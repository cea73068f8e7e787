"""The shell text that runs in the container: an agent that takes one order a line, and a script for each command.

CodeBuild runs every command of a version 0.2 buildspec in a shell of its own, which begins with the variables and in the directory that the
command before it left; its logs show that (``/codebuild/output/tmp/script.sh: line 4: …``). So a command may call ``exit``, or be no
valid shell at all, and only that command ends. Version 0.1 begins each command anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exasol_ci_setup.runner.buildspec import Buildspec

OUTPUT: Final = "/codebuild/output"
SOURCE: Final = f"{OUTPUT}/src/src"
WORK: Final = f"{OUTPUT}/tmp"  # noqa: S108 - in the container, where CodeBuild has it
ANSWERS: Final = f"{WORK}/answers"
SEPARATOR: Final = "\x1e"
EVALUATION: Final = "evaluation"

_END: Final = "EXASOL_CI_SETUP_END_OF_TEXT"


def quoted(text: str) -> str:
    """Return `text` as one word of any POSIX shell."""
    return "'" + text.replace("'", "'\\''") + "'"


def environment(variables: Mapping[str, str]) -> str:
    """Return the shell text that exports these variables."""
    return "".join(f"export {name}={quoted(value)}\n" for name, value in variables.items())


def agent(shell: str, marker: str) -> str:
    """Return the program that runs in the container as long as orders come, and writes `marker` and an exit status after each.

    An order is ``SCRIPT SUCCEEDING``, the name of a script in WORK and 0 or 1. What a command writes goes to one stream, as in
    CodeBuild's log; it has no input.
    """
    return f"""\
while read -r script succeeding; do
    (
        IFS= read -r directory <{WORK}/directory
        [ "$script" = {EVALUATION} ] || cd -- "$directory" || exit 1
        exec {shell} {WORK}/"$script" "$succeeding"
    ) </dev/null 2>&1
    printf '%s%d\\n' {quoted(marker)} "$?"
done
"""


def entry(shell: str) -> str:
    """Return what starts the agent; CodeBuild's own images start a Docker engine before it, where they may."""
    return (
        f'if [ -n "$EXASOL_CI_SETUP_PRIVILEGED" ] && command -v dockerd-entrypoint.sh >/dev/null; then '
        f"unset EXASOL_CI_SETUP_PRIVILEGED; exec dockerd-entrypoint.sh {shell} {WORK}/agent; "
        f"fi; unset EXASOL_CI_SETUP_PRIVILEGED; exec {shell} {WORK}/agent"
    )


def files(spec: Buildspec, texts: Iterable[str], variables: Mapping[str, str], marker: str) -> dict[str, str]:
    """Return the files for WORK: the agent, the environment, the directory to begin in, and the scripts.

    `texts` are the commands in the order of their numbers, each in a file of its own, so that none can reach beyond its end.
    """
    made = {
        "agent": agent(spec.shell, marker),
        "environment": environment(variables),
        "directory": f"{SOURCE}\n",
        "environment.0": environment(variables),
    }
    for number, text in enumerate(texts):
        made[f"command-{number}"] = f"{text}\n"
        made[f"script-{number}"] = _carried_over(number) if spec.version == "0.2" else _alone(number)
    return made


def evaluation(expressions: Iterable[str], exported: Iterable[str]) -> str:
    """Return the script that writes to ANSWERS what the shell makes of texts, and what variables hold, each ended by SEPARATOR."""
    lines = [f". {WORK}/environment", f"cd -- {SOURCE}", "{", ":"]
    for expression in expressions:
        lines += [f"printf '%s\\036' \"$(cat <<{_END}", expression, _END, ')"']
    lines += [f"printf '%s\\036' \"${{{name}-}}\"" for name in exported]
    return "\n".join([*lines, f"}} >{ANSWERS}", ""])


def _carried_over(number: int) -> str:
    # CODEBUILD_LAST_EXIT is CodeBuild's own name; commands have come to rely on it.
    return f"""\
. {WORK}/environment
export CODEBUILD_BUILD_SUCCEEDING="$1"
shift
set -a
. {WORK}/command-{number}
CODEBUILD_LAST_EXIT=$?
export -p >{WORK}/environment
pwd >{WORK}/directory
exit "$CODEBUILD_LAST_EXIT"
"""


def _alone(number: int) -> str:
    return f"""\
. {WORK}/environment.0
export CODEBUILD_BUILD_SUCCEEDING="$1"
shift
. {WORK}/command-{number}
"""
