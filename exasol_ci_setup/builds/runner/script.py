"""Render the shell scripts that run in the container: the agent, and a script for each command.

CodeBuild runs each command of a version 0.2 buildspec in a separate shell. That shell starts with the variables and the directory
that the previous command left. CodeBuild's logs show this: ``/codebuild/output/tmp/script.sh: line 4: …``. So ``exit`` or a syntax error
ends only its own command. With version 0.1, each command starts with the original variables and directory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exasol_ci_setup.builds.runner.buildspec import Buildspec

OUTPUT: Final = "/codebuild/output"
SOURCE: Final = f"{OUTPUT}/src/src"
WORK: Final = f"{OUTPUT}/tmp"  # noqa: S108 - in the container, the same path as in CodeBuild
ANSWERS: Final = f"{WORK}/answers"
SEPARATOR: Final = "\x1e"
EVALUATION: Final = "evaluation"

_END: Final = "EXASOL_CI_SETUP_END_OF_TEXT"


def quote(text: str) -> str:
    """Quote `text` for any POSIX shell."""
    return "'" + text.replace("'", "'\\''") + "'"


def environment(variables: Mapping[str, str]) -> str:
    """Return the shell text that exports these variables."""
    return "".join(f"export {name}={quote(value)}\n" for name, value in variables.items())


def agent(shell: str, marker: str) -> str:
    """Return the agent: a shell program that reads lines, runs a script for each, and writes `marker` and the exit status.

    A line is ``SCRIPT SUCCEEDING``: the name of a script in WORK, and 0 or 1. stdout and stderr of a command are one stream, as
    in CodeBuild's log. Commands have no input.
    """
    return f"""\
while read -r script succeeding; do
    (
        IFS= read -r directory <{WORK}/directory
        [ "$script" = {EVALUATION} ] || cd -- "$directory" || exit 1
        exec {shell} {WORK}/"$script" "$succeeding"
    ) </dev/null 2>&1
    printf '%s%d\\n' {quote(marker)} "$?"
done
"""


def entry(shell: str) -> str:
    """Return the shell command that starts the agent. In privileged containers of CodeBuild's images it starts Docker first."""
    return (
        f'if [ -n "$EXASOL_CI_SETUP_PRIVILEGED" ] && command -v dockerd-entrypoint.sh >/dev/null; then '
        f"unset EXASOL_CI_SETUP_PRIVILEGED; exec dockerd-entrypoint.sh {shell} {WORK}/agent; "
        f"fi; unset EXASOL_CI_SETUP_PRIVILEGED; exec {shell} {WORK}/agent"
    )


def files(spec: Buildspec, texts: Iterable[str], variables: Mapping[str, str], marker: str) -> dict[str, str]:
    """Return the files for WORK: the agent, the environment, the start directory, and the scripts.

    `texts` are the commands in the order of their numbers. Each is in a separate file, so that an open quote or here-document
    ends with its command.
    """
    made = {
        "agent": agent(spec.shell, marker),
        "environment": environment(variables),
        "directory": f"{SOURCE}\n",
        "environment.0": environment(variables),
    }
    for number, text in enumerate(texts):
        made[f"command-{number}"] = f"{text}\n"
        made[f"script-{number}"] = _stateful_script(number) if spec.version == "0.2" else _isolated_script(number)
    return made


def evaluation(expressions: Iterable[str], exported: Iterable[str]) -> str:
    """Return the script that writes expanded texts and values of variables to ANSWERS, each followed by SEPARATOR."""
    lines = [f". {WORK}/environment", f"cd -- {SOURCE}", "{", ":"]
    for expression in expressions:
        lines += [f"printf '%s\\036' \"$(cat <<{_END}", expression, _END, ')"']
    lines += [f"printf '%s\\036' \"${{{name}-}}\"" for name in exported]
    return "\n".join([*lines, f"}} >{ANSWERS}", ""])


def _stateful_script(number: int) -> str:
    # CodeBuild sets CODEBUILD_LAST_EXIT, and existing buildspecs use it.
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


def _isolated_script(number: int) -> str:
    return f"""\
. {WORK}/environment.0
export CODEBUILD_BUILD_SUCCEEDING="$1"
shift
. {WORK}/command-{number}
"""
