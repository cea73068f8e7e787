"""A registry for images for tests: whether this machine can run one, and images that are pushed to it without an engine."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
from dataclasses import dataclass
from typing import Any

import pytest

from exasol_ci_setup.core.errors import SandboxError
from exasol_ci_setup.sandbox import registry

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIGURATION = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"

# Read on import: fixtures remove the variables of this project.
REQUIRED = "registry" in os.environ.get("EXASOL_CI_SETUP_REQUIRE", "").split(",")


def require_program() -> None:
    """Skip the test without docker-registry, or fail it if the registry is required."""
    try:
        registry.program()
    except SandboxError as error:
        if REQUIRED:
            pytest.fail(f"a registry is required: {error}")
        pytest.skip(f"{error} ({error.hint})")


@dataclass
class Pusher:
    """A client that pushes to the repositories of an account with the token of ECR, as docker does."""

    ecr: Any

    def ask(self, method: str, path: str, body: bytes = b"", kind: str = "", password: str = "") -> Any:
        """Return the response to a request, with its body read."""
        data = self.ecr.get_authorization_token()["authorizationData"][0]
        token = data["authorizationToken"] if not password else base64.b64encode(f"AWS:{password}".encode()).decode()
        connection = http.client.HTTPConnection(data["proxyEndpoint"].removeprefix("http://"), timeout=10)
        try:
            headers = {"Authorization": f"Basic {token}", "Content-Type": kind, "Accept": f"{MANIFEST}, {INDEX}"}
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            answer.content = answer.read()  # type: ignore[attr-defined]
            return answer
        finally:
            connection.close()

    def path(self, repository: str) -> str:
        """The path of the repository in the registry."""
        (found,) = self.ecr.describe_repositories(repositoryNames=[repository])["repositories"]
        return str(found["repositoryUri"].partition("/")[2])

    def push(self, repository: str, content: str, *tags: str) -> str:
        """Push an image with one layer, and return its digest."""
        path = self.path(repository)
        layer, configuration = content.encode(), json.dumps({"of": content}).encode()
        for blob in (layer, configuration):
            begun = self.ask("POST", f"/v2/{path}/blobs/uploads/")
            assert begun.status == 202, begun.content
            location = begun.headers["Location"].partition("://")[2].partition("/")[2]
            stored = self.ask("PUT", f"/{location}&digest={digest(blob)}", blob, "application/octet-stream")
            assert stored.status == 201, stored.content
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIGURATION, "size": len(configuration), "digest": digest(configuration)},
            "layers": [{"mediaType": LAYER, "size": len(layer), "digest": digest(layer)}],
        }
        return self.put(path, json.dumps(manifest).encode(), MANIFEST, *tags)

    def put(self, path: str, manifest: bytes, kind: str, *tags: str) -> str:
        """Put a manifest under its tags, or its digest without tags."""
        for reference in tags or (digest(manifest),):
            stored = self.ask("PUT", f"/v2/{path}/manifests/{reference}", manifest, kind)
            assert stored.status == 201, stored.content
        return digest(manifest)


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def tags(ecr: Any, repository: str = "team/app") -> dict[str, list[str]]:
    """Return the tags of each image of a repository, by digest."""
    details = ecr.describe_images(repositoryName=repository)["imageDetails"]
    return {each["imageDigest"]: each.get("imageTags", []) for each in details}
