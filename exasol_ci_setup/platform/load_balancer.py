"""The load balancer that all spaces of an account and region share: created with the first space; its certificates and rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exasol_ci_setup.aws.session import translate_aws_errors
from exasol_ci_setup.constructs.base import build
from exasol_ci_setup.constructs.load_balancer import LoadBalancer
from exasol_ci_setup.constructs.space import PORTS, preferred
from exasol_ci_setup.core.errors import DeployFailedError, PlanOutdatedError, SpaceRequestError
from exasol_ci_setup.core.stacks import ABSENT
from exasol_ci_setup.platform.stacks import delete, deploy
from exasol_ci_setup.stacks import resources, state, users
from exasol_ci_setup.template.context import default_context

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.core.stacks import Plan, Stack

STACK_NAME: Final = LoadBalancer().stack_name

# Of a rule: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateRule.html.
# Those above are for services: `stacks.priorities`.
_PRIORITIES: Final = range(1, 30_001)


def find(context: Context) -> Stack | None:
    """Return the load balancer's stack, or None if it does not exist."""
    stack = state.find(context.account.client("cloudformation"), STACK_NAME)
    return None if state.is_absent(stack) else stack


def wanted(
    stack: Stack | None,
    *,
    certificate_arn: str | None = None,
    open_ports: bool = False,
    vpc_id: str | None = None,
    subnet_ids: Sequence[str] = (),
) -> LoadBalancer:
    """Return the wanted load balancer: like its stack, or a new one in `vpc_id` and `subnet_ids` or the default VPC.

    It gets `certificate_arn` if it has no certificate yet, and with `open_ports` the ports for spaces without a domain. Raises InputError, and SpaceRequestError if it is in another VPC.
    """
    if stack is None:
        return build(
            LoadBalancer,
            certificate_arn=certificate_arn,
            open_ports=open_ports,
            vpc_id=vpc_id,
            subnet_ids=tuple(subnet_ids) or None,
        )
    existing_vpc = stack.parameters["VpcId"]
    its_subnets = tuple(stack.parameters["SubnetIds"].split(","))
    if vpc_id not in {None, existing_vpc} or not set(subnet_ids) <= set(its_subnets):
        raise SpaceRequestError(
            f"the load balancer of the spaces is in {existing_vpc} and the subnets {', '.join(its_subnets)}",
            hint="omit the VPC and its subnets, or use another region or account",
        )
    balancer = build(
        LoadBalancer,
        certificate_arn=stack.outputs.get("CertificateArn", certificate_arn),
        open_ports=open_ports or "OpenPorts" in stack.outputs,
        vpc_id=existing_vpc,
        subnet_ids=its_subnets,
    )
    balancer.set_outputs(stack.outputs)
    return balancer


def ensure(context: Context, request: LoadBalancer) -> LoadBalancer:
    """Create the load balancer, or add what `request` has and it lacks; return it with its outputs.

    Raises PlanOutdatedError if another process changes it meanwhile, NotApprovedError if plans are only shown, SpaceRequestError, and the
    errors of a deployment.
    """
    balancer = wanted(
        find(context),
        certificate_arn=request.certificate_arn,
        open_ports=request.open_ports,
        vpc_id=request.vpc_id,
        subnet_ids=request.subnet_ids,
    )
    balancer.set_outputs(deploy(context, balancer, _require_additions).outputs)
    return balancer


def _require_additions(plan: Plan) -> Plan:
    """Return the plan. Raises PlanOutdatedError if it would remove HTTPS or ports, and their outputs: another process has just added them."""
    if any(each.name.startswith("outputs.") and each.after is ABSENT for each in plan.settings):
        raise PlanOutdatedError(f"stack {STACK_NAME} was changed by another process", stack_name=STACK_NAME)
    return plan


def remove(*, context: Context | None = None) -> None:
    """Delete the load balancer and the cluster. Raises StackNotFoundError if it does not exist, and InUseError while spaces exist."""
    delete(context or default_context(), STACK_NAME)


def other_users(context: Context, *, without: str) -> list[str]:
    """Return the names of the stacks that use the load balancer, except its own and `without`; empty if it does not exist."""
    stack = find(context)
    if stack is None:
        return []
    around = users.Surroundings(context.cfn)
    marks = around.marks(stack, resources.of_id(context.cfn, stack.id))
    return [each.name for each in around.users(marks, but={stack.name, without}, in_templates=False)]


def free_priority(context: Context, listener_arn: str, space_name: str) -> int:
    """Return a free priority for the rule of a space. Raises SpaceRequestError if the listener is full.

    The order of the rules does not matter, since no two spaces have the same host.
    """
    taken: set[int] = set()
    with translate_aws_errors():
        for page in context.account.client("elbv2").get_paginator("describe_rules").paginate(ListenerArn=listener_arn):
            taken.update(int(rule["Priority"]) for rule in page["Rules"] if rule["Priority"].isdecimal())
    return _free(_PRIORITIES, taken, space_name, f"listener {listener_arn} has no free priority for a rule")


def free_port(context: Context, load_balancer_arn: str, space_name: str) -> int:
    """Return a free port for the listener of a space without a domain. Raises SpaceRequestError if all are taken."""
    with translate_aws_errors():
        pages = (
            context.account.client("elbv2")
            .get_paginator("describe_listeners")
            .paginate(LoadBalancerArn=load_balancer_arn)
        )
        taken = {listener["Port"] for page in pages for listener in page["Listeners"]}
    return _free(PORTS, taken, space_name, f"load balancer {load_balancer_arn} has no free port")


def _free(numbers: range, taken: Collection[int], space_name: str, full: str) -> int:
    """Return one of the numbers that is not taken. Raises SpaceRequestError with the message `full` if all are."""
    free = next((number for number in preferred(numbers, space_name) if number not in taken), None)
    if free is None:
        raise SpaceRequestError(full, hint="delete an unused space")
    return free


def is_number_taken(error: DeployFailedError) -> bool:
    """Return whether a deployment failed because another rule has the same priority, or another listener the same port."""
    found = error.diagnosis
    if found.type.endswith("ListenerRule"):
        return "PriorityInUse" in found.reason or "currently in use" in found.reason
    return found.type.endswith("::Listener") and (
        "DuplicateListener" in found.reason or "listener already exists" in found.reason
    )


def drop_certificate(context: Context, listener_arn: str, certificate_arn: str, *, used: Collection[str]) -> None:
    """Remove a certificate from a listener unless it is in `used` or is the default certificate of the listener."""
    if certificate_arn in used:
        return
    with translate_aws_errors():
        # AWS ignores a certificate that is not in the list, such as the default certificate.
        context.account.client("elbv2").remove_listener_certificates(
            ListenerArn=listener_arn, Certificates=[{"CertificateArn": certificate_arn}]
        )
