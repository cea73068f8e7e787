"""Create the service-linked roles of an account before the first stack that needs them.

The first cluster of an account creates its role and uses it immediately, which can fail: IAM needs some seconds until all its services know a new role.
Source: https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/818.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exasol_ci_setup.aws.session import error_code, translate_aws_errors
from exasol_ci_setup.core.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exasol_ci_setup.aws.context import Context

# The service and its role by the type of resource that needs it:
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using-service-linked-roles.html,
# https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/elb-service-linked-roles.html,
# https://docs.aws.amazon.com/autoscaling/application/userguide/application-auto-scaling-service-linked-roles.html.
ROLES: Final = {
    "AWS::ECS::Cluster": ("ecs.amazonaws.com", "AWSServiceRoleForECS"),
    "AWS::ElasticLoadBalancingV2::LoadBalancer": (
        "elasticloadbalancing.amazonaws.com",
        "AWSServiceRoleForElasticLoadBalancing",
    ),
    "AWS::ApplicationAutoScaling::ScalableTarget": (
        "ecs.application-autoscaling.amazonaws.com",
        "AWSServiceRoleForApplicationAutoScaling_ECSService",
    ),
}
_PROPAGATION_SECONDS: Final = 10.0


def ensure(context: Context, types: Iterable[str]) -> None:
    """Create the missing roles for new resources of these types, and wait until they are known.

    Without the permission, or if a call fails, CloudFormation creates them, and reports its failures.
    """
    needed = dict.fromkeys(ROLES[each] for each in types if each in ROLES)
    created = [role for service, role in needed if _create(context, service, role)]
    if created:
        context.note(f"created {', '.join(created)}, which this account needs once")
        context.clock.sleep(_PROPAGATION_SECONDS)


def _create(context: Context, service: str, role: str) -> bool:
    """Create the role unless it exists, and return whether it is new; False if a call fails."""
    iam = context.account.client("iam")
    try:
        with translate_aws_errors():
            iam.get_role(RoleName=role)
    except SetupError as error:
        if error_code(error.__cause__ or error) != "NoSuchEntity":
            return False
    else:
        return False
    try:
        with translate_aws_errors():
            iam.create_service_linked_role(AWSServiceName=service)
    except SetupError:
        return False
    return True
