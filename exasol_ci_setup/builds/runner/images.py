"""Choose the image of a local build, with a replacement for CodeBuild's unpublished images."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_MANAGED: Final = "aws/codebuild/"
_PUBLISHED: Final = "public.ecr.aws/codebuild/"
_AMAZON_LINUX: Final = {
    "x86_64": f"{_PUBLISHED}amazonlinux-x86_64-standard:5.0",
    "aarch64": f"{_PUBLISHED}amazonlinux-aarch64-standard:3.0",
}


@dataclass(frozen=True, slots=True)
class Image:
    """The image to use, and a note about the choice (empty if it is the requested image)."""

    name: str
    note: str = ""


def choose(requested: str, configured: str, has: Callable[[str], bool], machine: str = platform.machine()) -> Image:
    """Return the image for a build: `requested` on the command line, else `configured` in the batch, else Amazon Linux.

    `has` returns whether an image exists locally. AWS publishes its Amazon Linux images for CodeBuild at
    https://gallery.ecr.aws/codebuild, but not its Ubuntu images: https://github.com/aws/aws-codebuild-docker-images/issues/753.
    A locally built Ubuntu image is used if it exists.
    """
    if requested:
        return Image(requested)
    default = _AMAZON_LINUX["aarch64" if machine in {"aarch64", "arm64"} else "x86_64"]
    if not configured:
        return Image(default, f"the image of the CodeBuild project is unknown; using {default} (override with --image)")
    if not configured.startswith(_MANAGED) or has(configured):
        return Image(configured)
    if configured.startswith(f"{_MANAGED}amazonlinux"):
        return Image(_PUBLISHED + configured.removeprefix(_MANAGED))
    return Image(
        default,
        f"AWS does not publish {configured}; using {default} (override with --image, for example with one built from"
        " https://github.com/aws/aws-codebuild-docker-images)",
    )
