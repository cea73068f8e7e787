"""A program of the user's that declares constructs: loaded from its file, and run by its function `hangar_run`."""

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

from exasol_ci_setup.errors import InputError, SetupError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FUNCTION: Final = "hangar_run"

_MODULE: Final = "hangar_program"
_EXAMPLE: Final = f"a program is a Python file with a function: `def {FUNCTION}(): …`"


@dataclass(frozen=True)
class Program:
    """A program that was loaded: `path` as the user wrote it, and the function in it."""

    path: Path
    function: Callable[[], Any]

    def run(self) -> None:
        """Call the function; if it is async, in an event loop of its own.

        Raises SetupError that names the line of the program at which something was raised, InputError if a construct refused its
        arguments there, and what this library raises on purpose as it is.
        """
        with _importing_from(self.path), _awaiting_all(self.path):
            try:
                returned = self.function()
                if inspect.isawaitable(returned):
                    asyncio.run(_wait(returned))
            except SystemExit as end:
                if end.code not in {None, 0}:
                    raise SetupError(f"{self.path} ended itself: sys.exit({end.code!r})") from None
                return
            except InputError as error:
                error.message = f"{_place(error, self.path)}: {error.message}"
                raise
            except SetupError:
                raise
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - whatever a program of the user's raises, a cancelled task too
                failure = _failure(error, self.path)
            else:
                return
        # Raised here and not inside `except`, since what would be chained to it shows values that a construct hides.
        raise failure


@contextmanager
def _awaiting_all(path: Path) -> Iterator[None]:
    """Raise InputError at the end if something was forgotten to be awaited: what looks like a deployment would deploy nothing."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always", RuntimeWarning)
        yield
    forgotten = [each for each in heard if "was never awaited" in str(each.message)]
    for each in heard:
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

    Raises InputError if there is no such file, if it cannot be imported, and if it has no function `hangar_run` without arguments.
    """
    function = getattr(_module(path), FUNCTION, None)
    if not callable(function):
        raise InputError(f"{path} has no function {FUNCTION}", hint=_EXAMPLE)
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        raise InputError(
            f"{FUNCTION} in {path} is no function that can be called without arguments", hint=_EXAMPLE
        ) from None
    if any(
        parameter.default is parameter.empty and parameter.kind not in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
        for parameter in parameters.values()
    ):
        raise InputError(f"{FUNCTION} in {path} asks for arguments: it is called without any", hint=_EXAMPLE)
    return Program(path, function)


def _module(path: Path) -> ModuleType:
    try:
        source = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"there is no file {path}", hint=_EXAMPLE) from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    module = ModuleType(_MODULE)
    module.__file__ = str(path)
    with _importing_from(path):
        # Compiled here and not by an import, which would leave bytecode beside the user's file.
        try:
            code = compile(source, str(path), "exec", dont_inherit=True)
        except (SyntaxError, ValueError) as error:
            line = f":{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
            said = error.msg if isinstance(error, SyntaxError) else str(error)
            raise InputError(f"{path}{line} is not Python: {said}") from None
        # Dataclasses and pydantic look the module up that a class of it belongs to.
        sys.modules[_MODULE] = module
        try:
            exec(code, module.__dict__)  # noqa: S102 - this is what the file is for
        except InputError as error:
            error.message = f"{_place(error, path)}: {error.message}"
            raise
        except SystemExit:
            raise InputError(f"{path} ends itself when it is imported", hint=_EXAMPLE) from None
        except Exception as error:  # noqa: BLE001 - whatever a program of the user's raises
            failure = _failure(error, path)
        else:
            return module
    raise InputError(f"{path} cannot be imported: {failure}", hint=failure.hint)


@contextmanager
def _importing_from(path: Path) -> Iterator[None]:
    """Let the program import what stands beside it, as `python FILE` would."""
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


def _failure(error: BaseException, path: Path) -> SetupError:
    """Return the one line about what a program raised, and keep the whole of it for the log."""
    logging.getLogger(__name__).debug("the program raised %s", type(error).__name__, exc_info=error)
    place = _place(error, path)
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        from exasol_ci_setup.constructs.base import simplify_errors

        problems = simplify_errors(error.errors(include_url=False, include_input=False))
        said = "; ".join(
            f"{'.'.join(map(str, each['loc'])) or 'it'}: {_rule(each['type'], each['msg'])}" for each in problems
        )
        return InputError(f"{place}: {error.title} is not acceptable: {said}")
    text = " ".join(str(error).split())
    return SetupError(
        f"{place}: {type(error).__name__}" + (f": {text}" if text else ""),
        hint="--log-level debug shows where it came from",
    )


def _rule(kind: str, message: str) -> str:
    if kind == "missing":
        return "it is required"
    if kind == "extra_forbidden":
        return "there is no such argument"
    return message[:1].lower() + message[1:]


def _place(error: BaseException, path: Path) -> str:
    """Return the program and the line in it that led to `error`."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"{path}:{lines[-1]}" if lines else str(path)
