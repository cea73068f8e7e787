"""Stacks of spaces: find, describe, deploy and clean up; a new space gets a free priority for its rule."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.aws.session import translate_aws_errors
from exasol_ci_setup.constructs.space import SPACE_NAME
from exasol_ci_setup.core.errors import DeployFailedError, NotApprovedError, SetupError, SpaceNotFoundError
from exasol_ci_setup.core.tags import TAG_PREFIX
from exasol_ci_setup.platform import load_balancer, sizes
from exasol_ci_setup.platform.place import deploy, preview
from exasol_ci_setup.stacks import state
from exasol_ci_setup.stacks.model import Change
from exasol_ci_setup.stacks.plan import deployed_template

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from exasol_ci_setup.constructs import space as constructs
    from exasol_ci_setup.platform.place import Place, Report
    from exasol_ci_setup.stacks.model import Plan, Stack
    from exasol_ci_setup.stacks.resources import Resource

LOG_GROUP: Final = "LogGroup"
"""Logical ID of the log group of a space, which its template retains."""

# Attempts with another priority if other spaces take it first.
_TRIES: Final = 5


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


def find(place: Place, name: str) -> Stack | None:
    """Return the stack of the space called `name`, or None, also for an invalid name."""
    if not re.fullmatch(SPACE_NAME, name):
        return None
    stack = state.find(place.account.client("cloudformation"), f"space-{name}")
    return stack if stack is not None and not state.is_absent(stack) and is_of_space(stack) else None


def require(place: Place, name: str) -> Stack:
    """Return the stack of the space called `name`. Raises SpaceNotFoundError."""
    stack = find(place, name)
    if stack is None:
        raise SpaceNotFoundError(
            f"space {name!r} does not exist in {place.account.region}",
            hint="list the spaces with `exasol-ci-setup space list`; check --region and --aws-profile",
        )
    return stack


def iter_stacks(place: Place) -> Iterator[Stack]:
    """Yield the stacks of all spaces, in the order of AWS."""
    for stack in state.own(place.account.client("cloudformation")):
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


def record(place: Place, stack: Stack) -> dict[str, Any]:
    """Return the fields of the space that its stack was created from."""
    template = deployed_template(place.account.client("cloudformation"), stack.id)
    fields: dict[str, Any] = json.loads(template["Metadata"]["Space"])
    return fields


class OutdatedError(Exception):
    """A plan is based on an outdated state of a space."""


class Unchanged:
    """Rejects a plan that is based on outdated fields, since it would revert the change of another process; forwards everything else."""

    def __init__(self, place: Place, stack: Stack, fields: Mapping[str, Any]) -> None:
        self._place, self._stack, self._fields = place, stack, fields
        self.say, self.view, self.check = place.report.say, place.report.view, place.report.check

    def plan(self, plan: Plan, /) -> bool:
        """Ask for approval of the plan. Raises OutdatedError."""
        found = state.find(self._place.account.client("cloudformation"), self._stack.name)
        if found is None or found.id != self._stack.id or record(self._place, found) != self._fields:
            raise OutdatedError
        return self._place.report.plan(plan)


class Granted:
    """Marks in plans the access that the caller requested, by its message; forwards everything else."""

    def __init__(self, report: Report, messages: Collection[str]) -> None:
        self._report, self._messages = report, messages
        self.say, self.view, self.check = report.say, report.view, report.check

    def plan(self, plan: Plan, /) -> bool:
        """Ask for approval of the plan."""
        marked = (replace(each, granted=each.message in self._messages) for each in plan.broadenings)
        return self._report.plan(replace(plan, broadenings=tuple(marked)))


def deploy_space(place: Place, space: constructs.Space, *, keep_priority: bool = False) -> Stack:
    """Deploy the load balancer if it has to change, then the space, with a free priority for its rule.

    `keep_priority` keeps the priority of the existing rule. If another space takes the priority first, retry with another one. Raises
    NotApprovedError after both plans if plans are only shown, and the errors of a deployment.
    """
    try:
        balancer = load_balancer.ensure(place, space.load_balancer)
    except NotApprovedError:
        preview(place, space, why=f"based on the template alone: it uses outputs of {load_balancer.STACK_NAME}")
        raise
    space = space.model_copy(update={"load_balancer": balancer})
    listener = balancer.output(space.listener_output)
    for remaining in reversed(range(_TRIES)):
        if not keep_priority:
            priority = load_balancer.free_priority(place, listener, space.name)
            space = space.model_copy(update={"priority": priority})
        try:
            return deploy(place, space)
        except DeployFailedError as error:
            if not load_balancer.is_priority_taken(error):
                _hint_at_logs(place, space, error)
                raise
            if not remaining:
                error.hint = "other spaces are being created: run the command again"
                raise
            place.report.say(f"priority {space.priority} was taken by another space: retrying with another one")
            keep_priority = False
    raise AssertionError  # pragma: no cover - the last attempt returns or raises


def with_logs(removal: Plan, found: Iterable[Resource]) -> Plan:
    """Return the deletion plan of a space's stack with its log group, which CloudFormation retains and `clean_up` deletes."""
    logs = (
        Change("Remove", each.logical_id, each.type, physical_id=each.physical_id, data_loss=True)
        for each in found
        if each.logical_id == LOG_GROUP and each.physical_id
    )
    return replace(removal, changes=(*removal.changes, *logs))


def clean_up(place: Place, stack: Stack) -> None:
    """Delete what CloudFormation retains of a deleted space: its logs, and its certificate if no other space uses it."""
    drop_logs(place, f"/ecs/{stack.name}/")
    if "CertificateArn" in stack.outputs:
        drop_certificate(place, stack.outputs["CertificateArn"])


def drop_logs(place: Place, prefix: str, *, keep: str = "") -> None:
    """Delete the retained log groups of a space, also those of failed creations, except `keep`."""
    for group in _log_groups(place, prefix):
        if group != keep:
            with translate_aws_errors():
                place.account.client("logs").delete_log_group(logGroupName=group)


def _log_groups(place: Place, prefix: str) -> list[str]:
    """Return the names of the log groups that begin with `prefix`, oldest first."""
    with translate_aws_errors():
        pages = place.account.client("logs").get_paginator("describe_log_groups").paginate(logGroupNamePrefix=prefix)
        found = [group for page in pages for group in page["logGroups"]]
    return [group["logGroupName"] for group in sorted(found, key=lambda group: group["creationTime"])]


def _hint_at_logs(place: Place, space: constructs.Space, error: DeployFailedError) -> None:
    """Add the command that prints the output of the container to the hint of the error."""
    if error.diagnosis.type != "AWS::ECS::Service":
        return
    with suppress(SetupError):
        for group in _log_groups(place, space.log_group_prefix)[-1:]:
            error.hint = f"see the output of the container with `aws logs tail {group}`\n{error.hint}".rstrip()


def drop_certificate(place: Place, certificate_arn: str) -> None:
    """Remove a certificate from the load balancer unless another space uses it."""
    balancer = load_balancer.find(place)
    if balancer is not None and "HttpsListenerArn" in balancer.outputs:
        used = {
            balancer.outputs["CertificateArn"],
            *(stack.outputs.get("CertificateArn", "") for stack in iter_stacks(place)),
        }
        load_balancer.drop_certificate(place, balancer.outputs["HttpsListenerArn"], certificate_arn, used=used)
