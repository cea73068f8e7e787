"""Let the accounts of the sandbox have the service-linked roles of ECS, load balancing and scaling, as most accounts on AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.sandbox.private import wrap

if TYPE_CHECKING:
    from collections.abc import Callable

    from exasol_ci_setup.sandbox.private import Values

_ROLES: Final = {
    "AWSServiceRoleForECS": "ecs.amazonaws.com",
    "AWSServiceRoleForElasticLoadBalancing": "elasticloadbalancing.amazonaws.com",
    "AWSServiceRoleForApplicationAutoScaling_ECSService": "ecs.application-autoscaling.amazonaws.com",
}


def extend_calls() -> None:
    """Return these roles on request."""
    from ministack.services import iam

    wrap(iam._IAM_HANDLERS, "GetRole", _call_get_role)  # noqa: SLF001


def _call_get_role(inner: Callable[[Values], Any], parameters: Values) -> Any:
    from ministack.core.responses import get_account_id
    from ministack.services import iam

    name = iam._p(parameters, "RoleName")  # noqa: SLF001
    if name not in _ROLES or name in iam._roles:  # noqa: SLF001
        return inner(parameters)
    path = f"/aws-service-role/{_ROLES[name]}/"
    # Only for this answer, so that no list contains a role that no test has created.
    iam._roles[name] = {  # noqa: SLF001
        "RoleName": name,
        "Path": path,
        "RoleId": "AROAEXAMPLEEXAMPLE00",
        "Arn": f"arn:aws:iam::{get_account_id()}:role{path}{name}",
        "CreateDate": iam._now(),  # noqa: SLF001
    }
    try:
        return inner(parameters)
    finally:
        del iam._roles[name]  # noqa: SLF001
