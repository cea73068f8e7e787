"""Options that several commands share, and those of every deployment."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import click

from exasol_ci_setup.cli.session import Session, together
from exasol_ci_setup.core import patterns
from exasol_ci_setup.core.errors import InputError, SetupError
from exasol_ci_setup.core.tags import tag_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from click.shell_completion import CompletionItem

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600}


class Duration(click.ParamType):  # type: ignore[type-arg] # generic only in newer releases of click
    """A time with its unit, such as 90s, 30m or 2h; converted to seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds."""
        match = re.fullmatch(r"([0-9]{1,6})([smh])", str(value).strip())
        if not match or int(match[1]) == 0:
            self.fail(f"{value!r} is not a time: use a number with its unit, such as 90s, 30m or 2h", param, ctx)
        return float(int(match[1]) * _SECONDS[match[2]])


class Tag(click.ParamType):  # type: ignore[type-arg] # as above
    """KEY=VALUE by the rules of AWS: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_Tag.html."""

    name = "tag"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Return key and value."""
        key, equals, text = str(value).partition("=")
        if not equals or not key or not text:
            self.fail(f"{value!r} is not a tag: use KEY=VALUE, both not empty", param, ctx)
        if problem := tag_problem(key, text):
            self.fail(problem, param, ctx)
        return key, text


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)} is set twice")
    return values


class Pairs(click.ParamType):  # type: ignore[type-arg] # as above
    """NAME=VALUE, or a JSON object if `json` is set; converted to a dictionary."""

    def __init__(self, name: str, rule: str, *, json: bool = False) -> None:
        self.name = name
        self._rule = rule
        self._json = json

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, str]:
        """Return names and values."""
        text = str(value).strip()
        if self._json and text.startswith("{"):
            return self._of_json(text, param, ctx)
        name, equals, rest = str(value).partition("=")
        if not equals or not name:
            # The message does not repeat the value, because it may be a secret.
            self.fail(f"not a {self.name}: {self._rule}", param, ctx)
        return {name: rest}

    def _of_json(self, text: str, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, str]:
        try:
            # A number keeps its text: 1.10 is not 1.1.
            values = json.loads(
                text, parse_float=str, parse_int=str, parse_constant=str, object_pairs_hook=_without_duplicates
            )
        except ValueError as error:
            self.fail(f"not valid JSON: {error}", param, ctx)
        invalid = next((name for name, each in values.items() if isinstance(each, dict | list) or each is None), None)
        if invalid is not None:
            self.fail(f"the value of {invalid!r} is neither text nor a number: {self._rule}", param, ctx)
        return {name: each if isinstance(each, str) else json.dumps(each) for name, each in values.items()}


def merged(_ctx: click.Context, param: click.Parameter, values: tuple[Mapping[str, str], ...]) -> Any:
    """Return the pairs of all values of an option, or None without values. Raises InputError for a name that is set twice."""
    if not values:
        return None
    found: dict[str, str] = {}
    for value in values:
        if twice := found.keys() & value.keys():
            raise InputError(f"{param.opts[0]} sets {min(twice)} twice")
        found |= value
    return found


def _without_repeated_keys(_ctx: click.Context, param: click.Parameter, pairs: list[tuple[str, str]]) -> Any:
    """Return the tags, or None without one. Raises InputError for a key that is set twice."""
    return merged(_ctx, param, tuple({key: text} for key, text in pairs))


TAGS: Final = click.option(
    "--tag",
    "tags",
    type=Tag(),
    multiple=True,
    callback=_without_repeated_keys,
    metavar="KEY=VALUE",
    help="Tag of what the command creates or changes, besides its other tags; may be repeated.",
)
"""The option of platform commands, as a dictionary, or None if it is omitted."""


def require_tags(tags: Mapping[str, str], *, of: str) -> None:
    """Raise InputError with all tags that are not valid; `of` is the name of their file."""
    problems = [problem for key, value in tags.items() if (problem := tag_problem(key, value))]
    if problems:
        raise InputError("\n  ".join([f"{of} has invalid tags:", *problems]))


class Pattern(click.ParamType):  # type: ignore[type-arg] # as above
    """Text that fully matches a regular expression; `rule` describes valid text in messages."""

    def __init__(self, name: str, pattern: str, rule: str) -> None:
        self.name = name
        self._pattern = pattern
        self._rule = rule

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text."""
        if not re.fullmatch(self._pattern, str(value)):
            self.fail(f"{value!r} is invalid: {self._rule}", param, ctx)
        return str(value)


class _Stack(Pattern):
    """The name or ARN of a stack, with completion in a shell."""

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG002 - click's signature
        incomplete: str,
    ) -> list[CompletionItem]:
        """Return the names of this tool's stacks in the account and region of the options; none if they cannot be read."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - only shells call it

        return [
            CompletionItem(name) for name in own_stack_names(ctx.find_object(Session)) if name.startswith(incomplete)
        ]


def own_stack_names(session: Session | None) -> list[str]:
    """Return the names of the stacks that this tool created. Empty if AWS cannot be used, or the sandbox does not run."""
    from exasol_ci_setup import sandbox
    from exasol_ci_setup.aws.session import for_optional_calls
    from exasol_ci_setup.stacks import state

    if session is None or (session.sandbox and sandbox.find() is None):
        return []
    try:
        return sorted(each.name for each in state.own(for_optional_calls(session.account.client("cloudformation"))))
    except SetupError:
        return []


STACK: Final = _Stack(
    "stack",
    r"[a-zA-Z][-a-zA-Z0-9]{0,127}|arn:aws[a-z-]*:cloudformation:[a-z0-9-]+:[0-9]{12}:stack/[-a-zA-Z0-9]+/[-a-f0-9]+",
    "use a stack's name (letters, digits and hyphens, the first a letter) or its ARN",
)
"""A stack as an argument: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStacks.html."""

STACK_NAME: Final = Pattern(
    "stack name",
    r"[a-zA-Z][-a-zA-Z0-9]{0,127}",
    "use letters, digits and hyphens, the first a letter",
)

ROLE: Final = Pattern(
    "role",
    *patterns.ROLE_ARN,
)
_TOPIC: Final = Pattern(
    "topic",
    r"arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[\w-]{1,256}(\.fifo)?",
    "use the ARN of an SNS topic, such as arn:aws:sns:eu-central-1:123456789012:deployments",
)

_ALARM: Final = Pattern(
    "alarm",
    r"arn:aws[a-z-]*:cloudwatch:[a-z0-9-]+:[0-9]{12}:alarm:.{1,255}",
    "use the ARN of a CloudWatch alarm, such as arn:aws:cloudwatch:eu-central-1:123456789012:alarm:errors",
)

YES: Final = click.option("--yes", "-y", is_flag=True, help="Do not prompt for confirmation.")
PLAN: Final = click.option("--plan", "plan_only", is_flag=True, help="Show what would change; change nothing.")
DELETION_PLAN: Final = click.option(
    "--plan", "plan_only", is_flag=True, help="Show what would be deleted; delete nothing."
)

CONCURRENCY: Final = click.option(
    "--concurrency",
    type=click.IntRange(1, 64),
    default=8,
    show_default=True,
    metavar="N",
    help="Maximum number of stacks in parallel.",
)

ALLOW_DATA_LOSS: Final = click.option(
    "--allow-data-loss",
    is_flag=True,
    help="With --yes and without a terminal: also approve a change that deletes a resource with its data.",
)

_APPROVALS: Final = (
    YES,
    PLAN,
    click.option(
        "--allow-broadening",
        is_flag=True,
        help="With --yes and without a terminal: also approve a change that broadens access.",
    ),
    ALLOW_DATA_LOSS,
)
_ROLE_ARN: Final = click.option("--role-arn", type=ROLE, metavar="ARN", help="Role that CloudFormation uses.")
_RECREATE: Final = click.option(
    "--recreate-failed", is_flag=True, help="If the stack cannot be updated: prompt, delete it, create it again."
)
_RECREATE_MANY: Final = click.option(
    "--recreate-failed", is_flag=True, help="If a stack cannot be updated: delete it, create it again."
)
_EXPRESS: Final = click.option(
    "--express",
    is_flag=True,
    help="End when resources are configured, before they are ready; not for services and replacements.",
)

_ONE: Final = "the stack"
_EACH: Final = "each stack"


def _settings(stack: str) -> tuple[Callable[[Any], Any], ...]:
    """Return the options with the settings of `stack`: the stack, or each stack."""
    return (
        click.option(
            "--tag", "tags", type=Tag(), multiple=True, metavar="KEY=VALUE", help=f"Tag of {stack}; may be repeated."
        ),
        _ROLE_ARN,
        click.option(
            "--notification-arn",
            "notification_arns",
            type=_TOPIC,
            multiple=True,
            metavar="ARN",
            help=f"SNS topic that receives the events of {stack}; may be repeated.",
        ),
        click.option(
            "--termination-protection/--no-termination-protection",
            default=None,
            help=f"Protect {stack} against deletion.  [default: unchanged]",
        ),
        click.option(
            "--stack-policy",
            type=click.File("rb"),
            metavar="FILE",
            help="JSON stack policy, with the resources that an update can change; - is stdin.  [default: unchanged]",
        ),
        click.option(
            "--rollback-alarm",
            "rollback_alarms",
            type=_ALARM,
            multiple=True,
            metavar="ARN",
            help="CloudWatch alarm that rolls the deployment back; may be repeated up to 5 times.  [default: unchanged]",
        ),
        click.option(
            "--monitoring-minutes",
            type=click.IntRange(0, 180),
            metavar="N",
            help="Minutes after the change during which alarms still roll it back.  [default: 0]",
        ),
        click.option(
            "--adopt",
            is_flag=True,
            help=f"Adopt {'a stack' if stack == _ONE else 'stacks'} that this tool did not create; review the plan first.",
        ),
        click.option(
            "--import-existing",
            is_flag=True,
            help="Import existing resources whose names match the template; they are kept when the stack is deleted.",
        ),
        click.option("--wait", is_flag=True, help=f"Wait for another operation in progress on {stack}."),
        click.option("--force", is_flag=True, help="Request a plan of AWS even if no difference is known."),
        click.option(
            "--template-bucket",
            metavar="NAME",
            help="Bucket for templates over 51,200 bytes and for local artifacts.  [default: created on demand]",
        ),
        click.option("--no-lint", is_flag=True, help="Skip cfn-lint."),
    )


def _operation(stack: str) -> tuple[Callable[[Any], Any], ...]:
    """Return the options for the operation on `stack`."""
    return (
        click.option(
            "--timeout",
            type=Duration(),
            metavar="TIME",
            help=f"Time limit of {stack} (90s, 30m, 2h). Then an update is canceled, and --on-failure applies to a creation.",
        ),
        click.option(
            "--on-failure",
            type=click.Choice(["rollback", "delete", "keep"]),
            default="rollback",
            show_default=True,
            help=f"What to do if the creation of {stack} fails.",
        ),
    )


engine_options: Final = together(*_APPROVALS, *_settings(_ONE), *_operation(_ONE), _RECREATE, _EXPRESS)
"""The options of a deployment, for a command that deploys one stack."""

many_stacks_options: Final = together(*_APPROVALS, *_settings(_EACH), *_operation(_EACH), _RECREATE_MANY, CONCURRENCY)
"""The options of a deployment, for a command that deploys many stacks.

Without --express, because a stack would start before the stacks that it uses are ready.
"""

many_plans_options: Final = together(*_settings(_EACH), _RECREATE_MANY, CONCURRENCY)
"""Those of `many_stacks_options` that change a plan, for a command that only plans."""

many_deletions_options: Final = together(
    YES,
    DELETION_PLAN,
    click.option("--empty", is_flag=True, help="Also delete the contents of buckets and repositories."),
    _ROLE_ARN,
    click.option(
        "--timeout",
        type=Duration(),
        metavar="TIME",
        help="Stop following a deletion after this time (90s, 30m, 2h). AWS continues with it.",
    ),
    CONCURRENCY,
)
"""The options of a deletion, for a command that deletes many stacks."""
