"""Secrets in the library: storage, validation, and no leaked values."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import exasol_ci_setup
from exasol_ci_setup.aws import secretsmanager
from exasol_ci_setup.aws.context import Context
from exasol_ci_setup.core.errors import AccessDeniedError, InputError, SecretConflictError, SecretNotFoundError
from exasol_ci_setup.platform import secret, secret_files
from tests.answers import AwsError

VALUE = "s3cr3t\nwith a line break"
ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:naas/a-AbCdEf"


@pytest.fixture
def context(live):
    return Context(live)


def entry(name, **more):
    return {"Name": f"naas/{name}", "ARN": ARN, **more}


class TestLive:
    pytestmark = pytest.mark.live

    def test_stored_value_is_returned(self, context):
        made = secret.create("db/password", VALUE, context=context)
        found = secret.get("db/password", context=context)

        assert (found.name, found.value, found.arn) == ("db/password", VALUE, made.arn)

    def test_bytes_that_are_not_utf8_stay_bytes(self, context):
        secret.create("key", b"\xff\x00\n", context=context)
        secret.create("text", b"plain\n", context=context)

        assert secret.get("key", context=context).value == b"\xff\x00\n"
        assert secret.get("text", context=context).value == "plain\n"

    def test_existing_secret_is_conflict_and_unchanged(self, context):
        secret.create("a", "first", context=context)

        with pytest.raises(SecretConflictError, match="'a' already exists"):
            secret.create("a", "second", context=context)

        assert secret.get("a", context=context).value == "first"

    def test_deleted_secret_can_be_created_again(self, context):
        secret.create("a", "first", context=context)
        secret.delete("a", context=context)

        assert secret.list(context=context) == []
        with pytest.raises(SecretNotFoundError, match="was deleted"):
            secret.get("a", context=context)
        with pytest.raises(SecretNotFoundError):
            secret.delete("a", context=context)

        secret.create("a", "second", context=context)
        assert secret.get("a", context=context).value == "second"

    def test_missing_secret_is_not_found(self, context):
        for verb in (secret.get, secret.delete):
            with pytest.raises(SecretNotFoundError, match="'a' does not exist in eu-central-1"):
                verb("a", context=context)

    def test_list_has_all_secrets_and_no_others(self, context, live):
        secret.bulk_create({f"s{number:03}": "x" for number in range(120)}, context=context)
        live.client("secretsmanager").create_secret(Name="other", SecretString="x")
        live.client("secretsmanager").create_secret(Name="not-naas/a", SecretString="x")

        assert [each.name for each in secret.list(context=context)] == [f"s{number:03}" for number in range(120)]

    def test_bulk_with_existing_secret_creates_none(self, context):
        secret.create("b", "old", context=context)

        with pytest.raises(SecretConflictError, match="secret 'b' exists already: none of the 2"):
            secret.bulk_create({"a": "1", "b": "2"}, context=context)

        assert [each.name for each in secret.list(context=context)] == ["b"]
        assert secret.get("b", context=context).value == "old"

    def test_bulk_with_invalid_secret_creates_none(self, context):
        with pytest.raises(InputError, match="invalid name of a secret: 'b c'"):
            secret.bulk_create({"a": "1", "b c": "2"}, context=context)
        with pytest.raises(InputError, match="'b' is empty"):
            secret.bulk_create({"a": "1", "b": ""}, context=context)

        assert secret.list(context=context) == []


def test_secret_is_module_of_package():
    assert exasol_ci_setup.secret is secret


def test_names_differ_from_release_token_names():
    assert not secretsmanager.TEAM_PREFIX.startswith("exasol-ci-setup/")


def test_bulk_failure_names_created_secrets(answers):
    absent = AwsError("ResourceNotFoundException")
    answers.on("secretsmanager", "DescribeSecret", absent)
    answers.on("secretsmanager", "CreateSecret", [{"ARN": ARN}, {"ARN": ARN}, AwsError("AccessDeniedException", "no")])

    with pytest.raises(AccessDeniedError) as caught:
        secret.bulk_create({"a": "1", "b": "2", "c": VALUE}, context=Context(answers.account))

    assert caught.value.hint.endswith("created before that: a, b")
    assert VALUE not in str(caught.value) + caught.value.hint


def test_rejected_restore_deletes_old_value_again(answers):
    answers.on("secretsmanager", "CreateSecret", AwsError("InvalidRequestException", "scheduled for deletion"))
    answers.on("secretsmanager", "DescribeSecret", entry("a", DeletedDate=1_700_000_000))
    answers.on("secretsmanager", "RestoreSecret", entry("a"))
    answers.on("secretsmanager", "PutSecretValue", AwsError("AccessDeniedException", "no"))
    answers.on("secretsmanager", "DeleteSecret", entry("a", DeletionDate=1_700_000_000))

    with pytest.raises(AccessDeniedError):
        secret.create("a", VALUE, context=Context(answers.account))

    assert answers.names()[-2:] == ["PutSecretValue", "DeleteSecret"]


def test_list_reads_every_page(answers):
    answers.on(
        "secretsmanager",
        "ListSecrets",
        [{"SecretList": [entry("b")], "NextToken": "more"}, {"SecretList": [entry("a")]}],
    )

    assert [each.name for each in secret.list(context=Context(answers.account))] == ["a", "b"]


@pytest.mark.parametrize("name", ["", "a b", "/a", "a/", "a//b", "ä", "a\n", "x" * 600, "${x}"])
def test_invalid_name_is_rejected(name, answers):
    with pytest.raises(InputError, match="invalid name"):
        secret.create(name, "x", context=Context(answers.account))

    assert answers.calls == []


@pytest.mark.parametrize("value", ["", b"", "x" * 65_537, "\ud800", 5])
def test_invalid_value_is_rejected_and_not_shown(value, answers):
    with pytest.raises(InputError, match="the value of secret 'a'") as caught:
        secret.create("a", value, context=Context(answers.account))

    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert answers.calls == []


def test_repr_does_not_show_value():
    assert VALUE not in repr(secret.Secret("a", ARN, VALUE))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": "1", "b": "x=y"}', {"a": "1", "b": "x=y"}),
        ('[{"name": "a", "value": "1"}]', {"a": "1"}),
        (
            "A=1\n# a remark\n\nexport B='two words'\nC=\"a\\nb\"\nD=\n",
            {"A": "1", "B": "two words", "C": "a\nb", "D": ""},
        ),
        ("A=${HOME}\n", {"A": "${HOME}"}),
        ("\ufeffA=1\n", {"A": "1"}),
        ("", {}),
    ],
)
def test_secrets_are_parsed_from_json_or_env(text, found):
    assert secret_files.parse(text.encode()) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": "h1dden",}', "invalid JSON in line 1"),
        ('{"a": "h1dden"', "invalid JSON"),
        ('{"a": "h1dden", "a": "h1dden"}', "duplicate secret: 'a'"),
        ('{"a": {"h1dden": "h1dden"}}', "'a' is not text"),
        ('{"a": 5}', "'a' is not text"),
        ('["h1dden"]', "entry 1 of the list"),
        ('[{"name": "a", "value": "h1dden", "valeu": "h1dden"}]', "entry 1 of the list"),
        ('[{"name": 1, "value": "h1dden"}]', "name is not text"),
        ("[" * 100_000, "invalid JSON"),
        ("A=1\nh1dden\n", "line 2 of the secrets"),
        ("A=1\n=h1dden\n", "line 2 of the secrets"),
        ("A=1\nA=h1dden\n", "duplicate secret: 'A'"),
        ("A='h1dden\n", "line 1 of the secrets"),
    ],
)
def test_parse_error_has_position_and_no_value(text, message):
    with pytest.raises(InputError, match=message) as caught:
        secret_files.parse(text.encode())

    assert "h1dden" not in str(caught.value) + caught.value.hint
    assert caught.value.__context__ is None


def test_non_utf8_input_is_rejected():
    with pytest.raises(InputError, match="not UTF-8"):
        secret_files.parse(b"A=\xff")


@settings(deadline=None)
@given(st.dictionaries(st.text(), st.text()))
def test_any_json_object_of_texts_is_parsed(values):
    assert secret_files.parse(json.dumps(values).encode()) == values


@pytest.mark.live
def test_set_replaces_value_and_keeps_arn(context):
    made = secret.create("k", "one", context=context)

    stored = secret.set("k", "two", context=context)

    assert stored.arn == made.arn
    assert secret.get("k", context=context).value == "two"


@pytest.mark.live
def test_set_creates_and_restores_secret(context):

    secret.set("k", "one", context=context)
    secret.delete("k", context=context)
    secret.set("k", b"\xff", context=context)

    assert secret.get("k", context=context).value == b"\xff"


@pytest.mark.live
def test_spaces_with_secret_are_those_that_read_it_now(context):
    secret.create("k", "one", context=context)
    exasol_ci_setup.space.create("old", image="nginx:1", secrets={"K": "k"}, context=context)
    exasol_ci_setup.space.create("web", image="nginx:1", secrets={"K": "k"}, context=context)
    exasol_ci_setup.space.create("api", image="nginx:1", context=context)
    # Its former release still reads the secret.
    exasol_ci_setup.space.update("old", unset=["K"], context=context)

    assert secret.spaces_with("k", context=context) == ["web"]
    with pytest.raises(SecretNotFoundError):
        secret.spaces_with("missing", context=context)
