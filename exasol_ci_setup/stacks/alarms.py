"""The CloudWatch alarms that roll a deployment back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exasol_ci_setup.aws import translate_aws_errors
from exasol_ci_setup.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exasol_ci_setup.aws import Account

MOST_ALARMS: Final = 5
"""Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_RollbackConfiguration.html."""


def rollback_alarms(account: Account, arns: Sequence[str]) -> dict[str, str]:
    """Return the type of each alarm by its ARN, as CloudFormation wants to be told it: metric or composite alarm, which have ARNs of one form.

    Raises InputError if there are too many, or if one is not there, in which case CloudFormation would roll everything back
    (https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_RollbackTrigger.html); and the errors of the AWS boundary.
    """
    if len(arns) > MOST_ALARMS:
        raise InputError(f"CloudFormation takes at most {MOST_ALARMS} alarms, and {len(arns)} are given")
    with translate_aws_errors():
        answer = account.client("cloudwatch").describe_alarms(
            AlarmNames=[arn.split(":alarm:", 1)[1] for arn in arns], AlarmTypes=["MetricAlarm", "CompositeAlarm"]
        )
    types = {
        **{alarm["AlarmArn"]: "AWS::CloudWatch::Alarm" for alarm in answer.get("MetricAlarms", [])},
        **{alarm["AlarmArn"]: "AWS::CloudWatch::CompositeAlarm" for alarm in answer.get("CompositeAlarms", [])},
    }
    for arn in arns:
        if arn not in types:
            raise InputError(
                f"there is no alarm {arn}",
                hint=f"an alarm has to be in the stack's account and region, which is {account.region}",
            )
    return {arn: types[arn] for arn in arns}
