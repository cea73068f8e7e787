"""Which image stands in on this machine for one of CodeBuild's own."""

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
    """The image to use, and what to tell of the choice (empty if it is what was asked for)."""

    name: str
    note: str = ""


def choose(asked: str, configured: str, has: Callable[[str], bool], machine: str = platform.machine()) -> Image:
    """Return the image for a build: `asked` for on the command line, else `configured` in the batch, else Amazon Linux.

    `has` tells whether an image is on this machine. Of the images that AWS maintains for CodeBuild, it publishes those of Amazon
    Linux, at https://gallery.ecr.aws/codebuild, and not those of Ubuntu (https://github.com/aws/aws-codebuild-docker-images/issues/753): these
    can be built by oneself, and are used if they are there.
    """
    if asked:
        return Image(asked)
    default = _AMAZON_LINUX["aarch64" if machine in {"aarch64", "arm64"} else "x86_64"]
    if not configured:
        return Image(default, f"CodeBuild's image is not known here; using {default} (--image names another)")
    if not configured.startswith(_MANAGED) or has(configured):
        return Image(configured)
    if configured.startswith(f"{_MANAGED}amazonlinux"):
        return Image(_PUBLISHED + configured.removeprefix(_MANAGED))
    return Image(
        default,
        f"AWS does not publish {configured}; using {default} (--image names another, as one built from"
        " https://github.com/aws/aws-codebuild-docker-images)",
    )
