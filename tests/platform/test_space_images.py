"""Tags that keep the images of releases in a registry with a limit."""

from __future__ import annotations

import json

import pytest

import exasol_ci_setup as naas
from exasol_ci_setup.aws.context import Context
from exasol_ci_setup.platform import space_images
from exasol_ci_setup.platform.space_releases import MOST, StoredRelease
from tests.answers import AwsError
from tests.reporters import RecordingReporter

IMAGE = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/web:1"


def release(number, image=IMAGE):
    return StoredRelease(number, "2026-01-01T00:00:00+00:00", image, 256, 512, 80)


@pytest.fixture
def registry(answers):
    """The stack of a registry with a limit."""
    stack = {
        "StackName": "registry-web",
        "StackId": "arn:aws:cloudformation:eu-central-1:123456789012:stack/registry-web/1",
        "StackStatus": "CREATE_COMPLETE",
        "CreationTime": "2026-01-01T00:00:00Z",
        "Outputs": [{"OutputKey": "KeptImages", "OutputValue": "50"}],
    }
    answers.on("cloudformation", "DescribeStacks", {"Stacks": [stack]})
    answers.on("ecr", "BatchGetImage", {"images": [{"imageManifest": "{}", "imageManifestMediaType": "a/b"}]})
    return answers


def push(ecr, repository, tag):
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {
            "digest": f"sha256:{tag:0>64}",
            "size": 1,
            "mediaType": "application/vnd.docker.container.image.v1+json",
        },
        "layers": [],
    }
    ecr.put_image(repositoryName=repository, imageManifest=json.dumps(manifest), imageTag=tag)


@pytest.mark.live
def test_images_of_last_releases_have_protecting_tags(live):
    context = Context(live)
    registry = naas.registry.create("web-registry", keep=3, context=context)
    ecr = live.client("ecr")
    for tag in ("1", "2"):
        push(ecr, "web-registry", tag)

    naas.space.create("web", image=f"{registry.uri}:1", domain="example.com", context=context)
    naas.space.update("web", image=f"{registry.uri}:2", context=context)
    naas.space.rollback("web", context=context)

    found = ecr.describe_images(repositoryName="web-registry")["imageDetails"]
    assert sorted(sorted(each["imageTags"]) for each in found) == [
        ["1", "release-web-1", "release-web-3"],
        ["2", "release-web-2"],
    ]
    policy = json.loads(ecr.get_lifecycle_policy(repositoryName="web-registry")["lifecyclePolicyText"])
    assert policy["rules"][-1]["selection"]["countNumber"] == 3


def test_tag_moves_after_ten_releases(registry):
    registry.on("ecr", "PutImage", {})

    for number in (2, 2 + MOST):
        space_images.protect(Context(registry.account), "web", release(number))

    assert [each["imageTag"] for each in registry.of("PutImage")] == ["release-web-2"] * 2


@pytest.mark.parametrize("image", ["nginx:1", IMAGE.replace("eu-central-1", "us-east-1")])
def test_image_of_other_registry_gets_no_request(answers, image):
    space_images.protect(Context(answers.account), "web", release(1, image))

    assert answers.calls == []


@pytest.mark.parametrize(("code", "noted"), [("AccessDeniedException", True), ("ImageAlreadyExistsException", False)])
def test_failure_is_reported_and_space_stays(registry, code, noted):
    registry.on("ecr", "PutImage", AwsError(code, "no"))
    reporter = RecordingReporter()

    space_images.protect(Context(registry.account, reporter=reporter), "web", release(1))

    assert ["no tag that protects it" in note for note in reporter.notes] == ([True] if noted else [])


@pytest.mark.live
def test_registry_without_limit_gets_no_tags(live):
    context = Context(live)
    registry = naas.registry.create("web-registry", context=context)
    push(live.client("ecr"), "web-registry", "1")

    naas.space.create("web", image=f"{registry.uri}:1", domain="example.com", context=context)

    (found,) = live.client("ecr").describe_images(repositoryName="web-registry")["imageDetails"]
    assert found["imageTags"] == ["1"]
