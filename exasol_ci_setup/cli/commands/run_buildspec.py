"""Command `run-buildspec`: run a CodeBuild build in a local container."""

from __future__ import annotations

import os
import re
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from exasol_ci_setup.cli.session import log_level_option, output_option, pass_session
from exasol_ci_setup.core.errors import BuildFailedError, EngineError, EngineUnavailableError, InputError
from exasol_ci_setup.core.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docker import DockerClient

    from exasol_ci_setup.builds.runner.build import Outcome, SavedArtifacts
    from exasol_ci_setup.builds.runner.buildspec import BatchBuild, Buildspec
    from exasol_ci_setup.cli.output import Output
    from exasol_ci_setup.cli.session import Session

_DEFAULT: Final = Path("aws-code-build/ci/buildspec.yaml")


@dataclass(frozen=True, kw_only=True)
class _RunFlags:
    """The argument and options of `run-buildspec`, as the user gave them."""

    buildspec: Path
    flavor: str
    identifier: str
    image: str
    assignments: Sequence[str]
    env_files: Sequence[Path]
    source: Path
    artifacts_dir: Path
    privileged: bool | None

    def __post_init__(self) -> None:
        """Raise InputError for options that exclude each other."""
        if self.flavor and self.identifier:
            raise InputError("--flavor and --build both select a build", hint="omit one of them")


@click.command("run-buildspec")
@pass_session
@click.argument("buildspec", type=click.Path(path_type=Path), default=_DEFAULT, required=False)
@click.option("--flavor", metavar="NAME", default="", help="Run the build of this flavor in a batch file.")
@click.option(
    "--build",
    "identifier",
    metavar="IDENTIFIER",
    default="",
    help="Run the build with this identifier in a batch file.",
)
@click.option(
    "--image",
    metavar="IMAGE",
    default="",
    help="Image to run in.  [default: the batch's, or CodeBuild's Amazon Linux from public.ecr.aws/codebuild]",
)
@click.option(
    "--env",
    "assignments",
    metavar="NAME[=VALUE]",
    multiple=True,
    help="Variable for the build; without a value, the value in your environment. May be repeated.",
)
@click.option(
    "--env-file",
    "env_files",
    metavar="FILE",
    type=click.Path(path_type=Path),
    multiple=True,
    help="File of variables, one on each line, in the form of --env. May be repeated.",
)
@click.option(
    "--source",
    metavar="DIRECTORY",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Source of the build, which runs on a copy.  [default: the current directory]",
)
@click.option(
    "--artifacts-dir",
    metavar="DIRECTORY",
    type=click.Path(path_type=Path),
    default=Path(".run-buildspec"),
    show_default=True,
    help="Directory for artifacts, with a folder for each build.",
)
@click.option(
    "--privileged/--no-privileged",
    default=None,
    help="Let the container run its own Docker engine.  [default: as in the batch]",
)
@output_option
@log_level_option
def run_buildspec(session: Session, **options: Any) -> None:
    """Run a build in a local container, as CodeBuild would.

    BUILDSPEC is a buildspec with phases, or a batch of builds, from which one is run.  [default: aws-code-build/ci/buildspec.yaml]

    The build works on a copy of the source, including uncommitted changes. Its output goes to stdout, all messages go to stderr. The
    values of Secrets Manager and Parameter Store variables come from your environment, --env or --env-file; the command does not call AWS.
    The exit code is 6 if the build fails.
    """
    from exasol_ci_setup.builds.checkout import require_root
    from exasol_ci_setup.builds.runner import build as runner
    from exasol_ci_setup.builds.runner import images, variables
    from exasol_ci_setup.cli.render.local_build import LocalBuildReporter
    from exasol_ci_setup.docker import engine

    if options["source"] is None:
        require_root()
        options["source"] = Path()
    flags = _RunFlags(**options)
    output = session.output
    spec, build = _read(flags)
    own_variables = variables.parse(flags.assignments, flags.env_files, os.environ)
    secrets = variables.secret_values(spec, own_variables, os.environ)
    folder = runner.ArtifactsFolder(flags.artifacts_dir, _folder_name(build, flags.buildspec))
    identifier = build.identifier if build else ""

    with closing(engine.connect(timeout=None)) as client:
        choice = images.choose(
            flags.image, build.image if build else "", lambda name: engine.find_image(client, name) is not None
        )
        reporter = LocalBuildReporter(output, identifier)
        for note in filter(None, (*spec.notes, choice.note)):
            reporter.note(note)
        if engine.find_image(client, choice.name) is None:
            output.say(f"pulling {choice.name}")
            _pull(client, choice.name, output)

        predefined = variables.of_codebuild(flags.source, choice.name, identifier, os.environ)
        values = variables.merge(spec, build, predefined, secrets, own_variables)
        is_privileged = flags.privileged if flags.privileged is not None else bool(build and build.privileged)
        redacted = tuple(values[name] for name in spec.secrets)
        job = runner.Job(spec, flags.source, choice.name, values, redacted, folder, privileged=is_privileged)
        outcome = runner.run(client, job, reporter)
    _report_outcome(output, outcome, build)


def _pull(client: DockerClient, name: str, output: Output) -> None:
    from exasol_ci_setup.docker import engine

    try:
        engine.pull(client, name, output.say)
    except EngineUnavailableError:
        raise
    except EngineError as error:
        error.hint = "name another one with --image"
        raise


def _read(flags: _RunFlags) -> tuple[Buildspec, BatchBuild | None]:
    """Return the buildspec to run, and the build of a batch that it belongs to."""
    from exasol_ci_setup.builds.runner.buildspec import Document, choose

    path, flavor = flags.buildspec, flags.flavor
    document = Document.read(path)
    builds = document.batch()
    if not builds:
        if flavor or flags.identifier:
            raise InputError(
                f"{path} is not a batch, so --flavor and --build do not apply", hint="omit --flavor and --build"
            )
        return document.buildspec(), None
    build = choose(builds, path, identifier=flags.identifier, flavor=flavor)
    if flavor and "FLAVORS" in build.variables:
        # The build has several flavors; only the requested one is needed.
        build = replace(build, variables={**build.variables, "FLAVORS": flavor})
    # As in CodeBuild, the path is relative to the source.
    return (Document.read(flags.source / build.buildspec) if build.buildspec else document).buildspec(), build


def _folder_name(build: BatchBuild | None, path: Path) -> str:
    name = build.identifier if build else path.stem
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name).lstrip(".") or "build"


def _report_outcome(output: Output, outcome: Outcome, build: BatchBuild | None) -> None:
    """Print exports and artifacts of the build. Raises BuildFailedError if it failed."""
    from exasol_ci_setup.cli.render import records, show
    from exasol_ci_setup.cli.render.local_build import short_command

    for name, value in outcome.exported.items():
        output.say(f"exported {name}={show.clean(value)}")
    for artifacts in outcome.artifacts:
        if not artifacts.problem:
            _report_artifacts(output, artifacts)
    failed = next((result.failure for result in outcome.phases if result.failure), None)
    which = f"build {build.identifier}" if build else "the build"
    if failed:
        raise BuildFailedError(
            f"{which} failed in phase {failed.command.phase}: `{short_command(failed.command.text)}` ended with exit status {failed.status}"
        )
    problems = [artifacts for artifacts in outcome.artifacts if artifacts.problem]
    if problems:
        kind = f"the artifacts {problems[0].identifier}" if problems[0].identifier else "its artifacts"
        raise BuildFailedError(
            f"{which} ran, but {kind} cannot be saved: {problems[0].problem}",
            hint="artifact paths are relative to the source or base-directory; CodeBuild would fail, too",
        )
    output.say(f"{which} {click.style('succeeded', fg='green')}")
    output.record(records.result("succeeded", build=build.identifier if build else "", exported=outcome.exported))


def _report_artifacts(output: Output, artifacts: SavedArtifacts) -> None:
    from exasol_ci_setup.cli.render import show

    count = counted(len(artifacts.files), "file")
    output.say(f"artifacts: {count} in {show.clean(str(artifacts.folder))}")
    output.record(
        {"type": "artifacts", "identifier": artifacts.identifier, "folder": artifacts.folder, "files": artifacts.files}
    )
