"""Render constructs as CloudFormation templates in which no value can change the structure, and parse templates."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jinja2

from exasol_ci_setup.constructs.unresolved import plain
from exasol_ci_setup.core.errors import InputError, TemplateRejectedError
from exasol_ci_setup.core.text import without_duplicates
from exasol_ci_setup.template.yaml import UnreadableYamlError, dump, load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from exasol_ci_setup.constructs.base import Construct

_RESOLVE: Final = "{{resolve:"
_VARIABLE: Final = re.compile(r"\$\{[^}]*\}")
_NOT_ASCII: Final = re.compile(r"[^\x20-\x7e]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Template:
    """The text of a template; `name` is the name of its source file, for messages."""

    name: str
    body: str


class _DynamicReference(str):
    """A text that CloudFormation replaces by the value of a secret when it deploys."""

    __slots__ = ()


class _Literal(str):
    """A text whose ``${NAME}`` remains as it is, since it is for a shell or program and not for CloudFormation."""

    __slots__ = ()


class _LogicalId(str):
    """The name of a resource, an output or a parameter, which appears unquoted in a template."""

    __slots__ = ()


def template_directory() -> Path:
    """Return the directory of the templates: inside an installed package, or at the top level of a checkout of this repository."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "_templates"
    return installed if installed.is_dir() else package.parent / "templates"


def render(construct: Construct) -> Template:
    """Render the CloudFormation template of `construct`: deterministic, ASCII only, ending in one newline.

    Raises InputError if a value is invalid in a template: it contains a lone surrogate, or its own dynamic reference.
    A mistake in the template itself, such as an unknown name, raises an error of jinja2 or Python.
    """
    body = _cloudformation().get_template(construct.template).render(construct=construct)
    return Template(name=construct.template.removesuffix(".j2"), body=body)


def secret_reference(name: str, key: str) -> str:
    """Return a dynamic reference to `key` of the JSON in the secret `name`, which only CloudFormation resolves.

    Raises InputError if a part would end the reference too early. Source:
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references-secretsmanager.html.
    """
    # Only a full ARN may contain colons; its form defines where it ends.
    allowed_in_name = r"[A-Za-z0-9/_+=.@-]+|arn:[A-Za-z0-9/_+=.@:-]+"
    if not re.fullmatch(allowed_in_name, name) or not re.fullmatch(r"[^:{}\s\"'\\$]+", key):
        raise InputError(
            f"the secret {name!r} with the key {key!r} cannot be referred to: a part holds a reserved character"
        )
    return _DynamicReference(f"{{{{resolve:secretsmanager:{name}:SecretString:{key}}}}}")


def logical_id(name: str) -> str:
    """Return `name` as the name of a resource, an output or a parameter, which may be a key in a template.

    Raises InputError unless it has at most 255 letters and digits, and starts with a letter. Source:
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/resources-section-structure.html.
    """
    # The conversion of an undefined name to text raises the error with the name.
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]{0,254}", str(name)):
        raise InputError(f"{name!a} cannot be the name of a resource: use letters and digits, the first a letter")
    return _LogicalId(str(name))


def literal(text: str) -> str:
    """Return `text` for a place where CloudFormation evaluates functions, so that ``${NAME}`` in it remains.

    CloudFormation replaces names only in ``Fn::Sub``, but cfn-lint reports them elsewhere as mistakes (E1029).
    """
    return _Literal(text)


def literal_json(text: str) -> str:
    """Return a JSON text for metadata, where CloudFormation evaluates no functions, with ``${`` in another notation of JSON."""
    return text.replace("${", r"\u0024{")


def finalize(value: object) -> str:
    """Return `value` as a scalar that YAML parsers of every version read as exactly this value.

    Accepts str, int, float, bool and None; text becomes a double-quoted ASCII scalar. Raises InputError for text that is
    invalid in a template, and TypeError for any other object: that is a mistake in the template.
    """
    value = plain(value)
    if value is None:
        return "null"
    if value is True or value is False:
        return "true" if value else "false"
    if type(value) is int:
        return str(value)
    if type(value) is float:
        return _number(value)
    if isinstance(value, str) and type(value) in {str, _Literal, _DynamicReference, _LogicalId}:
        return _scalar(value)
    if isinstance(value, jinja2.Undefined):
        # Its conversion to text raises the error with the missing name.
        return str(value)
    raise TypeError(f"a template may hold text, numbers, booleans and null, not {type(value).__name__}")


def _scalar(text: str) -> str:
    if type(text) is _LogicalId:
        return text
    if type(text) is not _DynamicReference and _RESOLVE in text:
        raise InputError(f"{text!r} cannot be used in a template: CloudFormation would resolve the reference in it")
    if type(text) is _Literal and _VARIABLE.search(text):
        first, *others = text.split("${")
        words = [f"{first}$", *(f"{{{each}$" for each in others[:-1]), f"{{{others[-1]}"]
        return f'!Join ["", [{", ".join(map(_quoted, words))}]]'
    return _quoted(text)


def _number(value: float) -> str:
    if not math.isfinite(value):
        raise InputError(f"{value} cannot be used in a template: it is not a finite number")
    text = repr(value)
    # YAML 1.1 reads 1e+16 as text: its floats need a decimal point.
    return text if "." in text or "e" not in text else text.replace("e", ".0e")


def _quoted(text: str) -> str:
    if _SURROGATE.search(text):
        raise InputError(f"{text!a} cannot be used in a template: it is not valid Unicode")
    # JSON would write a character beyond U+FFFF as two surrogates, which YAML reads as two characters. Non-ASCII characters
    # are escaped because CloudFormation replaces them by question marks.
    return _NOT_ASCII.sub(_escaped, json.dumps(text, ensure_ascii=False))


def _escaped(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - the end of the Basic Multilingual Plane


@cache
def environment(folder: str, finalizer: Callable[[object], str] = finalize) -> jinja2.Environment:
    """Return the Jinja environment for the templates in `folder`, such as ``cloudformation``.

    Undefined names are errors, and every interpolated value is passed to `finalizer`.
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
    cloudformation.filters["literal"] = literal
    cloudformation.filters["literal_json"] = literal_json
    return cloudformation


def parse_json(body: str) -> dict[str, Any] | None:
    """Return the value of a JSON object, or None for other text and for a duplicate key: the YAML parser then reports the line."""
    if not body.lstrip().startswith("{"):
        return None
    # YAML includes JSON with one exception: JSON writes a character beyond U+FFFF as two escapes, which YAML parsers reject.
    try:
        parsed: dict[str, Any] = json.loads(body, object_pairs_hook=without_duplicates)
    except (ValueError, RecursionError):
        # It may still be YAML in braces; otherwise the YAML parser reports the line of the mistake.
        return None
    return parsed


def parse(body: str) -> dict[str, Any]:
    """Parse a template, YAML or JSON, into plain data with CloudFormation's short tags in their long form.

    ``!Ref x`` becomes ``{"Ref": "x"}``, ``!GetAtt a.b`` ``{"Fn::GetAtt": ["a", "b"]}``, any other ``!Name x`` ``{"Fn::Name":
    x}``; dates remain text. Raises TemplateRejectedError, with the line, for invalid YAML, a duplicate key in a
    mapping, and a template that is not a mapping.
    """
    if (found := parse_json(body)) is not None:
        return found
    try:
        parsed = load(body)
    except UnreadableYamlError as error:
        raise TemplateRejectedError(f"the template cannot be read{error}") from error
    if not isinstance(parsed, dict):
        raise TemplateRejectedError("the template cannot be read: it is not a mapping with Resources")
    return parsed


def written(template: Mapping[str, Any]) -> str:
    """Return the text of a parsed template: YAML with two spaces for each level, and with functions in their long form."""
    # Only a template that differs from the rendered one is written again.
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
    """Return the capabilities that CloudFormation requires to deploy the template `parsed`, sorted."""
    return tuple(sorted(capability_reasons(parsed)))


def capability_reasons(parsed: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the required capabilities, each with the resources or macros that require it.

    CAPABILITY_NAMED_IAM, which includes CAPABILITY_IAM, if an IAM resource has its own name; CAPABILITY_AUTO_EXPAND if
    it has a macro. The content of a macro or a nested stack is unknown here, so both require all. Source:
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateChangeSet.html.
    """
    resources = parsed.get("Resources")
    iam: list[str] = []
    named: list[str] = []
    nested: list[str] = []
    for logical_id, resource in resources.items() if isinstance(resources, dict) else ():
        kind = resource.get("Type") if isinstance(resource, dict) else None
        if not isinstance(kind, str):
            continue
        properties = resource.get("Properties")
        if kind == "AWS::CloudFormation::Stack":
            nested.append(f"nested stack {logical_id}")
        elif kind in _IAM_TYPES:
            iam.append(str(logical_id))
            if isinstance(properties, dict) and _NAME_PROPERTY.get(kind) in properties:
                named.append(str(logical_id))
    unknown = [*nested, *(f"transform {name}" for name in transforms(parsed))]
    if unknown:
        return {"CAPABILITY_AUTO_EXPAND": tuple(unknown), "CAPABILITY_NAMED_IAM": (*named, *unknown)}
    if named:
        return {"CAPABILITY_NAMED_IAM": tuple(named)}
    return {"CAPABILITY_IAM": tuple(iam)} if iam else {}


def has_transform(parsed: Mapping[str, Any]) -> bool:
    """Return whether CloudFormation applies a macro to the template `parsed`, so that its text differs from what is deployed.

    Macros are declared at the top (``AWS::LanguageExtensions``, ``AWS::Serverless-2016-10-31``, those of the account) or at any depth
    (``AWS::Include``). A processed template declares none. Source:
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-macros.html.
    """
    return bool(transforms(parsed))


def transforms(parsed: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the macros in a parsed template, each once: ``AWS::LanguageExtensions`` for a loop, ``*`` for unknown names.

    Modules count too, because CloudFormation replaces them by resources before it deploys:
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/modules.html.
    """
    declared = parsed.get("Transform")
    found = [
        _macro(each)
        for each in (declared if isinstance(declared, list) else [declared] if "Transform" in parsed else [])
    ]
    found += (_macro(value) for key, value in _items(parsed) if key == "Fn::Transform")
    if any(key.startswith("Fn::ForEach::") for key, _ in _items(parsed)):
        found.append("AWS::LanguageExtensions")
    found += (kind for kind in _types(parsed) if kind.endswith("::MODULE"))
    return tuple(dict.fromkeys(found))


def _macro(declared: object) -> str:
    name = declared.get("Name") if isinstance(declared, dict) else declared
    return name if isinstance(name, str) else "*"


def _types(parsed: Mapping[str, Any]) -> Iterator[str]:
    resources = parsed.get("Resources")
    for resource in resources.values() if isinstance(resources, dict) else ():
        if isinstance(resource, dict) and isinstance(resource.get("Type"), str):
            yield resource["Type"]


def _items(value: object) -> Iterator[tuple[str, object]]:
    """Yield the keys of all mappings in a value, with their values."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key), inner
            yield from _items(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _items(inner)


def texts(value: object, place: str = "") -> Iterator[tuple[str, str]]:
    """Yield each text in a parsed template with its place, such as ``Resources.Cluster.Type``; keys are not included."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from texts(inner, f"{place}.{key}" if place else str(key))
