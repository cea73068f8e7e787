"""`cluster.log(service)`: the last log lines of a service's containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exasol_ci_setup.aws import log_events
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.programs import actions

if TYPE_CHECKING:
    from exasol_ci_setup.aws.log_events import LogLine
    from exasol_ci_setup.constructs.service import Cluster, Service


def log(cluster: Cluster, service: Service | str, lines: int = 100) -> list[str]:
    """Return the last `lines` log lines of a service, oldest first; an empty list without any.

    They come from the tasks with the most recent lines; each task has its own stream. Raises InputError if the cluster has no such service or
    is not deployed, and the errors of the AWS boundary.
    """
    if not 1 <= lines <= log_events.MOST_LINES:
        raise InputError(f"invalid number of log lines: {lines}", hint=f"use 1 to {log_events.MOST_LINES}")
    found = service_of(cluster, service)
    runtime = actions.current()
    if runtime.is_dry_run:
        runtime.say(f"cluster {cluster.name}: the log of {found.name} would be read")
        return []
    group = cluster.output(f"{found.logical_id}LogGroupName")
    logs = runtime.connect(cluster.resolved_scope).client("logs")
    return [_text(line) for line in log_events.last(logs, group, lines)]


def service_of(cluster: Cluster, service: Service | str) -> Service:
    """Return the service of a cluster. Raises InputError if the cluster has no such service."""
    name = service if isinstance(service, str) else service.name
    found = next((each for each in cluster.services if each.name == name), None)
    if found is None:
        names = ", ".join(each.name for each in cluster.services)
        raise InputError(f"Cluster {cluster.name!r} has no service {name!r}", hint=f"its services: {names}")
    return found


def _text(line: LogLine) -> str:
    return f"{line.at:%Y-%m-%dT%H:%M:%S}.{line.at.microsecond // 1000:03d}Z {line.message}"
