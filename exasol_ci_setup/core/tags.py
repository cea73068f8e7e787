"""The tags by which this tool recognizes its stacks and other resources."""

from __future__ import annotations

from typing import Final

TAG_PREFIX: Final = "exasol-ci-setup:"
FLEET_TAG: Final = f"{TAG_PREFIX}fleet"
"""The name of the fleet that a stack belongs to."""

_LONGEST_KEY: Final = 128
_LONGEST_VALUE: Final = 256


def is_reserved_tag(key: str) -> bool:
    """Return whether AWS reserves this tag key, in any case: https://docs.aws.amazon.com/general/latest/gr/aws_tagging.html."""
    return key.lower().startswith("aws:")


def tag_problem(key: str, text: str) -> str:
    """Return why this is no tag of the user, or empty text."""
    if not key or not text:
        return f"the tag {key!r} is empty: use a key and a value"
    if len(key) > _LONGEST_KEY or len(text) > _LONGEST_VALUE:
        return f"a tag's key has at most {_LONGEST_KEY} characters, its value at most {_LONGEST_VALUE}"
    if is_reserved_tag(key):
        return f"{key!r} is reserved: AWS uses the prefix aws:"
    return f"{key!r} is reserved: this tool uses tags with that prefix" if key.startswith(TAG_PREFIX) else ""
