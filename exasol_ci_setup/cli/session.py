"""Options, output and AWS account that all commands share."""

from __future__ import annotations

import functools
import os
import re
import shlex
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import click

from exasol_ci_setup.cli.spelling import spellings
from exasol_ci_setup.core.clock import Clock, SystemClock
from exasol_ci_setup.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.cli.output import Output
    from exasol_ci_setup.core.reporter import Reporter
    from exasol_ci_setup.template.lint import Linter

SANDBOX_VARIABLE: Final = "EXASOL_CI_SETUP_SANDBOX"
# A command of this program that calls AWS, in backquotes.
_COMMAND: Final = re.compile(r"`(exasol-ci-setup (?!sandbox\b|generate-|run-buildspec\b)[^`]+)`")
_AWS_COMMAND: Final = re.compile(r"`(aws (?!configure\b|sso\b)[^`]+)`")
# A command of the AWS CLI that changes the configuration of this machine.
_AWS_CONFIGURE: Final = re.compile(r"`(aws (?:configure|sso)\b[^`]*)`")
# An option that the user adds to the command of this run.
_SAME_COMMAND: Final = re.compile(r"the same command with (--[a-z-]+)")
# A field of a construct in a hint.
_FIELD: Final = re.compile(r"\(([a-z]+(?:_[a-z]+)+)\)")
_LOG_LEVELS: Final = ("normal", "info", "debug")

Format = Literal["text", "json", "markdown"]
FORMATS: Final[tuple[Format, ...]] = ("text", "json", "markdown")


@dataclass
class Session:
    """The global options of this run, and the output and account that they select."""

    profile: str | None = None
    region: str | None = None
    output_format: Format = "text"
    sandbox: bool = False
    is_on_aws: bool = False
    """Whether the command works on AWS."""
    arguments: tuple[str, ...] = ()
    options: frozenset[str] = frozenset()
    """The options of the command, such as ``--stack-name``."""
    names: dict[str, str] = field(default_factory=dict)
    """The typed name of each option of the command, by its other names. See `spelling.spellings`."""
    clock: Clock = field(default_factory=SystemClock)

    @cached_property
    def output(self) -> Output:
        """Writer for all output of the command."""
        from exasol_ci_setup.cli.output import Output

        return Output(self.output_format)

    def again(self, *options: str) -> str:
        """Return the command line of this run with additional `options`, in backquotes."""
        return f"`{shlex.join(['exasol-ci-setup', *self.arguments, *options])}`"

    def at(self, region: str, profile: str | None = None) -> Session:
        """Return the session with another region, and another profile if it is not None, for the commands in hints."""
        found = replace(self, region=region, profile=profile or self.profile)
        if "account" in self.__dict__:
            # The endpoint of the sandbox.
            found.__dict__["account"] = self.account
        return found

    def with_global_options(self, text: str) -> str:
        """Add the AWS options of this run to the commands in `text`, and write ``(stack_name)`` as ``(--stack-name)`` if the command has it.

        The command in a hint, such as `exasol-ci-setup watch Slc`, has to use the same account and region. A field of a construct is an option
        of some commands, and a key of fleet files and an argument in programs.
        """
        text = _FIELD.sub(self._spell_field, text)
        text = _SAME_COMMAND.sub(lambda found: self.again(found[1]) if found[1] in self.options else found[0], text)
        sandbox = self.sandbox and not os.environ.get(SANDBOX_VARIABLE)
        region = [["--region", self.region]] if self.region else []
        ours = [
            *([["--sandbox"]] if sandbox else []),
            *region,
            *([["--aws-profile", self.profile]] if self.profile else []),
        ]
        # Only use an account that exists already: a hint must not start the sandbox.
        account = self.__dict__.get("account") if self.sandbox else None
        theirs = [
            *([["--endpoint-url", account.endpoint_url]] if account else []),
            *region,
            *([["--profile", self.profile]] if self.profile else []),
        ]
        # The command line of this run has its options already.
        own = self.again()[1:-1] if self.arguments else None

        def add_options(match: re.Match[str]) -> str:
            is_own = own is not None and match[1].startswith(own)
            return match[0] if is_own else f"`{_with_options(match[1], ours)}`"

        text = _COMMAND.sub(add_options, text)
        profile = [["--profile", self.profile]] if self.profile else []
        text = _AWS_CONFIGURE.sub(lambda match: f"`{_with_options(match[1], profile)}`", text)
        return _AWS_COMMAND.sub(lambda match: f"`{_with_options(match[1], theirs)}`", text)

    def _spell_field(self, match: re.Match[str]) -> str:
        option = f"--{match[1].replace('_', '-')}"
        return f"({option})" if option in self.options else match[0]

    @cached_property
    def account(self) -> Account:
        """The AWS account to use; with `--sandbox` the local sandbox, which is started if needed.

        Raises the errors of `aws.connect`, and SandboxError.
        """
        from exasol_ci_setup.aws.session import connect

        if not self.sandbox:
            return connect(self.profile, self.region)
        from exasol_ci_setup import sandbox

        endpoint = sandbox.find()
        if endpoint is None:
            self.output.say("starting the sandbox: an AWS endpoint on this machine")
            endpoint = sandbox.ensure()
        keys = sandbox.environment(endpoint)
        return connect(
            region=self.region or endpoint.region,
            endpoint_url=endpoint.url,
            access_key=(keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"]),
        )

    def context(
        self, reporter: Reporter | None = None, linter: Linter | None = None, *, plan_only: bool = False
    ) -> Context:
        """Return the context of operations, by default with a reporter that approves no plan. Raises as `account`."""
        from exasol_ci_setup.aws.context import Context

        if reporter is None:
            from exasol_ci_setup.cli.render.reporter import StackReporter

            reporter = StackReporter(self)
        return Context(self.account, self.clock, reporter, linter, plan_only)


def _with_options(command: str, options: list[list[str]]) -> str:
    """Add `options` to `command`, except those that it has already. An option is a name and a value."""
    words = command.split()
    return " ".join([command, *(shlex.join(option) for option in options if option[0] not in words)])


def _store_in_session(name: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    def store(ctx: click.Context, _param: click.Parameter, value: Any) -> Any:
        # An option may precede or follow the command; a missing one must not overwrite the other.
        if value is not None and value is not False:
            setattr(ctx.find_object(Session), name, value)
        return value

    return store


def _set_log_level(ctx: click.Context, _param: click.Parameter, value: str) -> None:
    # `--help` of the program needs no log.
    from exasol_ci_setup.cli.log import set_level

    set_level(ctx.ensure_object(Session), value)


F = TypeVar("F", bound="Callable[..., Any]")

sandbox_option = click.option(
    "--sandbox",
    is_flag=True,
    envvar=SANDBOX_VARIABLE,
    expose_value=False,
    is_eager=True,
    callback=_store_in_session("sandbox"),
    help="Use the local sandbox instead of AWS; it starts on demand.  [env var: EXASOL_CI_SETUP_SANDBOX]",
)

output_option = click.option(
    "--output",
    type=click.Choice(["text", "json"]),
    expose_value=False,
    is_eager=True,
    callback=_store_in_session("output_format"),
    help="json: print one JSON object per line on stdout.  [default: text]",
)

markdown_output_option = click.option(
    "--output",
    type=click.Choice(FORMATS),
    expose_value=False,
    is_eager=True,
    callback=_store_in_session("output_format"),
    help="json: print one JSON object per line on stdout; markdown: print one document for GitHub.  [default: text]",
)

log_level_option = click.option(
    "--log-level",
    type=click.Choice(_LOG_LEVELS),
    default="normal",
    show_default=True,
    expose_value=False,
    callback=_set_log_level,
    help="Level of the log on stderr.",
)


def together(*options: Callable[[Any], Any]) -> Callable[[F], F]:
    """Return a decorator that adds all `options` to a command, in this order in its help."""

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


_account_options: Final = together(
    click.option(
        "--aws-profile",
        metavar="NAME",
        expose_value=False,
        callback=_store_in_session("profile"),
        help="Profile of the AWS configuration.  [default: the AWS credential chain]",
    ),
    click.option(
        "--region",
        metavar="NAME",
        expose_value=False,
        callback=_store_in_session("region"),
        help="AWS region.  [default: AWS_REGION, or the profile's]",
    ),
    log_level_option,
)


def common_options(command: F) -> F:
    """Add the options of commands that call AWS; pass the Session as first argument."""
    return _common_options(command, output_option)


def markdown_options(command: F) -> F:
    """Add the options of commands that call AWS and can print Markdown; pass the Session as first argument."""
    return _common_options(require_preview(command), markdown_output_option)


def require_preview(command: F) -> F:
    """Raise InputError before a command that would change something while it prints Markdown, which shows plans and checks only."""

    @functools.wraps(command)
    def preview(session: Session, *args: Any, **kwargs: Any) -> Any:
        missing = next((name for name in ("plan_only", "check") if kwargs.get(name) is False), None)
        if session.output_format == "markdown" and missing is not None:
            option = {"plan_only": "--plan", "check": "--check"}[missing]
            raise InputError(f"--output markdown needs {option}", hint=f"add it: {session.again(option)}")
        return command(session, *args, **kwargs)

    return preview  # type: ignore[return-value] # the same function


def _common_options(command: F, output: Callable[[F], F]) -> F:
    command = together(_account_options, output, sandbox_option)(command)

    @functools.wraps(command)
    def on_aws(session: Session, *args: Any, **kwargs: Any) -> Any:
        session.is_on_aws = True
        return command(session, *args, **kwargs)

    return pass_session(on_aws)  # type: ignore[return-value] # the same function, one argument less


def pass_session(command: F) -> F:
    """Pass the Session to a command as first argument."""

    @functools.wraps(command)
    def with_session(*args: Any, **kwargs: Any) -> Any:
        ctx = click.get_current_context()
        session = ctx.ensure_object(Session)
        session.options = frozenset(name for each in ctx.command.params for name in each.opts)
        session.names = spellings(ctx.command.params, session.arguments)
        return command(session, *args, **kwargs)

    return with_session  # type: ignore[return-value] # the same function, one argument less
