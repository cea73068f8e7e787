"""Command `build-image`: build the image of a folder with a container builder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from exasol_ci_setup.cli.options import STACK, Duration, Pairs, merged
from exasol_ci_setup.cli.session import common_options

if TYPE_CHECKING:
    from exasol_ci_setup.cli.session import Session


@click.command("build-image")
@click.argument("name", type=STACK, metavar="STACK")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default=".")
@click.option("--tag", default="latest", show_default=True, metavar="TAG", help="Tag of the image; empty for none.")
@click.option(
    "--build-context", default=".", show_default=True, metavar="DIRECTORY", help="Folder in FOLDER with the Dockerfile."
)
@click.option(
    "--build-argument",
    "arguments",
    type=Pairs("build argument", "write NAME=VALUE"),
    multiple=True,
    callback=merged,
    metavar="NAME=VALUE",
    help="Value of `ARG NAME` in the Dockerfile; may be repeated. Not for secrets: images show them.",
)
@click.option(
    "--timeout",
    type=Duration(),
    metavar="TIME",
    help="Stop waiting after this time (90s, 30m, 2h). The build continues.",
)
@click.option("--no-wait", is_flag=True, help="Start the build, and do not wait for it.")
@common_options
def build_image(
    session: Session,
    name: str,
    folder: Path,
    *,
    tag: str,
    build_context: str,
    arguments: dict[str, str] | None,
    timeout: float | None,
    no_wait: bool,
) -> None:
    """Build the image of a folder with a container builder.

    Uploads FOLDER without the files in its .gitignore, builds its image with the container builder of STACK, and prints the image. If the registry has the image of this content, nothing is built. FOLDER is the
    current directory by default. Exit codes: 6 if the build failed, 7 after --timeout.
    """
    from exasol_ci_setup.cli.render import records
    from exasol_ci_setup.programs import image_builds

    output = session.output
    build, image = image_builds.start(
        session.context(), name, folder, tag=tag, build_context=build_context, arguments=arguments or {}
    )
    if not no_wait:
        build.wait(timeout)
    output.data(image)
    output.record({"type": "image", "image": image, "tag": tag, "build": build.id})
    status = "unchanged" if not build.started else "started" if no_wait else "built"
    output.record(records.result(status, changed=build.started))
