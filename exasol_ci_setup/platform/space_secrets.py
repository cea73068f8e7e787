"""The secrets of a space: their ARNs, and the KMS keys that ECS needs to read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.aws import secretsmanager
from exasol_ci_setup.aws.session import translate_aws_errors
from exasol_ci_setup.constructs.container_secrets import parameter_arns, secret_arns
from exasol_ci_setup.core.errors import AccessDeniedError, SpaceRequestError
from exasol_ci_setup.core.text import is_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exasol_ci_setup.aws.context import Context

_PARAMETER: Final = "ssm:"
_OF_AWS: Final = "alias/aws/"


def sources_of(context: Context, secrets: object) -> dict[str, str]:
    """Return the ARNs for ECS by variable, with the keys of JSON in them.

    A secret is a name or an ARN of Secrets Manager, with ``:KEY`` after it for a key of its JSON, or ``ssm:NAME`` for a parameter of SSM.
    Values are not read. Raises SpaceRequestError for another type, InputError if one does not exist, and the errors of the AWS boundary.
    """
    if not isinstance(secrets, Mapping) or not all(map(is_text, secrets.values())):
        raise SpaceRequestError("secrets: use a mapping of variables and names or ARNs of secrets")
    return {variable: _source(context, secret) for variable, secret in secrets.items()}


def keys_of(context: Context, secrets: Mapping[str, str]) -> tuple[str, ...]:
    """Return the ARNs of the customer's KMS keys that encrypt the secrets with these ARNs; ECS needs to decrypt with them.

    AWS's own keys need no permission: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_execution_IAM_role.html. If the
    caller cannot see the key of a secret, the reporter gets a note.
    """
    found: list[str] = []
    for arn in (*secret_arns(secrets.values()), *parameter_arns(secrets.values())):
        try:
            found.extend(_key(context, arn))
        except AccessDeniedError:  # noqa: PERF203 - each may be denied
            context.note(
                f"the KMS key of {arn} is unknown: the description of the secret or of the key is denied; "
                "if it is a key of your own, the container cannot start"
            )
    return tuple(sorted(set(found)))


def _source(context: Context, secret: str) -> str:
    if secret.startswith("arn:"):
        return secret
    if secret.startswith(_PARAMETER):
        [found] = _parameters(context, secret.removeprefix(_PARAMETER))
        return str(found["ARN"])
    name, _, key = secret.partition(":")
    arn = secretsmanager.team_arn_of(context.account.client("secretsmanager"), name, option="--secret")
    # The version is the current one: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar-secrets-manager.html.
    return f"{arn}:{key}::" if key else arn


def _parameters(context: Context, *names: str) -> list[dict[str, Any]]:
    """Return the descriptions of the parameters of SSM that exist, without their values. Raises SpaceRequestError if none does."""
    account = context.account
    with translate_aws_errors():
        found = account.client("ssm").describe_parameters(
            ParameterFilters=[{"Key": "Name", "Option": "Equals", "Values": list(names)}]
        )["Parameters"]
    if not found:
        raise SpaceRequestError(
            f"parameter {names[0]!r} does not exist in {account.region}",
            hint="list the parameters with `aws ssm describe-parameters`",
        )
    return [dict(each) for each in found]


def _key(context: Context, arn: str) -> Iterator[str]:
    """Yield the ARN of the customer's key of a secret or a parameter, if it has one."""
    account = context.account
    if arn.split(":")[2] == "ssm":
        keys = [each.get("KeyId", "") for each in _parameters(context, *_names(arn))]
    else:
        keys = [(secretsmanager.find(account.client("secretsmanager"), arn) or {}).get("KmsKeyId", "")]
    for key in keys:
        if not key or _OF_AWS in key:
            continue
        if ":key/" in key:
            yield key
            continue
        with translate_aws_errors():
            yield str(account.client("kms").describe_key(KeyId=key)["KeyMetadata"]["Arn"])


def _names(arn: str) -> tuple[str, ...]:
    """Return the names that a parameter with this ARN may have: the ARN of ``/name`` is that of ``name``."""
    name = arn.partition(":parameter")[2]
    return (name,) if name.count("/") > 1 else (name[1:], name)
