"""The context of an operation: the account, the clock, and the reporter."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from exasol_ci_setup.core.clock import Clock, SystemClock
from exasol_ci_setup.core.reporter import NullReporter, Reporter, TemplateLinter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_cloudformation import CloudFormationClient

    from exasol_ci_setup.aws.session import Account


@dataclass(frozen=True)
class Context:
    """The account and region, the clock, and the reporter of an operation.

    `linter` checks each template, if set. With `plan_only` plans are shown, and none is applied.
    """

    account: Account
    clock: Clock = field(default_factory=SystemClock)
    reporter: Reporter = field(default_factory=NullReporter)
    linter: TemplateLinter | None = None
    plan_only: bool = False

    @property
    def cfn(self) -> CloudFormationClient:
        """The client of CloudFormation."""
        return self.account.client("cloudformation")

    def lint(self, template: Any) -> None:
        """Lint a template, if there is a linter. Raises TemplateRejectedError if it has errors."""
        if self.linter is not None:
            self.linter.check(template, self.account.region, self.reporter)

    def note(self, message: str) -> None:
        """Show a message."""
        self.reporter.note(message)

    def of(self, name: str) -> Context:
        """Return the context for one of several stacks."""
        return replace(self, reporter=self.reporter.of(name))

    @contextmanager
    def operation(self, name: str, title: str) -> Iterator[Context]:
        """Yield the context of an operation on a stack, whose reporter shows its events."""
        with self.reporter.operation(name, title) as reporter:
            yield replace(self, reporter=reporter)
