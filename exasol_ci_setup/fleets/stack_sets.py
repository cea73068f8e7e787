"""Deploy a construct as a StackSet: AWS deploys it to the accounts and regions of an organization."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from exasol_ci_setup.aws.session import ClientError, error_code, ignore_aws_errors, translate_aws_errors
from exasol_ci_setup.core.errors import AwsUnavailableError, StackBusyError, TemplateRejectedError
from exasol_ci_setup.core.stacks import Options, Outcome, Result
from exasol_ci_setup.fleets.operations import IN_PROGRESS, Operation
from exasol_ci_setup.fleets.spread import DeployedStackSet, StackSetPlan
from exasol_ci_setup.stacks import state
from exasol_ci_setup.stacks.changeset import PREFIX
from exasol_ci_setup.stacks.deploy import OpenPlan
from exasol_ci_setup.stacks.plan import as_deployed
from exasol_ci_setup.stacks.upload import template_source
from exasol_ci_setup.template.render import capabilities, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_cloudformation import CloudFormationClient

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.fleets.model import StackSet
    from exasol_ci_setup.fleets.operations import CallAs
    from exasol_ci_setup.fleets.spread import Batch
    from exasol_ci_setup.stacks.request import Request


class StackSets:
    """Plans requests as StackSets with service-managed permissions, distributed as `wanted` says."""

    def __init__(self, wanted: StackSet) -> None:
        self._wanted = wanted
        self._call_as: CallAs = "DELEGATED_ADMIN" if wanted.delegated_admin else "SELF"

    def plan(self, context: Context, request: Request, options: Options) -> OpenPlan:
        """Plan the StackSet of `request`, and its stacks in the accounts and regions where they are missing or failed.

        An operation in progress of this tool is followed to its end first.

        Raises StackError for a StackSet of another tool, StackBusyError, TemplateRejectedError, DeployFailedError with the first failed account
        and region, TimedOutError, OperationInterruptedError, and the errors of `translate_aws_errors`.
        """
        cfn = context.cfn
        there = self._find(cfn, request)
        if there is not None:
            state.require_own(there.as_stack(request.name), request.tags, adopt=options.adopt)
        running = self._running(cfn, request, wait=options.wait) if there is not None else ""
        if running:
            self._follow(context, request, running, f"{request.name}: following the operation in progress", options)
            there = self._find(cfn, request)
        if there is not None:
            request = replace(request, template=as_deployed(request, there.template, {}))
        difference = StackSetPlan(self._wanted, there)
        plan = difference.plan(request)
        if plan:
            context.lint(request.lint_template or request.template)
        apply_with = partial(self._apply, difference)
        return _OpenStackSetPlan(
            *(context, request, options, plan, None), has_followed=bool(running), apply_with=apply_with
        )

    def _apply(self, difference: StackSetPlan, context: Context, request: Request, options: Options) -> None:
        with _translate_rejections(request.name):
            for begin, title in self._steps(context.account, request, difference):
                if operation_id := begin():
                    self._follow(context, request, operation_id, f"{title} {request.name}", options)

    def _follow(self, context: Context, request: Request, operation_id: str, title: str, options: Options) -> None:
        with context.operation(request.name, title) as running:
            operation = Operation(context.cfn, request.name, operation_id, call_as=self._call_as)
            operation.follow(running, timeout=options.timeout)

    def _steps(
        self, account: Account, request: Request, spread: StackSetPlan
    ) -> Iterator[tuple[Callable[[], str], str]]:
        """Yield a function that starts an operation and returns its ID, with a verb for it, for each operation."""
        if spread.there is None:
            yield lambda: self._create(account, request, spread), "creating"
        elif spread.is_changed(request):
            yield lambda: self._update(account, request, spread, None), "updating"
        elif spread.outdated is not None:
            outdated = spread.outdated
            yield lambda: self._update(account, request, spread, outdated), "updating"
        for batch in spread.missing:
            yield lambda batch=batch: self._add(account, request, spread, batch), "creating"  # type: ignore[misc] # it cannot infer a default's type

    def _find(self, cfn: CloudFormationClient, request: Request) -> DeployedStackSet | None:
        with ignore_aws_errors("StackSetNotFoundException", "StackSetNotFound"):
            found = cfn.describe_stack_set(StackSetName=request.name, CallAs=self._call_as)["StackSet"]
            if found.get("Status") == "DELETED":
                return None
            pages = cfn.get_paginator("list_stack_instances").paginate(StackSetName=request.name, CallAs=self._call_as)
            return DeployedStackSet(found, [each for page in pages for each in page.get("Summaries", [])])
        return None

    def _running(self, cfn: CloudFormationClient, request: Request, *, wait: bool) -> str:
        """Return the ID of this tool's operation in progress, or an empty string. Raises StackBusyError for an operation of another user."""
        with translate_aws_errors():
            newest = cfn.list_stack_set_operations(StackSetName=request.name, CallAs=self._call_as)["Summaries"]
        running = next((each for each in newest if each.get("Status") in IN_PROGRESS), None)
        if running is None:
            return ""
        found = running.get("OperationId", "")
        if not wait and not found.startswith(PREFIX):
            raise StackBusyError(
                f"StackSet {request.name} is busy: {running.get('Action', 'an operation')} is {running.get('Status', '')}",
                hint="wait for it with --wait",
                stack_name=request.name,
            )
        return found

    def _common(self, account: Account, request: Request, spread: StackSetPlan) -> dict[str, Any]:
        wanted = parse(request.template.body)
        return {
            "StackSetName": request.name,
            **template_source(account, request.template, bucket=request.template_bucket),
            "Description": str(wanted.get("Description", "")) or request.name,
            "Capabilities": list(capabilities(wanted)),
            "Tags": [{"Key": key, "Value": value} for key, value in request.tags.items()],
            "PermissionModel": "SERVICE_MANAGED",
            "AutoDeployment": spread.auto_deployment,
            "CallAs": self._call_as,
        }

    def _create(self, account: Account, request: Request, spread: StackSetPlan) -> str:
        """Create the set without stacks. It exists immediately, so there is no operation to follow."""
        account.client("cloudformation").create_stack_set(**self._common(account, request, spread))
        return ""

    def _update(self, account: Account, request: Request, spread: StackSetPlan, batch: Batch | None) -> str:
        """Start an update of the set with all of its stacks, or only with those of a batch."""
        regions = batch.regions if batch is not None else spread.there.regions if spread.there is not None else []
        only: dict[str, Any] = {}
        if batch is not None:
            only = {"DeploymentTargets": batch.targets, "Regions": list(batch.regions)}
        answer = account.client("cloudformation").update_stack_set(
            **self._common(account, request, spread),
            **only,
            OperationPreferences=spread.preferences(regions),
            OperationId=_new_id(),
        )
        return answer["OperationId"]

    def _add(self, account: Account, request: Request, spread: StackSetPlan, batch: Batch) -> str:
        """Start the creation of the stacks of a batch."""
        answer = account.client("cloudformation").create_stack_instances(
            StackSetName=request.name,
            DeploymentTargets=batch.targets,
            Regions=list(batch.regions),
            OperationPreferences=spread.preferences(batch.regions),
            OperationId=_new_id(),
            CallAs=self._call_as,
        )
        return answer["OperationId"]


@dataclass
class _OpenStackSetPlan(OpenPlan):
    """The plan of a StackSet: nothing exists on AWS until it is applied."""

    apply_with: Callable[[Context, Request, Options], None] = field(kw_only=True)

    def __exit__(self, *_: object) -> None:
        """Do nothing."""

    def apply(self) -> Result:
        """Start the operations, and return when they have ended. Raises as `StackSets.plan`."""
        if not self.plan:
            return super().apply()
        self.apply_with(self.context, self.request, self.options)
        return Result(Outcome.DEPLOYED, self.plan)


def _new_id() -> str:
    # The name identifies an operation of this tool when a later run finds it in progress.
    return f"{PREFIX}{uuid.uuid4().hex}"


@contextmanager
def _translate_rejections(name: str) -> Iterator[None]:
    """Translate rejections of AWS into errors with a remedy."""
    with translate_aws_errors():
        try:
            yield
        except ClientError as error:
            said = " ".join(error.response.get("Error", {}).get("Message", "").split())
            if error_code(error) in {"OperationInProgressException", "OperationInProgress"}:
                raise StackBusyError(
                    f"StackSet {name} is busy: {said}", hint="run the same command again, with --wait", stack_name=name
                ) from error
            if "organizations access" in said.lower() or "trusted access" in said.lower():
                raise AwsUnavailableError(
                    f"AWS does not allow StackSets in the organization: {said}",
                    hint="in the organization's management account, run `aws cloudformation activate-organizations-access` once",
                ) from error
            if error_code(error) == "ValidationError":
                raise TemplateRejectedError(
                    f"AWS rejected StackSet {name}: {said}", hint="correct the file, and run the same command again"
                ) from error
            raise
