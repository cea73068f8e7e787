"""`cost`: estimate the monthly cost of a template."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from exasol_ci_setup.cli.constructs import NAMES, STACKS, construct_of, construct_options  # noqa: TID253 - the options are those of the models
from exasol_ci_setup.cli.session import common_options
from exasol_ci_setup.cli.templates import DESCRIPTION, TEMPLATE, template_of, template_options
from exasol_ci_setup.cli.verbs import VerbGroup

if TYPE_CHECKING:
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.constructs.base import Construct
    from exasol_ci_setup.core.costs import Cost


@click.group("cost", cls=VerbGroup)
def cost() -> None:
    """Estimate the monthly cost of a template.

    The estimate uses the list prices of AWS in the region. It has an amount for resources that run all the time, and a unit
    price for those billed by use. Nothing is created or changed.
    """


def _cost(session: Session, kind: type[Construct], values: dict[str, Any]) -> None:
    from exasol_ci_setup.stacks.monthly_cost import cost as estimate

    construct, _ = construct_of(kind, values)
    _show(session, estimate(session.context(), construct))


def _show(session: Session, cost: Cost) -> None:
    """Print the estimate."""
    from exasol_ci_setup.cli.render import cost_view

    session.output.data("\n".join(cost_view.lines(cost, width=session.output.data_width)))
    for note in cost.notes:
        session.output.warn(note)
    session.output.record(cost)


@cost.command(TEMPLATE, help=f"Estimate the cost of {DESCRIPTION}.")
@template_options
@common_options
def _template(session: Session, **values: Any) -> None:
    from exasol_ci_setup.stacks.monthly_cost import cost_of_template
    from exasol_ci_setup.stacks.user_template import known_choice, offline_template, require_valid_values

    stack, _ = template_of(values, fallback_name=TEMPLATE)
    require_valid_values(stack)
    choice = known_choice(stack)
    unknown = [*(each.name for each in choice.missing), *choice.outputs]
    incomplete = f"no value of {', '.join(unknown)}" if unknown else ""
    template = offline_template(stack)
    _show(session, cost_of_template(session.context(), stack.name, template, choice.values, incomplete=incomplete))


@cost.command("space")
@click.option("--name", "-n", metavar="NAME", help="Existing space, whose size and number of tasks are the defaults.")
@click.option("--cpu", "-c", metavar="VCPUS", help="Number of vCPUs, such as 1, 0.5 or 250m.  [default: 250m]")
@click.option(
    "--memory", "-m", metavar="SIZE", help="Memory in MiB, or with a unit, such as 512Mi or 1Gi.  [default: 512Mi]"
)
@click.option("--count", type=int, metavar="N", help="Number of tasks.  [default: 1]")
@common_options
def _space(session: Session, **values: Any) -> None:
    """Estimate the cost of a space, and of the load balancer that all spaces of a region share."""
    from exasol_ci_setup.platform import space_cost

    for found in space_cost.cost(**values, context=session.context()):
        _show(session, found)


def _command(kind: type[Construct], description: str) -> None:
    @cost.command(NAMES[kind], help=f"Estimate the cost of {description}.")
    @construct_options(kind)
    @common_options
    def command(session: Session, **values: Any) -> None:
        _cost(session, kind, values)


for _kind, _description in STACKS.items():
    _command(_kind, _description)
