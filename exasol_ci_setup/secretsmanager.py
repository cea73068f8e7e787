"""Where a secret is, never what is in it; and secrets that this tool stores for the time of a build."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exasol_ci_setup.aws import error_code, translate_aws_errors
from exasol_ci_setup.errors import AccessDenied, InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_secretsmanager import SecretsManagerClient

TEAM_PREFIX: Final = "naas/"
"""What the names of a team's own secrets begin with; none of a release's token does, which is below ``exasol-ci-setup/``."""


def arn_of(client: SecretsManagerClient, name: str, *, option: str, keys: str = "") -> str:
    """Return the ARN of the secret called `name`, by DescribeSecret, which does not read its value.

    `option` is the command-line option that gave the name and `keys` what the secret must hold if that matters, for the hint.
    Raises InputError if there is no such secret, AccessDenied if it may not be looked up.
    """
    region = client.meta.region_name
    try:
        with translate_aws_errors():
            return client.describe_secret(SecretId=name)["ARN"]
    except AccessDenied as error:
        error.hint = f"ask for secretsmanager:DescribeSecret, or give the secret's full ARN with {option}"
        raise
    except Exception as error:
        if error_code(error.__cause__ or error) != "ResourceNotFoundException":
            raise
        raise InputError(
            f"secret {name!r} does not exist in {region}",
            hint=f"create it {f'with the keys {keys} ' if keys else ''}in Secrets Manager, or name another one with {option}",
        ) from error


def team_arn_of(client: SecretsManagerClient, name: str, *, option: str) -> str:
    """Return the ARN of the team's secret called `name`, and if there is none, of the secret that has this very name.

    Raises the errors of `arn_of`.
    """
    own = f"{TEAM_PREFIX}{name}"
    return arn_of(client, own if exists(client, own) else name, option=option)


def exists(client: SecretsManagerClient, name: str) -> bool:
    """Return whether there is a secret called `name` that is not being deleted. Raises the errors of the AWS boundary."""
    try:
        with translate_aws_errors():
            return "DeletedDate" not in client.describe_secret(SecretId=name)
    except Exception as error:
        if error_code(error.__cause__ or error) != "ResourceNotFoundException":
            raise
        return False


def create(client: SecretsManagerClient, name: str, value: str, *, description: str, tags: Mapping[str, str]) -> None:
    """Create a secret. `value` is in the request and nowhere else: in no log and in no error.

    Raises AccessDenied, whose hint names the permission, and the other errors of the AWS boundary.
    """
    try:
        with translate_aws_errors():
            client.create_secret(
                Name=name,
                SecretString=value,
                Description=description,
                Tags=[{"Key": key, "Value": text} for key, text in tags.items()],
            )
    except AccessDenied as error:
        error.hint = (
            f"ask for secretsmanager:CreateSecret, TagResource and DeleteSecret on {name.rpartition('/')[0]}/*, "
            "or name a secret that holds the token with --github-token-secret"
        )
        raise


def is_name_taken(error: BaseException) -> bool:
    """Return whether `create` failed because the name is in use, such as by a secret that is still being deleted.

    https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DeleteSecret.html: the deletion goes on after the answer.
    """
    return error_code(error.__cause__ or error) in {"InvalidRequestException", "ResourceExistsException"}


def put(client: SecretsManagerClient, name: str, value: str) -> None:
    """Give a secret that is there a new value, which is in the request and nowhere else.

    Raises AccessDenied, whose hint names the permission, and the other errors of the AWS boundary.
    """
    try:
        with translate_aws_errors():
            client.put_secret_value(SecretId=name, SecretString=value)
    except AccessDenied as error:
        error.hint = f"ask for secretsmanager:PutSecretValue on {name.rpartition('/')[0]}/*"
        raise


def delete(client: SecretsManagerClient, name: str) -> bool:
    """Delete a secret for good, without the days in which it could be restored. Returns whether there was one."""
    try:
        with translate_aws_errors():
            client.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    except Exception as error:
        if error_code(error.__cause__ or error) != "ResourceNotFoundException":
            raise
        return False
    return True
