"""The background process of a container manager, started by `daemon.start`."""

from __future__ import annotations

import argparse
import json
import logging
import os
import socket
import sys
from pathlib import Path

from exasol_ci_setup.containers.manager import config, serve
from exasol_ci_setup.core.errors import SetupError
from exasol_ci_setup.core.text import LOG_FORMAT


def main() -> None:
    """Detach, serve on the inherited socket, and report readiness or the error through the pipe."""
    parser = argparse.ArgumentParser(prog="python -m exasol_ci_setup.containers.manager")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--listening-fd", type=int, required=True)
    parser.add_argument("--ready-fd", type=int, required=True)
    parser.add_argument("--publish-address", required=True)
    parser.add_argument("--allow-host", action="append", default=[])
    arguments = parser.parse_args()
    # The caller waits only for this first process.
    if os.fork():
        os._exit(0)
    logging.basicConfig(format=LOG_FORMAT, level=logging.INFO)
    is_reported = False

    def report(**values: object) -> None:
        nonlocal is_reported
        if not is_reported:
            os.write(arguments.ready_fd, json.dumps(values).encode())
            os.close(arguments.ready_fd)
            is_reported = True

    try:
        left = serve.serve(
            config.load(arguments.config),
            socket.socket(fileno=arguments.listening_fd),
            lambda: report(pid=os.getpid()),
            file=arguments.file,
            hosts=arguments.allow_host,
            publish_address=arguments.publish_address,
        )
    except SetupError as error:
        logging.getLogger(__name__).error("%s", error)  # noqa: TRY400 - the reason is in the message
        report(message=error.message)
        sys.exit(error.exit_code)
    sys.exit(1 if left else 0)


if __name__ == "__main__":
    main()
