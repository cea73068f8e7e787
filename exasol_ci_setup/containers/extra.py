"""The modules that the HTTP services need: the extra `containers`."""

from __future__ import annotations

import importlib.util
from typing import Final

from exasol_ci_setup.core.errors import MissingExtraError
from exasol_ci_setup.core.origin import install_command

_MODULES: Final = ("fastapi", "fastapi_offline", "pydantic_settings", "uvicorn")


def require() -> None:
    """Raise MissingExtraError unless all modules of the extra `containers` are installed."""
    if any(importlib.util.find_spec(name) is None for name in _MODULES):
        raise MissingExtraError(
            "containers on this machine need the extra `containers`, which is not installed",
            hint=f"`{install_command('containers')}`",
        )
