"""No input of a user changes the structure of a template."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from exasol_ci_setup.constructs import CiBuild, Construct, ReleaseBuild, SourceCredentials, build
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.template.render import parse, render

BUILD: dict[str, Any] = {
    "stack_name": "Stack",
    "project": "Slc",
    "project_url": "https://github.com/exasol/script-languages-release",
    "bucket_name": "artifacts",
    "image": "aws/codebuild/standard:8.0",
    "compute_type": "BUILD_GENERAL1_SMALL",
    "docker_secret": "Dockerhub",
    "cache": "source",
    "connection_arn": "arn:aws:codeconnections:eu-central-1:123456789012:connection/a",
    "buildspec": "ci/buildspec.yaml",
    "permissions_boundary": "arn:aws:iam::123456789012:policy/limit",
    "role_path": "/builds/",
    "kms_key_arn": "arn:aws:kms:eu-central-1:123456789012:key/1234abcd",
    "log_retention_in_days": 14,
    "artifact_retention_in_days": 30,
}
WITH_ARN = {**BUILD, "docker_secret_arn": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:Dockerhub-a1B2c3"}
SECRET = {"stack_name": "Stack", "secret_name": "github", "secret_user_key": "user", "secret_token_key": "token"}
SAMPLES: list[tuple[type[Construct], dict[str, Any]]] = [
    (
        CiBuild,
        {
            **BUILD,
            "branch_filter": "^refs/heads/main$",
            "path_filter": "^images/",
            "exclude_commit_message_filter": "skip",
        },
    ),
    (CiBuild, {**WITH_ARN, "branch_filter": "^refs/heads/main$"}),
    (ReleaseBuild, BUILD),
    (ReleaseBuild, WITH_ARN),
    (SourceCredentials, SECRET),
]
FIELDS = [
    pytest.param(number, field, id=f"{cls.__name__}{number}-{field}")
    for number, (cls, values) in enumerate(SAMPLES)
    for field, value in values.items()
    if isinstance(value, str)
]

# Each character has a meaning in YAML, Jinja, CloudFormation, IAM or JSON.
FRAGMENTS = [
    "'", '"', ":", ": ", "\n", "\r\n", "\n  Evil: 1\n", "{{ 7*7 }}", "{{", "}}", "{% raw %}", "{#", "!Sub", "!Ref x", "${AWS::Region}",
    "${", "#", " # x", "&anchor", "*alias", "|", ">", "- ", "---", "...", "%TAG", "[", "]", "{", "}", ",", "\t", "\\", "\\u0041",
    "null", "true", "1e3", "2012-10-17", "<<", "*", "?", "??????", "{{resolve:", "ssm:x}}", "\x00", "\x7f", "\x85", "\u2028", "\ufeff",
    "\U0001f600", "é", "\ud800",
]  # fmt: skip
TEXT = st.text(st.characters(exclude_categories=[])) | st.lists(st.sampled_from(FRAGMENTS)).map("".join)

MARK = "Marked"


def leaves(value: object, path: tuple[object, ...] = ()) -> list[tuple[tuple[object, ...], type, object]]:
    """Return the structure of a parsed template: the path, type and value of each scalar."""
    if isinstance(value, dict):
        inner = [leaf for key, item in value.items() for leaf in leaves(item, (*path, key))]
        return [(path, dict, len(value)), *inner]
    if isinstance(value, list):
        inner = [leaf for index, item in enumerate(value) for leaf in leaves(item, (*path, index))]
        return [(path, list, len(value)), *inner]
    return [(path, type(value), value)]


def joined(value: Any) -> Any:
    """Return a value in which ``Fn::Join`` of texts is evaluated."""
    if isinstance(value, list):
        return [joined(each) for each in value]
    match value:
        case {"Fn::Join": [str() as separator, list() as words]} if all(isinstance(word, str) for word in words):
            return separator.join(words)
    return {key: joined(each) for key, each in value.items()} if isinstance(value, dict) else value


@cache
def marked_leaves(number: int, field: str) -> list[tuple[tuple[object, ...], type, object]]:
    """Return the structure of the template of a sample with the mark as its value of `field`."""
    cls, values = SAMPLES[number]
    # `cache` selects a form, and is not in the template.
    marked = cls.model_construct(**{**values, field: MARK if field != "cache" else values[field]})
    return leaves(joined(parse(render(marked).body)))


def assert_only_the_text_differs(construct: Construct, number: int, field: str, text: str) -> None:
    expected = [
        (path, kind, value.replace(MARK, text) if isinstance(value, str) else value)
        for path, kind, value in marked_leaves(number, field)
    ]
    assert leaves(joined(parse(render(construct).body))) == expected


@pytest.mark.parametrize(("number", "field"), FIELDS)
@given(text=TEXT)
@example(text='"\n  Evil:\n    Type: AWS::IAM::User\n')
@example(text="x\n# {{ construct }} {% if 1 %} ${AWS::AccountId} !GetAtt a.b &a *a | > '")
@example(text="{{resolve:secretsmanager:other:SecretString:key}}")
@settings(deadline=None, max_examples=30)
def test_unchecked_text_is_rejected_or_stays_one_scalar(number: int, field: str, text: str):
    cls, values = SAMPLES[number]
    # These select a form of the template, which other tests check.
    assume(field != "docker_secret" or not text.startswith("arn:"))
    assume(":codestar-connections:" not in text)
    assume(field != "role_path" or text != "/")
    assume(field != "docker_secret" or text != "none")
    assume(field != "image" or not re.search(r"codebuild/|dkr", text))
    assume(field not in {"project_url", "permissions_boundary"} or text)
    construct = cls.model_construct(**{**values, field: text})
    if field == "cache":
        assume(text not in {"none", "s3", "docker"})
    try:
        assert_only_the_text_differs(construct, number, field, text)
    except InputError:
        is_reference = cls is SourceCredentials
        assert is_reference or "{{resolve:" in text or any("\ud800" <= character <= "\udfff" for character in text)


@pytest.mark.parametrize(("number", "field"), FIELDS)
@given(text=TEXT | st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,20}", fullmatch=True))
@settings(deadline=None, max_examples=15)
def test_valid_text_stays_one_scalar(number: int, field: str, text: str):
    cls, values = SAMPLES[number]
    try:
        construct = build(cls, **{**values, field: text})
    except InputError:
        return
    assume(field != "cache")
    assert_only_the_text_differs(construct, number, field, text)


STATEMENT_TEXT = (
    TEXT
    | st.from_regex(r"[a-z0-9]{1,5}:[A-Za-z*]{1,9}", fullmatch=True)
    | st.from_regex(r"arn:aws:s3:::[!-~]{1,20}", fullmatch=True)
    | st.sampled_from(["Ref", "Fn::Sub", "Fn::GetAtt", "*", "StringEquals", "aws:SourceIp", "${aws:username}"])
)


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_accepted_statement_is_in_policy_as_written(data: st.DataObject):
    def text(usual: str) -> str:
        return data.draw(st.just(usual) | STATEMENT_TEXT)

    statement = {
        "Effect": "Allow",
        "Sid": text("Push"),
        "Action": [text("ecr:PutImage")],
        "Resource": [text("arn:aws:s3:::bucket/*")],
        "Condition": {text("StringLike"): {text("aws:PrincipalTag/team"): [text("a"), text("b*")]}},
    }
    try:
        construct = build(CiBuild, **{**BUILD, "policy_statements": [statement]})
        template = parse(render(construct).body)
    except InputError:
        return
    [_, policy] = template["Resources"]["CodeBuildRole"]["Properties"]["Policies"]
    assert policy["PolicyDocument"]["Statement"] == [statement]


def test_rendering_is_deterministic():
    construct = build(CiBuild, **SAMPLES[1][1])
    assert render(construct) == render(construct)
