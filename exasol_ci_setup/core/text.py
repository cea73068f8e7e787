"""Words and forms of text that several packages print."""

from __future__ import annotations

import re


def kebab_case(name: str) -> str:
    """Return the name of a class in kebab case: ``ssh-key`` for ``SSHKey``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).lower()
