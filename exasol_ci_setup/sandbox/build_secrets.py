"""Check whether the role of a build may read the secrets of its environment, as CodeBuild does before it downloads the source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_READ: Final = "secretsmanager:GetSecretValue"


def secret_problem(settings: Mapping[str, Any], role_arn: str) -> str:
    """Return the message about the first secret that the role may not read; empty if it may read all, or is not a role of the sandbox.

    A missing secret has the message of Secrets Manager.
    """
    for variable in (settings.get("environment") or {}).get("environmentVariables") or ():
        if variable.get("type") == "SECRETS_MANAGER" and (problem := _problem(str(variable["value"]), role_arn)):
            return problem
    return ""


def _problem(reference: str, role_arn: str) -> str:
    from ministack.core.iam_evaluator import EvalContext, _gather_role_policies, evaluate
    from ministack.core.responses import get_account_id, get_region
    from ministack.services import iam, secretsmanager

    account, name = get_account_id(), role_arn.rpartition("/")[2]
    if name not in iam._roles:  # noqa: SLF001
        return ""
    # A reference is an ARN or a name, followed by the key in the JSON of the secret, and by a version.
    parts = reference.split(":")
    identifier = ":".join(parts[:7]) if reference.startswith("arn:") else parts[0]
    _, secret = secretsmanager._resolve(identifier)  # noqa: SLF001
    arn = secret["ARN"] if secret else f"arn:aws:secretsmanager:{get_region()}:{account}:secret:{identifier}"
    session = f"arn:aws:sts::{account}:assumed-role/{name}/AWSCodeBuild"
    context = EvalContext(session, "AssumedRole", account, _READ, arn, get_region())
    if evaluate(context, _gather_role_policies(name, account)).decision != "Allow":
        return (
            f"AccessDeniedException: User: {session} is not authorized to perform: {_READ} on resource: {arn} because no "
            f"identity-based policy allows the {_READ} action"
        )
    return "" if secret else "ResourceNotFoundException: Secrets Manager can't find the specified secret."
