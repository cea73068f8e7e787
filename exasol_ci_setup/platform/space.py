"""Spaces: containers that run under host names, on Fargate behind a shared load balancer."""

from __future__ import annotations

from exasol_ci_setup.platform.space_add import add
from exasol_ci_setup.platform.spaces import Space, create, delete, get, list, update  # noqa: A004 - the commands' names

__all__ = ["Space", "add", "create", "delete", "get", "list", "update"]
