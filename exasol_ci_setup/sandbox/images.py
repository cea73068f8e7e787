"""What is in a repository of the registry that stands for ECR, read from its files, and changed.

The registry's API lists no images without a tag, takes no tag off an image and tells no times, all of which ECR does. The files are
those of the `filesystem` driver, laid out as github.com/distribution/distribution describes it in registry/storage/paths.go.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.sandbox.registry import ask

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from exasol_ci_setup.sandbox.registry import Registry

DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
_OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
# What the registry keeps of one repository; anything else beside it is another repository, whose name begins with this one's.
_PARTS: Final = ("_manifests", "_layers", "_uploads")


@dataclass(frozen=True)
class Image:
    """One image: its digest, all its tags in alphabetical order, its manifest, and when it was pushed, in seconds since 1970."""

    digest: str
    tags: tuple[str, ...]
    manifest: bytes
    pushed_at: float

    @property
    def content(self) -> dict[str, Any]:
        """The manifest, parsed."""
        parsed = json.loads(self.manifest)
        return parsed if isinstance(parsed, dict) else {}

    @property
    def media_type(self) -> str:
        """What kind of manifest it is. OCI's need not say so themselves."""
        content = self.content
        default = _OCI_INDEX if "manifests" in content else OCI_MANIFEST
        return str(content.get("mediaType") or default)

    @property
    def artifact_type(self) -> str:
        """What kind of thing the image is: the type of its configuration, that of the manifest for a list of images."""
        return str(self.content.get("config", {}).get("mediaType") or self.media_type)


@dataclass(frozen=True)
class Repository:
    """The images of one repository: `path` is its name in the registry."""

    registry: Registry
    path: str

    @classmethod
    def of(cls, running: Registry, account: str, region: str, name: str) -> Repository:
        """Return the repository that ECR has as `name`."""
        return cls(running, running.path(account, region, name))

    def images(self) -> list[Image]:
        """Return all images, the first that was pushed first."""
        tags: dict[str, list[str]] = {}
        for tag, digest in self._tags():
            tags.setdefault(digest, []).append(tag)
        found = []
        for link in (self._folder / "_manifests" / "revisions" / "sha256").glob("*/link"):
            digest = f"sha256:{link.parent.name}"
            try:
                manifest, pushed_at = self._blob(digest).read_bytes(), link.stat().st_mtime
            except FileNotFoundError:
                continue  # deleted this very moment
            found.append(Image(digest, tuple(sorted(tags.get(digest, ()))), manifest, pushed_at))
        return sorted(found, key=lambda image: (image.pushed_at, image.digest))

    def size(self, image: Image) -> int:
        """Return the bytes of an image's layers; of a list of images, those of the largest.

        Source: https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ImageDetail.html.
        """
        return self._size(image.content)

    def put(self, manifest: str, media_type: str, tag: str) -> tuple[int, str]:
        """Add an image, or a tag to one; return the registry's status and what it says.

        `tag` may be empty. The registry takes only a manifest whose layers it holds.
        """
        content = manifest.encode()
        reference = tag or digest_of(content)
        status, body = ask(
            self.registry, "PUT", f"/v2/{self.path}/manifests/{reference}", content, media_type or DOCKER_MANIFEST
        )
        return status, body.decode("utf-8", "replace")

    def untag(self, tag: str) -> None:
        """Take a tag off its image."""
        shutil.rmtree(self._folder / "_manifests" / "tags" / tag, ignore_errors=True)

    def delete(self, image: Image) -> None:
        """Delete an image with all its tags. What its layers take on disk is free only after a reset."""
        for tag in image.tags:
            self.untag(tag)
        shutil.rmtree(
            self._folder / "_manifests" / "revisions" / "sha256" / image.digest.partition(":")[2], ignore_errors=True
        )

    def remove(self) -> None:
        """Remove the repository with all that is in it."""
        for part in _PARTS:
            shutil.rmtree(self._folder / part, ignore_errors=True)

    @property
    def _root(self) -> Path:
        return self.registry.data / "docker" / "registry" / "v2"

    @property
    def _folder(self) -> Path:
        return self._root / "repositories" / self.path

    def _blob(self, digest: str) -> Path:
        algorithm, _, name = digest.partition(":")
        return self._root / "blobs" / algorithm / name[:2] / name / "data"

    def _tags(self) -> Iterator[tuple[str, str]]:
        for link in (self._folder / "_manifests" / "tags").glob("*/current/link"):
            with suppress(FileNotFoundError):  # deleted this very moment
                yield link.parent.parent.name, link.read_text(encoding="ascii").strip()

    def _size(self, content: Mapping[str, Any]) -> int:
        sizes = [int(each.get("size", 0)) for each in (content.get("config", {}), *content.get("layers", ()))]
        return max([sum(sizes), *(self._size_of(each["digest"]) for each in content.get("manifests", ()))])

    def _size_of(self, digest: str) -> int:
        try:
            return self._size(json.loads(self._blob(digest).read_bytes()))
        except (FileNotFoundError, ValueError):
            return 0


def digest_of(manifest: bytes) -> str:
    """Return the digest that names an image with this manifest."""
    return f"sha256:{hashlib.sha256(manifest).hexdigest()}"
