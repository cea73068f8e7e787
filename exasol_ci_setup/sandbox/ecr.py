"""Serve ECR from a real registry: its address, its token, and operations on its images.

Without a registry, ministack's ECR is used. Messages are those of AWS if known from public reports, else written for the sandbox.
"""

from __future__ import annotations

import base64
import http.client
import re
import time
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.sandbox import api, registry
from exasol_ci_setup.sandbox.api import ApiError
from exasol_ci_setup.sandbox.images import Image, Repository, digest_of
from exasol_ci_setup.sandbox.private import resource_handlers, wrap

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exasol_ci_setup.sandbox.private import Reply, Values

_TOKEN_SECONDS: Final = 12 * 60 * 60
"""https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html. The password of the sandbox is valid until the sandbox ends."""

# API_CreateRepository, `repositoryName`. It becomes a path, so it must be valid.
_NAME: Final = re.compile(r"(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*")
_FILTERS: Final = "imageTagMutabilityExclusionFilters"
_MOST: Final = 1000


def extend() -> None:
    """Install the operations in ministack's service module. They are used while a registry runs."""
    from ministack.core import responses
    from ministack.services import ecr as inner

    service = Service(inner, responses)
    # In threads: other requests must not wait for files and for the registry.
    api.install("ecr", service, is_used=lambda: registry.current() is not None, in_thread=True)
    wrap(inner, "_repo_uri", lambda uri, name: service.registry_uri(name) or str(uri(name)))
    wrap(inner, "_repo_shape", service.describe_repository)
    # ministack does not store the filters of tags that are excluded from immutability.
    wrap(inner, "_create_repository", service.set_mutability)
    wrap(inner, "_put_image_tag_mutability", service.set_mutability)
    wrap(inner, "_delete_repository", service.remove_repository)
    handlers = resource_handlers()["AWS::ECR::Repository"]
    wrap(handlers, "create", service.create_resource)
    wrap(handlers, "update", service.update_resource)


def may_move(repository: Mapping[str, Any], tag: str) -> bool:
    """Whether the settings of a repository allow to move a tag to another image.

    Source: https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-tag-mutability.html.
    """
    setting = str(repository.get("imageTagMutability", "MUTABLE"))
    excluded = any(fnmatchcase(tag, each["filter"]) for each in repository.get(_FILTERS) or ())
    if setting.endswith("_WITH_EXCLUSION"):
        return setting.startswith("MUTABLE") != excluded
    return setting == "MUTABLE"


def immutable_tag_message(tag: str, name: str) -> str:
    """Return the message of ECR for a tag that must not move to another image."""
    return f"The image tag '{tag}' already exists in the '{name}' repository and cannot be overwritten because the tag is immutable."


class Service:
    """The API operations on images, in the account and region of the current request."""

    def __init__(self, inner: Any, responses: Any) -> None:
        self._inner = inner
        self._responses = responses

    def describe_repository(self, inner: Callable[[Values], Values], repository: Values) -> Values:
        """Return a repository as the API does, with the address of the running registry."""
        # The repository can have been created with another registry or without one.
        repository["repositoryUri"] = self._inner._repo_uri(repository["repositoryName"])  # noqa: SLF001
        kept = {_FILTERS: repository[_FILTERS]} if repository.get(_FILTERS) else {}
        return {**inner(repository), **kept}

    def set_mutability(self, inner: Callable[[Values], Reply], request: Values) -> Reply:
        """CreateRepository or PutImageTagMutability, with the filters of tags."""
        reply = inner(request)
        found = self._inner._repositories.get(request.get("repositoryName", ""))  # noqa: SLF001
        if found is not None and reply[0] == http.client.OK:
            found[_FILTERS] = request.get(_FILTERS, [])
        return reply

    def create_resource(
        self, inner: Callable[..., Any], logical_id: str, new: Values, stack: str
    ) -> tuple[str, Values]:
        """Create the resource of a stack."""
        return self._set_resource(new, *inner(logical_id, new, stack))

    def update_resource(
        self, inner: Callable[..., Any], physical_id: str, old: Values, new: Values, *more: str
    ) -> tuple[str, Values]:
        """Update the resource of a stack."""
        return self._set_resource(new, *inner(physical_id, old, new, *more))

    def _set_resource(self, properties: Values, name: str, attributes: Values) -> tuple[str, Values]:
        self._inner._repositories[name][_FILTERS] = [  # noqa: SLF001
            {
                "filterType": each.get("ImageTagMutabilityExclusionFilterType", "WILDCARD"),
                "filter": each.get("ImageTagMutabilityExclusionFilterValue", ""),
            }
            for each in properties.get("ImageTagMutabilityExclusionFilters") or ()
        ]
        return name, {**attributes, "RepositoryUri": self._inner._repo_uri(name)}  # noqa: SLF001

    def remove_repository(self, inner: Callable[[Values], Reply], request: Values) -> Reply:
        """DeleteRepository, for the API and for CloudFormation."""
        name = str(request.get("repositoryName", ""))
        repository = self.in_registry(name)
        if repository is None or name not in self._inner._repositories:  # noqa: SLF001
            return inner(request)
        if repository.images() and not request.get("force"):
            reply: Reply = self._responses.error_response_json(
                "RepositoryNotEmptyException",
                f"The repository with name '{name}' in registry with id '{self._place[0]}' cannot be deleted because it "
                "still contains images",
            )
            return reply
        repository.remove()
        return inner({**request, "force": True})

    def registry_uri(self, name: str) -> str:
        """Return the address of a repository in the running registry, empty without one."""
        running = registry.current()
        return running.uri(*self._place, name) if running else ""

    def in_registry(self, name: str) -> Repository | None:
        """Return the repository in the registry, None if no registry runs or the name is invalid."""
        running = registry.current()
        return Repository.of(running, *self._place, name) if running and _NAME.fullmatch(name) else None

    def get_authorization_token(self, _request: Values) -> Values:
        """GetAuthorizationToken."""
        running = registry.current()
        if running is None:
            raise ApiError("ServerException", "The registry has been stopped")
        token = base64.b64encode(f"{registry.USER}:{running.password}".encode()).decode()
        data = {
            "authorizationToken": token,
            "expiresAt": int(time.time()) + _TOKEN_SECONDS,
            "proxyEndpoint": running.url,
        }
        return {"authorizationData": [data]}

    def describe_images(self, request: Values) -> Values:
        """DescribeImages. A requested image that does not exist is an error."""
        name, repository = self._repository(request)
        images = repository.images()
        if asked := request.get("imageIds"):
            chosen = [self._require_image(images, each, name) for each in asked]
            images = [image for image in images if image in chosen]
        details = [
            {
                **self._of(name),
                "imageDigest": image.digest,
                **({"imageTags": list(image.tags)} if image.tags else {}),
                "imageSizeInBytes": repository.size(image),
                "imagePushedAt": image.pushed_at,
                "imageManifestMediaType": image.media_type,
                "artifactMediaType": image.artifact_type,
            }
            for image in _filter(images, request)
        ]
        return api.page("imageDetails", details, request, error_code="InvalidParameterException", most=_MOST)

    def list_images(self, request: Values) -> Values:
        """ListImages: one entry for each tag, and for each image without one."""
        _, repository = self._repository(request)
        ids = [each for image in _filter(repository.images(), request) for each in _ids(image)]
        return api.page("imageIds", ids, request, error_code="InvalidParameterException", most=_MOST)

    def batch_get_image(self, request: Values) -> Values:
        """BatchGetImage."""
        name, repository = self._repository(request)
        images, found, failures = repository.images(), [], []
        for asked in request.get("imageIds", []):
            image = _find(images, asked)
            if image is None:
                failures.append(_not_found(asked))
                continue
            tag = {"imageTag": asked["imageTag"]} if asked.get("imageTag") else {}
            found.append(
                {
                    **self._of(name),
                    "imageId": {"imageDigest": image.digest, **tag},
                    "imageManifest": image.manifest.decode(),
                    "imageManifestMediaType": image.media_type,
                }
            )
        return {"images": found, "failures": failures}

    def put_image(self, request: Values) -> Values:
        """PutImage. It also adds a tag to an existing image."""
        name, repository = self._repository(request)
        manifest, tag = str(request.get("imageManifest", "")), str(request.get("imageTag", ""))
        digest = digest_of(manifest.encode())
        if request.get("imageDigest") not in {None, digest}:
            raise ApiError("ImageDigestDoesNotMatchException", f"The digest of the image manifest is {digest}")
        images = repository.images()
        same = _find(images, {"imageDigest": digest})
        if same is not None and (not tag or tag in same.tags):
            raise ApiError(
                "ImageAlreadyExistsException",
                f"Image with digest '{digest}' and tag '{tag}' already exists in the repository with name '{name}' in "
                f"registry with id '{self._place[0]}'",
            )
        if tag and _find(images, {"imageTag": tag}) and not may_move(self._inner._repositories[name], tag):  # noqa: SLF001
            raise ApiError("ImageTagAlreadyExistsException", immutable_tag_message(tag, name))
        status, body = repository.put(manifest, str(request.get("imageManifestMediaType") or ""), tag)
        if status != http.client.CREATED:
            code = "LayersNotFoundException" if "BLOB_UNKNOWN" in body else "InvalidParameterException"
            raise ApiError(code, f"The registry rejects the image manifest: {body.strip() or 'no answer'}")
        shown = {
            **self._of(name),
            "imageId": {"imageDigest": digest, **({"imageTag": tag} if tag else {})},
            "imageManifest": manifest,
        }
        return {"image": shown}

    def batch_delete_image(self, request: Values) -> Values:
        """BatchDeleteImage. A digest deletes the image; a tag deletes the tag, and the image with its last tag."""
        _, repository = self._repository(request)
        deleted, failures = [], []
        for asked in request.get("imageIds", []):
            image = _find(repository.images(), asked)
            if image is None:
                failures.append(_not_found(asked))
            elif not asked.get("imageDigest") and len(image.tags) > 1:
                repository.untag(asked["imageTag"])
                deleted.append({"imageDigest": image.digest, "imageTag": asked["imageTag"]})
            else:
                repository.delete(image)
                deleted += _ids(image)
        return {"imageIds": deleted, "failures": failures}

    @property
    def _place(self) -> tuple[str, str]:
        return self._responses.get_account_id(), self._responses.get_region()

    def _of(self, name: str) -> Values:
        return {"registryId": self._place[0], "repositoryName": name}

    def _repository(self, request: Values) -> tuple[str, Repository]:
        name = str(request.get("repositoryName", ""))
        found = self.in_registry(name)
        if found is None or name not in self._inner._repositories:  # noqa: SLF001
            raise ApiError(
                "RepositoryNotFoundException",
                f"The repository with name '{name}' does not exist in the registry with id '{self._place[0]}'",
            )
        return name, found

    def _require_image(self, images: list[Image], asked: Values, name: str) -> Image:
        found = _find(images, asked)
        if found is None:
            shown = f"{{imageDigest:'{asked.get('imageDigest', 'null')}', imageTag:'{asked.get('imageTag', 'null')}'}}"
            raise ApiError(
                "ImageNotFoundException",
                f"The image with imageId {shown} does not exist within the repository with name '{name}' in the "
                f"registry with id '{self._place[0]}'",
            )
        return found


def _find(images: list[Image], asked: Mapping[str, Any]) -> Image | None:
    """Return the image with the requested digest and tag; each is optional."""
    digest, tag = asked.get("imageDigest"), asked.get("imageTag")
    for image in images:
        if (digest or tag) and digest in {None, image.digest} and (not tag or tag in image.tags):
            return image
    return None


def _ids(image: Image) -> list[Values]:
    return [{"imageDigest": image.digest, "imageTag": tag} for tag in image.tags] or [{"imageDigest": image.digest}]


def _not_found(asked: Values) -> Values:
    return {"imageId": asked, "failureCode": "ImageNotFound", "failureReason": "Requested image not found"}


def _filter(images: list[Image], request: Values) -> list[Image]:
    wanted = request.get("filter", {}).get("tagStatus", "ANY")
    return [image for image in images if wanted == "ANY" or (wanted == "TAGGED") == bool(image.tags)]
