"""Tests of the stand-ins in ECR for the images of simulated builds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from exasol_ci_setup.sandbox import stand_ins
from tests.registry import tags
from tests.sandbox.codebuild import log
from tests.sandbox.test_image_builds import HASH, Builder

if TYPE_CHECKING:
    from tests.sandbox.conftest import Account

pytestmark = pytest.mark.live


@pytest.fixture
def builder(account: Account) -> Builder:
    account.server.build_seconds[account.number] = 0.05
    return Builder(account)


def manifests(ecr: Any) -> list[dict[str, Any]]:
    asked = [{"imageDigest": digest} for digest in tags(ecr)]
    found = ecr.batch_get_image(repositoryName="team/app", imageIds=asked)["images"] if asked else []
    return [json.loads(each["imageManifest"]) for each in found]


def test_simulated_build_creates_stand_in_with_both_tags(builder: Builder) -> None:
    shown = builder.run()

    assert list(tags(builder.ecr).values()) == [[HASH, "1.0"]]
    (manifest,) = manifests(builder.ecr)
    assert manifest["artifactType"] == stand_ins.KIND
    assert "Created a stand-in for the image in ECR: team/app:1.0" in "\n".join(log(builder.account, shown))


def test_each_content_hash_has_different_stand_in(builder: Builder) -> None:
    builder.run(IMAGE_TAG="")
    builder.run(IMAGE_TAG="", CONTENT_HASH="f00d")

    assert sorted(tags(builder.ecr).values()) == [[HASH], ["f00d"]]


def test_immutable_tag_of_stand_in_does_not_move(builder: Builder) -> None:
    builder.ecr.put_image(repositoryName="team/app", imageManifest='{"a": 1}', imageTag="1.0")

    shown = builder.run()

    assert sorted(tags(builder.ecr).values()) == [["1.0"], [HASH]]
    assert "The image tag '1.0' already exists" in "\n".join(log(builder.account, shown))


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("{account}.dkr.ecr.eu-central-1.amazonaws.com/other", "repository other does not exist"),
        ("{account}.dkr.ecr.us-east-1.amazonaws.com/team/app", "is not in the registry of account"),
        ("999999999999.dkr.ecr.eu-central-1.amazonaws.com/team/app", "is not in the registry of account"),
    ],
)
def test_image_for_other_registry_has_no_stand_in(builder: Builder, uri: str, reason: str) -> None:
    shown = builder.run(REPOSITORY_URI=uri.format(account=builder.account.number))

    assert shown["buildStatus"] == "SUCCEEDED"
    assert tags(builder.ecr) == {}
    assert reason in "\n".join(log(builder.account, shown))


def test_failed_build_creates_no_stand_in(builder: Builder) -> None:
    builder.account.server.failures[builder.account.number] = "Slc:BUILD"

    assert builder.run()["buildStatus"] == "FAILED"
    assert tags(builder.ecr) == {}
