"""Placeholders: unique text for an output that is unknown before the deployment, detected in any text that contains it."""

from __future__ import annotations

import re
import secrets
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, get_args

from exasol_ci_setup.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exasol_ci_setup.constructs.base import Construct
    from exasol_ci_setup.constructs.scope import Scope

# Lower-case letters, digits and a hyphen survive f-strings, JSON, URLs, shlex, and the names of images and buckets. The random part
# comes first, so that a part of the text also differs between runs.
_FORM: Final = re.compile("o[0-9a-f]{20}-output", re.IGNORECASE)
_KNOWN: Final[dict[str, Placeholder]] = {}
_LOCK: Final = Lock()


@dataclass(frozen=True, slots=True, eq=False)
class Placeholder:
    """The text for a value of `construct` that only a deployment knows: its `output`, or if that is empty the result `what` of an action.

    A construct with such a text in a field is rejected if `refused` is set.
    """

    text: str
    construct: Construct
    what: str
    output: str
    refused: bool

    @property
    def label(self) -> str:
        """The placeholder for display, such as ``<output BucketName of team-data>``."""
        return f"<{self.what} of {self.construct.stack_name}>"

    @property
    def described(self) -> str:
        """The placeholder in words, such as ``the output BucketName of Asset 'data'``."""
        name = getattr(self.construct, "name", self.construct.stack_name)
        return f"the {self.what} of {type(self.construct).__name__} {name!r}"


class _Run:
    """The placeholders of one run of a program: one text for each output of each construct."""

    def __init__(self, *, refused: bool) -> None:
        self.refused = refused
        self.made: dict[tuple[int, str], Placeholder] = {}


_RUNS: Final = [_Run(refused=True)]


@contextmanager
def in_run(*, refused: bool) -> Iterator[None]:
    """Use new placeholders in all threads while the context is open."""
    run = _Run(refused=refused)
    _RUNS.append(run)
    try:
        yield
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
            made = Placeholder(f"o{secrets.token_hex(10)}-output", construct, what, output, run.refused)
            run.made[id(construct), what] = made
            _KNOWN[made.text] = made
        return made.text


def placeholders_in(value: Any) -> Iterator[Placeholder]:
    """Yield the placeholders in a text, and in the texts of a collection at any depth."""
    if not _KNOWN:
        return
    if isinstance(value, str):
        for found in _FORM.findall(value):
            if found.lower() in _KNOWN:
                yield _KNOWN[found.lower()]
    elif isinstance(value, dict):
        for pair in value.items():
            yield from placeholders_in(pair)
    elif isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from placeholders_in(each)


def readable(text: str) -> str:
    """Return `text` with the label of each placeholder in its place."""

    def label(found: re.Match[str]) -> str:
        known = _KNOWN.get(found[0].lower())
        return known.label if known is not None else found[0]

    return _FORM.sub(label, text) if _KNOWN else text


def refusal_of(found: Placeholder, field: str, of: str, annotation: Any = None) -> InputError:
    """Return the error for a `field` of the construct `of` that contains a placeholder; `annotation` is the type of the field."""
    return InputError(
        f"{field} of {of} uses {found.described}, which is not known before the deployment",
        hint=_hint(found, field, annotation),
    )


def _hint(found: Placeholder, field: str, annotation: Any) -> str:
    construct = found.construct
    if _accepts(annotation, type(construct)):
        return f"{field} accepts the {type(construct).__name__} itself: pass the construct instead of its {found.what}"
    hint = "print it, or use it in an action such as run_command"
    if not found.output:
        return hint
    scope: Scope | None = getattr(construct, "resolved_scope", None)
    region = f" --region {scope.region}" if scope else ""
    return (
        f"{hint}; to declare resources with it, deploy {construct.stack_name} with a separate program, "
        f"then use the value that `exasol-ci-setup outputs {construct.stack_name}{region}` prints"
    )


def _accepts(annotation: Any, kind: type) -> bool:
    return annotation is kind or any(_accepts(each, kind) for each in get_args(annotation))
