"""The monthly cost of a space, and of the load balancer that all spaces share."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from exasol_ci_setup.constructs.base import build
from exasol_ci_setup.constructs.load_balancer import LoadBalancer
from exasol_ci_setup.constructs.space import Space
from exasol_ci_setup.costs import prices
from exasol_ci_setup.costs.estimate import estimate
from exasol_ci_setup.platform import sizes, space_stacks, spaces
from exasol_ci_setup.template.context import default_context
from exasol_ci_setup.template.render import parse, render

if TYPE_CHECKING:
    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.constructs.base import Construct
    from exasol_ci_setup.core.costs import Cost


def cost(
    name: str | None = None,
    *,
    cpu: str | float | None = None,
    memory: str | int | None = None,
    count: int | None = None,
    context: Context | None = None,
) -> tuple[Cost, Cost]:
    """Return the estimates for a space, and for the load balancer, which costs the same for any number of spaces.

    With `name`, the size and the number of tasks are those of that space unless they are set. Nothing is created or changed. Raises
    SpaceNotFoundError, InputError for an invalid size, and the errors of the AWS boundary.
    """
    context = context or default_context()
    before: dict[str, Any] = {}
    if name is not None:
        before = space_stacks.record(space_stacks.metadata(context, space_stacks.require(context, name)))
    known_cpu = before["cpu"] / sizes.UNITS if before else spaces.DEFAULT_CPU
    size = sizes.fargate(
        sizes.cpu_units(known_cpu if cpu is None else cpu),
        sizes.mebibytes(before.get("memory", spaces.DEFAULT_MEMORY) if memory is None else memory),
    )
    balancer = LoadBalancer(open_ports=True)
    wanted = build(
        Space,
        name=name or "space",
        load_balancer=balancer,
        image=before.get("image", "image:tag"),
        cpu=size.cpu,
        memory=size.memory,
        count=before.get("count", 1) if count is None else count,
    )
    return _estimate(context, wanted), _estimate(context, balancer)


def _estimate(context: Context, construct: Construct) -> Cost:
    # Without AWS's calculator, which needs the network and the outputs of the load balancer.
    account = context.account
    template = parse(render(construct).body)
    return estimate(construct.stack_name, account.region, template, {}, partial(prices.look_up, account))
