"""Placeholders: unique text for an output that is unknown before the deployment, detected in any text that contains it.

A construct whose fields contain the placeholder of an output depends on the construct of that output. Its template gets a parameter for the value.
"""

from __future__ import annotations

import re
import secrets
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import count
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, get_args

from exasol_ci_setup.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from exasol_ci_setup.constructs.base import Construct
    from exasol_ci_setup.constructs.scope import Scope

# Lower-case letters, digits and hyphens survive f-strings, JSON, URLs, shlex, and the names of images and buckets. Begin, end and length
# differ between two consecutive runs, so that a part of the text differs too, and the declaration is rejected.
_FORM: Final = re.compile("[g-z][0-9a-f]{12,19}-output-[0-9a-f]{4}[g-z]", re.IGNORECASE)
_LETTERS: Final = "ghijklmnopqrstuvwxyz"
_SHORTEST: Final = 12
_LENGTHS: Final = 8
_KNOWN: Final[dict[str, Placeholder]] = {}
_LOCK: Final = Lock()
_ONLY_PLACEHOLDERS: Final[ContextVar[bool]] = ContextVar("only_placeholders", default=False)


@dataclass(frozen=True, slots=True, eq=False)
class Placeholder:
    """The text for a value of `construct` that only a deployment knows: its `output`, or if that is empty the result `what` of an action.

    A construct with such a text in a field is rejected if `refused` is set: no stack has the result of an action. `run` is the run of the program
    that created it.
    """

    text: str
    construct: Construct
    what: str
    output: str
    refused: bool
    run: Run

    @property
    def label(self) -> str:
        """The placeholder for display, such as ``<output BucketName: known after deployment of team-data>``."""
        if self.output:
            return f"<{self.what}: known after deployment of {self.construct.stack_name}>"
        return f"<{self.what} of {self.construct.stack_name}>"

    @property
    def described(self) -> str:
        """The placeholder in words, such as ``the output BucketName of Asset 'data'``."""
        name = getattr(self.construct, "name", self.construct.stack_name)
        return f"the {self.what} of {type(self.construct).__name__} {name!r}"


class Run:
    """The placeholders of one run of a program: one text for each output of each construct.

    `refusal` is the first error for a use of an output that needs its value; the program may have caught it.
    """

    def __init__(self, *, refused: bool) -> None:
        self.refused = refused
        self.refusal: InputError | None = None
        self.made: dict[tuple[int, str], Placeholder] = {}
        self._number = next(_NUMBERS)

    def new_text(self) -> str:
        """Return a new text in the form of this run."""
        first, last = (_LETTERS[(self._number + shift) % len(_LETTERS)] for shift in (0, 7))
        digits = secrets.token_hex(_SHORTEST)[: _SHORTEST + self._number % _LENGTHS]
        return f"{first}{digits}-output-{secrets.token_hex(2)}{last}"


_NUMBERS: Final = count()
_RUNS: Final = [Run(refused=True)]


@contextmanager
def in_run(*, refused: bool) -> Iterator[Run]:
    """Use new placeholders in all threads while the context is open."""
    run = Run(refused=refused)
    _RUNS.append(run)
    try:
        yield run
    finally:
        _RUNS.remove(run)


def placeholder(construct: Construct, output: str = "", *, what: str = "") -> str:
    """Return the text for an output of `construct` in this run, or for the result `what` of an action."""
    what = what or f"output {output}"
    with _LOCK:
        run = _RUNS[-1]
        # The placeholder references the construct, so that its id is not reused.
        made = run.made.get((id(construct), what))
        if made is None:
            refused = run.refused and not output
            made = Placeholder(run.new_text(), construct, what, output, refused, run)
            run.made[id(construct), what] = made
            _KNOWN[made.text] = made
        return made.text


@contextmanager
def only_placeholders() -> Iterator[None]:
    """Let the outputs of constructs be placeholders in this thread, also if their values are known: while a template is rendered."""
    token = _ONLY_PLACEHOLDERS.set(True)
    try:
        yield
    finally:
        _ONLY_PLACEHOLDERS.reset(token)


def are_only_placeholders() -> bool:
    """Return whether `only_placeholders` is open in this thread."""
    return _ONLY_PLACEHOLDERS.get()


def placeholders_in(value: Any) -> Iterator[Placeholder]:
    """Yield the placeholders in a text, and in the texts of a collection at any depth."""
    for text in _texts(value):
        for part in split(text):
            if not isinstance(part, str):
                yield part


def split(text: str) -> list[str | Placeholder]:
    """Return the parts of `text`: its placeholders, and the text between them without empty ones."""
    if not _KNOWN:
        return [text] if text else []
    parts: list[str | Placeholder] = []
    end = 0
    for found in _FORM.finditer(text):
        known = _KNOWN.get(found[0].lower())
        if known is not None:
            parts += [text[end : found.start()], known]
            end = found.end()
    return [part for part in (*parts, text[end:]) if part]


def substitute(text: str, value_of: Callable[[Placeholder], str]) -> str:
    """Return `text` with the result of `value_of` in place of each placeholder."""
    return "".join(part if isinstance(part, str) else value_of(part) for part in split(text))


def readable(text: str) -> str:
    """Return `text` with the label of each placeholder in its place."""
    return substitute(text, lambda found: found.label)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for pair in value.items():
            yield from _texts(pair)
    elif isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from _texts(each)


def refusal_of(found: Placeholder, field: str, of: str, annotation: Any = None) -> InputError:
    """Return the error for a `field` of the construct `of` that contains a placeholder; `annotation` is the type of the field."""
    return InputError(
        f"{field} of {of} uses {found.described}, which is not known before the deployment",
        hint=_hint(found, field, annotation),
    )


def refuse_use(found: Placeholder, use: str) -> InputError:
    """Return the error for a `use` that needs the value of a placeholder, such as a comparison. The current run stores the first one."""
    error = InputError(
        f"{use} needs the value of {found.described}, which is not known before the deployment",
        hint=f"use the output as it is, alone or in other text; {_hint_of_value(found)}",
    )
    with _LOCK:
        _RUNS[-1].refusal = _RUNS[-1].refusal or error
    return error


def require_current(found: Iterable[Placeholder], of: str) -> None:
    """Raise InputError for a placeholder of an earlier run of the program: it has no value in the last run."""
    stale = next((each for each in found if each.run is not _RUNS[-1]), None)
    if stale is not None:
        raise InputError(
            f"{of} uses {stale.described} from an earlier run of the program",
            hint="hangar_run is called several times: do not keep outputs in global variables or caches",
        )


def require_unaltered(value: Any, field: str, of: str) -> None:
    """Raise InputError if a placeholder in `value` was changed to upper case."""
    for text in _texts(value):
        for found in _FORM.findall(text) if _KNOWN else ():
            known = _KNOWN.get(found.lower())
            if known is not None and found != known.text:
                raise InputError(
                    f"{field} of {of} changes the letters of {known.described}, which is not known before the deployment",
                    hint="use the output as it is, alone or in other text",
                )


def _hint(found: Placeholder, field: str, annotation: Any) -> str:
    construct = found.construct
    if _accepts(annotation, type(construct)):
        return f"{field} accepts the {type(construct).__name__} itself: pass the construct instead of its {found.what}"
    hint = "print it, or use it in an action such as run_command"
    return f"{hint}; {_hint_of_value(found)}" if found.output else hint


def _hint_of_value(found: Placeholder) -> str:
    construct = found.construct
    scope: Scope | None = getattr(construct, "resolved_scope", None)
    region = f" --region {scope.region}" if scope else ""
    return (
        f"to declare resources with its value, deploy {construct.stack_name} with a separate program, "
        f"then use the value that `exasol-ci-setup outputs {construct.stack_name}{region}` prints"
    )


def _accepts(annotation: Any, kind: type) -> bool:
    return annotation is kind or any(_accepts(each, kind) for each in get_args(annotation))
