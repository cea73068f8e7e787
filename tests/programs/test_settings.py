"""Settings of stacks in several accounts."""

from __future__ import annotations

import pytest

from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.core.stacks import StackSettings
from exasol_ci_setup.programs.settings import settings_by_place

PLACES = {"main": ("1" * 12, "eu-central-1"), "west": ("1" * 12, "eu-west-1"), "partner": ("2" * 12, "eu-central-1")}


def alarm(account: str, region: str) -> str:
    return f"arn:aws:cloudwatch:{region}:{account}:alarm:errors"


def test_alarm_is_set_in_its_account_and_region_only():
    alarms = (alarm("1" * 12, "eu-west-1"), alarm("2" * 12, "eu-central-1"))

    found = settings_by_place(StackSettings(rollback_alarms=alarms, monitoring_minutes=5), PLACES)

    assert {name: each.rollback_alarms for name, each in found.items()} == {
        "main": (),
        "west": alarms[:1],
        "partner": alarms[1:],
    }
    assert [each.monitoring_minutes for each in found.values()] == [0, 5, 5]


def test_alarms_of_no_stack_are_refused():
    unused = [alarm("3" * 12, "eu-west-1"), alarm("1" * 12, "us-east-1")]

    with pytest.raises(InputError) as caught:
        settings_by_place(StackSettings(rollback_alarms=tuple(unused)), PLACES)

    assert caught.value.problems == tuple(
        f"alarm {each} is in another account or region than all stacks" for each in unused
    )
