"""Spaces: containers that run under host names, on Fargate behind a shared load balancer."""

from __future__ import annotations

from exasol_ci_setup.aws.log_events import LogLine
from exasol_ci_setup.platform.space_add import add
from exasol_ci_setup.platform.space_cost import cost
from exasol_ci_setup.platform.space_exec import run as execute
from exasol_ci_setup.platform.space_tasks import logs, restart
from exasol_ci_setup.platform.spaces import Release, Space, create, delete, get, list, releases, rollback, update  # noqa: A004 - the commands' names

__all__ = [
    "LogLine",
    "Release",
    "Space",
    "add",
    "cost",
    "create",
    "delete",
    "execute",
    "get",
    "list",
    "logs",
    "releases",
    "restart",
    "rollback",
    "update",
]
