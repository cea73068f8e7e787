"""The program: lazily loaded commands, and the translation of errors into text and exit codes."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from importlib import import_module
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from exasol_ci_setup.cli import interruption
from exasol_ci_setup.cli.help_text import HelpFormatter
from exasol_ci_setup.cli.session import FORMATS, Session, sandbox_option
from exasol_ci_setup.cli.spelling import typed_name, with_typed_names
from exasol_ci_setup.cli.verbs import VerbGroup, require_command
from exasol_ci_setup.core.errors import InputError, MissingExtraError, OperationInterruptedError, SetupError
from exasol_ci_setup.core.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from click.shell_completion import CompletionItem

PROGRAM: Final = "exasol-ci-setup"

# Name, module in `cli.commands`, and first line of the help: `--help` imports no command.
COMMANDS: Final[dict[str, tuple[tuple[str, str, str], ...]]] = {
    "Start here": (
        ("init", "init", "Print the commands of a first deployment, after a few questions"),
        ("health", "health", "Check the requirements of the other commands: this machine and the AWS account"),
        ("deploy-ci-build", "deploy", "Deploy the stack that builds each push to a repository"),
        ("start-ci-build", "builds", "Start a CI build of a branch and follow it"),
        ("logs", "builds", "Print the logs of a build or a batch"),
    ),
    "Deploy": (
        ("deploy-source-credentials", "deploy", "Deploy the stack with CodeBuild's access to GitHub"),
        ("deploy-release-build", "deploy", "Deploy the stack that builds a repository's releases"),
        ("deploy-registry", "deploy", "Deploy a repository for container images"),
        ("deploy-asset", "deploy", "Deploy a bucket for source archives"),
        ("deploy-container-builder", "deploy", "Deploy a project that builds a container image"),
        ("deploy-cluster", "deploy", "Deploy a cluster with services"),
        ("deploy-security-group", "deploy", "Deploy a security group"),
        ("deploy-instance", "deploy", "Deploy a virtual machine with Ubuntu"),
        ("deploy-template", "deploy", "Deploy your own CloudFormation template"),
        ("init-fleet", "fleet_init", "Write the file of a fleet with the repositories of a GitHub organization"),
        ("deploy-fleet", "fleet", "Deploy the build stacks of many projects"),
        ("delete-fleet", "fleet", "Delete the stacks that a fleet declares"),
        ("import", "imports", "Import existing resources into a stack"),
    ),
    "Programs": (
        ("up", "program", "Deploy what a Python program declares"),
        ("plan", "program", "Show what `up` would change"),
        ("down", "program", "Delete the stacks that a Python program declares"),
        ("scopes", "scopes", "Show the scopes of programs and their stacks"),
        ("resources", "scopes", "Show the AWS resources behind constructs"),
    ),
    "Check": (
        ("validate-source-credentials", "validate", "Check the template of the source-credentials stack"),
        ("validate-ci-build", "validate", "Check the template of a CI stack"),
        ("validate-release-build", "validate", "Check the template of a release stack"),
        ("validate-registry", "validate", "Check the template of a repository for container images"),
        ("validate-asset", "validate", "Check the template of a bucket for source archives"),
        ("validate-container-builder", "validate", "Check the template of a project that builds a container image"),
        ("validate-cluster", "validate", "Check the template of a cluster with services"),
        ("validate-security-group", "validate", "Check the template of a security group"),
        ("validate-instance", "validate", "Check the template of a virtual machine"),
        ("validate-template", "validate", "Check your own CloudFormation template"),
        ("diff", "diff", "Compare a template with the deployed one"),
        ("cost", "cost", "Estimate the monthly cost of a template"),
        ("iam-policy", "iam_policy", "Print the IAM policy that deploying needs"),
        ("graph", "pictures", "Draw the resources of a template or program"),
    ),
    "Buildspecs": (
        ("generate-buildspec", "buildspecs", "Generate the buildspec files that build each push"),
        ("generate-release-buildspec", "buildspecs", "Generate the buildspec files that build releases"),
        ("generate-pipeline", "pipelines", "Generate the GitHub Actions workflow of a space or a CI stack"),
        ("run-buildspec", "run_buildspec", "Run a build in a local container, as CodeBuild would"),
    ),
    "Builds": (
        ("start-release-build", "release", "Start a release build and follow it"),
        ("start-test-release-build", "release", "Start a release build for a draft release, and follow it"),
        ("build-image", "image_build", "Build the image of a folder with a container builder"),
        ("builds", "builds", "List batches of builds, the newest first"),
        ("stop", "builds", "Stop a batch with all its builds"),
        ("retry", "builds", "Retry a batch that did not succeed"),
    ),
    "Services": (
        ("run-task", "services", "Run one task of a service until it ends"),
        ("service-logs", "services", "Print the log of a service of a cluster"),
    ),
    "Stacks": (
        ("list", "stacks", "List the stacks that this tool created"),
        ("status", "stacks", "Show the status of stacks"),
        ("outputs", "stacks", "Print a stack's outputs"),
        ("watch", "stacks", "Follow the operation in progress on a stack"),
        ("diagnose", "recovery", "Explain why the last operation on a stack failed"),
        ("cancel", "recovery", "Cancel the update in progress on a stack"),
        ("continue-rollback", "recovery", "Continue a rollback that could not finish"),
        ("timeline", "pictures", "Show the last operation on a stack as a Gantt chart"),
        ("report", "report", "Write an HTML report of stacks"),
        ("drift", "drift", "Show what was changed outside of CloudFormation"),
        ("delete", "stacks", "Delete stacks that this tool created"),
    ),
    "Platform": (
        ("space", "space", "Run containers under host names, behind a shared load balancer"),
        ("storage", "storage", "Manage files in the storages of a workspace"),
        ("asset", "asset", "Share objects of storages by links"),
        ("registry", "registry", "Manage container images in Amazon ECR"),
        ("secret", "secret", "Manage a team's secrets in AWS Secrets Manager"),
    ),
    "Containers": (
        ("container-manager", "container_manager", "Run containers on request over HTTP"),
        ("hosted", "hosted", "Deploy apps to a host over HTTP, each in a container behind nginx"),
    ),
    "Local use": (
        ("sandbox", "sandbox", "Run a local AWS endpoint, for first steps and for tests"),
        ("completion", "completion", "Print the shell completion script"),
    ),
}
# Accepted spellings of names, which the overview omits.
ALIASES: Final = {
    "generate-buildspecs": "generate-buildspec",
    "generate-release-buildspecs": "generate-release-buildspec",
    "container_manager": "container-manager",
}
_MODULES_OF_AWS: Final = frozenset({"anycrc", "boto3", "botocore", "cfnlint", "docker", "dotenv", "pydantic", "rich"})
_ROWS: Final = {name: (module, text) for section in COMMANDS.values() for name, module, text in section}


def _beginning_with(verb: str) -> dict[str, str]:
    return {name.removeprefix(f"{verb}-"): name for name in _ROWS if name.startswith(f"{verb}-")}


_OF_STACK: Final = ("list", "status", "outputs", "watch", "diagnose", "cancel", "continue-rollback", "timeline")
SPELLINGS: Final[dict[str, dict[str, str]]] = {
    **{verb: _beginning_with(verb) for verb in ("deploy", "validate", "generate", "start")},
    "build": {"start": "start-ci-build", "list": "builds", "logs": "logs", "stop": "stop", "retry": "retry"},
    "stack": {name: name for name in (*_OF_STACK, "report", "drift", "import", "delete")},
    "fleet": {"init": "init-fleet", "deploy": "deploy-fleet", "delete": "delete-fleet"},
}
"""Commands in two words, such as ``deploy ci-build`` and ``build logs``, by the first word and the second one."""

# Commands that the overview shows in one row.
_KINDS: Final = "validate"


# The contexts of all commands create their formatter with it.
click.Context.formatter_class = HelpFormatter


class Spellings(VerbGroup):
    """The commands whose spelling in two words begins with the same word."""

    def __init__(self, program: Program, word: str) -> None:
        super().__init__(word, help=f"Other spellings of commands that begin with `{word}`.")
        self._program = program
        self._names = SPELLINGS[word]

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the second words."""
        return list(self._names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command with this second word, or None if it is unknown."""
        return self._program.get_command(ctx, self._names[cmd_name]) if cmd_name in self._names else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(word, _ROWS[name][1]) for word, name in self._names.items()])


class Program(click.Group):
    """The group of all commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order of the help."""
        return list(_ROWS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import the module of a command and return the command, or None if it is unknown."""
        name = ALIASES.get(cmd_name, cmd_name)
        if name in SPELLINGS:
            return Spellings(self, name)
        if name not in _ROWS:
            return None
        module = vars(import_module(f"exasol_ci_setup.cli.commands.{_ROWS[name][0]}"))
        attribute = name.replace("-", "_") + ("_" if name in {"list", "import"} else "")
        command: click.Command = module.get("COMMANDS", {}).get(name) or module[attribute]
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command. Click knows the names of loaded commands only, so a mistyped name is handled here."""
        require_command(self, ctx, args[0])
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete names of commands and options, without importing a command."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - only shells call it

        rows = [(name, text) for section in COMMANDS.values() for name, _, text in section]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [CompletionItem(name, help=text) for name, text in rows if name.startswith(incomplete)] + options

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the commands in their sections, without importing them."""
        for section, rows in COMMANDS.items():
            shown = [(name, text) for name, _, text in rows if not name.startswith(f"{_KINDS}-")]
            if len(shown) < len(rows):
                kinds = ", ".join(SPELLINGS[_KINDS])
                shown.insert(0, (f"{_KINDS}-KIND", f"Check a template without deploying it; KIND is {kinds}"))
            with formatter.section(section):
                formatter.write_dl(shown, col_max=30)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Raises OperationInterruptedError for Ctrl-C before Click writes to a stream that another thread owns."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, click.Abort):
            raise interruption.error(ctx.ensure_object(Session)) from None

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the program and exit. Only this function translates errors into text and exit codes."""
        session = extra.setdefault("obj", Session())
        arguments = sys.argv[1:] if args is None else args
        session.arguments = tuple(arguments)
        for name in FORMATS:
            if f"--output={name}" in arguments or ("--output", name) in pairwise(arguments):
                # Set before the options are parsed, for errors in them.
                session.output_format = name
        try:
            code = super().main(args, prog_name or PROGRAM, complete_var, standalone_mode=False, **extra)
        except click.ClickException as caught:
            error = _with_all_missing(_with_typed_name(caught, arguments))
            session.output.usage_error(error)
            session.output.record(InputError(error.format_message()))
            code = error.exit_code
        except (KeyboardInterrupt, click.Abort):
            code = _fail(session, interruption.error(session))
        except SetupError as error:
            error.message = with_typed_names(error.message, session.names)
            error.hint = session.with_global_options(with_typed_names(error.hint, session.names))
            code = _fail(session, error)
        except ModuleNotFoundError as error:
            code = _fail(session, _missing_extra(error))
        # An unused output has written nothing; `--help` does not load it.
        if "output" in session.__dict__:
            session.output.finish()
        if "output" in session.__dict__ and session.output.has_failed:
            session.output.error(SetupError(f"output is incomplete: writing to stdout failed: {session.output.lost}"))
            code = code or SetupError.exit_code
        if not standalone_mode:
            return code
        sys.exit(code if isinstance(code, int) else 0)


def _missing_extra(error: ModuleNotFoundError) -> MissingExtraError:
    """Return the error for a module of the extra `aws`. Raises `error` for other modules."""
    if (error.name or "").partition(".")[0] not in _MODULES_OF_AWS:
        raise error
    from exasol_ci_setup.core.origin import install_command

    return MissingExtraError(
        f"this command needs the extra `aws`, which is not installed: there is no module {error.name}",
        hint=f"`{install_command('aws')}`",
    )


def _with_typed_name(error: click.ClickException, arguments: Sequence[str]) -> click.ClickException:
    """Return an error of an option that names it as the user typed it, instead of all its names."""
    if isinstance(error, click.BadParameter) and error.param_hint is None and isinstance(error.param, click.Option):
        error.param_hint = f"'{typed_name(error.param, arguments)}'"
    return error


def _with_all_missing(error: click.ClickException) -> click.ClickException:
    """Return an error that names all required options that are missing, instead of the first only."""
    ctx = error.ctx if isinstance(error, click.MissingParameter) else None
    if ctx is None:
        return error
    # Click handles given options first, so that the others are those without a value.
    missing = [
        f"'{typed_name(parameter, ())}'"
        for parameter in ctx.command.get_params(ctx)
        if isinstance(parameter, click.Option)
        and parameter.required
        and parameter.expose_value
        and parameter.name not in ctx.params
        and parameter.value_from_envvar(ctx) is None
    ]
    # The message of a single one also lists its choices.
    return click.UsageError(f"Missing options {', '.join(missing)}.", ctx) if len(missing) > 1 else error


def _fail(session: Session, error: SetupError) -> int:
    """Print the error and return its exit code. Ends the process if the terminal blocks."""
    try:
        if not session.output.close(
            interruption.FLUSH_SECONDS if isinstance(error, OperationInterruptedError) else None
        ):
            interruption.force_end(error)
        if isinstance(error, OperationInterruptedError) and session.output.can_ask:
            # A new line after the ^C of the terminal.
            session.output.say("")
        session.output.error(error)
    except KeyboardInterrupt:
        return OperationInterruptedError.exit_code
    return error.exit_code


@click.group(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Help for a command: exasol-ci-setup COMMAND --help. Two words are accepted too: deploy ci-build, build logs, "
    "stack list. First steps without an AWS account: exasol-ci-setup --sandbox health",
)
@click.version_option(__version__, prog_name=PROGRAM, message="%(prog)s %(version)s")
@sandbox_option
def cli() -> None:
    """Deploy CI builds and container services of a repository to AWS with CloudFormation, with a plan of every change."""


def main() -> NoReturn:
    """Run the program. The entry point of the console script."""
    # Python collects all objects again when it ends, which takes a quarter of the time of a deployment without changes.
    atexit.register(gc.freeze)
    session = Session()
    handler = interruption.Interruption(session)
    handler.install()
    # Python sets a stream that the caller closed to None.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - open until the process ends
    try:
        cli.main(obj=session)
    except SystemExit as ended:
        handler.leave(ended.code)
        raise
    raise AssertionError  # pragma: no cover - `main` exits


__all__ = ["COMMANDS", "PROGRAM", "cli", "main"]
