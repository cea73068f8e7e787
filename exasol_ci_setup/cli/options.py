"""The options of every deployment."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600}
_TAG_KEY: Final = 128
_TAG_VALUE: Final = 256


class Duration(click.ParamType):  # type: ignore[type-arg] # generic only in newer releases of click
    """A time with its unit, such as 90s, 30m or 2h; converted to seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds."""
        found = re.fullmatch(r"([0-9]{1,6})([smh])", str(value).strip())
        if not found or int(found[1]) == 0:
            self.fail(f"{value!r} is not a time: write a number with its unit, such as 90s, 30m or 2h", param, ctx)
        return float(int(found[1]) * _SECONDS[found[2]])


class Tag(click.ParamType):  # type: ignore[type-arg] # as above
    """KEY=VALUE as AWS takes it: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_Tag.html."""

    name = "tag"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Return key and value."""
        from exasol_ci_setup.stacks.model import is_reserved_tag

        key, equals, text = str(value).partition("=")
        if not equals or not key or not text:
            self.fail(f"{value!r} is not a tag: write KEY=VALUE, neither of them empty", param, ctx)
        if len(key) > _TAG_KEY or len(text) > _TAG_VALUE:
            self.fail(f"a tag's key has at most {_TAG_KEY} characters and its value {_TAG_VALUE}", param, ctx)
        if is_reserved_tag(key):
            self.fail(f"{key!r} is reserved: AWS keeps the prefix aws: to itself", param, ctx)
        if key.startswith("exasol-ci-setup:"):
            self.fail(f"{key!r} is reserved: this tool knows its stacks by tags with that prefix", param, ctx)
        return key, text


class Pattern(click.ParamType):  # type: ignore[type-arg] # as above
    """Text that a regular expression matches as a whole; `rule` says in plain words what that is."""

    def __init__(self, name: str, pattern: str, rule: str) -> None:
        self.name = name
        self._pattern = pattern
        self._rule = rule

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text."""
        if not re.fullmatch(self._pattern, str(value)):
            self.fail(f"{value!r} is not acceptable: {self._rule}", param, ctx)
        return str(value)


STACK: Final = Pattern(
    "stack",
    r"[a-zA-Z][-a-zA-Z0-9]{0,127}|arn:aws[a-z-]*:cloudformation:[a-z0-9-]+:[0-9]{12}:stack/[-a-zA-Z0-9]+/[-a-f0-9]+",
    "use a stack's name (letters, digits and hyphens, the first a letter) or its ARN",
)
"""A stack as an argument: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStacks.html."""

ROLE: Final = Pattern(
    "role",
    r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]{1,576}",
    "use the ARN of a role, such as arn:aws:iam::123456789012:role/deployer",
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

CONCURRENCY: Final = click.option(
    "--concurrency",
    type=click.IntRange(1, 64),
    default=8,
    show_default=True,
    metavar="N",
    help="How many stacks are worked on at once.",
)

IMPORT_EXISTING: Final = click.option(
    "--import-existing",
    is_flag=True,
    help="Take over resources that are there already under a name of the template's; the stack's deletion leaves them standing.",
)

ALLOW_DATA_LOSS: Final = click.option(
    "--allow-data-loss",
    is_flag=True,
    help="With --yes and without a terminal: also approve a change that deletes a resource with its data.",
)

_OPTIONS: Final = (
    click.option("--yes", "-y", is_flag=True, help="Do not ask before the change is made."),
    click.option("--plan", "plan_only", is_flag=True, help="Show what would change, and change nothing."),
    click.option(
        "--allow-broadening",
        is_flag=True,
        help="With --yes and without a terminal: also approve a change that broadens access.",
    ),
    ALLOW_DATA_LOSS,
    click.option(
        "--tag", "tags", type=Tag(), multiple=True, metavar="KEY=VALUE", help="Tag of the stack; may be repeated."
    ),
    click.option("--role-arn", type=ROLE, metavar="ARN", help="Role that CloudFormation acts in."),
    click.option(
        "--notification-arn",
        "notification_arns",
        type=_TOPIC,
        multiple=True,
        metavar="ARN",
        help="SNS topic that hears of the stack's events; may be repeated.",
    ),
    click.option(
        "--termination-protection/--no-termination-protection",
        default=None,
        help="Protect the stack against deletion.  [default: as it is]",
    ),
    click.option(
        "--stack-policy",
        type=click.File("rb"),
        metavar="FILE",
        help="JSON policy that says which resources an update may change; - is stdin.  [default: as it is]",
    ),
    click.option(
        "--rollback-alarm",
        "rollback_alarms",
        type=_ALARM,
        multiple=True,
        metavar="ARN",
        help="CloudWatch alarm that rolls the deployment back if it goes off; may be repeated, at most 5.  [default: as it is]",
    ),
    click.option(
        "--monitoring-minutes",
        type=click.IntRange(0, 180),
        metavar="N",
        help="How long after the change the alarms still count.  [default: 0]",
    ),
    click.option(
        "--timeout",
        type=Duration(),
        metavar="TIME",
        help="Give up after this time (90s, 30m, 2h): an update is cancelled, a creation ended as --on-failure says.",
    ),
    click.option(
        "--on-failure",
        type=click.Choice(["rollback", "delete", "keep"]),
        default="rollback",
        show_default=True,
        help="What becomes of a creation that fails.",
    ),
    click.option("--adopt", is_flag=True, help="Adopt a stack that this tool did not create; look at the plan first."),
    IMPORT_EXISTING,
    click.option("--wait", is_flag=True, help="If another operation on the stack is under way, let it end first."),
    click.option(
        "--recreate-failed", is_flag=True, help="Delete a stack that no update can mend, after asking, and go on."
    ),
    click.option(
        "--express",
        is_flag=True,
        help="End as soon as each resource is configured, and do not wait until it is ready; not for services and replacements.",
    ),
    click.option("--force", is_flag=True, help="Ask AWS for a plan even if nothing seems to differ."),
    click.option(
        "--template-bucket", metavar="NAME", help="Bucket for templates over 51,200 bytes.  [default: one is made]"
    ),
    click.option("--no-lint", is_flag=True, help="Skip cfn-lint."),
)


def engine_options(command: F) -> F:
    """Add the options of a deployment to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
