"""Stacks of spaces: find, describe, deploy and clean up; a new space gets a free priority for its rule."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.aws import log_events
from exasol_ci_setup.aws.session import for_optional_calls, translate_aws_errors
from exasol_ci_setup.constructs.load_balancer import routes_of
from exasol_ci_setup.constructs.space import SPACE_NAME
from exasol_ci_setup.core.errors import (
    DeployFailedError,
    NotApprovedError,
    PlanOutdatedError,
    SetupError,
    SpaceConflictError,
    SpaceNotFoundError,
)
from exasol_ci_setup.core.stacks import Change
from exasol_ci_setup.core.tags import TAG_PREFIX
from exasol_ci_setup.core.text import is_text
from exasol_ci_setup.platform import load_balancer, sizes
from exasol_ci_setup.platform.stacks import deploy, own_tags, preview
from exasol_ci_setup.stacks import routes, state
from exasol_ci_setup.stacks.plan import deployed_template

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.constructs import space as constructs
    from exasol_ci_setup.core.stacks import Plan, Stack
    from exasol_ci_setup.stacks.resources import Resource

_LOG_LINES: Final = 20
LOG_GROUP: Final = "LogGroup"
"""Logical ID of the log group of a space, which its template retains."""


@dataclass(frozen=True, slots=True)
class Space:
    """A deployed space.

    `status` is CloudFormation's status of its stack. `host` is the load balancer's name for a space without a domain; `url` has its port. `cpu` is in vCPUs, `memory` in MiB. `tags` are those of the user. `list` does not fill `env`, `secrets` (ARNs by variable),
    `extra_hosts` and `redirect_hosts`. Only `get` fills `desired` (wanted tasks) and `running` (running tasks).
    """

    name: str
    status: str
    host: str = ""
    url: str = ""
    dns_name: str = ""
    image: str = ""
    cpu: float = 0
    memory: int = 0
    port: int = 0
    stack_name: str = ""
    log_group: str = ""
    certificate_arn: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    running: int | None = None
    desired: int | None = None
    extra_hosts: tuple[str, ...] = ()
    redirect_hosts: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


def find(context: Context, name: str) -> Stack | None:
    """Return the stack of the space called `name`, or None, also for an invalid name."""
    if not is_text(name) or not re.fullmatch(SPACE_NAME, name):
        return None
    stack = state.find(context.account.client("cloudformation"), f"space-{name}")
    return stack if stack is not None and not state.is_absent(stack) and is_of_space(stack) else None


def require(context: Context, name: str) -> Stack:
    """Return the stack of the space called `name`. Raises SpaceNotFoundError."""
    stack = find(context, name)
    if stack is None:
        raise SpaceNotFoundError(
            f"space {name!r} does not exist in {context.account.region}",
            hint="list the spaces with `exasol-ci-setup space list`; check --region and --aws-profile",
        )
    return stack


def iter_stacks(context: Context) -> Iterator[Stack]:
    """Yield the stacks of all spaces, in the order of AWS."""
    for stack in state.own(context.account.client("cloudformation")):
        if is_of_space(stack) and not state.is_absent(stack):
            yield stack


def is_of_space(stack: Stack) -> bool:
    """Return whether the stack is a space of the platform commands; one with a scope belongs to a program."""
    return state.has_construct(stack, "Space") and stack.name == f"space-{stack.tags.get(f'{TAG_PREFIX}name')}"


def describe(stack: Stack) -> Space:
    """Return the space that the stack describes; an uncreated one has few values."""
    outputs = stack.outputs
    dns_name = outputs.get("DnsName", "")
    return Space(
        name=stack.tags[f"{TAG_PREFIX}name"],
        status=stack.status,
        host=outputs.get("Host", ""),
        url=_url(outputs, dns_name),
        dns_name=dns_name,
        image=outputs.get("Image", ""),
        cpu=int(outputs.get("Cpu", 0)) / sizes.UNITS,
        memory=int(outputs.get("Memory", 0)),
        port=int(outputs.get("Port", 0)),
        stack_name=stack.name,
        log_group=outputs.get("LogGroupName", ""),
        certificate_arn=outputs.get("CertificateArn", ""),
        tags=own_tags(stack),
    )


def _url(outputs: Mapping[str, str], dns_name: str) -> str:
    host = outputs.get("Host", "")
    if "ListenerPort" in outputs:
        return f"http://{host}:{outputs['ListenerPort']}/"
    # A space of an earlier version without a domain has a host below the load balancer's name, which DNS does not resolve.
    if not host or host.endswith(dns_name):
        return ""
    return f"{'https' if 'CertificateArn' in outputs else 'http'}://{host}/"


def metadata(context: Context, stack: Stack) -> Mapping[str, Any]:
    """Return the metadata of the template of a space: the fields that it was created from, and its releases."""
    found: Mapping[str, Any] = deployed_template(context.account.client("cloudformation"), stack.id)["Metadata"]
    return found


def record(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of the space in the metadata of its template."""
    fields: dict[str, Any] = json.loads(metadata["Space"])
    return fields


def require_unchanged(context: Context, stack: Stack, fields: Mapping[str, Any]) -> None:
    """Raise PlanOutdatedError if the space has other fields by now: a plan from `fields` would revert the change of another process."""
    found = state.find(context.cfn, stack.name)
    if found is None or found.id != stack.id or record(metadata(context, found)) != fields:
        name = stack.tags[f"{TAG_PREFIX}name"]
        raise PlanOutdatedError(f"space {name} was changed by another process", stack_name=stack.name)


def deploy_space(
    context: Context,
    space: constructs.Space,
    *,
    keep_number: bool = False,
    check: Callable[[Plan], Plan] = lambda plan: plan,
    tags: Mapping[str, str],
) -> Stack:
    """Deploy the load balancer if it has to change, then the space, with a free priority for its rule, or port for its listener.

    `keep_number` keeps that of the existing one. `check` and `tags` are as for `platform.stacks.deploy`. Raises PlanOutdatedError if another
    process changes the load balancer or takes the number meanwhile, NotApprovedError after both plans if plans are only shown, and the
    errors of a deployment.
    """
    try:
        balancer = load_balancer.ensure(context, space.load_balancer)
    except NotApprovedError:
        if context.plan_only:
            preview(
                context,
                space,
                why=f"based on the template alone: it uses outputs of {load_balancer.STACK_NAME}",
                tags=tags,
            )
        raise
    space = space.model_copy(update={"load_balancer": balancer})
    if not keep_number:
        space = space.model_copy(update=_free_number(context, space))
    try:
        return deploy(context, space, check, tags=tags)
    except DeployFailedError as error:
        if load_balancer.is_number_taken(error):
            taken = f"port {space.listener_port}" if space.host is None else f"priority {space.priority}"
            raise PlanOutdatedError(
                f"{taken} was taken by another space",
                hint="other spaces are being created: run the command again",
                stack_name=space.stack_name,
            ) from error
        _add_log(context, space, error)
        raise


def require_free_hosts(context: Context, balancer: Stack | None, space: constructs.Space) -> None:
    """Raise SpaceConflictError if a rule of another stack, or of no stack, has one of the hosts in the listener of `space`.

    `balancer` is the stack of the load balancer, or None before it exists.
    """
    listener = None if balancer is None or space.host is None else balancer.outputs.get(space.listener_output)
    if not listener:
        return
    hosts = routes_of((*space.hosts, *space.redirect_hosts), ())
    taken = routes.find_taken(context.account, listener, hosts, but={space.stack_name})
    if taken is None:
        return
    stack = state.find(context.cfn, taken.stack_name) if taken.stack_name else None
    if stack is None or not is_of_space(stack):
        raise SpaceConflictError(
            f"host {taken.route.host} is that of {routes.owner(taken)}", hint=f"use another host{routes.hint(taken)}"
        )
    name = stack.tags[f"{TAG_PREFIX}name"]
    raise SpaceConflictError(
        f"host {taken.route.host} is that of space {name!r}",
        hint=f"use another host; `exasol-ci-setup space get --name {name}` shows that space",
    )


def _free_number(context: Context, space: constructs.Space) -> dict[str, int]:
    """Return a free port for the listener of a space without a domain, or a free priority for the rule of another."""
    balancer = space.load_balancer
    if space.host is None:
        return {"listener_port": load_balancer.free_port(context, balancer.output("LoadBalancerArn"), space.name)}
    return {"priority": load_balancer.free_priority(context, balancer.output(space.listener_output), space.name)}


def with_logs(removal: Plan, found: Iterable[Resource]) -> Plan:
    """Return the deletion plan of a space's stack with its log group, which CloudFormation retains and `clean_up` deletes."""
    logs = (
        Change("Remove", each.logical_id, each.type, physical_id=each.physical_id, data_loss=True)
        for each in found
        if each.logical_id == LOG_GROUP and each.physical_id
    )
    return replace(removal, changes=(*removal.changes, *logs))


def clean_up(context: Context, stack: Stack) -> None:
    """Delete what CloudFormation retains of a deleted space: its logs, and its certificate if no other space uses it."""
    drop_logs(context, f"/ecs/{stack.name}/")
    if "CertificateArn" in stack.outputs:
        drop_certificate(context, stack.outputs["CertificateArn"])


def drop_logs(context: Context, prefix: str, *, keep: str = "") -> None:
    """Delete the retained log groups of a space, also those of failed creations, except `keep`."""
    for group in _log_groups(context, prefix):
        if group != keep:
            with translate_aws_errors():
                context.account.client("logs").delete_log_group(logGroupName=group)


def log_group(stack: Stack) -> str:
    """Return the name of the log group of a space, also while its stack is being created."""
    return f"/ecs/{stack.name}/{stack.id.split('/')[2]}"


def kept_log_groups(context: Context, name: str) -> list[str]:
    """Return the log groups of failed creations of a space that does not exist, oldest first; none for an invalid name."""
    return _log_groups(context, f"/ecs/space-{name}/") if is_text(name) and re.fullmatch(SPACE_NAME, name) else []


def _log_groups(context: Context, prefix: str) -> list[str]:
    """Return the names of the log groups that begin with `prefix`, oldest first."""
    with translate_aws_errors():
        pages = context.account.client("logs").get_paginator("describe_log_groups").paginate(logGroupNamePrefix=prefix)
        found = [group for page in pages for group in page["logGroups"]]
    return [group["logGroupName"] for group in sorted(found, key=lambda group: group["creationTime"])]


def with_log(
    context: Context, error: DeployFailedError, group: str, details: tuple[str, ...] = ()
) -> DeployFailedError:
    """Return the error with these details, and with the last lines of the log unless the details have some."""
    details = (*error.diagnosis.details, *details)
    if not any(" wrote: " in line for line in details):
        with suppress(SetupError):
            found = log_events.last(for_optional_calls(context.account.client("logs")), group, _LOG_LINES)
            details += tuple(f"the container wrote: {line.message}" for line in found)
    error.diagnosis = replace(error.diagnosis, details=details)
    return error


def _add_log(context: Context, space: constructs.Space, error: DeployFailedError) -> None:
    """Add the last lines of the container to an error of the service, and to its hint the command that prints the log."""
    if error.diagnosis.type != "AWS::ECS::Service":
        return
    with suppress(SetupError):
        for group in _log_groups(context, space.log_group_prefix)[-1:]:
            with_log(context, error, group)
            error.hint = f"see the output of the container with `exasol-ci-setup space logs --name {space.name}`\n{error.hint}".rstrip()


def drop_certificate(context: Context, certificate_arn: str) -> None:
    """Remove a certificate from the load balancer unless another space uses it."""
    balancer = load_balancer.find(context)
    if balancer is not None and "HttpsListenerArn" in balancer.outputs:
        used = {
            balancer.outputs["CertificateArn"],
            *(stack.outputs.get("CertificateArn", "") for stack in iter_stacks(context)),
        }
        load_balancer.drop_certificate(context, balancer.outputs["HttpsListenerArn"], certificate_arn, used=used)
