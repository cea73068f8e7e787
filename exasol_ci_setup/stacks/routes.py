"""Compare the hosts and paths of new rules with those in the listener of a load balancer.

AWS accepts rules with equal conditions. Rules are evaluated from the lowest priority to the highest, so only one of them gets requests:
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/listener-rules.html.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.aws.session import translate_aws_errors
from exasol_ci_setup.constructs.load_balancer import Route, routes_of
from exasol_ci_setup.constructs.placeholders import placeholders_in
from exasol_ci_setup.core.commands import status_hint
from exasol_ci_setup.core.errors import InputError, SetupError
from exasol_ci_setup.stacks import name_owners

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from mypy_boto3_elbv2.type_defs import RuleTypeDef

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.constructs.base import Construct

_FIELDS: Final = {"host-header", "path-pattern"}


@dataclass(frozen=True, slots=True)
class Taken:
    """A route that a deployed rule has, the ARN of the rule, and its stack; the name is empty if it is in no stack."""

    route: Route
    rule_arn: str
    stack_name: str


def require_free(
    account: Account, construct: Construct, parameters: Mapping[str, str], *, declared: Collection[str] = ()
) -> None:
    """Raise InputError if a deployed rule has a route of a rule of the construct, except for rules of the `declared` stacks.

    `parameters` are those of its stack. Calls AWS only for listeners that exist. Raises the errors of `translate_aws_errors`.
    """
    for rule in construct.listener_rules:
        listener = parameters[rule.listener]
        if any(placeholders_in(listener)):
            continue
        taken = find_taken(account, listener, rule.routes, but={construct.stack_name, *declared})
        if taken is not None:
            raise InputError(
                f"{rule.target} has the {taken.route} of {owner(taken)} on the same load balancer",
                hint=f"choose another host or path{hint(taken)}",
            )


def find_taken(account: Account, listener: str, routes: frozenset[Route], *, but: Collection[str]) -> Taken | None:
    """Return the first of `routes` that a rule of the listener has, except for rules of the stacks in `but`; None if all are free.

    A rule whose stack cannot be looked up counts as one of them. Raises the errors of `translate_aws_errors`.
    """
    with translate_aws_errors():
        pages = account.client("elbv2").get_paginator("describe_rules").paginate(ListenerArn=listener)
        rules = [rule for page in pages for rule in page["Rules"]]
    for rule in rules:
        equal = sorted(routes & _routes(rule), key=str)
        if not equal:
            continue
        try:
            owners = name_owners.find(account.client("cloudformation"), rule["RuleArn"])
        except SetupError:
            continue
        stack_name = owners[0].get("StackName", "") if owners else ""
        if stack_name not in but:
            return Taken(equal[0], rule["RuleArn"], stack_name)
    return None


def owner(taken: Taken) -> str:
    """Return the owner of a rule, for messages."""
    return f"stack {taken.stack_name}" if taken.stack_name else f"rule {taken.rule_arn}"


def hint(taken: Taken) -> str:
    """Return the end of a hint: the command that shows the stack of the rule, or the command that shows the rule."""
    if taken.stack_name:
        return f"; {status_hint(taken.stack_name)}"
    return f"; see the rule with `aws elbv2 describe-rules --rule-arns {taken.rule_arn}`"


def _routes(rule: RuleTypeDef) -> frozenset[Route]:
    """Return the routes of a deployed rule: none for the default rule, and for one with other conditions, which are narrower."""
    values: dict[str, list[str]] = {}
    for condition in rule.get("Conditions", []):
        hosts = condition.get("HostHeaderConfig", {}).get("Values", [])
        paths = condition.get("PathPatternConfig", {}).get("Values", [])
        values[condition.get("Field", "")] = [*condition.get("Values", []), *hosts, *paths]
    if not values or not values.keys() <= _FIELDS or not all(values.values()):
        return frozenset()
    return routes_of(values.get("host-header", ()), values.get("path-pattern", ()))
