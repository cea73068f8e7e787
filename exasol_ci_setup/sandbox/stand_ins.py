"""Put stand-ins for the images of simulated builds into ECR, so that it lists them as on AWS."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.sandbox import ecr
from exasol_ci_setup.sandbox.image_builds import TAG, UnsupportedBuildError, repository_at
from exasol_ci_setup.sandbox.images import OCI_MANIFEST, digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from exasol_ci_setup.sandbox.image_builds import Location

KIND: Final = "application/vnd.exasol-ci-setup.stand-in"
# The empty descriptor of OCI:
# https://github.com/opencontainers/image-spec/blob/main/manifest.md#guidance-for-an-empty-descriptor.
_NOTHING: Final = {
    "mediaType": "application/vnd.oci.empty.v1+json",
    "digest": digest_of(b"{}"),
    "size": 2,
    "data": "e30=",
}


def manifest(content_hash: str) -> str:
    """Return the manifest of the stand-in for an image. Each content hash has a different manifest."""
    content = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": KIND,
        "config": _NOTHING,
        "layers": [_NOTHING],
        "annotations": {
            "org.opencontainers.image.title": f"stand-in for {content_hash}",
            "org.opencontainers.image.description": "The sandbox simulated the build of this image; the image is empty",
        },
    }
    return json.dumps(content)


def put(place: Location, variables: Mapping[str, str]) -> Iterator[str]:
    """Put a stand-in into ministack's ECR with the tags in a build's variables; yield a message for each tag."""
    content_hash, wanted = variables.get("CONTENT_HASH", ""), variables.get("IMAGE_TAG", "")
    try:
        name = repository_at(variables.get("REPOSITORY_URI", ""), place)
    except UnsupportedBuildError as problem:
        yield f"This build creates no stand-in for its image: {problem}"
        return
    inner = place.get_service("ecr")
    repository = inner._repositories.get(name)  # noqa: SLF001
    if repository is None:
        yield f"This build creates no stand-in for its image: repository {name} does not exist"
        return
    made = manifest(content_hash)
    for tag in (content_hash, *([wanted] if wanted else ())):
        if not TAG.fullmatch(tag):
            yield f"The stand-in is not tagged: {tag!r} is not a valid image tag"
        elif not ecr.may_move(repository, tag) and _has(inner, name, tag):
            yield f"The stand-in is not tagged: {ecr.immutable_tag_message(tag, name)}"
        else:
            inner._put_image(  # noqa: SLF001
                {
                    "repositoryName": name,
                    "imageManifest": made,
                    "imageManifestMediaType": OCI_MANIFEST,
                    "imageTag": tag,
                }
            )
            yield f"Created a stand-in for the image in ECR: {name}:{tag}"


def _has(inner: Any, name: str, tag: str) -> bool:
    return any(tag in image.get("imageTags", ()) for image in inner._images.get(name, ()))  # noqa: SLF001
