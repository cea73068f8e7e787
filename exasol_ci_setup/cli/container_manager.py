"""The command `container-manager`: containers on request over HTTP, in the foreground or in the background."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import Final

import click

from exasol_ci_setup.cli.session import Session, log_level_option, pass_session
from exasol_ci_setup.errors import EngineError, InputError

_PORT: Final = 4545
_LARGEST_PORT: Final = 65535


class Place(click.ParamType):  # type: ignore[type-arg] # generic only in newer releases of click
    """[FILE][:PORT]; converted to a path or None, and a port."""

    name = "place"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Path | None, int]:
        """Return file and port; without a port, 0 for a free one."""
        text = str(value)
        file, colon, port = text.rpartition(":") if ":" in text else (text, "", "")
        if not text or (colon and not (re.fullmatch("[0-9]{1,5}", port, re.ASCII) and int(port) <= _LARGEST_PORT)):
            self.fail(
                f"{text!r} is not of the form FILE, :PORT or FILE:PORT, with a port up to {_LARGEST_PORT}", param, ctx
            )
        if file.isdigit() and not colon:
            self.fail(
                f"{text!r} would be the name of a file: write :{text} for a port, or ./{text} for a file", param, ctx
            )
        return Path(file) if file else None, int(port or 0)


@click.command("container-manager")
@click.argument("place", metavar="[FILE][:PORT]", type=Place(), default=f":{_PORT}")
@click.option(
    "--config",
    "config_file",
    metavar="PATH",
    type=click.Path(path_type=Path),
    envvar="CONTAINER_MANAGER_CONFIG",
    default="harpoon.yml",
    show_default=True,
    show_envvar=True,
    help="The images and their options.",
)
@click.option("--host", metavar="ADDRESS", default="127.0.0.1", show_default=True, help="Where it listens.")
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="Further host name under which it may be reached, besides localhost and IP addresses.",
)
@click.option("--non-interactive", is_flag=True, expose_value=False, hidden=True, help="Accepted, as it never asks.")
@log_level_option
@pass_session
def container_manager(
    session: Session, place: tuple[Path | None, int], config_file: Path, host: str, hosts: tuple[str, ...]
) -> None:
    """Run containers on request over HTTP.

    It builds the images of a configuration, starts their containers when they are asked for, and stops and removes them at the end:
    by Ctrl-C, SIGTERM, or a GET of /shutdown. What it answers to is described at /docs.

    With FILE it runs in the background, and this command returns when it answers; FILE then has its port and its process id, each on a
    line, and is removed when it ends. Without a port it takes a free one. Without FILE it runs in the foreground.
    """
    from exasol_ci_setup.containers import engine

    engine.require_extra()
    from exasol_ci_setup.containers.hosts import host_name
    from exasol_ci_setup.containers.manager import config, daemon, serve

    file, port = place
    allowed = tuple(host_name(name) for name in hosts)
    loaded = config.load(config_file)
    if file is not None:
        _require_place_for(file)
    engine.connect().close()
    listening = serve.listen(host, port)
    with listening:
        where = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
        if file is not None:
            started = daemon.start(config_file, listening, file, hosts=allowed)
            session.output.say(
                f"the container manager runs at {where} (process {started.pid}), and writes to {started.log_file}"
            )
            return
        # Its requests, and what it does for them, are what it has to say in the foreground.
        for name in ("uvicorn.access", "exasol_ci_setup.containers"):
            logger = logging.getLogger(name)
            logger.setLevel(min(logger.getEffectiveLevel(), logging.INFO))
        left = serve.serve(
            loaded, listening, lambda: session.output.say(f"the container manager runs at {where}"), hosts=allowed
        )
    if left:
        raise EngineError(f"not everything could be removed: {'; '.join(left)}")


def _require_place_for(file: Path) -> None:
    """Raise InputError unless the file can be written, as far as that is known before."""
    from exasol_ci_setup.whole_file import is_stream

    folder = file.absolute().parent
    if file.is_dir():
        why = "it is a folder"
    elif is_stream(file):
        why = "it is a device, a pipe or a socket"
    elif not folder.is_dir():
        why = f"there is no folder {folder}"
    elif not os.access(folder, os.W_OK):
        why = f"the folder {folder} is not yours to write to"
    else:
        return
    raise InputError(f"{file} cannot be written: {why}")
