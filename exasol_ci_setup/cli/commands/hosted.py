"""The group `hosted`: serve the hosted API, and write its nginx and systemd files."""

from __future__ import annotations

import math
import shlex
from pathlib import Path

import click

from exasol_ci_setup.cli.options import Duration
from exasol_ci_setup.cli.session import Session, log_level_option, output_option, pass_session
from exasol_ci_setup.core.errors import InputError

_state = click.option(
    "--state",
    envvar="EXASOL_CI_SETUP_HOSTED_STATE",
    type=click.Path(path_type=Path, file_okay=False),
    default=".",
    show_default="the working directory",
    metavar="DIR",
    help="State directory: database, nginx files and certificates.",
)
_private = click.option(
    "--private",
    envvar="EXASOL_CI_SETUP_HOSTED_PRIVATE",
    is_flag=True,
    help="Require the key to list apps.",
)
_ssl = click.option(
    "--ssl",
    envvar="EXASOL_CI_SETUP_HOSTED_SSL",
    is_flag=True,
    help="Get and renew a certificate for each domain with certbot.",
)


class Seconds(Duration):
    """A time with its unit, or a number of seconds, as in environment variables; converted to seconds."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds."""
        try:
            seconds = float(str(value))
        except ValueError:
            return super().convert(value, param, ctx)
        if not 0 < seconds < math.inf:
            self.fail(f"{value!r} is not a time: use a number above 0", param, ctx)
        return seconds


@click.group()
def hosted() -> None:
    """Deploy apps to this machine over HTTP, each in a container behind nginx."""


@hosted.command()
@click.option(
    "--socket",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="PATH",
    help="Listen on a Unix socket, for nginx.  [default: on --host and --port]",
)
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=4546, show_default=True, help="Port to listen on.")
@_state
@click.option(
    "--domain",
    envvar="EXASOL_CI_SETUP_HOSTED_DOMAIN",
    metavar="NAME",
    help="Parent domain of new apps.  [default: the host name of the request]",
)
@_private
@_ssl
@click.option(
    "--nginx",
    envvar="EXASOL_CI_SETUP_HOSTED_NGINX",
    metavar="COMMAND",
    help="Command that runs nginx.  [default: nginx for root, otherwise sudo -n nginx]",
)
@click.option(
    "--answer-within",
    type=Seconds(),
    envvar="EXASOL_CI_SETUP_HOSTED_ANSWER_SECONDS",
    default="60s",
    show_default=True,
    metavar="TIME",
    help="Time limit for the first answer of a new container.",
)
@click.option(
    "--drain",
    type=Seconds(),
    envvar="EXASOL_CI_SETUP_HOSTED_DRAIN_SECONDS",
    default="75s",
    show_default=True,
    metavar="TIME",
    help="Time for a replaced container to answer open requests.",
)
@click.option(
    "--allow-host",
    "hosts",
    envvar="EXASOL_CI_SETUP_HOSTED_ALLOW_HOSTS",
    multiple=True,
    metavar="NAME",
    help="Another accepted host name of the API, besides --domain, localhost and IP addresses; may be repeated.",
)
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Number of worker processes.")
@log_level_option
@pass_session
def serve(
    session: Session,
    path: Path | None,
    host: str,
    port: int,
    state: Path,
    domain: str | None,
    private: bool,
    ssl: bool,
    nginx: str | None,
    answer_within: float,
    drain: float,
    hosts: tuple[str, ...],
    workers: int,
) -> None:
    """Serve the API until SIGTERM or Ctrl-C.

    The secret that callers send is in the environment variable DEPLOY_KEY, or in the systemd credential deploy_key. The command
    fails if it is missing.
    """
    from exasol_ci_setup.containers import extra
    from exasol_ci_setup.containers.hosted.settings import Settings

    extra.require()
    from exasol_ci_setup.containers.hosted import serve as server

    try:
        command = tuple(shlex.split(nginx or ""))
    except ValueError as error:
        raise InputError(f"--nginx {nginx!r} is not a command: {error}") from error
    settings = Settings(
        state=state,
        domain=domain,
        private=private,
        ssl=ssl,
        nginx=command,
        answer_seconds=answer_within,
        drain_seconds=drain,
        allow_hosts=hosts,
    )
    server.check(settings)
    listening_socket = server.unix_socket(path) if path is not None else server.tcp_socket(host, port)
    with listening_socket as listening:
        session.output.say(f"the hosted API listens on {path or f'http://{host}:{port}'}")
        server.serve(settings, listening, workers=workers)


@hosted.command()
@click.option("--domain", required=True, metavar="NAME", help="Domain of the API, and parent domain of new apps.")
@_state
@click.option("--user", default="hosted", show_default=True, metavar="NAME", help="User that the service runs as.")
@_private
@_ssl
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    default=".",
    show_default="the working directory",
    metavar="DIR",
    help="Directory for the files.",
)
@output_option
@pass_session
def init(session: Session, domain: str, state: Path, user: str, private: bool, ssl: bool, into: Path) -> None:
    """Write the files that nginx and systemd need for the API, and a deploy key.

    The files are hosted.conf, hosted.service and hosted.key; the command prints the next steps. It keeps an existing key.
    """
    from exasol_ci_setup.containers.hosted.settings import Settings
    from exasol_ci_setup.containers.hosted.setup_files import next_steps, write

    output = session.output
    settings = Settings(state=state, domain=domain, private=private, ssl=ssl)
    for path in write(settings, user=user, into=into):
        output.data(str(path))
        output.record({"type": "file", "path": str(path)})
    output.say("", *next_steps(settings, user=user, into=into))
