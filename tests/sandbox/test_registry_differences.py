"""The differences of a sandbox with a registry from ECR that docs/sandbox.md lists, each with a test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from exasol_ci_setup.sandbox import registry
from tests.registry import Pusher, digest, require_program, tags
from tests.sandbox.differences import Differences

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exasol_ci_setup.sandbox.registry import Registry
    from tests.sandbox.conftest import Account

REGISTRY = Differences("### A real registry")

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that serves ECR during the tests of this module."""
    require_program()
    with registry.running(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def pusher(images: Registry, account: Account) -> Pusher:  # noqa: ARG001 - it runs
    client = account.client("ecr")
    client.create_repository(repositoryName="team/app", imageTagMutability="IMMUTABLE")
    return Pusher(client)


def test_each_documented_difference_of_registry_has_test() -> None:
    assert REGISTRY.documented() == REGISTRY.tested


@REGISTRY.test("a push to a missing repository is rejected")
def test_push_to_missing_repository_is_accepted(pusher: Pusher) -> None:
    path = pusher.path("team/app").replace("team/app", "team/missing")

    assert pusher.ask("POST", f"/v2/{path}/blobs/uploads/").status == 202


@REGISTRY.test("a push to an immutable tag is rejected")
def test_push_moves_immutable_tag(pusher: Pusher) -> None:
    pusher.push("team/app", "one", "1.0")
    second = pusher.push("team/app", "two", "1.0")

    assert tags(pusher.ecr)[second] == ["1.0"]


@REGISTRY.test("a token is valid for one account for 12 hours")
def test_password_is_that_of_other_account(pusher: Pusher, other_account: Account) -> None:
    def token(client: Any) -> str:
        return str(client.get_authorization_token()["authorizationData"][0]["authorizationToken"])

    assert token(pusher.ecr) == token(other_account.client("ecr"))


@REGISTRY.test("images are scanned, and expire by the lifecycle policy")
def test_image_has_no_scan(pusher: Pusher) -> None:
    found = pusher.push("team/app", "one", "1.0")

    with pytest.raises(ClientError):
        pusher.ecr.describe_image_scan_findings(repositoryName="team/app", imageId={"imageDigest": found})


@REGISTRY.test("the API of ECR uploads and downloads layers")
def test_layer_of_api_is_not_in_registry(pusher: Pusher) -> None:
    layer = b"layer"
    upload = pusher.ecr.initiate_layer_upload(repositoryName="team/app")["uploadId"]
    of_layer = {"repositoryName": "team/app", "uploadId": upload}
    pusher.ecr.upload_layer_part(**of_layer, partFirstByte=0, partLastByte=len(layer) - 1, layerPartBlob=layer)
    pusher.ecr.complete_layer_upload(**of_layer, layerDigests=[digest(layer)])

    assert pusher.ask("HEAD", f"/v2/{pusher.path('team/app')}/blobs/{digest(layer)}").status == 404


@REGISTRY.test("the deletion of an image frees its space")
def test_deleted_image_keeps_its_layer(pusher: Pusher, images: Registry) -> None:
    found = pusher.push("team/app", "x" * 5_000, "1.0")
    pusher.ecr.batch_delete_image(repositoryName="team/app", imageIds=[{"imageDigest": found}])

    assert [path for path in images.data.rglob("data") if path.stat().st_size == 5_000]
