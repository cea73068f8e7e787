"""Base classes of constructs: name, tags and dependencies of a stack, and errors with the names of command-line options."""

from __future__ import annotations

import difflib
import re
import sys
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, TypeVar

from pydantic import Field, PrivateAttr, ValidationError, model_validator

from exasol_ci_setup.constructs.output_values import constructs_in, outputs_in
from exasol_ci_setup.constructs.placeholders import are_only_placeholders, placeholder
from exasol_ci_setup.constructs.runtime import runtime
from exasol_ci_setup.constructs.scope import Scope
from exasol_ci_setup.constructs.unresolved import UnresolvedText
from exasol_ci_setup.constructs.values import HashableDict, Name, StackName, Tags, Value, refusal
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.core.rules import rule_of
from exasol_ci_setup.core.stacks import Options, StackSettings
from exasol_ci_setup.core.tags import TAG_PREFIX

if TYPE_CHECKING:
    # pydantic does not read the annotation of a private attribute.
    from collections.abc import Iterator, Mapping, Sequence  # noqa: TC004

    from pydantic_core import ErrorDetails
    from typing_extensions import Self

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.constructs.builder import ContainerBuilder
    from exasol_ci_setup.constructs.load_balancer import ListenerRule
    from exasol_ci_setup.constructs.runtime import OpenPlan
    from exasol_ci_setup.core.costs import Cost
    from exasol_ci_setup.core.errors.details import Finding
    from exasol_ci_setup.core.stacks import Drift, Result, Stack


_MAX_CHARACTERS: Final = 100
_CREDENTIALS_IN_URL: Final = re.compile(r"//[^/\s]*@")


class Construct(Value):
    """One stack as a validated, immutable set of parameters, which `template.render` turns into its template.

    A subclass names its template file in `template`, and its stack in `stack_name`. The constructor raises pydantic's ValidationError;
    `build` raises an `InputError` with the names of command-line options instead.

    Constructs are compared by identity where they are deployed. One without a stack (`has_stack`) only describes a part of others. The
    methods that act take a `Context`; if it is omitted, that of the AWS configuration, in the account and region of the scope. They raise
    the errors of `core.errors`.
    """

    has_stack: ClassVar[bool] = True
    template: ClassVar[str]
    template_folder: ClassVar[Path | None] = None
    """The folder of `template` for a construct of a user: that of the module that sets it. None for the templates of this package."""
    network_parameters: ClassVar[tuple[str, ...]] = ()
    """Those of ``VpcId``, ``SubnetIds`` and ``SubnetId`` that the template has as parameters."""
    former_ids: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Logical IDs that resources of the template have in stacks of the predecessor, by those in the template: such a stack keeps them."""
    gives_access_to_github: ClassVar[bool] = False
    """Whether the stack has the GitHub credentials that the builds of its account and region use."""

    stack: StackName | None = Field(default=None, alias="stack_name", description="Name of the stack.")
    scope: Annotated[
        Scope | None,
        Field(description="Region, credentials and name prefix of a program's stacks. Default: those of the context."),
    ] = None

    _outputs: Mapping[str, str] | None = PrivateAttr(default=None)

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """Store the folder of the template that a subclass of a user sets."""
        own = cls.__dict__
        is_shipped = cls.__module__.startswith("exasol_ci_setup.")
        if isinstance(own.get("template"), str) and "template_folder" not in own and not is_shipped:
            cls.template_folder = folder_of(str(getattr(sys.modules.get(cls.__module__), "__file__", None) or ""))

    @property
    def stack_name(self) -> str:
        """The name of the stack: the one set with `stack_name=`, or the construct's own."""
        raise NotImplementedError

    @property
    def label(self) -> str:
        """The name of the construct in messages."""
        return self.stack_name

    @property
    def kind(self) -> str:
        """The kind of construct, such as Registry."""
        return type(self).__name__

    @property
    def tags(self) -> dict[str, str]:
        """The tags of the stack: those of the scope, and those that identify a stack of this tool."""
        scope = {**self.resolved_scope.tags, f"{TAG_PREFIX}scope": self.resolved_scope.name} if self.is_scoped else {}
        return {**scope, f"{TAG_PREFIX}construct": self.kind}

    @property
    def parts(self) -> tuple[Construct, ...]:
        """The constructs in the fields of this one."""
        fields = (getattr(self, name) for name in type(self).model_fields)
        return tuple(part for field in fields for part in constructs_in(field) if isinstance(part, Construct))

    @property
    def dependencies(self) -> tuple[Construct, ...]:
        """The constructs whose stacks must exist before this one's, unique: those in its fields, and those whose outputs are."""
        found: dict[int, Construct] = {}
        for part in self.parts:
            for each in (part,) if part.has_stack else part.dependencies:
                found[id(each)] = each
        for output in outputs_in(self):
            found[id(output.construct)] = output.construct
        return tuple(found.values())

    @property
    def needs_access_to_github(self) -> bool:
        """Whether the stack needs the one that `gives_access_to_github` of its account and region."""
        return False

    @property
    def listener_rules(self) -> tuple[ListenerRule, ...]:
        """The rules in listeners of load balancers, whose priorities are parameters that depend on the other rules."""
        return ()

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks for the plan of the stack, such as a quota that it may exceed."""
        return ()

    @property
    def lint_template_key(self) -> Construct:
        """A construct whose template differs from this one's at most in names; the linter checks one template for each key."""
        return self

    @property
    def parameter_sources(self) -> Mapping[str, tuple[Construct, str]]:
        """The construct and output behind each parameter that takes an output."""
        return {}

    @property
    def static_parameters(self) -> dict[str, str]:
        """The values of the parameters that take no output of a construct."""
        return {}

    def parameters(self, network: Mapping[str, str]) -> dict[str, str]:
        """Return the values of the template's parameters; `network` has those of `network_parameters`.

        Raises InputError if a dependency of this construct is not deployed.
        """
        taken = {name: construct.output(output) for name, (construct, output) in self.parameter_sources.items()}
        return {**{name: network[name] for name in self.network_parameters}, **self.static_parameters, **taken}

    @property
    def builders(self) -> tuple[ContainerBuilder, ...]:
        """The container builders whose images must exist before this construct's stack, since it runs them."""
        return ()

    @property
    def resolved_scope(self) -> Scope:
        """The scope of this construct: its own, or that of its parts.

        Raises InputError if no scope or two different ones are set.
        """
        found = list(dict.fromkeys(self.scopes()))
        if not found:
            raise InputError(f"{self.kind} {self.label!r} has no scope", hint="set it with scope=")
        if len(found) > 1:
            names = " and ".join(repr(scope.name) for scope in found[:2])
            raise InputError(f"{self.kind} {self.label!r} has parts of different scopes: {names}")
        return found[0]

    @property
    def is_scoped(self) -> bool:
        """Whether the construct or a part of it has a scope; the constructs of commands have none."""
        return next(self.scopes(), None) is not None

    def scopes(self) -> Iterator[Scope]:
        """Return the scopes of this construct and of all its parts, its own first; with duplicates."""
        if self.scope is not None:
            yield self.scope
        for part in self.parts:
            yield from part.scopes()

    @property
    def permissions_boundary(self) -> str | None:
        """The policy of the scope that limits the roles of the stack, or None."""
        scope = next(self.scopes(), None)
        return scope.permissions_boundary if scope is not None else None

    @property
    def configured_network(self) -> tuple[str | None, tuple[str, ...]]:
        """The VPC and the subnets of the scope; None and an empty tuple if it sets none."""
        scope = next(self.scopes(), None)
        return (scope.vpc_id, tuple(scope.subnet_ids)) if scope is not None else (None, ())

    @property
    def outputs(self) -> Mapping[str, str]:
        """The outputs of the stack by name. Raises InputError before it is deployed."""
        if self._outputs is None:
            raise InputError(
                f"{self.kind} {self.label!r} is not deployed yet, so it has no outputs",
                hint="call resolve() or deploy() first",
            )
        return MappingProxyType(self._outputs)

    def output(self, name: str) -> str:
        """Return one output: its value, or in a dry run a placeholder that other constructs accept.

        Raises InputError if the stack is neither deployed nor declared by a running program, or lacks the output.
        """
        if are_only_placeholders():
            return UnresolvedText(placeholder(self, name))
        outputs = self._outputs if self._outputs is not None else runtime().outputs(self)
        if name not in outputs:
            near = difflib.get_close_matches(name, outputs, n=1)
            names = f"did you mean {near[0]}?" if near else f"its outputs: {', '.join(outputs) or 'none'};"
            raise InputError(
                f"stack {self.stack_name} has no output {name}",
                hint=f"{names} if its template has it, deploy {self.kind} {self.label!r} again",
            )
        return outputs[name]

    def set_outputs(self, outputs: Mapping[str, str]) -> None:
        """Store the outputs of the deployed stack."""
        self._outputs = outputs

    async def resolve(self) -> None:
        """Deploy the dependencies of this construct, then itself, and store the outputs of all of them.

        In a program that `exasol-ci-setup` runs, the command decides whether to deploy. Raises the errors of `deploy`.
        """
        # In a thread, so that the event loop is not blocked.
        import asyncio  # noqa: PLC0415 - takes 40 ms, and only this method needs it

        await asyncio.to_thread(self.deploy)

    def deploy(
        self,
        context: Context | None = None,
        *,
        settings: StackSettings = StackSettings(),
        options: Options = Options(revert_drift=True),
    ) -> Result:
        """Deploy the dependencies of this construct, then itself, and store the outputs of all of them.

        The reporter of `context` confirms each plan; the default one approves all. `settings` apply to all deployed stacks. In a program
        that `exasol-ci-setup` runs, the command deploys, and the plan of the result is empty. Raises StackError if another stack builds the
        project already, NotApprovedError, DeployFailedError, TimedOutError, OperationInterruptedError; if several stacks failed, a
        StackError that names them.
        """
        return runtime().deploy(self, context, settings, options)

    def plan(
        self,
        context: Context | None = None,
        *,
        settings: StackSettings = StackSettings(),
        options: Options = Options(revert_drift=True),
    ) -> OpenPlan:
        """Return the plan of this construct's stack, a context manager: if it is not applied, nothing remains on AWS.

        The dependencies must be deployed, otherwise this raises InputError.
        """
        return runtime().plan(self, context, settings, options)

    def lint(self, region: str = "us-east-1") -> list[Finding]:
        """Return the findings of cfn-lint in the template, without a call of AWS."""
        return runtime().lint(self, region)

    def validate(self, context: Context | None = None) -> list[Finding]:  # type: ignore[override] # pydantic's is deprecated
        """Let cfn-lint and CloudFormation check the template, and return the findings that are no errors.

        Raises TemplateRejectedError with the findings if one is an error.
        """
        return runtime().validate(self, context)

    def diff(self, context: Context | None = None) -> str:
        """Return the unified diff between the deployed template and the new one, empty if they are equal."""
        return runtime().diff(self, context)

    def cost(self, context: Context | None = None) -> Cost:
        """Return the estimate of the monthly cost, by the list prices of AWS in the region."""
        return runtime().cost(self, context)

    def drift(self, context: Context | None = None) -> Drift:
        """Return what was changed outside of CloudFormation. Raises StackError if the stack was never deployed."""
        return runtime().drift(self, context)

    def import_resources(
        self,
        identifiers: Mapping[str, str],
        context: Context | None = None,
        *,
        options: Options = Options(),
    ) -> Result:
        """Import existing resources into the stack, by their identifiers for each logical ID; they are not changed."""
        return runtime().import_resources(self, identifiers, context, options)

    def watch(self, context: Context | None = None) -> Stack:
        """Follow the operation in progress on the stack, and return the stack when it has ended.

        Raises DeployFailedError with its diagnosis if the operation failed.
        """
        return runtime().watch(self, context)

    def delete(self, context: Context | None = None, *, empty: bool = False) -> bool:
        """Delete the stack, and return whether it existed. With `empty` also delete the contents of its buckets and repositories.

        The reporter of `context` confirms the plan; the default one approves it. Raises StackError if another stack uses it, or if a bucket
        or repository is not empty.
        """
        return runtime().delete(self, context, empty=empty)


class ScopedConstruct(Construct):
    """A construct with a name in its scope. It may refer to others, whose outputs become parameters of its stack.

    `scope` can be omitted if a part of the construct has one.
    """

    name: Annotated[Name, Field(description="Name of the construct.")]
    own_tags: Tags = Field(
        default_factory=HashableDict, alias="tags", description="Further tags of the stack, and of its resources."
    )

    @model_validator(mode="after")
    def _has_tags_of_stack(self) -> Self:
        if self.own_tags and not self.has_stack:
            raise refusal("tags are those of a stack, and this construct is a part of others: set them there")
        return self

    @property
    def label(self) -> str:
        """The name of the construct."""
        return self.name

    @property
    def stack_name(self) -> str:
        """The name of the stack: the one that is set, or ``SCOPE-NAME``, or without a scope the construct's name."""
        if self.stack is not None:
            return self.stack
        return f"{self.resolved_scope.name}-{self.name}" if self.is_scoped else self.name

    @property
    def tags(self) -> dict[str, str]:
        """The tags of the stack: those of the scope and of the construct, and those that identify a stack of this tool."""
        inherited = super().tags
        own = {key: text for key, text in inherited.items() if key.startswith(TAG_PREFIX)}
        return {**inherited, **self.own_tags, **own, f"{TAG_PREFIX}name": self.name}


def folder_of(file: str) -> Path:
    """Return the folder of a Python file; the working directory for an empty name, as in an interactive session."""
    return Path(file).resolve().parent if file else Path.cwd()


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
    """Return the problems with a model's values without technical duplicates: one for each value.

    For a value of several types, pydantic reports a problem for each type, and adds the name of a validator to the place.
    """
    grouped: dict[tuple[int | str, ...], list[ErrorDetails]] = {}
    for problem in problems:
        place = problem["loc"][:-1] if _is_validator(problem) else problem["loc"]
        grouped.setdefault(place, []).append({**problem, "loc": place})
    return [each for found in grouped.values() for each in _simplified(found)]


def _is_validator(problem: ErrorDetails) -> bool:
    return bool(problem["loc"]) and str(problem["loc"][-1]).startswith("function-after[")


def _simplified(problems: list[ErrorDetails]) -> list[ErrorDetails]:
    """Return the problems of one value: those with its text, or the types that it may have."""
    names = [str(each.get("ctx", {}).get("class_name")) for each in problems if each["type"] == "model_type"]
    others = [each for each in problems if each["type"] != "model_type"]
    if not names or any(each["type"] != "string_type" for each in others):
        return others
    rule = f"use {' or '.join([', '.join(names), 'text'] if others else [', '.join(names[:-1]), names[-1]] if names[1:] else names)}"
    return [{**problems[0], "type": "rule", "msg": rule}]


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


def quote_value(value: object) -> str:
    """Return an invalid value for a message: quoted, shortened, and without credentials."""
    text = _CREDENTIALS_IN_URL.sub("//****@", value) if isinstance(value, str) else value
    quoted = ascii(text)
    return quoted if len(quoted) <= _MAX_CHARACTERS else f"{quoted[:_MAX_CHARACTERS]}…"
