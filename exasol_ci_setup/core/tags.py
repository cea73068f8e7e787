"""The tags by which this tool recognizes its stacks and other resources."""

from __future__ import annotations

from typing import Final

TAG_PREFIX: Final = "exasol-ci-setup:"
FLEET_TAG: Final = f"{TAG_PREFIX}fleet"
"""The name of the fleet that a stack belongs to."""


def is_reserved_tag(key: str) -> bool:
    """Return whether AWS reserves this tag key, in any case: https://docs.aws.amazon.com/general/latest/gr/aws_tagging.html."""
    return key.lower().startswith("aws:")
