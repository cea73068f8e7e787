"""The group `hosted`: serve the hosted API, and write its nginx and systemd files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from exasol_ci_setup.cli.commands import hosted_client
from exasol_ci_setup.cli.session import Session, log_level_option, output_option, pass_session
from exasol_ci_setup.cli.verbs import VerbGroup

# Without a default: environment variables are read by `Settings`, which also checks the values.
_state = click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="State directory: database, nginx files and certificates.  [default: (the working directory)]",
)
_private = click.option("--private", is_flag=True, default=None, help="Require the key to list apps.")
_ssl = click.option(
    "--ssl", is_flag=True, default=None, help="Get and renew a certificate for each domain with certbot."
)


@click.group(cls=VerbGroup)
def hosted() -> None:
    """Deploy apps to a host over HTTP, each in a container behind nginx.

    serve and init run on the host. The other commands send requests to it from any machine.
    """


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
@click.option("--domain", metavar="NAME", help="Parent domain of new apps.  [default: the host name of the request]")
@_private
@_ssl
@click.option(
    "--nginx",
    metavar="COMMAND",
    help="Command that runs nginx.  [default: nginx for root, otherwise sudo -n nginx]",
)
@click.option(
    "--answer-within",
    "answer_seconds",
    metavar="TIME",
    help="Time limit for the first answer of a new container.  [default: 60s]",
)
@click.option(
    "--drain",
    "drain_seconds",
    metavar="TIME",
    help="Time for a replaced container to answer open requests.  [default: 15 s more than the timeout of the app]",
)
@click.option(
    "--allow-host",
    "allow_hosts",
    multiple=True,
    metavar="NAME",
    help="Another accepted host name of the API, besides --domain, localhost and IP addresses; may be repeated.",
)
@click.option(
    "--max-body", metavar="SIZE", help="Largest body of a request to an app, if the app sets none.  [default: 100m]"
)
@click.option(
    "--timeout",
    metavar="TIME",
    help="Time without data after which nginx ends a request to an app, if the app sets none.  [default: 60s]",
)
@click.option("--memory", metavar="SIZE", help="Memory limit of an app, if the app sets none.  [default: 512m]")
@click.option("--cpus", metavar="N", help="Limit of processors of an app, if the app sets none.  [default: all]")
@click.option(
    "--pids", metavar="N", help="Limit of processes and threads of an app, if the app sets none.  [default: 512]"
)
@click.option(
    "--subnets",
    metavar="CIDR",
    help="Addresses for the networks of apps, 16 for each app.  [default: 10.213.0.0/16]",
)
@click.option("--workers", type=click.IntRange(1, 64), hidden=True, help="Ignored: one process serves all requests.")
@pass_session
@log_level_option
def serve(session: Session, path: Path | None, host: str, port: int, workers: int | None, **options: Any) -> None:
    """Serve the API until SIGTERM or Ctrl-C.

    The secret that callers send is in the environment variable DEPLOY_KEY, or in the systemd credential deploy_key. The command
    fails if it is missing.
    """
    from exasol_ci_setup.containers import extra

    extra.require()
    from exasol_ci_setup.containers.hosted import serve as server
    from exasol_ci_setup.containers.hosted.deploy_key import shared_warning
    from exasol_ci_setup.containers.hosted.settings import Settings, find_shared_credential

    if workers not in {None, 1}:
        session.output.warn("--workers has no effect: one process serves all requests")
    settings = Settings(**{name: value for name, value in options.items() if value != ()})
    if (file := find_shared_credential(os.environ)) is not None:
        session.output.warn(shared_warning(file))
    app = server.create(settings)
    listening_socket = server.unix_socket(path) if path is not None else server.tcp_socket(host, port)
    with listening_socket as listening, server.locked_state(settings):
        session.output.say(f"the hosted API listens on {path or f'http://{host}:{port}'}")
        server.serve(app, listening)


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
@pass_session
@output_option
def init(session: Session, user: str, into: Path, **options: Any) -> None:
    """Write the files that nginx and systemd need for the API, and a deploy key.

    The files are hosted.conf, hosted.service and hosted.key; the command prints the next steps. It keeps an existing key.
    """
    from exasol_ci_setup.containers import extra

    extra.require()
    from exasol_ci_setup.containers.hosted.deploy_key import shared_warning
    from exasol_ci_setup.containers.hosted.settings import Settings
    from exasol_ci_setup.containers.hosted.setup_files import KEY_FILE, next_steps, write
    from exasol_ci_setup.core.files import is_shared

    output = session.output
    settings = Settings(**options)
    for path in write(settings, user=user, into=into):
        output.data(str(path))
        output.record({"type": "file", "path": str(path)})
    if is_shared(into / KEY_FILE):
        output.warn(shared_warning(into / KEY_FILE))
    output.say("", *next_steps(settings, user=user, into=into))


for _command in hosted_client.COMMANDS:
    hosted.add_command(_command)
