"""Read templates as CloudFormation deploys them: with their transforms applied.

https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_GetTemplate.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from exasol_ci_setup.core.errors import AwsUnavailableError, SetupError
from exasol_ci_setup.stacks import changeset
from exasol_ci_setup.template.deployed import read
from exasol_ci_setup.template.intrinsics import MASK, as_mapping, is_no_echo
from exasol_ci_setup.template.render import has_transform

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

    from exasol_ci_setup.core.stacks import Plan


@dataclass(frozen=True, slots=True)
class Sides:
    """The templates of a stack (None for a new one) and of a change set, as CloudFormation deploys them.

    `shown_before` and `shown_after` are the same without values of NoEcho parameters. If AWS does not return the processed templates, these
    are the templates as they were sent, and `notes` say why.
    """

    before: Mapping[str, Any] | None
    after: Mapping[str, Any]
    shown_before: Mapping[str, Any] | None
    shown_after: Mapping[str, Any]
    notes: tuple[str, ...] = ()


def sides(cfn: CloudFormationClient, before: Mapping[str, Any] | None, after: Mapping[str, Any], plan: Plan) -> Sides:
    """Return both templates of the `plan`, whose change set CloudFormation has created. The arguments are the templates as they were sent."""
    try:
        old = None if before is None else of_stack(cfn, before, plan.stack_id)
        new = of_change_set(cfn, after, plan.change_set_id)
    except SetupError as error:
        note = f"the template with its transforms applied is not available: {error.message}"
        return Sides(before, after, before, after, (note,))
    shown = None if old is None or before is None else _redact(old, before)
    return Sides(old, new, shown, _redact(new, after))


def of_stack(cfn: CloudFormationClient, original: Mapping[str, Any], stack: str) -> Mapping[str, Any]:
    """Return the processed template of the `stack` with this name or ARN; `original` is its template as it was sent.

    Raises AwsUnavailableError if AWS returns a template that is not processed, and the errors of `translate_aws_errors`.
    """
    return _processed(cfn, original, StackName=stack)


def of_change_set(cfn: CloudFormationClient, original: Mapping[str, Any], change_set_id: str) -> Mapping[str, Any]:
    """Return the processed template of the change set with this ARN, which CloudFormation has created.

    Raises as `of_stack`.
    """
    return _processed(cfn, original, ChangeSetName=change_set_id)


def to_show(cfn: CloudFormationClient, original: Mapping[str, Any], stack: str) -> Mapping[str, Any]:
    """Return the template of `of_stack` without values of NoEcho parameters, or `original` if AWS does not return it."""
    try:
        return _redact(of_stack(cfn, original, stack), original)
    except SetupError:
        return original


def _processed(cfn: CloudFormationClient, original: Mapping[str, Any], **which: str) -> Mapping[str, Any]:
    if not has_transform(original):
        return original
    found = read(changeset.template_body(cfn, stage="Processed", **which)).template
    if has_transform(found):
        raise AwsUnavailableError("AWS returned a template whose transforms are not applied")
    return found


def _redact(template: Mapping[str, Any], original: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the processed template without values that may come from a NoEcho parameter.

    ``AWS::LanguageExtensions`` replaces references to parameters by their values. If a parameter is NoEcho, each text that `original`
    does not contain is masked.
    """
    parameters = as_mapping(original.get("Parameters")).values()
    if template is original or not any(map(is_no_echo, parameters)):
        return template
    known = json.dumps(original, default=str)

    def redacted(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: redacted(item) for key, item in value.items()}
        if isinstance(value, list):
            return [redacted(item) for item in value]
        return MASK if isinstance(value, str) and json.dumps(value)[1:-1] not in known else value

    return {key: redacted(value) for key, value in template.items()}
