"""The secret that holds the GitHub token for the time of a batch: made, kept while it is needed, and removed."""

from __future__ import annotations

import pytest

from exasol_ci_setup.builds import token
from exasol_ci_setup.builds.model import Batch
from exasol_ci_setup.errors import AccessDenied
from exasol_ci_setup.github import Token
from tests.answers import AwsError

VALUE = "ghp_0123456789secret"
PREFIX = "exasol-ci-setup/Slc/"
ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:x-abcdef"


@pytest.fixture
def client(answers):
    answers.on("secretsmanager", "CreateSecret", {"ARN": ARN})
    answers.on("secretsmanager", "DeleteSecret", {"ARN": ARN})
    return answers.account.client("secretsmanager")


def test_a_secret_is_made_below_the_projects_prefix_and_removed_for_good(answers, client):
    said: list[str] = []

    with token.stored(client, PREFIX, Token(VALUE), say=said.append) as secret:
        assert answers.names() == ["CreateSecret"]

    (made,) = answers.of("CreateSecret")
    (removed,) = answers.of("DeleteSecret")
    assert made["Name"].startswith(PREFIX)
    assert token.is_own(made["Name"])
    assert made["SecretString"] == VALUE
    assert {"Key": "exasol-ci-setup:project", "Value": "Slc"} in made["Tags"]
    assert removed == {"SecretId": secret.name, "ForceDeleteWithoutRecovery": True}
    assert said == []


def test_each_run_has_a_secret_of_its_own(answers, client):
    for _ in range(2):
        with token.stored(client, PREFIX, Token(VALUE), say=print):
            pass

    assert len({params["Name"] for params in answers.of("CreateSecret")}) == 2


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_it_is_removed_whatever_ends_the_work_before_a_batch_has_begun(answers, client, error):
    with pytest.raises(error), token.stored(client, PREFIX, Token(VALUE), say=print):
        raise error

    assert answers.names() == ["CreateSecret", "DeleteSecret"]


def test_ctrl_c_while_it_is_made_removes_it_too(answers, client):
    answers.on("secretsmanager", "CreateSecret", KeyboardInterrupt())

    with pytest.raises(KeyboardInterrupt), token.stored(client, PREFIX, Token(VALUE), say=print):
        pass

    assert answers.names() == ["CreateSecret", "DeleteSecret"]


def test_it_stays_while_a_batch_needs_it_and_that_is_said(answers, client):
    said: list[str] = []

    def work():
        with token.stored(client, PREFIX, Token(VALUE), say=said.append) as secret:
            secret.batch_id = "P:u"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()

    assert answers.names() == ["CreateSecret"]
    (secret,) = answers.of("CreateSecret")
    assert secret["Name"] in said[0]
    assert "exasol-ci-setup logs P:u --follow" in said[0]


def test_a_removal_that_fails_is_told_with_the_command_for_it_and_hides_no_other_error(answers, client):
    answers.on("secretsmanager", "DeleteSecret", AwsError("AccessDeniedException", "not authorized"))
    said: list[str] = []

    with pytest.raises(RuntimeError, match="the cause"), token.stored(client, PREFIX, Token(VALUE), say=said.append):
        raise RuntimeError("the cause")

    assert (
        "aws secretsmanager delete-secret --force-delete-without-recovery --secret-id exasol-ci-setup/Slc/" in said[0]
    )


def test_no_permission_to_make_one_names_the_permissions_and_the_way_around(answers, client):
    answers.on("secretsmanager", "CreateSecret", AwsError("AccessDeniedException", "not authorized"))

    with pytest.raises(AccessDenied) as caught, token.stored(client, PREFIX, Token(VALUE), say=print):
        pass

    assert "secretsmanager:CreateSecret" in caught.value.hint
    assert "--github-token-secret" in caught.value.hint
    assert answers.names() == ["CreateSecret"]


def test_a_secret_that_is_there_already_is_used_as_it_is_and_removed(answers, client):
    answers.on("secretsmanager", "DescribeSecret", {"ARN": ARN, "Name": "x"})
    name = f"{PREFIX}github-token-{'0' * 16}"

    with token.stored(client, "", Token(VALUE), say=print, name=name):
        pass

    assert answers.names() == ["DescribeSecret", "DeleteSecret"]


def test_a_secret_that_is_gone_is_made_again_under_its_name(answers, client):
    answers.on("secretsmanager", "DescribeSecret", AwsError("ResourceNotFoundException", "gone"))
    name = f"{PREFIX}github-token-{'0' * 16}"

    with token.stored(client, "", Token(VALUE), say=print, name=name):
        pass

    assert answers.of("CreateSecret")[0]["Name"] == name


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
def test_only_a_secret_of_this_tool_is_removed_and_only_after_the_end(answers, client, name, status, removed):
    token.remove_after(client, Batch("P:u", "P", status, token_secret=name), say=print)

    assert answers.names() == (["DeleteSecret"] if removed else [])


def test_the_token_does_not_show_itself():
    assert VALUE not in f"{Token(VALUE)!r} {Token(VALUE)!s}"
