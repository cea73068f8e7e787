"""Read and change the images in a repository of the registry, by its files on disk.

ECR lists untagged images, deletes tags and shows push times. The API of the registry supports none of these. The layout of the `filesystem`
driver is described in registry/storage/paths.go of github.com/distribution/distribution.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from exasol_ci_setup.sandbox.registry import Registry

DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
_OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
# The folders of a repository. All other folders beside them are repositories whose name begins with the name of this one.
_PARTS: Final = ("_manifests", "_layers", "_uploads")


@dataclass(frozen=True)
class Image:
    """One image: its digest, its sorted tags, its manifest, and its push time in seconds since 1970."""

    digest: str
    tags: tuple[str, ...]
    manifest: bytes
    pushed_at: float

    @property
    def content(self) -> dict[str, Any]:
        """The parsed manifest."""
        parsed = json.loads(self.manifest)
        return parsed if isinstance(parsed, dict) else {}

    @property
    def media_type(self) -> str:
        """The media type of the manifest. OCI manifests can omit it."""
        content = self.content
        default = _OCI_INDEX if "manifests" in content else OCI_MANIFEST
        return str(content.get("mediaType") or default)

    @property
    def artifact_type(self) -> str:
        """The media type of the configuration; for an image index, that of the manifest."""
        return str(self.content.get("config", {}).get("mediaType") or self.media_type)


@dataclass(frozen=True)
class Repository:
    """The images of one repository: `path` is its name in the registry."""

    registry: Registry
    path: str

    @classmethod
    def of(cls, running: Registry, account: str, region: str, name: str) -> Repository:
        """Return the repository with the ECR name `name`."""
        return cls(running, running.path(account, region, name))

    def images(self) -> list[Image]:
        """Return all images, sorted by push time."""
        tags: dict[str, list[str]] = {}
        for tag, digest in self._tags():
            tags.setdefault(digest, []).append(tag)
        found = []
        for link in (self._folder / "_manifests" / "revisions" / "sha256").glob("*/link"):
            digest = f"sha256:{link.parent.name}"
            try:
                manifest, pushed_at = self._blob(digest).read_bytes(), link.stat().st_mtime
            except FileNotFoundError:
                continue  # deleted concurrently
            found.append(Image(digest, tuple(sorted(tags.get(digest, ()))), manifest, pushed_at))
        return sorted(found, key=lambda image: (image.pushed_at, image.digest))

    def size(self, image: Image) -> int:
        """Return the size of an image's layers in bytes; for an image index, that of its largest image.

        Source: https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ImageDetail.html.
        """
        return self._size(image.content)

    def put(self, manifest: str, media_type: str, tag: str) -> tuple[int, str]:
        """Add an image, or a tag to an image; return status and body of the registry's response.

        `tag` can be empty. The registry rejects a manifest with missing layers.
        """
        content = manifest.encode()
        reference = tag or digest_of(content)
        headers = {"Content-Type": media_type or DOCKER_MANIFEST}
        status, body = self.registry.send("PUT", f"/v2/{self.path}/manifests/{reference}", content, **headers)
        return status, body.decode("utf-8", "replace")

    def untag(self, tag: str) -> None:
        """Delete a tag."""
        shutil.rmtree(self._folder / "_manifests" / "tags" / tag, ignore_errors=True)

    def delete(self, image: Image) -> None:
        """Delete an image with all its tags. A reset frees the disk space of its layers."""
        for tag in image.tags:
            self.untag(tag)
        shutil.rmtree(
            self._folder / "_manifests" / "revisions" / "sha256" / image.digest.partition(":")[2], ignore_errors=True
        )

    def remove(self) -> None:
        """Delete the repository with all images."""
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
            with suppress(FileNotFoundError):  # deleted concurrently
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
    """Return the digest of a manifest."""
    return f"sha256:{hashlib.sha256(manifest).hexdigest()}"
