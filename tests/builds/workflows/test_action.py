"""The action of this repository: its steps in bash with files of the runner, against the sandbox and an API of comments."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from exasol_ci_setup.aws.session import Account
from exasol_ci_setup.builds.workflows import ACTIONS
from exasol_ci_setup.sandbox.server import Server
from tests.builds.workflows import github_api
from tests.builds.workflows.github_api import TOKEN, Comment, GitHub

ROOT = Path(__file__).parents[3]
FILE = ROOT / "action.yml"
PAGE = (ROOT / "docs" / "github-actions.md").read_text(encoding="utf-8")
ACTION: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
CI = "ci-build --project Slc --project-url https://github.com/o/r"
HOSTILE = [
    "$(touch HACKED) `touch HACKED`",
    "x; touch HACKED || touch HACKED",
    '"; touch HACKED; "',
    "'; touch HACKED; '",
    "a\ntouch HACKED\n",
    "${{ github.token }}::error::HACKED",
    "exit-code=0\nHACKED=1",
]
hostile = pytest.mark.parametrize("text", HOSTILE)


@dataclass
class Ran:
    """The end of a run of the action: exit code, log, files of the runner, and outputs."""

    code: int
    log: str
    summary: str
    outputs: dict[str, str]
    skipped: list[str] = field(default_factory=list)

    @property
    def document(self) -> str:
        return Path(self.outputs["document"]).read_text(encoding="utf-8")


@dataclass
class Runner:
    """Runs the steps of the action as GitHub's runner does: an input reaches a step as an environment variable."""

    folder: Path
    environment: dict[str, str]

    def __post_init__(self) -> None:
        for name in ("temp", "work"):
            (self.folder / name).mkdir(parents=True)

    @property
    def work(self) -> Path:
        return self.folder / "work"

    def run(self, *names: str, **inputs: str) -> Ran:
        """Run the steps with these names, by default all, until one fails."""
        chosen = {name.replace("_", "-"): value for name, value in inputs.items()}
        defaults = {name: str(each.get("default", "")) for name, each in ACTION["inputs"].items()}
        assert set(chosen) <= set(defaults)
        # This runner has no event and no token of a job.
        values = {f"inputs.{name}": "" if value.startswith("${{") else value for name, value in defaults.items()}
        values |= {f"inputs.{name}": value for name, value in chosen.items()}
        files = {
            name: self.folder / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_ENV", "GITHUB_PATH")
        }
        for path in files.values():
            path.write_text("", encoding="utf-8")
        ran = Ran(0, "", "", {})
        for step in STEPS:
            if names and step["name"] not in names:
                continue
            values |= {f"steps.run.outputs.{name}": value for name, value in ran.outputs.items()}
            if not _is_true(step.get("if", "true"), values):
                ran.skipped.append(step["name"])
                continue
            given = step.get("env", {})
            environment = {name: values.get(_expression(text), "") for name, text in given.items()}
            environment = {**self.environment, **environment, **{name: str(path) for name, path in files.items()}}
            self.step(step, environment, ran)
            lines = files["GITHUB_OUTPUT"].read_text(encoding="utf-8").splitlines()
            ran.outputs = dict(line.split("=", 1) for line in lines)
            ran.summary = files["GITHUB_STEP_SUMMARY"].read_text(encoding="utf-8")
            if ran.code:
                break
        assert files["GITHUB_ENV"].read_text() == files["GITHUB_PATH"].read_text() == ""
        return ran

    def step(self, step: dict[str, Any], environment: dict[str, str], ran: Ran) -> None:
        """Run one step, and add its end and its log to `ran`."""
        assert step["shell"] == "bash"
        script = self.folder / "step.sh"
        script.write_text(step["run"], encoding="utf-8")
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", script],
            cwd=self.work,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        ran.code = done.returncode
        ran.log += done.stdout

    def hacked(self) -> list[Path]:
        return list(self.folder.rglob("*HACKED*"))


def _expression(text: str) -> str:
    """Return the expression that an environment variable has as its value."""
    match = re.fullmatch(r"\$\{\{ (.+) \}\}", text)
    assert match, f"{text} is not only an expression"
    return match[1]


def _is_true(condition: str, values: dict[str, str]) -> bool:
    """Evaluate the only form of conditions in the action: comparisons of inputs with text, all of which must be true."""
    if condition == "true":
        return True
    compared = [re.fullmatch(r"(\S+) (==|!=) '(\w*)'", part) for part in condition.split(" && ")]
    return all((values.get(each[1], "") == each[3]) == (each[2] == "==") for each in compared if each)


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    """A runner without AWS, in which this program is installed already."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        "RUNNER_TEMP": str(tmp_path / "runner" / "temp"),
        "GITHUB_ACTION_PATH": str(ROOT),
        "GITHUB_WORKFLOW": "checks",
        "GITHUB_JOB": "plan",
        "GITHUB_REPOSITORY": "o/r",
        "CI": "true",
        "XDG_CACHE_HOME": os.environ["XDG_CACHE_HOME"],
    }
    runner = Runner(tmp_path / "runner", environment)
    installed = runner.folder / "temp" / "exasol-ci-setup"
    installed.mkdir()
    (installed / "bin").symlink_to(Path(sys.executable).parent)
    (installed / "installed").write_text(f"{ROOT}[aws]\n")
    return runner


@pytest.fixture
def on_aws(runner: Runner, server: Server, account_id: str) -> Runner:
    """A runner with a new account in the sandbox."""
    runner.environment |= {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": account_id,
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "eu-central-1",
    }
    return runner


@pytest.fixture
def github(runner: Runner, tmp_path: Path) -> Iterator[GitHub]:
    """GitHub's API, which the program `gh` of the runner uses."""
    if shutil.which("gh") is None:
        if "gh" in os.environ.get("EXASOL_CI_SETUP_REQUIRE", "").split(","):
            pytest.fail("gh is required, but not installed")
        pytest.skip("gh is not installed")
    with github_api.serve(tmp_path) as api:
        runner.environment |= {
            "GITHUB_SERVER_URL": api.url,
            "SSL_CERT_FILE": str(api.certificate),
            "GH_CONFIG_DIR": str(tmp_path / "gh"),
        }
        yield api


# --- The file


def test_action_is_valid_by_public_schema():
    checked = subprocess.run(
        [Path(sys.executable).with_name("check-jsonschema"), "--builtin-schema=vendor.github-actions", FILE],
        capture_output=True,
        text=True,
        check=False,
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_zizmor_reports_no_errors_in_action():
    checked = subprocess.run(
        [Path(sys.executable).with_name("zizmor"), "--offline", "--persona=auditor", "--no-progress", FILE],
        capture_output=True,
        text=True,
        check=False,
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_inputs_reach_steps_as_environment_variables_only():
    assert not any("${{" in step["run"] for step in STEPS)
    used = " ".join(value for step in STEPS for value in step.get("env", {}).values())
    used += " ".join(step.get("if", "") for step in STEPS)
    assert all(f"inputs.{name}" in used for name in ACTION["inputs"])


def test_action_uses_no_other_actions_and_token_in_one_step():
    assert not any("uses" in step for step in STEPS)
    assert [step["name"] for step in STEPS if "inputs.token" in str(step)] == ["Write the comment"]


# --- Checks and validation


def test_check_of_current_files_exits_0(runner: Runner):
    (runner.work / "flavors" / "one").mkdir(parents=True)
    subprocess.run(
        [Path(sys.executable).with_name("exasol-ci-setup"), "generate-buildspec", "--flavor-root-path", "flavors"],
        cwd=runner.work,
        env=runner.environment,
        check=True,
        capture_output=True,
    )

    ran = runner.run(command="check", arguments="--flavor-root-path flavors")

    assert (ran.code, ran.outputs["exit-code"]) == (0, "0")
    assert ran.summary.startswith("## 0 of 2 generated files outdated\n")
    assert ran.skipped == ["Write the comment"]


def test_outdated_files_of_releases_in_subdirectory_exit_5(runner: Runner):
    (runner.work / "sub dir" / "flavors" / "one").mkdir(parents=True)

    ran = runner.run(
        command="check",
        arguments='release-buildspec\n  --flavor-root-path "flavors"\n',
        working_directory="sub dir",
    )

    assert (ran.code, ran.outputs["exit-code"]) == (5, "5")
    assert ran.summary.startswith("## 2 of 2 generated files outdated\n")
    assert "aws-code-build/release/buildspec.yaml" in ran.summary
    assert ran.document == ran.summary
    assert not (runner.work / "sub dir" / "aws-code-build").exists()


def test_validation_without_summary_writes_document_only(runner: Runner):
    ran = runner.run(command="validate", arguments=f"{CI} --offline", summary="false")

    assert (ran.code, ran.summary) == (0, "")
    assert ran.document.startswith("## The template of stack `Slc` is valid\n")


@pytest.mark.parametrize(
    "inputs",
    [
        {"command": "deploy", "arguments": CI},
        {"command": "plan", "arguments": "'open"},
        {"command": "plan", "arguments": "no-such-kind"},
        {"command": "plan", "arguments": ""},
        {"command": "validate", "arguments": "ci-build --no-such-option"},
    ],
)
def test_invalid_inputs_exit_2_with_reason(runner: Runner, inputs: dict[str, str]):
    ran = runner.run(**inputs)

    assert ran.code == 2
    assert ran.summary.startswith("## Failed\n")


def test_missing_directory_fails(runner: Runner):
    ran = runner.run(command="validate", arguments=f"{CI} --offline", working_directory="missing")

    assert ran.code == 1
    assert ran.summary.startswith("## Failed\n")


# --- Plans


@pytest.mark.live
def test_plan_prints_document_in_log_and_summary_and_changes_nothing(on_aws: Runner, live: Account):
    ran = on_aws.run(command="plan", arguments=f"{CI} --yes")

    assert (ran.code, ran.outputs["exit-code"]) == (0, "0")
    assert ran.summary.startswith("## Plan for stack `Slc` (new): 6 to add")
    assert ran.summary in ran.log
    assert live.client("cloudformation").describe_stacks()["Stacks"] == []


@pytest.mark.live
def test_plans_of_program_and_template(on_aws: Runner):
    (on_aws.work / "program.py").write_text(
        "from exasol_ci_setup import Registry, Scope\n"
        "def hangar_run():\n"
        '    Registry(scope=Scope(name="demo", region="eu-central-1"), name="one").deploy()\n'
    )
    (on_aws.work / "topic.yaml").write_text("Resources: {Topic: {Type: 'AWS::SNS::Topic'}}\n")

    for arguments in ("program program.py", "template topic.yaml --stack-name topic"):
        ran = on_aws.run(command="plan", arguments=arguments)
        assert ran.code == 0, ran.log
        assert ran.summary.startswith("## Plan for stack `")


@pytest.mark.live
def test_rejected_plan_returns_exit_code_of_command(on_aws: Runner):
    ran = on_aws.run(command="plan", arguments=f"{CI} --docker-secret missing")

    assert (ran.code, ran.outputs["exit-code"]) == (2, "2")
    assert "secret 'missing' does not exist" in ran.summary


# --- Hostile inputs


@hostile
def test_hostile_input_runs_nothing(runner: Runner, text: str):
    inputs = {"command": text, "arguments": text, "working_directory": text, "summary": "true", "comment_id": text}
    for changed in (inputs, {**inputs, "command": "validate", "working_directory": "."}):
        ran = runner.run(**changed)

        assert ran.code == 2
        assert runner.hacked() == []
        assert list(ran.outputs) == ["exit-code", "document"]


@hostile
def test_hostile_word_is_one_argument_of_command(runner: Runner, text: str):
    quoted = "'" + text.replace("'", "'\"'\"'") + "'"

    ran = runner.run(
        command="validate", arguments=f"ci-build --offline --project {quoted} --project-url https://github.com/o/r"
    )

    assert ran.code == 2
    assert runner.hacked() == []
    assert "--project" in ran.summary


def test_lines_of_log_are_no_commands_for_runner(runner: Runner):
    ran = runner.run(command="validate", arguments="ci-build '::error::x' --offline")

    lines = ran.log.splitlines()
    start, end = lines[0], lines[-1]
    token = start.removeprefix("::stop-commands::")
    assert re.fullmatch(r"[0-9a-f]{32}", token)
    assert end == f"::{token}::"
    assert not any(line.startswith("::") for line in lines[1:-1])
    assert not runner.run(command="validate").log.startswith(start)


# --- Installation


def wheel(folder: Path, text: str) -> Path:
    """Write a wheel with a program that prints `text`."""
    info = "exasol_ci_setup-1.0.dist-info"
    path = folder / "exasol_ci_setup-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("stub.py", f"def main(): print({text!r})\n")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: exasol-ci-setup\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/entry_points.txt", "[console_scripts]\nexasol-ci-setup = stub:main\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def test_package_is_installed_once(runner: Runner, tmp_path: Path):
    shutil.rmtree(runner.folder / "temp" / "exasol-ci-setup")
    runner.environment |= {"PIP_NO_INDEX": "1"}
    package = str(wheel(tmp_path, "hello"))

    for step in ("Install exasol-ci-setup", "Run the command"):
        ran = runner.run(step, command="validate", package=package, python=sys.executable)
        assert ran.code == 0, ran.log
    Path(package).unlink()
    again = runner.run("Install exasol-ci-setup", package=package, python="no-such-python")

    assert ran.summary == "hello\n"
    assert (again.code, again.log) == (0, "")


@pytest.mark.parametrize("text", [HOSTILE[0], HOSTILE[1], "--help", "-r/etc/passwd"])
def test_hostile_package_fails(runner: Runner, text: str):
    # Another input stays valid, so that pip receives the hostile one.
    (runner.folder / "temp" / "exasol-ci-setup" / "bin").unlink()
    (runner.folder / "temp" / "exasol-ci-setup" / "bin").mkdir()
    (runner.folder / "temp" / "exasol-ci-setup" / "bin" / "python").symlink_to(sys.executable)
    runner.environment |= {"PIP_NO_INDEX": "1"}

    ran = runner.run("Install exasol-ci-setup", package=text, python="true")

    assert ran.code != 0
    assert runner.hacked() == []
    assert (runner.folder / "temp" / "exasol-ci-setup" / "installed").read_text() == f"{ROOT}[aws]\n"


# --- Comments

REJECTED = {"command": "validate", "arguments": f"{CI}: --offline", "comment": "true", "token": TOKEN}


def comment(runner: Runner, text: str, **environment: str) -> Ran:
    """Run only the step that writes the comment, for a document with this text."""
    document = runner.folder / "document.md"
    document.write_text(text, encoding="utf-8")
    step = next(each for each in STEPS if each["name"] == "Write the comment")
    names = {"PULL_REQUEST": "7", "DOCUMENT": str(document), "GH_TOKEN": TOKEN, **environment}
    ran = Ran(0, "", "", {})
    runner.step(step, {**runner.environment, **names}, ran)
    return ran


def test_comment_is_created_and_updated_in_place(runner: Runner, github: GitHub):
    before = [Comment("hello", own=False), Comment("x", own=True), Comment("y", own=False)]
    github.comments[7] = list(before)

    comment(runner, "first\n")
    created = [each.body for each in github.comments[7][3:]]
    comment(runner, "second: é | `\n")
    updated = [each.body for each in github.comments[7][3:]]

    assert [body.partition("\n")[2] for body in created] == ["first\n"]
    assert [body.partition("\n")[2] for body in updated] == ["second: é | `\n"]
    assert github.comments[7][:3] == before


def test_comment_has_result_of_failed_command(runner: Runner, github: GitHub):
    ran = runner.run(**REJECTED, pull_request="7")

    (written,) = github.comments[7]
    assert ran.code == 2
    assert written.body.partition("\n")[2] == ran.document


def test_comment_of_other_user_with_same_marker_is_unchanged(runner: Runner, github: GitHub):
    comment(runner, "first\n")
    marker = github.comments[7][0].body.partition("\n")[0]
    foreign = Comment(f"{marker}\nno data loss", own=False)
    github.comments[7] = [foreign]

    comment(runner, "second\n")

    assert [each.own for each in github.comments[7]] == [False, True]
    assert foreign.body == f"{marker}\nno data loss"


def test_steps_with_different_arguments_have_own_comments(runner: Runner, github: GitHub):
    for text in ("first\n", "second\n"):
        for arguments in ("ci-build", "release-build"):
            comment(runner, text, ARGUMENTS=arguments)

    assert [each.body.partition("\n")[2] for each in github.comments[7]] == ["second\n"] * 2


@hostile
def test_hostile_id_does_not_end_marker(runner: Runner, github: GitHub, text: str):
    comment(runner, "text\n", COMMENT_ID=f"--> {text}")

    (written,) = github.comments[7]
    assert re.fullmatch(r"<!-- exasol-ci-setup [0-9a-f]{40} -->\ntext\n", written.body)
    assert runner.hacked() == []


@pytest.mark.parametrize(("token", "number"), [("wrong", "7"), (TOKEN, "$(touch HACKED)"), (TOKEN, "x")])
def test_failed_comment_is_warning_only(runner: Runner, github: GitHub, token: str, number: str):
    ran = comment(runner, "text\n", GH_TOKEN=token, PULL_REQUEST=number)

    assert ran.code == 0
    assert "::warning::the comment was not written" in ran.log
    assert github.comments.get(7, []) == []
    assert runner.hacked() == []


def test_workflow_without_pull_request_has_no_comment(runner: Runner):
    assert runner.run(**REJECTED).skipped == ["Write the comment"]


# --- The page

WORKFLOWS = re.findall(r"^```yaml (\S+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def steps_of_page() -> Iterator[dict[str, Any]]:
    for _, text in WORKFLOWS:
        for job in yaml.safe_load(text)["jobs"].values():
            yield from job["steps"]


def test_page_lists_all_inputs_and_outputs():
    tables = PAGE.partition("## Inputs")[2].partition("| `command` | `arguments` begin")[0]
    rows = re.findall(r"^\| `([a-z-]+)` \|", tables, re.MULTILINE)

    assert rows == [*ACTION["inputs"], *ACTION["outputs"]]


def test_linters_report_no_errors_in_workflows_of_page(tmp_path: Path, actionlint: Callable[[Path], list[Any]]):
    files = []
    for name, text in WORKFLOWS:
        files.append(tmp_path / Path(name).name)
        files[-1].write_text(text.replace("@COMMIT", f"@{'0' * 40}"), encoding="utf-8")

    assert len(set(files)) == len(WORKFLOWS) > 0
    assert [found for file in files for found in actionlint(file)] == []
    checked = subprocess.run(
        [Path(sys.executable).with_name("zizmor"), "--offline", "--persona=pedantic", "--no-progress", *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_workflows_of_page_use_known_inputs_and_pinned_actions():
    found = list(steps_of_page())

    own = [step for step in found if step.get("uses", "").startswith("OWNER/exasol-ci-setup@COMMIT")]
    assert {step["with"]["command"] for step in own} == {"check", "validate", "plan"}
    assert all(set(step["with"]) <= set(ACTION["inputs"]) for step in own)
    others = {step["uses"] for step in found if "uses" in step and step not in own}
    assert others <= {action for action, _ in ACTIONS.values()}


@pytest.mark.live
def test_commands_of_workflows_on_page_run(on_aws: Runner):
    (on_aws.work / "flavors" / "one").mkdir(parents=True)
    (on_aws.work / "fleet.yaml").write_text(
        "targets: {ci: {region: eu-central-1}}\n"
        "projects: {Slc: {target: ci, project_url: 'https://github.com/o/r', ci: }}\n"
    )
    for step in steps_of_page():
        inputs = {key.replace("-", "_"): str(value) for key, value in step.get("with", {}).items()}
        if "command" in inputs:
            ran = on_aws.run(**{**inputs, "comment": "false"})
            assert ran.code == (5 if inputs["command"] == "check" else 0), ran.log
