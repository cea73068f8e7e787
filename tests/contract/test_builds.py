"""Builds: CodeBuild's access to GitHub, a batch of a buildspec in the request, and an image."""

from __future__ import annotations

import pytest

from tests.contract import scenario
from tests.contract.conftest import reason_in
from tests.contract.scenario import KINDS, PREFIX, REPOSITORY, TAG

pytestmark = pytest.mark.contract

_TAG = ("--tag", "=".join(TAG))
_PROJECT = (
    *("--project", f"{PREFIX}-batch", "--stack-name", f"{PREFIX}-batch", "--project-url", REPOSITORY),
    *("--docker-secret", "none"),
)


@pytest.mark.usefixtures("_github_secret")
def test_second_source_credential_is_refused(endpoint):
    options = (*KINDS["source-credentials"].options[:-2], *_TAG, "--yes")
    first, second = f"{PREFIX}-credentials", f"{PREFIX}-credentials-2"
    endpoint.run("deploy-source-credentials", *options, "--stack-name", first)
    try:
        ran = endpoint.run("deploy-source-credentials", *options, "--stack-name", second, code=None)

        assert ran.code in {1, 2, 3}
        assert "credential" in reason_in(ran.stderr)
    finally:
        if endpoint.stack(second) is not None:
            endpoint.run("delete", second, "--yes")
        endpoint.run("delete", first, "--yes")


@pytest.fixture
def project(endpoint):
    """A stack with a project for batches, deleted afterwards."""
    endpoint.run("deploy-release-build", *_PROJECT, *_TAG, "--yes", "--allow-broadening")
    yield endpoint.physical_id(f"{PREFIX}-batch", "AWS::CodeBuild::Project")
    endpoint.run("delete", f"{PREFIX}-batch", "--yes", "--empty")


def test_batch_of_public_repository_is_built_and_logged(endpoint, project):
    started = endpoint.client("codebuild").start_build_batch(
        projectName=project, sourceVersion="master", buildspecOverride=scenario.BATCH
    )["buildBatch"]["id"]

    ran = endpoint.run("logs", started, "--follow")
    listed = endpoint.run("builds", "--stack-name", f"{PREFIX}-batch")

    assert "contract-$WORD" in ran.stdout + ran.stderr
    assert started in listed.stdout


def test_image_is_built_and_pushed(endpoint):
    files = {"image.py": scenario.PROGRAM, "context/Dockerfile": scenario.DOCKERFILE}
    scenario.write(endpoint.folder, files)
    try:
        endpoint.run("up", "image.py", *_TAG, "--yes", "--allow-broadening")
        name = endpoint.outputs("contract-built")["RepositoryName"]
        images = endpoint.client("ecr").describe_images(repositoryName=name)["imageDetails"]
        assert [each for each in images if each.get("imageTags")]
    finally:
        endpoint.run("down", "image.py", "--yes", "--empty")
