"""Link to the AWS pricing calculator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exasol_ci_setup.aws.session import translate_aws_errors
from exasol_ci_setup.core.errors import AwsUnavailableError, CredentialsInvalidError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_cloudformation import CloudFormationClient

# Limit of a request: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_EstimateTemplateCost.html.
_MAX_BODY_BYTES: Final = 51_200


def link(cfn: CloudFormationClient, body: str, parameters: Mapping[str, str]) -> str:
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
