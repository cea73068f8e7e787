"""`generate-buildspec` and `generate-release-buildspec`, as a user runs them."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml

from exasol_ci_setup.builds.buildspecs import DEFAULT_DOCKER_SECRET, DEFAULT_PYTHON_VERSION
from exasol_ci_setup.core.build_settings import DEFAULT_BATCH_LIMIT
from tests.builds.buildspecs.real import FLAVORS
from tests.origins import AT_COMMIT

ROOT = Path(__file__).parents[2]
CI = ("generate-buildspec", "--flavor-root-path", "flavors")
COMMANDS = ["generate-buildspec", "generate-buildspecs", "generate-release-buildspec", "generate-release-buildspecs"]


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with the flavors of the public one, which is the working directory."""
    for flavor in FLAVORS:
        (tmp_path / "flavors" / flavor).mkdir(parents=True)
    (tmp_path / "doc").mkdir()
    (tmp_path / "build_config.json").write_text(
        '{"build": {"ignore": {"paths": ["doc"]}, "base_branch": "master"}, "release": {"timeout_in_minutes": 60}}'
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tree(directory: str = "aws-code-build") -> dict[str, str]:
    return {str(path): path.read_text() for path in sorted(Path(directory).rglob("*")) if path.is_file()}


@pytest.mark.parametrize("command", COMMANDS)
def test_second_run_leaves_files_unchanged(command: str, program):
    kind = "release" if "release" in command else "ci"
    arguments = (command, "--flavor-root-path", "flavors", "--config-file", "build_config.json")

    first = program(*arguments)
    written = tree()
    times = {path: Path(path).stat().st_mtime_ns for path in written}
    second = program(*arguments)

    assert (first.code, second.code) == (0, 0)
    assert list(written) == [f"aws-code-build/{kind}/build_buildspec.yaml", f"aws-code-build/{kind}/buildspec.yaml"]
    assert first.stderr.splitlines() == [
        f"wrote aws-code-build/{kind}/buildspec.yaml",
        f"wrote aws-code-build/{kind}/build_buildspec.yaml",
        "7 flavors in 7 builds",
    ]
    assert first.stdout == second.stdout == ""
    assert "unchanged: " in second.stderr
    assert {path: Path(path).stat().st_mtime_ns for path in tree()} == times


def test_generated_files_pass_check(program):
    program(*CI)

    ran = program(*CI, "--check")

    assert (ran.code, ran.stdout) == (0, "")


@pytest.mark.parametrize("more", [(), ("--check",)])
@pytest.mark.parametrize("command", COMMANDS[::2])
def test_dangling_link_exits_2_and_writes_nothing(command: str, more: tuple[str, ...], program):
    Path("flavors/gone").symlink_to("../missing/gone")

    ran = program(command, "--flavor-root-path", "flavors", *more)

    assert ran.code == 2
    assert "'gone' → '../missing/gone'" in ran.stderr
    assert not Path("aws-code-build").exists()


@pytest.mark.parametrize("command", COMMANDS[::2])
def test_excluded_release_of_package_is_warned_of(command: str, program):
    Path("pyproject.toml").write_text('[tool.poetry.dependencies]\nexasol-script-languages-container-ci = "^5.0"\n')
    arguments = (command, "--flavor-root-path", "flavors")

    default = program(*arguments)
    own = program(*arguments, "--build-command", "true")

    assert default.code == 0
    assert "no --config-file: run-" in default.stderr
    assert "of exasol-script-languages-container-ci >=1.8,<3 needs it" in default.stderr
    assert "--build-command runs another command in place of run-" in default.stderr
    assert "pyproject.toml has exasol-script-languages-container-ci ^5.0" in default.stderr
    assert "`poetry add 'exasol-script-languages-container-ci>=1.8,<3'`" in default.stderr
    assert "warning" not in own.stderr


def test_other_line_ends_pass_check(program):
    program(*CI)
    for path in Path("aws-code-build/ci").iterdir():
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))

    checked = program(*CI, "--check")
    again = program(*CI)

    assert (checked.code, checked.stdout) == (0, "")
    assert "wrote" not in again.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("generate-buildspec", "--flavor-root-path", "."),
        ("generate-release-buildspec", "--flavor-root-path", ".", "--check"),
        ("generate-pipeline", "--target", "codebuild", "--project", "A", "--package", AT_COMMIT),
        ("run-buildspec",),
    ],
)
def test_command_below_root_exits_2(command, program, repository, monkeypatch):
    (repository / ".git").mkdir()
    monkeypatch.chdir("flavors")

    ran = program(*command)

    assert ran.code == 2
    assert f"flavors is below the root of its repository, {repository}" in ran.stderr
    assert f"`cd {repository}`" in ran.stderr
    assert not list(Path().glob("aws-code-build")) + list(Path().glob(".github"))


def test_pipeline_is_written_to_root_from_below(program, repository, monkeypatch):
    (repository / ".git").mkdir()
    monkeypatch.chdir("flavors")

    ran = program(
        *("generate-pipeline", "--target", "codebuild", "--project", "A", "--package", AT_COMMIT),
        *("--output-path", "../.github/workflows"),
    )

    assert ran.code == 0, ran.stderr
    assert (repository / ".github/workflows/ci-A.yaml").is_file()


def test_check_reports_new_flavor_and_writes_nothing(program):
    program(*CI)
    before = tree()
    Path("flavors/new-1.0").mkdir()

    ran = program(*CI, "--check")

    assert ran.code == 5
    assert ran.stdout.startswith("--- aws-code-build/ci/buildspec.yaml (on disk)\n+++ aws-code-build/ci/buildspec.yaml")
    assert '\n+    - identifier: "build_new_10"\n' in ran.stdout
    assert "error: aws-code-build/ci/buildspec.yaml is not up to date" in ran.stderr
    assert tree() == before


def test_check_reports_missing_file_and_creates_no_directory(program):
    ran = program(*CI, "--check")

    assert ran.code == 5
    assert ran.stdout.count("--- /dev/null\n") == 2
    assert "buildspec.yaml and aws-code-build/ci/build_buildspec.yaml are not up to date" in ran.stderr
    assert not Path("aws-code-build").exists()


def test_check_passes_for_other_spellings_of_paths(repository: Path, program):
    program(*CI, "--config-file", "build_config.json")

    ran = program(
        *("generate-buildspecs", "--check", "--flavor-root-path", str(repository / "flavors")),
        *(
            "--config-file",
            str(repository / "build_config.json"),
            "--output-path",
            str(repository / "aws-code-build/ci"),
        ),
    )

    assert ran.code == 0, ran.stdout + ran.stderr


def test_json_has_record_per_file_and_result(program):
    written = program(*CI, "--output", "json")
    Path("flavors/new").mkdir()
    checked = program(*CI, "--output", "json", "--check")

    assert [(each["type"], each.get("path"), each.get("status")) for each in written.records] == [
        ("file", "aws-code-build/ci/buildspec.yaml", "written"),
        ("file", "aws-code-build/ci/build_buildspec.yaml", "written"),
        ("result", None, "done"),
    ]
    assert written.records[-1]["flavors"] == written.records[-1]["builds"] == 7
    stale, fresh, result, error = checked.records
    assert (stale["status"], fresh["status"], result["status"], result["changed"]) == (
        "stale",
        "up-to-date",
        "different",
        False,
    )
    assert "+          FLAVOR: " in stale["diff"]
    assert (error["type"], error["exit_code"]) == ("error", 5)


def test_path_of_build_buildspec_is_relative_to_root(program):
    program(*CI, "--output-path", "./ci//here/../specs")

    batch = yaml.safe_load(Path("ci/specs/buildspec.yaml").read_text())

    assert {build["buildspec"] for build in batch["batch"]["build-graph"]} == {"./ci/specs/build_buildspec.yaml"}
    assert Path("ci/specs/build_buildspec.yaml").is_file()


def test_options_reach_files(program):
    ran = program(
        *(*CI, "--config-file", "./build_config.json", "--docker-secret", "registry", "--python-version", "3.12"),
        *("--install-command", "make tools", "--build-command", "make one\nmake two", "--flavors-per-build", "4"),
    )

    assert (ran.code, ran.stderr.splitlines()[-1]) == (0, "7 flavors in 2 builds")
    build = yaml.safe_load(Path("aws-code-build/ci/build_buildspec.yaml").read_text())
    assert build["env"]["variables"]["CONFIG_FILE"] == "build_config.json"
    assert build["env"]["secrets-manager"]["DOCKER_USER"] == "registry:User"
    assert build["phases"]["install"] == {
        "runtime-versions": {"python": "3.12"},
        "commands": ["git submodule update --init --recursive", "make tools"],
    }
    assert "\nmake one\nmake two\n" in build["phases"]["build"]["commands"][0]


def test_help_shows_real_defaults(program):
    output = " ".join(program("generate-buildspec", "--help").stdout.split())

    for default in (DEFAULT_BATCH_LIMIT, DEFAULT_DOCKER_SECRET, DEFAULT_PYTHON_VERSION, "./aws-code-build/ci"):
        assert f"[default: {default}]" in output


def test_default_command_without_config_file_warns(program):
    assert "warning: no --config-file: run-ci" in program(*CI).stderr
    assert "warning" not in program(*CI, "--build-command", "make").stderr
    assert "warning" not in program(*CI, "--config-file", "build_config.json").stderr
    Path("build_config.json").write_text('{"build": {"ignore": {"paths": []}, "base_branch": "main"}}')
    assert "has no release.timeout_in_minutes" in program(*CI, "--config-file", "build_config.json").stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--flavor-root-path", "nowhere"], "nowhere does not exist"),
        (["--flavor-root-path", "build_config.json"], "build_config.json is not a directory"),
        (["--flavor-root-path", "doc"], "no flavor found in doc"),
        (["--output-path", ""], "Invalid value for '--output-path': the path is empty"),
        (["--config-file", ""], "Invalid value for '--config-file': the path is empty"),
        (["--flavor-root-path", ""], "Invalid value for '--flavor-root-path': the path is empty"),
        (["--output-path", "a\\b"], "contains a backslash"),
        (["--output-path", "a\udcff"], "--output-path 'a\\udcff' is invalid: it is not valid UTF-8"),
        (["--build-command", "a\udcff"], "--build-command 'a\\udcff' is invalid: it is not valid UTF-8"),
        (["--output-path", "../out"], "the output path ../out is outside of"),
        (["--output-path", "build_config.json/x"], "build_config.json"),
        (["--output-path", "build_config.json"], "build_config.json is not a directory"),
        (["--output-path", "a" * 300], "File name too long"),
        (["--config-file", "../config.json"], "the config file ../config.json is outside of"),
        (["--config-file", "none.json"], "the config file none.json does not exist"),
        (["--config-file", "flavors"], "the config file flavors cannot be read"),
        (["--flavors-per-build", "0"], "--flavors-per-build"),
        (["--batch-limit", "3"], "7 flavors are too many for one batch of at most 3 builds"),
        (["--batch-limit", "3"], "--flavors-per-build 3"),
        (["--docker-secret", "a b"], "--docker-secret 'a b' is invalid"),
        (["--build-command", ""], "--build-command is empty"),
        (
            ["--compute-type", "tiny"],
            "--compute-type 'tiny' is invalid: use small, medium, large, xlarge or 2xlarge, or a name of CodeBuild",
        ),
        (["--variable", "A"], "write NAME=VALUE"),
        (["--variable", "A=1", "--variable", "A=2"], "--variable sets A twice"),
        (["--variable", "A-B=1"], "--variable 'A-B' is invalid"),
        (["--variable", "CODEBUILD_X=1"], "CODEBUILD_ is reserved"),
        (["--variable", "FLAVOR=1"], "--variable FLAVOR is invalid: the files set this variable"),
        (["--report-file", " "], "--report-file is empty"),
        (["--flavor", "a b"], "flavor 'a b' cannot be built"),
        (["--exclude", "*"], "no flavor found in flavors: it contains no directory that is not excluded"),
    ],
)
def test_bad_input_names_option_and_writes_nothing(arguments: list[str], expected: str, program):
    before = tree(".")

    ran = program(*CI, *arguments)

    assert (ran.code, ran.stdout) == (2, "")
    assert expected in ran.stderr
    assert tree(".") == before


def test_log_lists_found_flavors(program):
    ran = program(*CI, "--log-level", "info")

    assert f"flavors in flavors: {', '.join(repr(flavor) for flavor in sorted(FLAVORS))}" in ran.stderr


def test_directory_flavors_is_default_root(program):
    assert "7 flavors in 7 builds" in program("generate-buildspec").stderr


def test_root_or_flavor_is_required(program, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")

    ran = program("generate-buildspec")

    assert ran.code == 2
    assert "--flavor-root-path or --flavor is required" in ran.stderr


OWN = ("--build-command", "docker build .", "--docker-secret", "none")


@pytest.mark.parametrize("more", [(), ("--flavors-per-build", "2")])
@pytest.mark.parametrize("command", COMMANDS[::2])
def test_files_with_own_command_name_no_other_company(command: str, more: tuple[str, ...], program):
    ran = program(command, "--flavor", "web", "--flavor", "api", *OWN, *more)

    assert ran.code == 0, ran.stderr
    for text in tree().values():
        assert not re.search(
            "exadocker|exasol(?!-ci-setup)|poetry|docker_|docker login|runtime-versions|none:", text, re.IGNORECASE
        )
        assert len(re.findall("exasol-ci-setup", text)) == 1


@pytest.mark.parametrize("command", COMMANDS[::2])
def test_default_command_without_login_passes_no_credentials(command: str, program):
    program(command, "--flavor", "a", "--docker-secret", "none")

    [text] = [text for path, text in tree().items() if path.endswith("build_buildspec.yaml")]
    assert "DOCKER_USER" not in text
    assert "docker-password" not in text
    script = yaml.safe_load(text)["phases"]["build"]["commands"][0]
    assert subprocess.run(["bash", "-n", "-c", script], check=False).returncode == 0


def test_own_command_keeps_parts_that_are_set(program):
    program(*CI, *OWN, "--install-command", "make tools", "--python-version", "3.12", "--variable", "B=$HOME é")

    build = yaml.safe_load(Path("aws-code-build/ci/build_buildspec.yaml").read_text())
    assert build["env"] == {"shell": "bash", "variables": {"B": "$HOME é", "CUSTOM_BRANCH": ""}}
    assert build["phases"]["install"] == {
        "runtime-versions": {"python": "3.12"},
        "commands": ["git submodule update --init --recursive", "make tools"],
    }


def test_variable_overrides_that_of_default_command(program):
    program(*CI, "--variable", "BUILD_DOCKER_REPOSITORY=acme/cache", "--variable", "NO=off")

    variables = yaml.safe_load(Path("aws-code-build/ci/build_buildspec.yaml").read_text())["env"]["variables"]
    assert variables["BUILD_DOCKER_REPOSITORY"] == "acme/cache"
    assert variables["RELEASE_DOCKER_REPOSITORY"] == "exasol/script-language-container"
    assert variables["NO"] == "off"


def test_options_of_host_are_in_batch_and_in_command_for_stack(program):
    options = ("--compute-type", "BUILD_GENERAL1_LARGE", "--batch-limit", "200")
    flags = ("--no-privileged", "--report-file", "out/**/*.xml")

    ran = program(*CI, *OWN, *options, *flags, "--output-path", "./ci")

    batch = yaml.safe_load(Path("ci/buildspec.yaml").read_text())["batch"]["build-graph"]
    assert {(each["env"]["compute-type"], each["env"]["privileged-mode"]) for each in batch} == {
        ("BUILD_GENERAL1_LARGE", False)
    }
    build = yaml.safe_load(Path("ci/build_buildspec.yaml").read_text())
    assert build["reports"] == {"tests": {"files": ["out/**/*.xml"]}}
    assert (
        "deploy the stack with --buildspec ci/buildspec.yaml --docker-secret none --compute-type BUILD_GENERAL1_LARGE"
        " --batch-limit 200 --no-privileged --test-reports"
    ) in ran.stderr


@pytest.mark.parametrize("command", COMMANDS[::2])
def test_default_files_need_no_options_of_stack(command: str, program):
    assert "deploy the stack with" not in program(command, "--flavor-root-path", "flavors").stderr


@pytest.fixture
def empty(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty repository, which is the working directory."""
    folder = tmp_path_factory.mktemp("empty")
    monkeypatch.chdir(folder)
    return folder


def flavors_in(path: str) -> list[str]:
    return [
        each["env"]["variables"]["FLAVOR"] for each in yaml.safe_load(Path(path).read_text())["batch"]["build-graph"]
    ]


@pytest.mark.parametrize(
    ("folders", "arguments", "batch", "expected"),
    [
        (["images/web"], ["--flavor-root-path", "."], "aws-code-build/ci/buildspec.yaml", ["images"]),
        (["web", "ci"], ["--flavor-root-path", ".", "--output-path", "ci"], "ci/buildspec.yaml", ["web"]),
        (["web"], ["--flavor-root-path", ".", "--output-path", "build/ci"], "build/ci/buildspec.yaml", ["web"]),
        (
            ["images/web"],
            ["--flavor-root-path", "images", "--output-path", "images/out"],
            "images/out/buildspec.yaml",
            ["web"],
        ),
        (
            ["images/web", "more/api"],
            ["--flavor-root-path", "images", "--flavor-root-path", "more", "--output-path", "more/out/ci"],
            "more/out/ci/buildspec.yaml",
            ["api", "web"],
        ),
        (
            ["images/web"],
            ["--flavor-root-path", "images", "--output-path", "images/web/ci"],
            "images/web/ci/buildspec.yaml",
            ["web"],
        ),
        (
            ["images/web/src"],
            ["--flavor-root-path", "images", "--output-path", "images/web/ci"],
            "images/web/ci/buildspec.yaml",
            ["web"],
        ),
    ],
)
def test_directory_with_only_output_is_no_flavor(
    empty: Path, folders: list[str], arguments: list[str], batch: str, expected: list[str], program
):
    for folder in folders:
        (empty / folder).mkdir(parents=True)
    command = ("generate-buildspec", *arguments, *OWN)

    first = program(*command)
    assert (first.code, flavors_in(batch)) == (0, expected), first.stderr
    assert program(*command, "--check").code == 0
    assert "unchanged: " in program(*command).stderr


def test_output_of_ci_is_no_flavor_of_release(empty: Path, program):
    (empty / "web").mkdir()
    config = empty / "aws-code-build" / "build_config.json"
    config.parent.mkdir()
    config.write_text('{"release": {"timeout_in_minutes": 60}}')
    arguments = ("--flavor-root-path", ".", *OWN, "--config-file", str(config))

    for command in COMMANDS[::2] * 2:
        assert program(command, *arguments).code == 0
    assert (
        flavors_in("aws-code-build/ci/buildspec.yaml") == flavors_in("aws-code-build/release/buildspec.yaml") == ["web"]
    )
    assert [program(command, *arguments, "--check").code for command in COMMANDS[::2]] == [0, 0]


def test_directory_with_other_files_beside_output_is_flavor(empty: Path, program):
    (empty / "web").mkdir()
    arguments = ("generate-buildspec", "--flavor-root-path", ".", "--output-path", "tools/ci", *OWN)
    program(*arguments)
    (empty / "tools" / "Dockerfile").touch()

    program(*arguments)

    assert flavors_in("tools/ci/buildspec.yaml") == ["tools", "web"]


def test_flavor_without_directory_is_one_build(empty: Path, program):
    (empty / "Dockerfile").write_text("FROM scratch\n")

    refused = program("generate-buildspec", "--flavor-root-path", ".", *OWN)
    ran = program("generate-buildspec", "--flavor", "app", *OWN)

    assert (refused.code, ran.code) == (2, 0)
    assert "no flavor found in .: it contains no directory" in refused.stderr
    assert "`--flavor app` in place of --flavor-root-path" in refused.stderr
    assert flavors_in("aws-code-build/ci/buildspec.yaml") == ["app"]


def test_excluded_directories_are_no_flavors(empty: Path, program):
    for name in ("web", "api", "test-web"):
        (empty / name).mkdir()
    (empty / "docs").symlink_to("nowhere")

    ran = program("generate-buildspec", "--flavor-root-path", ".", "--exclude", "test-*", "--exclude", "docs", *OWN)

    assert ran.code == 0
    assert flavors_in("aws-code-build/ci/buildspec.yaml") == ["api", "web"]


def test_flavors_with_equal_identifiers_are_both_named(program):
    Path("flavors/python-3.1.0").mkdir()
    Path("flavors/python-31.0").mkdir()

    ran = program(*CI)

    assert ran.code == 2
    assert "python-3.1.0 and python-31.0 would both be build_python_310" in ran.stderr


def test_flavor_with_space_is_refused(program):
    Path("flavors/a b").mkdir()

    ran = program(*CI)

    assert ran.code == 2
    assert "'a b'" in ran.stderr


@pytest.mark.skipif(sys.platform == "darwin", reason="file names are Unicode there")
def test_flavor_with_invalid_encoding_is_refused(program):
    Path("flavors", os.fsdecode(b"\xff")).mkdir()

    ran = program(*CI)

    assert ran.code == 2
    assert r"'\udcff'" in ran.stderr


def test_thousand_flavors_need_groups(program):
    for number in range(1000):
        Path("many", f"flavor-{number}").mkdir(parents=True)
    many = ("generate-buildspec", "--flavor-root-path", "many")

    refused = program(*many)
    grouped = program(*many, "--flavors-per-build", "10")

    assert refused.code == 2
    assert "1000 flavors are too many for one batch of at most 100 builds" in refused.stderr
    assert "--flavors-per-build 10" in refused.stderr
    assert grouped.code == 0
    batch = yaml.safe_load(Path("aws-code-build/ci/buildspec.yaml").read_text())["batch"]["build-graph"]
    assert len(batch) == 100
    assert {len(build["env"]["variables"]["FLAVORS"].split()) for build in batch} == {10}


@pytest.mark.parametrize("number", range(2))
def test_defined_pre_commit_hooks_run(number: int, program):
    hook = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))[number]
    name, *arguments = shlex.split(hook["entry"]) + hook["args"]
    assert (name, hook["pass_filenames"], hook["always_run"]) == ("exasol-ci-setup", False, True)

    before = program(*arguments)
    program(*(each for each in arguments if each != "--check"))
    after = program(*arguments)

    assert (before.code, after.code) == (5, 0)


def test_first_example_of_documentation_works(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, program
):
    monkeypatch.chdir(tmp_path_factory.mktemp("example"))
    page = (ROOT / "docs/buildspecs.md").read_text(encoding="utf-8")
    _, *examples = page.split("```sh\n")[1].split("```")[0].split("$ ")
    for example in examples:
        command, *expected = example.splitlines()
        name, *arguments = shlex.split(command)
        if name == "mkdir":
            for path in arguments[1:]:
                Path(path).mkdir(parents=True)
        else:
            assert name == "exasol-ci-setup"
            ran = program(*arguments)
            assert ran.code == 0
            assert expected
            assert set(expected) <= set(ran.stderr.splitlines())
    entry = page.split("```yaml\n")[1].split("```")[0]
    assert entry in Path("aws-code-build/ci/buildspec.yaml").read_text()


def test_commands_import_neither_aws_nor_linter():
    check = (
        "import sys\n"
        "from exasol_ci_setup.cli.main import cli\n"
        "from exasol_ci_setup.cli.commands.buildspecs import generate_buildspec\n"
        "from exasol_ci_setup.cli.session import Session\n"
        "generate_buildspec.main(['--flavor-root-path', 'flavors'], standalone_mode=False, obj=Session())\n"
        "print(sorted({'boto3', 'botocore', 'cfnlint', 'rich', 'ministack'} & set(sys.modules)))\n"
    )

    ran = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)

    assert json.loads(ran.stdout) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_have_no_aws_options(command: str, program):
    output = click.unstyle(program(command, "--help").stdout)

    assert "--log-level" in output
    assert "--output " in output
    assert "--aws-profile" not in output
