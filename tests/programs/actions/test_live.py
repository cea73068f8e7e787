"""Sources, builds and logs against the sandbox."""

from __future__ import annotations

import contextvars
import io
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from exasol_ci_setup.constructs import (
    Asset,
    BuildkitBuilder,
    Cluster,
    Container,
    ContainerBuilder,
    GitHubRepo,
    LocalDirectory,
    Registry,
    Scope,
    Service,
)
from exasol_ci_setup.core.clock import SystemClock
from exasol_ci_setup.core.errors import BuildFailedError, InputError, SetupError
from exasol_ci_setup.core.reporter import NullReporter
from exasol_ci_setup.programs import Connections, Declared, Deployment
from exasol_ci_setup.programs.actions import Runtime, current, sync, use_runtime
from exasol_ci_setup.programs.resolve import require_success
from exasol_ci_setup.stacks import network
from tests.hub import running

pytestmark = [pytest.mark.live, pytest.mark.usefixtures("said")]

SCOPE = Scope(name="team", region="eu-central-1")
COMMIT = "c0ffee" * 6 + "beef"
TOKEN = "ghp_0123456789secret"


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "source"
    path.mkdir()
    (path / "Dockerfile").write_text("FROM scratch\n", encoding="utf-8")
    return path


@pytest.fixture
def asset(folder):
    return Asset(scope=SCOPE, name="source", source=LocalDirectory(scope=SCOPE, name="here", path=str(folder)))


@pytest.fixture
def builder(asset):
    return ContainerBuilder(
        name="image",
        asset=asset,
        builder=BuildkitBuilder(scope=SCOPE, name="host"),
        registry=Registry(scope=SCOPE, name="registry"),
    )


@pytest.fixture
def deploy(live):
    def all_of(*constructs) -> None:
        clock = SystemClock()
        deployment = Deployment(Connections(clock, lambda _scope: live), NullReporter(), clock, network.find)
        require_success(deployment.apply(Declared(constructs)))

    return all_of


@pytest.fixture
def said(live):
    lines: list[str] = []
    with use_runtime(Runtime(lambda _scope: live, SystemClock(), lines.append)):
        yield lines


@pytest.fixture
def hub(monkeypatch):
    with running() as server:
        monkeypatch.setenv("GITHUB_API_URL", server.url)
        monkeypatch.delenv("GITHUB_TOKEN", raising=False)
        yield server


def keys(live, asset) -> list[str]:
    found = live.client("s3").list_objects_v2(Bucket=asset.bucket_name)
    return [each["Key"] for each in found.get("Contents", [])]


def versions(live, asset) -> int:
    return len(live.client("s3").list_object_versions(Bucket=asset.bucket_name).get("Versions", []))


def builds(live) -> list[str]:
    found: list[str] = live.client("codebuild").list_builds_for_project(projectName="team-image")["ids"]
    return found


def variables(live, build_id: str) -> dict[str, str]:
    found = live.client("codebuild").batch_get_builds(ids=[build_id])["builds"][0]
    return {item["name"]: item["value"] for item in found["environment"]["environmentVariables"]}


def tags(live) -> list[list[str]]:
    found = live.client("ecr").describe_images(repositoryName="team/registry")["imageDetails"]
    return [sorted(image["imageTags"]) for image in found]


def test_folder_is_uploaded_again_only_after_change(live, deploy, said, asset, folder):
    deploy(asset)

    first, second = asset.sync(), asset.sync()
    (folder / "Dockerfile").write_text("FROM scratcH\n", encoding="utf-8")
    third = asset.sync()

    assert [first.uploaded, second.uploaded, third.uploaded] == [True, False, True]
    assert first.key == second.key == f"{first.sha256}.tar.gz"
    assert sorted(keys(live, asset)) == sorted([first.key, third.key])
    assert versions(live, asset) == 2
    assert asset.synced == third
    assert said == [
        f"asset source: folder {folder} is {first.sha256[:12]}, uploaded",
        f"asset source: folder {folder} is {first.sha256[:12]}, already uploaded",
        f"asset source: folder {folder} is {third.sha256[:12]}, uploaded",
    ]


def test_uploaded_archive_contains_folder(live, deploy, asset, folder):
    (folder / "run").symlink_to("Dockerfile")
    deploy(asset)

    body = live.client("s3").get_object(Bucket=asset.bucket_name, Key=asset.sync().key)["Body"].read()

    with tarfile.open(fileobj=io.BytesIO(body), mode="r:gz") as opened:
        assert opened.getnames() == ["Dockerfile", "run"]
        assert opened.extractfile("Dockerfile").read() == b"FROM scratch\n"


def test_github_branch_is_uploaded_without_top_folder(deploy, said, hub, folder):
    source = GitHubRepo(scope=SCOPE, name="repo", repo="https://github.com/exasol/example", branch="feature/x")
    asset = Asset(scope=SCOPE, name="source", source=source)
    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode="w:gz") as made:
        made.add(folder, arcname="exasol-example-c0ffee")
    hub.replies["GET /repos/exasol/example/git/ref/heads/feature/x"] = (200, {}, {"object": {"sha": COMMIT}})
    with running() as elsewhere:
        at = {"Location": f"{elsewhere.url}/archive?token=temporary"}
        hub.replies[f"GET /repos/exasol/example/tarball/{COMMIT}"] = (302, at, None)
        elsewhere.replies["GET /archive?token=temporary"] = (200, {}, into.getvalue())
        deploy(asset)

        first, second = asset.sync(token=TOKEN), asset.sync()

        # What a plan does.
        assert sync.fingerprint(current(), asset) == first.sha256

    local = Asset(scope=SCOPE, name="source", source=LocalDirectory(scope=SCOPE, name="here", path=str(folder)))
    deploy(local)
    assert (first.uploaded, second.uploaded, local.sync().uploaded) == (True, False, False)
    sent = [headers.get("Authorization") for _, _, headers, _ in hub.asked]
    assert sent == [f"Bearer {TOKEN}"] * 2 + [None] * 4
    assert all("Authorization" not in headers for _, _, headers, _ in elsewhere.asked)
    assert said[0] == f"asset source: branch feature/x of exasol/example is {first.sha256[:12]}, uploaded"


@pytest.mark.usefixtures("hub")
def test_missing_github_branch_is_named(deploy):
    source = GitHubRepo(scope=SCOPE, name="repo", repo="exasol/example", branch="gone")
    asset = Asset(scope=SCOPE, name="source", source=source)
    deploy(asset)

    with pytest.raises(InputError, match="branch gone of exasol/example") as caught:
        asset.sync()
    assert "GitHub hides private repositories" in caught.value.hint


def test_missing_owner_or_source_is_rejected(deploy):
    bare = Asset(scope=SCOPE, name="a", source=GitHubRepo(scope=SCOPE, name="r", repo="example", branch="main"))
    empty = Asset(scope=SCOPE, name="b")
    deploy(bare, empty)

    with pytest.raises(InputError) as caught:
        bare.sync()
    assert caught.value.hint == "use repo='OWNER/example'"
    with pytest.raises(InputError, match="Asset 'b' has no source"):
        empty.sync()


def test_undeployed_constructs_cannot_be_synced_built_or_read(asset, builder):
    cluster = Cluster(
        name="c", services=(Service(scope=SCOPE, name="s", container=Container(source="nginx", tag="1")),)
    )

    for act in (asset.sync, builder.build, lambda: cluster.log("s")):
        with pytest.raises(InputError, match="not deployed yet"):
            act()


def test_build_receives_archive_hash_and_tag(live, deploy, said, builder):
    deploy(builder)

    build = builder.build(environment_variables={"SIZE": "large one", "COLOR": "blue"}, build_context="./app/")

    passed_variables = variables(live, build.id)
    synced = builder.asset.synced
    assert build.started
    assert passed_variables["ASSET_KEY"] == synced.key
    assert passed_variables["CONTENT_HASH"] == build.content_hash != synced.sha256
    assert (passed_variables["IMAGE_TAG"], passed_variables["COLOR"], passed_variables["BUILD_CONTEXT"]) == (
        "latest",
        "blue",
        "./app/",
    )
    assert (passed_variables["SIZE"], passed_variables["BUILD_ARGS"]) == ("large one", "COLOR SIZE")
    assert said[-1] == f"builder image: started build {build.id} of {build.content_hash[:12]}"
    build.stop()
    assert build.status == "STOPPED"
    with pytest.raises(BuildFailedError, match="image was stopped"):
        build.wait()


def test_second_build_of_same_content_joins_running_build(live, deploy, builder):
    deploy(builder)

    first, second = builder.build(), builder.build(tag="v2")

    assert second.id == first.id
    assert (first.started, second.started) == (True, False)
    assert builds(live) == [first.id]
    assert second.wait() is second
    assert tags(live) == [sorted([first.content_hash, "latest", "v2"])]
    assert second.status == "SUCCEEDED"
    assert any("docker build" in line for line in first.logs())


def test_running_build_adds_its_own_tag(live, deploy, builder):
    deploy(builder)
    given: list[str] = []
    live.session.events.register(
        "before-parameter-build.ecr.PutImage", lambda params, **_: given.append(params["imageTag"])
    )
    first, second = builder.build(tag="v1"), builder.build(tag="v1")

    assert second.wait().content_hash == first.content_hash
    assert (second.id, second.status) == (first.id, "SUCCEEDED")
    assert tags(live) == [sorted([first.content_hash, "v1"])]
    assert given == []


def test_concurrent_requests_start_one_build(live, deploy, builder):
    deploy(builder)
    builder.asset.sync()
    every = threading.Barrier(8)
    context = [contextvars.copy_context() for _ in range(8)]

    def want(number: int) -> str:
        every.wait()
        build_id: str = context[number].run(lambda: builder.build().id)
        return build_id

    with ThreadPoolExecutor(8) as pool:
        wanted = set(pool.map(want, range(8)))

    assert wanted == set(builds(live))
    assert len(wanted) == 1


def test_image_in_registry_is_not_built(live, deploy, said, builder, folder):
    deploy(builder)
    first = builder.build(tag="v1").wait()

    second = builder.build(tag="v2")

    assert (second.id, second.status, second.started, second.logs()) == ("", "SUCCEEDED", False, [])
    assert second.wait(timeout=0) is second
    assert tags(live) == [sorted([first.content_hash, "v1", "v2"])]
    assert said[-1].endswith(f"the registry already contains {first.content_hash[:12]}, added tag v2")
    assert builder.build(tag="v2").id == ""
    assert said[-1].endswith(f"the registry already contains {first.content_hash[:12]}")

    (folder / "Dockerfile").write_text("FROM busybox\n", encoding="utf-8")
    builder.asset.sync()
    third = builder.build()
    assert third.started
    assert len(builds(live)) == 2
    third.stop()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tag": "a b"}, "'a b' is not a valid image tag"),
        ({"build_context": "../x"}, "invalid build context '../x'"),
        ({"build_context": "/x"}, "invalid build context '/x'"),
        ({"environment_variables": {"ASSET_KEY": "x"}}, "'ASSET_KEY' cannot be a variable"),
        ({"environment_variables": {"BUILD_ARGS": "x"}}, "'BUILD_ARGS' cannot be a variable"),
        ({"environment_variables": {"--privileged": "x"}}, "'--privileged' cannot be a variable"),
        ({"environment_variables": {"CODEBUILD_X": "x"}}, "'CODEBUILD_X' cannot be a variable"),
    ],
)
def test_invalid_build_arguments_are_rejected(builder, values, message):
    with pytest.raises(InputError, match=message):
        builder.build(**values)


def test_builder_without_asset_source_is_rejected():
    host = BuildkitBuilder(scope=SCOPE, name="host")

    with pytest.raises(InputError, match="only bucket"):
        ContainerBuilder(name="image", asset="some-bucket", builder=host, registry="r1").build()


def test_last_lines_of_service_are_in_order_of_time(live, deploy):
    # None of its tasks runs: where there is a Docker engine, the sandbox would start them in it.
    service = Service(scope=SCOPE, name="web", container=Container(source="nginx", tag="1"), count=0)
    cluster = Cluster(name="cluster", services=(service,))
    deploy(cluster)
    assert cluster.log("web") == []
    logs = live.client("logs")
    for stream, times in (("web/web/1", (1, 3, 5)), ("web/web/2", (2, 4))):
        logs.create_log_stream(logGroupName="/ecs/team-cluster/web", logStreamName=stream)
        events = [{"timestamp": 1_790_000_000_000 + at, "message": f"line {at}\n"} for at in times]
        logs.put_log_events(logGroupName="/ecs/team-cluster/web", logStreamName=stream, logEvents=events)

    lines = cluster.log(service, lines=4)

    assert [line.partition(" ")[2] for line in lines] == ["line 2", "line 3", "line 4", "line 5"]
    assert lines[0].startswith("2026-09-21T")
    with pytest.raises(InputError, match="has no service 'other'"):
        cluster.log("other")
    with pytest.raises(SetupError):
        cluster.log("web", lines=0)


def test_dry_run_has_no_effect(builder):
    lines: list[str] = []

    def never(_scope):
        raise AssertionError

    with use_runtime(Runtime(never, SystemClock(), lines.append, is_dry_run=True)):
        synced = builder.asset.sync()
        build = builder.build(tag="v1").wait()
        build.stop()

    assert (synced.uploaded, build.id, build.status, build.logs()) == (False, "", "NOT_STARTED", [])
    assert lines == [
        f"asset source: would be synced with folder {builder.asset.source.path}",
        "builder image: would build source as v1, if it is new",
    ]
