"""The reporter of commands that start, follow or stop batches of builds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exasol_ci_setup.builds.token import SecretRemains
from exasol_ci_setup.cli.render.build_view import BuildView
from exasol_ci_setup.cli.render.reporter import StackReporter

if TYPE_CHECKING:
    from exasol_ci_setup.cli.session import Session


class BuildReporter(StackReporter):
    """Warns about secrets that remain, and shows a batch in a view; with `log_only`, only its log lines on stdout."""

    def __init__(self, session: Session, *, log_only: bool = False) -> None:
        super().__init__(session)
        self._log_only = log_only

    def event(self, event: object, /) -> None:
        """Print a warning for a secret that remains."""
        if isinstance(event, SecretRemains):
            self._output.warn(self._session.with_global_options(event.message))

    def operation(self, _name: str, _title: str, /) -> BuildView:
        """Return the view of a batch."""
        return BuildView(self._output, clock=self._session.clock.now, log_only=self._log_only)
