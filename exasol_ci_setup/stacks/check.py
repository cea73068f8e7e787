"""Check a template with cfn-lint and CloudFormation; nothing is created or changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exasol_ci_setup.aws.session import replace_aws_errors
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
    rejection = f"AWS rejected the template {template.name}"
    with replace_aws_errors({"ValidationError"}, lambda reason: TemplateRejectedError(f"{rejection}: {reason}")):
        account.client("cloudformation").validate_template(**template_source(account, template, bucket=bucket))
