"""Findings of the linter as data."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cfnlint.api
import pytest
from cfnlint.config import ManualArgs

from exasol_ci_setup.core.errors import InputError, TemplateRejectedError
from exasol_ci_setup.core.errors.details import Finding
from exasol_ci_setup.template.lint import Background, _matches, lint, reject_errors
from exasol_ci_setup.template.render import Template

REGION = "eu-central-1"


def test_error_has_rule_path_and_line():
    body = "Resources:\n  Bucket:\n    Type: AWS::S3::Bucket\n    Properties:\n      BucketNam: a\n"
    (finding,) = lint(Template("bucket.yaml", body), REGION)
    assert (finding.rule, finding.level, finding.line) == ("E3002", "error", 5)
    assert finding.path == "Resources.Bucket.Properties.BucketNam"
    assert "BucketNam" in finding.message


def test_value_outside_long_list_has_nearest_one_only():
    machine = "Resources: {Machine: {Type: AWS::EC2::Instance, Properties: {ImageId: ami-0123456789abcdef0, InstanceType: t3.mirco}}}"
    [found] = lint(Template("machine.yaml", machine), REGION)
    assert found.message.startswith("'t3.mirco' is not one of the ")
    assert found.message.endswith(f" allowed values in '{REGION}'; did you mean t3.micro?")


def test_findings_are_sorted_by_line():
    body = "Parameters:\n  Unused:\n    Type: String\nResources:\n  Bucket:\n    Type: AWS::S3::Bucket\n    Properties: {A: 1, B: 2}\n"
    findings = lint(Template("bucket.yaml", body), REGION)
    assert [(finding.rule, finding.level) for finding in findings] == [
        ("W2001", "warning"),
        ("E3002", "error"),
        ("E3002", "error"),
    ]
    assert [finding.line for finding in findings] == sorted(finding.line for finding in findings)


def test_type_missing_in_region_is_error_only_in_region():
    body = "Resources:\n  App:\n    Type: AWS::AppRunner::Service\n    Properties:\n      SourceConfiguration: {}\n"
    template = Template("app.yaml", body)
    assert "E3006" not in {finding.rule for finding in lint(template, "eu-central-1")}
    assert "E3006" in {finding.rule for finding in lint(template, "cn-north-1")}


BODIES = [
    "Resources:\n  Topic:\n    Type: AWS::SNS::Topik\n",
    "Parameters: {P: {Type: String}}\nResources:\n  B: {Type: AWS::S3::Bucket, Properties: {No: 1, BucketName: !Ref Q}}\n",
    "Conditions: {C: !Equals [a, b]}\nResources:\n  R: {Type: AWS::IAM::Role}\nOutputs: {O: {Value: !GetAtt R.No}}\n",
    "Resources:\n  L: {Type: AWS::Lambda::Function, Properties: {Runtime: python2.7, Handler: a, Role: b, Code: {ZipFile: x}}}\n",
    """
Metadata: {cfn-lint: {config: {ignore_checks: [E3002, W2001]}}}
Parameters: {P: {Type: String}}
Resources: {B: {Type: AWS::S3::Bucket, Properties: {No: 1}}}
""",
    """
Transform: AWS::LanguageExtensions
Resources:
  'Fn::ForEach::X': [I, [a, b], {'T${I}': {Type: AWS::SNS::Topic, Properties: {No: !Ref I}}}]
""",
]


def test_reused_rules_have_same_findings():
    def found(matches):
        return sorted((match.rule.id, match.message, match.linenumber) for match in matches)

    new = [(body, found(cfnlint.api.lint(body, config=ManualArgs(regions=[REGION])))) for body in BODIES]

    for body, findings in [*new, *reversed(new)]:
        assert found(_matches(body, REGION)) == findings, body


def test_rules_of_settings_apply_only_where_these_are(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "rules.txt").write_text("AWS::SNS::Topic TopicName EQUALS b ERROR own\n", encoding="utf-8")
    (tmp_path / "own" / ".cfnlintrc").write_text("custom_rules: rules.txt\n", encoding="utf-8")
    template = Template("topic.yaml", "Resources: {T: {Type: AWS::SNS::Topic, Properties: {TopicName: a}}}\n")
    found: dict[Path, list[list[str]]] = {}
    for folder in (tmp_path, tmp_path / "own", tmp_path):
        monkeypatch.chdir(folder)
        found.setdefault(folder, []).append([finding.message for finding in lint(template, REGION)])

    assert found == {tmp_path: [[], []], tmp_path / "own": [["own"]]}


@pytest.mark.parametrize(
    "body", ["", "a: [", "- a", "text", "{", "a: 1\na: 2", "a: !Foo b", "\x00", "a: \ud800", "Resources: 1"]
)
def test_text_without_template_has_error(body: str):
    findings = lint(Template("odd.yaml", body), REGION)
    assert findings
    assert all(finding.level == "error" for finding in findings)


def finding(level: str, line: int = 1) -> Finding:
    return Finding(rule="X1", level=level, message="it is wrong", path="", line=line)  # type: ignore[arg-type]


def test_error_rejects_template_and_names_first():
    findings = [finding("warning"), finding("error", 3), finding("error", 4)]
    with pytest.raises(TemplateRejectedError) as caught:
        reject_errors(Template("bucket.yaml", ""), findings)
    assert caught.value.message == "bucket.yaml has errors: line 3: it is wrong (X1), and 1 more"
    assert caught.value.findings == tuple(findings)


def test_warnings_do_not_reject_template():
    reject_errors(Template("bucket.yaml", ""), [finding("warning"), finding("info")])


def test_background_lint_has_same_findings():
    template = Template("t.yaml", "Resources: {T: {Type: 'AWS::SNS::Topik'}}")
    linting = Background()

    linting.start(template, "eu-central-1")

    assert linting.findings() == lint(template, "eu-central-1") != []


def test_exception_of_background_lint_is_raised_by_wait():
    linting = Background()

    linting.start(Template("t.yaml", "Resources: {}"), "nowhere-1")

    with pytest.raises(InputError, match="nowhere-1"):
        linting.findings()


def test_process_exits_without_wait_for_lint():
    script = (
        "from exasol_ci_setup.template.lint import Background; from exasol_ci_setup.template.render import Template\n"
        "Background().start(Template('t.yaml', 'Resources: {}'), 'eu-central-1'); print('done')"
    )

    ended = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
    )

    assert (ended.stdout, ended.stderr) == ("done\n", "")
