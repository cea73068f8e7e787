"""The resources that a role has to read for the secrets of a container."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Final

from exasol_ci_setup.constructs.values import matching

if TYPE_CHECKING:
    from collections.abc import Iterable

KeyArn = Annotated[
    str,
    matching(
        r"arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]{1,64}",
        "use the ARN of a KMS key, such as arn:aws:kms:eu-central-1:123456789012:key/12345678-1234-1234-1234-123456789012",
    ),
]

# An ARN of a secret, or the output of another stack, with key, version stage and version ID.
_WITH_KEY: Final = re.compile(r"(arn(?::[^:]*){6}|[^:]+)(?::[^:]*){3}")


def secret_arns(sources: Iterable[str]) -> tuple[str, ...]:
    """Return the ARNs of the secrets in Secrets Manager, without duplicates and without keys of their JSON."""
    found = (each for each in sources if not _is_parameter(each))
    return tuple(dict.fromkeys(match[1] if (match := _WITH_KEY.fullmatch(each)) else each for each in found))


def parameter_arns(sources: Iterable[str]) -> tuple[str, ...]:
    """Return the ARNs of the SSM parameters, without duplicates."""
    return tuple(dict.fromkeys(filter(_is_parameter, sources)))


def _is_parameter(source: str) -> bool:
    return source.split(":")[2:3] == ["ssm"]
