"""Tests of ECR with a real registry: pushed images appear in ECR, and operations of ECR change the registry."""

from __future__ import annotations

import base64
import http.client
import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from exasol_ci_setup.sandbox import registry
from exasol_ci_setup.sandbox.registry import Registry
from tests.registry import CONFIGURATION, INDEX, LAYER, MANIFEST, Pusher, require_program, tags
from tests.sandbox.stacks import deploy, wait

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.sandbox.conftest import Account

pytestmark = pytest.mark.live

IMMUTABLE = {
    "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
    "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "latest*"}],
}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Run a registry that serves ECR during the tests of this module."""
    require_program()
    with registry.running(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def ecr(images: Registry, account: Account) -> Any:  # noqa: ARG001 - it runs
    client = account.client("ecr")
    client.create_repository(repositoryName="team/app")
    return client


@pytest.fixture
def pusher(ecr: Any) -> Pusher:
    return Pusher(ecr)


def refused(code: str) -> Any:
    return pytest.raises(ClientError, match=rf"\({code}\)")


def test_registry_accepts_only_token_of_ecr(pusher: Pusher, images: Registry) -> None:
    data = pusher.ecr.get_authorization_token()["authorizationData"][0]
    user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    assert (user, data["proxyEndpoint"]) == ("AWS", images.url)
    assert pusher.ask("GET", "/v2/").status == 200
    assert pusher.ask("GET", "/v2/", password="guessed").status == 401
    assert password not in "".join(file.read_text() for file in images.data.parent.iterdir() if file.is_file())
    assert password not in repr(images)


def test_repository_address_is_that_of_registry(account: Account, images: Registry, ecr: Any) -> None:
    uri = f"{images.address}/{account.number}/eu-central-1/shop/api"
    template = {
        "Resources": {"Repository": {"Type": "AWS::ECR::Repository", "Properties": {"RepositoryName": "shop/api"}}},
        "Outputs": {"Uri": {"Value": {"Fn::GetAtt": ["Repository", "RepositoryUri"]}}},
    }
    stack = deploy(account.client("cloudformation"), "Images", template)
    assert stack["Outputs"][0]["OutputValue"] == uri
    (described,) = ecr.describe_repositories(repositoryNames=["shop/api"])["repositories"]
    assert described["repositoryUri"] == uri
    assert ecr.create_repository(repositoryName="bare")["repository"]["repositoryUri"].startswith(images.address)


def test_pushed_image_is_listed_immediately(pusher: Pusher, account: Account) -> None:
    assert tags(pusher.ecr) == {}
    digest = pusher.push("team/app", "one", "1.0", "latest")
    (image,) = pusher.ecr.describe_images(repositoryName="team/app", imageIds=[{"imageTag": "1.0"}])["imageDetails"]
    assert image["imageTags"] == ["1.0", "latest"]
    assert image["imageDigest"] == digest
    assert image["registryId"] == account.number
    assert image["imageSizeInBytes"] == len("one") + len(json.dumps({"of": "one"}))
    assert (image["imageManifestMediaType"], image["artifactMediaType"]) == (MANIFEST, CONFIGURATION)
    listed = pusher.ecr.list_images(repositoryName="team/app")["imageIds"]
    assert listed == [{"imageDigest": digest, "imageTag": tag} for tag in ("1.0", "latest")]


def test_pushing_tag_again_leaves_untagged_image(pusher: Pusher) -> None:
    first, second = pusher.push("team/app", "one", "latest"), pusher.push("team/app", "two", "latest")
    assert tags(pusher.ecr) == {first: [], second: ["latest"]}
    for status, digest in (("TAGGED", second), ("UNTAGGED", first)):
        found = pusher.ecr.list_images(repositoryName="team/app", filter={"tagStatus": status})["imageIds"]
        assert [each["imageDigest"] for each in found] == [digest]


def test_size_of_image_index_is_that_of_largest_image(pusher: Pusher) -> None:
    one, other = pusher.push("team/app", "one"), pusher.push("team/app", "much larger")
    sizes = {
        each["imageDigest"]: each["imageSizeInBytes"]
        for each in pusher.ecr.describe_images(repositoryName="team/app")["imageDetails"]
    }
    entries = [{"mediaType": MANIFEST, "size": 1, "digest": each} for each in (one, other)]
    manifest = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
    pusher.put(pusher.path("team/app"), manifest, INDEX, "all")
    (found,) = pusher.ecr.describe_images(repositoryName="team/app", imageIds=[{"imageTag": "all"}])["imageDetails"]
    assert found["imageSizeInBytes"] == sizes[other] > sizes[one]
    assert found["imageManifestMediaType"] == found["artifactMediaType"] == INDEX


def test_put_image_adds_tag_that_docker_finds(pusher: Pusher) -> None:
    digest = pusher.push("team/app", "one", "1.0")
    got = pusher.ecr.batch_get_image(repositoryName="team/app", imageIds=[{"imageTag": "1.0"}, {"imageTag": "nowhere"}])
    (image,) = got["images"]
    assert image["imageId"] == {"imageDigest": digest, "imageTag": "1.0"}
    assert [each["failureCode"] for each in got["failures"]] == ["ImageNotFound"]
    asked = {
        "repositoryName": "team/app",
        "imageManifest": image["imageManifest"],
        "imageManifestMediaType": image["imageManifestMediaType"],
    }
    put = pusher.ecr.put_image(**asked, imageTag="stable")
    assert put["image"]["imageId"] == {"imageDigest": digest, "imageTag": "stable"}
    found = pusher.ask("HEAD", f"/v2/{pusher.path('team/app')}/manifests/stable")
    assert (found.status, found.headers["Docker-Content-Digest"]) == (200, digest)
    assert tags(pusher.ecr) == {digest: ["1.0", "stable"]}
    with refused("ImageAlreadyExistsException"):
        pusher.ecr.put_image(**asked, imageTag="stable")


def test_manifest_with_missing_layers_is_rejected(pusher: Pusher) -> None:
    layer = {"mediaType": LAYER, "size": 1, "digest": f"sha256:{'0' * 64}"}
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": layer, "layers": [layer]}
    with refused("LayersNotFoundException"):
        pusher.ecr.put_image(repositoryName="team/app", imageManifest=json.dumps(manifest), imageTag="1.0")
    with refused("InvalidParameterException"):
        pusher.ecr.put_image(repositoryName="team/app", imageManifest="no manifest", imageTag="1.0")


@pytest.mark.parametrize("by", ["api", "template"])
def test_immutable_tag_cannot_move(account: Account, pusher: Pusher, by: str) -> None:
    if by == "api":
        pusher.ecr.create_repository(repositoryName="kept", **IMMUTABLE)
    else:
        properties = {
            "RepositoryName": "kept",
            "ImageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
            "ImageTagMutabilityExclusionFilters": [
                {
                    "ImageTagMutabilityExclusionFilterType": "WILDCARD",
                    "ImageTagMutabilityExclusionFilterValue": "latest*",
                }
            ],
        }
        template = {"Resources": {"Repository": {"Type": "AWS::ECR::Repository", "Properties": properties}}}
        deploy(account.client("cloudformation"), "Images", template)
    (shown,) = pusher.ecr.describe_repositories(repositoryNames=["kept"])["repositories"]
    assert {name: shown[name] for name in IMMUTABLE} == IMMUTABLE
    first, second = pusher.push("kept", "one", "1.0", "latest"), pusher.push("kept", "two")
    (image,) = pusher.ecr.batch_get_image(repositoryName="kept", imageIds=[{"imageDigest": second}])["images"]
    with refused("ImageTagAlreadyExistsException"):
        pusher.ecr.put_image(repositoryName="kept", imageManifest=image["imageManifest"], imageTag="1.0")
    pusher.ecr.put_image(repositoryName="kept", imageManifest=image["imageManifest"], imageTag="latest")
    assert tags(pusher.ecr, "kept") == {first: ["1.0"], second: ["latest"]}


def test_deleting_last_tag_deletes_image(pusher: Pusher) -> None:
    one, other = pusher.push("team/app", "one", "1.0", "latest"), pusher.push("team/app", "two", "2.0", "two")

    def delete(**image: str) -> Any:
        return pusher.ecr.batch_delete_image(repositoryName="team/app", imageIds=[image])

    assert delete(imageTag="latest")["imageIds"] == [{"imageDigest": one, "imageTag": "latest"}]
    assert tags(pusher.ecr) == {one: ["1.0"], other: ["2.0", "two"]}
    delete(imageTag="1.0")
    assert len(delete(imageDigest=other)["imageIds"]) == 2
    assert tags(pusher.ecr) == {}
    assert delete(imageTag="1.0")["failures"][0]["failureCode"] == "ImageNotFound"
    for reference in ("1.0", "2.0", one, other):
        assert pusher.ask("HEAD", f"/v2/{pusher.path('team/app')}/manifests/{reference}").status == 404
    assert pusher.push("team/app", "one", "1.0") == one
    assert tags(pusher.ecr) == {one: ["1.0"]}


def test_repository_with_images_is_deleted_only_by_force(pusher: Pusher) -> None:
    pusher.ecr.create_repository(repositoryName="team/app/part")
    pusher.push("team/app", "one", "1.0")
    part = pusher.push("team/app/part", "two", "1.0")
    with refused("RepositoryNotEmptyException"):
        pusher.ecr.delete_repository(repositoryName="team/app")
    pusher.ecr.delete_repository(repositoryName="team/app", force=True)
    with refused("RepositoryNotFoundException"):
        pusher.ecr.describe_images(repositoryName="team/app")
    pusher.ecr.create_repository(repositoryName="team/app")
    assert tags(pusher.ecr) == {}
    assert tags(pusher.ecr, "team/app/part") == {part: ["1.0"]}


def test_stack_does_not_delete_repository_with_images(account: Account, pusher: Pusher) -> None:
    template = {
        "Resources": {"Repository": {"Type": "AWS::ECR::Repository", "Properties": {"RepositoryName": "stacked"}}}
    }
    cloudformation = account.client("cloudformation")
    stack = deploy(cloudformation, "Images", template)
    pusher.push("stacked", "one", "1.0")
    cloudformation.delete_stack(StackName="Images")
    assert wait(cloudformation, stack["StackId"])["StackStatus"] == "DELETE_FAILED"
    assert len(tags(pusher.ecr, "stacked")) == 1


def test_images_belong_to_one_account_and_region(account: Account, other_account: Account, pusher: Pusher) -> None:
    pusher.push("team/app", "one", "1.0")
    for ecr in (other_account.client("ecr"), account.client("ecr", "us-east-1")):
        ecr.create_repository(repositoryName="team/app")
        assert tags(ecr) == {}
        digest = Pusher(ecr).push("team/app", "two", "1.0")
        assert tags(ecr) == {digest: ["1.0"]}


def test_images_are_listed_in_pages(pusher: Pusher) -> None:
    digests = {pusher.push("team/app", str(number), f"v{number}") for number in range(5)}
    pages = list(
        pusher.ecr.get_paginator("describe_images").paginate(
            repositoryName="team/app", PaginationConfig={"PageSize": 2}
        )
    )
    assert [len(page["imageDetails"]) for page in pages] == [2, 2, 1]
    assert {each["imageDigest"] for page in pages for each in page["imageDetails"]} == digests
    with refused("InvalidParameterException"):
        pusher.ecr.list_images(repositoryName="team/app", nextToken="no token")


def test_path_traversal_is_not_repository_name(ecr: Any, images: Registry) -> None:
    name = "../../../../../../../../kept"
    ecr.create_repository(repositoryName=name)
    kept = images.data.parent / "kept" / "_layers"
    kept.mkdir(parents=True)
    ecr.delete_repository(repositoryName=name, force=True)
    assert kept.is_dir()


def test_requests_of_web_pages_are_rejected(account: Account, ecr: Any) -> None:
    assert ecr.describe_repositories()["repositories"]
    headers = {"Origin": "http://example.com", "X-Amz-Target": "CodeBuild_20161006.StartBuild"}
    for method in ("OPTIONS", "POST"):
        # One connection per request: the sandbox does not read the body of a rejected request.
        with closing(http.client.HTTPConnection(account.server.url.removeprefix("http://"), timeout=10)) as connection:
            connection.request(method, "/", b"{}", headers)
            answer = connection.getresponse()
            answer.read()
            assert (answer.status, answer.headers.get("Access-Control-Allow-Origin")) == (403, None)
