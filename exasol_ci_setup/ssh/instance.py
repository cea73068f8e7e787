"""Commands on an instance that is deployed: what `Instance.run_command` and `run_commands` do."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from exasol_ci_setup import actions
from exasol_ci_setup.constructs.placeholders import placeholder
from exasol_ci_setup.errors import InputError, SSHError
from exasol_ci_setup.ssh import connect as connections
from exasol_ci_setup.ssh.connect import Host
from exasol_ci_setup.ssh.known_hosts import KnownHosts, state_directory
from exasol_ci_setup.ssh.run import CommandResult, run, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from exasol_ci_setup.clock import Clock
    from exasol_ci_setup.constructs.compute import Instance


def run_all(
    instance: Instance,
    commands: Iterable[str],
    *,
    user: str,
    port: int,
    timeout: float | None,
    patience: float,
    jump: str | None,
    clock: Clock | None = None,
) -> Iterator[CommandResult]:
    """Run the commands one after the other over one connection, and yield what became of each; `timeout` counts for each.

    Where actions are only announced, nothing is done, and all commands end well with a placeholder for what they write. Raises InputError
    if the instance is not deployed, SSHError if it is one of the sandbox, and the errors of `connect` and of `run`.
    """
    address = instance.public_ip
    stage = actions.current()
    if not stage.acts:
        for command in commands:
            stage.say(f"instance {instance.name}: would run {shown(command)}")
            stdout = placeholder(instance, what="stdout of a command")
            yield CommandResult(command=command, stdout=stdout, stderr="", exit_status=0)
        return
    if timeout is not None and timeout <= 0:
        raise InputError(f"a command cannot end within {timeout:g} s", hint="give a timeout above 0, or None for none")
    # Under its id: the address of an instance may go to another one, and an instance may get another address.
    target = Host(address, user, port, name=instance.output("InstanceId"))
    route = [*(connections.jumps(jump, user) if jump else ()), target]
    if not all(stage.may_log_in_to(host.address, instance.own_scope) for host in route):
        raise SSHError(
            f"Instance {instance.name!r} cannot run a command: an instance in the sandbox runs nothing",
            hint="nothing was connected to; deploy it to AWS to run commands on it",
        )
    with ExitStack() as stack:
        transport = connections.connect(
            route,
            key_file=instance.private_key_file,
            known_hosts=KnownHosts(state_directory() / instance.own_scope.name),
            clock=clock or stage.clock,
            stack=stack,
            patience=patience,
        )
        for command in commands:
            yield run(transport, command, host=str(target), timeout=timeout)
