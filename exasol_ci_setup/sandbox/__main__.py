"""Run the process of the sandbox: detach, serve until SIGTERM, save the state."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from exasol_ci_setup.sandbox.settings import Settings


def main() -> None:
    """Serve the sandbox of one state directory. `daemon.ensure` runs this with ``python -m``."""
    parser = argparse.ArgumentParser(prog="python -m exasol_ci_setup.sandbox")
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--port", type=int, action="append", default=[], help="tried in this order, then any free one")
    parser.add_argument(
        "--settings", type=Settings.from_json, default=Settings(), help="settings of the sandbox, as JSON"
    )
    parser.add_argument(
        "--ready-fd", type=int, required=True, help="receives a line and is closed when requests are served"
    )
    arguments = parser.parse_args()
    # The caller waits for this first process. The serving process has no parent, and so leaves no zombie.
    if os.fork():
        os._exit(0)
    from exasol_ci_setup.sandbox.server import serve_forever  # noqa: PLC0415 - after the fork: it imports half of the extra

    serve_forever(
        state_dir=arguments.state_dir,
        wanted_ports=arguments.port,
        settings=arguments.settings,
        ready_fd=arguments.ready_fd,
    )


if __name__ == "__main__":
    main()
