"""The estimate of the monthly cost of a construct's stack."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.aws.session import translate_aws_errors
from exasol_ci_setup.core.errors import AccessDeniedError, AwsUnavailableError, CredentialsInvalidError, InputError
from exasol_ci_setup.costs import prices
from exasol_ci_setup.costs.estimate import estimate
from exasol_ci_setup.stacks.construct_parameters import parameters_of
from exasol_ci_setup.template.render import parse
from exasol_ci_setup.template.source import construct_source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_cloudformation import CloudFormationClient

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.constructs.base import Construct
    from exasol_ci_setup.core.costs import Cost
    from exasol_ci_setup.template.render import Template

# Limit of a request: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_EstimateTemplateCost.html.
_MAX_BODY_BYTES: Final = 51_200


def cost(context: Context, construct: Construct) -> Cost:
    """Return the estimate for `construct` as `cost_of_template` does, with the network of the account if it is known."""
    parameters: Mapping[str, str]
    try:
        parameters, why = parameters_of(context.account, construct), ""
    except (AccessDeniedError, InputError) as error:
        # Only AWS's calculator needs the parameters.
        parameters, why = {}, str(error)
    return cost_of_template(
        context, construct.stack_name, construct_source(construct).render(), parameters, incomplete=why
    )


def cost_of_template(
    context: Context, name: str, template: Template, parameters: Mapping[str, str], *, incomplete: str = ""
) -> Cost:
    """Return the estimate for the stack `name`, with a link to AWS's calculator.

    The link needs all parameters: `incomplete` says why there are not all. Nothing is created or changed. Raises the errors of
    `translate_aws_errors`.
    """
    account = context.account
    found = estimate(name, account.region, parse(template.body), parameters, partial(prices.look_up, account))
    if incomplete:
        return replace(found, notes=(*found.notes, f"no link to AWS's calculator: {incomplete}"))
    # Without retries: the link is optional, and retries take minutes.
    cfn = account.client("cloudformation", long_retries=False)
    return replace(found, calculator_url=_calculator_link(cfn, template.body, parameters))


def _calculator_link(cfn: CloudFormationClient, body: str, parameters: Mapping[str, str]) -> str:
    """Return the URL of the AWS calculator for the template `body`.

    Empty if AWS returns none: the template is too long, a resource type is not supported, or the endpoint or a permission is
    missing. Raises CredentialsInvalidError.
    """
    if len(body.encode()) > _MAX_BODY_BYTES:
        return ""
    try:
        with translate_aws_errors():
            answer = cfn.estimate_template_cost(
                TemplateBody=body,
                Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
            )
    except CredentialsInvalidError:
        raise
    except AwsUnavailableError:
        return ""
    return answer.get("Url", "")
