"""Commands of the group `space` for a running space: its log, releases, rollback, restart, number of tasks, variables and commands."""

from __future__ import annotations

import shlex
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import click

from exasol_ci_setup.cli.options import Duration, Pairs, merged
from exasol_ci_setup.cli.platform import acting, change_options, done, has_changed, listing, show_releases
from exasol_ci_setup.cli.session import common_options
from exasol_ci_setup.cli.space_options import name_option, show_space
from exasol_ci_setup.cli.verbs import VerbGroup
from exasol_ci_setup.core.errors import SpaceConflictError

if TYPE_CHECKING:
    from exasol_ci_setup.cli.session import Session


@click.command()
@name_option
@click.option("--follow", "-f", is_flag=True, help="Continue with new lines until Ctrl-C.")
@click.option("--since", type=Duration(), metavar="TIME", help="Only lines of the last 90s, 30m or 2h, for example.")
@click.option("--lines", type=int, default=100, show_default=True, metavar="N", help="Number of lines, at most 10000.")
@common_options
def logs(session: Session, name: str, *, follow: bool, since: float | None, lines: int) -> None:
    """Print the log of a space: the last lines of all its tasks, in the order of time.

    If the creation of the space failed, prints the log of its last attempt.
    """
    from exasol_ci_setup.cli.render import show
    from exasol_ci_setup.platform import space as verbs

    output = session.output
    with acting(session) as context:
        start = None if since is None else timedelta(seconds=since)
        count = 0
        for line in verbs.logs(name, since=start, lines=lines, follow=follow, context=context):
            count += 1
            output.data(show.clean(line.message) if output.on_terminal else line.message)
            output.record({"type": "log", "at": line.at, "message": line.message, "stream": line.stream})
        if not count:
            output.say(f"space {name} has no log lines" + (" in this time" if since is not None else " yet"))
        done(session, "logged", changed=False, lines=count)


@click.command()
@name_option
@common_options
def releases(session: Session, name: str) -> None:
    """List the last releases of a space, newest first.

    A change of image, variables, secrets, size or port is a release. Values of variables are not printed.
    """
    from exasol_ci_setup.platform import space as verbs

    with acting(session) as context:
        show_releases(session, verbs.releases(name, context=context), none="")


@click.command()
@name_option
@click.option("--to", type=int, metavar="NUMBER", help="Release to deploy.  [default: the one before the current]")
@change_options
@common_options
def rollback(session: Session, name: str, *, to: int | None, plan_only: bool, yes: bool, allow_data_loss: bool) -> None:
    """Deploy an older release of a space as a new one.

    Restores image, variables, secrets, size and port. Domain and number of tasks stay unchanged.
    """
    from exasol_ci_setup.platform import space as verbs

    with acting(session, plan_only=plan_only, yes=yes, allow_data_loss=allow_data_loss) as context:
        deployed = verbs.rollback(name, to=to, context=context)
        changed = has_changed(context)
        if not changed:
            session.output.say(f"space {name} is up to date: it runs these settings already")
        show_space(session, deployed)
        done(session, "rolled-back" if changed else "unchanged", changed=changed, name=name)


@click.command()
@name_option
@common_options
def restart(session: Session, name: str) -> None:
    """Replace the tasks of a space by new ones of the same release.

    New tasks read the secrets again. The old tasks stop when the new ones answer.
    """
    from exasol_ci_setup.platform import space as verbs

    with acting(session) as context:
        restarted = verbs.restart(name, context=context)
        session.output.say(f"restarted space {name}")
        show_space(session, restarted)
        done(session, "restarted", changed=True, name=name)


@click.command()
@name_option
@click.argument("count", metavar="COUNT")
@change_options
@common_options
def scale(session: Session, name: str, count: str, *, plan_only: bool, yes: bool, allow_data_loss: bool) -> None:
    """Set the number of tasks of a space, 0 to 50; 0 stops the space. Or least and greatest number, such as 1-4, by the use of CPU.

    The same as `space update --count`.
    """
    _update(session, name, plan_only=plan_only, yes=yes, allow_data_loss=allow_data_loss, count=count)


@click.group(cls=VerbGroup)
def env() -> None:
    """Set and remove environment variables of a space."""


@env.command("set")
@name_option
@click.argument(
    "variables",
    nargs=-1,
    required=True,
    type=Pairs("variable", 'write NAME=VALUE, or a JSON object such as {"NAME": "VALUE"}', json=True),
    callback=merged,
    metavar="NAME=VALUE...",
)
@change_options
@common_options
def env_set(
    session: Session,
    name: str,
    variables: dict[str, str],
    *,
    plan_only: bool,
    yes: bool,
    allow_data_loss: bool,
) -> None:
    """Add or replace environment variables, and keep all others. Not for secrets: the values are visible in the stack.

    The same as `space update --env`.
    """
    _update(session, name, plan_only=plan_only, yes=yes, allow_data_loss=allow_data_loss, env=variables)


@env.command("unset")
@name_option
@click.argument("variables", nargs=-1, required=True, metavar="NAME...")
@change_options
@common_options
def env_unset(
    session: Session,
    name: str,
    variables: tuple[str, ...],
    *,
    plan_only: bool,
    yes: bool,
    allow_data_loss: bool,
) -> None:
    """Remove environment variables or secrets, and keep all others.

    The same as `space update --unset`.
    """
    _update(session, name, plan_only=plan_only, yes=yes, allow_data_loss=allow_data_loss, unset=variables)


@env.command("list")
@name_option
@common_options
def env_list(session: Session, name: str) -> None:
    """List the environment variables of a space with their values, and its secrets with their ARNs."""
    from exasol_ci_setup.platform import space as verbs

    with acting(session) as context:
        found = verbs.get(name, context=context)
        both = sorted((*found.env.items(), *found.secrets.items()))
        listing(session, ("NAME", "VALUE"), both, none=f"space {name} has no variables")
        session.output.record(
            *({"type": "variable", "name": each, "value": text, "secret": each in found.secrets} for each, text in both)
        )
        done(session, "listed", changed=False, variables=len(both))


@click.command("open")
@name_option
@click.option("--print", "only_print", is_flag=True, help="Print the URL, and open no browser.")
@common_options
def open_(session: Session, name: str, *, only_print: bool) -> None:
    """Open the URL of a space in the browser."""
    from exasol_ci_setup.platform import space as verbs

    with acting(session) as context:
        url = verbs.get(name, context=context).url
        if not url:
            raise SpaceConflictError(
                f"space {name} has no URL", hint=f"show its status with `exasol-ci-setup space get --name {name}`"
            )
        session.output.data(url)
        if not only_print and click.launch(url):
            session.output.say("no browser was opened")
        done(session, "opened", changed=False, url=url)


@click.command("exec", context_settings={"ignore_unknown_options": True})
@name_option
@click.option("--task", metavar="ID", help="ID of the task.  [default: the task that started last]")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND...]")
@common_options
def exec_(session: Session, name: str, task: str | None, command: tuple[str, ...]) -> int:
    """Run a command in a running task of a space, by default a shell.

    The space must allow it (`space update --exec`), and the machine needs the Session Manager plugin of AWS. Exits with the code of the plugin.
    """
    from exasol_ci_setup.platform import space as verbs

    with acting(session) as context:
        code = verbs.execute(name, shlex.join(command) or "/bin/sh", task=task, context=context)
        done(session, "executed", changed=False, exit_code=code)
    return code


def _update(session: Session, name: str, *, plan_only: bool, yes: bool, allow_data_loss: bool, **values: Any) -> None:
    """Change a space, and print it."""
    from exasol_ci_setup.platform import space as verbs

    with acting(session, plan_only=plan_only, yes=yes, allow_data_loss=allow_data_loss) as context:
        updated = verbs.update(name, **values, context=context)
        changed = has_changed(context)
        if not changed:
            session.output.say(f"space {updated.name} is up to date")
        show_space(session, updated)
        done(session, "updated" if changed else "unchanged", changed=changed, name=updated.name)


COMMANDS: Final = (logs, releases, rollback, restart, scale, env, open_, exec_)
"""The commands, in the order of the help."""
