"""Helpers for tests of spaces: the content of the load balancer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exasol_ci_setup.aws.session import Account


def listeners(account: Account) -> dict[int, dict[str, Any]]:
    """The listeners of the load balancer by their ports."""
    elb = account.client("elbv2")
    (balancer,) = elb.describe_load_balancers()["LoadBalancers"]
    found = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    return {listener["Port"]: dict(listener) for listener in found}


def rules(account: Account, port: int = 80) -> dict[str, str]:
    """The priorities of a listener's rules by their hosts, except the default rule."""
    found = account.client("elbv2").describe_rules(ListenerArn=listeners(account)[port]["ListenerArn"])["Rules"]
    return {
        rule["Conditions"][0]["HostHeaderConfig"]["Values"][0]: rule["Priority"] for rule in found if rule["Conditions"]
    }


def task_definition(account: Account, name: str) -> dict[str, Any]:
    """The task definition that the service of a space runs."""
    ecs = account.client("ecs")
    (cluster,) = ecs.list_clusters()["clusterArns"]
    (service,) = ecs.describe_services(cluster=cluster, services=[name])["services"]
    return dict(ecs.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"])
