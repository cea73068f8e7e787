"""The group `sandbox`: an AWS endpoint on this machine, started, shown, emptied and stopped."""

from __future__ import annotations

import json
import shlex
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from exasol_ci_setup import sandbox as room
from exasol_ci_setup.cli.session import pass_session
from exasol_ci_setup.errors import InputError, SandboxError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exasol_ci_setup.cli.session import Session

_START_HINT = "start it with `exasol-ci-setup sandbox start`"
_STOPPED = {
    room.StopResult.NOT_RUNNING: "the sandbox does not run",
    room.StopResult.SAVED: "the sandbox has been stopped",
    room.StopResult.KILLED: "the sandbox has been killed, as it did not end: what it did in its last second may not be saved",
}


def _source(entry: str) -> tuple[str, Path]:
    url, separator, path = entry.rpartition("=")
    if not (separator and url and path):
        raise InputError(
            f"--source {entry} is not of the form URL=PATH",
            hint="such as --source https://github.com/exasol/script-languages-release=.",
        )
    return url, Path(path)


@click.group()
def sandbox() -> None:
    """Run a local AWS endpoint, for first steps and for tests.

    It listens on this machine only, keeps its state between runs, and needs no AWS account. Every command uses it with --sandbox,
    and any AWS client with: eval "$(exasol-ci-setup sandbox env)"
    """


@sandbox.command()
@click.option(
    "--delay",
    metavar="SECONDS",
    type=click.FloatRange(0, 3600),
    help="Time that each resource operation takes, to watch a deployment or to interrupt it. [default: 0, or "
    "EXASOL_CI_SETUP_SANDBOX_DELAY]",
)
@click.option(
    "--build-seconds",
    metavar="SECONDS",
    type=click.FloatRange(0, 3600),
    help="Time that each build takes. [default: 0.5, or EXASOL_CI_SETUP_SANDBOX_BUILD_SECONDS]",
)
@click.option(
    "--source",
    "sources",
    metavar="URL=PATH",
    multiple=True,
    help="Directory that stands for a repository, whose buildspecs builds then have; may be repeated. "
    "[default: EXASOL_CI_SETUP_SANDBOX_SOURCES]",
)
@click.option(
    "--registry",
    is_flag=True,
    default=None,
    help="Let a real registry on this machine stand for ECR, and container builders build in its Docker engine; needs the program "
    "docker-registry. [default: no, or EXASOL_CI_SETUP_SANDBOX_REGISTRY]",
)
@click.option(
    "--access-control",
    is_flag=True,
    help="Enforce policies as AWS does, for all but the account's own key. [default: off, or EXASOL_CI_SETUP_SANDBOX_ACCESS_CONTROL]",
)
def start(
    delay: float | None,
    build_seconds: float | None,
    sources: tuple[str, ...],
    registry: bool | None,
    access_control: bool,
) -> None:
    """Start the sandbox in the background, unless it runs."""
    directories = dict(_source(entry) for entry in sources)
    if running := room.find():
        given = [
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
        unchanged = f"; to change its {' and '.join(given)}, stop it first" if given else ""
        click.echo(f"the sandbox runs already at {running.url} (process {running.pid}){unchanged}", err=True)
        return
    endpoint = room.ensure(
        delay=delay,
        build_seconds=build_seconds,
        sources=directories,
        registry=registry,
        access_control=access_control,
    )
    click.echo(f"the sandbox runs at {endpoint.url} (process {endpoint.pid})", err=True)
    if endpoint.registry:
        click.echo(f"ECR is the registry at {endpoint.registry}", err=True)
        click.echo(f"Docker engine that builds images: {endpoint.engine}", err=True)
    click.echo('use it with --sandbox, or from any AWS client: eval "$(exasol-ci-setup sandbox env)"', err=True)


@sandbox.command()
def stop() -> None:
    """Stop the sandbox; its state is kept for the next start."""
    click.echo(_STOPPED[room.stop()], err=True)


@sandbox.command()
@click.pass_context
def status(context: click.Context) -> None:
    """Print where the sandbox runs; exit code 1 if it does not run or does not answer."""
    endpoint = room.find()
    if endpoint is None:
        click.echo("the sandbox does not run", err=True)
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
    """A command whose output a shell evaluates: where it fails, so does what it prints.

    Without that, the shell continues without the variables, and the next request goes to AWS.
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
    "--format", "style", help="How it is written.", type=click.Choice(["sh", "json"]), default="sh", show_default=True
)
def env(style: str) -> None:
    """Print what makes any AWS client use the sandbox; for a shell: eval "$(exasol-ci-setup sandbox env)"."""
    endpoint = room.find()
    if endpoint is None:
        raise SandboxError("the sandbox does not run", hint=_START_HINT)
    variables = room.environment(endpoint)
    if style == "json":
        click.echo(json.dumps(variables))
        return
    click.echo(f"unset {' '.join(room.misleading_variables())}")
    for name, value in variables.items():
        click.echo(f"export {name}={shlex.quote(value)}")


@sandbox.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_session
def reset(session: Session, yes: bool) -> None:
    """Empty the sandbox: its stacks and everything else in it are gone, the dummy secrets are there again."""
    if not yes:
        if not sys.stdin.isatty():
            raise InputError("the sandbox is not emptied without being asked", hint="add --yes")
        if not session.output.confirm("Forget everything in the sandbox?"):
            click.echo("the sandbox is as it was", err=True)
            return
    room.reset()
    click.echo("the sandbox is empty", err=True)
