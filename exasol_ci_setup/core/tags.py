"""The tags by which this tool recognizes its stacks and other resources."""

from __future__ import annotations

from typing import Final

TAG_PREFIX: Final = "exasol-ci-setup:"
