"""Check that the caller has the permissions for deploying a kind of stack, by IAM's simulation of policies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.access.policies import as_list
from exasol_ci_setup.aws.session import translate_aws_errors
from exasol_ci_setup.core.errors import SetupError
from exasol_ci_setup.core.text import counted
from exasol_ci_setup.health.check import CREDENTIALS, PERMISSIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.health.check import Check

_MOST_NAMES: Final = 12
_PASSED_TO: Final = "iam:PassedToService"


@dataclass(frozen=True)
class Wanted:
    """What a kind of stack needs before its first deployment.

    `documents` returns the policies of the caller in an account and a region. `command` prints them. `needs_repository`: a webhook is created,
    for which CodeBuild needs its credential.
    """

    kind: str
    command: str
    documents: Callable[[str, str], Sequence[Mapping[str, Any]]]
    needs_repository: bool = False


def check(opened: Account | SetupError, wanted: Wanted) -> Check:
    """Return whether the caller has all permissions, with the names of the missing ones.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html does not consider policies of resources.
    """
    if isinstance(opened, SetupError):
        return PERMISSIONS.skipped(CREDENTIALS)
    compare = f"compare the policies of the caller with `{wanted.command}`, or request iam:SimulatePrincipalPolicy"
    try:
        with translate_aws_errors():
            identity = opened.client("sts").get_caller_identity()
            principal = _principal(opened, identity["Arn"])
            if principal is None:
                return PERMISSIONS.ok(f"{identity['Arn']} has all permissions of the account")
            documents = wanted.documents(identity["Account"], opened.region)
            denied = list(dict.fromkeys(_denied(opened, principal, documents)))
    except SetupError as error:
        return PERMISSIONS.warning(f"could not be checked: {error.message}", compare)
    if not denied:
        return PERMISSIONS.ok(f"{principal} has the permissions for deploying {wanted.kind}")
    more = f" and {len(denied) - _MOST_NAMES} more" if len(denied) > _MOST_NAMES else ""
    return PERMISSIONS.problem(
        f"{principal} lacks {counted(len(denied), 'permission')} for deploying {wanted.kind}: {', '.join(denied[:_MOST_NAMES])}{more}",
        f"attach the policy that `{wanted.command}` prints",
    )


def _principal(account: Account, arn: str) -> str | None:
    """Return the user or the role whose policies apply to a caller; None for the root user with its unlimited permissions."""
    resource = arn.split(":", 5)[5]
    if resource == "root":
        return None
    kind, _, name = resource.partition("/")
    if kind != "assumed-role":
        return arn
    # The ARN of a session has no path.
    iam: Any = account.client("iam")
    found: str = iam.get_role(RoleName=name.partition("/")[0])["Role"]["Arn"]
    return found


def _denied(account: Account, principal: str, documents: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the actions that are not allowed on one of their resources."""
    iam: Any = account.client("iam")
    simulation = iam.get_paginator("simulate_principal_policy")
    for statement in (each for document in documents for each in document["Statement"]):
        for request in _requests(statement):
            results = simulation.paginate(PolicySourceArn=principal, **request).search("EvaluationResults[]")
            yield from (found["EvalActionName"] for found in results if found["EvalDecision"] != "allowed")


def _requests(statement: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the parameters of the simulation of a statement, for each of its resources."""
    common: dict[str, Any] = {"ActionNames": as_list(statement["Action"])}
    if services := as_list(statement.get("Condition", {}).get("StringEquals", {}).get(_PASSED_TO, [])):
        entry = {"ContextKeyName": _PASSED_TO, "ContextKeyValues": services, "ContextKeyType": "string"}
        common["ContextEntries"] = [entry]
    for arn in as_list(statement["Resource"]):
        yield common if arn == "*" else {**common, "ResourceArns": [arn]}
