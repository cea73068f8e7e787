"""What constructs call to act: deployments, source archives, image builds, logs, and commands on instances."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exasol_ci_setup.programs.actions.build import build
from exasol_ci_setup.programs.actions.instances import public_ip, run_commands
from exasol_ci_setup.programs.actions.logs import log
from exasol_ci_setup.programs.actions.sync import sync
from exasol_ci_setup.programs.actions.tasks import run_task
from exasol_ci_setup.programs.one_stack import cost, delete, diff, drift, import_resources, lint, plan, validate, watch
from exasol_ci_setup.programs.resolve import deploy
from exasol_ci_setup.programs.resolve import outputs_of as outputs

__all__ = [
    "build",
    "cost",
    "delete",
    "deploy",
    "diff",
    "drift",
    "import_resources",
    "lint",
    "log",
    "outputs",
    "plan",
    "public_ip",
    "run_commands",
    "run_task",
    "sync",
    "validate",
    "watch",
]

if TYPE_CHECKING:
    import sys
    from typing import cast

    from exasol_ci_setup.constructs.runtime import Runtime

    # mypy compares the functions above with the protocol.
    _: Runtime = cast("Runtime", sys.modules[__name__])
