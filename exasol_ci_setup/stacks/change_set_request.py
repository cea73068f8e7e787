"""What AWS is asked for when a change set is made, and what its refusals mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup import templates
from exasol_ci_setup.aws import ClientError, error_code, translate_aws_errors
from exasol_ci_setup.errors import PlanOutdatedError, TemplateRejected
from exasol_ci_setup.stacks.changeset import delete_on_error, new_name, out_of_date
from exasol_ci_setup.stacks.model import Plan
from exasol_ci_setup.stacks.upload import template_source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypy_boto3_cloudformation import CloudFormationClient

    from exasol_ci_setup.aws import Account
    from exasol_ci_setup.clock import Clock
    from exasol_ci_setup.stacks.model import Request

REVERT_DRIFT: Final = "REVERT_DRIFT"
_ON_FAILURE: Final = {"rollback": "ROLLBACK", "delete": "DELETE", "keep": "DO_NOTHING"}
# How CloudFormation begins to say that there is no stack to update, or one already where a new one is to be.
_STACK: Final = "Stack ["
# AWS's words for a change set without changes, as they came over the years.
_NO_CHANGES: Final = (
    "The submitted information didn't contain changes",
    "No updates are to be performed",
    "There are no changes to execute",
)
# In the finding of AWS's validation that something outside the stack has a name of the template's.
_TAKEN: Final = "NAME_CONFLICT_VALIDATION"


@dataclass(frozen=True, slots=True)
class ChangeSetMode:
    """Which kind of change set is made.

    `new`: for a stack that is not there. `unfinished`: the stack's last operation failed and was left as it was, which AWS lets go on
    only without a rollback. `nested`: AWS also makes one for each stack that is nested in the template. `import_existing`: it takes over
    what is there already under a name of the template's
    (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources-automatically.html). `revert_drift`: it also brings
    resources back that something else changed (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/drift-aware-change-sets.html).
    `resources`, each a ``ResourceToImport``: it does nothing but take these over.
    """

    new: bool
    unfinished: bool = False
    nested: bool = False
    import_existing: bool = False
    revert_drift: bool = False
    resources: Sequence[Mapping[str, Any]] = ()

    @property
    def kind(self) -> str:
        """CloudFormation's type of the change set."""
        return "IMPORT" if self.resources else "CREATE" if self.new else "UPDATE"


def create(account: Account, request: Request, wanted: Mapping[str, Any], clock: Clock, mode: ChangeSetMode) -> Plan:
    """Let AWS make a change set, and return a plan that names it and nothing yet of what it holds.

    `wanted` is the parsed template. Names are used once, so that parallel runs do not collide.

    Raises TemplateRejected with AWS's words, and PlanOutdatedError. When it raises, nothing is left.
    """
    cfn = account.client("cloudformation")
    name = new_name()
    arguments = {
        "StackName": request.name,
        "ChangeSetName": name,
        "ChangeSetType": mode.kind,
        "Parameters": [
            *({"ParameterKey": key, "ParameterValue": value} for key, value in request.parameters.items()),
            *({"ParameterKey": key, "UsePreviousValue": True} for key in request.kept_parameters),
        ],
        "Capabilities": list(templates.capabilities(wanted)),
        "Description": "Planned by exasol-ci-setup",
        **template_source(account, request.template, bucket=request.template_bucket),
        **_of_mode(mode),
        **_of_request(request, mode),
    }
    with (
        delete_on_error(cfn, Plan(request.name, mode.kind, stack_id=request.name, change_set_id=name), clock),
        translate_aws_errors(),
    ):
        try:
            answer: Any = cfn.create_change_set(**arguments)
        except ClientError as error:
            if error_code(error) == "AlreadyExistsException" and name in str(error):
                # Names are used once, so it is ours: the answer to the first try was lost on its way.
                found = cfn.describe_change_set(StackName=request.name, ChangeSetName=name)
                answer = {"Id": found["ChangeSetId"], "StackId": found["StackId"]}
            else:
                _refuse(error, request)
                raise
    return Plan(request.name, mode.kind, stack_id=answer["StackId"], change_set_id=answer["Id"])


def _of_mode(mode: ChangeSetMode) -> dict[str, Any]:
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


def _of_request(request: Request, mode: ChangeSetMode) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    if not mode.resources:
        # In an import AWS takes no tags, for a new stack neither.
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
    on_failure = "keep" if mode.unfinished else request.on_failure
    if request.express:
        # In the place of OnStackFailure: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DeploymentConfig.html
        arguments["DeploymentConfig"] = {"Mode": "EXPRESS", "DisableRollback": False}
    elif not mode.resources and (mode.new or on_failure == "keep"):
        # DELETE is for new stacks only: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateChangeSet.html
        arguments["OnStackFailure"] = _ON_FAILURE[on_failure]
    return arguments


def _refuse(error: ClientError, request: Request) -> None:
    """Raise PlanOutdatedError or TemplateRejected, if AWS's answer to CreateChangeSet says that."""
    said = error.response.get("Error", {}).get("Message", "")
    code = error_code(error)
    if code == "ValidationError" and said.startswith(
        (f"{_STACK}{request.name}] already", f"{_STACK}{request.name}] does not")
    ):
        # Somebody else made or deleted it since it was looked at.
        raise out_of_date(request.name) from error
    if code == "ValidationError" and "_IN_PROGRESS state" in said:
        raise PlanOutdatedError(
            f"stack {request.name} is busy: {said}", hint="wait for it with --wait", stack_name=request.name
        ) from error
    if code in {"ValidationError", "InsufficientCapabilitiesException"}:
        raise TemplateRejected(
            f"AWS refused the template of stack {request.name}: {said}",
            hint="correct the template or its options; nothing was changed",
        ) from error


def require_no_changes(request: Request, reason: str, errors: tuple[str, ...], *, importing: bool) -> None:
    """Raise TemplateRejected unless a change set failed for the reason that there is nothing to change.

    `importing` says that what is there already was to be taken over.
    """
    if any(words in reason for words in _NO_CHANGES):
        return
    # The validation's own findings say more than AWS's remark that there are some.
    why = "\n  ".join(["", *errors]) if len(errors) > 1 else f" {(errors or (reason or 'it gave no reason',))[0]}"
    hint = "correct the template or its options"
    if _TAKEN in why:
        hint = (
            "give another name" if importing else "take over what is there with --import-existing, or give another name"
        )
    raise TemplateRejected(f"AWS refused the change to stack {request.name}:{why}", hint=f"{hint}; nothing was changed")


def can_revert_drift(cfn: CloudFormationClient) -> bool:
    """Return whether the installed botocore knows drift-aware change sets."""
    shape = cfn.meta.service_model.operation_model("CreateChangeSet").input_shape
    return shape is not None and "DeploymentMode" in shape.members
