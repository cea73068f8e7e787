"""Which module acts for constructs. The package names it when it is imported, so that constructs need not import it."""

from __future__ import annotations

_RUNTIME: list[str] = []


def set_runtime(module: str) -> None:
    """Name the module whose functions are the `Runtime` of constructs."""
    _RUNTIME[:] = [module]


def runtime_module() -> str:
    """Return the name of that module."""
    return _RUNTIME[0]
