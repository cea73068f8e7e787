"""What all constructs share: what a stack is called and tagged, what it is made of, and errors in the words of the command line."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from pydantic import Field, PrivateAttr, ValidationError

from exasol_ci_setup.constructs.scope import Scope
from exasol_ci_setup.constructs.values import Name, StackName, Value
from exasol_ci_setup.errors import InputError

if TYPE_CHECKING:
    # What annotates a private attribute is not read by pydantic.
    from collections.abc import Iterator, Mapping, Sequence  # noqa: TC004

    from pydantic_core import ErrorDetails

    from exasol_ci_setup.constructs.builder import ContainerBuilder

TAG_PREFIX: Final = "exasol-ci-setup:"

_SHOWN_CHARACTERS: Final = 100
_CREDENTIALS_IN_URL: Final = re.compile(r"//[^/\s]*@")


class Construct(Value):
    """One stack as a validated, immutable set of parameters, which `templates.render` turns into its template.

    A subclass names the file of its template in `template`, and in `stack_name` how its stack is called. The constructor
    raises pydantic's ValidationError; `build` raises an `InputError` in the words of the command line instead.
    """

    template: ClassVar[str]
    network_parameters: ClassVar[tuple[str, ...]] = ()
    """Those of ``VpcId``, ``SubnetIds`` and ``SubnetId`` that the template asks for."""

    stack: StackName | None = Field(default=None, alias="stack_name")

    _outputs: Mapping[str, str] | None = PrivateAttr(default=None)

    @property
    def stack_name(self) -> str:
        """The name of the stack: the one asked for with `stack_name=`, or else the construct's own."""
        raise NotImplementedError

    @property
    def tags(self) -> dict[str, str]:
        """The tags by which this tool knows a stack as its own."""
        return {f"{TAG_PREFIX}construct": type(self).__name__}

    @property
    def dependencies(self) -> tuple[Construct, ...]:
        """The constructs whose outputs this one's stack takes."""
        return ()

    @property
    def lint_template_key(self) -> Construct:
        """A construct whose template differs from this one's in names at most: of many, the linter has to see one."""
        return self

    def parameters(self, network: Mapping[str, str]) -> dict[str, str]:  # noqa: ARG002 - for those whose template asks for it
        """Return the values of the template's parameters; `network` holds those of `network_parameters`."""
        return {}

    @property
    def builders(self) -> tuple[ContainerBuilder, ...]:
        """The container builders whose images must be there before this construct's stack, since it runs them."""
        return ()

    def set_outputs(self, outputs: Mapping[str, str]) -> None:
        """Keep what the stack tells of itself, once it is deployed."""
        self._outputs = outputs


class ScopedConstruct(Construct):
    """A construct of a program: it belongs to a scope, and may refer to others, whose outputs its stack gets as parameters.

    `scope` may be left out where it follows from what the construct is made of. Two of them are told apart by identity, not by
    their values. One without a stack (`has_stack`) only describes a part of others.
    """

    has_stack: ClassVar[bool] = True

    scope: Scope | None = None
    name: Name

    @property
    def parts(self) -> tuple[ScopedConstruct, ...]:
        """The constructs that this one names in its fields."""
        return ()

    @property
    def dependencies(self) -> tuple[ScopedConstruct, ...]:
        """The constructs whose stacks must be there before this one's, each once, in the order of its fields."""
        found: dict[int, ScopedConstruct] = {}
        for part in self.parts:
            for each in (part,) if part.has_stack else part.dependencies:
                found[id(each)] = each
        return tuple(found.values())

    @property
    def inputs(self) -> dict[str, tuple[ScopedConstruct, str]]:
        """Which output of which construct the template's parameters take."""
        return {}

    @property
    def given(self) -> dict[str, str]:
        """The values of those parameters that take no output of a construct."""
        return {}

    @property
    def own_scope(self) -> Scope:
        """The scope of this construct: its own, or that of what it is made of.

        Raises InputError if there is none, or if there are two different ones.
        """
        found = list(dict.fromkeys(self.scopes()))
        if not found:
            raise InputError(f"{self.kind} {self.name!r} has no scope", hint="give it one with scope=")
        if len(found) > 1:
            names = " and ".join(repr(scope.name) for scope in found[:2])
            raise InputError(f"{self.kind} {self.name!r} is made of parts of different scopes: {names}")
        return found[0]

    @property
    def kind(self) -> str:
        """What sort of construct this is, such as Registry."""
        return type(self).__name__

    @property
    def stack_name(self) -> str:
        """The name of the stack: the one asked for, or the scope's and the construct's, or without a scope the construct's."""
        if self.stack is not None:
            return self.stack
        return f"{self.own_scope.name}-{self.name}" if self.is_scoped else self.name

    @property
    def is_scoped(self) -> bool:
        """Whether the construct, or a part of it, has a scope; one that a command makes has none."""
        return next(self.scopes(), None) is not None

    @property
    def tags(self) -> dict[str, str]:
        """The tags by which this tool knows the stack as its own, and as one of its scope."""
        scope = {f"{TAG_PREFIX}scope": self.own_scope.name} if self.is_scoped else {}
        return {**super().tags, f"{TAG_PREFIX}name": self.name, **scope}

    @property
    def outputs(self) -> Mapping[str, str]:
        """What the stack tells of itself, by CloudFormation's names. Raises InputError before it is deployed."""
        if self._outputs is None:
            raise InputError(
                f"{self.kind} {self.name!r} is not deployed yet, so it has no outputs",
                hint="resolve() or deploy() it first",
            )
        return MappingProxyType(self._outputs)

    def output(self, name: str) -> str:
        """Return one output. Raises InputError before the stack is deployed, or if the stack that is there has no such output."""
        outputs = self.outputs
        if name not in outputs:
            raise InputError(
                f"stack {self.stack_name} has no output {name}", hint=f"deploy {self.kind} {self.name!r} again"
            )
        return outputs[name]

    def parameters(self, network: Mapping[str, str]) -> dict[str, str]:
        """Return the values of the template's parameters; `network` holds those of `network_parameters`.

        Raises InputError if what this construct depends on is not deployed.
        """
        taken = {name: construct.output(output) for name, (construct, output) in self.inputs.items()}
        return {**{name: network[name] for name in self.network_parameters}, **self.given, **taken}

    @property
    def given_network(self) -> tuple[str | None, tuple[str, ...]]:
        """The VPC and the subnets that the scope gives; None and an empty tuple where it does not."""
        scope = next(self.scopes(), None)
        return (scope.vpc_id, scope.subnet_ids) if scope is not None else (None, ())

    async def resolve(self) -> None:
        """Deploy what this construct depends on, then itself, and keep the outputs of all of them.

        In a program that `exasol-ci-setup` runs, the command decides what becomes of it. Raises the errors of `deploy`.
        """
        # A thread of its own: the event loop goes on meanwhile.
        import asyncio

        await asyncio.to_thread(self.deploy)

    def deploy(self) -> None:
        """Do as `resolve` does, without an event loop."""
        from exasol_ci_setup.resolve import verbs

        verbs.resolve(self)

    def scopes(self) -> Iterator[Scope]:
        """Return the scopes of this construct and of all its parts, its own first; some may be there twice."""
        if self.scope is not None:
            yield self.scope
        for part in self.parts:
            yield from part.scopes()


V = TypeVar("V", bound=Value)


def build(cls: type[V], **values: Any) -> V:
    """Make the construct or part `cls` of `values`, of which None means "not given".

    Raises InputError naming every refused value by its command-line option, with the rule that it breaks.
    """
    try:
        return cls(**{name: value for name, value in values.items() if value is not None})
    except ValidationError as error:
        problems = error.errors(include_url=False)
    # Raised here and not inside `except`, since pydantic's own words, which would be chained to it, show the raw input.
    raise InputError(_message(simplify_errors(problems)))


def simplify_errors(problems: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Return the problems with a model's values as a person sees them.

    Where a value may be text or a construct, pydantic tells for each of the two why it is none, under a name of its own for the text.
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
        subject, rule = _explained(problems[0])
        return f"{subject} is not acceptable: {rule}"
    lines = (f"  {subject}: {rule}" for subject, rule in map(_explained, problems))
    return "\n".join([f"{len(problems)} options are not acceptable:", *lines])


def _explained(problem: ErrorDetails) -> tuple[str, str]:
    option = "--" + ".".join(str(part).replace("_", "-") for part in problem["loc"])
    if problem["type"] == "missing":
        return option, "it is required"
    if problem["type"] == "extra_forbidden":
        return option, "there is no such option"
    rule = rule_of(problem)
    if not problem["loc"]:
        return "what is given", rule
    # Values that stand together, of which one may be a secret, are not repeated.
    is_plain = isinstance(problem["input"], str | int | float)
    return f"{option} {shown(problem['input'])}" if is_plain else option, rule


def rule_of(problem: ErrorDetails) -> str:
    """Return in plain words what pydantic wants where it found `problem`."""
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


def shown(value: object) -> str:
    """Return a refused value as it may stand in a message: not too long, and without credentials."""
    text = _CREDENTIALS_IN_URL.sub("//****@", value) if isinstance(value, str) else value
    quoted = ascii(text)
    return quoted if len(quoted) <= _SHOWN_CHARACTERS else f"{quoted[:_SHOWN_CHARACTERS]}…"
