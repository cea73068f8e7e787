"""Follow an operation on a StackSet for each account and region, and explain its failure."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final, Literal

from exasol_ci_setup.aws.session import is_transient, translate_aws_errors
from exasol_ci_setup.core.errors import DeployFailedError, OperationInterruptedError, TimedOutError
from exasol_ci_setup.core.errors.details import Diagnosis
from exasol_ci_setup.core.stacks import Event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_cloudformation import CloudFormationClient

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.core.reporter import Reporter

CallAs = Literal["SELF", "DELEGATED_ADMIN"]

# An operation takes minutes in each account, and its results are in pages of 100.
_PAUSE: Final = 5.0
_RETRY_SECONDS: Final = 600.0
IN_PROGRESS: Final = frozenset({"QUEUED", "RUNNING", "STOPPING"})
_WORDS: Final = {"RUNNING": "IN_PROGRESS", "SUCCEEDED": "COMPLETE"}


class Operation:
    """One operation on a StackSet: `name` is that of the set, `id` that of the operation.

    The statuses of AWS for an account and region are shown as those of a stack: ``CREATE_IN_PROGRESS``, ``CREATE_COMPLETE``,
    ``CREATE_FAILED``, ``CREATE_CANCELLED``.
    """

    def __init__(self, cfn: CloudFormationClient, name: str, id: str, *, call_as: CallAs) -> None:  # noqa: A002 - AWS's word
        self.name = name
        self.id = id
        self._cfn = cfn
        self._call_as = call_as
        self._shown_statuses: dict[tuple[str, str], str] = {}
        self._results: list[Any] = []
        self._description: Any = {}

    def follow(self, context: Context, *, timeout: float | None) -> None:
        """Return when the operation has succeeded; the reporter receives the events, and notes on tolerated failures.

        Raises DeployFailedError with the first cause, TimedOutError after `timeout` seconds and a request to stop it, OperationInterruptedError, and
        the errors of `translate_aws_errors`.
        """
        try:
            stopped = self._follow(context, timeout)
        except KeyboardInterrupt:
            raise OperationInterruptedError(
                f"stopped following: AWS continues with StackSet {self.name} ({self._description.get('Status', 'just begun')})",
                hint="the same command follows it again",
                stack_name=self.name,
            ) from None
        status = self._description["Status"]
        failed = [each for each in self._results if each.get("Status") == "FAILED"]
        if stopped and status != "SUCCEEDED":
            raise TimedOutError(
                f"StackSet {self.name} did not finish within {timeout:g} s; its operation was stopped and ended in {status}",
                hint="increase --timeout, and run the same command again: it continues with the rest",
                stack_name=self.name,
            )
        if status != "SUCCEEDED":
            raise DeployFailedError(
                f"StackSet {self.name} ended in {status}: {self._count_text(failed)}",
                stack_name=self.name,
                hint="fix the cause and run the command again: it continues with the rest",
                diagnosis=self._diagnosis(status, failed),
            )
        for each in failed:
            context.note(f"tolerated: {_place(each)} failed: {_reason(each)}")

    def _follow(self, context: Context, timeout: float | None) -> bool:
        """Return when the operation has ended, and whether it was stopped because of the timeout."""
        clock = context.clock
        deadline = None if timeout is None else clock.now() + timeout
        stopped = False
        answered = clock.now()
        while True:
            try:
                self._poll(context.reporter)
                answered = clock.now()
            except Exception as error:
                # A failed poll must not fail an operation that AWS continues.
                if not is_transient(error.__cause__ or error) or clock.now() - answered > _RETRY_SECONDS:
                    raise
            if self._description and self._description["Status"] not in IN_PROGRESS:
                return stopped
            if deadline is not None and not stopped and clock.now() >= deadline:
                with translate_aws_errors():
                    self._cfn.stop_stack_set_operation(
                        StackSetName=self.name, OperationId=self.id, CallAs=self._call_as
                    )
                stopped = True
                context.note("timeout: requested AWS to stop the operation")
            context.reporter.progress()
            clock.sleep(_PAUSE)

    def _poll(self, reporter: Reporter) -> None:
        with translate_aws_errors():
            # The status before the results, so that all results of an ended operation are read.
            self._description = self._cfn.describe_stack_set_operation(
                StackSetName=self.name, OperationId=self.id, CallAs=self._call_as
            )["StackSetOperation"]
            pages = self._cfn.get_paginator("list_stack_set_operation_results").paginate(
                StackSetName=self.name, OperationId=self.id, CallAs=self._call_as
            )
            self._results = [each for page in pages for each in page.get("Summaries", [])]
        for each in self._results:
            self._show(reporter, each)

    def _show(self, reporter: Reporter, result: Any) -> None:
        place = (result.get("Account", ""), result.get("Region", ""))
        status = result.get("Status", "PENDING")
        if status == "PENDING" or self._shown_statuses.get(place) == status:
            return
        self._shown_statuses[place] = status
        reporter.event(
            Event(
                id=f"{self.id}-{'-'.join(place)}-{status}",
                stack_id=self._description.get("StackSetId", ""),
                stack_name=self.name,
                logical_id="/".join(place),
                physical_id="",
                type="AWS::CloudFormation::Stack",
                status=f"{self._description.get('Action', 'UPDATE')}_{_WORDS.get(status, status)}",
                reason=_reason(result) if status in {"FAILED", "CANCELLED"} else "",
                at=datetime.now(timezone.utc),
                token=self.id,
            )
        )

    def _count_text(self, failed: Sequence[Any]) -> str:
        canceled = sum(each.get("Status") == "CANCELLED" for each in self._results)
        text = f"it failed in {len(failed)} of {len(self._results)} accounts and regions"
        return f"{text}, and was canceled in {canceled}" if canceled else text

    def _diagnosis(self, status: str, failed: Sequence[Any]) -> Diagnosis:
        if not failed:
            return Diagnosis(self.name, status, reason=self._description.get("StatusReason", ""))
        first, *others = failed
        return Diagnosis(
            self.name,
            status,
            logical_id=_place(first),
            type="AWS::CloudFormation::Stack",
            resource_status="FAILED",
            reason=_reason(first),
            hints=tuple(f"also {_place(each)}: {_reason(each)}" for each in others if _reason(each) != _reason(first)),
        )


def _place(result: Any) -> str:
    return f"{result.get('Account', '')}/{result.get('Region', '')}"


def _reason(result: Any) -> str:
    gate = result.get("AccountGateResult", {})
    if gate.get("Status") == "FAILED":
        return f"the account's gate rejected it: {gate.get('StatusReason', '')}"
    return str(result.get("StatusReason", "")) or "AWS gave no reason"
