"""Find secrets without reading their values, and store secrets for the time of a build."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.aws.session import error_code, ignore_aws_errors, translate_aws_errors
from exasol_ci_setup.core.errors import AccessDeniedError, InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_secretsmanager import SecretsManagerClient

TEAM_PREFIX: Final = "naas/"
"""The prefix of the names of a team's own secrets. The token of a release has another one: ``exasol-ci-setup/``."""


def arn_of(client: SecretsManagerClient, name: str, *, option: str, keys: str = "") -> str:
    """Return the ARN of the secret `name`, by DescribeSecret, which does not read its value.

    `option` is the command-line option with the name, and `keys` the required keys of the secret, if any, for the hint.
    Raises InputError if the secret does not exist, AccessDeniedError without the permission.
    """
    try:
        if found := find(client, name):
            return str(found["ARN"])
    except AccessDeniedError as error:
        error.hint = f"ask for secretsmanager:DescribeSecret, or pass the secret's full ARN with {option}"
        raise
    raise InputError(
        f"secret {name!r} does not exist in {client.meta.region_name}",
        hint=f"create it {f'with the keys {keys} ' if keys else ''}in Secrets Manager, or choose another one with {option}",
    )


def team_arn_of(client: SecretsManagerClient, name: str, *, option: str) -> str:
    """Return the ARN of the team's secret `name`, or if it does not exist, of the secret with exactly this name.

    Raises the errors of `arn_of`.
    """
    own = f"{TEAM_PREFIX}{name}"
    return arn_of(client, own if exists(client, own) else name, option=option)


def find(client: SecretsManagerClient, name: str) -> Mapping[str, Any] | None:
    """Return the description of the secret `name`, None if it does not exist. Raises the errors of `translate_aws_errors`."""
    with ignore_aws_errors("ResourceNotFoundException"):
        return client.describe_secret(SecretId=name)
    return None


def exists(client: SecretsManagerClient, name: str) -> bool:
    """Return whether the secret `name` exists and is not being deleted. Raises the errors of `translate_aws_errors`."""
    found = find(client, name)
    return found is not None and "DeletedDate" not in found


def create(client: SecretsManagerClient, name: str, value: str, *, description: str, tags: Mapping[str, str]) -> None:
    """Create a secret. `value` appears only in the request: in no log and in no error.

    Raises AccessDeniedError, whose hint names the permission, and the other errors of `translate_aws_errors`.
    """
    try:
        with translate_aws_errors():
            client.create_secret(
                Name=name,
                SecretString=value,
                Description=description,
                Tags=[{"Key": key, "Value": text} for key, text in tags.items()],
            )
    except AccessDeniedError as error:
        error.hint = (
            f"ask for secretsmanager:CreateSecret, TagResource and DeleteSecret on {name.rpartition('/')[0]}/*, "
            "or use an existing secret that holds the token, with --github-token-secret"
        )
        raise


def is_name_taken(error: BaseException) -> bool:
    """Return whether `create` failed because the name is in use, such as by a secret that is still being deleted.

    https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DeleteSecret.html: the deletion continues after the response.
    """
    return error_code(error.__cause__ or error) in {"InvalidRequestException", "ResourceExistsException"}


def put(client: SecretsManagerClient, name: str, value: str) -> None:
    """Set a new value of an existing secret. It appears only in the request.

    Raises AccessDeniedError, whose hint names the permission, and the other errors of `translate_aws_errors`.
    """
    try:
        with translate_aws_errors():
            client.put_secret_value(SecretId=name, SecretString=value)
    except AccessDeniedError as error:
        error.hint = f"ask for secretsmanager:PutSecretValue on {name.rpartition('/')[0]}/*"
        raise


def delete(client: SecretsManagerClient, name: str) -> bool:
    """Delete a secret without a recovery window. Return whether it existed."""
    with ignore_aws_errors("ResourceNotFoundException"):
        client.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
        return True
    return False
