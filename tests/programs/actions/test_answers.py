"""Sources, builds and logs with answers that the sandbox does not give."""

from __future__ import annotations

import pytest

from exasol_ci_setup.constructs import (
    Asset,
    BuildkitBuilder,
    Cluster,
    Container,
    ContainerBuilder,
    LocalDirectory,
    Registry,
    Scope,
    Service,
)
from exasol_ci_setup.core.errors import AwsUnavailableError, BuildFailedError, InputError, SetupError, TimedOutError
from exasol_ci_setup.programs.actions import Runtime, use_runtime
from exasol_ci_setup.programs.actions.images import Images
from tests.answers import AwsError

SCOPE = Scope(name="team", region="eu-central-1")
REPOSITORY_ARN = "arn:aws:ecr:eu-central-1:123456789012:repository/team/registry"


@pytest.fixture
def builder(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM scratch\n", encoding="utf-8")
    source = LocalDirectory(scope=SCOPE, name="here", path=str(tmp_path))
    made = ContainerBuilder(
        name="image",
        asset=Asset(scope=SCOPE, name="source", source=source),
        builder=BuildkitBuilder(scope=SCOPE, name="host"),
        registry=Registry(scope=SCOPE, name="registry"),
    )
    made.set_outputs({"ProjectName": "team-image"})
    made.asset.set_outputs({"BucketName": "the-bucket"})
    made.registry.set_outputs({"RepositoryName": "team/registry"})
    return made


@pytest.fixture(autouse=True)
def said(answers, clock):
    lines: list[str] = []
    with use_runtime(Runtime(lambda _scope: answers.account, clock, lines.append)):
        yield lines


@pytest.fixture
def cloud(answers):
    """An account with a synced source, no image and no build, in which a build begins."""
    answers.on("s3", "HeadObject", {"ContentLength": 1})
    answers.on("codebuild", "ListBuildsForProject", {"ids": []})
    answers.on("ecr", "DescribeImages", AwsError("ImageNotFoundException"))
    answers.on("codebuild", "StartBuild", {"build": state("IN_PROGRESS")})
    return answers


def state(status: str, **more) -> dict[str, object]:
    logs = {"groupName": "/aws/codebuild/team-image", "streamName": "one"}
    return {"id": "team-image:1", "buildStatus": status, "logs": logs, **more}


def images(answers) -> Images:
    return Images(answers.account.client("ecr"), "team/registry")


@pytest.mark.parametrize("code", ["404", "NotFound", "NoSuchKey"])
def test_only_missing_archive_is_uploaded(answers, builder, code):
    answers.on("s3", "HeadObject", AwsError(code, status=404))
    answers.on("s3", "PutObject", {"ETag": "x"})

    synced = builder.asset.sync()

    assert synced.uploaded
    assert answers.of("PutObject")[0]["Key"] == synced.key


def test_unreadable_bucket_fails(answers, builder):
    answers.on("s3", "HeadObject", AwsError("403", "Forbidden", status=403))

    with pytest.raises(AwsUnavailableError):
        builder.asset.sync()
    assert answers.names() == ["HeadObject"]


def test_idempotency_token_depends_on_newest_build(cloud, builder):
    builder.build()
    builder.build()
    cloud.on("codebuild", "ListBuildsForProject", {"ids": ["team-image:1"]})
    cloud.on("codebuild", "BatchGetBuilds", {"builds": [state("FAILED")]})
    builder.build()

    tokens = [call["idempotencyToken"] for call in cloud.of("StartBuild")]
    assert tokens[0] == tokens[1] != tokens[2]
    assert 1 <= len(tokens[2]) <= 64


def test_builds_are_read_before_registry(cloud, builder):
    builder.build()

    assert cloud.names() == ["HeadObject", "ListBuildsForProject", "DescribeImages", "DescribeImages", "StartBuild"]


def test_build_of_other_content_is_not_awaited(cloud, builder):
    other = {"environmentVariables": [{"name": "CONTENT_HASH", "value": "0" * 64}]}
    environment = {"type": "LINUX_CONTAINER", "image": "x", "computeType": "BUILD_GENERAL1_SMALL", **other}
    cloud.on("codebuild", "ListBuildsForProject", {"ids": ["team-image:0"]})
    cloud.on("codebuild", "BatchGetBuilds", {"builds": [state("IN_PROGRESS", environment=environment)]})

    assert builder.build().started


def test_wait_ends_with_build_and_interval_grows(cloud, builder, clock):
    cloud.on(
        "codebuild",
        "BatchGetBuilds",
        lambda _: {"builds": [state("SUCCEEDED" if clock.elapsed > 60 else "IN_PROGRESS")]},
    )

    build = builder.build().wait()

    assert build.status == "SUCCEEDED"
    assert clock.sleeps == sorted(clock.sleeps)
    assert max(clock.sleeps) == 10.0
    assert 60 < clock.elapsed <= 70


def test_wait_times_out_while_build_continues(cloud, builder, clock):
    cloud.on("codebuild", "BatchGetBuilds", {"builds": [state("IN_PROGRESS")]})

    with pytest.raises(TimedOutError, match="build team-image:1 did not end within 30 seconds") as caught:
        builder.build().wait(timeout=30)
    assert caught.value.exit_code == 7
    assert clock.elapsed == pytest.approx(30)
    assert "StopBuild" not in cloud.names()


def test_failed_build_names_phase_and_last_log_lines(cloud, builder):
    contexts = [{"statusCode": "COMMAND_EXECUTION_ERROR", "message": "exit status 1"}]
    phases = [
        {"phaseType": "PRE_BUILD", "phaseStatus": "SUCCEEDED"},
        {"phaseType": "BUILD", "phaseStatus": "FAILED", "contexts": contexts},
    ]
    cloud.on("codebuild", "BatchGetBuilds", {"builds": [state("FAILED", phases=phases)]})
    cloud.on("logs", "GetLogEvents", {"events": [{"timestamp": 1, "message": "no such base image\n"}]})

    with pytest.raises(
        BuildFailedError, match="image failed in phase BUILD: COMMAND_EXECUTION_ERROR: exit status 1"
    ) as caught:
        builder.build().wait()
    assert caught.value.hint == "no such base image"
    assert caught.value.exit_code == 6


def test_immutable_tag_of_another_image_is_rejected_before_build(cloud, builder):
    def described(params):
        if params["imageIds"][0]["imageTag"] != "v1":
            raise AwsError("ImageNotFoundException")
        return {"imageDetails": [{"imageDigest": "sha256:0", "imageTags": ["v1"]}]}

    cloud.on("ecr", "DescribeImages", described)
    with pytest.raises(InputError, match="tag v1 of registry team/registry belongs to another image") as caught:
        builder.build(tag="v1")
    assert "mutable_tags" in caught.value.hint
    assert "StartBuild" not in cloud.names()


def test_mutable_tag_of_another_image_is_built(cloud, builder):
    def described(params):
        if params["imageIds"][0]["imageTag"] != "latest":
            raise AwsError("ImageNotFoundException")
        return {"imageDetails": [{"imageDigest": "sha256:0", "imageTags": ["latest"]}]}

    cloud.on("ecr", "DescribeImages", described)

    assert builder.build().started


@pytest.mark.parametrize(
    ("setting", "moves"),
    [
        ("MUTABLE", True),
        ("IMMUTABLE", False),
        ("IMMUTABLE_WITH_EXCLUSION", True),
        ("MUTABLE_WITH_EXCLUSION", False),
    ],
)
def test_repository_decides_whether_tag_is_mutable(answers, setting, moves):
    answers.on("ecr", "DescribeImages", {"imageDetails": [{"imageTags": ["latest"]}]})
    filters = [{"filterType": "WILDCARD", "filter": "lat*"}]
    found = {"imageTagMutability": setting, "imageTagMutabilityExclusionFilters": filters}
    answers.on("ecr", "DescribeRepositories", {"repositories": [found]})

    if moves:
        images(answers).require_movable("latest")
    else:
        with pytest.raises(InputError):
            images(answers).require_movable("latest")


def test_new_tag_has_same_manifest(answers):
    index = "application/vnd.oci.image.index.v1+json"
    answers.on("ecr", "DescribeImages", {"imageDetails": [{"imageTags": ["hash"]}]})
    answers.on("ecr", "BatchGetImage", {"images": [{"imageManifest": '{"a": 1}', "imageManifestMediaType": index}]})
    answers.on("ecr", "PutImage", {})

    assert images(answers).add_tag("hash", "latest")

    sent = answers.of("PutImage")[0]
    assert (sent["imageManifest"], sent["imageManifestMediaType"], sent["imageTag"]) == ('{"a": 1}', index, "latest")
    assert index in answers.of("BatchGetImage")[0]["acceptedMediaTypes"]


def test_concurrent_tag_succeeds_and_conflicting_tag_fails(answers):
    answers.on("ecr", "DescribeImages", {"imageDetails": [{"imageTags": ["hash"]}]})
    answers.on("ecr", "BatchGetImage", {"images": [{"imageManifest": "{}"}]})
    answers.on("ecr", "PutImage", AwsError("ImageAlreadyExistsException"))
    assert not images(answers).add_tag("hash", "latest")

    answers.on("ecr", "PutImage", AwsError("ImageTagAlreadyExistsException"))
    with pytest.raises(InputError, match="belongs to another image"):
        images(answers).add_tag("hash", "latest")

    answers.on("ecr", "BatchGetImage", {"images": []})
    with pytest.raises(SetupError, match="image hash no longer exists"):
        images(answers).add_tag("hash", "latest")


def test_service_log_is_read_across_empty_pages(answers):
    service = Service(scope=SCOPE, name="web", container=Container(source="nginx", tag="1"))
    cluster = Cluster(name="cluster", services=(service,))
    cluster.set_outputs({"WebLogGroupName": "/ecs/team-cluster/web"})
    answers.on("logs", "DescribeLogStreams", {"logStreams": [{"logStreamName": "web/web/1"}]})
    pages = [
        {"events": [], "nextBackwardToken": "b1"},
        {"events": [{"timestamp": 2, "message": "two\nlines"}], "nextBackwardToken": "b2"},
        {"events": [{"timestamp": 1, "message": "one"}], "nextBackwardToken": "b3"},
        {"events": [], "nextBackwardToken": "b3"},
    ]
    answers.on("logs", "GetLogEvents", pages)

    lines = cluster.log("web")

    assert [line.partition(" ")[2] for line in lines] == ["one", "two", "lines"]
    assert lines[0].startswith("1970-01-01T00:00:00.001Z ")
    answers.on("logs", "DescribeLogStreams", AwsError("ResourceNotFoundException"))
    assert cluster.log("web") == []
