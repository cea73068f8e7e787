"""Stand-ins for the images of builds that only pretend, so that ECR knows what was built as it does on AWS."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.sandbox import ecr
from exasol_ci_setup.sandbox.image_builds import TAG, UnsupportedBuild, repository_at
from exasol_ci_setup.sandbox.images import OCI_MANIFEST, digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from exasol_ci_setup.sandbox.image_builds import Place

KIND: Final = "application/vnd.exasol-ci-setup.stand-in"
# What OCI has for a part of an image that is not there:
# https://github.com/opencontainers/image-spec/blob/main/manifest.md#guidance-for-an-empty-descriptor.
_NOTHING: Final = {
    "mediaType": "application/vnd.oci.empty.v1+json",
    "digest": digest_of(b"{}"),
    "size": 2,
    "data": "e30=",
}


def manifest(content_hash: str) -> str:
    """Return the manifest of what stands for the image with this hash. No two hashes have the same."""
    content = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": KIND,
        "config": _NOTHING,
        "layers": [_NOTHING],
        "annotations": {
            "org.opencontainers.image.title": f"stand-in for {content_hash}",
            "org.opencontainers.image.description": "The sandbox pretended to build this image; nothing is in it",
        },
    }
    return json.dumps(content)


def put(place: Place, variables: Mapping[str, str]) -> Iterator[str]:
    """Put a stand-in into ministack's ECR under the tags that a build's variables tell; yield what becomes of each."""
    content_hash, wanted = variables.get("CONTENT_HASH", ""), variables.get("IMAGE_TAG", "")
    try:
        name = repository_at(variables.get("REPOSITORY_URI", ""), place)
    except UnsupportedBuild as problem:
        yield f"No stand-in comes of this build: {problem}"
        return
    inner = place.get_service("ecr")
    repository = inner._repositories.get(name)  # noqa: SLF001
    if repository is None:
        yield f"No stand-in comes of this build: there is no repository {name}"
        return
    made = manifest(content_hash)
    for tag in (content_hash, *([wanted] if wanted else ())):
        if not TAG.fullmatch(tag):
            yield f"No stand-in gets a tag that no image can have: {tag!r}"
        elif not ecr.may_move(repository, tag) and _has(inner, name, tag):
            yield f"No stand-in gets the tag: {ecr.taken(tag, name)}"
        else:
            inner._put_image(  # noqa: SLF001
                {
                    "repositoryName": name,
                    "imageManifest": made,
                    "imageManifestMediaType": OCI_MANIFEST,
                    "imageTag": tag,
                }
            )
            yield f"A stand-in for the image is in ECR now: {name}:{tag}"


def _has(inner: Any, name: str, tag: str) -> bool:
    return any(tag in image.get("imageTags", ()) for image in inner._images.get(name, ()))  # noqa: SLF001
