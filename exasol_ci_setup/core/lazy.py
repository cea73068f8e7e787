"""Names of a package that are imported from their modules on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def lazy_names(
    package: str, names: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
    """Return `__getattr__`, `__dir__` and `__all__` of `package`.

    `names` has the names of each module, which is relative to `package`; a name may be a module itself. Type checkers do not read it:
    import the same names with ``as`` below ``if TYPE_CHECKING``.
    """
    modules = {name: module for module, each in names.items() for name in each}

    def get(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = f"{package}.{modules[name]}"
        found = getattr(import_module(module), name, None)
        return import_module(f"{module}.{name}") if found is None else found

    public = sorted(modules)
    return get, lambda: list(public), public
