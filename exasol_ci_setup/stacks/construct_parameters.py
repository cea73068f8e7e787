"""The values of the parameters of a construct's template, some of which depend on what is deployed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exasol_ci_setup.constructs.compute import Instance
from exasol_ci_setup.stacks import machine_image, network, priorities

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.constructs.base import Construct


def parameters_of(
    account: Account,
    construct: Construct,
    *,
    find_network: Callable[[Account, Construct], Mapping[str, str]] = network.find,
) -> dict[str, str]:
    """Return the values of the parameters; calls AWS only for those that the construct does not set.

    `find_network` returns the values of its `network_parameters`. Raises the errors of `network.find`, `machine_image.choose` and
    `priorities.choose`.
    """
    found = construct.parameters(find_network(account, construct) if construct.network_parameters else {})
    if isinstance(construct, Instance) and construct.image_id is None:
        found["ImageId"] = machine_image.choose(account, construct)
    if rules := construct.listener_rules:
        found.update(priorities.choose(account, construct.stack_name, rules, found))
    return found
