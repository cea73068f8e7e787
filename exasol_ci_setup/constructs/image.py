"""Names of Docker images: their tags, and the registries of a program that they are in."""

from __future__ import annotations

from exasol_ci_setup.constructs.placeholders import Placeholder, placeholder, split
from exasol_ci_setup.constructs.registry import Registry


def image_parts(text: str) -> tuple[str, str]:
    """Split the name of an image from its digest or its tag; the default tag is `latest`, as in Docker."""
    name, at, digest = text.partition("@")
    if at:
        return name, digest
    folder, slash, last = text.rpartition("/")
    last, colon, tag = last.partition(":")
    return f"{folder}{slash}{last}", tag if colon else "latest"


def repository_arn(name: str) -> str | None:
    """Return the output with the ARN of the repository if `name` is the URI of a registry of the program, or None."""
    match split(name):
        case [Placeholder(construct=Registry() as registry, output="RepositoryUri")]:
            return placeholder(registry, "RepositoryArn")
        case _:
            return None
