"""Shared by commands that generate files: paths, writing, and `--check`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from exasol_ci_setup.core.errors import DifferencesFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exasol_ci_setup.builds.buildspecs import GeneratedFile
    from exasol_ci_setup.cli.output import Output


class NonEmptyPath(click.Path):
    """A path. Rejects an empty text, which Python takes for the working directory."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return `value` as a path."""
        if value == "":
            self.fail("the path is empty", param, ctx)
        return super().convert(value, param, ctx)


check_option: Final = click.option(
    "--check",
    is_flag=True,
    help="Write nothing; print a diff of outdated files, and exit with 5 if there are any.",
)


def write_or_show(output: Output, files: Sequence[GeneratedFile], *, check: bool) -> list[GeneratedFile]:
    """Write outdated files, or with `check` print their diffs; return the outdated files.

    Raises InputError if a file cannot be written.
    """
    from exasol_ci_setup.builds import buildspecs

    for file in files:
        if check:
            _show_difference(output, file)
        else:
            if file.stale:
                buildspecs.write(file)
            output.say(f"{'wrote' if file.stale else 'unchanged:'} {file.path}")
            output.record({"type": "file", "path": file.path, "status": "written" if file.stale else "unchanged"})
    return [file for file in files if file.stale]


def status(stale: Sequence[GeneratedFile], *, check: bool) -> str:
    """Return the status for the result record."""
    if check:
        return "different" if stale else "same"
    return "done" if stale else "nothing-to-do"


def require_same(stale: Sequence[GeneratedFile], command: str) -> None:
    """Raise DifferencesFoundError if files are outdated. `command` updates them."""
    if stale:
        raise DifferencesFoundError(
            f"{' and '.join(str(file.path) for file in stale)} {'is' if len(stale) == 1 else 'are'} not up to date",
            hint=f"run `exasol-ci-setup {command}` with the same options except --check, and commit the files",
        )


def _show_difference(output: Output, file: GeneratedFile) -> None:
    difference = file.diff()
    if file.stale:
        output.data(difference.rstrip("\n"))
    else:
        output.say(f"up to date: {file.path}")
    output.record(
        {"type": "diff", "path": file.path, "status": "stale" if file.stale else "up-to-date", "diff": difference}
    )
