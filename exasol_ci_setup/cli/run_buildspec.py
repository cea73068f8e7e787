"""`run-buildspec`: a build as CodeBuild would run it, in a container on this machine."""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from exasol_ci_setup.cli.session import log_level_option, output_option, pass_session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exasol_ci_setup.cli.output import Output
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.runner.build import Outcome, SavedArtifacts
    from exasol_ci_setup.runner.buildspec import BatchBuild, Buildspec
    from exasol_ci_setup.runner.phases import Command, PhaseResult

_DEFAULT: Final = Path("aws-code-build/ci/buildspec.yaml")
_LONGEST: Final = 100  # letters of a command


@click.command("run-buildspec")
@output_option
@log_level_option
@pass_session
@click.argument("buildspec", type=click.Path(path_type=Path), default=_DEFAULT, required=False)
@click.option("--flavor", metavar="NAME", default="", help="Of a batch, run the build of this flavor.")
@click.option(
    "--build", "identifier", metavar="IDENTIFIER", default="", help="Of a batch, run the build with this identifier."
)
@click.option(
    "--image",
    metavar="IMAGE",
    default="",
    help="Image to run in.  [default: the batch's, else CodeBuild's Amazon Linux from public.ecr.aws/codebuild]",
)
@click.option(
    "--env",
    "assignments",
    metavar="NAME[=VALUE]",
    multiple=True,
    help="Variable for the build; without a value, yours is passed on. May be repeated.",
)
@click.option(
    "--env-file",
    "env_files",
    metavar="FILE",
    type=click.Path(path_type=Path),
    multiple=True,
    help="File of variables, one on a line, as for --env. May be repeated.",
)
@click.option(
    "--source",
    metavar="DIRECTORY",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path(),
    help="What CodeBuild would clone; the build gets a copy of it.  [default: the current directory]",
)
@click.option(
    "--artifacts-dir",
    metavar="DIRECTORY",
    type=click.Path(path_type=Path),
    default=Path(".run-buildspec"),
    show_default=True,
    help="Where the artifacts are put, in a folder for each build.",
)
@click.option(
    "--privileged/--no-privileged",
    default=None,
    help="Whether the container may run a Docker engine of its own.  [default: as the batch says]",
)
def run_buildspec(
    session: Session,
    buildspec: Path,
    flavor: str,
    identifier: str,
    image: str,
    assignments: Sequence[str],
    env_files: Sequence[Path],
    source: Path,
    artifacts_dir: Path,
    privileged: bool | None,
) -> None:
    """Run a build in a local container, as CodeBuild would.

    BUILDSPEC is a batch of builds, of which one is run, or a buildspec with phases.  [default: aws-code-build/ci/buildspec.yaml]

    The build works on a copy of the source as it lies here, changes that are not committed included. Its output goes to stdout,
    everything else to stderr. Variables that CodeBuild would fetch from Secrets Manager or the Parameter Store are taken from
    your environment, --env or --env-file; nothing on AWS is asked or changed. The exit code is 6 if the build fails.
    """
    from exasol_ci_setup.runner import build as running
    from exasol_ci_setup.runner import images, variables
    from exasol_ci_setup.runner.engine import Engine

    output = session.output
    spec, chosen = _read(buildspec, source, identifier=identifier, flavor=flavor)
    given = variables.parse(assignments, env_files, os.environ)
    secrets = variables.secret_values(spec, given, os.environ)
    folder = running.ArtifactsFolder(artifacts_dir, _folder_name(chosen, buildspec))

    engine = Engine()
    picked = images.choose(image, chosen.image if chosen else "", engine.has)
    view = _View(output, chosen.identifier if chosen else "")
    for note in (*spec.notes, picked.note):
        view.note(note)
    if not engine.has(picked.name):
        output.say(f"pulling {picked.name}")
        engine.pull(picked.name, output.say)

    own = variables.of_codebuild(source, picked.name, chosen.identifier if chosen else "", os.environ)
    values = variables.merge(spec, chosen, own, secrets, given)
    wanted = privileged if privileged is not None else bool(chosen and chosen.privileged)
    hidden = tuple(values[name] for name in spec.secrets)
    outcome = running.run(
        engine, running.Job(spec, source, picked.name, values, hidden, folder, privileged=wanted), view
    )
    _report_result(output, outcome, chosen)


def _read(path: Path, source: Path, *, identifier: str, flavor: str) -> tuple[Buildspec, BatchBuild | None]:
    """Return what is to be run, and which build of a batch it is."""
    from dataclasses import replace

    from exasol_ci_setup.errors import InputError
    from exasol_ci_setup.runner.buildspec import Document, choose

    if flavor and identifier:
        raise InputError("--flavor and --build both choose a build", hint="give one of them")
    document = Document.read(path)
    builds = document.batch()
    if not builds:
        if flavor or identifier:
            raise InputError(
                f"{path} is no batch, so there is no build to choose", hint="leave out --flavor and --build"
            )
        return document.buildspec(), None
    build = choose(builds, path, identifier=identifier, flavor=flavor)
    if flavor and "FLAVORS" in build.variables:
        # A build of several flavors; the one that was asked for is enough here.
        build = replace(build, variables={**build.variables, "FLAVORS": flavor})
    # As for CodeBuild, the path begins where the source does.
    return (Document.read(source / build.buildspec) if build.buildspec else document).buildspec(), build


def _folder_name(build: BatchBuild | None, path: Path) -> str:
    name = build.identifier if build else path.stem
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name).lstrip(".") or "build"


class _View:
    """Shows a build as it runs: its output on stdout, what is done on stderr, or all of it as records."""

    def __init__(self, output: Output, build: str) -> None:
        self._output, self._build = output, build
        self._phase, self._since = "", 0.0
        self._line = b""

    def note(self, text: str) -> None:
        """Tell of a difference from CodeBuild."""
        if text:
            self._output.say(f"{click.style('note:', fg='cyan')} {text}")

    def phase_begins(self, name: str) -> None:
        """Tell that a phase begins."""
        self._phase, self._since = name, time.monotonic()
        self._output.say(click.style(f"phase {name}", bold=True))

    def command_begins(self, command: Command) -> None:
        """Tell which command runs."""
        self._output.say(click.style(f"  $ {_shown(command.text)}", fg="bright_black"))

    def phase_ends(self, result: PhaseResult) -> None:
        """Tell how a phase ended."""
        from exasol_ci_setup.cli import show

        seconds = time.monotonic() - self._since
        color = "red" if result.failure else "green"
        ended = click.style(result.status, fg=color)
        if result.failure:
            ended += f": `{_shown(result.failure.command.text)}` ended with exit status {result.failure.status}"
        self._output.say(f"phase {result.name} {ended} ({show.duration(seconds)})")
        record: dict[str, object] = {
            "type": "phase",
            "build": self._build,
            "phase": result.name,
            "status": result.status,
            "seconds": round(seconds, 1),
        }
        if result.failure:
            record |= {"command": result.failure.command.text, "exit_status": result.failure.status}
        self._output.record(record)

    def output(self, data: bytes) -> None:
        """Write what the build wrote: unchanged as text, a line each as records."""
        if self._output.format == "text":
            # Bytes: it may be in any encoding, and a line may not be finished yet.
            sys.stdout.flush()
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            return
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            message = line.decode(errors="replace").rstrip("\r")
            self._output.record({"type": "log", "build": self._build, "phase": self._phase, "message": message})


def _report_result(output: Output, outcome: Outcome, build: BatchBuild | None) -> None:
    """Tell what the build left behind, and raise BuildFailed if it failed."""
    from exasol_ci_setup.cli import records, show
    from exasol_ci_setup.errors import BuildFailed

    for name, value in outcome.exported.items():
        output.say(f"exported {name}={show.clean(value)}")
    for saved in outcome.artifacts:
        if not saved.problem:
            _report_artifacts(output, saved)
    failed = next((result.failure for result in outcome.phases if result.failure), None)
    which = f"build {build.identifier}" if build else "the build"
    if failed:
        raise BuildFailed(
            f"{which} failed in phase {failed.command.phase}: `{_shown(failed.command.text)}` ended with exit status {failed.status}"
        )
    problems = [saved for saved in outcome.artifacts if saved.problem]
    if problems:
        kind = f"the artifacts {problems[0].identifier}" if problems[0].identifier else "its artifacts"
        raise BuildFailed(
            f"{which} ran, but {kind} cannot be saved: {problems[0].problem}",
            hint="artifacts are looked for below the source, or base-directory; CodeBuild would fail, too",
        )
    output.say(f"{which} {click.style('succeeded', fg='green')}")
    output.record(records.result("succeeded", build=build.identifier if build else "", exported=outcome.exported))


def _report_artifacts(output: Output, saved: SavedArtifacts) -> None:
    from exasol_ci_setup.cli import show

    count = f"{len(saved.files)} file{'' if len(saved.files) == 1 else 's'}"
    output.say(f"artifacts: {count} in {show.clean(str(saved.folder))}")
    output.record({"type": "artifacts", "identifier": saved.identifier, "folder": saved.folder, "files": saved.files})


def _shown(command: str) -> str:
    """Return a command on one line, and not too long."""
    from exasol_ci_setup.cli import show

    first, _, more = command.strip().partition("\n")
    return show.clean(first[:_LONGEST]) + ("…" if more or len(first) > _LONGEST else "")
