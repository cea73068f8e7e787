"""Commands of the group `hosted` for a remote host: deploy apps, list them, and change them through the hosted API."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from exasol_ci_setup.cli.options import YES, Duration
from exasol_ci_setup.cli.platform import details, done, listing, require_yes, show_releases
from exasol_ci_setup.cli.session import Session, log_level_option, output_option, pass_session, together
from exasol_ci_setup.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from exasol_ci_setup.containers.hosted.client import App, Client

_url = together(
    click.option(
        "--url",
        envvar="EXASOL_CI_SETUP_HOSTED_URL",
        show_envvar=True,
        required=True,
        metavar="URL",
        help="Address of the hosted API, such as https://example.com.",
    ),
    click.option("--allow-http", is_flag=True, help="Send the key without TLS to another host than this machine."),
)
_key_file = click.option(
    "--key-file",
    envvar="EXASOL_CI_SETUP_HOSTED_KEY_FILE",
    show_envvar=True,
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    metavar="PATH",
    help="File with the deploy key; - is standard input.  [default: the keyring]",
)
_wait = click.option(
    "--wait", type=Duration(), default="15m", show_default=True, metavar="TIME", help="Time limit for the answer."
)
_common = together(output_option, log_level_option, pass_session)
_variables = together(
    click.option(
        "--env",
        "assignments",
        metavar="NAME[=VALUE]",
        multiple=True,
        help="Variable of the container; without a value, the value in your environment, as for secrets. May be repeated.",
    ),
    click.option(
        "--env-file",
        "env_files",
        metavar="FILE",
        type=click.Path(path_type=Path),
        multiple=True,
        help="File of variables, one on each line, in the form of --env. May be repeated.",
    ),
)
_app_options = together(
    click.option("--health-path", metavar="PATH", help="The new container is ready when this path returns 200 to 399."),
    click.option("--memory", metavar="SIZE", help="Memory limit, such as 256m."),
    click.option("--cpus", metavar="N", help="Limit of processors, such as 0.5."),
    click.option("--pids", type=int, metavar="N", help="Limit of processes and threads."),
    click.option("--max-body", metavar="SIZE", help="Largest body of a request to the app, such as 50m."),
    click.option(
        "--timeout", metavar="TIME", help="Time without data after which a request to the app ends, such as 5m."
    ),
)
_name = click.argument("name", metavar="NAME")


def _remote(*, needs_key: bool = True) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that adds the options for the host to a command, and passes a client to it."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(
            session: Session, url: str, allow_http: bool, key_file: Path | None, wait: float, **options: Any
        ) -> None:
            from exasol_ci_setup.containers.hosted import client, deploy_key

            address = client.parse_url(url, allow_http=allow_http)
            find = deploy_key.require if needs_key else deploy_key.find
            key = find(address, key_file, session.output.warn)
            command(session, client.Client(address, key, seconds=wait), **options)

        return together(_url, _key_file, _wait, _common)(run)

    return decorate


@click.command()
@click.argument("image", metavar="IMAGE")
@click.option("--name", metavar="NAME", help="Name of the app.  [default: from the image]")
@_variables
@_app_options
@_remote()
def deploy(
    session: Session,
    client: Client,
    *,
    image: str,
    assignments: tuple[str, ...],
    env_files: tuple[Path, ...],
    **options: Any,
) -> None:
    """Deploy an app, or replace it without lost requests.

    The app has only the variables and options of this command; for others, the defaults of the host apply. To keep those of the
    last deployment, use redeploy.
    """
    domain = client.deploy(image, env=_parse_variables(assignments, env_files) or None, **options)
    _deployed(session, "deployed", domain)


@click.command()
@_name
@click.option("--image", metavar="IMAGE", help="New image, such as one with another tag.  [default: unchanged]")
@_variables
@click.option("--unset", multiple=True, metavar="NAME", help="Remove a variable; may be repeated.")
@_app_options
@_remote()
def redeploy(
    session: Session,
    client: Client,
    *,
    name: str,
    image: str | None,
    assignments: tuple[str, ...],
    env_files: tuple[Path, ...],
    unset: tuple[str, ...],
    **options: Any,
) -> None:
    """Pull the image of an app again, or change its image, variables or options.

    Variables and options that are not given keep their values.
    """
    variables = _parse_variables(assignments, env_files)
    if both := sorted(variables.keys() & set(unset)):
        raise InputError(f"{both[0]} is both set and unset", hint="omit one of the two")
    env = {**variables, **dict.fromkeys(unset)}
    _deployed(session, "deployed", client.redeploy(name, image=image, env=env or None, **options))


@click.command()
@_name
@_remote()
def rollback(session: Session, client: Client, *, name: str) -> None:
    """Replace an app by the release before the last deployment: its image, variables and options."""
    _deployed(session, "rolled-back", client.roll_back(name))


@click.command("list")
@_remote(needs_key=False)
def list_(session: Session, client: Client) -> None:
    """List the apps of a host. The key is needed only if the host requires it."""
    found = client.apps()
    rows: list[tuple[str, ...]] = [
        (each.name, "running" if each.is_running else "stopped", each.image, ", ".join(each.domains)) for each in found
    ]
    header: tuple[str, ...] = ("NAME", "STATUS", "IMAGE", "DOMAINS")
    if any(each.tls_domains is not None for each in found):
        header = (*header, "TLS")
        rows = [(*row, _describe_tls(each)) for row, each in zip(rows, found, strict=True)]
    listing(session, header, rows, none=f"no apps at {client.url}")
    for each in found:
        session.output.record(
            {
                "type": "app",
                "name": each.name,
                "image": each.image,
                "domains": each.domains,
                "running": each.is_running,
                **each.details,
            }
        )
    done(session, "listed", changed=False, apps=len(found))


@click.command()
@_name
@_remote()
def get(session: Session, client: Client, *, name: str) -> None:
    """Show an app: its status, domains, limits and names of variables.

    healthy means that the app answers now, at its health path if it has one.
    """
    from exasol_ci_setup.cli.render import show
    from exasol_ci_setup.containers.hosted.options import format_size

    found = client.describe(name)
    formats = {"memory": format_size, "max_body": format_size, "timeout": "{}s".format}
    details(
        session,
        {key.replace("_", " "): show.clean(_to_text(value, formats.get(key, str))) for key, value in found.items()},
    )
    session.output.record({"type": "app", **found})
    done(session, "shown", changed=False, name=name)


@click.command()
@_name
@_remote()
def releases(session: Session, client: Client, *, name: str) -> None:
    """List the last releases of an app, newest first.

    Each deployment is a release. The changes are names of options and variables; values are not printed.
    """
    show_releases(
        session,
        client.releases(name),
        none=f"app {name} has no recorded release: an earlier version of the service deployed it",
    )


@click.command()
@_name
@click.option("--follow", "-f", is_flag=True, help="Continue with new lines until Ctrl-C.")
@click.option("--lines", type=int, default=100, show_default=True, metavar="N", help="Number of lines, at most 10000.")
@_remote()
def logs(session: Session, client: Client, *, name: str, follow: bool, lines: int) -> None:
    """Print the last lines of the log of an app."""
    from exasol_ci_setup.cli.render import show

    output = session.output
    count = 0
    for line in client.follow_logs(name, lines) if follow else client.logs(name, lines).splitlines():
        count += 1
        output.data(show.clean(line) if output.on_terminal else line)
        output.record({"type": "log", "message": line})
    if not count:
        output.say(f"app {name} has no log lines yet")
    done(session, "logged", changed=False, lines=count)


@click.command()
@_name
@_remote()
def stop(session: Session, client: Client, *, name: str) -> None:
    """Stop an app. Its domains and its data are kept."""
    client.act("/stop", name=name)
    _changed(session, "stopped", name)


@click.command()
@_name
@_remote()
def run(session: Session, client: Client, *, name: str) -> None:
    """Start a stopped app."""
    client.act("/run", name=name)
    _changed(session, "started", name)


@click.command("add-domain")
@_name
@click.argument("domain", metavar="DOMAIN")
@click.option("--force", is_flag=True, help="Also move a domain that belongs to another app.")
@_remote()
def add_domain(session: Session, client: Client, *, name: str, domain: str, force: bool) -> None:
    """Add a domain to an app. Its DNS record must point to the host."""
    client.act("/add_domain", name=name, domain=domain, force=force or None)
    _changed(session, "changed", name, f"added {domain} to app {name}")


@click.command("remove-domain")
@_name
@click.argument("domain", metavar="DOMAIN")
@_remote()
def remove_domain(session: Session, client: Client, *, name: str, domain: str) -> None:
    """Remove a domain from an app."""
    client.act("/remove_domain", name=name, domain=domain)
    _changed(session, "changed", name, f"removed {domain} from app {name}")


@click.command()
@_name
@click.option("--purge", is_flag=True, help="Also delete the data of the app in /save.")
@YES
@_remote()
def delete(session: Session, client: Client, *, name: str, purge: bool, yes: bool) -> None:
    """Delete an app. Its data is kept for a later app of that name, unless --purge is set."""
    data = " and its data in /save" if purge else ""
    require_yes(session, f"Delete app {name} at {client.url}{data}?", yes=yes)
    client.act("/delete", name=name, purge=purge or None)
    _changed(session, "deleted", name, f"deleted app {name}{data}")


@click.command()
@_url
@_key_file
@_wait
@_common
def login(session: Session, url: str, allow_http: bool, key_file: Path | None, wait: float) -> None:
    """Store the deploy key of a host in the keyring, after the host has accepted it.

    Without --key-file, the command prompts for the key and hides the input.
    """
    from exasol_ci_setup.cli.consent import require_terminal
    from exasol_ci_setup.containers.hosted import client, deploy_key

    address = client.parse_url(url, allow_http=allow_http)
    if key_file is None:
        require_terminal(
            session.output, needed="the deploy key is needed", hint="use --key-file PATH, or --key-file - for stdin"
        )
        key = deploy_key.check(click.prompt("Deploy key", hide_input=True, err=True), "the input")
    else:
        key = deploy_key.require(address, key_file, session.output.warn)
    client.Client(address, key, seconds=wait).check_key()
    keyring = deploy_key.store(address, key)
    session.output.say(f"stored the key of {address} in the keyring {keyring}")
    done(session, "stored", changed=True, url=address)


@click.command()
@_url
@_common
def logout(session: Session, url: str, allow_http: bool) -> None:
    """Delete the deploy key of a host from the keyring."""
    from exasol_ci_setup.containers.hosted import client, deploy_key

    address = client.parse_url(url, allow_http=allow_http)
    is_deleted = deploy_key.forget(address)
    session.output.say(f"{'deleted the key' if is_deleted else 'the keyring has no key'} of {address}")
    done(session, "deleted" if is_deleted else "unchanged", changed=is_deleted, url=address)


def _parse_variables(assignments: tuple[str, ...], env_files: tuple[Path, ...]) -> dict[str, str | None]:
    from exasol_ci_setup.builds.runner import variables

    return dict(variables.parse(assignments, env_files, os.environ))


def _describe_tls(app: App) -> str:
    """Return which domains of an app have a certificate."""
    domains = app.tls_domains or ()
    if not app.domains:
        return ""
    return "yes" if set(app.domains) <= set(domains) else ", ".join(domains) or "no"


def _to_text(value: Any, form: Callable[[int], str]) -> str:
    """Return a value of an answer as text, an integer by `form`; empty if it is missing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return form(value)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _deployed(session: Session, status: str, domain: str) -> None:
    session.output.data(f"Running on {domain}!")
    done(session, status, changed=True, domain=domain)


def _changed(session: Session, status: str, name: str, text: str = "") -> None:
    session.output.say(text or f"{status} app {name}")
    done(session, status, changed=True, name=name)


COMMANDS: Final = (
    deploy,
    redeploy,
    rollback,
    list_,
    get,
    releases,
    logs,
    stop,
    run,
    add_domain,
    remove_domain,
    delete,
    login,
    logout,
)
"""The commands, in the order of the help."""
