"""`container-manager`: run containers on request over HTTP, in the foreground or the background."""

from __future__ import annotations

import ipaddress
import logging
import os
import re
from pathlib import Path
from typing import Final

import click

from exasol_ci_setup.cli.session import Session, log_level_option, pass_session
from exasol_ci_setup.core.errors import EngineError, InputError

_PORT: Final = 4545
_LARGEST_PORT: Final = 65535


class FileAndPort(click.ParamType):  # type: ignore[type-arg] # generic only in newer releases of click
    """[FILE][:PORT]; converted to a path or None, and a port."""

    name = "file-and-port"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Path | None, int]:
        """Return file and port. An omitted port is 0, for a free port."""
        text = str(value)
        file, colon, port = text.rpartition(":") if ":" in text else (text, "", "")
        if not text or (colon and not (re.fullmatch("[0-9]{1,5}", port, re.ASCII) and int(port) <= _LARGEST_PORT)):
            self.fail(
                f"{text!r} is not of the form FILE, :PORT or FILE:PORT, with a port up to {_LARGEST_PORT}", param, ctx
            )
        if file.isdigit() and not colon:
            self.fail(f"{text!r} is ambiguous: write :{text} for a port, or ./{text} for a file", param, ctx)
        return Path(file) if file else None, int(port or 0)


class IpAddress(click.ParamType):  # type: ignore[type-arg] # as above
    """An IP address."""

    name = "address"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the address in its usual form."""
        try:
            return str(ipaddress.ip_address(str(value)))
        except ValueError:
            self.fail(f"{value!r} is not an IP address", param, ctx)


@click.command("container-manager")
@click.argument("target", metavar="[FILE][:PORT]", type=FileAndPort(), default=f":{_PORT}")
@click.option(
    "--config",
    "config_file",
    metavar="PATH",
    type=click.Path(path_type=Path),
    envvar=["CONTAINER_MANAGER_CONFIG", "HARPOON_CONFIG"],
    show_envvar=True,
    help="File with the images and their options.  [default: harpoon.yml, otherwise ~/.harpoonrc.yml or ~/.harpoon.yml]",
)
@click.option("--host", metavar="ADDRESS", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="Another accepted host name, besides localhost and IP addresses; may be repeated.",
)
@click.option(
    "--publish-address",
    metavar="ADDRESS",
    type=IpAddress(),
    default="127.0.0.1",
    show_default=True,
    help="Address of this machine for ports without an address; 0.0.0.0 publishes them on all.",
)
@click.option("--non-interactive", is_flag=True, expose_value=False, hidden=True, help="Accepted without effect.")
@pass_session
@log_level_option
def container_manager(
    session: Session,
    target: tuple[Path | None, int],
    config_file: Path | None,
    host: str,
    hosts: tuple[str, ...],
    publish_address: str,
) -> None:
    """Run containers on request over HTTP.

    The container manager builds the images of a configuration and starts their containers on request. Ctrl-C, SIGTERM or
    GET /shutdown ends it; it then stops and removes the containers. /docs describes its HTTP API.

    With FILE it runs in the background, and this command returns once it answers. FILE then has two lines, the port and the
    process ID, and is removed when the container manager ends. If PORT is omitted, it uses a free port. Without FILE it runs
    in the foreground.
    """
    from exasol_ci_setup.containers import extra

    extra.require()
    from exasol_ci_setup.containers.hosts import host_name
    from exasol_ci_setup.containers.manager import config, daemon, serve, sources
    from exasol_ci_setup.docker import engine

    file, port = target
    allowed = tuple(host_name(name) for name in hosts)
    config_file = sources.select_file(config_file)
    loaded = config.load(config_file)
    for option in loaded.unused:
        session.output.warn(f"{config_file}: {option} has no effect")
    if file is not None:
        _require_writable(file)
    engine.connect().close()
    if engine.is_remote(engine.address()) and ipaddress.ip_address(publish_address).is_loopback:
        session.output.warn(
            f"the Docker engine is on another host, which publishes ports on its {publish_address}: select an address that you can reach"
            " with --publish-address"
        )
    listening = serve.listen(host, port)
    with listening:
        where = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
        if file is not None:
            started = daemon.start(config_file, listening, file, hosts=allowed, publish_address=publish_address)
            session.output.say(
                f"the container manager runs at {where} (process {started.pid}); its log is {started.log_file}"
            )
            return
        # In the foreground the log of requests is the output of this command.
        for name in ("uvicorn.access", "exasol_ci_setup.containers"):
            logger = logging.getLogger(name)
            logger.setLevel(min(logger.getEffectiveLevel(), logging.INFO))
        errors = serve.serve(
            loaded,
            listening,
            lambda: session.output.say(f"the container manager runs at {where}"),
            hosts=allowed,
            publish_address=publish_address,
        )
    if errors:
        raise EngineError(f"some containers or networks could not be removed: {'; '.join(errors)}")


def _require_writable(file: Path) -> None:
    """Raise InputError if `file` cannot be written, as far as that can be checked in advance."""
    from exasol_ci_setup.core.files import is_stream

    directory = file.absolute().parent
    if file.is_dir():
        why = "it is a directory"
    elif is_stream(file):
        why = "it is a device, a pipe or a socket"
    elif not directory.is_dir():
        why = f"directory {directory} does not exist"
    elif not os.access(directory, os.W_OK):
        why = f"no permission to write to directory {directory}"
    else:
        return
    raise InputError(f"{file} cannot be written: {why}")
