"""The parameters of a template: what it declares, what the user gives in options and files, and whether the values are valid."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.core.text import suggestion
from exasol_ci_setup.template.input_files import StackOutput, stack_output
from exasol_ci_setup.template.intrinsics import MASK, as_mapping, is_no_echo, scalar
from exasol_ci_setup.template.limits import LARGEST_PARAMETER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

_NAME: Final = re.compile(r"[A-Za-z0-9]{1,255}")
_SSM: Final = "AWS::SSM::Parameter::Value"
_DYNAMIC: Final = re.compile(r"\{\{resolve:[a-z-]+:[^{}]+\}\}")
_MOST_SHOWN: Final = 100


@dataclass(frozen=True, slots=True)
class ParameterDeclaration:
    """A parameter that a template declares; limits that it does not declare are None.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html
    """

    name: str
    type: str = "String"
    default: str | None = None
    description: str = ""
    no_echo: bool = False
    allowed_values: tuple[str, ...] = ()
    allowed_pattern: str | None = None
    min_length: int | None = None
    max_length: int | None = None
    min_value: Decimal | None = None
    max_value: Decimal | None = None
    constraint_description: str = ""

    @property
    def is_list(self) -> bool:
        """Whether the value is a list, written with commas."""
        return self.type == "CommaDelimitedList" or self.type.startswith("List<")

    @property
    def missing(self) -> str:
        """What a message says if the parameter has no value."""
        text = f"parameter {self.name} has no value: {self.type}"
        if self.no_echo:
            text += ", NoEcho"
        if self.description:
            text += f", {self.description}"
        if self.allowed_values:
            text += f", one of {', '.join(self.allowed_values)}"
        return text

    def problem(self, value: str) -> str:
        """Return which rule `value` breaks, or empty text. The value itself is not part of the message."""
        if len(value.encode("utf-8", "surrogatepass")) > LARGEST_PARAMETER:
            return f"use at most {LARGEST_PARAMETER:,} bytes"
        if _DYNAMIC.fullmatch(value):
            # CloudFormation resolves it later.
            return ""
        items = [item.strip() for item in value.split(",")] if self.is_list else [value]
        for item in items:
            rule = self._item_problem(item)
            if rule:
                return f"{rule} ({self.constraint_description})" if self.constraint_description else rule
        return ""

    def _item_problem(self, item: str) -> str:
        if self.allowed_values and item not in self.allowed_values:
            return f"use one of {', '.join(self.allowed_values)}"
        if self.type.startswith(_SSM):
            # The value is the name of an SSM parameter; the other rules are for the value behind it.
            return "use the name of an SSM parameter" if not item else ""
        if self.type in {"Number", "List<Number>"}:
            return self._number_problem(item)
        if self.allowed_pattern is not None and not _matches(self.allowed_pattern, item):
            return f"it does not match the pattern {self.allowed_pattern}"
        if self.min_length is not None and len(item) < self.min_length:
            return f"use at least {self.min_length} characters"
        if self.max_length is not None and len(item) > self.max_length:
            return f"use at most {self.max_length} characters"
        return ""

    def _number_problem(self, item: str) -> str:
        number = _number(item)
        if number is None:
            return "use a number"
        if self.min_value is not None and number < self.min_value:
            return f"use at least {self.min_value}"
        if self.max_value is not None and number > self.max_value:
            return f"use at most {self.max_value}"
        return ""


@dataclass(frozen=True, slots=True)
class GivenParameter:
    """A value from an option or a file. `value` is None to keep the deployed one; `origin` is where it comes from, for messages; may be empty."""

    value: str | StackOutput | None = field(repr=False)
    origin: str = ""
    from_command_line: bool = False

    def labeled(self, name: str) -> str:
        """Return the name of the parameter with its origin, for messages."""
        return f"parameter {name} ({self.origin})" if self.origin else f"parameter {name}"


@dataclass(frozen=True, slots=True)
class ParameterProblem:
    """What is wrong with the parameter `name`: as a message of its own, and as a `rule` for a message that names its place.

    `shown` is the value for display, empty if it must not be shown.
    """

    name: str
    text: str
    rule: str
    shown: str = ""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class ParameterChoice:
    """The values for the parameters of one template.

    `values` are for CloudFormation, in the order of the template. `kept` are parameters that keep their deployed value, `defaults` those
    with the template's default, `outputs` those whose value is an output that is not resolved. `missing` have no value. `problems` are
    those of invalid names and values.
    """

    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    outputs: Mapping[str, StackOutput] = field(default_factory=dict)
    kept: tuple[str, ...] = ()
    defaults: tuple[str, ...] = ()
    missing: tuple[ParameterDeclaration, ...] = ()
    problems: tuple[ParameterProblem, ...] = ()

    def require_valid(self) -> None:
        """Raise InputError with all problems, and with all missing parameters."""
        lines = [*map(str, self.problems), *(each.missing for each in self.missing)]
        if not lines:
            return
        hint = ""
        if self.missing:
            names = " ".join(f"--parameter {each.name}=VALUE" for each in self.missing if not each.no_echo)
            secret = "" if names else "a file with the values: `--parameters-file FILE`"
            hint = f"add {names}" if names else secret
        raise InputError.of(lines, f"the parameters have {len(lines)} problems", hint=hint)


def declarations(template: Mapping[str, Any]) -> dict[str, ParameterDeclaration]:
    """Return the parameters of a parsed template by name. Malformed parts are ignored: the linter and AWS reject them."""
    found = {}
    for name, declared in as_mapping(template.get("Parameters")).items():
        given = as_mapping(declared)
        allowed = given.get("AllowedValues")
        default = given.get("Default")
        found[str(name)] = ParameterDeclaration(
            name=str(name),
            type=scalar(given.get("Type", "String")),
            default=None if default is None else _joined(default),
            description=scalar(given.get("Description", "")),
            no_echo=is_no_echo(given),
            allowed_values=tuple(map(scalar, allowed)) if isinstance(allowed, list) else (),
            allowed_pattern=scalar(given["AllowedPattern"]) if "AllowedPattern" in given else None,
            min_length=_whole(given.get("MinLength")),
            max_length=_whole(given.get("MaxLength")),
            min_value=_number(scalar(given.get("MinValue"))),
            max_value=_number(scalar(given.get("MaxValue"))),
            constraint_description=scalar(given.get("ConstraintDescription", "")),
        )
    return found


def parse_parameter(text: str) -> tuple[str, GivenParameter]:
    """Return name and value of ``NAME=VALUE``: ``@STACK.OUTPUT`` is the output of another stack, ``@@`` a literal ``@``.

    Raises InputError for another form; the message does not contain the value.
    """
    name, equals, value = text.partition("=")
    if not equals or not _NAME.fullmatch(name):
        shown = name if _NAME.fullmatch(name) else "the text"
        raise InputError(
            f"--parameter: {shown} is not of the form NAME=VALUE", hint="a name has letters and digits only"
        )
    if value.startswith("@@"):
        return name, GivenParameter(value[1:], "--parameter", from_command_line=True)
    if not value.startswith("@"):
        return name, GivenParameter(value, "--parameter", from_command_line=True)
    try:
        return name, GivenParameter(stack_output(value[1:]), "--parameter", from_command_line=True)
    except ValueError:
        raise InputError(
            f"--parameter {name}: the value starts with @, but does not name an output",
            hint=f"write `{name}=@STACK.OUTPUT`, or `{name}=@@…` for a value that starts with @",
        ) from None


def choose(
    declared: Mapping[str, ParameterDeclaration],
    given: Mapping[str, GivenParameter],
    *,
    deployed: Mapping[str, str] | None = None,
) -> ParameterChoice:
    """Return the value of each declared parameter: the given one, else the one of the `deployed` stack, else the default.

    Names that the template does not declare, values that break its rules, and NoEcho values on the command line are problems.
    """
    existing = deployed or {}
    problems = list(_unknown(declared, given))
    values: dict[str, str] = {}
    outputs: dict[str, StackOutput] = {}
    kept, defaults, missing = [], [], []
    for name, declaration in declared.items():
        found = given.get(name)
        if found is not None and found.value is not None:
            if isinstance(found.value, StackOutput):
                outputs[name] = found.value
                continue
            problems += _value_problems(declaration, found, found.value)
            values[name] = found.value
        elif name in existing:
            kept.append(name)
            rule = "" if existing[name] == MASK else declaration.problem(existing[name])
            if rule:
                rule = f"the deployed value is no longer valid: {rule}"
                problems.append(ParameterProblem(name, f"parameter {name}: {rule}", rule))
        elif found is not None:
            rule = "the stack has no previous value"
            problems.append(ParameterProblem(name, f"{found.labeled(name)}: {rule}", rule))
        elif declaration.default is not None:
            defaults.append(name)
        else:
            missing.append(declaration)
    return ParameterChoice(values, outputs, tuple(kept), tuple(defaults), tuple(missing), tuple(problems))


def resolve_outputs(
    choice: ParameterChoice,
    declared: Mapping[str, ParameterDeclaration],
    look_up: Callable[[Iterable[StackOutput]], Mapping[StackOutput, str]],
) -> ParameterChoice:
    """Return the choice with the values of outputs, which `look_up` returns in one call, and with the problems of these values.

    Raises the errors of `look_up`.
    """
    if not choice.outputs:
        return choice
    found = look_up(dict.fromkeys(choice.outputs.values()))
    values = {**choice.values, **{name: found[output] for name, output in choice.outputs.items()}}
    problems = list(choice.problems)
    for name, output in choice.outputs.items():
        problems += _value_problems(declared[name], GivenParameter(output, str(output)), values[name])
    ordered = {name: values[name] for name in declared if name in values}
    return ParameterChoice(ordered, {}, choice.kept, choice.defaults, choice.missing, tuple(problems))


def _unknown(
    declared: Mapping[str, ParameterDeclaration], given: Mapping[str, GivenParameter]
) -> Iterator[ParameterProblem]:
    for name, found in given.items():
        if name not in declared:
            near = suggestion(name, declared, f"parameters of the template: {', '.join(declared) or 'it has none'}")
            label = found.labeled(f"{name[:_MOST_SHOWN]!a}")
            yield ParameterProblem(name, f"{label} is unknown{near}", f"unknown parameter{near}")


def _value_problems(declaration: ParameterDeclaration, found: GivenParameter, value: str) -> Iterator[ParameterProblem]:
    name = declaration.name
    if declaration.no_echo and found.from_command_line and not _DYNAMIC.fullmatch(value):
        rule = (
            "is NoEcho, so its value must not appear on the command line: "
            "use --parameters-file, or - as that file for standard input"
        )
        yield ParameterProblem(name, f"parameter {name} {rule}", rule)
        return
    rule = declaration.problem(value)
    if rule:
        shown = "" if declaration.no_echo else f"{value[:_MOST_SHOWN]!a}"
        label = found.labeled(f"{name} {shown}" if shown else name)
        yield ParameterProblem(name, f"{label} is not valid: {rule}", rule, shown)


def _matches(pattern: str, text: str) -> bool:
    """Return whether the whole text matches; True for a pattern of Java that Python cannot read: AWS checks it then."""
    try:
        return re.fullmatch(pattern, text) is not None
    except (re.error, RecursionError, OverflowError):
        return True


def _joined(value: Any) -> str:
    return ",".join(map(scalar, value)) if isinstance(value, list) else scalar(value)


def _whole(value: Any) -> int | None:
    text = scalar(value)
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None
