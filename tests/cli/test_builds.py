"""`start-ci-build`, `builds`, `logs`, `stop` and `retry` as a user runs them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

from exasol_ci_setup.cli.main import PROGRAM, cli
from exasol_ci_setup.cli.session import Session
from exasol_ci_setup.sandbox import switches
from tests.answers import AwsError
from tests.builds.cloud import ID, Cloud, Job
from tests.cli.conftest import Ran

URL = "https://github.com/exasol/script-languages-release"
START = ("start-ci-build", "--project", "Slc", "--branch", "refs/heads/master")
CREDENTIALS = (
    "deploy-source-credentials",
    *("--secret-name", "github", "--secret-user-key", "user", "--secret-token-key", "token"),
)


@pytest.fixture
def run(answers, clock):
    """Run the program on an account whose calls the test answers, in virtual time."""

    def run(*arguments):
        session = Session(clock=clock)
        session.__dict__["account"] = answers.account
        result = CliRunner().invoke(cli, arguments, prog_name=PROGRAM, obj=session)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ran(result.exit_code, result.stdout, result.stderr)

    return run


def test_id_goes_to_stdout_and_builds_to_stderr(answers, clock, run):
    Cloud(answers, clock, Job("build_one"), Job("build_two", begins=20))

    ran = run(*START)

    assert ran.code == 0
    assert ran.stdout == f"{ID}\n"
    assert re.search(r"IN_PROGRESS +build_one +BUILD$", ran.stderr, re.MULTILINE)
    assert re.search(r"PENDING +build_two$", ran.stderr, re.MULTILINE)
    assert re.search(r"SUCCEEDED +build_two$", ran.stderr, re.MULTILINE)
    assert f"batch {ID} succeeded in 1 min 2 s" in ran.stderr
    assert "https://eu-central-1.console.aws.amazon.com/codesuite/codebuild/" in ran.stderr
    assert "\x1b" not in ran.stderr


def test_branch_is_source_version_and_custom_branch(answers, clock, run):
    Cloud(answers, clock)

    run(*START)

    (sent,) = answers.of("StartBuildBatch")
    assert sent["projectName"] == "SlcCodeBuild"
    assert sent["sourceVersion"] == "refs/heads/master"
    assert sent["environmentVariablesOverride"] == [
        {"name": "CUSTOM_BRANCH", "value": "refs/heads/master", "type": "PLAINTEXT"}
    ]


@pytest.mark.parametrize(("more", "stack"), [((), "Slc"), (("--stack-name", "SlcCIBuild"), "SlcCIBuild")])
def test_project_is_found_in_stack(answers, clock, run, more, stack):
    Cloud(answers, clock)

    assert run(*START, *more).code == 0

    assert answers.of("ListStackResources")[0]["StackName"] == stack


def test_missing_stack_hints_at_deploy_command(answers, run):
    answers.on("cloudformation", "ListStackResources", AwsError("ValidationError", "Stack with id Slc does not exist"))
    answers.on(
        "cloudformation",
        "DescribeStacks",
        lambda params: AwsError("ValidationError", "Stack does not exist") if "StackName" in params else {"Stacks": []},
    )

    ran = run(*START)

    assert ran.code == 1
    assert "stack 'Slc' does not exist in eu-central-1" in ran.stderr
    assert "exasol-ci-setup deploy-ci-build --project Slc --project-url URL" in ran.stderr


def test_failed_batch_exits_6_with_log_and_reason(answers, clock, run):
    lines = [f"line {number}" for number in range(30)]
    Cloud(answers, clock, Job("build_one", status="FAILED", message="exit status 2", lines=lines), status="FAILED")

    ran = run(*START)

    assert ran.code == 6
    assert "  | line 9\n" not in ran.stderr
    assert "  | line 10\n" in ran.stderr
    assert ran.stderr.index("  | line 29\n") < ran.stderr.index("error:")
    assert "build_one failed in phase BUILD: COMMAND_EXECUTION_ERROR: exit status 2" in ran.stderr
    assert f"exasol-ci-setup retry {ID} --failed-only" in ran.stderr


def test_json_stdout_ends_with_failure_record(answers, clock, run):
    job = Job("build_one", status="FAILED", message="exit status 2", lines=["the end"])
    Cloud(answers, clock, job, status="FAILED")

    ran = run(*START, "--output", "json")

    kinds = [record["type"] for record in ran.records]
    assert ran.code == 6
    assert (kinds[0], kinds[-1]) == ("batch", "error")
    assert set(kinds[1:-1]) == {"build"}
    assert [record["status"] for record in ran.records if record["type"] == "build"] == [
        "PENDING",
        "IN_PROGRESS",
        "FAILED",
    ]
    (failure,) = ran.records[-1]["failures"]
    assert (failure["group"], failure["phase"], failure["log"]) == ("build_one", "BUILD", ["the end"])
    assert ran.records[-1]["exit_code"] == 6


def test_ignored_failure_is_warning(answers, clock, run):
    Cloud(answers, clock, Job("build_one", status="FAILED", ignore_failure=True))

    ran = run(*START)

    assert ran.code == 0
    assert "warning: build_one ended in FAILED" in ran.stderr


def test_follow_prefixes_log_lines_with_build(answers, clock, run):
    Cloud(answers, clock, Job("build_one", lines=["\x1b[31mred\x1b[0m \x1b]0;title\x07", "10%\r20%", "a\tb"]))

    ran = run(*START, "--follow")

    assert "build_one | red \\x1b]0;title\\x07\n" in ran.stderr
    assert "build_one | 20%\n" in ran.stderr
    assert "build_one | a       b\n" in ran.stderr
    assert ran.stdout == f"{ID}\n"


def test_json_log_lines_are_records(answers, clock, run):
    Cloud(answers, clock, Job("build_one", lines=["x"]))

    ran = run(*START, "--follow", "--output", "json")

    (line,) = [record for record in ran.records if record["type"] == "log-line"]
    assert (line["group"], line["message"]) == ("build_one", "x")


def test_no_wait_prints_id_and_ends(answers, clock, run):
    Cloud(answers, clock, ends=None)

    ran = run(*START, "--no-wait")

    assert (ran.code, ran.stdout) == (0, f"{ID}\n")
    assert f"exasol-ci-setup logs {ID} --follow" in ran.stderr
    assert "BatchGetBuildBatches" not in answers.names()


def test_timeout_exits_7_with_stop_command(answers, clock, run):
    Cloud(answers, clock, Job("build_one", ends=10**6), ends=None)

    ran = run(*START, "--timeout-in-seconds", "5")

    assert ran.code == 7
    assert clock.elapsed == 5
    assert f"exasol-ci-setup stop {ID}" in ran.stderr


def test_default_timeout_is_three_hours_with_heartbeats(answers, clock, run):
    Cloud(answers, clock, Job("build_one", ends=10**6), ends=None)

    ran = run(*START)

    assert ran.code == 7
    assert clock.elapsed == 3 * 60 * 60
    assert ran.stderr.count("still IN_PROGRESS") >= 3 * 60 * 2 - 10
    assert re.search(r"still IN_PROGRESS after 2 h \d+ min: build_one \(BUILD\)", ran.stderr)


def test_ctrl_c_exits_130_with_stop_command(answers, clock, run):
    Cloud(answers, clock, Job("build_one", ends=10**6), ends=None)

    def press():
        raise KeyboardInterrupt

    clock.at(30, press)

    ran = run(*START)

    assert ran.code == 130
    assert f"stop it with `exasol-ci-setup stop {ID}`" in ran.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        (*START, "--no-wait", "--follow"),
        ("start-ci-build", "--project", "a b: c", "--branch", "x"),
        ("start-ci-build", "--project", "Slc", "--branch", ""),
        ("start-ci-build", "--project", "Slc", "--branch", "a\nb"),
        ("start-ci-build", "--project", "Slc"),
        ("start-ci-build", "--branch", "main"),
        ("start-ci-build",),
        ("logs",),
        ("retry", ID, "--latest"),
        ("logs", "latest", "--group", "build_one"),
        ("logs", ID, "--project", "Slc"),
        ("logs", "--latest"),
        ("stop", "--latest", "--project", "Slc", "--stack-name", "Slc"),
        (*START, "--timeout-in-seconds", "0"),
        (*START, "--timeout-in-seconds", "soon"),
        (*START, "--timeout-in-seconds", "1" * 400),
        ("builds", "--project", "Slc", "--stack-name", "Slc"),
        ("logs", "nosuch"),
        ("stop", "Slc"),
        ("retry", "Slc:"),
    ],
)
def test_bad_input_exits_2_without_request(answers, run, arguments, tmp_path, monkeypatch):
    # A directory that is in no checkout.
    monkeypatch.chdir(tmp_path)

    assert run(*arguments).code == 2
    assert answers.calls == []


def test_running_batch_is_not_retried(answers, clock, run):
    Cloud(answers, clock, ends=None)

    ran = run("retry", ID)

    assert ran.code == 2
    assert "cannot be retried: it is in IN_PROGRESS" in ran.stderr


def test_rejected_retry_shows_reason_of_aws(answers, clock, run):
    Cloud(answers, clock, status="FAILED", ends=0)
    answers.on("codebuild", "RetryBuildBatch", AwsError("InvalidInputException", "Only failed batches"))

    ran = run("retry", ID)

    assert ran.code == 1
    assert f"batch {ID} was not started again: Only failed batches" in ran.stderr


def test_succeeded_batch_is_not_retried(answers, clock, run):
    Cloud(answers, clock, ends=0)

    ran = run("retry", ID)

    assert ran.code == 2
    assert "succeeded" in ran.stderr
    assert "RetryBuildBatch" not in answers.names()


def test_retry_ignores_end_of_previous_attempt(answers, clock, run):
    cloud = Cloud(answers, clock, Job("build_one", begins=0, ends=0, status="FAILED"), status="FAILED", ends=0)
    old = cloud.batch()

    def retry(_params):
        cloud.jobs, cloud.status, cloud.ends = (Job("build_one", begins=0, ends=90),), "SUCCEEDED", 90
        return {"buildBatch": cloud.batch()}

    answers.on("codebuild", "RetryBuildBatch", retry)
    answers.on(
        "codebuild",
        "BatchGetBuildBatches",
        lambda params: {"buildBatches": [old]} if clock.elapsed < 20 else cloud.batches(params),
    )

    assert run("retry", ID).code == 0


GIVEN = ("--region", "eu-central-1", "--aws-profile", "my profile")


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        ((*START, "--timeout-in-seconds", "5"), f"exasol-ci-setup stop {ID}"),
        ((*START, "--no-wait"), f"exasol-ci-setup logs {ID} --follow"),
        (("retry", ID), f"exasol-ci-setup logs {ID} --follow"),
    ],
)
def test_commands_in_hints_keep_options(answers, clock, run, arguments, command):
    Cloud(answers, clock, Job("build_one", ends=10**6), ends=None)

    ran = run(*arguments, *GIVEN)

    assert f"`{command} --region eu-central-1 --aws-profile 'my profile'`" in ran.stderr


def test_commands_in_hints_keep_sandbox_option(answers, clock, run):
    Cloud(answers, clock, Job("build_one", status="FAILED"), status="FAILED")

    ran = run(*START, "--sandbox")

    assert f"`exasol-ci-setup logs {ID} --group build_one --sandbox`" in ran.stderr
    assert f"`exasol-ci-setup retry {ID} --failed-only --sandbox`" in ran.stderr


@pytest.mark.parametrize("way", ["timeout", "ctrl-c"])
def test_json_error_has_id_of_running_batch(answers, clock, run, way):
    Cloud(answers, clock, Job("build_one", ends=10**6), ends=None)

    def press():
        raise KeyboardInterrupt

    clock.at(20, press if way == "ctrl-c" else lambda: None)

    ran = run(*START, "--output", "json", "--timeout-in-seconds", "60")

    assert ran.records[-1]["type"] == "error"
    assert ran.records[-1]["batch_id"] == ID


def test_json_list_and_log_end_with_result(answers, clock, run):
    cloud = Cloud(answers, clock, Job("build_one", begins=0, ends=0, lines=["x", "y"]), ends=0)
    answers.on("codebuild", "ListBuildBatches", {"ids": [ID]})

    listed = run("builds", "--output", "json").records
    logged = run("logs", cloud.batch()["id"], "--output", "json").records

    assert [(record["type"], record.get("batches")) for record in listed[-1:]] == [("result", 1)]
    assert [(record["type"], record.get("lines")) for record in logged[-1:]] == [("result", 2)]


def test_stop_of_ended_batch_changes_nothing(answers, clock, run):
    Cloud(answers, clock, ends=0)

    ran = run("stop", ID)

    assert ran.code == 0
    assert "no changes" in ran.stderr
    assert "StopBuildBatch" not in answers.names()


def test_stop_waits_for_end_of_batch(answers, clock, run):
    cloud = Cloud(answers, clock, Job("build_one", ends=9, status="STOPPED"), ends=None)

    def stop(_params):
        cloud.ends, cloud.status = clock.elapsed + 10, "STOPPED"
        return {"buildBatch": cloud.batch()}

    answers.on("codebuild", "StopBuildBatch", stop)

    ran = run("stop", ID)

    assert ran.code == 0
    assert f"batch {ID} ended in STOPPED" in ran.stderr
    assert clock.elapsed >= 10


@pytest.fixture
def ready(here, account_id):
    """The program, on an account in the sandbox with a CI stack, where builds take no time."""
    assert here(*CREDENTIALS, "--yes", "--no-lint").code == 0
    assert here("deploy-ci-build", "--project", "Slc", "--project-url", URL, "--yes", "--no-lint").code == 0
    switches.BUILD_SECONDS[account_id] = 0.05
    yield here
    del switches.BUILD_SECONDS[account_id]


@pytest.mark.live
def test_sandbox_batch_succeeds_and_has_logs(ready):
    ran = ready(*START)

    assert ran.code == 0
    listed = ready("builds", "--project", "Slc").stdout.splitlines()
    assert [line.split()[:2] for line in listed] == [["BATCH", "STATUS"], [ran.stdout.strip(), "SUCCEEDED"]]
    assert ready("builds").stdout.splitlines() == listed
    (batch, _) = ready("builds", "--output", "json").records
    one = next(build for build in batch["builds"] if build["group"] == "build_one")
    assert one["log_group"] == "/aws/codebuild/SlcCodeBuild"
    assert "BUILD" in [phase["name"] for phase in one["phases"]]
    logged = ready("logs", ran.stdout.strip(), "--group", "build_one")
    assert logged.code == 0
    assert all(line.startswith("build_one | ") for line in logged.stdout.splitlines())
    assert "Entering phase BUILD" in logged.stdout


@pytest.mark.live
def test_failed_sandbox_batch_is_explained_and_retried(ready):
    ran = ready("start-ci-build", "--project", "Slc", "--branch", "refs/heads/sandbox-fail-once/build_two")
    batch = ran.stdout.strip()

    assert ran.code == 6
    assert "build_two failed in phase BUILD: COMMAND_EXECUTION_ERROR" in ran.stderr
    assert "sandbox: this command fails because of" in ran.stderr
    again = ready("retry", batch, "--failed-only")
    assert again.code == 0
    assert again.stdout.strip() == batch


@pytest.mark.live
def test_sandbox_batch_is_stopped_and_followed(ready, account_id):
    switches.BUILD_SECONDS[account_id] = 60
    batch = ready(*START, "--no-wait").stdout.strip()

    assert ready("stop", batch).code == 0

    followed = ready("logs", batch, "--follow")
    assert followed.code == 6
    assert "STOPPED" in followed.stderr


@pytest.mark.live
def test_logs_of_build_are_found_by_its_id(ready, live):
    batch = ready(*START).stdout.strip()
    groups = live.client("codebuild").batch_get_build_batches(ids=[batch])["buildBatches"][0]["buildGroups"]
    arn = groups[-1]["currentBuildSummary"]["arn"]

    ran = ready("logs", arn)

    assert ran.code == 0
    assert ran.stdout.startswith("[Container]")
    assert ready("logs", arn, "--follow").code == 2
    assert ready("logs", batch, "--group", "nosuch").code == 2


@pytest.mark.live
def test_project_without_stacks_is_error(ready):
    ran = ready("builds", "--project", "Slc")

    assert (ran.code, ran.stdout) == (0, "")
    assert "no batches of SlcCodeBuild" in ran.stderr
    assert ready("builds", "--project", "Nope").code == 1


@pytest.mark.live
def test_sigint_ends_process_with_stop_command(ready, server, account_id):
    switches.BUILD_SECONDS[account_id] = 60
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": account_id,
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "eu-central-1",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "exasol_ci_setup", *START],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    batch = process.stdout.readline().strip()
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)

    assert process.returncode == 130
    assert f"stop it with `exasol-ci-setup stop {batch}`" in stderr
    assert ready("stop", batch).code == 0
