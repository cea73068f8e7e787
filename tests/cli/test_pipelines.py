"""Command `generate-pipeline`: write and check a workflow."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from exasol_ci_setup.core.origin import EXAMPLE
from exasol_ci_setup.core.version import __version__
from tests.origins import AT_COMMIT, COMMIT, git, install

FILE = Path(".github/workflows/ci-my-space.yaml")


@pytest.fixture(autouse=True)
def repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def from_directory(tmp_path_factory, monkeypatch):
    """This program appears as installed from a directory."""
    folder = tmp_path_factory.mktemp("directory")
    install(monkeypatch, folder, {"url": folder.as_uri(), "dir_info": {"editable": True}})


@pytest.fixture(autouse=True)
def from_commit(tmp_path_factory, monkeypatch):
    """This program appears as installed from a commit, unless a test says otherwise."""
    install(monkeypatch, tmp_path_factory.mktemp("commit"), git())


def package() -> str:
    (found,) = re.findall(r'PACKAGE: "(.+)"', FILE.read_text(encoding="utf-8"))
    return str(found)


def test_pipeline_installs_commit_of_this_installation(program):
    assert program("generate-pipeline", "--name", "my-space").code == 0

    assert package() == AT_COMMIT.replace(" @", "[aws] @")


def test_pipeline_of_index_installation_installs_its_version(program, tmp_path_factory, monkeypatch):
    install(monkeypatch, tmp_path_factory.mktemp("index"))

    assert program("generate-pipeline", "--name", "my-space").code == 0

    assert package() == f"exasol-ci-setup[aws]=={__version__}"


@pytest.mark.usefixtures("from_directory")
@pytest.mark.parametrize("options", [("--name", "my-space"), ("--target", "codebuild", "--project", "Slc")])
@pytest.mark.parametrize("check", [(), ("--check",)])
def test_directory_installation_requires_package(program, options, check):
    ran = program("generate-pipeline", *options, *check)

    assert ran.code == 2
    command = shlex.join(["exasol-ci-setup", "generate-pipeline", *options, *check, "--package", EXAMPLE])
    assert f"hint: name a commit: `{command}`" in ran.stderr
    assert not Path(".github").exists()


@pytest.mark.parametrize("chosen", ["", EXAMPLE])
def test_empty_package_and_example_of_hints_are_refused(program, chosen):
    ran = program("generate-pipeline", "--name", "my-space", "--package", chosen)

    assert ran.code == 2
    assert "--package" in ran.stderr
    assert not Path(".github").exists()


@pytest.mark.parametrize(
    "chosen", ["exasol-ci-setup", "exasol-ci-setup==0.1.0", "exasol_ci_setup[aws] >= 0.1", "other==1", "other"]
)
@pytest.mark.parametrize("options", [(), ("--check",)])
def test_name_from_index_is_refused(program, chosen, options):
    ran = program("generate-pipeline", "--name", "my-space", "--package", chosen, *options)

    assert ran.code == 2
    assert f"--package {chosen} is a name from an index" in ran.stderr
    assert not Path(".github").exists()


@pytest.mark.parametrize(
    "chosen",
    [
        "https://example.com/tool-1.0-py3-none-any.whl#sha256=" + "0" * 64,
        "exasol-ci-setup @ https://example.com/tool.tar.gz",
        "./tools/exasol_ci_setup-0.1.0-py3-none-any.whl",
        "exasol_ci_setup-0.1.0-py3-none-any.whl",
        "./tools",
    ],
)
def test_archive_and_folder_are_accepted(program, chosen):
    assert program("generate-pipeline", "--name", "my-space", "--package", chosen).code == 0


def test_other_version_of_index_installation_is_accepted(program, tmp_path_factory, monkeypatch):
    install(monkeypatch, tmp_path_factory.mktemp("index"))

    accepted = program("generate-pipeline", "--name", "my-space", "--package", "Exasol.CI_setup==0.0.1")
    other = program("generate-pipeline", "--name", "my-space", "--package", "exasol-ci-setup-tools==0.0.1")

    assert (accepted.code, other.code) == (0, 2)


@pytest.mark.usefixtures("from_directory")
def test_directory_installation_keeps_package_of_existing_file(program):
    chosen = f"git+https://github.com/acme/tool@{COMMIT}"
    first = program("generate-pipeline", "--name", "my-space", "--package", chosen)

    check = program("generate-pipeline", "--name", "my-space", "--check")
    other = program("generate-pipeline", "--name", "my-space", "--branch", "stable")

    assert (first.code, check.code, other.code) == (0, 0, 0)
    assert package() == f"exasol-ci-setup[aws] @ {chosen}"


@pytest.mark.usefixtures("from_directory")
@pytest.mark.parametrize(
    "line", ['PACKAGE: "exasol-ci-setup==0.1.0"', f'PACKAGE: "{EXAMPLE}"', "PACKAGE: [", "PACKAGE: 1", ""]
)
def test_name_in_existing_file_is_not_kept(program, line):
    FILE.parent.mkdir(parents=True)
    FILE.write_text(f"env:\n  {line}\n", encoding="utf-8")

    ran = program("generate-pipeline", "--name", "my-space")

    assert ran.code == 2
    assert "no package for .github/workflows/ci-my-space.yaml to install" in ran.stderr


def test_second_generation_leaves_file_unchanged(program):
    first = program("generate-pipeline", "--name", "my-space")

    assert first.code == 0
    assert first.stdout == ""
    assert f"wrote {FILE}" in first.stderr
    assert "AWS_ROLE_ARN" in first.stderr
    before = FILE.stat()
    second = program("generate-pipeline", "--name", "my-space")
    assert f"unchanged: {FILE}" in second.stderr
    assert FILE.stat().st_mtime_ns == before.st_mtime_ns
    assert list(FILE.parent.iterdir()) == [FILE]


def test_check_prints_diff_and_writes_nothing(program):
    ran = program("generate-pipeline", "--name", "my-space", "--check")

    assert ran.code == 5
    assert ran.stdout.startswith("--- /dev/null\n+++ .github/workflows/ci-my-space.yaml (generated)\n")
    assert "`exasol-ci-setup generate-pipeline` with the same options except --check" in ran.stderr
    assert not FILE.exists()


def test_check_of_current_file_succeeds(program):
    program("generate-pipeline", "--name", "my-space")

    ran = program("generate-pipeline", "--name", "my-space", "--check", "--output", "json")

    assert ran.code == 0
    assert [record["type"] for record in ran.records] == ["diff", "result"]
    assert ran.records[-1]["status"] == "same"


def test_default_registry_is_named_after_space(program):
    program("generate-pipeline", "--space-name", "my-space")
    assert 'REGISTRY: "my-space-registry"' in FILE.read_text(encoding="utf-8")

    program("generate-pipeline", "--space-name", "my-space", "--registry-name", "images")
    assert 'REGISTRY: "images"' in FILE.read_text(encoding="utf-8")

    program("generate-pipeline", "--space-name", "my-space", "--skip-registry")
    assert "docker" not in FILE.read_text(encoding="utf-8").lower()


def test_codebuild_workflow_is_named_after_project(program):
    ran = program("generate-pipeline", "--target", "codebuild", "--project", "Slc")

    assert ran.code == 0
    assert "start-ci-build" in Path(".github/workflows/ci-Slc.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "--name"),
        (["--target", "codebuild"], "--project"),
        (["--name", "a", "--project", "b"], "--project is for --target codebuild"),
        (["--target", "codebuild", "--project", "b", "--name", "a"], "--name is for --target space"),
        (["--target", "codebuild", "--project", "b", "--skip-registry"], "--skip-registry is for --target space"),
        (["--name", "a", "--skip-registry", "--registry-name", "b"], "contradict"),
        (["--name", "a b"], "--name 'a b' is invalid"),
        (["--name", "a", "--docker-context", "${{ github.token }}"], "GitHub would evaluate"),
        (["--name", "a", "--role-arn", "x"], "ARN of a role"),
        (["--name", "a", "--output-path", ""], "the path is empty"),
    ],
)
def test_invalid_pipeline_options_exit_2_and_write_nothing(program, arguments, says):
    ran = program("generate-pipeline", *arguments)

    assert ran.code == 2
    assert says in ran.stderr
    assert not Path(".github").exists()


def test_output_path_that_is_file_exits_2(program):
    Path(".github").write_text("")

    ran = program("generate-pipeline", "--name", "my-space")

    assert ran.code == 2
    assert "is not a directory" in ran.stderr


def test_preview_option_writes_second_workflow(program):
    ran = program("generate-pipeline", "--name", "my-space", "--preview", "--environment", "production")

    assert ran.code == 0
    preview = FILE.with_name("preview-my-space.yaml")
    assert preview.is_file()
    assert 'environment: "production"' in FILE.read_text(encoding="utf-8")
    assert "runs of preview-my-space.yaml is the repository's secret AWS_PREVIEW_ROLE_ARN" in ran.stderr
    preview.write_text("", encoding="utf-8")
    checked = program("generate-pipeline", "--name", "my-space", "--preview", "--environment", "production", "--check")
    assert checked.code == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--preview", "--skip-registry"), "--preview needs a registry"),
        (("--preview-role-arn", "arn:aws:iam::123456789012:role/p"), "--preview-role-arn needs --preview"),
        (("--environment", ""), "--environment '' is invalid"),
    ],
)
def test_invalid_preview_options_exit_2(program, options, message):
    ran = program("generate-pipeline", "--name", "my-space", *options)

    assert (ran.code, FILE.exists()) == (2, False)
    assert message in ran.stderr
