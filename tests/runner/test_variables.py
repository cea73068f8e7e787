"""The variables of a build, and which of several values wins."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from exasol_ci_setup.errors import InputError
from exasol_ci_setup.runner import images, variables
from exasol_ci_setup.runner.buildspec import BatchBuild, Document

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


def test_the_command_line_wins_over_the_batch_and_that_over_the_buildspec():
    build = BatchBuild("b", {"B": "batch", "C": "batch", "CODEBUILD_SRC_DIR": "no"})

    values = variables.merged(SPEC, build, {"CODEBUILD_SRC_DIR": "own"}, {"TOKEN": "t"}, {"C": "given"})

    assert values == {"A": "spec", "B": "batch", "C": "given", "CODEBUILD_SRC_DIR": "own", "TOKEN": "t"}


def test_variables_are_given_by_value_by_name_and_by_file(tmp_path):
    file = tmp_path / "env"
    file.write_text("# remark\n\nA=1=2\nHOME_TOWN\nC= spaced 'as it is' \n", encoding="utf-8")

    found = variables.given(["A=9", "OWN"], [file], {"OWN": "mine", "HOME_TOWN": "N"})

    assert found == {"A": "9", "HOME_TOWN": "N", "C": " spaced 'as it is' ", "OWN": "mine"}


def test_a_line_of_a_file_ends_where_a_line_ends_and_nowhere_else(tmp_path):
    file = tmp_path / "env"
    file.write_bytes("\ufeffA=1\u20282\x0c3\r\nB=2".encode())

    assert variables.given([], [file], {}) == {"A": "1\u20282\x0c3", "B": "2"}


@pytest.mark.parametrize("text", ["=sesame", "a-b=sesame", "1A=sesame", "two words"])
def test_what_is_no_assignment_is_refused_without_repeating_it(text):
    with pytest.raises(InputError) as caught:
        variables.given([text], [], {})

    assert "sesame" not in str(caught.value)
    assert "--env" in str(caught.value)


def test_a_line_of_a_file_that_is_wrong_is_told_by_its_number(tmp_path):
    file = tmp_path / "env"
    file.write_text("A=1\nMISSING\n", encoding="utf-8")

    with pytest.raises(InputError, match="line 2: MISSING is not set in your environment"):
        variables.given([], [file], {})


def test_a_secret_comes_from_the_command_line_or_the_environment():
    assert variables.secret_values(SPEC, {"TOKEN": "given"}, {"TOKEN": "own"}) == {"TOKEN": "given"}
    assert variables.secret_values(SPEC, {}, {"TOKEN": ""}) == {"TOKEN": ""}


def test_a_secret_without_a_value_is_named_with_its_place_on_aws():
    with pytest.raises(InputError, match=r"TOKEN \(secrets-manager gh:token\)") as caught:
        variables.secret_values(SPEC, {}, {})

    assert "--env-file" in caught.value.hint


def test_codebuilds_variables_tell_of_the_repository(tmp_path):
    def git(*arguments: str) -> str:
        ran = subprocess.run(["git", "-C", tmp_path, *arguments], capture_output=True, text=True, check=True)
        return ran.stdout.strip()

    git("init", "--quiet", "--initial-branch", "main")
    git("remote", "add", "origin", "https://me:sesame@github.com/o/r.git")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--allow-empty", "-m", "x")

    values = variables.codebuild(tmp_path, "image:1", "build_a", {"AWS_REGION": "eu-west-1"})

    assert values["CODEBUILD_RESOLVED_SOURCE_VERSION"] == git("rev-parse", "HEAD")
    assert values["CODEBUILD_SOURCE_VERSION"] == "refs/heads/main"
    assert values["CODEBUILD_SOURCE_REPO_URL"] == "https://github.com/o/r.git"
    assert values["CODEBUILD_BATCH_BUILD_IDENTIFIER"] == "build_a"
    assert values["CODEBUILD_BUILD_IMAGE"] == "image:1"
    assert values["AWS_DEFAULT_REGION"] == values["AWS_REGION"] == "eu-west-1"


def test_without_a_repository_or_a_region_their_variables_are_not_set(tmp_path):
    values = variables.codebuild(tmp_path, "image:1", "", {})

    assert not {"CODEBUILD_RESOLVED_SOURCE_VERSION", "AWS_REGION", "CODEBUILD_BATCH_BUILD_IDENTIFIER"} & set(values)
    assert values["CODEBUILD_SRC_DIR"] == "/codebuild/output/src/src"


@pytest.mark.parametrize(
    ("asked", "configured", "here", "expected", "noted"),
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
def test_an_image_that_aws_does_not_publish_is_stood_in_for(asked, configured, here, expected, noted):
    image = images.choose(asked, configured, lambda _: here, "x86_64")

    assert image.name == expected
    assert bool(image.note) is noted


def test_on_arm_the_image_is_for_arm():
    assert "aarch64" in images.choose("", "", lambda _: False, "arm64").name
