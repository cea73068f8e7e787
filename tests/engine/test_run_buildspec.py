"""`run-buildspec` as a process, with a real Docker engine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engine.conftest import list_containers

pytestmark = pytest.mark.engine

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=30)


class Repository:
    """A directory with a buildspec, and functions that run the program in it."""

    def __init__(self, folder: Path, image: str) -> None:
        self.folder, self.image = folder, image

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "exasol_ci_setup", *arguments]

    def program(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def build(self, spec: object, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        text = spec if isinstance(spec, str) else yaml.safe_dump(spec, allow_unicode=True)
        (self.folder / "build.yaml").write_text(text, encoding="utf-8")
        return self.program("run-buildspec", "build.yaml", "--image", self.image, *arguments, **environment)


@pytest.fixture
def repository(tmp_path: Path, image: str, containers: list[str]):
    yield Repository(tmp_path, image)
    assert list_containers() == containers, "a container was left behind"


def spec(*commands: str, **more: object) -> dict[str, object]:
    return {"version": "0.2", "phases": {"build": {"commands": list(commands)}}, **more}


@pytest.fixture
def generated(repository: Repository) -> Callable[..., Repository]:
    """A function that generates buildspecs with a build command in a repository with two flavors."""

    def generate(build_command: str, *options: str) -> Repository:
        for name in ("python-3.10", "r-4"):
            (repository.folder / "flavors" / name).mkdir(parents=True)
            (repository.folder / "flavors" / name / "flavor").write_text(name, encoding="utf-8")
        ran = repository.program(
            "generate-buildspec",
            *("--flavor-root-path", "flavors", "--install-command", "true", "--build-command", build_command, *options),
        )
        assert ran.returncode == 0, ran.stderr
        return repository

    return generate


STUB = 'mkdir -p .build_output/jobs/logs; echo "built $FLAVOR" | tee .build_output/jobs/logs/log; exit $STATUS'
LOGIN = {"DOCKER_USER": "me", "DOCKER_PASSWORD": "sesame-open"}


def test_generated_build_runs_and_artifacts_are_collected(generated):
    repository = generated(STUB)

    ran = repository.program(
        "run-buildspec", "--flavor", "python-3.10", "--image", repository.image, "--env", "STATUS=0", **LOGIN
    )

    assert ran.returncode == 0, ran.stderr
    assert "built python-3.10" in ran.stdout
    assert "docker login --username me --password-stdin" in ran.stdout
    (folder,) = (repository.folder / ".run-buildspec" / "build_python_310").iterdir()
    assert folder.name.startswith("build_output_2")
    assert (folder / "jobs" / "logs" / "log").read_text() == "built python-3.10\n"
    assert not (repository.folder / ".build_output").exists(), "the build worked on the source itself"
    assert "sesame-open" not in ran.stdout + ran.stderr


def test_failed_generated_build_exits_6_and_keeps_artifacts(generated):
    repository = generated(STUB)

    ran = repository.program(
        "run-buildspec",
        "--flavor",
        "r-4",
        "--image",
        repository.image,
        "--env",
        "STATUS=9",
        "--output",
        "json",
        **LOGIN,
    )

    assert ran.returncode == 6
    records = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [(each["phase"], each["status"]) for each in records if each["type"] == "phase"] == [
        ("install", "SUCCEEDED"),
        ("pre_build", "SUCCEEDED"),
        ("build", "FAILED"),
    ]
    assert "built r-4" in [each["message"] for each in records if each["type"] == "log"]
    (artifacts,) = [each for each in records if each["type"] == "artifacts"]
    assert "jobs/logs/log" in artifacts["files"]
    assert records[-1]["code"] == "build-failed"
    assert "build build_r_4 failed in phase build" in records[-1]["message"]
    assert "exit status 9" in records[-1]["message"]


def test_only_requested_flavor_of_build_runs(generated):
    repository = generated('echo "built $FLAVOR"', "--flavors-per-build", "2")

    ran = repository.program("run-buildspec", "--flavor", "r-4", "--image", repository.image, **LOGIN)

    assert "built r-4" in ran.stdout
    assert "built python-3.10" not in ran.stdout


@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=20))
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_commands_and_values_reach_shell_unchanged(repository, pairs):
    quoted = ["'" + text.replace("'", "'\\''") + "'" for _, text in pairs]
    commands = [f"printf '%s\\0%s\\0' \"$V{number}\" {text}" for number, text in enumerate(quoted)]
    # As JSON, which is also YAML: its escapes keep characters that are line breaks in YAML.
    text = json.dumps(spec(*commands, env={"variables": {f"V{n}": value for n, (value, _) in enumerate(pairs)}}))

    ran = repository.build(text)

    assert ran.returncode == 0, ran.stderr
    # A newline follows the output of each command that does not end with one.
    assert ran.stdout == "".join(f"{value}\0{text}\0\n" for value, text in pairs)


def test_variables_and_directory_persist_across_phases(repository):
    ran = repository.build(
        {
            "version": "0.2",
            "env": {"shell": "bash", "exported-variables": ["OUT", "TOKEN"], "secrets-manager": {"TOKEN": "t"}},
            "phases": {
                "install": {"commands": ["cd /tmp", "list=(a b)"]},
                "pre_build": {"commands": ['OUT="$PWD ${BASH_VERSION:+bash}"']},
                "build": {"commands": ['echo "out: $OUT, token: $TOKEN"', 'cd "$CODEBUILD_SRC_DIR" && ls']},
            },
        },
        TOKEN="sesame-open",
    )

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "out: /tmp bash, token: ***\nbuild.yaml\n"
    assert "exported OUT=/tmp bash" in ran.stderr
    assert "exported TOKEN=***" in ran.stderr


def test_post_build_runs_after_failed_build(repository):
    ran = repository.build(
        {
            "version": "0.2",
            "phases": {
                "build": {"commands": ["false", "echo never"], "finally": ["echo finally"]},
                "post_build": {"commands": ['echo "succeeding: $CODEBUILD_BUILD_SUCCEEDING"']},
            },
        }
    )

    assert ran.returncode == 6
    assert ran.stdout == "finally\nsucceeding: 0\n"


def test_background_process_does_not_block_end_of_build(repository):
    ran = repository.build(spec("sleep 1000 &", "(while sleep 0.1; do echo tick; done) &", "echo done"))

    assert ran.returncode == 0, ran.stderr
    assert "done\n" in ran.stdout


def test_missing_artifacts_fail_build(repository):
    ran = repository.build(spec("true", artifacts={"files": ["none/*"]}))

    assert ran.returncode == 6
    assert "its artifacts cannot be saved: /codebuild/output/src/src/none does not exist" in ran.stderr


def test_links_become_files_and_earlier_artifacts_are_replaced(repository):
    build = spec(
        "mkdir -p out/bin; echo run > out/bin/tool; chmod +x out/bin/tool; ln -s tool out/bin/link",
        "ln -s /etc/passwd out/escape; echo log > a.log",
        artifacts={
            "files": ["**/*"],
            "base-directory": "$WHERE",
            "secondary-artifacts": {"logs": {"files": ["*.log"], "name": "../../logs-$(echo 1)"}},
        },
        env={"variables": {"WHERE": "out"}},
    )
    folder = repository.folder / "kept"
    repository.build(build, "--artifacts-dir", "kept")
    (folder / "build" / "artifacts" / "old").write_text("old")

    ran = repository.build(build, "--artifacts-dir", "kept")

    assert ran.returncode == 0, ran.stderr
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == [
        ".gitignore",
        "build/artifacts/bin/link",
        "build/artifacts/bin/tool",
        "build/logs-1/a.log",
    ]
    assert not (folder / "build/artifacts/bin/link").is_symlink()
    assert (folder / "build/artifacts/bin/tool").stat().st_mode & 0o111


def test_odd_links_and_names_are_skipped_or_copied(repository):
    (repository.folder / os.fsdecode(b"\xff")).write_text("odd")
    (repository.folder / "loop").symlink_to("loop")
    os.mkfifo(repository.folder / "pipe")

    ran = repository.build(spec("ln -s self self; ln -s b a; ln -s a b; echo 1 > file", artifacts={"files": ["**/*"]}))

    assert ran.returncode == 0, ran.stderr
    names = {path.name for path in (repository.folder / ".run-buildspec/build/artifacts").iterdir()}
    assert names == {os.fsdecode(b"\xff"), "build.yaml", "file"}


def test_link_in_place_of_artifact_folder_is_replaced(repository):
    build = spec("echo 1 > file", artifacts={"files": ["file"]})
    repository.build(build)
    folder = repository.folder / ".run-buildspec" / "build"
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to("elsewhere")

    ran = repository.build(build)

    assert ran.returncode == 0, ran.stderr
    assert not folder.is_symlink()
    assert (folder / "artifacts" / "file").read_text() == "1\n"


def test_secret_in_exported_variable_is_redacted(repository):
    ran = repository.build(
        spec(
            'URL="https://me:$TOKEN@host"',
            env={"exported-variables": ["URL"], "secrets-manager": {"TOKEN": "t"}},
        ),
        TOKEN="sesame-open",
    )

    assert "exported URL=https://me:***@host" in ran.stderr
    assert "sesame" not in ran.stdout + ran.stderr


def test_removed_directory_fails_only_next_command(repository):
    remove = "mkdir x; cd x; rmdir ../x"
    artifacts = {"files": ["build.yaml"]}

    last = repository.build(spec(remove, artifacts=artifacts))
    not_last = repository.build(spec(remove, "echo never", artifacts=artifacts))

    assert last.returncode == 0, last.stderr
    assert not_last.returncode == 6
    assert "`echo never` ended with exit status 1" in not_last.stderr


def test_build_that_removes_internal_files_fails(repository):
    ran = repository.build(spec("rm -rf /codebuild/output/tmp", "false"))

    assert ran.returncode == 6
    assert "`rm -rf /codebuild/output/tmp` ended with exit status" in ran.stderr


def test_control_characters_are_removed_from_messages(repository):
    ran = repository.build(
        spec(
            "X=$(printf 'a\\033[2Jb')",
            env={"exported-variables": ["X"]},
            artifacts={"files": ["build.yaml"], "name": "$(printf 'c\\033[2Jd')"},
        )
    )

    assert ran.returncode == 0, ran.stderr
    assert "exported X=a" in ran.stderr
    assert "\x1b[2J" not in ran.stderr


def test_build_gets_copy_with_uncommitted_files(repository):
    (repository.folder / ".hidden").write_text("h")
    (repository.folder / "link").symlink_to(".hidden")
    (repository.folder / "tool").write_text("#!/bin/sh\necho tool\n")
    (repository.folder / "tool").chmod(0o755)

    ran = repository.build(spec("ls -A", "./tool", "cat link", "rm -rf .hidden; echo new > created"))

    assert ran.stdout == ".hidden\nbuild.yaml\nlink\ntool\ntool\nh\n"
    assert (repository.folder / ".hidden").exists()
    assert not (repository.folder / "created").exists()


def test_privileged_build_runs(repository):
    ran = repository.build(spec("echo ran"), "--privileged")

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "ran\n"


def test_missing_image_is_error(repository):
    ran = repository.build(spec("true"), "--image", "localhost:1/none:none")

    assert ran.returncode == 1
    assert "image localhost:1/none:none cannot be pulled" in ran.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_build_removes_container(repository, number):
    (repository.folder / "build.yaml").write_text(yaml.safe_dump(spec("echo begun", "sleep 1000")))
    process = subprocess.Popen(
        repository.command("run-buildspec", "build.yaml", "--image", repository.image),
        cwd=repository.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"

    process.send_signal(number)
    _, stderr = process.communicate()

    assert process.returncode == 130
    assert "interrupted" in stderr
    assert "Traceback" not in stderr


def test_killed_container_is_error_and_not_failed_build(repository, containers):
    (repository.folder / "build.yaml").write_text(yaml.safe_dump(spec("echo begun", "sleep 1000")))
    process = subprocess.Popen(
        repository.command("run-buildspec", "build.yaml", "--image", repository.image),
        cwd=repository.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"

    (own,) = set(list_containers()) - set(containers)
    subprocess.run(["docker", "kill", own], check=True, capture_output=True)
    _, stderr = process.communicate()

    assert process.returncode == 1
    assert "the container ended before the build did" in stderr


def test_container_of_killed_program_ends_after_current_command(repository, containers):
    (repository.folder / "build.yaml").write_text(yaml.safe_dump(spec("echo begun; sleep 1", "sleep 1000")))
    process = subprocess.Popen(
        repository.command("run-buildspec", "build.yaml", "--image", repository.image),
        cwd=repository.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"

    process.kill()
    process.communicate()

    while list_containers() != containers:
        time.sleep(0.1)
