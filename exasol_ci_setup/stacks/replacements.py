"""Detect replacements by the resource schemas of cfn-lint, for plans without a change set of AWS.

`createOnlyProperties` replace the resource, `conditionalCreateOnlyProperties` may replace it:
https://docs.aws.amazon.com/cloudformation-cli/latest/userguide/resource-type-schema.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.core.stacks import ABSENT, Change, PropertyChange
from exasol_ci_setup.template.intrinsics import as_mapping, canonical, is_function
from exasol_ci_setup.template.references import find_references

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_REGION: Final = "us-east-1"
"""This region has every resource type. Which properties replace a resource does not depend on the region."""

_POINTER: Final = "/properties/"
_WORDS: Final = {"Always": "True", "Conditionally": "Conditional", "Never": "False"}
_ATTRIBUTES: Final = frozenset(
    {"Condition", "CreationPolicy", "DeletionPolicy", "DependsOn", "Metadata", "UpdatePolicy", "UpdateReplacePolicy"}
)


@dataclass(frozen=True, slots=True)
class _Schema:
    """The properties of a resource type that replace it, or may replace it, as the steps of their JSON pointers."""

    always: tuple[tuple[str, ...], ...]
    conditionally: tuple[tuple[str, ...], ...]

    def recreates(self, change: PropertyChange) -> str:
        """Return the change's ``RequiresRecreation``."""
        if change.path.partition(".")[0] in _ATTRIBUTES:
            return "Never"
        if any(_touches(change, pointer) for pointer in self.always):
            return "Always"
        return "Conditionally" if any(_touches(change, pointer) for pointer in self.conditionally) else "Never"


def marked(changes: Iterable[Change], template: Mapping[str, Any]) -> tuple[Change, ...]:
    """Return `changes` with their replacements, and with the resources of the new `template` that refer to replaced ones.

    `template` is parsed, and resolved as far as its parameters allow. A modified resource of a type without a known schema, such as a custom resource, may be replaced.
    """
    found = {change.logical_id: change for change in changes}
    schemas = _Schemas()
    for name, change in found.items():
        if change.action == "Modify":
            found[name] = _mark_change(change, schemas)
    if any(change.may_replace for change in found.values()):
        _spread(found, _Users(template), schemas)
    return tuple(found.values())


def _spread(found: dict[str, Change], users: _Users, schemas: _Schemas) -> None:
    """Add the causes of replaced resources to the changes of their users, which may be replaced too."""
    spreading = [name for name, change in found.items() if change.may_replace]
    while spreading:
        source = found[spreading.pop()]
        for name, kind, properties in users.of(source.logical_id):
            change = found.get(name) or Change("Modify", name, kind)
            if change.action != "Modify":
                continue
            found[name] = _add_cause(change, properties, source, schemas)
            if found[name].replacement != change.replacement and found[name].may_replace:
                spreading.append(name)


class _Users:
    """The resources of a parsed template by the resources that their properties refer to."""

    def __init__(self, template: Mapping[str, Any]) -> None:
        self._users: dict[str, dict[str, list[str]]] = {}
        self._resources = as_mapping(template.get("Resources"))
        for name, resource in self._resources.items():
            for key, value in as_mapping(as_mapping(resource).get("Properties")).items():
                for used in {each.name for each in find_references(value)}:
                    self._users.setdefault(used, {}).setdefault(name, []).append(key)

    def of(self, used: str) -> Iterator[tuple[str, str, list[str]]]:
        """Yield the name, the type and the referring properties of each resource that refers to `used`."""
        for name, properties in self._users.get(used, {}).items():
            if name != used:
                yield name, str(as_mapping(self._resources[name]).get("Type", "")), properties


def _mark_change(change: Change, schemas: _Schemas) -> Change:
    schema = schemas.of(change.type)
    if schema is None:
        return replace(change, replacement="Conditional")
    properties = tuple(replace(each, recreates=schema.recreates(each)) for each in change.properties)
    return replace(change, properties=properties, replacement=_strongest(each.recreates for each in properties))


def _add_cause(change: Change, referring: Iterable[str], source: Change, schemas: _Schemas) -> Change:
    """Return `change` with what the replacement of `source` means for a resource whose properties `referring` refer to it."""
    schema = schemas.of(change.type)
    words = ["Conditionally" if schema is None else schema.recreates(_unknown(name)) for name in referring]
    if source.replacement == "Conditional":
        words = ["Conditionally" if word == "Always" else word for word in words]
    known = next((word for word, value in _WORDS.items() if value == change.replacement), "Never")
    causes = change.causes if source.logical_id in change.causes else (*change.causes, source.logical_id)
    return replace(change, replacement=_strongest((known, *words)), causes=causes)


def _unknown(name: str) -> PropertyChange:
    """Return the change of a property from one reference to another, of which nothing more is known."""
    return PropertyChange(name, {"Ref": "before"}, {"Ref": "after"})


def _strongest(words: Iterable[str]) -> str:
    found = set(words)
    return _WORDS[next((word for word in _WORDS if word in found), "Never")]


def _touches(change: PropertyChange, pointer: Sequence[str]) -> bool:
    """Return whether the value at `pointer` differs, given a change of it, of a part of it, or of what it is a part of."""
    path = change.path.split(".")
    if any(step not in {"*", name} for step, name in zip(pointer, path, strict=False)):
        return False
    return _differs(change.before, change.after, pointer[len(path) :])


def _differs(before: Any, after: Any, steps: Sequence[str]) -> bool:
    if not steps or is_function(before) or is_function(after):
        return before is not after and (before is ABSENT or after is ABSENT or canonical(before) != canonical(after))
    if steps[0] == "*":
        old, new = (list(value) if isinstance(value, list) else [] for value in (before, after))
        length = max(len(old), len(new))
        old, new = ([*items, *[ABSENT] * (length - len(items))] for items in (old, new))
        return any(_differs(one, other, steps[1:]) for one, other in zip(old, new, strict=True))
    return _differs(_at(before, steps[0]), _at(after, steps[0]), steps[1:])


def _at(value: Any, name: str) -> Any:
    return value.get(name, ABSENT) if isinstance(value, Mapping) else ABSENT


class _Schemas:
    """Reads the schemas of resource types, each once, and loads cfn-lint's reader only when one is needed."""

    def __init__(self) -> None:
        self._known: dict[str, _Schema | None] = {}

    def of(self, kind: str) -> _Schema | None:
        """Return the schema of a type, None if cfn-lint has none of it."""
        if kind not in self._known:
            self._known[kind] = _read(kind)
        return self._known[kind]


def _read(kind: str) -> _Schema | None:
    from cfnlint.schema import PROVIDER_SCHEMA_MANAGER, ResourceNotFoundError

    if kind.startswith("Custom::") or kind == "AWS::CloudFormation::CustomResource":
        # Its own code decides.
        return None
    try:
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(_REGION, kind).schema
    except ResourceNotFoundError:
        return None
    always, conditionally = (
        tuple(tuple(pointer.removeprefix(_POINTER).split("/")) for pointer in schema.get(name) or ())
        for name in ("createOnlyProperties", "conditionalCreateOnlyProperties")
    )
    return _Schema(always, conditionally)
