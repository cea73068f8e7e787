"""Create the secrets that the shipped templates expect, in each account and region at its first use."""

from __future__ import annotations

import json
from typing import Any, Final

SECRETS: Final = {
    "Dockerhub": {"User": "sandbox-user", "AccessToken": "sandbox-access-token"},
    "github": {"user": "sandbox-user", "token": "sandbox-token"},
}
"""Name of each secret, and the keys and dummy values of the JSON object in it."""


def seed(secretsmanager: Any) -> None:
    """Create missing secrets in the account and region of the current request.

    `secretsmanager` is ministack's module of that service.
    """
    for name, values in SECRETS.items():
        request: dict[str, Any] = {
            "Name": name,
            "SecretString": json.dumps(values),
            "Description": "Dummy values of the sandbox",
        }
        secretsmanager._create_secret(request)  # noqa: SLF001
