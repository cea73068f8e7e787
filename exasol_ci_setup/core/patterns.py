"""Regular expressions that several packages check, each with the rule that an error states."""

from __future__ import annotations

from typing import Final

ROLE_ARN: Final = (
    r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]{1,576}",
    "use the ARN of a role, such as arn:aws:iam::123456789012:role/deployer",
)
SECRET_ARN: Final = (
    r"arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]{1,512}-[A-Za-z0-9]{6}",
    "use a secret's full ARN, such as arn:aws:secretsmanager:eu-central-1:123456789012:secret:Dockerhub-a1B2c3",
)
# https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html
SECRET_NAME: Final = (
    rf"[A-Za-z0-9/_+=.@-]{{1,512}}|{SECRET_ARN[0]}",
    "use a secret's name (letters, digits and /_+=.@-, at most 512 characters) or its full ARN",
)
# https://docs.docker.com/reference/cli/docker/image/tag/
IMAGE_TAG: Final = (
    r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}",
    "use at most 128 letters, digits and ._-, the first neither a period nor a hyphen",
)
