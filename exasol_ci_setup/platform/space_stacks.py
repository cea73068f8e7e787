"""Stacks of spaces: find, describe, deploy and clean up; a new space gets a free priority for its rule."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.aws.session import translate_aws_errors
from exasol_ci_setup.constructs.space import SPACE_NAME
from exasol_ci_setup.core.errors import (
    DeployFailedError,
    NotApprovedError,
    PlanOutdatedError,
    SetupError,
    SpaceNotFoundError,
)
from exasol_ci_setup.core.stacks import Change
from exasol_ci_setup.core.tags import TAG_PREFIX
from exasol_ci_setup.platform import load_balancer, sizes
from exasol_ci_setup.platform.stacks import deploy, preview
from exasol_ci_setup.stacks import state
from exasol_ci_setup.stacks.plan import deployed_template

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.constructs import space as constructs
    from exasol_ci_setup.core.stacks import Plan, Stack
    from exasol_ci_setup.stacks.resources import Resource

LOG_GROUP: Final = "LogGroup"
"""Logical ID of the log group of a space, which its template retains."""


@dataclass(frozen=True, slots=True)
class Space:
    """A deploy_space space.

    `status` is CloudFormation's status of its stack. `url` is empty if no DNS name points to it; then use
    ``curl -H "Host: HOST" http://DNS_NAME/``. `cpu` is in vCPUs, `memory` in MiB. Only `get` fills `env`, `secrets` (ARNs by variable),
    `desired` (wanted tasks) and `running` (running tasks).
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


def find(context: Context, name: str) -> Stack | None:
    """Return the stack of the space called `name`, or None, also for an invalid name."""
    if not re.fullmatch(SPACE_NAME, name):
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
    tags = stack.tags
    return (
        tags.get(f"{TAG_PREFIX}construct") == "Space"
        and f"{TAG_PREFIX}scope" not in tags
        and stack.name == f"space-{tags.get(f'{TAG_PREFIX}name')}"
    )


def describe(stack: Stack) -> Space:
    """Return the space that the stack describes; an uncreated one has few values."""
    outputs = stack.outputs
    host, dns_name = outputs.get("Host", ""), outputs.get("DnsName", "")
    scheme = "https" if "CertificateArn" in outputs else "http"
    return Space(
        name=stack.tags[f"{TAG_PREFIX}name"],
        status=stack.status,
        host=host,
        url="" if not host or host.endswith(dns_name) else f"{scheme}://{host}/",
        dns_name=dns_name,
        image=outputs.get("Image", ""),
        cpu=int(outputs.get("Cpu", 0)) / sizes.UNITS,
        memory=int(outputs.get("Memory", 0)),
        port=int(outputs.get("Port", 0)),
        stack_name=stack.name,
        log_group=outputs.get("LogGroupName", ""),
        certificate_arn=outputs.get("CertificateArn", ""),
    )


def record(context: Context, stack: Stack) -> dict[str, Any]:
    """Return the fields of the space that its stack was created from."""
    template = deployed_template(context.account.client("cloudformation"), stack.id)
    fields: dict[str, Any] = json.loads(template["Metadata"]["Space"])
    return fields


def require_unchanged(context: Context, stack: Stack, fields: Mapping[str, Any]) -> None:
    """Raise PlanOutdatedError if the space has other fields by now: a plan from `fields` would revert the change of another process."""
    found = state.find(context.cfn, stack.name)
    if found is None or found.id != stack.id or record(context, found) != fields:
        name = stack.tags[f"{TAG_PREFIX}name"]
        raise PlanOutdatedError(f"space {name} was changed by another process", stack_name=stack.name)


def deploy_space(
    context: Context,
    space: constructs.Space,
    *,
    keep_priority: bool = False,
    check: Callable[[Plan], Plan] = lambda plan: plan,
) -> Stack:
    """Deploy the load balancer if it has to change, then the space, with a free priority for its rule.

    `keep_priority` keeps the priority of the existing rule. `check` is as for `platform.stacks.deploy`. Raises PlanOutdatedError if another
    process changes the load balancer or takes the priority meanwhile, NotApprovedError after both plans if plans are only shown, and the
    errors of a deployment.
    """
    try:
        balancer = load_balancer.ensure(context, space.load_balancer)
    except NotApprovedError:
        if context.plan_only:
            preview(context, space, why=f"based on the template alone: it uses outputs of {load_balancer.STACK_NAME}")
        raise
    space = space.model_copy(update={"load_balancer": balancer})
    listener = balancer.output(space.listener_output)
    if not keep_priority:
        priority = load_balancer.free_priority(context, listener, space.name)
        space = space.model_copy(update={"priority": priority})
    try:
        return deploy(context, space, check)
    except DeployFailedError as error:
        if load_balancer.is_priority_taken(error):
            raise PlanOutdatedError(
                f"priority {space.priority} was taken by another space",
                hint="other spaces are being created: run the command again",
                stack_name=space.stack_name,
            ) from error
        _hint_at_logs(context, space, error)
        raise


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


def _log_groups(context: Context, prefix: str) -> list[str]:
    """Return the names of the log groups that begin with `prefix`, oldest first."""
    with translate_aws_errors():
        pages = context.account.client("logs").get_paginator("describe_log_groups").paginate(logGroupNamePrefix=prefix)
        found = [group for page in pages for group in page["logGroups"]]
    return [group["logGroupName"] for group in sorted(found, key=lambda group: group["creationTime"])]


def _hint_at_logs(context: Context, space: constructs.Space, error: DeployFailedError) -> None:
    """Add the command that prints the output of the container to the hint of the error."""
    if error.diagnosis.type != "AWS::ECS::Service":
        return
    with suppress(SetupError):
        for group in _log_groups(context, space.log_group_prefix)[-1:]:
            error.hint = f"see the output of the container with `aws logs tail {group}`\n{error.hint}".rstrip()


def drop_certificate(context: Context, certificate_arn: str) -> None:
    """Remove a certificate from the load balancer unless another space uses it."""
    balancer = load_balancer.find(context)
    if balancer is not None and "HttpsListenerArn" in balancer.outputs:
        used = {
            balancer.outputs["CertificateArn"],
            *(stack.outputs.get("CertificateArn", "") for stack in iter_stacks(context)),
        }
        load_balancer.drop_certificate(context, balancer.outputs["HttpsListenerArn"], certificate_arn, used=used)
