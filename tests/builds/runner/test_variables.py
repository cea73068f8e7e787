"""Tests of the variables and the image of a build."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from exasol_ci_setup.builds.runner import images, variables
from exasol_ci_setup.builds.runner.buildspec import BatchBuild, Document
from exasol_ci_setup.core.errors import InputError

SPEC = Document(
    Path("b.yaml"),
    """
version: 0.2
env:
  variables: {A: spec, B: spec, C: spec}
  secrets-manager: {TOKEN: "gh:token"}
phases: {build: {commands: [make]}}
""",
).buildspec()


def test_command_line_overrides_batch_and_batch_overrides_buildspec():
    build = BatchBuild("b", {"B": "batch", "C": "batch", "CODEBUILD_SRC_DIR": "no"})

    values = variables.merge(SPEC, build, {"CODEBUILD_SRC_DIR": "own"}, {"TOKEN": "t"}, {"C": "given"})

    assert values == {"A": "spec", "B": "batch", "C": "given", "CODEBUILD_SRC_DIR": "own", "TOKEN": "t"}


def test_values_names_and_files_set_variables(tmp_path):
    file = tmp_path / "env"
    file.write_text("# remark\n\nA=1=2\nHOME_TOWN\nC= spaced 'as it is' \n", encoding="utf-8")

    found = variables.parse(["A=9", "OWN"], [file], {"OWN": "mine", "HOME_TOWN": "N"})

    assert found == {"A": "9", "HOME_TOWN": "N", "C": " spaced 'as it is' ", "OWN": "mine"}


def test_only_line_feeds_end_lines_of_file(tmp_path):
    file = tmp_path / "env"
    file.write_bytes("\ufeffA=1\u20282\x0c3\r\nB=2".encode())

    assert variables.parse([], [file], {}) == {"A": "1\u20282\x0c3", "B": "2"}


@pytest.mark.parametrize("text", ["=sesame", "a-b=sesame", "1A=sesame", "two words"])
def test_invalid_assignment_is_not_repeated_in_error(text):
    with pytest.raises(InputError) as caught:
        variables.parse([text], [], {})

    assert "sesame" not in str(caught.value)
    assert "--env" in str(caught.value)


def test_invalid_line_of_file_is_named_by_number(tmp_path):
    file = tmp_path / "env"
    file.write_text("A=1\nMISSING\n", encoding="utf-8")

    with pytest.raises(InputError, match="line 2: MISSING is not set in your environment"):
        variables.parse([], [file], {})


def test_secret_comes_from_command_line_or_environment():
    assert variables.secret_values(SPEC, {"TOKEN": "given"}, {"TOKEN": "own"}) == {"TOKEN": "given"}
    assert variables.secret_values(SPEC, {}, {"TOKEN": ""}) == {"TOKEN": ""}


def test_missing_secret_is_named_with_its_source_on_aws():
    with pytest.raises(InputError, match=r"TOKEN \(secrets-manager gh:token\)") as caught:
        variables.secret_values(SPEC, {}, {})

    assert "--env-file" in caught.value.hint


def test_codebuild_variables_describe_repository(tmp_path):
    def git(*arguments: str) -> str:
        ran = subprocess.run(["git", "-C", tmp_path, *arguments], capture_output=True, text=True, check=True)
        return ran.stdout.strip()

    git("init", "--quiet", "--initial-branch", "main")
    git("remote", "add", "origin", "https://me:sesame@github.com/o/r.git")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--allow-empty", "-m", "x")

    values = variables.of_codebuild(tmp_path, "image:1", "build_a", {"AWS_REGION": "eu-west-1"})

    assert values["CODEBUILD_RESOLVED_SOURCE_VERSION"] == git("rev-parse", "HEAD")
    assert values["CODEBUILD_SOURCE_VERSION"] == "refs/heads/main"
    assert values["CODEBUILD_SOURCE_REPO_URL"] == "https://github.com/o/r.git"
    assert values["CODEBUILD_BATCH_BUILD_IDENTIFIER"] == "build_a"
    assert values["CODEBUILD_BUILD_IMAGE"] == "image:1"
    assert values["AWS_DEFAULT_REGION"] == values["AWS_REGION"] == "eu-west-1"


def test_variables_without_repository_or_region_are_not_set(tmp_path):
    values = variables.of_codebuild(tmp_path, "image:1", "", {})

    assert not {"CODEBUILD_RESOLVED_SOURCE_VERSION", "AWS_REGION", "CODEBUILD_BATCH_BUILD_IDENTIFIER"} & set(values)
    assert values["CODEBUILD_SRC_DIR"] == "/codebuild/output/src/src"


@pytest.mark.parametrize(
    ("requested", "configured", "exists", "expected", "noted"),
    [
        ("mine:1", "aws/codebuild/standard:8.0", True, "mine:1", False),
        ("", "theirs:1", False, "theirs:1", False),
        ("", "", False, "public.ecr.aws/codebuild/amazonlinux-x86_64-standard:5.0", True),
        ("", "aws/codebuild/standard:8.0", True, "aws/codebuild/standard:8.0", False),
        ("", "aws/codebuild/standard:8.0", False, "public.ecr.aws/codebuild/amazonlinux-x86_64-standard:5.0", True),
        *[
            ("", f"aws/codebuild/{name}", False, f"public.ecr.aws/codebuild/{name}", False)
            for name in ("amazonlinux-x86_64-standard:4.0", "amazonlinux2-x86_64-standard:5.0")
        ],
    ],
)
def test_unpublished_image_is_replaced(requested, configured, exists, expected, noted):
    image = images.choose(requested, configured, lambda _: exists, "x86_64")

    assert image.name == expected
    assert bool(image.note) is noted


def test_arm_machine_uses_arm_image():
    assert "aarch64" in images.choose("", "", lambda _: False, "arm64").name
