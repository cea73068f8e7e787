"""The temporary secret with the GitHub token: created, kept while needed, and deleted."""

from __future__ import annotations

import signal

import pytest

from exasol_ci_setup.aws.context import Context
from exasol_ci_setup.builds import token
from exasol_ci_setup.builds.github import Token
from exasol_ci_setup.builds.model import Batch
from exasol_ci_setup.core.errors import AccessDeniedError, AwsUnavailableError
from tests.answers import AwsError, DroppedConnectionError
from tests.reporters import RecordingReporter

VALUE = "ghp_0123456789secret"
PREFIX = "exasol-ci-setup/Slc/"
NAME = f"{PREFIX}github-token-{'0' * 16}"
ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:x-abcdef"


@pytest.fixture
def reporter():
    return RecordingReporter()


@pytest.fixture
def context(answers, clock, reporter):
    answers.on("secretsmanager", "CreateSecret", {"ARN": ARN})
    answers.on("secretsmanager", "DeleteSecret", {"ARN": ARN})
    return Context(answers.account, clock, reporter)


def test_secret_has_prefix_of_project_and_is_deleted_permanently(answers, context, reporter):

    with token.stored(context, Token(VALUE), prefix=PREFIX) as secret:
        assert answers.names() == ["CreateSecret"]

    (made,) = answers.of("CreateSecret")
    (removed,) = answers.of("DeleteSecret")
    assert made["Name"].startswith(PREFIX)
    assert token.is_own(made["Name"])
    assert made["SecretString"] == VALUE
    assert {"Key": "exasol-ci-setup:project", "Value": "Slc"} in made["Tags"]
    assert removed == {"SecretId": secret.name, "ForceDeleteWithoutRecovery": True}
    assert reporter.events == []


def test_each_run_has_its_own_secret(answers, context):
    for _ in range(2):
        with token.stored(context, Token(VALUE), prefix=PREFIX):
            pass

    assert len({params["Name"] for params in answers.of("CreateSecret")}) == 2


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_secret_is_deleted_on_any_error_before_start(answers, context, error):
    with pytest.raises(error), token.stored(context, Token(VALUE), prefix=PREFIX):
        raise error

    assert answers.names() == ["CreateSecret", "DeleteSecret"]


def test_ctrl_c_during_creation_deletes_secret(answers, context):
    answers.on("secretsmanager", "CreateSecret", KeyboardInterrupt())

    with pytest.raises(KeyboardInterrupt), token.stored(context, Token(VALUE), prefix=PREFIX):
        pass

    assert answers.names() == ["CreateSecret", "DeleteSecret"]


def test_secret_of_running_batch_is_retained_and_named(answers, context, reporter):

    def work():
        with token.stored(context, Token(VALUE), prefix=PREFIX) as secret:
            secret.batch_id = "P:u"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()

    assert answers.names() == ["CreateSecret"]
    (secret,) = answers.of("CreateSecret")
    assert secret["Name"] in reporter.events[0].message
    assert "exasol-ci-setup logs P:u --follow" in reporter.events[0].message


def test_failed_deletion_names_command_and_keeps_first_error(answers, context, reporter):
    answers.on("secretsmanager", "DeleteSecret", AwsError("AccessDeniedException", "not authorized"))

    with (
        pytest.raises(RuntimeError, match="the cause"),
        token.stored(context, Token(VALUE), prefix=PREFIX),
    ):
        raise RuntimeError("the cause")

    assert (
        "aws secretsmanager delete-secret --force-delete-without-recovery --secret-id exasol-ci-setup/Slc/"
        in reporter.events[0].message
    )


def test_missing_permission_to_create_names_alternative(answers, context):
    answers.on("secretsmanager", "CreateSecret", AwsError("AccessDeniedException", "not authorized"))

    with pytest.raises(AccessDeniedError) as caught, token.stored(context, Token(VALUE), prefix=PREFIX):
        pass

    assert "secretsmanager:CreateSecret" in caught.value.hint
    assert "--github-token-secret" in caught.value.hint
    assert answers.names() == ["CreateSecret"]


def test_existing_secret_receives_new_token_and_is_deleted(answers, context):
    answers.on("secretsmanager", "DescribeSecret", {"ARN": ARN, "Name": "x"})
    answers.on("secretsmanager", "PutSecretValue", {"ARN": ARN})

    with token.stored(context, Token(VALUE), name=NAME):
        pass

    assert answers.names() == ["DescribeSecret", "PutSecretValue", "DeleteSecret"]
    assert answers.of("PutSecretValue")[0]["SecretString"] == VALUE


@pytest.mark.parametrize("code", ["InvalidRequestException", "ResourceExistsException"])
def test_name_of_secret_in_deletion_is_retried(answers, context, code):
    answers.on("secretsmanager", "DescribeSecret", AwsError("ResourceNotFoundException", "gone"))
    taken = AwsError(code, "already scheduled for deletion")
    answers.on("secretsmanager", "CreateSecret", [taken, taken, taken, {"ARN": ARN}])

    with token.stored(context, Token(VALUE), name=NAME):
        pass

    assert answers.names().count("CreateSecret") == 4
    assert answers.names()[-1] == "DeleteSecret"


def test_name_in_use_for_one_minute_fails(answers, clock, context):
    answers.on("secretsmanager", "DescribeSecret", AwsError("ResourceNotFoundException", "gone"))
    answers.on("secretsmanager", "CreateSecret", AwsError("InvalidRequestException", "scheduled for deletion"))

    with (
        pytest.raises(AwsUnavailableError, match="scheduled for deletion"),
        token.stored(context, Token(VALUE), name=NAME),
    ):
        pass

    assert 60 <= clock.elapsed < 90


def sigint(answer):
    """A reply that arrives during Ctrl-C."""

    def reply(_params):
        signal.raise_signal(signal.SIGINT)
        return answer

    return reply


def test_ctrl_c_waits_for_creation_and_deletes_secret(answers, context, reporter):
    answers.on("secretsmanager", "CreateSecret", sigint({"ARN": ARN}))

    with pytest.raises(KeyboardInterrupt), token.stored(context, Token(VALUE), prefix=PREFIX):
        pytest.fail("it continues")

    assert answers.names() == ["CreateSecret", "DeleteSecret"]
    assert reporter.events == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), DroppedConnectionError()])
def test_secret_created_after_interruption_is_deleted(answers, context, reporter, error):
    gone = AwsError("ResourceNotFoundException", "gone")
    answers.on("secretsmanager", "CreateSecret", error)
    answers.on("secretsmanager", "DeleteSecret", [gone, gone, {"ARN": ARN}])

    with (
        pytest.raises((KeyboardInterrupt, AwsUnavailableError)),
        token.stored(context, Token(VALUE), prefix=PREFIX),
    ):
        pass

    assert answers.names().count("DeleteSecret") == 3
    assert reporter.events == []


def test_secret_of_unknown_state_is_named(answers, clock, context, reporter):
    answers.on("secretsmanager", "CreateSecret", KeyboardInterrupt())
    answers.on("secretsmanager", "DeleteSecret", AwsError("ResourceNotFoundException", "gone"))

    with pytest.raises(KeyboardInterrupt), token.stored(context, Token(VALUE), prefix=PREFIX):
        pass

    assert f"--secret-id {answers.of('CreateSecret')[0]['Name']}`" in reporter.events[0].message
    assert clock.elapsed < 10


def test_ctrl_c_during_deletion_waits_and_keeps_first_error(answers, context, reporter):
    answers.on("secretsmanager", "DeleteSecret", sigint({"ARN": ARN}))

    with pytest.raises(RuntimeError), token.stored(context, Token(VALUE), prefix=PREFIX):
        raise RuntimeError

    assert reporter.events == []


def test_interrupted_deletion_names_secret_and_keeps_first_error(answers, context, reporter):
    answers.on("secretsmanager", "DeleteSecret", KeyboardInterrupt())

    with pytest.raises(RuntimeError), token.stored(context, Token(VALUE), prefix=PREFIX):
        raise RuntimeError

    assert f"--secret-id {answers.of('CreateSecret')[0]['Name']}`" in reporter.events[0].message


def test_secret_is_retained_while_state_of_batch_is_unknown(answers, context, reporter):

    with token.stored(context, Token(VALUE), prefix=PREFIX) as secret:
        secret.begun("")

    assert answers.names() == ["CreateSecret"]
    assert secret.name in reporter.events[0].message


def test_missing_secret_is_created_again_with_same_name(answers, context):
    answers.on("secretsmanager", "DescribeSecret", AwsError("ResourceNotFoundException", "gone"))

    with token.stored(context, Token(VALUE), name=NAME):
        pass

    assert answers.of("CreateSecret")[0]["Name"] == NAME


@pytest.mark.parametrize(
    ("name", "status", "removed"),
    [
        (f"{PREFIX}github-token-{'a' * 16}", "SUCCEEDED", True),
        (f"{PREFIX}github-token-{'a' * 16}", "IN_PROGRESS", False),
        ("my-own-secret", "SUCCEEDED", False),
        (f"{PREFIX}my-own-secret", "SUCCEEDED", False),
        ("", "SUCCEEDED", False),
    ],
)
def test_only_secret_of_this_tool_is_deleted_after_end(answers, context, name, status, removed):
    token.remove_after(context, Batch("P:u", "P", status, token_secret=name))

    assert answers.names() == (["DeleteSecret"] if removed else [])


def test_token_is_not_in_repr():
    assert VALUE not in f"{Token(VALUE)!r} {Token(VALUE)!s}"
