"""Renders a construct as CloudFormation text in which no value can change the structure, and reads such text again."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jinja2

from exasol_ci_setup.errors import InputError, TemplateRejected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from exasol_ci_setup.constructs.base import Construct

_RESOLVE: Final = "{{resolve:"
_NOT_ASCII: Final = re.compile(r"[^\x20-\x7e]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Template:
    """The text of one stack's template; `name` is the file it was made from, and stands in messages."""

    name: str
    body: str


class _DynamicReference(str):
    """Text that CloudFormation itself replaces by a secret's value when it deploys."""

    __slots__ = ()


class _LogicalId(str):
    """The name of a resource, an output or a parameter, which stands in a template as it is."""

    __slots__ = ()


def template_directory() -> Path:
    """Where the templates are: inside an installed package, or at the top level of a checkout of this repository."""
    package = Path(__file__).resolve().parent
    installed = package / "_templates"
    return installed if installed.is_dir() else package.parent / "templates"


def render(construct: Construct) -> Template:
    """Make the CloudFormation template of `construct`: deterministic, ASCII only, ending in one newline.

    Raises InputError if a value cannot stand in a template: it holds a lone surrogate, or a dynamic reference of its own.
    A mistake in the template itself, such as an unknown name, raises jinja2's or Python's own error.
    """
    body = _cloudformation().get_template(construct.template).render(construct=construct)
    return Template(name=construct.template.removesuffix(".j2"), body=body)


def secret_reference(name: str, key: str) -> str:
    """Make a dynamic reference to `key` of the JSON in the secret `name`, which only CloudFormation resolves.

    Raises InputError if a part would end the reference early. Source:
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references-secretsmanager.html.
    """
    # A full ARN is the one name that may hold colons; its own form leaves no doubt about where it ends.
    allowed_in_name = r"[A-Za-z0-9/_+=.@-]+|arn:[A-Za-z0-9/_+=.@:-]+"
    if not re.fullmatch(allowed_in_name, name) or not re.fullmatch(r"[^:{}\s\"'\\$]+", key):
        raise InputError(
            f"the secret {name!r} with the key {key!r} cannot be referred to: a part holds a reserved character"
        )
    return _DynamicReference(f"{{{{resolve:secretsmanager:{name}:SecretString:{key}}}}}")


def logical_id(name: str) -> str:
    """Make `name` a resource's, an output's or a parameter's name, which a template may have for a key.

    Raises InputError unless it is letters and digits, at most 255 of them, and the first no digit. Source:
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/resources-section-structure.html.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]{0,254}", name):
        raise InputError(f"{name!a} cannot be the name of a resource: use letters and digits, the first a letter")
    return _LogicalId(name)


def finalize(value: object) -> str:
    """`value` as a scalar that YAML parsers of every version read back as the same value, and as nothing else.

    Takes str, int, float, bool and None; text becomes a double-quoted ASCII scalar. Raises InputError for text that no
    template can hold, and TypeError for any other object: that is a mistake in the template.
    """
    if value is None:
        return "null"
    if value is True or value is False:
        return "true" if value else "false"
    if type(value) is int:
        return str(value)
    if type(value) is float:
        return _number(value)
    if type(value) is str:
        if _RESOLVE in value:
            raise InputError(f"{value!r} cannot stand in a template: CloudFormation would resolve the reference in it")
        return _quoted(value)
    if type(value) is _DynamicReference:
        return _quoted(value)
    if type(value) is _LogicalId:
        return value
    if isinstance(value, jinja2.Undefined):
        # Its conversion to text raises the error that names what is missing.
        return str(value)
    raise TypeError(f"a template may hold text, numbers, booleans and null, not {type(value).__name__}")


def _number(value: float) -> str:
    if not math.isfinite(value):
        raise InputError(f"{value} cannot stand in a template: it is not a finite number")
    text = repr(value)
    # YAML 1.1 takes 1e+16 for text, since a float of it has a point.
    return text if "." in text or "e" not in text else text.replace("e", ".0e")


def _quoted(text: str) -> str:
    if _SURROGATE.search(text):
        raise InputError(f"{text!a} cannot stand in a template: it is not valid Unicode")
    # JSON would write a character beyond U+FFFF as two surrogates, which YAML reads as two characters. Non-ASCII characters
    # are escaped at all because CloudFormation keeps question marks in their place.
    return _NOT_ASCII.sub(_escaped, json.dumps(text, ensure_ascii=False))


def _escaped(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - the end of the Basic Multilingual Plane


@cache
def environment(folder: str, finalizer: Callable[[object], str] = finalize) -> jinja2.Environment:
    """Return the Jinja environment for the templates in `folder`, such as ``cloudformation``.

    Undefined names are errors, and every interpolated value goes through `finalizer`.
    """
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(template_directory() / folder),
        autoescape=False,  # noqa: S701 - the output is YAML, and `finalize` escapes every value for it
        undefined=jinja2.StrictUndefined,
        finalize=finalizer,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


@cache
def _cloudformation() -> jinja2.Environment:
    cloudformation = environment("cloudformation")
    cloudformation.globals["secret_reference"] = secret_reference
    cloudformation.filters["logical_id"] = logical_id
    return cloudformation


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise ValueError("a key stands twice")
    return result


def _parse_json(body: str) -> dict[str, Any] | None:
    # YAML includes JSON but for one thing: JSON writes a character beyond U+FFFF as two escapes, which YAML parsers refuse.
    try:
        parsed: dict[str, Any] = json.loads(body, object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError):
        # It may still be YAML in braces; and if not, the YAML parser says in which line the mistake is.
        return None
    return parsed


def parse(body: str) -> dict[str, Any]:
    """Read a template, YAML or JSON, as plain data with CloudFormation's short tags in their long form.

    ``!Ref x`` becomes ``{"Ref": "x"}``, ``!GetAtt a.b`` ``{"Fn::GetAtt": ["a", "b"]}``, any other ``!Name x`` ``{"Fn::Name":
    x}``; dates stay text. Raises TemplateRejected, with the line, if the text is no YAML, if a key stands twice in one
    mapping, or if the whole is not a mapping.
    """
    if body.lstrip().startswith("{") and (found := _parse_json(body)) is not None:
        return found
    # Not every run that renders reads too, and a parser is a tenth of what starting costs.
    from exasol_ci_setup.template_yaml import Unreadable, load

    try:
        parsed = load(body)
    except Unreadable as error:
        raise TemplateRejected(f"the template cannot be read{error}") from error
    if not isinstance(parsed, dict):
        raise TemplateRejected("the template cannot be read: it is not a mapping with Resources")
    return parsed


def written(template: Mapping[str, Any]) -> str:
    """Return the text of a parsed template: YAML with two spaces for each level, and with functions in their long form."""
    # Only a template that differs from what was rendered is written again.
    from exasol_ci_setup.template_yaml import dump

    return dump(dict(template))


_IAM_TYPES: Final = frozenset(
    {
        "AWS::IAM::AccessKey",
        "AWS::IAM::Group",
        "AWS::IAM::GroupPolicy",
        "AWS::IAM::InstanceProfile",
        "AWS::IAM::ManagedPolicy",
        "AWS::IAM::Policy",
        "AWS::IAM::Role",
        "AWS::IAM::RolePolicy",
        "AWS::IAM::User",
        "AWS::IAM::UserPolicy",
        "AWS::IAM::UserToGroupAddition",
    }
)
_NAME_PROPERTY: Final = {
    "AWS::IAM::Group": "GroupName",
    "AWS::IAM::InstanceProfile": "InstanceProfileName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::Role": "RoleName",
    "AWS::IAM::User": "UserName",
}


def capabilities(parsed: Mapping[str, Any]) -> tuple[str, ...]:
    """Name the capabilities that CloudFormation asks for before it deploys the template `parsed`, sorted.

    CAPABILITY_NAMED_IAM, which includes CAPABILITY_IAM, if an IAM resource has a name of its own; CAPABILITY_AUTO_EXPAND if
    there is a macro. What a macro or a nested stack brings along cannot be seen here, so both get everything. Source:
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateChangeSet.html.
    """
    resources = parsed.get("Resources")
    properties_by_type: list[tuple[str, Mapping[str, Any]]] = []
    for resource in resources.values() if isinstance(resources, dict) else ():
        if isinstance(resource, dict) and isinstance(resource.get("Type"), str):
            properties = resource.get("Properties")
            properties_by_type.append((resource["Type"], properties if isinstance(properties, dict) else {}))

    nested = any(kind == "AWS::CloudFormation::Stack" for kind, _ in properties_by_type)
    if nested or has_transform(parsed):
        return ("CAPABILITY_AUTO_EXPAND", "CAPABILITY_NAMED_IAM")
    iam = [(kind, properties) for kind, properties in properties_by_type if kind in _IAM_TYPES]
    if any(_NAME_PROPERTY.get(kind) in properties for kind, properties in iam):
        return ("CAPABILITY_NAMED_IAM",)
    return ("CAPABILITY_IAM",) if iam else ()


def has_transform(parsed: Mapping[str, Any]) -> bool:
    """Return whether CloudFormation applies a macro to the template `parsed`, so that its text does not say what is deployed.

    Macros are declared at the top (``AWS::LanguageExtensions``, ``AWS::Serverless-2016-10-31``, those of the account) or at any depth
    (``AWS::Include``). A processed template declares none. Source:
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-macros.html.
    """
    return "Transform" in parsed or any(
        key == "Fn::Transform" or key.startswith("Fn::ForEach::") for key in _keys(parsed)
    )


def _keys(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from _keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _keys(inner)


def texts(value: object, place: str = "") -> Iterator[tuple[str, str]]:
    """Yield each text in a parsed template with its place, such as ``Resources.Cluster.Type``; keys are not included."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from texts(inner, f"{place}.{key}" if place else str(key))
