"""Commands of the group `space` for a running space: its log, releases, rollback and restart."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import click

from exasol_ci_setup.cli.options import Duration
from exasol_ci_setup.cli.platform import acting, change_options, done, has_changed, listing
from exasol_ci_setup.cli.session import common_options
from exasol_ci_setup.cli.space_options import name_option, show_space

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
    from exasol_ci_setup.cli.render import show
    from exasol_ci_setup.platform import space as verbs

    with acting(session) as context:
        found = verbs.releases(name, context=context)
        rows = (
            (
                f"{each.number}{' (current)' if each.is_current else ''}",
                show.moment(each.at),
                each.image,
                ", ".join(each.changes),
            )
            for each in found
        )
        listing(session, ("RELEASE", "TIME", "IMAGE", "CHANGES"), rows, none="")
        for each in found:
            session.output.record(each)
        done(session, "listed", changed=False, releases=len(found))


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


COMMANDS: Final = (logs, releases, rollback, restart)
"""The commands, in the order of the help."""
