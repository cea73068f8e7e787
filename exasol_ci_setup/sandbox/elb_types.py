"""Add unique priorities and ports, rules for hosts, and additional certificates of listeners to ministack's load balancers."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.sandbox.private import add_resource_type, resource_handlers, wrap

if TYPE_CHECKING:
    from collections.abc import Callable

    from exasol_ci_setup.sandbox.private import Values

# The key in a listener's record for certificates other than the default one.
_ADDITIONAL = "FurtherCertificates"
# Of a rule: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_HostHeaderConditionConfig.html
_LONGEST_HOST: Final = 128
_HOST: Final = re.compile(r"[A-Za-z0-9*?.-]*\.[A-Za-z*?]+")


# Of a load balancer: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html
_MOST_TARGET_GROUPS: Final = 100
_MOST_RULES: Final = 100
_MOST_CERTIFICATES: Final = 25
_MOST_LISTENERS: Final = 50


def extend() -> None:
    """Make CloudFormation's listener rules and certificates behave as on AWS."""
    from ministack.services import alb

    rules = resource_handlers()["AWS::ElasticLoadBalancingV2::ListenerRule"]
    wrap(rules, "create", _create_rule)
    wrap(rules, "update", _update_rule)
    wrap(resource_handlers()["AWS::ElasticLoadBalancingV2::Listener"], "create", _create_listener)
    add_resource_type("AWS::ElasticLoadBalancingV2::ListenerCertificate", _CertificateType(alb))


def extend_calls() -> None:
    """Add the API operations for a listener's certificates."""
    from ministack.services import alb

    alb._ACTION_MAP.update(_calls(alb))  # noqa: SLF001
    wrap(alb._ACTION_MAP, "DescribeTargetGroups", _describe_target_groups)  # noqa: SLF001


def _describe_target_groups(inner: Callable[[Values], Any], parameters: Values) -> Any:
    """Return the target groups with the load balancers of all rules; ministack records only those of default actions."""
    from ministack.services import alb

    for rule in list(alb._rules.values()):  # noqa: SLF001
        listener = alb._listeners.get(rule["ListenerArn"])  # noqa: SLF001
        for action in rule["Actions"] if listener is not None else ():
            group = alb._tgs.get(action.get("TargetGroupArn"))  # noqa: SLF001
            if group is not None and listener["LoadBalancerArn"] not in group["LoadBalancerArns"]:
                group["LoadBalancerArns"].append(listener["LoadBalancerArn"])
    return inner(parameters)


def _create_rule(inner: Callable[..., Any], logical_id: str, properties: Values, stack_name: str) -> Any:
    _require_hosts(properties)
    _require_free_priority(properties)
    _require_quotas(properties)
    return inner(logical_id, properties, stack_name)


def _update_rule(inner: Callable[..., Any], rule: str, old: Values, new: Values, *more: str) -> Any:
    _require_hosts(new)
    _require_free_priority(new, own=rule)
    return inner(rule, old, new, *more)


def _create_listener(inner: Callable[..., Any], logical_id: str, properties: Values, stack_name: str) -> Any:
    """Reject a port in use: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateListener.html."""
    from ministack.services import alb

    balancer, port = properties.get("LoadBalancerArn"), int(properties.get("Port", 80))
    existing = [each for each in alb._listeners.values() if each["LoadBalancerArn"] == balancer]  # noqa: SLF001
    if len(existing) >= _MOST_LISTENERS:
        raise _too_many("TooManyListeners", "listeners", balancer)
    for listener in existing:
        if listener["Port"] == port:
            raise ValueError(
                f"A listener already exists on this port for this load balancer '{balancer}' (Service: "
                "ElasticLoadBalancingV2, Status Code: 400, Error Code: DuplicateListener)"
            )
    return inner(logical_id, properties, stack_name)


def _require_hosts(properties: Values) -> None:
    """Reject hosts that a rule cannot have."""
    for condition in properties.get("Conditions", ()):
        for host in (condition.get("HostHeaderConfig") or {}).get("Values", ()):
            if len(host) > _LONGEST_HOST or not _HOST.fullmatch(host):
                raise ValueError(
                    f"The host header value '{host}' is not valid (Service: ElasticLoadBalancingV2, Status Code: 400, "
                    "Error Code: ValidationError)"
                )


def _require_quotas(properties: Values) -> None:
    """Reject a rule that exceeds the rules or the target groups of its load balancer."""
    from ministack.services import alb

    listeners = alb._listeners  # noqa: SLF001
    balancer = (listeners.get(properties.get("ListenerArn")) or {}).get("LoadBalancerArn")
    of_balancer = {arn for arn, each in listeners.items() if each["LoadBalancerArn"] == balancer}
    rules = [each for each in alb._rules.values() if each["ListenerArn"] in of_balancer and not each.get("IsDefault")]  # noqa: SLF001
    if len(rules) >= _MOST_RULES:
        raise _too_many("TooManyRules", "rules", balancer)
    actions = [*properties.get("Actions", ()), *(action for rule in rules for action in rule["Actions"])]
    actions += [action for arn in of_balancer for action in listeners[arn].get("DefaultActions", ())]
    if len({each["TargetGroupArn"] for each in actions if each.get("TargetGroupArn")}) > _MOST_TARGET_GROUPS:
        raise _too_many("TooManyUniqueTargetGroupsPerLoadBalancer", "unique target groups", balancer)


def _too_many(code: str, what: str, balancer: object) -> ValueError:
    return ValueError(
        f"You've reached the limit on the number of {what} for the load balancer '{balancer}' (Service: "
        f"ElasticLoadBalancingV2, Status Code: 400, Error Code: {code})"
    )


def _require_free_priority(properties: Values, own: str = "") -> None:
    """Reject a priority in use: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateRule.html."""
    from ministack.services import alb

    priority = str(properties.get("Priority"))
    for arn, rule in alb._rules.items():  # noqa: SLF001
        if arn != own and rule["ListenerArn"] == properties.get("ListenerArn") and rule["Priority"] == priority:
            raise ValueError(
                f"Priority '{priority}' is currently in use (Service: ElasticLoadBalancingV2, Status Code: 400, "
                "Error Code: PriorityInUse)"
            )


class _CertificateType:
    """AWS::ElasticLoadBalancingV2::ListenerCertificate: certificates other than the listener's default one."""

    def __init__(self, alb: Any) -> None:
        self._alb = alb

    def create(self, _logical_id: str, properties: Values, _stack_name: str) -> tuple[str, Values]:
        listener = self._alb._listeners.get(properties["ListenerArn"])  # noqa: SLF001
        if listener is None:
            raise ValueError(f"Listener '{properties['ListenerArn']}' not found")
        if listener["Protocol"] != "HTTPS":
            raise ValueError("Certificates cannot be added to a listener that is not HTTPS or TLS")
        self._require_quota(listener, properties)
        _add(listener, [each["CertificateArn"] for each in properties["Certificates"]])
        return uuid.uuid4().hex, {}

    def _require_quota(self, listener: Any, properties: Values) -> None:
        """Count the certificates of all listeners of the load balancer, without the default ones."""
        balancer = listener["LoadBalancerArn"]
        added = {each["CertificateArn"] for each in properties["Certificates"]} - set(listener.get(_ADDITIONAL, ()))
        listeners = [each for each in self._alb._listeners.values() if each["LoadBalancerArn"] == balancer]  # noqa: SLF001
        if sum(len(each.get(_ADDITIONAL, ())) for each in listeners) + len(added) > _MOST_CERTIFICATES:
            raise _too_many("TooManyCertificates", "certificates", balancer)

    def update(self, _certificate: str, old: Values, new: Values, stack_name: str) -> tuple[str, Values]:
        made = self.create("", new, stack_name)
        kept = {each["CertificateArn"] for each in new["Certificates"]}
        gone = [each for each in old["Certificates"] if each["CertificateArn"] not in kept]
        self.delete("", {"ListenerArn": old["ListenerArn"], "Certificates": gone})
        return made

    def delete(self, _certificate: str, properties: Values) -> None:
        listener = self._alb._listeners.get(properties["ListenerArn"])  # noqa: SLF001
        if listener is not None:
            _remove(listener, [each["CertificateArn"] for each in properties["Certificates"]])


def _calls(alb: Any) -> dict[str, Callable[[Values], Any]]:
    def member(arn: str, *, is_default: bool) -> str:
        return (
            f"<member><CertificateArn>{arn}</CertificateArn><IsDefault>{str(is_default).lower()}</IsDefault></member>"
        )

    def with_listener(action: str, work: Callable[[Any, list[str]], str]) -> Callable[[Values], Any]:
        def call(parameters: Values) -> Any:
            arn = alb._p(parameters, "ListenerArn")  # noqa: SLF001
            listener = alb._listeners.get(arn)  # noqa: SLF001
            if listener is None:
                return alb._error("ListenerNotFound", f"Listener '{arn}' not found")  # noqa: SLF001
            given = alb._parse_certificate_arns(parameters)  # noqa: SLF001
            if action.startswith("Remove") and set(given) & set(listener.get("Certificates", ())):
                return alb._error("OperationNotPermitted", "Default certificate cannot be removed")  # noqa: SLF001
            return alb._xml(200, action, work(listener, given))  # noqa: SLF001

        return call

    def describe(listener: Any, _given: list[str]) -> str:
        own = [member(arn, is_default=True) for arn in listener.get("Certificates", ())]
        return f"<Certificates>{''.join(own + [member(arn, is_default=False) for arn in listener.get(_ADDITIONAL, ())])}</Certificates>"

    def add(listener: Any, given: list[str]) -> str:
        _add(listener, given)
        return f"<Certificates>{''.join(member(arn, is_default=False) for arn in given)}</Certificates>"

    def remove(listener: Any, given: list[str]) -> str:
        _remove(listener, given)
        return ""

    return {
        f"{verb}ListenerCertificates": with_listener(f"{verb}ListenerCertificates", work)
        for verb, work in (("Describe", describe), ("Add", add), ("Remove", remove))
    }


def _add(listener: Any, arns: list[str]) -> None:
    listener[_ADDITIONAL] = list(dict.fromkeys([*listener.get(_ADDITIONAL, ()), *arns]))


def _remove(listener: Any, arns: list[str]) -> None:
    listener[_ADDITIONAL] = [arn for arn in listener.get(_ADDITIONAL, ()) if arn not in arns]
