"""Deployed instances: their current public address, and commands on them."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from exasol_ci_setup.aws.session import ignore_aws_errors
from exasol_ci_setup.constructs.placeholders import placeholder, placeholders_in, require_current
from exasol_ci_setup.constructs.runtime import CommandResult
from exasol_ci_setup.core.errors import InputError, SSHError, StackError
from exasol_ci_setup.core.files import state_directory
from exasol_ci_setup.programs import actions
from exasol_ci_setup.ssh import connect as connections
from exasol_ci_setup.ssh.connect import Host
from exasol_ci_setup.ssh.known_hosts import KnownHosts
from exasol_ci_setup.ssh.run import redact, run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mypy_boto3_ec2 import EC2Client

    from exasol_ci_setup.constructs.compute import Instance
    from exasol_ci_setup.constructs.runtime import Login
    from exasol_ci_setup.core.clock import Clock


def public_ip(instance: Instance) -> str:
    """Return the current public address of an instance. The stack's output has the address at its last update.

    In a dry run it is the output. Raises InputError if the instance is not deployed, StackError if it has no address, and the errors of the
    AWS boundary.
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-instance-addressing.html
    """
    runtime = actions.current()
    if runtime.is_dry_run:
        return instance.output("PublicIp")
    instance_id = instance.output("InstanceId")
    found = _describe(runtime.connect(instance.resolved_scope).client("ec2"), instance_id)
    address = found.get("PublicIpAddress")
    if address:
        return str(address)
    status = found.get("State", {}).get("Name", "missing")
    raise StackError(
        f"Instance {instance.name!r} has no public address: {instance_id} is {status}",
        hint=_hint(instance, instance_id, status),
        stack_name=instance.stack_name,
    )


def _describe(ec2: EC2Client, instance_id: str) -> Any:
    reservations: list[Any] = []
    with ignore_aws_errors("InvalidInstanceID.NotFound"):
        reservations += ec2.describe_instances(InstanceIds=[instance_id])["Reservations"]
    return next((each for reservation in reservations for each in reservation["Instances"]), {})


def _hint(instance: Instance, instance_id: str, status: str) -> str:
    options = f"--instance-ids {instance_id} --region {instance.resolved_scope.region}"
    if status in {"stopped", "stopping"}:
        return f"start it, which assigns a new address: `aws ec2 start-instances {options}`"
    if status in {"pending", "running"}:
        return f"check its interfaces: `aws ec2 describe-instances {options}`"
    return (
        "it was terminated outside of CloudFormation: "
        f"`exasol-ci-setup drift {instance.stack_name} --region {instance.resolved_scope.region}` shows what is missing"
    )


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
            require_current(placeholders_in(command), f"a command on Instance {instance.name!r}")
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
