"""Load a user's program that declares constructs, and run its function `hangar_run`."""

from __future__ import annotations

import asyncio
import inspect
import logging
import sys
import traceback
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from exasol_ci_setup.constructs.base import Construct, simplify_errors
from exasol_ci_setup.core.errors import InputError, SetupError
from exasol_ci_setup.core.rules import rule_of
from exasol_ci_setup.programs.source import ModuleFinder, compile_source, run_code

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pydantic_core import ErrorDetails

    from exasol_ci_setup.constructs.placeholders import Run

FUNCTION: Final = "hangar_run"
# The same function without the name of a product; used if the other one does not exist.
_PLAIN_FUNCTION: Final = "run"

_MODULE: Final = "hangar_program"
_EXAMPLE: Final = f"a program is a Python file with a function: `def {FUNCTION}(): …`"


@dataclass(frozen=True)
class Program:
    """A loaded program: `path` as the user wrote it, and its function."""

    path: Path
    function: Callable[[], Any]

    def run(self, dry: Run | None = None) -> None:
        """Call the function; if it is async, in its own event loop. `dry` is the dry run, if it is one.

        Raises SetupError with the line of the program at which an exception was raised, InputError if a construct rejected its
        arguments there, and intended errors of this library unchanged. Raises the error for the use of an unknown output also if the program
        has caught it.
        """
        try:
            self._call()
        except SetupError as error:
            if isinstance(error, InputError) or dry is None or dry.refusal is None:
                raise
        if dry is not None and dry.refusal is not None:
            raise self._with_line(dry.refusal)

    def _with_line(self, error: InputError) -> InputError:
        """Return the error with the program and its line in the message."""
        error.message = f"{_place(error, self.path)}: {error.message}"
        return error

    def _call(self) -> None:
        with _importing_from(self.path), _awaiting_all(self.path):
            try:
                returned = self.function()
                if inspect.isawaitable(returned):
                    asyncio.run(_wait(returned))
            except SystemExit as end:
                if end.code not in {None, 0}:
                    raise SetupError(f"{self.path} exited: sys.exit({end.code!r})") from None
                return
            except InputError as error:
                raise self._with_line(error) from error.__cause__
            except SetupError:
                raise
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - whatever a program of the user's raises, a canceled task too
                failure = _failure(error, self.path)
            else:
                return
        # Raised outside of `except`: the chained error would show values that a construct hides.
        raise failure


@contextmanager
def _awaiting_all(path: Path) -> Iterator[None]:
    """Raise InputError at the end if a coroutine was not awaited: a deployment would silently be skipped."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RuntimeWarning)
        yield
    forgotten = [each for each in caught if "was never awaited" in str(each.message)]
    for each in caught:
        if each not in forgotten:
            warnings.showwarning(each.message, each.category, each.filename, each.lineno)
    if forgotten:
        place = f"{path}:{forgotten[0].lineno}" if forgotten[0].filename == str(path) else str(path)
        raise InputError(
            f"{place}: {forgotten[0].message}", hint="write `await …` or `asyncio.run(…)`, or call deploy()"
        )


async def _wait(returned: Any) -> None:
    await returned


def load(path: Path) -> Program:
    """Load the program in the file `path`.

    Raises InputError if the file does not exist or cannot be imported, and if it has no function `hangar_run` or `run` without arguments.
    """
    module = _module(path)
    function = getattr(module, FUNCTION, getattr(module, _PLAIN_FUNCTION, None))
    if not callable(function):
        raise InputError(f"{path} has no function {FUNCTION}", hint=_EXAMPLE)
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        raise InputError(f"{FUNCTION} in {path} is not a function without arguments", hint=_EXAMPLE) from None
    if any(
        parameter.default is parameter.empty and parameter.kind not in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
        for parameter in parameters.values()
    ):
        raise InputError(f"{FUNCTION} in {path} requires arguments, but is called without any", hint=_EXAMPLE)
    return Program(path, function)


def _module(path: Path) -> ModuleType:
    try:
        source = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"the file {path} does not exist", hint=_EXAMPLE) from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    module = ModuleType(_MODULE)
    module.__file__ = str(path)
    with _importing_from(path):
        # Compiled here and not by an import, which would write bytecode beside the user's file.
        try:
            code = compile_source(source, str(path))
        except (SyntaxError, ValueError) as error:
            line = f":{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
            said = error.msg if isinstance(error, SyntaxError) else str(error)
            raise InputError(f"{path}{line} is not valid Python: {said}") from None
        # Dataclasses and pydantic look up the module of a class.
        sys.modules[_MODULE] = module
        try:
            run_code(code, module)
        except InputError as error:
            error.message = f"{_place(error, path)}: {error.message}"
            raise
        except SystemExit:
            raise InputError(f"{path} exits when it is imported", hint=_EXAMPLE) from None
        except Exception as error:  # noqa: BLE001 - whatever a program of the user's raises
            failure = _failure(error, path)
        else:
            return module
    raise InputError(f"{path} cannot be imported: {failure}", hint=failure.hint)


@contextmanager
def _importing_from(path: Path) -> Iterator[None]:
    """Let the program import modules in its directory, as `python FILE` does."""
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    finder = ModuleFinder(folder)
    finder.install()
    try:
        yield
    finally:
        finder.remove()
        if folder in sys.path:
            sys.path.remove(folder)


def _failure(error: BaseException, path: Path) -> SetupError:
    """Return the one-line error for an exception of a program, and log the whole exception."""
    logging.getLogger(__name__).debug("the program raised %s", type(error).__name__, exc_info=error)
    place = _place(error, path)

    if isinstance(error, ValidationError):
        problems = simplify_errors(error.errors(include_url=False))
        said = "; ".join(": ".join(filter(None, (".".join(map(str, each["loc"])), _rule(each)))) for each in problems)
        return InputError(f"{place}: {error.title} is invalid: {said}")
    text = " ".join(str(error).split())
    return SetupError(
        f"{place}: {type(error).__name__}" + (f": {text}" if text else ""),
        hint="--log-level debug shows the traceback",
    )


def _rule(problem: ErrorDetails) -> str:
    kind = problem["type"]
    if kind == "extra_forbidden":
        return "there is no such argument"
    if kind == "string_type" and isinstance(problem["input"], Construct):
        return f"use text, such as an output of the {type(problem['input']).__name__}"
    return rule_of(problem)


def _place(error: BaseException, path: Path) -> str:
    """Return the program and its line that led to `error`."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"{path}:{lines[-1]}" if lines else str(path)
