"""The tags by which this tool recognizes its stacks and other resources."""

from __future__ import annotations

from typing import Final

TAG_PREFIX: Final = "exasol-ci-setup:"


def is_reserved_tag(key: str) -> bool:
    """Return whether AWS reserves this tag key, in any case: https://docs.aws.amazon.com/general/latest/gr/aws_tagging.html."""
    return key.lower().startswith("aws:")
