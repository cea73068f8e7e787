"""The context of a program that sets nothing else: the AWS configuration, and the linter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exasol_ci_setup.aws.context import Context
from exasol_ci_setup.aws.session import connect
from exasol_ci_setup.core.reporter import NullReporter
from exasol_ci_setup.template.lint import Linter

if TYPE_CHECKING:
    from exasol_ci_setup.core.reporter import Reporter


def default_context(
    reporter: Reporter | None = None, *, profile: str | None = None, region: str | None = None
) -> Context:
    """Return the context of the AWS configuration. cfn-lint checks each template before a deployment.

    `reporter` receives plans, events and messages; the default one shows nothing and approves every plan. `profile` and `region` are by default
    those of the configuration of AWS. Raises the errors of `aws.session.connect`.
    """
    return Context(connect(profile, region), reporter=reporter or NullReporter(), linter=Linter())
