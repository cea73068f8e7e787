"""Request the contents of a template from AWS, before a change set is created."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exasol_ci_setup.aws.session import ClientError, error_code, translate_aws_errors
from exasol_ci_setup.core.errors import TemplateRejectedError
from exasol_ci_setup.stacks.upload import template_source
from exasol_ci_setup.template.render import capabilities

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.template.render import Template


@dataclass(frozen=True, slots=True)
class TemplateSummary:
    """What GetTemplateSummary returns: capabilities with AWS's reason, transforms, and types of resources.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_GetTemplateSummary.html
    """

    capabilities: tuple[str, ...] = ()
    reason: str = ""
    transforms: tuple[str, ...] = ()
    resource_types: tuple[str, ...] = ()


def summarize(account: Account, template: Template, *, bucket: str | None = None) -> TemplateSummary:
    """Return the summary of a template. Raises TemplateRejectedError with the reason of AWS, and the errors of the AWS boundary."""
    cfn = account.client("cloudformation")
    source = template_source(account, template, bucket=bucket)
    with translate_aws_errors():
        try:
            found = cfn.get_template_summary(**source)  # type: ignore[arg-type] # a body or a URL
        except ClientError as error:
            if error_code(error) != "ValidationError":
                raise
            said = error.response.get("Error", {}).get("Message", "")
            raise TemplateRejectedError(f"AWS rejected the template {template.name}: {said}") from error
    return TemplateSummary(
        capabilities=tuple(found.get("Capabilities", ())),
        reason=found.get("CapabilitiesReason", ""),
        transforms=tuple(found.get("DeclaredTransforms", ())),
        resource_types=tuple(found.get("ResourceTypes", ())),
    )


def required_capabilities(parsed: Mapping[str, object], summary: TemplateSummary) -> tuple[str, ...]:
    """Return the capabilities that the parsed template or AWS's summary of it requires, sorted; NAMED_IAM includes IAM."""
    found = {*capabilities(parsed), *summary.capabilities}
    if "CAPABILITY_NAMED_IAM" in found:
        found.discard("CAPABILITY_IAM")
    return tuple(sorted(found))
