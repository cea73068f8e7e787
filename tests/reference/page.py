"""Generate docs/reference.md, the construct reference, from models and templates."""

from __future__ import annotations

import inspect
import re
import tempfile
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from exasol_ci_setup import constructs
from exasol_ci_setup.access import review
from exasol_ci_setup.cli.constructs import NAMES
from exasol_ci_setup.constructs import (
    CiBuild,
    Construct,
    ReleaseBuild,
    ScopedConstruct,
    SourceCredentials,
    Workspace,
)
from exasol_ci_setup.constructs.runtime import CommandResult, Synced
from exasol_ci_setup.constructs.service import MEMORY, Service
from exasol_ci_setup.constructs.values import Value
from exasol_ci_setup.programs.actions.build import Build
from exasol_ci_setup.template.render import parse, render
from tests.reference import words
from tests.reference.markdown import spaced, table
from tests.templates import samples

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PAGE = Path(__file__).parents[2] / "docs" / "reference.md"

# Modules of parts come first; modules that are not listed follow.
_ORDER = (
    "scope",
    "asset",
    "registry",
    "builder",
    "service",
    "container",
    "network",
    "compute",
    "space",
    "workspace",
    "ci",
    "source",
)
_OMITTED = {"Construct", "ScopedConstruct", "build"}
_RESULTS = (Synced, Build, CommandResult)
# Names of fields that the page explains once.
SHARED = ("name", "scope", "stack", "own_tags")

_HEAD = """\
# Reference of the constructs

This page lists all constructs of [programs](programs.md), their arguments, outputs and actions. `make reference` generates it from the models: change the
models, not this page.

Pass arguments by keyword. Camel case is also accepted (`startCommand` for `start_command`); the first column lists further aliases. Unknown names and invalid
values are rejected immediately. Control characters and `{{resolve:` are rejected in every value. Constructs are immutable.

"""
_SHARED = """\
## What all have

Every construct of a program takes these, though not each has a stack:

"""
_VERBS = """\
What every construct with a stack has besides its own ([library](library.md) has examples):

| | |
|---|---|
| `deploy(context=None, settings=…, options=…)` | deploys its parts, and then itself; in a program that `up` runs, the command deploys it |
| `await resolve()` | the same with `await` |
| `plan(context=None, settings=…, options=…)` | the plan of its stack, a context manager with `plan` and `apply()` |
| `validate(context=None)`, `lint(region=…)` | the findings in its template, with and without AWS |
| `diff(context=None)` | the difference to the deployed template, as text |
| `cost(context=None)` | the estimated monthly cost |
| `drift(context=None)` | what was changed outside of CloudFormation |
| `import_resources(identifiers, context=None)` | imports existing resources into its stack |
| `watch(context=None)` | follows the operation in progress on its stack |
| `delete(context=None, empty=False)` | deletes its stack |
| `stack_name` | the name of its stack |
| `tags` | the tags of the stack |
| `outputs` | the outputs of the deployed stack, by the names in the tables of outputs below |
"""


def public() -> dict[str, list[type[Value]]]:
    """Return the public constructs and parts by module."""
    found: dict[str, list[type[Value]]] = {}
    for name in constructs.__all__:
        cls = getattr(constructs, name)
        if name not in _OMITTED and cls.__name__ == name:
            found.setdefault(cls.__module__.rpartition(".")[2], []).append(cls)
    return {module: found[module] for module in sorted(found, key=_place)}


def _place(module: str) -> tuple[int, str]:
    return (_ORDER.index(module) if module in _ORDER else len(_ORDER), module)


def examples(folder: Path) -> dict[type[Construct], Construct]:
    """Return a construct of each kind with a template; writes keys to `folder` if needed."""
    url = "https://github.com/exasol/script-languages-release"
    made: list[Construct] = [
        *samples.GOLDEN.values(),
        *samples.instances(folder).values(),
        CiBuild(project="Slc", project_url=url),
        ReleaseBuild(project="Slc", project_url=url),
        Workspace(workspace_id="123"),
        SourceCredentials(secret_name="github", secret_user_key="user", secret_token_key="token"),
    ]
    found: dict[type[Construct], Construct] = {}
    for each in made:
        found.setdefault(type(each), each)
    return found


def page() -> str:
    """Return the text of the page."""
    with tempfile.TemporaryDirectory() as folder:
        known = examples(Path(folder))
        modules = public()
        lines = [_HEAD.rstrip("\n"), ""]
        lines += ["| | |", "|---|---|"]
        lines += [f"| {', '.join(map(_link, classes))} | {_summary(module)} |" for module, classes in modules.items()]
        lines += [f"| {', '.join(map(_link, _RESULTS))} | What actions return |", ""]
        lines += [_SHARED.rstrip("\n"), "", *_arguments(ScopedConstruct, shared=()), *_VERBS.split("\n")]
        for module, classes in modules.items():
            lines += [f"## {_summary(module)}", ""]
            for cls in classes:
                lines += _section(cls, known)
    lines += ["## What actions return", ""]
    for result in _RESULTS:
        lines += [f"### {result.__name__}", "", *spaced(words.paragraphs(result)), *_members(result)]
    return "\n".join(lines).rstrip("\n") + "\n"


def _summary(module: str) -> str:
    text = import_module(f"exasol_ci_setup.constructs.{module}").__doc__ or ""
    return text.strip().split("\n")[0].rstrip(".")


def _link(cls: type[Any]) -> str:
    return f"[`{cls.__name__}`](#{cls.__name__.lower()})"


def _section(cls: type[Value], known: dict[type[Construct], Construct]) -> Iterator[str]:
    yield from (f"### {cls.__name__}", "")
    yield from spaced(words.paragraphs_of_model(cls))
    if other := [name for name in constructs.__all__ if name != cls.__name__ and getattr(constructs, name) is cls]:
        yield from (f"Also called {', '.join(f'`{name}`' for name in other)}.", "")
    if users := _users(cls):
        yield from (f"Part of {', '.join(map(_link, users))}.", "")
    shared = SHARED if issubclass(cls, ScopedConstruct) else ()
    if shared:
        yield from ("Takes `name`, `scope`, `stack_name` and `tags` as [all](#what-all-have) do.", "")
    yield from _arguments(cls, shared)
    if rules := words.rules_of_model(cls):
        yield from ("Errors for arguments that contradict each other:", "", *(f"- {rule}" for rule in rules), "")
    if cls is Service:
        yield from table(("`cpu`", "`memory` in MiB"), [(str(cpu), _steps(memory)) for cpu, memory in MEMORY.items()])
    if issubclass(cls, Construct) and hasattr(cls, "template"):
        yield from _stack(cls, known[cls])
    yield from _properties(cls)
    yield from _members(cls)


def _users(cls: type[Value]) -> list[type[Value]]:
    everyone = [each for classes in public().values() for each in classes]
    # Every construct has a scope, which the page explains once.
    return [
        user
        for user in everyone
        if user is not cls
        and any(cls in words.models(field.annotation) for name, field in user.model_fields.items() if name != "scope")
    ]


def _arguments(cls: type[Value], shared: Sequence[str]) -> Iterator[str]:
    own = [(name, field) for name, field in cls.model_fields.items() if name not in shared]
    fields = sorted(own, key=lambda item: (not item[1].is_required(), item[0] == "stack"))
    rows = []
    for name, field in fields:
        called = words.argument(name, field)
        names = [f"`{called}`", *(f"`{other}`" for other in cls.also_known_as if cls.also_known_as[other] == name)]
        meaning, _, default = (field.description or "").partition(" Default: ")
        rows.append(
            (
                ", ".join(names),
                meaning,
                words.kind(field.annotation),
                default.removesuffix(".") or words.default(field),
                "; ".join(words.rules(field)),
            )
        )
    yield from table(("argument", "", "type", "default", "accepted"), rows)


def _stack(cls: type[Construct], example: Construct) -> Iterator[str]:
    template = parse(render(example).body)
    file = f"[{cls.template}](../templates/cloudformation/{cls.template})"
    command = NAMES.get(cls)
    by = f"; by command: `deploy-{command}`, `validate-{command}`, `diff {command}`" if command else ""
    yield from (f"A stack of its own, from {file}{by}.", "")
    outputs = template.get("Outputs") or {}
    yield from table(("output", ""), [(f"`{name}`", each["Description"]) for name, each in outputs.items()])
    placeholders = {name: f"<{name}>" for name in template.get("Parameters") or {}}
    granted = [each.message for each in review.review(None, template, after_parameters=placeholders)]
    if granted:
        yield "The access that it gives, in an example:"
        yield from ("", *(f"- `{each}`" for each in granted), "")


def _properties(cls: type[Value]) -> Iterator[str]:
    rows = []
    for name, found in inspect.getmembers(cls, lambda each: isinstance(each, property)):
        if hasattr(ScopedConstruct, name) or name.startswith("_"):
            continue
        text = " ".join(words.paragraphs(found))
        # Only outputs that do not follow from the arguments.
        if re.search(r"\bbefore\b[^.]*\.$", text):
            rows.append((f"`{name}`", text))
    yield from table(("after `resolve()`", ""), rows)


def _members(cls: type[Any]) -> Iterator[str]:
    """Describe the actions of a construct, or the fields and methods of a result."""
    if not issubclass(cls, Value):
        hints = get_type_hints(cls)
        yield from table(("attribute", "type"), [(f"`{name}`", words.kind(each)) for name, each in hints.items()])
        for name, found in inspect.getmembers(cls, lambda each: isinstance(each, property)):
            if not name.startswith("_"):
                yield from (f"**`{name}`**", "", *spaced(words.paragraphs(found)))
    for name, function in inspect.getmembers(cls, inspect.isfunction):
        is_shared = hasattr(ScopedConstruct, name) or hasattr(tuple, name) or hasattr(dict, name)
        # Methods for templates and the deployment are not actions.
        if is_shared or name.startswith(("_", "set_")) or name.endswith("_parameter"):
            continue
        yield from (f"**`{name}{_signature(function)}`**", "", *spaced(words.paragraphs_of_action(function)))


def _signature(function: Any) -> str:
    signature = inspect.signature(function)
    own = [each for each in signature.parameters.values() if each.name != "self"]
    shown = signature.replace(parameters=[each.replace(annotation=each.empty) for each in own])
    return (
        str(shown)
        .replace("'", '"')
        .replace(f'-> "{signature.return_annotation}"', f"→ {signature.return_annotation}")
        .replace(f"-> {signature.return_annotation}", f"→ {signature.return_annotation}")
    )


def _steps(values: Sequence[int]) -> str:
    if not isinstance(values, range):
        return ", ".join(map(str, values))
    return f"{values[0]} to {values[-1]} in steps of {values.step}"
