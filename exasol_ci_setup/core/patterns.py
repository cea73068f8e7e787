"""Regular expressions that several packages check, each with the rule that an error states."""

from __future__ import annotations

from typing import Final

ROLE_ARN: Final = (
    r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]{1,576}",
    "use the ARN of a role, such as arn:aws:iam::123456789012:role/deployer",
)
# https://docs.docker.com/reference/cli/docker/image/tag/
IMAGE_TAG: Final = (
    r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}",
    "use at most 128 letters, digits and ._-, the first neither a period nor a hyphen",
)
