"""Notes about missing images in plans of programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from exasol_ci_setup import Cluster, Container, Context, Registry, Scope, Service
from exasol_ci_setup.programs import missing_images
from tests.answers import AwsError

if TYPE_CHECKING:
    from exasol_ci_setup.aws.session import Account
    from tests.answers import Answers

SCOPE = Scope(name="shop", region="eu-central-1")
DIGEST = "sha256:" + "0" * 64


def cluster(registry: Registry, tag: str = "1.0") -> Cluster:
    return Cluster(
        scope=SCOPE, name="services", services=[Service(name="web", container=Container(source=registry, tag=tag))]
    )


def deployed() -> Registry:
    registry = Registry(scope=SCOPE, name="images")
    registry.set_outputs({"RepositoryName": "shop/images"})
    return registry


@pytest.mark.parametrize(
    ("tag", "image"), [("1.0", {"imageTag": "1.0"}), (DIGEST, {"imageDigest": DIGEST})], ids=["tag", "digest"]
)
def test_missing_image_has_note(tag: str, image: dict[str, str], answers: Answers):
    answers.on("ecr", "DescribeImages", AwsError("ImageNotFoundException"))
    [note] = missing_images.notes(answers.account, cluster(deployed(), tag))
    assert note.startswith(
        f"service web runs image shop/images{'@' if tag == DIGEST else ':'}{tag}, which does not exist"
    )
    assert answers.calls[0].params["imageIds"] == [image]


@pytest.mark.parametrize(
    "reply", [{"imageDetails": [{"imageTags": ["1.0"]}]}, AwsError("AccessDeniedException")], ids=["exists", "denied"]
)
def test_existing_or_unknown_image_has_no_note(reply: Any, answers: Answers):
    answers.on("ecr", "DescribeImages", reply)
    assert missing_images.notes(answers.account, cluster(deployed())) == ()


def test_public_image_makes_no_call(answers: Answers):
    web = Service(name="web", container=Container(source="nginx", tag="1"))
    assert missing_images.notes(answers.account, Cluster(scope=SCOPE, name="services", services=[web])) == ()
    assert answers.names() == []


@pytest.mark.live
def test_plan_has_note_about_missing_image(live: Account):
    registry = Registry(scope=SCOPE, name="images")
    registry.deploy(Context(live))
    with cluster(registry).plan(Context(live)) as planned:
        assert any("shop/images:1.0, which does not exist yet" in note for note in planned.plan.notes)
