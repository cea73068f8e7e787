"""Check a template with cfn-lint and CloudFormation; nothing is created or changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exasol_ci_setup.aws.session import ClientError, error_code, translate_aws_errors
from exasol_ci_setup.core.errors import TemplateRejectedError
from exasol_ci_setup.stacks.upload import template_source
from exasol_ci_setup.template import lint

if TYPE_CHECKING:
    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.core.errors.details import Finding
    from exasol_ci_setup.template.render import Template


def check(context: Context, template: Template) -> list[Finding]:
    """Return the findings of cfn-lint, after CloudFormation has validated the template. Raises TemplateRejectedError with its message."""
    linting = lint.Background()
    linting.start(template, context.account.region)
    validate(context.account, template)
    return linting.findings()


def validate(account: Account, template: Template, *, bucket: str | None = None) -> None:
    """Let CloudFormation validate the template. Raises TemplateRejectedError with its message."""
    cfn = account.client("cloudformation")
    with translate_aws_errors():
        try:
            cfn.validate_template(**template_source(account, template, bucket=bucket))
        except ClientError as error:
            if error_code(error) != "ValidationError":
                raise
            reason = error.response.get("Error", {}).get("Message", "")
            raise TemplateRejectedError(f"AWS rejected the template {template.name}: {reason}") from error
