"""The CloudWatch alarms that roll a deployment back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exasol_ci_setup.aws.session import translate_aws_errors
from exasol_ci_setup.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exasol_ci_setup.aws.session import Account

MOST_ALARMS: Final = 5
"""Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_RollbackConfiguration.html."""


def rollback_alarms(account: Account, arns: Sequence[str]) -> dict[str, str]:
    """Return the type of each alarm by its ARN: metric or composite alarm.

    CloudFormation requires the type, and the ARN does not contain it. For an alarm that does not exist, it would roll everything back:
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_RollbackTrigger.html.

    Raises InputError for too many alarms and for an alarm that does not exist, and the errors of `translate_aws_errors`.
    """
    if len(arns) > MOST_ALARMS:
        raise InputError(f"too many alarms: CloudFormation accepts at most {MOST_ALARMS}, got {len(arns)}")
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
                f"alarm {arn} does not exist",
                hint=f"an alarm must be in the account and region of the stack ({account.region})",
            )
    return {arn: types[arn] for arn in arns}
