"""The limits of the account that the simulation of many stacks assumes: AWS documents their names, and no rates of requests."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.contract


def test_account_has_documented_limits(endpoint):
    limits = endpoint.client("cloudformation").describe_account_limits()["AccountLimits"]

    # https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_AccountLimit.html
    values = {each["Name"]: each["Value"] for each in limits}
    assert values.keys() >= {"ConcurrentResourcesLimit", "StackLimit", "StackOutputsLimit"}
    assert values["StackLimit"] >= 200
