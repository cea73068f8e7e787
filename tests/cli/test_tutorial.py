"""The tutorial of another tool, step by step, with the import of this library."""

from __future__ import annotations

import io
import tarfile
from textwrap import indent

import pytest

from exasol_ci_setup.aws.roles import assume
from tests.hub import running

pytestmark = pytest.mark.live

TOKEN = "ghp_0123456789secret"
COMMIT = "c0ffee" * 6 + "beef"
REPOSITORY = "exasol/your-repo"

SCOPE = """
scope = HangarScope(
    name="my-first-scope",
    region="us-west-2",
    roleAssumptions=[],
)
"""
ASSET = f"""
asset = Asset(
        scope=scope,
        name="your-name-my-first-bucket",
        source=GitHubRepo(
            scope=scope,
            repo="{REPOSITORY}",
            branch="main",
            name="my-repo",
        ),
    )
"""
BUILDER = """
builder = BuildkitBuilder(
        scope=scope,
        name="my-builder",
    )
"""
REGISTRY = """
registry = Registry(
        scope=scope,
        name="my-registry",
    )
"""
CONTAINER_BUILDER = """
containerBuilder = ContainerBuilder(
        name="my-container-builder",
        asset=asset,
        builder=builder,
        registry=registry,
    )
"""
SERVICE = """
container = Container(
        source=registry,
        tag="latest",
    )
service = Service(
        name="my-service",
        container=container,
    )
"""
CLUSTER = """
cluster = Cluster(
        name="my-cluster",
        services=[service],
    )
"""
RESOLVE = """
asyncio.run(containerBuilder.resolve())
asyncio.run(cluster.resolve())
"""
ACT = f"""
asset.sync(token="{TOKEN}")
containerBuilder.build()
"""
# Steps 3 to 10 and 12; 11 and 13 are `up`, and 14 is `down`.
DECLARING = (SCOPE, ASSET, BUILDER, REGISTRY, CONTAINER_BUILDER, SERVICE, CLUSTER)
STEP_10 = (*DECLARING, RESOLVE)
STEP_12 = (*STEP_10, ACT)


@pytest.fixture
def step(tmp_path):
    def to(*parts: str) -> str:
        path = tmp_path / "program.py"
        names = (
            "HangarScope, Asset, GitHubRepo, BuildkitBuilder, Registry, ContainerBuilder, Container, Service, Cluster"
        )
        head = f"import asyncio\nfrom exasol_ci_setup import {names}\n\ndef hangar_run():"
        path.write_text(head + indent("".join(parts), "    "), encoding="utf-8")
        return str(path)

    return to


@pytest.fixture
def hub(monkeypatch):
    """A GitHub server with the repository of the tutorial, which has one file."""
    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode="w:gz") as archive:
        content = b"FROM busybox\n"
        info = tarfile.TarInfo("exasol-your-repo-c0ffee/Dockerfile")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    with running() as server:
        server.replies[f"GET /repos/{REPOSITORY}/git/ref/heads/main"] = (200, {}, {"object": {"sha": COMMIT}})
        server.replies[f"GET /repos/{REPOSITORY}/tarball/{COMMIT}"] = (200, {}, into.getvalue())
        monkeypatch.setenv("GITHUB_API_URL", server.url)
        monkeypatch.delenv("GITHUB_TOKEN", raising=False)
        yield server


@pytest.fixture
def there(live):
    """The same account in the region of the tutorial."""
    return assume(live, (), region="us-west-2")


@pytest.fixture
def change_sets(live):
    """The names of change sets created after this point."""
    made: list[str] = []
    live.session.events.register(
        "before-parameter-build.cloudformation.CreateChangeSet",
        lambda params, **_: made.append(params["StackName"]),
    )
    return made


def stacks(account) -> set[str]:
    described = account.client("cloudformation").describe_stacks()["Stacks"]
    return {stack["StackName"].removeprefix("my-first-scope-") for stack in described}


def until_built(codebuild, build: str) -> None:
    while not codebuild.batch_get_builds(ids=[build])["builds"][0]["buildComplete"]:
        pass


@pytest.mark.parametrize("count", range(1, len(DECLARING) + 1))
def test_declaring_step_deploys_nothing(here, step, there, count):
    ran = here("up", step(*DECLARING[:count]), "--yes", "--no-lint")

    assert ran.code == 0, ran.stderr
    assert "resolves no construct: no changes" in ran.stderr
    assert stacks(there) == set()


def test_tutorial_deploys_repeats_and_deletes(here, step, there, hub, change_sets):
    deployed = here("up", step(*STEP_10), "--yes")

    assert deployed.code == 0, deployed.stderr
    expected = {"your-name-my-first-bucket", "my-registry", "my-container-builder", "my-cluster"}
    assert stacks(there) == expected
    assert sorted(change_sets) == sorted(f"my-first-scope-{name}" for name in expected)
    assert hub.asked == []
    change_sets.clear()

    built = here("up", step(*STEP_12), "--yes")

    assert built.code == 0, built.stderr
    assert "4 stacks up to date" in built.stderr
    assert f"branch main of {REPOSITORY} is " in built.stderr
    codebuild = there.client("codebuild")
    (build,) = codebuild.list_builds_for_project(projectName="my-first-scope-my-container-builder")["ids"]
    environment = codebuild.batch_get_builds(ids=[build])["builds"][0]["environment"]["environmentVariables"]
    environment_values = {each["name"]: each["value"] for each in environment}
    assert environment_values["IMAGE_TAG"] == "latest"
    assert TOKEN not in built.stderr + built.stdout
    until_built(codebuild, build)

    again = here("up", step(*STEP_12), "--yes")

    assert again.code == 0, again.stderr
    assert "4 stacks up to date" in again.stderr
    assert ", already uploaded" in again.stderr
    assert codebuild.list_builds_for_project(projectName="my-first-scope-my-container-builder")["ids"] == [build]
    assert change_sets == []

    down = here("down", step(*STEP_12), "--yes", "--empty")
    gone = here("down", step(*STEP_12), "--yes")

    assert down.code == 0, down.stderr
    assert stacks(there) == set()
    assert gone.code == 0
    assert "no changes" in gone.stderr
