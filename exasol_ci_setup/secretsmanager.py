"""Where a secret is, never what is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exasol_ci_setup.aws import boundary, error_code
from exasol_ci_setup.errors import AccessDenied, InputError

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient


def arn_of(client: SecretsManagerClient, name: str, *, option: str, keys: str) -> str:
    """Return the ARN of the secret called `name`, by DescribeSecret, which does not read its value.

    `option` is the command-line option that gave the name and `keys` what the secret must hold, for the hint.
    Raises InputError if there is no such secret, AccessDenied if it may not be looked up.
    """
    region = client.meta.region_name
    try:
        with boundary():
            return client.describe_secret(SecretId=name)["ARN"]
    except AccessDenied as error:
        error.hint = f"ask for secretsmanager:DescribeSecret, or give the secret's full ARN with {option}"
        raise
    except Exception as error:
        if error_code(error.__cause__ or error) != "ResourceNotFoundException":
            raise
        raise InputError(
            f"secret {name!r} does not exist in {region}",
            hint=f"create it with the keys {keys} in Secrets Manager, or name another one with {option}",
        ) from error
