"""What a report says about a stack: its resources, last operation, drift, outputs, cost and access."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from exasol_ci_setup.access import review
from exasol_ci_setup.aws import console
from exasol_ci_setup.core.errors import SetupError
from exasol_ci_setup.costs import prices
from exasol_ci_setup.costs.estimate import estimate
from exasol_ci_setup.pictures.timeline import timeline
from exasol_ci_setup.stacks import drift, plan
from exasol_ci_setup.stacks.events import of_last_operation
from exasol_ci_setup.stacks.resources import of_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.core.costs import Cost
    from exasol_ci_setup.core.stacks import Broadening, Drift, Stack
    from exasol_ci_setup.pictures.timeline import Timeline
    from exasol_ci_setup.stacks.resources import Resource


@dataclass
class StackReport:
    """A stack under the name that it has in the report. `notes` say what could not be read; the values of that are None or empty."""

    name: str
    region: str
    stack: Stack
    console_url: str = ""
    resources: tuple[Resource, ...] = ()
    timeline: Timeline | None = None
    drift: Drift | None = None
    cost: Cost | None = None
    access: tuple[Broadening, ...] = ()
    notes: list[str] = field(default_factory=list)


def gather(context: Context, name: str, stack: Stack, *, with_drift: bool = True) -> StackReport:
    """Read all that a report says about a stack. What cannot be read is a note, and raises nothing.

    `with_drift`: compare the resources with the template, which takes AWS about a minute for a stack.
    """
    account, cfn = context.account, context.cfn
    found = StackReport(name, account.region, stack, console.of_stack(cfn, stack.id))
    template: Mapping[str, Any] = {}
    with _reading("the resources", found.notes):
        found.resources = tuple(of_id(cfn, stack.id))
    with _reading("the template", found.notes):
        template = plan.processed_template(cfn, stack.id)
        found.access = review.review(None, template, after_parameters=stack.parameters)
    with _reading("the last operation", found.notes):
        events = of_last_operation(cfn, stack.id)
        found.timeline = timeline(events, template) if events else None
    if template:
        with _reading("the cost", found.notes):
            look_up = partial(prices.look_up, account)
            found.cost = estimate(stack.name, account.region, template, stack.parameters, look_up)
    if with_drift:
        with _reading("the drift", found.notes):
            found.drift = drift.detect(context, stack)
    return found


@contextmanager
def _reading(what: str, notes: list[str]) -> Iterator[None]:
    try:
        yield
    except SetupError as error:
        notes.append(f"{what} could not be read: {error.message}")
