"""The resources that a role has to read for the secrets of a container or a build."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

# An ARN of a secret, or the output of another stack, with key, version stage and version ID.
_WITH_KEY: Final = re.compile(r"(arn(?::[^:]*){6}|[^:]+)(?::[^:]*){3}")


def secret_arns(sources: Iterable[str]) -> tuple[str, ...]:
    """Return the ARNs of the secrets in Secrets Manager, without duplicates and without keys of their JSON."""
    found = (each for each in sources if not _is_parameter(each))
    return tuple(dict.fromkeys(match[1] if (match := _WITH_KEY.fullmatch(each)) else each for each in found))


def parameter_arns(sources: Iterable[str]) -> tuple[str, ...]:
    """Return the ARNs of the SSM parameters, without duplicates."""
    return tuple(dict.fromkeys(filter(_is_parameter, sources)))


def codebuild_secret(source: str) -> tuple[str, str]:
    """Return type and value of CodeBuild's environment variable for a secret or a parameter.

    Source: https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html#build-spec.env.secrets-manager.
    """
    if not _is_parameter(source):
        return "SECRETS_MANAGER", source.rstrip(":")
    name = source.partition(":parameter/")[2]
    # CodeBuild reads parameters by name. Names in a hierarchy begin with a slash, which their ARNs omit.
    return "PARAMETER_STORE", f"/{name}" if "/" in name else name


def _is_parameter(source: str) -> bool:
    return source.split(":")[2:3] == ["ssm"]
