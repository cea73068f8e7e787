"""`cost`: estimate the monthly cost of a template."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from exasol_ci_setup.cli.constructs import NAMES, STACKS, construct_of, construct_options  # noqa: TID253 - the options are those of the models
from exasol_ci_setup.cli.session import common_options
from exasol_ci_setup.cli.templates import DESCRIPTION, TEMPLATE, template_of, template_options
from exasol_ci_setup.core.errors import AccessDeniedError, InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.constructs.base import Construct
    from exasol_ci_setup.template.render import Template


@click.group("cost")
def cost() -> None:
    """Estimate the monthly cost of a template.

    The estimate uses the list prices of AWS in the region. It has an amount for resources that run all the time, and a unit
    price for those billed by use. Nothing is created or changed.
    """


def _cost(session: Session, kind: type[Construct], values: dict[str, Any]) -> None:
    from exasol_ci_setup.stacks import network
    from exasol_ci_setup.template.render import render

    construct, _ = construct_of(kind, values)
    template = render(construct)
    try:
        parameters, note = network.parameters(session.account, construct), ""
    except (AccessDeniedError, InputError) as error:
        # Only AWS's calculator needs the network parameters.
        parameters, note = {}, str(error)
    _show(session, construct.stack_name, template, parameters, note)


def _show(session: Session, name: str, template: Template, parameters: Mapping[str, str], incomplete: str) -> None:
    """Print the estimate. `incomplete` says why the parameters are not complete, which AWS's calculator needs."""
    from exasol_ci_setup.cli.render import cost_view
    from exasol_ci_setup.costs import calculator, prices
    from exasol_ci_setup.costs.estimate import estimate
    from exasol_ci_setup.template.render import parse

    account = session.account
    cost = estimate(
        name,
        account.region,
        parse(template.body),
        parameters,
        partial(prices.look_up, account),
    )
    if incomplete:
        cost = replace(cost, notes=(*cost.notes, f"no link to AWS's calculator: {incomplete}"))
    else:
        # Without retries: the link is optional, and retries take minutes.
        cfn = account.client("cloudformation", long_retries=False)
        url = calculator.link(cfn, template.body, parameters)
        cost = replace(cost, calculator_url=url)
    session.output.data("\n".join(cost_view.lines(cost)))
    for note in cost.notes:
        session.output.warn(note)
    session.output.record(cost)


@cost.command(TEMPLATE, help=f"Estimate the cost of {DESCRIPTION}.")
@template_options
@common_options
def _template(session: Session, **values: Any) -> None:
    from exasol_ci_setup.stacks.user_template import known_choice, offline_template, require_valid_values

    stack, _ = template_of(values, fallback_name=TEMPLATE)
    require_valid_values(stack)
    choice = known_choice(stack)
    unknown = [*(each.name for each in choice.missing), *choice.outputs]
    incomplete = f"no value of {', '.join(unknown)}" if unknown else ""
    _show(session, stack.name, offline_template(stack), choice.values, incomplete)


def _command(kind: type[Construct], description: str) -> None:
    @cost.command(NAMES[kind], help=f"Estimate the cost of {description}.")
    @construct_options(kind)
    @common_options
    def command(session: Session, **values: Any) -> None:
        _cost(session, kind, values)


for _kind, _description in STACKS.items():
    _command(_kind, _description)
