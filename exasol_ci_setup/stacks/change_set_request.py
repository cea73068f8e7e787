"""Create change sets, and translate the reasons of AWS for rejecting one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.aws.session import ClientError, error_code, translate_aws_errors
from exasol_ci_setup.core.errors import UNCHANGED, PlanOutdatedError, TemplateRejectedError
from exasol_ci_setup.core.stacks import Plan
from exasol_ci_setup.stacks.changeset import delete_on_error, new_name, out_of_date
from exasol_ci_setup.stacks.upload import template_source
from exasol_ci_setup.template.render import capabilities

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypy_boto3_cloudformation import CloudFormationClient

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.stacks.request import Request

REVERT_DRIFT: Final = "REVERT_DRIFT"
_ON_FAILURE: Final = {"rollback": "ROLLBACK", "delete": "DELETE", "keep": "DO_NOTHING"}
# The start of CloudFormation's message for a stack that does not exist, or already exists.
_STACK: Final = "Stack ["
# The messages of AWS for a change set without changes, of several years.
_NO_CHANGES: Final = (
    "The submitted information didn't contain changes",
    "No updates are to be performed",
    "There are no changes to execute",
)
# Part of the finding of AWS's validation that a resource outside of the stack has a name of the template.
_TAKEN: Final = "NAME_CONFLICT_VALIDATION"


@dataclass(frozen=True, slots=True)
class ChangeSetMode:
    """The kind of change set to create.

    `new`: the stack does not exist. `failed_without_rollback`: the last operation failed and was not rolled back; AWS then requires an update
    without rollback. `nested`: create change sets of nested stacks too. `import_existing`: import existing resources whose names match
    (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources-automatically.html). `revert_drift`: also revert drift
    (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/drift-aware-change-sets.html).
    `resources`: only import these, each a ``ResourceToImport``.
    """

    new: bool
    failed_without_rollback: bool = False
    nested: bool = False
    import_existing: bool = False
    revert_drift: bool = False
    resources: Sequence[Mapping[str, Any]] = ()

    @property
    def kind(self) -> str:
        """The type of the change set for CloudFormation."""
        return "IMPORT" if self.resources else "CREATE" if self.new else "UPDATE"


def create(context: Context, request: Request, wanted: Mapping[str, Any], mode: ChangeSetMode) -> Plan:
    """Create a change set on AWS, and return a plan with its name and without its changes.

    `wanted` is the parsed template. Each name is used once, so that concurrent runs do not collide.

    Raises TemplateRejectedError with the reason of AWS, and PlanOutdatedError. If it raises, no change set remains.
    """
    cfn = context.cfn
    name = new_name()
    if request.uploads is not None:
        request.uploads.upload_for_plan(context.note)
    arguments = {
        "StackName": request.name,
        "ChangeSetName": name,
        "ChangeSetType": mode.kind,
        "Parameters": [
            *({"ParameterKey": key, "ParameterValue": value} for key, value in request.parameters.items()),
            *({"ParameterKey": key, "UsePreviousValue": True} for key in request.kept_parameters),
        ],
        "Capabilities": list(capabilities(wanted)),
        "Description": "Planned by exasol-ci-setup",
        **template_source(context.account, request.template, bucket=request.template_bucket),
        **_mode_arguments(mode),
        **_request_arguments(request, mode),
    }
    with (
        delete_on_error(cfn, Plan(request.name, mode.kind, stack_id=request.name, change_set_id=name), context.clock),
        translate_aws_errors(),
    ):
        try:
            answer: Any = cfn.create_change_set(**arguments)
        except ClientError as error:
            if error_code(error) == "AlreadyExistsException" and name in str(error):
                # Each name is used once, so the change set is ours: the response to the first attempt was lost.
                found = cfn.describe_change_set(StackName=request.name, ChangeSetName=name)
                answer = {"Id": found["ChangeSetId"], "StackId": found["StackId"]}
            else:
                _raise_rejection(error, request)
                raise
    return Plan(request.name, mode.kind, stack_id=answer["StackId"], change_set_id=answer["Id"])


def _mode_arguments(mode: ChangeSetMode) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    if mode.resources:
        arguments["ResourcesToImport"] = list(mode.resources)
    if mode.import_existing:
        arguments["ImportExistingResources"] = True
    if mode.revert_drift:
        arguments["DeploymentMode"] = REVERT_DRIFT
    if mode.nested:
        arguments["IncludeNestedStacks"] = True
    return arguments


def _request_arguments(request: Request, mode: ChangeSetMode) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    if not mode.resources:
        # AWS accepts no tags for an import, also of a new stack.
        arguments["Tags"] = [{"Key": key, "Value": value} for key, value in request.tags.items()]
    if request.role_arn:
        arguments["RoleARN"] = request.role_arn
    if request.notification_arns is not None:
        arguments["NotificationARNs"] = list(request.notification_arns)
    if request.rollback_alarms is not None:
        # https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_RollbackConfiguration.html
        arguments["RollbackConfiguration"] = {
            "RollbackTriggers": [{"Arn": arn, "Type": kind} for arn, kind in request.rollback_alarms.items()],
            "MonitoringTimeInMinutes": request.monitoring_minutes,
        }
    on_failure = "keep" if mode.failed_without_rollback else request.on_failure
    if request.express:
        # It replaces OnStackFailure: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DeploymentConfig.html
        arguments["DeploymentConfig"] = {"Mode": "EXPRESS", "DisableRollback": False}
    elif not mode.resources and (mode.new or on_failure == "keep"):
        # DELETE is for new stacks only: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateChangeSet.html
        arguments["OnStackFailure"] = _ON_FAILURE[on_failure]
    return arguments


def _raise_rejection(error: ClientError, request: Request) -> None:
    """Raise PlanOutdatedError or TemplateRejectedError if the response to CreateChangeSet means that."""
    said = error.response.get("Error", {}).get("Message", "")
    code = error_code(error)
    if code == "ValidationError" and said.startswith(
        (f"{_STACK}{request.name}] already", f"{_STACK}{request.name}] does not")
    ):
        # Another process created or deleted the stack after it was read.
        raise out_of_date(request.name) from error
    if code == "ValidationError" and "_IN_PROGRESS state" in said:
        raise PlanOutdatedError(
            f"stack {request.name} is busy: {said}", hint="wait for it with --wait", stack_name=request.name
        ) from error
    if code in {"ValidationError", "InsufficientCapabilitiesException"}:
        raise TemplateRejectedError(
            f"AWS rejected the template of stack {request.name}: {said}",
            hint=f"correct the template or its options; {UNCHANGED}",
        ) from error


def require_no_changes(request: Request, reason: str, errors: tuple[str, ...], *, importing: bool) -> None:
    """Raise TemplateRejectedError unless a change set failed because there is nothing to change.

    `importing`: the change set was to import existing resources.
    """
    if any(words in reason for words in _NO_CHANGES):
        return
    # The findings of the validation are more precise than the reason of the change set.
    why = "\n  ".join(["", *errors]) if len(errors) > 1 else f" {(errors or (reason or 'it gave no reason',))[0]}"
    hint = "correct the template or its options"
    if _TAKEN in why:
        hint = (
            "choose another name"
            if importing
            else "choose another name, or import the existing resource with --import-existing"
        )
    raise TemplateRejectedError(f"AWS rejected the change to stack {request.name}:{why}", hint=f"{hint}; {UNCHANGED}")


def can_revert_drift(cfn: CloudFormationClient) -> bool:
    """Return whether the installed botocore supports drift-aware change sets."""
    shape = cfn.meta.service_model.operation_model("CreateChangeSet").input_shape
    return shape is not None and "DeploymentMode" in shape.members
