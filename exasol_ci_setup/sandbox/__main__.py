"""The sandbox's own process: detaches, serves until SIGTERM, saves what it holds."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from exasol_ci_setup.sandbox.settings import Settings


def main() -> None:
    """Serve the sandbox of one state directory; `daemon.ensure` is what calls this, through ``python -m``."""
    parser = argparse.ArgumentParser(prog="python -m exasol_ci_setup.sandbox")
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--port", type=int, action="append", default=[], help="tried in this order, then any free one")
    parser.add_argument(
        "--settings", type=Settings.from_json, default=Settings(), help="what it is started with, as JSON"
    )
    parser.add_argument(
        "--ready-fd", type=int, required=True, help="closed after a line is written when requests are served"
    )
    arguments = parser.parse_args()
    # The caller waits for this first process only, so that the one that serves belongs to nobody and leaves no zombie.
    if os.fork():
        os._exit(0)
    from exasol_ci_setup.sandbox.server import serve_forever  # imports half of the extra

    serve_forever(
        state_dir=arguments.state_dir,
        ports=arguments.port,
        settings=arguments.settings,
        ready_fd=arguments.ready_fd,
    )


if __name__ == "__main__":
    main()
