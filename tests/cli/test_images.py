"""Programs with services that run images of container builders: source, image and service in one `up`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import dedent

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
from exasol_ci_setup.core.clock import SystemClock
from exasol_ci_setup.core.errors import NotApprovedError
from exasol_ci_setup.core.reporter import NullReporter
from exasol_ci_setup.programs import Connections, Declared, Deployment
from exasol_ci_setup.programs.resolve import require_success
from exasol_ci_setup.sandbox import switches
from exasol_ci_setup.stacks import network
from tests.hub import press_ctrl_c

pytestmark = pytest.mark.live

PROGRAM = """
    from exasol_ci_setup import Asset, BuildkitBuilder, Cluster, Container, ContainerBuilder, LocalDirectory, Registry, Scope, Service

    def hangar_run():
        scope = Scope(name="team", region="eu-central-1")
        image = ContainerBuilder(
            name="image",
            asset=Asset(scope=scope, name="source", source=LocalDirectory(scope=scope, name="here", path={path!r})),
            builder=BuildkitBuilder(scope=scope, name="host"),
            registry=Registry(scope=scope, name="registry"),
        )
        service = Service(name="web", container=Container(source=image), count=0)
        Cluster(name="cluster", services=[service]).deploy()
        print("web runs", image.image_tag)
"""


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "app"
    path.mkdir()
    (path / "Dockerfile").write_text("FROM scratch\n", encoding="utf-8")
    return path


@pytest.fixture
def file(tmp_path, folder):
    path = tmp_path / "program.py"
    path.write_text(dedent(PROGRAM).format(path=str(folder)), encoding="utf-8")
    return str(path)


@pytest.fixture
def failing(account_id):
    """A function that lets all builds of this project fail."""
    yield lambda project: switches.FAILURES.update({account_id: project})
    switches.FAILURES.pop(account_id, None)


@pytest.fixture
def slow(account_id):
    """Lets builds take longer than any test."""
    switches.BUILD_SECONDS[account_id] = 600.0
    yield
    switches.BUILD_SECONDS.pop(account_id)


def builds(live) -> int:
    return len(live.client("codebuild").list_builds()["ids"])


def stacks(live) -> dict[str, str]:
    described = live.client("cloudformation").describe_stacks()["Stacks"]
    return {stack["StackName"]: stack["StackStatus"] for stack in described}


def image_of_the_service(live) -> str:
    definition = live.client("ecs").describe_task_definition(taskDefinition="team-cluster-web")["taskDefinition"]
    name: str = definition["containerDefinitions"][0]["image"]
    return name


def ran_image(ran) -> str:
    name: str = ran.stdout.splitlines()[-1].removeprefix("web runs ")
    return name


def test_image_is_built_before_service_is_deployed(here, live, file):
    ran = here("up", file, "--yes", "--no-lint")

    assert ran.code == 0, ran.stderr
    assert image_of_the_service(live).endswith(f".amazonaws.com/team/registry:{ran_image(ran)}")
    build, stack = (
        ran.stderr.index(text) for text in ("builder image: started build team-image:", "team-cluster: creating")
    )
    assert ran.stderr.index("team-image: done") < build < stack
    (build,) = live.client("codebuild").batch_get_builds(ids=live.client("codebuild").list_builds()["ids"])["builds"]
    assert build["buildStatus"] == "SUCCEEDED"
    variables = {each["name"]: each["value"] for each in build["environment"]["environmentVariables"]}
    assert (variables["CONTENT_HASH"], variables["IMAGE_TAG"]) == (ran_image(ran), "latest")


def test_unchanged_source_is_neither_built_nor_deployed(here, live, file):
    here("up", file, "--yes", "--no-lint")

    ran = here("up", file, "--yes", "--no-lint")

    assert ran.code == 0, ran.stderr
    assert "already uploaded" in ran.stderr
    assert "the registry already contains" in ran.stderr
    assert "4 stacks up to date" in ran.stderr
    assert builds(live) == 1
    assert set(stacks(live).values()) == {"CREATE_COMPLETE"}


def test_changed_source_updates_only_service(here, live, file, folder):
    first = ran_image(here("up", file, "--yes", "--no-lint"))
    (folder / "Dockerfile").write_text("FROM busybox\n", encoding="utf-8")

    planned = here("plan", file, "--no-lint")
    assert builds(live) == 1
    ran = here("up", file, "--yes", "--no-lint")

    assert planned.code == 0, planned.stderr
    assert planned.stdout.count("Plan for stack") == 1
    assert "Plan for stack team-cluster (update)" in planned.stdout
    assert f'parameters.ImageTag1: "{first[:60]}' in planned.stdout
    assert ran.code == 0, ran.stderr
    assert ran_image(ran) != first
    assert image_of_the_service(live).endswith(ran_image(ran))
    assert stacks(live) == {
        "team-cluster": "UPDATE_COMPLETE",
        "team-image": "CREATE_COMPLETE",
        "team-registry": "CREATE_COMPLETE",
        "team-source": "CREATE_COMPLETE",
    }
    assert builds(live) == 2


def test_plan_names_image_and_builds_nothing(here, live, file):
    ran = here("plan", file, "--no-lint")

    assert ran.code == 0, ran.stderr
    assert "which builder image builds before if it does not exist" in ran.stderr
    assert (builds(live), live.client("s3").list_buckets()["Buckets"]) == (0, [])


def test_failed_image_build_keeps_service_unchanged(here, live, file, folder, failing):
    before = ran_image(here("up", file, "--yes", "--no-lint"))
    (folder / "Dockerfile").write_text("FROM nosuch\n", encoding="utf-8")
    failing("team-image")

    ran = here("up", file, "--yes", "--no-lint")

    assert ran.code == 6
    assert "team-cluster: failed: the image was not built" in ran.stderr
    assert "web runs" not in ran.stdout
    assert image_of_the_service(live).endswith(before)
    assert stacks(live)["team-cluster"] == "CREATE_COMPLETE"


def test_missing_source_fails_only_service(here, live, file, folder):
    (folder / "Dockerfile").unlink()
    folder.rmdir()

    ran = here("up", file, "--yes", "--no-lint")

    assert ran.code == 2
    assert f"error: {folder} is not a folder" in ran.stderr
    assert sorted(stacks(live)) == ["team-image", "team-registry", "team-source"]


def test_down_needs_neither_source_nor_build(here, live, file, folder):
    here("up", file, "--yes", "--no-lint")
    (folder / "Dockerfile").unlink()
    folder.rmdir()

    ran = here("down", file, "--yes", "--empty")

    assert ran.code == 0, ran.stderr
    assert stacks(live) == {}


def test_registry_with_images_is_deleted_only_with_empty(here, live, file):
    here("up", file, "--yes", "--no-lint")

    kept = here("down", file, "--yes")
    gone = here("down", file, "--yes", "--empty")

    assert kept.code == 1
    assert "repository team/registry holds images (stack team-registry)" in kept.stderr
    assert gone.code == 0, gone.stderr
    assert stacks(live) == {}


@pytest.mark.usefixtures("slow")
def test_ctrl_c_during_image_build_names_running_batch(here, live, file):
    def press_once_it_is_built() -> None:
        while not builds(live):
            pass
        press_ctrl_c()

    with ThreadPoolExecutor(1) as pool:
        pressing = pool.submit(press_once_it_is_built)
        ran = here("up", file, "--yes", "--no-lint")
        pressing.result()

    assert ran.code == 130
    assert "AWS may continue with build team-image:" in ran.stderr
    assert "hint: run the same command again" in ran.stderr
    assert "team-cluster" not in stacks(live)


def test_registry_without_mutable_tags_gets_only_hash(here, live, file):
    path = Path(file)
    path.write_text(
        path.read_text(encoding="utf-8").replace('"registry")', '"registry", mutable_tags=())'), encoding="utf-8"
    )

    ran = here("up", file, "--yes", "--no-lint")

    assert ran.code == 0, ran.stderr
    (build,) = live.client("codebuild").batch_get_builds(ids=live.client("codebuild").list_builds()["ids"])["builds"]
    variables = {each["name"]: each["value"] for each in build["environment"]["environmentVariables"]}
    assert variables["IMAGE_TAG"] == ""


@pytest.fixture
def image(folder):
    scope = Scope(name="team", region="eu-central-1")
    return ContainerBuilder(
        name="image",
        asset=Asset(scope=scope, name="source", source=LocalDirectory(scope=scope, name="here", path=str(folder))),
        builder=BuildkitBuilder(scope=scope, name="host"),
        registry=Registry(scope=scope, name="registry"),
    )


def deployment_to(live) -> Deployment:
    clock = SystemClock()
    return Deployment(Connections(clock, lambda _scope: live), NullReporter(), clock, network.find)


def cluster_of(image, *names: str) -> Declared:
    container = Container(source=image)
    services = tuple(Service(name=name, container=container, count=0) for name in names)
    return Declared([Cluster(name="cluster", services=services)])


def test_image_of_two_services_is_built_once_in_library(live, image):
    require_success(deployment_to(live).apply(cluster_of(image, "web", "worker")))

    assert builds(live) == 1
    assert image_of_the_service(live).endswith(image.image_tag)


@pytest.mark.parametrize("exists", [False, True])
def test_source_changed_during_approval_is_not_deployed(live, image, folder, exists):
    if exists:
        require_success(deployment_to(live).apply(cluster_of(image, "web")))
        (folder / "Dockerfile").write_text("FROM busybox:1\n", encoding="utf-8")
    before = (stacks(live).get("team-cluster"), builds(live))
    deployment, declared = deployment_to(live), cluster_of(image, "web")

    deployment.plan(declared)
    (folder / "Dockerfile").write_text("FROM busybox:2\n", encoding="utf-8")

    with pytest.raises(NotApprovedError, match="the source of image image has changed since the plan"):
        require_success(deployment.apply(declared))
    assert (stacks(live).get("team-cluster"), builds(live)) == before
