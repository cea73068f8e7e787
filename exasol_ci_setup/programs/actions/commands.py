"""Commands on a deployed instance, for `Instance.run_command` and `Instance.run_commands`."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from exasol_ci_setup.constructs.placeholders import placeholder
from exasol_ci_setup.constructs.runtime import CommandResult
from exasol_ci_setup.core.errors import InputError, SSHError
from exasol_ci_setup.core.files import state_directory
from exasol_ci_setup.programs import actions
from exasol_ci_setup.ssh import connect as connections
from exasol_ci_setup.ssh.connect import Host
from exasol_ci_setup.ssh.known_hosts import KnownHosts
from exasol_ci_setup.ssh.run import redact, run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from exasol_ci_setup.constructs.compute import Instance
    from exasol_ci_setup.constructs.runtime import Login
    from exasol_ci_setup.core.clock import Clock


def run_commands(
    instance: Instance,
    commands: Iterable[str],
    login: Login,
    *,
    clock: Clock | None = None,
) -> Iterator[CommandResult]:
    """Run the commands sequentially over one connection, and yield the result of each.

    In a dry run, no command runs: each result has exit status 0 and a placeholder as `stdout`. Raises InputError if the instance
    is not deployed, SSHError for an instance in the sandbox, and the errors of `connect` and `run`.
    """
    address = instance.private_ip if instance.private else instance.public_ip
    runtime = actions.current()
    if runtime.is_dry_run:
        for command in commands:
            runtime.say(f"instance {instance.name}: would run {redact(command)}")
            stdout = placeholder(instance, what="stdout of a command")
            yield CommandResult(command=command, stdout=stdout, stderr="", exit_status=0)
        return
    if login.timeout is not None and login.timeout <= 0:
        raise InputError(
            f"timeout {login.timeout:g} is invalid: it must be above 0 s",
            hint="use a timeout above 0, or None for no timeout",
        )
    # The key is pinned under the ID, because addresses change.
    target = Host(address, login.user, login.port, name=instance.output("InstanceId"))
    route = [*(connections.parse_jumps(login.jump, login.user) if login.jump else ()), target]
    if not all(runtime.may_log_in_to(host.address, instance.resolved_scope) for host in route):
        raise SSHError(
            f"Instance {instance.name!r} cannot run a command: instances in the sandbox run no commands",
            hint="deploy it to AWS to run commands on it",
        )
    with ExitStack() as stack:
        transport = connections.connect(
            route,
            key_file=instance.private_key_file,
            known_hosts=KnownHosts(state_directory("known_hosts") / instance.resolved_scope.name),
            clock=clock or runtime.clock,
            stack=stack,
            boot_timeout=login.boot_timeout,
        )
        for command in commands:
            yield run(transport, command, host=str(target), timeout=login.timeout)
