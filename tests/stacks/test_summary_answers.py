"""AWS's summary of a template, and the capabilities that follow from it."""

from __future__ import annotations

import pytest

from exasol_ci_setup.core.errors import TemplateRejectedError
from exasol_ci_setup.stacks.summary import required_capabilities, summarize
from exasol_ci_setup.template.render import Template
from tests.answers import AwsError

TEMPLATE = Template("a.yaml", "Resources: {R: {Type: AWS::IAM::Role}}")
PARSED = {"Resources": {"R": {"Type": "AWS::IAM::Role"}}}


def test_capabilities_of_template_and_aws_are_joined(answers):
    answers.on(
        "cloudformation",
        "GetTemplateSummary",
        {
            "Capabilities": ["CAPABILITY_NAMED_IAM"],
            "CapabilitiesReason": "The following resource(s) require capabilities: [AWS::IAM::Role]",
            "DeclaredTransforms": ["Own"],
            "ResourceTypes": ["AWS::IAM::Role"],
        },
    )

    summary = summarize(answers.account, TEMPLATE)

    assert answers.of("GetTemplateSummary") == [{"TemplateBody": TEMPLATE.body}]
    assert (summary.transforms, summary.resource_types) == (("Own",), ("AWS::IAM::Role",))
    assert "AWS::IAM::Role" in summary.reason
    assert required_capabilities(PARSED, summary) == ("CAPABILITY_NAMED_IAM",)


def test_rejected_template_has_reason_of_aws(answers):
    answers.on("cloudformation", "GetTemplateSummary", AwsError("ValidationError", "Template format error: x"))

    with pytest.raises(TemplateRejectedError, match=r"AWS rejected the template a\.yaml: Template format error: x"):
        summarize(answers.account, TEMPLATE)
