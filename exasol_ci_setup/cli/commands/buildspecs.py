"""`generate-buildspec` and `generate-release-buildspec`: generate or check buildspec files."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import click

from exasol_ci_setup.cli import generated
from exasol_ci_setup.cli.generated import NonEmptyPath, check_option
from exasol_ci_setup.cli.options import Pairs, merged
from exasol_ci_setup.cli.session import (
    log_level_option,
    markdown_output_option,
    pass_session,
    require_preview,
    together,
)
from exasol_ci_setup.core import build_settings
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.core.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exasol_ci_setup.builds.buildspecs import Options
    from exasol_ci_setup.cli.session import Session

F = TypeVar("F", bound="Callable[..., Any]")
# The usual directory of flavors.
_FLAVORS: Final = Path("flavors")


_flavor_options: Final = together(
    click.option(
        "--exclude",
        metavar="PATTERN",
        multiple=True,
        help="Directories below a root that are no flavors, such as 'test*'; may be repeated.",
    ),
    click.option(
        "--flavor",
        "named_flavors",
        metavar="NAME",
        multiple=True,
        help="Flavor without a directory, such as that of a Dockerfile in the root; may be repeated.",
    ),
    click.option(
        "--flavor-root-path",
        "flavor_root_paths",
        type=NonEmptyPath(path_type=Path),
        metavar="PATH",
        multiple=True,
        help="Directory with one subdirectory for each flavor; may be repeated.  [default: flavors, if it exists and --flavor is omitted]",
    ),
)

_build_options: Final = together(
    click.option(
        "--config-file",
        type=NonEmptyPath(path_type=Path),
        metavar="PATH",
        help="JSON file with the build configuration of the repository; builds read it too.",
    ),
    check_option,
    click.option(
        "--flavors-per-build",
        type=click.IntRange(min=1),
        metavar="NUMBER",
        help="Maximum flavors that one build builds, sequentially.  [default: 1]",
    ),
    click.option(
        "--batch-limit",
        type=click.IntRange(min=1),
        metavar="NUMBER",
        help="Maximum builds in a batch, the same as in the stack.  [default: 100]",
    ),
    click.option(
        "--build-command",
        metavar="TEXT",
        help="Shell command that builds the flavor $FLAVOR.  [default: that of exasol-script-languages-container-ci >=1.8,<3]",
    ),
    click.option(
        "--install-command",
        "install_commands",
        metavar="TEXT",
        multiple=True,
        help="Shell command that prepares a build, instead of the setup of Poetry; may be repeated.",
    ),
    click.option(
        "--docker-secret",
        metavar="NAME",
        help="Secret for the login to Docker Hub, the same as in the stack; none for builds without login.  [default: Dockerhub]",
    ),
    click.option(
        "--compute-type",
        metavar="TYPE",
        help="Size of the build host, the same as in the stack.  [default: BUILD_GENERAL1_MEDIUM]",
    ),
    click.option(
        "--privileged/--no-privileged",
        default=None,
        help="Run builds in privileged mode, the same as in the stack.  [default: privileged]",
    ),
    click.option(
        "--variable",
        "variables",
        type=Pairs("variable", "write NAME=VALUE"),
        metavar="NAME=VALUE",
        multiple=True,
        callback=merged,
        help="Variable of the builds, which is no secret; may be repeated.",
    ),
    click.option(
        "--report-file",
        "report_files",
        metavar="PATTERN",
        multiple=True,
        help="Files with test results in the format of JUnit, for reports of CodeBuild; may be repeated.",
    ),
    click.option(
        "--python-version",
        metavar="VERSION",
        help="Python version of CodeBuild's image; none for a custom image, and if --build-command sets no version.  [default: 3.10]",
    ),
)


def _options(output_path: str) -> Callable[[F], F]:
    options = together(
        _flavor_options,
        click.option(
            "--output-path",
            type=NonEmptyPath(path_type=Path),
            metavar="PATH",
            default=output_path,
            show_default=True,
            help="Directory of the files; created if it does not exist.",
        ),
        _build_options,
        log_level_option,
        markdown_output_option,
    )
    return lambda command: pass_session(options(require_preview(command)))


def _generate(
    session: Session,
    kind: Literal["ci", "release"],
    *,
    flavor_root_paths: Sequence[Path],
    named_flavors: Sequence[str],
    exclude: Sequence[str],
    output_path: Path,
    config_file: Path | None,
    check: bool,
    **values: Any,
) -> None:
    from exasol_ci_setup.builds import buildspecs
    from exasol_ci_setup.cli.render import records

    output = session.output
    if not flavor_root_paths and not named_flavors and _FLAVORS.is_dir():
        flavor_root_paths = [_FLAVORS]
    if not flavor_root_paths and not named_flavors:
        raise InputError(
            "no flavor: --flavor-root-path or --flavor is required",
            hint="set --flavor-root-path to the directory that contains one directory for each flavor, or name flavors with --flavor",
        )
    options = buildspecs.Options(
        kind=kind,
        output_path=buildspecs.from_root(output_path, "the output path"),
        config_file=None if config_file is None else buildspecs.from_root(config_file, "the config file"),
        **{name: value for name, value in values.items() if value is not None},
    )
    _check_config(session, config_file, kind, has_own_command=options.build_command is not None)
    own = [output_path] if config_file is None else [output_path, config_file]
    flavors = buildspecs.find_flavors(flavor_root_paths, named=named_flavors, exclude=exclude, own=own)
    files = buildspecs.compare(Path(options.output_path), buildspecs.render(flavors, options))
    stale = generated.write_or_show(output, files, check=check)
    builds = -(-len(flavors) // options.flavors_per_build)
    if stack_options := _stack_options(kind, options):
        output.say(f"deploy the stack with {shlex.join(stack_options)}")
    output.say(f"{counted(len(flavors), 'flavor')} in {counted(builds, 'build')}")
    status = generated.status(stale, check=check)
    output.record(records.result(status, changed=bool(stale) and not check, flavors=len(flavors), builds=builds))
    if check:
        generated.require_same(stale, "generate-buildspec" if kind == "ci" else "generate-release-buildspec")


def _stack_options(kind: Literal["ci", "release"], options: Options) -> list[str]:
    """Return the options of the stack whose project reads and builds the files, without those that have their defaults."""
    from exasol_ci_setup.builds import buildspecs

    path = f"{options.output_path}/{buildspecs.BATCH_FILE}".removeprefix("./")
    values = (
        ("--buildspec", path, build_settings.DEFAULT_BUILDSPECS[kind]),
        ("--docker-secret", options.docker_secret, build_settings.DEFAULT_DOCKER_SECRET),
        ("--compute-type", options.compute_type, build_settings.DEFAULT_COMPUTE_TYPE),
        ("--batch-limit", options.batch_limit, build_settings.DEFAULT_BATCH_LIMIT),
    )
    found = [word for name, value, default in values if value != default for word in (name, str(value))]
    flags = ("--no-privileged", not options.privileged), ("--test-reports", bool(options.report_files))
    return [*found, *(flag for flag, is_set in flags if is_set)]


def _check_config(
    session: Session, path: Path | None, kind: Literal["ci", "release"], *, has_own_command: bool
) -> None:
    from exasol_ci_setup.builds import config
    from exasol_ci_setup.builds.buildspecs import PACKAGE, VERSIONS, excluding_file

    absent = config.load(path).absent if path else ()
    if has_own_command:
        return
    problem = f"{path} has no {', '.join(absent)}" if absent else "" if path else "no --config-file"
    if problem:
        session.output.warn(
            f"{problem}: run-{kind} of {PACKAGE} {VERSIONS} needs it in each build; "
            f"--build-command runs another command in place of run-{kind}"
        )
    if (found := excluding_file(Path())) is not None:
        session.output.warn(
            f"{found[0]} has {PACKAGE} {found[1]}, but each build runs run-{kind} of {VERSIONS}, which later releases do not have: "
            f"`poetry add '{PACKAGE}{VERSIONS}'`, or --build-command"
        )


@click.command("generate-buildspec")
@_options("./aws-code-build/ci")
def generate_buildspec(session: Session, **values: Any) -> None:
    """Generate the buildspec files that build each push.

    The command writes buildspec.yaml, a batch with one build for each flavor, and build_buildspec.yaml, which each build runs.
    Run it in the root of the repository: paths in the files are relative to it.
    """
    _generate(session, "ci", **values)


@click.command("generate-release-buildspec")
@_options("./aws-code-build/release")
def generate_release_buildspec(session: Session, **values: Any) -> None:
    """Generate the buildspec files that build releases.

    The command writes buildspec.yaml, a batch with one build for each flavor, and build_buildspec.yaml, which each build runs.
    Run it in the root of the repository: paths in the files are relative to it.
    """
    _generate(session, "release", **values)
