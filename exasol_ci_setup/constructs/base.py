"""Base classes of constructs: name, tags and dependencies of a stack, and errors with the names of command-line options."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from pydantic import Field, PrivateAttr, ValidationError

from exasol_ci_setup.constructs.output_values import constructs_in, outputs_in
from exasol_ci_setup.constructs.placeholders import are_only_placeholders, placeholder
from exasol_ci_setup.constructs.runtime import runtime
from exasol_ci_setup.constructs.scope import Scope
from exasol_ci_setup.constructs.values import Name, StackName, Value
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.core.tags import TAG_PREFIX

if TYPE_CHECKING:
    # pydantic does not read the annotation of a private attribute.
    from collections.abc import Iterator, Mapping, Sequence  # noqa: TC004

    from pydantic_core import ErrorDetails

    from exasol_ci_setup.constructs.builder import ContainerBuilder


_MAX_CHARACTERS: Final = 100
_CREDENTIALS_IN_URL: Final = re.compile(r"//[^/\s]*@")


class Construct(Value):
    """One stack as a validated, immutable set of parameters, which `templates.render` turns into its template.

    A subclass names its template file in `template`, and its stack in `stack_name`. The constructor raises pydantic's ValidationError;
    `build` raises an `InputError` with the names of command-line options instead.
    """

    has_stack: ClassVar[bool] = True

    template: ClassVar[str]
    network_parameters: ClassVar[tuple[str, ...]] = ()
    """Those of ``VpcId``, ``SubnetIds`` and ``SubnetId`` that the template has as parameters."""

    stack: StackName | None = Field(default=None, alias="stack_name")

    _outputs: Mapping[str, str] | None = PrivateAttr(default=None)

    @property
    def stack_name(self) -> str:
        """The name of the stack: the one set with `stack_name=`, or the construct's own."""
        raise NotImplementedError

    @property
    def tags(self) -> dict[str, str]:
        """The tags that identify a stack of this tool."""
        return {f"{TAG_PREFIX}construct": type(self).__name__}

    @property
    def dependencies(self) -> tuple[Construct, ...]:
        """The constructs whose outputs this one's stack uses."""
        return ()

    @property
    def lint_template_key(self) -> Construct:
        """A construct whose template differs from this one's at most in names; the linter checks one template for each key."""
        return self

    def parameters(self, network: Mapping[str, str]) -> dict[str, str]:  # noqa: ARG002 - used by subclasses whose template needs it
        """Return the values of the template's parameters; `network` has those of `network_parameters`."""
        return {}

    @property
    def builders(self) -> tuple[ContainerBuilder, ...]:
        """The container builders whose images must exist before this construct's stack, since it runs them."""
        return ()

    def set_outputs(self, outputs: Mapping[str, str]) -> None:
        """Store the outputs of the deployed stack."""
        self._outputs = outputs


class ScopedConstruct(Construct):
    """A construct of a program: it belongs to a scope, and may refer to others, whose outputs become parameters of its stack.

    `scope` can be omitted if a part of the construct has one. Scoped constructs are compared by identity, not by value. One without a stack
    (`has_stack`) only describes a part of others.
    """

    scope: Scope | None = None
    name: Name

    @property
    def parts(self) -> tuple[ScopedConstruct, ...]:
        """The constructs in the fields of this one."""
        fields = (getattr(self, name) for name in type(self).model_fields)
        return tuple(part for field in fields for part in constructs_in(field) if isinstance(part, ScopedConstruct))

    @property
    def dependencies(self) -> tuple[ScopedConstruct, ...]:
        """The constructs whose stacks must exist before this one's, unique: those in its fields, and those whose outputs are."""
        found: dict[int, ScopedConstruct] = {}
        for part in self.parts:
            for each in (part,) if part.has_stack else part.dependencies:
                found[id(each)] = each
        for output in outputs_in(self):
            if isinstance(output.construct, ScopedConstruct):
                found[id(output.construct)] = output.construct
        return tuple(found.values())

    @property
    def parameter_sources(self) -> dict[str, tuple[ScopedConstruct, str]]:
        """The construct and output behind each parameter that takes an output."""
        return {}

    @property
    def static_parameters(self) -> dict[str, str]:
        """The values of the parameters that take no output of a construct."""
        return {}

    @property
    def resolved_scope(self) -> Scope:
        """The scope of this construct: its own, or that of its parts.

        Raises InputError if no scope or two different ones are set.
        """
        found = list(dict.fromkeys(self.scopes()))
        if not found:
            raise InputError(f"{self.kind} {self.name!r} has no scope", hint="set it with scope=")
        if len(found) > 1:
            names = " and ".join(repr(scope.name) for scope in found[:2])
            raise InputError(f"{self.kind} {self.name!r} has parts of different scopes: {names}")
        return found[0]

    @property
    def kind(self) -> str:
        """The kind of construct, such as Registry."""
        return type(self).__name__

    @property
    def stack_name(self) -> str:
        """The name of the stack: the one that is set, or ``SCOPE-NAME``, or without a scope the construct's name."""
        if self.stack is not None:
            return self.stack
        return f"{self.resolved_scope.name}-{self.name}" if self.is_scoped else self.name

    @property
    def is_scoped(self) -> bool:
        """Whether the construct or a part of it has a scope; the constructs of commands have none."""
        return next(self.scopes(), None) is not None

    @property
    def tags(self) -> dict[str, str]:
        """The tags that identify a stack of this tool and of its scope."""
        scope = {f"{TAG_PREFIX}scope": self.resolved_scope.name} if self.is_scoped else {}
        return {**super().tags, f"{TAG_PREFIX}name": self.name, **scope}

    @property
    def outputs(self) -> Mapping[str, str]:
        """The outputs of the stack by name. Raises InputError before it is deployed."""
        if self._outputs is None:
            raise InputError(
                f"{self.kind} {self.name!r} is not deployed yet, so it has no outputs",
                hint="call resolve() or deploy() first",
            )
        return MappingProxyType(self._outputs)

    def output(self, name: str) -> str:
        """Return one output: its value, or in a dry run a placeholder that other constructs accept.

        Raises InputError if the stack is neither deployed nor declared by a running program, or lacks the output.
        """
        if are_only_placeholders():
            return placeholder(self, name)
        outputs = self._outputs if self._outputs is not None else runtime().outputs(self)
        if name not in outputs:
            raise InputError(
                f"stack {self.stack_name} has no output {name}", hint=f"deploy {self.kind} {self.name!r} again"
            )
        return outputs[name]

    def parameters(self, network: Mapping[str, str]) -> dict[str, str]:
        """Return the values of the template's parameters; `network` has those of `network_parameters`.

        Raises InputError if a dependency of this construct is not deployed.
        """
        taken = {name: construct.output(output) for name, (construct, output) in self.parameter_sources.items()}
        return {**{name: network[name] for name in self.network_parameters}, **self.static_parameters, **taken}

    @property
    def configured_network(self) -> tuple[str | None, tuple[str, ...]]:
        """The VPC and the subnets of the scope; None and an empty tuple if it sets none."""
        scope = next(self.scopes(), None)
        return (scope.vpc_id, scope.subnet_ids) if scope is not None else (None, ())

    async def resolve(self) -> None:
        """Deploy the dependencies of this construct, then itself, and store the outputs of all of them.

        In a program that `exasol-ci-setup` runs, the command decides whether to deploy. Raises the errors of `deploy`.
        """
        # In a thread, so that the event loop is not blocked.
        import asyncio  # noqa: PLC0415 - takes 40 ms, and only this method needs it

        await asyncio.to_thread(self.deploy)

    def deploy(self) -> None:
        """Do the same as `resolve`, without an event loop."""
        runtime().deploy(self)

    def scopes(self) -> Iterator[Scope]:
        """Return the scopes of this construct and of all its parts, its own first; with duplicates."""
        if self.scope is not None:
            yield self.scope
        for part in self.parts:
            yield from part.scopes()


V = TypeVar("V", bound=Value)


def build(cls: type[V], **values: Any) -> V:
    """Create the construct or part `cls` from `values`, of which None means "not set".

    Raises InputError that names each invalid value by its command-line option, with the rule that it breaks.
    """
    try:
        return cls(**{name: value for name, value in values.items() if value is not None})
    except ValidationError as error:
        problems = error.errors(include_url=False)
    # Raised outside of `except`: pydantic's exception would be chained to it, and its text has the raw input.
    raise InputError(_message(simplify_errors(problems)))


def simplify_errors(problems: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Return the problems with a model's values without technical duplicates.

    For a value that may be text or a construct, pydantic reports a problem for each of the two, the text one under a name of its own.
    """
    texts = {problem["loc"][:-1] for problem in problems if _is_text(problem)}
    found = []
    for problem in problems:
        if problem["type"] == "model_type" and problem["loc"][:-1] in texts:
            continue
        found.append({**problem, "loc": problem["loc"][:-1]} if _is_text(problem) else problem)
    return found


def _is_text(problem: ErrorDetails) -> bool:
    return bool(problem["loc"]) and str(problem["loc"][-1]).startswith("function-after[")


def _message(problems: list[ErrorDetails]) -> str:
    if len(problems) == 1:
        subject, rule = _option_and_rule(problems[0])
        return f"{subject} is invalid: {rule}"
    lines = (f"  {subject}: {rule}" for subject, rule in map(_option_and_rule, problems))
    return "\n".join([f"{len(problems)} options are invalid:", *lines])


def _option_and_rule(problem: ErrorDetails) -> tuple[str, str]:
    option = "--" + ".".join(str(part).replace("_", "-") for part in problem["loc"])
    if problem["type"] == "missing":
        return option, "it is required"
    if problem["type"] == "extra_forbidden":
        return option, "unknown option"
    rule = rule_of(problem)
    if not problem["loc"]:
        return "the combination of values", rule
    # Values that are validated together are not repeated, since one may be a secret.
    is_plain = isinstance(problem["input"], str | int | float)
    return f"{option} {quote_value(problem['input'])}" if is_plain else option, rule


def rule_of(problem: ErrorDetails) -> str:
    """Return the rule that a value breaks in plain words."""
    kind, message = problem["type"], problem["msg"]
    if kind == "rule":
        return message
    if kind == "literal_error":
        return f"use {problem.get('ctx', {})['expected']}"
    if kind.startswith("int_"):
        return "use a whole number"
    if kind.startswith("string_"):
        return "use text"
    return message[:1].lower() + message[1:]


def quote_value(value: object) -> str:
    """Return an invalid value for a message: quoted, shortened, and without credentials."""
    text = _CREDENTIALS_IN_URL.sub("//****@", value) if isinstance(value, str) else value
    quoted = ascii(text)
    return quoted if len(quoted) <= _MAX_CHARACTERS else f"{quoted[:_MAX_CHARACTERS]}…"
