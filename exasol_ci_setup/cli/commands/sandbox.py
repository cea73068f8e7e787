"""Command group `sandbox`: start, show, reset and stop a local AWS endpoint."""

from __future__ import annotations

import json
import shlex
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from exasol_ci_setup import sandbox as local_sandbox  # noqa: TID253 - the options are its settings
from exasol_ci_setup.cli.session import pass_session
from exasol_ci_setup.cli.verbs import VerbGroup
from exasol_ci_setup.core.errors import InputError, SandboxError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exasol_ci_setup.cli.session import Session

_START_HINT = "start it with `exasol-ci-setup sandbox start`"
_STOPPED = {
    local_sandbox.StopResult.NOT_RUNNING: "the sandbox is not running",
    local_sandbox.StopResult.SAVED: "stopped the sandbox",
    local_sandbox.StopResult.KILLED: "killed the sandbox, because it did not stop: changes of the last second may be lost",
}


def _source(entry: str) -> tuple[str, Path]:
    url, separator, path = entry.rpartition("=")
    if not (separator and url and path):
        raise InputError(
            f"--source {entry} does not have the form URL=PATH",
            hint="for example --source https://github.com/exasol/script-languages-release=.",
        )
    return url, Path(path)


@click.group(cls=VerbGroup)
def sandbox() -> None:
    """Run a local AWS endpoint, for first steps and for tests.

    It needs no AWS account, listens on this machine only, and keeps its state between runs. Commands use it with --sandbox. Other
    AWS clients use it after: eval "$(exasol-ci-setup sandbox env)"
    """


@sandbox.command()
@click.option(
    "--delay",
    metavar="SECONDS",
    type=click.FloatRange(0, 3600),
    help="Duration of each resource operation, to watch or interrupt a deployment. [default: 0, or "
    "EXASOL_CI_SETUP_SANDBOX_DELAY]",
)
@click.option(
    "--build-seconds",
    metavar="SECONDS",
    type=click.FloatRange(0, 3600),
    help="Duration of each build. [default: 0.5, or EXASOL_CI_SETUP_SANDBOX_BUILD_SECONDS]",
)
@click.option(
    "--source",
    "sources",
    metavar="URL=PATH",
    multiple=True,
    help="Directory to use instead of the repository at URL, with its buildspecs; may be repeated. "
    "[default: EXASOL_CI_SETUP_SANDBOX_SOURCES]",
)
@click.option(
    "--registry",
    is_flag=True,
    default=None,
    help="Use a local registry as ECR, and the local Docker engine for container builders; needs the program docker-registry. "
    "[default: no, or EXASOL_CI_SETUP_SANDBOX_REGISTRY]",
)
@click.option(
    "--access-control",
    is_flag=True,
    help="Enforce policies as AWS does, except for the account's own key. [default: off, or EXASOL_CI_SETUP_SANDBOX_ACCESS_CONTROL]",
)
def start(
    delay: float | None,
    build_seconds: float | None,
    sources: tuple[str, ...],
    registry: bool | None,
    access_control: bool,
) -> None:
    """Start the sandbox in the background, unless it is running."""
    directories = dict(_source(entry) for entry in sources)
    if running := local_sandbox.find():
        changed = [
            name
            for name, value in (
                ("delay", delay),
                ("build seconds", build_seconds),
                ("sources", sources or None),
                ("registry", None if running.registry else registry),
                ("access control", access_control or None),
            )
            if value is not None
        ]
        note = f"; to change its {' and '.join(changed)}, stop it first" if changed else ""
        click.echo(f"the sandbox is already running at {running.url} (process {running.pid}){note}", err=True)
        return
    endpoint = local_sandbox.ensure(
        delay=delay,
        build_seconds=build_seconds,
        sources=directories,
        registry=registry,
        access_control=access_control,
    )
    click.echo(f"the sandbox is running at {endpoint.url} (process {endpoint.pid})", err=True)
    if endpoint.registry:
        click.echo(f"ECR is the registry at {endpoint.registry}", err=True)
        click.echo(f"Docker engine that builds images: {endpoint.engine}", err=True)
    click.echo('use it with --sandbox, or from any AWS client: eval "$(exasol-ci-setup sandbox env)"', err=True)


@sandbox.command()
def stop() -> None:
    """Stop the sandbox; keep its state for the next start."""
    click.echo(_STOPPED[local_sandbox.stop()], err=True)


@sandbox.command()
@click.pass_context
def status(context: click.Context) -> None:
    """Print address and process of the sandbox; exit code 1 if it is not running or does not respond."""
    endpoint = local_sandbox.find()
    if endpoint is None:
        click.echo("the sandbox is not running", err=True)
        context.exit(1)
    for name, value in (
        ("url", endpoint.url),
        ("process", endpoint.pid),
        ("account", endpoint.account),
        ("region", endpoint.region),
        ("state", endpoint.state_dir),
        ("log", endpoint.log_file),
        *([("registry", endpoint.registry), ("engine", endpoint.engine)] if endpoint.registry else []),
    ):
        click.echo(f"{name:<8} {value}")


class _ForEval(click.Command):
    """A command with output for `eval`: if the command fails, the output fails, too.

    Otherwise the shell would continue without the variables, and send the next request to AWS.
    """

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the options."""
        with self._failing_output():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        if ctx.params["style"] == "json":
            return super().invoke(ctx)
        with self._failing_output():
            return super().invoke(ctx)

    @staticmethod
    @contextmanager
    def _failing_output() -> Iterator[None]:
        try:
            yield
        except click.exceptions.Exit:  # of --help
            raise
        except BaseException:
            click.echo("false")
            raise


@sandbox.command(cls=_ForEval)
@click.option(
    "--format",
    "style",
    help="Format of the output.",
    type=click.Choice(["sh", "json"]),
    default="sh",
    show_default=True,
)
def env(style: str) -> None:
    """Print the environment variables for AWS clients; in a shell: eval "$(exasol-ci-setup sandbox env)"."""
    endpoint = local_sandbox.find()
    if endpoint is None:
        raise SandboxError("the sandbox is not running", hint=_START_HINT)
    variables = local_sandbox.environment(endpoint)
    if style == "json":
        click.echo(json.dumps(variables))
        return
    click.echo(f"unset {' '.join(local_sandbox.misleading_variables())}")
    for name, value in variables.items():
        click.echo(f"export {name}={shlex.quote(value)}")


@sandbox.command()
@click.option("--yes", is_flag=True, help="Do not prompt for confirmation.")
@pass_session
def reset(session: Session, yes: bool) -> None:
    """Delete everything in the sandbox, and create its dummy secrets again."""
    if not yes:
        from exasol_ci_setup.cli.consent import require_terminal

        require_terminal(session.output, hint="add --yes")
        if not session.output.confirm("Delete everything in the sandbox?"):
            click.echo("not reset: nothing was changed", err=True)
            return
    local_sandbox.reset()
    click.echo("reset the sandbox: it is empty", err=True)
