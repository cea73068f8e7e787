"""The check of CodeBuild's access to a repository before a stack is created."""

from __future__ import annotations

import pytest

from exasol_ci_setup.aws.context import Context
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.core.stacks import Options
from exasol_ci_setup.stacks import source_access
from exasol_ci_setup.stacks.request import Request
from exasol_ci_setup.template.render import Template
from tests.answers import AwsError
from tests.reporters import RecordingReporter

PROJECT = """
Parameters: {Hook: {Type: String, Default: "true"}}
Resources:
  Project:
    Type: AWS::CodeBuild::Project
    Properties:
      Source: {Type: %s, Location: https://example.com/a/b%s}
      Triggers: {Webhook: %s}
"""
GITHUB = {"arn": "arn:aws:codebuild:eu-central-1:1:token/github", "serverType": "GITHUB", "authType": "OAUTH"}


def check(answers, clock, body, *, found=(), plan_only=False, pending=False):
    """Return the notes of the check."""
    answers.on("codebuild", "ListSourceCredentials", {"sourceCredentialsInfos": list(found)})
    reporter = RecordingReporter()
    context = Context(answers.account, clock, reporter, None, plan_only)
    request = Request(name="Slc", template=Template("t.yaml", body))
    source_access.require(context, request, Options(credentials_pending=pending))
    return reporter.notes


def project(source="GITHUB", auth="", webhook="true"):
    return PROJECT % (source, auth, webhook)


@pytest.mark.parametrize("webhook", ["true", '"true"', "!Ref Hook"])
def test_webhook_without_credential_is_refused(answers, clock, webhook):
    with pytest.raises(InputError, match="no access to GitHub in eu-central-1") as caught:
        check(answers, clock, project(webhook=webhook))
    assert "deploy-source-credentials --secret-name github" in caught.value.hint
    assert "--connection-arn" in caught.value.hint
    assert "connection_arn: in a fleet" in caught.value.hint


def test_credential_of_other_server_is_not_enough(answers, clock):
    with pytest.raises(InputError, match="GitHub Enterprise"):
        check(answers, clock, project("GITHUB_ENTERPRISE"), found=[GITHUB])


def test_plan_has_note_instead_of_error(answers, clock):
    (note,) = check(answers, clock, project(), plan_only=True)
    assert "which the webhook needs" in note


def test_project_without_webhook_has_note(answers, clock):
    (note,) = check(answers, clock, project(webhook="false"))
    assert "private repository" in note


@pytest.mark.parametrize(
    ("body", "values"),
    [
        (project(), {"found": [GITHUB]}),
        (project(), {"pending": True}),
        (project(auth=", Auth: {Type: CODECONNECTIONS, Resource: arn}"), {}),
        (project("CODEPIPELINE"), {}),
        (project() + "  Token: {Type: AWS::CodeBuild::SourceCredential}\n", {}),
        ("Resources: {Topic: {Type: AWS::SNS::Topic}}", {}),
    ],
)
def test_sufficient_access_has_no_note(answers, clock, body, values):
    assert check(answers, clock, body, **values) == []


def test_denied_request_has_note(answers, clock):
    answers.on("codebuild", "ListSourceCredentials", AwsError("AccessDeniedException", "no"))
    reporter = RecordingReporter()
    request = Request(name="Slc", template=Template("t.yaml", project()))
    source_access.require(Context(answers.account, clock, reporter), request, Options())
    assert "unknown" in reporter.notes[0]
