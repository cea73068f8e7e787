"""What the server of forks prepares once for all programs that tests run in terminals: imports, AWS's models, and no garbage to search."""

from __future__ import annotations

import gc
from importlib import import_module

from exasol_ci_setup.aws.session import connect

for _name in ("main", "deployment", "fleet_run", "platform", "program_run", "render.live", "commands.stacks"):
    import_module(f"exasol_ci_setup.cli.{_name}")
import_module("rich.live")
_account = connect(region="eu-central-1", endpoint_url="http://127.0.0.1:1", access_key=("prepared", "prepared"))
for _service in ("cloudformation", "ecr", "s3", "sts"):
    _account.make(_service)
gc.collect()
gc.freeze()
