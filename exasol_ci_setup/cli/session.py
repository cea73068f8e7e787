"""What all commands share: the options for AWS, the output, and the account they lead to."""

from __future__ import annotations

import functools
import logging
import os
import re
import shlex
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from exasol_ci_setup.clock import Clock, SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from exasol_ci_setup.aws import Account
    from exasol_ci_setup.cli.output import Output

SANDBOX_VARIABLE: Final = "EXASOL_CI_SETUP_SANDBOX"
# A command of this program in backquotes, of those that talk to AWS.
_COMMAND: Final = re.compile(r"`(exasol-ci-setup (?!sandbox\b|generate-|run-buildspec\b)[^`]+)`")
_AWS_COMMAND: Final = re.compile(r"`(aws (?!configure\b|sso\b)[^`]+)`")
# Of the AWS CLI, about the configuration of this machine.
_CONFIGURING: Final = re.compile(r"`(aws (?:configure|sso)\b[^`]*)`")
_LEVELS = {"normal": logging.WARNING, "info": logging.INFO, "debug": logging.DEBUG}


@dataclass
class Session:
    """The options given to this run, and what follows from them."""

    profile: str | None = None
    region: str | None = None
    output_format: str = "text"
    sandbox: bool = False
    is_on_aws: bool = False
    """Whether the command works on AWS."""
    arguments: tuple[str, ...] = ()
    clock: Clock = field(default_factory=SystemClock)

    @cached_property
    def output(self) -> Output:
        """Where everything is written."""
        from exasol_ci_setup.cli.output import Output

        return Output("json" if self.output_format == "json" else "text")

    def again(self, *options: str) -> str:
        """Return the command of this run with further `options`, in backquotes."""
        return f"`{shlex.join(['exasol-ci-setup', *self.arguments, *options])}`"

    def with_global_options(self, text: str) -> str:
        """Return `text` with the options for AWS that this run was given added to the commands in it.

        A hint such as "`exasol-ci-setup watch Slc` looks on" has to lead to where the stack is.
        """
        sandbox = self.sandbox and not os.environ.get(SANDBOX_VARIABLE)
        region = [["--region", self.region]] if self.region else []
        ours = [
            *([["--sandbox"]] if sandbox else []),
            *region,
            *([["--aws-profile", self.profile]] if self.profile else []),
        ]
        # Only an account that was used has an endpoint to tell; a hint must not start the sandbox.
        account = self.__dict__.get("account") if self.sandbox else None
        theirs = [
            *([["--endpoint-url", account.endpoint_url]] if account else []),
            *region,
            *([["--profile", self.profile]] if self.profile else []),
        ]
        # The command of this run has its options, wherever its stacks are.
        own = self.again()[1:-1] if self.arguments else None

        def completed(found: re.Match[str]) -> str:
            is_own = own is not None and found[1].startswith(own)
            return found[0] if is_own else f"`{_with_options(found[1], ours)}`"

        text = _COMMAND.sub(completed, text)
        profile = [["--profile", self.profile]] if self.profile else []
        text = _CONFIGURING.sub(lambda found: f"`{_with_options(found[1], profile)}`", text)
        return _AWS_COMMAND.sub(lambda found: f"`{_with_options(found[1], theirs)}`", text)

    @cached_property
    def account(self) -> Account:
        """The AWS account to use; with `--sandbox` the one on this machine, which is started if it does not run.

        Raises the errors of `aws.connect`, and SandboxError.
        """
        from exasol_ci_setup import aws

        if not self.sandbox:
            return aws.connect(self.profile, self.region)
        from exasol_ci_setup import sandbox

        endpoint = sandbox.find()
        if endpoint is None:
            self.output.say("starting the sandbox: an AWS endpoint on this machine")
            endpoint = sandbox.ensure()
        keys = sandbox.environment(endpoint)
        return aws.connect(
            region=self.region or endpoint.region,
            endpoint_url=endpoint.url,
            access_key=(keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"]),
        )


def _with_options(command: str, options: list[list[str]]) -> str:
    """Return `command` with those of `options` that it does not have yet, each a name with its value."""
    words = command.split()
    return " ".join([command, *(shlex.join(option) for option in options if option[0] not in words)])


def _into_session(name: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    def store(ctx: click.Context, _param: click.Parameter, value: Any) -> Any:
        # The same option may stand before the command and after it; what was not given there leaves the other alone.
        if value is not None and value is not False:
            setattr(ctx.find_object(Session), name, value)
        return value

    return store


class _Log(logging.Handler):
    """Writes log lines where all other lines go, so that one thread writes them. No lock is held meanwhile."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session

    def handle(self, record: logging.LogRecord) -> bool:
        """Write a record, without the lock of a handler."""
        wanted = bool(self.filter(record))
        if wanted:
            self.emit(record)
        return wanted

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        self._session.output.say(self.format(record))


def _set_log_level(ctx: click.Context, _param: click.Parameter, value: str) -> None:
    handler = _Log(ctx.ensure_object(Session))
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S"))
    logging.basicConfig(handlers=[handler], force=True)
    # Only our own loggers: botocore's write requests with their signatures and bodies.
    logging.getLogger("exasol_ci_setup").setLevel(_LEVELS[value])
    # Credentials that cannot be renewed are an error where they are needed; here they would be one more, with a traceback.
    for name in ("botocore.credentials", "botocore.tokens"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


F = TypeVar("F", bound="Callable[..., Any]")

sandbox_option = click.option(
    "--sandbox",
    is_flag=True,
    envvar=SANDBOX_VARIABLE,
    expose_value=False,
    is_eager=True,
    callback=_into_session("sandbox"),
    help="Use an AWS endpoint on this machine, started if need be, in place of AWS.  [env var: EXASOL_CI_SETUP_SANDBOX]",
)

output_option = click.option(
    "--output",
    type=click.Choice(["text", "json"]),
    expose_value=False,
    is_eager=True,
    callback=_into_session("output_format"),
    help="json: one JSON object a line on stdout.  [default: text]",
)

log_level_option = click.option(
    "--log-level",
    type=click.Choice(list(_LEVELS)),
    default="normal",
    show_default=True,
    expose_value=False,
    callback=_set_log_level,
    help="How much to log to stderr.",
)


def common_options(command: F) -> F:
    """Add the options of every command that talks to AWS, and hand the command its Session as first argument."""
    for option in (
        sandbox_option,
        output_option,
        log_level_option,
        click.option(
            "--region",
            metavar="NAME",
            expose_value=False,
            callback=_into_session("region"),
            help="AWS region.  [default: AWS_REGION, or the profile's]",
        ),
        click.option(
            "--aws-profile",
            metavar="NAME",
            expose_value=False,
            callback=_into_session("profile"),
            help="Profile of the AWS configuration.  [default: AWS's own chain of credentials]",
        ),
    ):
        command = option(command)

    @functools.wraps(command)
    def on_aws(session: Session, *args: Any, **kwargs: Any) -> Any:
        session.is_on_aws = True
        return command(session, *args, **kwargs)

    return pass_session(on_aws)  # type: ignore[return-value] # the same function, one argument less


def pass_session(command: F) -> F:
    """Hand a command its Session as first argument."""

    @functools.wraps(command)
    def with_session(*args: Any, **kwargs: Any) -> Any:
        return command(click.get_current_context().find_object(Session), *args, **kwargs)

    return with_session  # type: ignore[return-value] # the same function, one argument less
