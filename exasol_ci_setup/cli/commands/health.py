"""`health`: check that this machine and the AWS account meet the needs of the other commands."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import click

from exasol_ci_setup.cli.session import common_options
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.core.text import counted

if TYPE_CHECKING:
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.health import Check, Wanted

_COLORS: Final = {"ok": "green", "warning": "yellow", "problem": "red", "skipped": "bright_black"}


@click.command("health")
@click.option(
    "--docker-secret",
    metavar="NAME",
    default="Dockerhub",
    show_default=True,
    help="Secret with the keys User and AccessToken, for the login of builds to Docker Hub; none for builds without login.",
)
@click.option(
    "--for",
    "kind",
    type=click.Choice(["source-credentials", "ci-build", "release-build", "registry", "asset"]),
    help="Also check the permissions of the caller for deploying this kind of stack.",
)
@click.option("--project", metavar="NAME", help="With --for: name of the project, registry or asset.  [default: any]")
@common_options
def health(session: Session, docker_secret: str, kind: str | None, project: str | None) -> None:
    """Check the requirements of the other commands: this machine and the AWS account.

    The command lists every check with its fix, and changes nothing. The exit code is 1 if there is a problem, and 0 if there
    are only warnings.
    """
    from exasol_ci_setup import health as checking
    from exasol_ci_setup.cli.render import records

    if project is not None and kind is None:
        raise InputError("--project needs --for", hint="add `--for ci-build`, or omit --project")
    output = session.output
    width = max(len(subject.name) for subject in checking.SUBJECTS)
    counts: Counter[str] = Counter()
    for check in checking.checks(
        lambda: session.account,
        profile=session.profile,
        sandbox=session.sandbox,
        docker_secret=docker_secret,
        wanted=None if kind is None else _wanted(kind, project, docker_secret),
    ):
        counts[check.status] += 1
        output.data("\n".join(_lines(check, width)), wrap=True)
        output.record({"type": "problem", **asdict(check)})
    problems, warnings = counts["problem"], counts["warning"]
    ok, skipped = counts["ok"], counts["skipped"]
    more = f", {skipped} skipped" if skipped else ""
    output.say("", f"{counted(problems, 'problem')}, {counted(warnings, 'warning')}, {ok} ok{more}")
    output.record(
        records.result(
            "problems" if problems else "healthy", problems=problems, warnings=warnings, ok=ok, skipped=skipped
        )
    )
    if problems:
        click.get_current_context().exit(1)


def _wanted(kind: str, project: str | None, docker_secret: str) -> Wanted:
    """Return what the stack of a kind needs."""
    from exasol_ci_setup.cli.commands.iam_policy import policy_of  # noqa: PLC0415 - only with --for
    from exasol_ci_setup.health import Wanted

    is_build = kind.endswith("-build")
    values = {"project" if is_build else "name": project} if kind != "source-credentials" else {}
    words = ["exasol-ci-setup", "iam-policy", kind]
    if project is not None and values:
        words += ["--project" if is_build else "--name", project]
    if is_build and docker_secret != "Dockerhub":  # noqa: S105 - the name of a secret
        values["docker_secret"] = docker_secret
        words += ["--docker-secret", docker_secret]
    return Wanted(
        kind,
        shlex.join(words),
        lambda account, region: policy_of(kind, values, account=account, region=region),
        needs_repository=kind == "ci-build",
    )


def _lines(check: Check, width: int) -> list[str]:
    from exasol_ci_setup.cli.render.show import clean

    status = click.style(f"{check.status:<7}", fg=_COLORS[check.status], bold=check.status == "problem")
    lines = [f"{status}  {check.code}  {check.name:<{width}}  {clean(check.message)}"]
    if check.fix:
        lines.append(f"{'':<18}{click.style('fix:', fg='cyan')} {clean(check.fix)}")
    return lines
