"""The link to AWS's own calculator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exasol_ci_setup.aws import translate_aws_errors
from exasol_ci_setup.errors import AwsUnavailable, CredentialsInvalid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_cloudformation import CloudFormationClient

# What a request may hold: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_EstimateTemplateCost.html.
_LONGEST_BODY: Final = 51_200


def link(cfn: CloudFormationClient, body: str, parameters: Mapping[str, str]) -> str:
    """Return the address at which AWS's calculator shows the template `body`, which tells nothing by itself.

    Empty if AWS does not give one: the template is too long to be sent, it has a type that the calculator does not know, or
    the endpoint or a permission is missing. Raises CredentialsInvalid.
    """
    if len(body.encode()) > _LONGEST_BODY:
        return ""
    try:
        with translate_aws_errors():
            answer = cfn.estimate_template_cost(
                TemplateBody=body,
                Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
            )
    except CredentialsInvalid:
        raise
    except AwsUnavailable:
        return ""
    return answer.get("Url", "")
