"""The quotas of the load balancer of the spaces: counted before a stack is started, since a failed creation takes minutes.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.aws.session import translate_aws_errors
from exasol_ci_setup.core.errors import SpaceRequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.core.stacks import Stack

_MOST_TASKS: Final = 50
_SERVICES_PER_CALL: Final = 10


def require_within_quotas(context: Context, stack: Stack | None, added: Mapping[str, int]) -> None:
    """Count what the load balancer of this stack has of each quota, plus `added` by the names of `QUOTAS`.

    A quota that AWS does not increase is an error: raises SpaceRequestError. For another one, a message names the number.
    """
    if stack is None or "HttpListenerArn" not in stack.outputs:
        return
    usage = _Usage(context, stack)
    for name, quota in QUOTAS.items():
        if not added.get(name):
            continue
        used = quota.count(usage)
        if used + added[name] <= quota.default:
            continue
        message = f"the load balancer of the spaces has {used} of {quota.default} {name}"
        if not quota.is_adjustable:
            raise SpaceRequestError(message, hint="delete an unused space, or use another region or account")
        context.note(f"{message}: if AWS rejects more, request a higher quota in Service Quotas")


class _Usage:
    """What the load balancer has."""

    def __init__(self, context: Context, stack: Stack) -> None:
        self._elb = context.account.client("elbv2")
        self._ecs = context.account.client("ecs")
        self._outputs = stack.outputs
        http = stack.outputs["HttpListenerArn"]
        # A load balancer of an earlier version has no output with its ARN.
        self._arn = http.replace(":listener/", ":loadbalancer/").rpartition("/")[0]
        self._listeners = [http, *([stack.outputs["HttpsListenerArn"]] if "HttpsListenerArn" in stack.outputs else [])]

    def target_groups(self) -> int:
        """Return the number of target groups."""
        with translate_aws_errors():
            pages = self._elb.get_paginator("describe_target_groups").paginate(LoadBalancerArn=self._arn)
            return sum(len(page["TargetGroups"]) for page in pages)

    def rules(self) -> int:
        """Return the number of rules, without the default rules."""
        with translate_aws_errors():
            return sum(
                not rule["IsDefault"]
                for listener in self._listeners
                for page in self._elb.get_paginator("describe_rules").paginate(ListenerArn=listener)
                for rule in page["Rules"]
            )

    def listeners(self) -> int:
        """Return the number of listeners."""
        with translate_aws_errors():
            pages = self._elb.get_paginator("describe_listeners").paginate(LoadBalancerArn=self._arn)
            return sum(len(page["Listeners"]) for page in pages)

    def certificates(self) -> int:
        """Return the number of certificates, without the default certificate."""
        with translate_aws_errors():
            return sum(
                not certificate["IsDefault"]
                for listener in self._listeners[1:]
                for page in self._elb.get_paginator("describe_listener_certificates").paginate(ListenerArn=listener)
                for certificate in page["Certificates"]
            )

    def targets(self) -> int:
        """Return the number of tasks that the services of the spaces want."""
        groups = self.target_groups()
        if (groups + 1) * _MOST_TASKS <= QUOTAS["targets"].default:
            return 0
        cluster = self._outputs["ClusterName"]
        with translate_aws_errors():
            pages = self._ecs.get_paginator("list_services").paginate(cluster=cluster)
            arns = [arn for page in pages for arn in page["serviceArns"]]
            return sum(
                service["desiredCount"]
                for start in range(0, len(arns), _SERVICES_PER_CALL)
                for service in self._ecs.describe_services(
                    cluster=cluster, services=arns[start : start + _SERVICES_PER_CALL]
                )["services"]
            )


@dataclass(frozen=True)
class _Quota:
    """A quota of a load balancer: its default, whether AWS increases it, and how its usage is counted."""

    default: int
    is_adjustable: bool
    count: Callable[[_Usage], int]


QUOTAS: Final = {
    "target groups": _Quota(100, is_adjustable=False, count=_Usage.target_groups),
    "rules": _Quota(100, is_adjustable=True, count=_Usage.rules),
    "listeners": _Quota(50, is_adjustable=True, count=_Usage.listeners),
    "certificates": _Quota(25, is_adjustable=True, count=_Usage.certificates),
    "targets": _Quota(1000, is_adjustable=True, count=_Usage.targets),
}
"""What each space uses up: a target group, a rule or a listener, a target for each task, and perhaps a certificate."""
