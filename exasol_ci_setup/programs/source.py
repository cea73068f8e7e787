"""Compile the source of a program so that texts with unknown outputs stay recognizable, also those of f-strings and calls.

Python builds an f-string, the result of ``join`` and others as plain text, whose comparison could not be noticed.
"""

from __future__ import annotations

import ast
import sys
from importlib.machinery import FileFinder, ModuleSpec, PathFinder, SourceFileLoader
from typing import TYPE_CHECKING, Any, Final

from yaml.representer import Representer, SafeRepresenter

from exasol_ci_setup.constructs.unresolved import UnresolvedText, guarded, plain, require_resolved

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType, ModuleType

# Two underscores at both ends: such a name is not changed inside a class.
_NAMES: Final = {"__exasol_ci_setup_guarded__": guarded, "__exasol_ci_setup_require_resolved__": require_resolved}
_GUARDED, _REQUIRE_RESOLVED = _NAMES


def compile_source(source: bytes, path: str) -> CodeType:
    """Return the code of a program or of one of its modules. Raises SyntaxError, and ValueError for a null byte."""
    tree = ast.parse(source, path)
    try:
        tree = _Guarding().visit(tree)
        return compile(ast.fix_missing_locations(tree), path, "exec", dont_inherit=True)
    except RecursionError:
        # Nested too deep for this class, but not for Python.
        return compile(source, path, "exec", dont_inherit=True)


def run_code(code: CodeType, module: ModuleType) -> None:
    """Execute compiled code as the content of `module`."""
    module.__dict__.update(_NAMES)
    exec(code, module.__dict__)  # noqa: S102 - this is what a program is for


class _Guarding(ast.NodeTransformer):
    """Passes the results of f-strings, calls and formatting to `guarded`, and what is searched with ``in`` to `require_resolved`."""

    def _guarded(self, node: ast.expr) -> ast.expr:
        self.generic_visit(node)
        return _call(_GUARDED, node)

    visit_JoinedStr = visit_Call = visit_Await = _guarded  # noqa: N815 - names of ast

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        """Guard ``"%s" % (…)``."""
        self.generic_visit(node)
        return _call(_GUARDED, node) if isinstance(node.op, ast.Mod) else node

    def visit_FormattedValue(self, node: Any) -> Any:
        """Leave the format, which Python requires to be an f-string."""
        node.value = self.visit(node.value)
        if node.format_spec is not None:
            self.generic_visit(node.format_spec)
        return node

    visit_Interpolation = visit_FormattedValue  # noqa: N815 - as above

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        """Check the left side of ``in``: Python searches a plain text without a call of the left one."""
        self.generic_visit(node)
        operands = [node.left, *node.comparators]
        for index, operator in enumerate(node.ops):
            if isinstance(operator, ast.In | ast.NotIn):
                operands[index] = _call(_REQUIRE_RESOLVED, operands[index])
        node.left, *node.comparators = operands
        return node


def _call(name: str, node: ast.expr) -> ast.expr:
    function = ast.copy_location(ast.Name(name, ast.Load()), node)
    return ast.copy_location(ast.Call(function, [node], []), node)


def _represent(dumper: Any, text: UnresolvedText) -> Any:
    return dumper.represent_str(plain(text))


# PyYAML represents exact types only, as plain text.
SafeRepresenter.add_representer(UnresolvedText, _represent)
Representer.add_representer(UnresolvedText, _represent)


class _Loader(SourceFileLoader):
    """Compiles a module as `compile_source` does; bytecode is neither read nor written."""

    def source_to_code(self, data: Any, path: Any, *_: Any, **__: Any) -> CodeType:  # type: ignore[override] # the rest is internal
        """Return the code of the module."""
        return compile_source(data, str(path))

    def path_stats(self, path: Any) -> Any:
        """Report that the source has no time of modification, with which bytecode would be compared."""
        raise OSError(path)

    def exec_module(self, module: ModuleType) -> None:
        """Execute the module."""
        module.__dict__.update(_NAMES)
        super().exec_module(module)


class ModuleFinder:
    """Finds the Python modules in the folder of a program, for ``sys.meta_path``."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def find_spec(self, name: str, path: Sequence[str] | None = None, _target: object = None) -> ModuleSpec | None:
        """Return how to load a module in the folder or in its packages; None for all others."""
        for folder in (self._folder,) if path is None else path:
            if folder == self._folder or folder.startswith(f"{self._folder}/"):
                spec = FileFinder(folder, (_Loader, [".py"])).find_spec(name)
                if spec is not None and spec.loader is not None:
                    return spec
        return None

    def install(self) -> None:
        """Use this finder for later imports, before that for all folders."""
        sys.meta_path.insert(sys.meta_path.index(PathFinder), self)

    def remove(self) -> None:
        """Use this finder no longer."""
        sys.meta_path.remove(self)
