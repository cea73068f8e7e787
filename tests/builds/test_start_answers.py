"""The CodeBuild project of a stack, and requests to start, stop and retry a batch, answered inside botocore."""

from __future__ import annotations

import signal
from typing import ClassVar

import pytest

from exasol_ci_setup.builds import read, start
from exasol_ci_setup.core.errors import (
    AccessDeniedError,
    AwsUnavailableError,
    InputError,
    OperationInterruptedError,
    SetupError,
    StackError,
    StackNotFoundError,
)
from tests.answers import AwsError, DroppedConnectionError
from tests.builds.cloud import BEGIN, ID, RESOURCE, Cloud, Job


@pytest.fixture
def cfn(answers):
    return answers.account.client("cloudformation")


@pytest.fixture
def codebuild(answers):
    return answers.account.client("codebuild")


def resource(number, kind="AWS::IAM::Role", **more):
    return {
        "LogicalResourceId": f"R{number}",
        "ResourceType": kind,
        "PhysicalResourceId": f"p{number}",
        "ResourceStatus": "CREATE_COMPLETE",
        "LastUpdatedTimestamp": BEGIN,
        **more,
    }


def test_project_on_last_page_of_resources_is_found(answers, cfn):
    pages = [
        {"StackResourceSummaries": [resource(number) for number in range(100)], "NextToken": "n"},
        {"StackResourceSummaries": [resource(100), RESOURCE]},
    ]
    answers.on("cloudformation", "ListStackResources", pages)

    assert start.find_project(cfn, "Slc") == "SlcCodeBuild"


def test_stack_without_project_fails_with_its_name(answers, cfn):
    gone = resource(1, "AWS::CodeBuild::Project", ResourceStatus="DELETE_COMPLETE")
    answers.on("cloudformation", "ListStackResources", {"StackResourceSummaries": [resource(0), gone]})

    with pytest.raises(StackError, match="stack Slc has no CodeBuild project"):
        start.find_project(cfn, "Slc")


def test_stack_with_several_projects_fails_with_their_names(answers, cfn):
    several = [resource(number, "AWS::CodeBuild::Project") for number in (1, 2)]
    answers.on("cloudformation", "ListStackResources", {"StackResourceSummaries": several})

    with pytest.raises(StackError, match="p1, p2"):
        start.find_project(cfn, "Slc")


def test_missing_stack_fails_with_hint(answers, cfn):
    answers.on("cloudformation", "ListStackResources", AwsError("ValidationError", "Stack with id Slc does not exist"))

    with pytest.raises(StackNotFoundError) as caught:
        start.find_project(cfn, "Slc", hint="deploy it")

    assert caught.value.hint == "deploy it"
    assert "eu-central-1" in caught.value.message


def test_start_passes_branch_variables_and_token_reference(answers, clock, codebuild):
    Cloud(answers, clock)

    batch = start.start(codebuild, "SlcCodeBuild", "refs/heads/x", {"RELEASE_ID": "7"}, token_reference="a/b")

    (sent,) = answers.of("StartBuildBatch")
    assert sent["sourceVersion"] == "refs/heads/x"
    assert sent["environmentVariablesOverride"] == [
        {"name": "RELEASE_ID", "value": "7", "type": "PLAINTEXT"},
        {"name": "GITHUB_TOKEN", "value": "a/b", "type": "SECRETS_MANAGER"},
    ]
    assert (batch.id, batch.token_secret) == (ID, "a/b")


def test_start_repeated_after_broken_connection_starts_one_batch(answers, clock, codebuild):
    cloud = Cloud(answers, clock)
    answers.on("codebuild", "StartBuildBatch", [DroppedConnectionError(), DroppedConnectionError(), cloud.start])

    start.start(codebuild, "SlcCodeBuild", "x", {})

    tokens = {params["idempotencyToken"] for params in answers.of("StartBuildBatch")}
    assert len(answers.of("StartBuildBatch")) == 3
    assert len(tokens) == 1


def test_two_starts_start_two_batches(answers, clock, codebuild):
    Cloud(answers, clock)

    for _ in range(2):
        start.start(codebuild, "SlcCodeBuild", "x", {})

    assert len({params["idempotencyToken"] for params in answers.of("StartBuildBatch")}) == 2


@pytest.mark.parametrize("code", ["InvalidInputException", "AccountLimitExceededException"])
def test_rejected_start_reports_reason_of_codebuild(answers, codebuild, code):
    answers.on("codebuild", "StartBuildBatch", AwsError(code, "Project has no batch configuration"))

    with pytest.raises(SetupError, match="was not started: Project has no batch configuration") as caught:
        start.start(codebuild, "SlcCodeBuild", "x", {})

    assert caught.value.exit_code == 1


def test_start_without_permission_is_access_denied(answers, codebuild):
    answers.on("codebuild", "StartBuildBatch", AwsError("AccessDeniedException", "not authorized"))

    with pytest.raises(AccessDeniedError):
        start.start(codebuild, "SlcCodeBuild", "x", {})


@pytest.fixture(params=["StartBuildBatch", "RetryBuildBatch"])
def begin(request, answers, clock, codebuild):
    """Start or retry a batch; `operation` is the call of CodeBuild, `begun` the reported batches."""
    cloud = Cloud(answers, clock)
    noted: list[str] = []

    class Begin:
        operation = request.param
        begun: ClassVar[list[str]] = noted
        answer = staticmethod(lambda _params: {"buildBatch": cloud.batch()})

        def __call__(self):
            if self.operation == "StartBuildBatch":
                return start.start(codebuild, "SlcCodeBuild", "x", {}, begun=self.begun.append)
            return start.retry(codebuild, ID, failed_only=True, begun=self.begun.append)

        def replies(self, *replies):
            answers.on("codebuild", self.operation, list(replies), repeat_last=True)

        @property
        def keys(self):
            return [params["idempotencyToken"] for params in answers.of(self.operation)]

    return Begin()


def test_started_batch_is_reported_immediately(begin):
    begin.replies(begin.answer)

    assert begin().id == ID
    assert begin.begun == [ID]


@pytest.mark.parametrize("doubt", [DroppedConnectionError(), AwsError("InternalFailure", "oops", status=500)])
def test_unanswered_start_is_repeated_with_same_key(begin, doubt):
    begin.replies(*[doubt] * 10, begin.answer)

    assert begin().id == ID
    assert len(begin.keys) == 11
    assert len(set(begin.keys)) == 1
    assert begin.begun == [ID]


def test_start_never_answered_reports_unknown_result(begin):
    begin.replies(DroppedConnectionError())

    with pytest.raises(AwsUnavailableError) as caught:
        begin()

    assert begin.begun == [""]
    assert "it may have started" in caught.value.hint
    assert "`exasol-ci-setup builds`" in caught.value.hint


def test_ctrl_c_during_start_finds_batch_by_same_key(begin):
    begin.replies(KeyboardInterrupt(), begin.answer)

    with pytest.raises(OperationInterruptedError) as caught:
        begin()

    assert caught.value.batch_id == ID
    assert f"exasol-ci-setup stop {ID}" in caught.value.hint
    assert len(set(begin.keys)) == 1
    assert begin.begun == [ID]


def test_ctrl_c_waits_for_answer_and_names_batch(begin):
    def pressed(params):
        signal.raise_signal(signal.SIGINT)
        return begin.answer(params)

    begin.replies(pressed)

    with pytest.raises(OperationInterruptedError) as caught:
        begin()

    assert caught.value.batch_id == ID
    assert len(begin.keys) == 1
    assert begin.begun == [ID]


@pytest.mark.parametrize("again", [KeyboardInterrupt(), DroppedConnectionError()])
def test_ctrl_c_without_answer_reports_possible_start(begin, again):
    begin.replies(KeyboardInterrupt(), again)

    with pytest.raises(OperationInterruptedError, match="it may have started"):
        begin()

    assert begin.begun == [""]


@pytest.mark.parametrize("code", ["InvalidInputException", "AccessDeniedException", "ThrottlingException"])
def test_rejected_start_has_not_started(begin, code):
    begin.replies(AwsError(code, "no"))

    with pytest.raises(SetupError):
        begin()

    assert begin.begun == []


@pytest.mark.parametrize(("failed_only", "kind"), [(True, "RETRY_FAILED_BUILDS"), (False, "RETRY_ALL_BUILDS")])
def test_retry_passes_retry_type(answers, clock, codebuild, failed_only, kind):
    cloud = Cloud(answers, clock)
    answers.on("codebuild", "RetryBuildBatch", lambda _params: {"buildBatch": cloud.batch()})

    start.retry(codebuild, ID, failed_only=failed_only)

    (sent,) = answers.of("RetryBuildBatch")
    assert (sent["id"], sent["retryType"]) == (ID, kind)


@pytest.mark.parametrize("name", [ID, f"arn:aws:codebuild:eu-central-1:123456789012:build-batch/{ID}", f" {ID} "])
def test_batch_is_found_by_id_and_arn(answers, clock, codebuild, name):
    Cloud(answers, clock, Job("one", begins=0))

    found = read.require_batch(codebuild, name)

    assert found.id == ID
    assert found.builds[0].log_stream == "one"


@pytest.mark.parametrize("name", ["", "Slc", "Slc:", "a b:1", "Slc:1\n2", "--x:1", "arn:aws:s3:::bucket"])
def test_invalid_id_is_rejected_without_calls(codebuild, name):
    with pytest.raises(InputError, match="is not the id of a build"):
        read.find(codebuild, name)


def test_id_of_build_is_rejected_with_id_of_its_batch(answers, clock, codebuild):
    Cloud(answers, clock, Job("one", begins=0))
    answers.on("codebuild", "BatchGetBuildBatches", {"buildBatches": [], "buildBatchesNotFound": ["SlcCodeBuild:one"]})

    with pytest.raises(InputError) as caught:
        read.require_batch(codebuild, "SlcCodeBuild:one")

    assert ID in caught.value.hint


def test_newest_batches_of_several_projects_are_merged(answers, codebuild):
    ids = {"A": ["A:1", "A:3"], "B": ["B:2"]}
    answers.on("codebuild", "ListBuildBatchesForProject", lambda params: {"ids": ids[params["projectName"]]})

    def described(params):
        return {
            "buildBatches": [
                {"id": name, "startTime": BEGIN.replace(minute=int(name[-1])), "buildBatchStatus": "SUCCEEDED"}
                for name in params["ids"]
            ]
        }

    answers.on("codebuild", "BatchGetBuildBatches", described)

    assert [batch.id for batch in read.recent(codebuild, ["A", "B"], limit=2)] == ["A:3", "B:2"]


def test_batches_of_account_are_read_in_pages_up_to_limit(answers, codebuild):
    pages = [
        {"ids": [f"A:{number}" for number in range(100)], "nextToken": "n"},
        {"ids": [f"A:{number}" for number in range(100, 200)], "nextToken": "m"},
    ]
    answers.on("codebuild", "ListBuildBatches", pages)
    answers.on(
        "codebuild",
        "BatchGetBuildBatches",
        lambda params: {"buildBatches": [{"id": name, "buildBatchStatus": "FAILED"} for name in params["ids"]]},
    )

    assert len(read.recent(codebuild, None, limit=150)) == 150
    assert [len(params["ids"]) for params in answers.of("BatchGetBuildBatches")] == [100, 50]


def test_account_without_batches_lists_none(answers, codebuild):
    answers.on("codebuild", "ListBuildBatches", {"ids": []})

    assert read.recent(codebuild, None, limit=20) == []
