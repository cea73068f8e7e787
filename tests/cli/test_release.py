"""`start-release-build`, `start-test-release-build`, and the requests that contain the GitHub token."""

from __future__ import annotations

import json
import logging
import signal

import pytest
from click.testing import CliRunner

from exasol_ci_setup.cli.main import PROGRAM, cli
from exasol_ci_setup.cli.session import Session
from tests.answers import AwsError, DroppedConnectionError
from tests.builds.cloud import ID, Cloud, Job
from tests.cli.conftest import Ran
from tests.hub import press_ctrl_c, running

TOKEN = "ghp_0123456789secret"
UPLOAD = "https://uploads.github.com/repos/exasol/s.l/releases/4711/assets{?name,label}"
RELEASE = ("start-release-build", "--project", "Slc", "--branch", "refs/heads/master", "--upload-url", UPLOAD)
TEST = (
    *("start-test-release-build", "--project", "Slc", "--repo-name", "exasol/s.l"),
    *("--branch", "refs/heads/feature/x", "--release-title", "My test"),
)
ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:x-abcdef"


@pytest.fixture(autouse=True)
def _token(monkeypatch):
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    monkeypatch.delenv("GITHUB_API_URL", raising=False)


@pytest.fixture
def run(answers, clock):
    """Run the program on an account whose calls the test answers, in virtual time."""
    answers.on("secretsmanager", "CreateSecret", {"ARN": ARN})
    answers.on("secretsmanager", "DeleteSecret", {"ARN": ARN})

    def run(*arguments):
        session = Session(clock=clock)
        session.__dict__["account"] = answers.account
        result = CliRunner().invoke(cli, arguments, prog_name=PROGRAM, obj=session)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ran(result.exit_code, result.stdout, result.stderr)

    yield run
    logging.getLogger().handlers.clear()
    logging.getLogger("exasol_ci_setup").setLevel(logging.NOTSET)


@pytest.fixture
def hub(monkeypatch):
    """A GitHub in which a release can be created and deleted."""
    with running() as server:
        server.replies["POST /repos/exasol/s.l/releases"] = (201, {}, {"id": 77, "html_url": "https://github.com/x"})
        server.replies["DELETE /repos/exasol/s.l/releases/77"] = (204, {}, None)
        monkeypatch.setenv("GITHUB_API_URL", server.url)
        yield server


def sent(answers):
    """The environment of the batch that was started, by name."""
    (call,) = answers.of("StartBuildBatch")
    return {item["name"]: (item["type"], item["value"]) for item in call["environmentVariablesOverride"]}


@pytest.mark.parametrize(
    ("more", "dry_run"), [((), "--no-dry-run"), (("--no-dry-run",), "--no-dry-run"), (("--dry-run",), "--dry-run")]
)
def test_release_build_gets_variables_and_token_reference(answers, clock, run, more, dry_run):
    Cloud(answers, clock, Job("build_one"))

    ran = run(*RELEASE, *more)

    (secret,) = answers.of("CreateSecret")
    assert ran.code == 0
    assert answers.of("ListStackResources")[0]["StackName"] == "SlcRelease"
    assert sent(answers) == {
        "RELEASE_ID": ("PLAINTEXT", "4711"),
        "DRY_RUN": ("PLAINTEXT", dry_run),
        "GITHUB_TOKEN": ("SECRETS_MANAGER", secret["Name"]),
    }
    assert secret["Name"].startswith("exasol-ci-setup/Slc/")


@pytest.mark.parametrize(
    ("command", "option"), [((*RELEASE[:-1], UPLOAD.replace("s.l", "other")), "--upload-url"), (TEST, "--repo-name")]
)
def test_release_of_other_repository_exits_2(answers, clock, run, hub, command, option):
    Cloud(answers, clock)
    if option == "--repo-name":
        project = {"name": "SlcCodeBuild", "source": {"type": "GITHUB", "location": "https://github.com/exasol/built"}}
        answers.on("codebuild", "BatchGetProjects", {"projects": [project]})

    ran = run(*command)

    named, built = ("other", "s.l") if option == "--upload-url" else ("s.l", "built")
    assert ran.code == 2
    assert f"{option} is of exasol/{named}, but SlcCodeBuild builds https://github.com/exasol/{built}" in ran.stderr
    assert hub.asked == []
    assert not {"CreateSecret", "StartBuildBatch"} & set(answers.names())


@pytest.mark.parametrize("spelled", ["https://github.com/Exasol/S.L.git", "git@github.com:exasol/s.l.git"])
def test_same_repository_in_other_spelling_is_accepted(answers, clock, run, spelled):
    Cloud(answers, clock)
    project = {"name": "SlcCodeBuild", "source": {"type": "GITHUB", "location": spelled}}
    answers.on("codebuild", "BatchGetProjects", {"projects": [project]})

    assert run(*RELEASE).code == 0


def test_unreadable_project_is_not_compared(answers, clock, run):
    Cloud(answers, clock)
    answers.on("codebuild", "BatchGetProjects", AwsError("AccessDeniedException", "no"))

    assert run(*RELEASE).code == 0


@pytest.mark.parametrize("output", ["text", "json"])
@pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED"])
def test_token_is_only_in_one_request(answers, clock, run, caplog, status, output):
    Cloud(answers, clock, Job("build_one", status=status, lines=["x"]), status=status)

    ran = run(*RELEASE, "--log-level", "debug", "--output", output, "--follow")

    assert ran.code == (0 if status == "SUCCEEDED" else 6)
    assert TOKEN not in ran.stdout + ran.stderr + caplog.text
    assert [call.operation for call in answers.calls if TOKEN in repr(call)] == ["CreateSecret"]


@pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED", "STOPPED"])
def test_ended_batch_deletes_secret(answers, clock, run, status):
    Cloud(answers, clock, Job("build_one", status=status), status=status)

    run(*RELEASE)

    (made,) = answers.of("CreateSecret")
    assert answers.of("DeleteSecret") == [{"SecretId": made["Name"], "ForceDeleteWithoutRecovery": True}]
    names = answers.names()
    assert names.index("CreateSecret") < names.index("StartBuildBatch") < names.index("DeleteSecret")
    assert clock.elapsed >= 62


@pytest.mark.parametrize("error", [AwsError("InvalidInputException", "no"), AwsError("AccessDeniedException", "no")])
def test_failed_start_deletes_secret(answers, clock, run, error):
    Cloud(answers, clock)
    answers.on("codebuild", "StartBuildBatch", error)

    ran = run(*RELEASE)

    assert ran.code in {1, 4}
    assert answers.names()[-1] == "DeleteSecret"
    assert TOKEN not in ran.stderr


@pytest.mark.parametrize("error", [KeyboardInterrupt(), DroppedConnectionError()])
def test_uncertain_start_keeps_secret_and_draft(answers, clock, run, hub, error):
    Cloud(answers, clock)
    answers.on("codebuild", "StartBuildBatch", error)

    ran = run(*TEST)

    (made,) = answers.of("CreateSecret")
    assert ran.code == (130 if isinstance(error, KeyboardInterrupt) else 4)
    assert "it may have started" in ran.stderr
    assert f"kept the secret {made['Name']}" in ran.stderr
    assert "kept the draft release 77 of exasol/s.l" in ran.stderr
    assert "DeleteSecret" not in answers.names()
    assert [method for method, *_ in hub.asked] == ["POST"]


def test_ctrl_c_during_successful_start_keeps_secret(answers, clock, run, hub):
    cloud = Cloud(answers, clock, ends=None)

    def start(params):
        signal.raise_signal(signal.SIGINT)
        return cloud.start(params)

    answers.on("codebuild", "StartBuildBatch", start)

    ran = run(*TEST)

    assert ran.code == 130
    assert f"stopped following batch {ID}" in ran.stderr
    assert f"stop it with `exasol-ci-setup stop {ID}`" in ran.stderr
    assert f"batch {ID} reads the GitHub token from it" in ran.stderr
    assert "DeleteSecret" not in answers.names()
    assert [method for method, *_ in hub.asked] == ["POST"]
    assert "no build was started" not in ran.stderr


def test_ctrl_c_during_secret_deletion_reports_result(answers, clock, run):
    Cloud(answers, clock, Job("build_one", status="FAILED"), status="FAILED")

    def delete(_params):
        signal.raise_signal(signal.SIGINT)
        return {"ARN": ARN}

    answers.on("secretsmanager", "DeleteSecret", delete)

    ran = run(*RELEASE)

    assert ran.code == 6
    assert "ended in FAILED" in ran.stderr
    assert "warning" not in ran.stderr


def test_interrupted_secret_deletion_names_secret(answers, clock, run):
    Cloud(answers, clock, Job("build_one", status="FAILED"), status="FAILED")
    answers.on("secretsmanager", "DeleteSecret", KeyboardInterrupt())

    ran = run(*RELEASE, "--region", "eu-central-1", "--aws-profile", "ci")

    (made,) = answers.of("CreateSecret")
    assert ran.code == 6
    assert "ended in FAILED" in ran.stderr
    assert f"--secret-id {made['Name']} --region eu-central-1 --profile ci`" in ran.stderr


def test_sandbox_never_gets_token(answers, clock, run):
    Cloud(answers, clock)

    assert run(*RELEASE, "--sandbox").code == 0

    assert TOKEN not in repr(answers.calls)
    assert answers.of("CreateSecret")[0]["SecretString"]


@pytest.mark.parametrize("name", ["", " ", ":token"])
def test_secret_without_name_exits_2(answers, clock, run, name):
    Cloud(answers, clock)

    ran = run(*RELEASE, "--github-token-secret", name)

    assert ran.code == 2
    assert "--github-token-secret" in ran.stderr
    assert "StartBuildBatch" not in answers.names()


def test_config_paths_are_not_checked(answers, clock, run, tmp_path):
    Cloud(answers, clock)
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"build": {"ignore": {"paths": ["not/here"]}}}))

    assert run(*RELEASE, "--config-file", str(config)).code == 0


def test_stop_with_no_wait_reports_kept_secret(answers, clock, run):
    name = f"exasol-ci-setup/Slc/github-token-{'a' * 16}"
    variables = [{"name": "GITHUB_TOKEN", "value": name, "type": "SECRETS_MANAGER"}]
    cloud = Cloud(answers, clock, Job("build_one"), ends=None, variables=variables)
    answers.on("codebuild", "StopBuildBatch", lambda _params: {"buildBatch": cloud.batch()})

    ran = run("stop", ID, "--no-wait")

    assert ran.code == 0
    assert f"kept the secret {name}" in ran.stderr


@pytest.mark.parametrize("way", ["no-wait", "timeout", "ctrl-c"])
def test_running_batch_keeps_secret_with_message(answers, clock, run, way):
    Cloud(answers, clock, Job("build_one", ends=10**6), ends=None)

    def press():
        raise KeyboardInterrupt

    if way == "ctrl-c":
        clock.at(30, press)
    ran = run(*RELEASE, *{"no-wait": ["--no-wait"], "timeout": ["--timeout-in-seconds", "9"], "ctrl-c": []}[way])

    (made,) = answers.of("CreateSecret")
    assert ran.code == {"no-wait": 0, "timeout": 7, "ctrl-c": 130}[way]
    assert "DeleteSecret" not in answers.names()
    assert f"kept the secret {made['Name']}" in ran.stderr
    assert f"exasol-ci-setup logs {ID} --follow" in ran.stderr


@pytest.mark.parametrize("command", [("logs", ID, "--follow"), ("stop", ID)])
def test_following_command_deletes_secret_at_end(answers, clock, run, command):
    name = f"exasol-ci-setup/Slc/github-token-{'a' * 16}"
    variables = [{"name": "GITHUB_TOKEN", "value": name, "type": "SECRETS_MANAGER"}]
    Cloud(answers, clock, Job("build_one"), ends=30 if command[0] == "logs" else 0, variables=variables)

    assert run(*command).code == 0

    assert [params["SecretId"] for params in answers.of("DeleteSecret")] == [name]


def test_retry_recreates_and_deletes_secret(answers, clock, run):
    name = f"exasol-ci-setup/Slc/github-token-{'a' * 16}"
    variables = [{"name": "GITHUB_TOKEN", "value": name, "type": "SECRETS_MANAGER"}]
    cloud = Cloud(answers, clock, Job("build_one"), status="FAILED", ends=0, variables=variables)
    answers.on("secretsmanager", "DescribeSecret", AwsError("ResourceNotFoundException", "gone"))

    def retry(_params):
        cloud.status, cloud.ends = "SUCCEEDED", clock.elapsed + 50
        return {"buildBatch": cloud.batch()}

    answers.on("codebuild", "RetryBuildBatch", retry)

    ran = run("retry", ID, "--failed-only")

    assert ran.code == 0
    assert [params["Name"] for params in answers.of("CreateSecret")] == [name]
    assert [params["SecretId"] for params in answers.of("DeleteSecret")] == [name]
    assert answers.names().index("CreateSecret") < answers.names().index("RetryBuildBatch")


def test_retry_updates_existing_secret(answers, clock, run):
    name = f"exasol-ci-setup/Slc/github-token-{'a' * 16}"
    variables = [{"name": "GITHUB_TOKEN", "value": name, "type": "SECRETS_MANAGER"}]
    cloud = Cloud(answers, clock, status="FAILED", ends=0, variables=variables)
    answers.on("secretsmanager", "DescribeSecret", {"ARN": ARN, "Name": name})
    answers.on("secretsmanager", "PutSecretValue", {"ARN": ARN})
    answers.on("codebuild", "RetryBuildBatch", lambda _params: {"buildBatch": cloud.batch()})

    run("retry", ID, "--no-wait")

    assert [params["SecretString"] for params in answers.of("PutSecretValue")] == [TOKEN]


def test_named_secret_is_used_unchanged(answers, clock, run, monkeypatch):
    monkeypatch.delenv("GITHUB_TOKEN")
    Cloud(answers, clock)
    answers.on("secretsmanager", "DescribeSecret", {"ARN": ARN})

    ran = run(*RELEASE, "--github-token-secret", "exasol-ci-setup/Slc/mine:token")

    assert ran.code == 0
    assert sent(answers)["GITHUB_TOKEN"] == ("SECRETS_MANAGER", "exasol-ci-setup/Slc/mine:token")
    assert answers.of("DescribeSecret") == [{"SecretId": "exasol-ci-setup/Slc/mine"}]
    assert not {"CreateSecret", "DeleteSecret"} & set(answers.names())
    assert "warning" not in ran.stderr


def test_unreadable_named_secret_gives_warning(answers, clock, run):
    Cloud(answers, clock)
    answers.on("secretsmanager", "DescribeSecret", {"ARN": ARN})

    assert "can only read secrets below exasol-ci-setup/Slc/" in run(*RELEASE, "--github-token-secret", "mine").stderr


def test_missing_named_secret_exits_2(answers, clock, run):
    Cloud(answers, clock)
    answers.on("secretsmanager", "DescribeSecret", AwsError("ResourceNotFoundException", "gone"))

    ran = run(*RELEASE, "--github-token-secret", "mine")

    assert ran.code == 2
    assert "--github-token-secret" in ran.stderr
    assert "StartBuildBatch" not in answers.names()


@pytest.mark.parametrize(
    ("minutes", "option", "seconds"),
    [(1, (), 60), (90, (), 5400), (1, ("--timeout-in-seconds", "7"), 7), (None, (), 10800)],
)
def test_timeout_of_config_is_in_minutes(answers, clock, run, tmp_path, minutes, option, seconds):
    Cloud(answers, clock, Job("build_one", ends=10**6), ends=None)
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"release": {"timeout_in_minutes": minutes} if minutes else {}}))

    ran = run(*RELEASE, "--config-file", str(config), *option)

    assert ran.code == 7
    assert clock.elapsed == seconds


@pytest.mark.parametrize(
    "text", ['{"release": {"timeout_in_minutes": "1"}}', '{"releases": {}}', "{", '{"release": []}']
)
def test_invalid_config_exits_2_with_path(answers, run, tmp_path, text):
    config = tmp_path / "config.json"
    config.write_text(text)

    ran = run(*RELEASE, "--config-file", str(config), "--timeout-in-seconds", "5")

    assert ran.code == 2
    assert str(config) in ran.stderr
    assert answers.calls == []


@pytest.mark.parametrize("url", ["https://github.com/exasol/x", UPLOAD.replace("uploads", "api"), f"{UPLOAD}x"])
def test_invalid_upload_url_exits_2(answers, run, url):
    ran = run(*RELEASE[:-1], url)

    assert ran.code == 2
    assert url in ran.stderr
    assert answers.calls == []


@pytest.mark.parametrize("command", [RELEASE, TEST])
def test_missing_token_exits_2_and_creates_nothing(answers, clock, run, monkeypatch, command):
    Cloud(answers, clock)
    monkeypatch.delenv("GITHUB_TOKEN")

    ran = run(*command)

    assert ran.code == 2
    assert "GITHUB_TOKEN" in ran.stderr
    assert not {"StartBuildBatch", "CreateSecret"} & set(answers.names())


def test_test_release_starts_dry_run_for_draft(answers, clock, run, hub):
    Cloud(answers, clock, Job("build_one"))

    ran = run(*TEST)

    ((method, path, headers, body),) = hub.asked
    assert ran.code == 0
    assert (method, path) == ("POST", "/repos/exasol/s.l/releases")
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert (body["draft"], body["prerelease"], body["name"]) == (True, True, "My test")
    assert body["target_commitish"] == "feature/x"
    assert sent(answers)["RELEASE_ID"] == ("PLAINTEXT", "77")
    assert sent(answers)["DRY_RUN"] == ("PLAINTEXT", "--dry-run")
    assert answers.of("StartBuildBatch")[0]["sourceVersion"] == "refs/heads/feature/x"
    assert "https://github.com/x" in ran.stderr
    assert TOKEN not in ran.stdout + ran.stderr


@pytest.mark.parametrize(("more", "methods"), [((), ["POST", "DELETE"]), (("--keep-draft",), ["POST"])])
@pytest.mark.parametrize("operation", ["StartBuildBatch", "CreateSecret"])
def test_failed_start_deletes_draft(answers, clock, run, hub, more, methods, operation):
    Cloud(answers, clock)
    service = "codebuild" if operation == "StartBuildBatch" else "secretsmanager"
    answers.on(service, operation, AwsError("AccessDeniedException", "not authorized"))

    ran = run(*TEST, *more)

    assert ran.code == 4
    assert [method for method, *_ in hub.asked] == methods
    assert f"AWS does not allow {operation}" in ran.stderr


def test_ctrl_c_during_draft_creation_deletes_draft(answers, clock, run, hub):
    Cloud(answers, clock)
    hub.on_request = lambda method: press_ctrl_c() if method == "POST" else None

    ran = run(*TEST)

    assert ran.code == 130
    assert [method for method, *_ in hub.asked] == ["POST", "DELETE"]
    assert "deleted the draft release" in ran.stderr


def test_ctrl_c_before_start_deletes_draft(answers, clock, run, hub):
    Cloud(answers, clock)
    answers.on("secretsmanager", "CreateSecret", KeyboardInterrupt())

    assert run(*TEST).code == 130
    assert [method for method, *_ in hub.asked] == ["POST", "DELETE"]


def test_ctrl_c_during_draft_deletion_waits(answers, clock, run, hub):
    Cloud(answers, clock)
    answers.on("codebuild", "StartBuildBatch", AwsError("InvalidInputException", "no batches here"))
    hub.on_request = lambda method: press_ctrl_c() if method == "DELETE" else None

    ran = run(*TEST)

    assert ran.code == 1
    assert "deleted the draft release" in ran.stderr


def test_draft_created_without_reply_is_deleted(answers, clock, run, hub):
    Cloud(answers, clock)
    hub.replies["POST /repos/exasol/s.l/releases"] = (502, {}, None)
    hub.replies["GET /repos/exasol/s.l/releases?per_page=100"] = lambda: (
        200,
        {},
        [{"id": 5, "tag_name": "v1"}, {"id": 77, "tag_name": hub.asked[0][3]["tag_name"]}],
    )

    ran = run(*TEST)

    assert ran.code == 1
    assert [(method, path) for method, path, *_ in hub.asked][-1] == ("DELETE", "/repos/exasol/s.l/releases/77")
    assert "was deleted again" in ran.stderr


@pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED"])
def test_started_build_keeps_draft(answers, clock, run, hub, status):
    Cloud(answers, clock, Job("build_one", status=status), status=status)

    run(*TEST)

    assert [method for method, *_ in hub.asked] == ["POST"]


def test_failed_draft_deletion_keeps_original_error(answers, clock, run, hub):
    Cloud(answers, clock)
    answers.on("codebuild", "StartBuildBatch", AwsError("InvalidInputException", "no batches here"))
    hub.replies["DELETE /repos/exasol/s.l/releases/77"] = (403, {}, {"message": "Forbidden"})

    ran = run(*TEST)

    assert ran.code == 1
    assert "could not delete the draft release 77 of exasol/s.l" in ran.stderr
    assert "error: the batch of SlcCodeBuild was not started: no batches here" in ran.stderr


def test_missing_stack_creates_no_draft(answers, run, hub):
    answers.on("cloudformation", "ListStackResources", AwsError("ValidationError", "Stack with id X does not exist"))
    answers.on(
        "cloudformation",
        "DescribeStacks",
        lambda params: AwsError("ValidationError", "Stack does not exist") if "StackName" in params else {"Stacks": []},
    )

    ran = run(*TEST)

    assert ran.code == 1
    assert "deploy-release-build --project Slc" in ran.stderr
    assert hub.asked == []


@pytest.mark.parametrize(("status", "code"), [(401, 1), (403, 1), (404, 2), (422, 2), (500, 1)])
def test_rejection_by_github_creates_nothing_on_aws(answers, clock, run, hub, status, code):
    Cloud(answers, clock)
    hub.replies["POST /repos/exasol/s.l/releases"] = (status, {}, {"message": "Sorry"})

    ran = run(*TEST)

    assert ran.code == code
    assert f"Sorry (HTTP {status})" in ran.stderr
    assert answers.names() == ["DescribeStacks", "ListStackResources", "BatchGetProjects"]
    assert TOKEN not in ran.stderr


@pytest.mark.parametrize(
    ("option", "value"), [("--repo-name", "exasol"), ("--release-title", " "), ("--project", "a b"), ("--branch", "")]
)
def test_invalid_test_release_options_exit_2_before_requests(answers, run, hub, option, value):
    arguments = list(TEST)
    arguments[arguments.index(option) + 1] = value

    assert run(*arguments).code == 2
    assert answers.calls == []
    assert hub.asked == []


@pytest.mark.live
def test_release_build_in_sandbox_leaves_no_secret(here, live):
    credentials = ("--secret-name", "github", "--secret-user-key", "user", "--secret-token-key", "token")
    url = "https://github.com/exasol/s.l"
    assert here("deploy-source-credentials", *credentials, "--yes", "--no-lint").code == 0
    assert here("deploy-release-build", "--project", "Slc", "--project-url", url, "--yes", "--no-lint").code == 0

    ran = here(*RELEASE)

    names = [secret["Name"] for secret in live.client("secretsmanager").list_secrets()["SecretList"]]
    assert ran.code == 0
    assert sorted(names) == ["Dockerhub", "github"]
    batch = live.client("codebuild").batch_get_build_batches(ids=[ran.stdout.strip()])["buildBatches"][0]
    assert TOKEN not in repr(batch)
    assert TOKEN not in ran.stdout + ran.stderr
