"""The settings of stacks in several accounts and regions: an alarm belongs to one of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.stacks.request import rollback_alarms

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping
    from typing import TypeVar

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.core.stacks import StackSettings

    K = TypeVar("K", bound=Hashable)


def settings_by_place(settings: StackSettings, places: Mapping[K, tuple[str, str]]) -> dict[K, StackSettings]:
    """Return the settings for the stacks of each place; `places` has its account ID and region.

    An alarm applies to the stacks of its account and region. Raises InputError for alarms of another account or region than all places.
    """
    unused = [alarm for alarm in settings.rollback_alarms if _place_of(alarm) not in places.values()]
    if unused:
        raise InputError.of(
            [f"alarm {alarm} is in another account or region than all stacks" for alarm in unused],
            f"{len(unused)} alarms cannot be used",
        )
    return {key: _settings_in(settings, place) for key, place in places.items()}


def require_alarms(settings: Mapping[K, StackSettings], account_of: Callable[[K], Account]) -> None:
    """Raise InputError if an alarm does not exist, before the first stack of any place is deployed. Each alarm is one problem."""
    problems: dict[str, str] = {}
    for key, found in settings.items():
        for alarm in found.rollback_alarms:
            if alarm not in problems:
                try:
                    rollback_alarms(account_of(key), [alarm])
                except InputError as error:
                    problems[alarm] = error.message
    if problems:
        raise InputError.of(list(problems.values()), f"{len(problems)} alarms cannot be used")


def _settings_in(settings: StackSettings, place: tuple[str, str]) -> StackSettings:
    alarms = tuple(alarm for alarm in settings.rollback_alarms if _place_of(alarm) == place)
    minutes = settings.monitoring_minutes if alarms else 0
    return replace(settings, rollback_alarms=alarms, monitoring_minutes=minutes)


def _place_of(arn: str) -> tuple[str, str]:
    """Return the account and the region in an ARN."""
    _, _, _, region, account, *_ = arn.split(":")
    return account, region
