"""What a deployment would change, as data: a change set of AWS's, with the values before and after from the templates."""

from __future__ import annotations

import json
import logging
import uuid
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup import review, templates
from exasol_ci_setup.aws import ClientError, boundary, error_code
from exasol_ci_setup.errors import TemplateRejected
from exasol_ci_setup.stacks import intrinsics, properties, state, validation
from exasol_ci_setup.stacks.model import ABSENT, Change, Plan, PropertyChange, Setting
from exasol_ci_setup.stacks.upload import template_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mypy_boto3_cloudformation import CloudFormationClient

    from exasol_ci_setup.aws import Account
    from exasol_ci_setup.clock import Clock
    from exasol_ci_setup.stacks.model import Request, Stack

_LOG = logging.getLogger(__name__)

CHANGE_SET_PREFIX: Final = "exasol-ci-setup-"

# AWS's words for a change set without changes, as they came over the years.
_NO_CHANGES: Final = (
    "The submitted information didn't contain changes",
    "No updates are to be performed",
    "There are no changes to execute",
)
# The remark on a reply that leaves out changes because their property values could not be found.
_INCOMPLETE: Final = "can return incomplete ChangeSet data"
_PAUSES: Final = (0.02, 0.05, 0.1, 0.25, 0.5, 1.0)
_LONGEST_PAUSE: Final = 2.0
_ON_FAILURE: Final = {"rollback": "ROLLBACK", "delete": "DELETE", "keep": "DO_NOTHING"}


def make(
    account: Account,
    request: Request,
    current: Stack | None,
    clock: Clock,
    *,
    check: Callable[[], None] = lambda: None,
) -> Plan:
    """Return what would change if `request` were carried out on `current`, the stack as it is now or None.

    `check` is called when it is certain that AWS must be asked, before anything is made there; it raises to stop that.

    The plan is falsy when there is nothing to do. One with a `change_set_id` left something on AWS: it must be executed, or
    taken back with `discard`. When this raises, nothing is left.

    Raises TemplateRejected with AWS's words if it refuses the template.
    """
    cfn = account.client("cloudformation")
    new = state.is_absent(current)
    wanted = templates.parse(request.template.body)
    before: dict[str, Any] | None = None
    if not new and current is not None:
        before = deployed_template(cfn, current.name)
        settings = _settings(request, current, before, wanted)
        if not request.force and _is_unchanged(request, current, before, wanted):
            return Plan(
                request.name, "UPDATE", stack_id=current.id, settings=tuple(s for s in settings if _is_own_call(s))
            )
    else:
        settings = _settings(request, None, None, wanted)
    check()
    change_set_id, stack_id = _create(account, cfn, request, wanted, new=new)
    plan = Plan(request.name, "CREATE" if new else "UPDATE", stack_id=stack_id, change_set_id=change_set_id)
    try:
        described = _wait(cfn, change_set_id, clock)
        errors, warnings = validation.remarks(cfn, change_set_id)
        if described["Status"] == "FAILED":
            discard(cfn, plan)
            _require_no_changes(request, described.get("StatusReason", ""), errors)
            return Plan(request.name, plan.kind, stack_id, settings=tuple(s for s in settings if _is_own_call(s)))
        changes, notes = _changes(cfn, change_set_id, described)
    except BaseException:
        discard(cfn, plan)
        raise
    given = dict(request.parameters)
    old_parameters = dict(current.parameters) if current is not None and not new else {}
    if before is not None:
        changes = properties.merge(changes, properties.property_changes(before, old_parameters, wanted, given))
    return Plan(
        request.name,
        plan.kind,
        stack_id=stack_id,
        change_set_id=change_set_id,
        changes=changes,
        settings=settings,
        broadenings=review.review(before, wanted, before_parameters=old_parameters, after_parameters=given),
        notes=notes + warnings,
    )


def _require_no_changes(request: Request, reason: str, errors: tuple[str, ...]) -> None:
    """Raise TemplateRejected unless a change set failed for the reason that there is nothing to change."""
    if not any(words in reason for words in _NO_CHANGES):
        # The validation's own findings say more than AWS's remark that there are some.
        why = "\n  ".join(["", *errors]) if len(errors) > 1 else f" {(errors or (reason or 'it gave no reason',))[0]}"
        raise TemplateRejected(
            f"AWS refused the change to stack {request.name}:{why}",
            hint="correct the template or its options; nothing was changed",
        )


def discard(cfn: CloudFormationClient, plan: Plan) -> None:
    """Take back what a plan left on AWS: the change set, and the empty shell of a stack that was made for it.

    A shell stays as long as it holds somebody else's change set. Never raises for what is already gone.
    """
    if not plan.change_set_id:
        return
    with boundary():
        try:
            cfn.delete_change_set(ChangeSetName=plan.change_set_id)
        except ClientError as error:
            # Gone already, with its stack or by another hand.
            if error_code(error) not in {"ChangeSetNotFound", "ValidationError"}:
                raise
    if plan.kind != "CREATE":
        return
    with boundary():
        stack = state.find(cfn, plan.stack_id)
        if stack is None or stack.status != "REVIEW_IN_PROGRESS":
            return
        others = cfn.list_change_sets(StackName=plan.stack_name).get("Summaries", [])
        if not any(other.get("ChangeSetId") != plan.change_set_id for other in others):
            cfn.delete_stack(StackName=plan.stack_id)


def deployed_body(cfn: CloudFormationClient, stack_name: str) -> str:
    """Return the text of a stack's template as it was sent, before AWS applied transforms."""
    with boundary():
        body: Any = cfn.get_template(StackName=stack_name, TemplateStage="Original").get("TemplateBody", "")
    # botocore hands a JSON template over as a dictionary.
    return body if isinstance(body, str) else json.dumps(body, indent=2)


def deployed_template(cfn: CloudFormationClient, stack_name: str) -> dict[str, Any]:
    """Return the parsed template of a stack as it was sent, before AWS applied transforms."""
    return templates.parse(deployed_body(cfn, stack_name))


def is_same(request: Request, current: Stack, before: Mapping[str, Any]) -> bool:
    """Return whether `current` has, or is being given, what `request` asks for; `before` is its parsed template."""
    return (
        before == templates.parse(request.template.body)
        and _deployed_tags(current) == dict(request.tags)
        and all(current.parameters.get(key) in {value, intrinsics.MASK} for key, value in request.parameters.items())
    )


def _is_unchanged(request: Request, current: Stack, before: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Return whether AWS would find nothing to do, as far as that can be told without asking it."""
    if not state.has_succeeded(current) or before != wanted or _deployed_tags(current) != dict(request.tags):
        return False
    if request.notification_arns is not None and set(request.notification_arns) != set(current.notification_arns):
        return False
    declared = wanted.get("Parameters") or {}
    for name, declaration in declared.items():
        # The value behind an SSM parameter may have changed, and a hidden one cannot be compared.
        if (
            str(declaration.get("Type", "")).startswith("AWS::SSM::")
            or str(declaration.get("NoEcho", "")).lower() == "true"
        ):
            return False
        value = request.parameters.get(name, declaration.get("Default"))
        if value is not None and current.parameters.get(name) != str(value):
            return False
    return True


def _deployed_tags(stack: Stack) -> dict[str, str]:
    # AWS adds tags of its own, for instance when Service Catalog made the stack; they cannot be set or removed.
    return {key: value for key, value in stack.tags.items() if not key.startswith("aws:")}


def _settings(
    request: Request, current: Stack | None, before: Mapping[str, Any] | None, wanted: Mapping[str, Any]
) -> tuple[Setting, ...]:
    return properties.setting_changes(
        before=before,
        before_parameters=current.parameters if current is not None else None,
        after=wanted,
        after_parameters=request.parameters,
        tags_before=_deployed_tags(current) if current is not None else None,
        tags_after=request.tags,
        protected_before=current.termination_protection if current is not None else None,
        protected_after=request.termination_protection,
    )


def _is_own_call(setting: Setting) -> bool:
    """Return whether the setting is made by a call of its own, outside of a change set."""
    return setting.name == "termination-protection"


def _create(
    account: Account, cfn: CloudFormationClient, request: Request, wanted: Mapping[str, Any], *, new: bool
) -> tuple[str, str]:
    name = f"{CHANGE_SET_PREFIX}{uuid.uuid4().hex}"
    arguments: dict[str, Any] = {
        "StackName": request.name,
        "ChangeSetName": name,
        "ChangeSetType": "CREATE" if new else "UPDATE",
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in request.parameters.items()],
        "Tags": [{"Key": key, "Value": value} for key, value in request.tags.items()],
        "Capabilities": list(templates.capabilities(wanted)),
        "Description": "Planned by exasol-ci-setup",
        **template_source(account, request.template, bucket=request.template_bucket),
    }
    if request.role_arn:
        arguments["RoleARN"] = request.role_arn
    if request.notification_arns is not None:
        arguments["NotificationARNs"] = list(request.notification_arns)
    if new or request.on_failure == "keep":
        # DELETE is for new stacks only: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateChangeSet.html
        arguments["OnStackFailure"] = _ON_FAILURE[request.on_failure]
    with boundary():
        try:
            answer = cfn.create_change_set(**arguments)
        except ClientError as error:
            code = error_code(error)
            if code == "AlreadyExistsException" and name in str(error):
                # Names are used once, so it is ours: the answer to the first try was lost on its way.
                answer = cfn.describe_change_set(StackName=request.name, ChangeSetName=name)  # type: ignore[assignment]
                return str(answer["ChangeSetId"]), answer["StackId"]  # type: ignore[typeddict-item]
            if code in {"ValidationError", "InsufficientCapabilitiesException"}:
                said = error.response.get("Error", {}).get("Message", "")
                raise TemplateRejected(
                    f"AWS refused the template of stack {request.name}: {said}",
                    hint="correct the template or its options; nothing was changed",
                ) from error
            raise
    return answer["Id"], answer["StackId"]


def _wait(cfn: CloudFormationClient, change_set_id: str, clock: Clock) -> Mapping[str, Any]:
    """Return the change set's first page when AWS has finished it, created or failed."""
    pauses = iter(_PAUSES)
    while True:
        with boundary():
            described = cfn.describe_change_set(ChangeSetName=change_set_id, IncludePropertyValues=True)
        if described["Status"] not in {"CREATE_PENDING", "CREATE_IN_PROGRESS"}:
            return described
        clock.sleep(next(pauses, _LONGEST_PAUSE))


def _changes(
    cfn: CloudFormationClient, change_set_id: str, first: Mapping[str, Any]
) -> tuple[tuple[Change, ...], tuple[str, ...]]:
    notes: list[str] = []
    found = {change.logical_id: change for change in _pages(cfn, change_set_id, first, with_values=True)}
    reason = first.get("StatusReason", "")
    if _INCOMPLETE in reason:
        with boundary():
            again = cfn.describe_change_set(ChangeSetName=change_set_id)
        for change in _pages(cfn, change_set_id, again, with_values=False):
            found.setdefault(change.logical_id, change)
        _LOG.debug("described again without property values: %s", reason)
    elif reason:
        notes.append(reason)
    return tuple(found.values()), tuple(notes)


def _pages(
    cfn: CloudFormationClient, change_set_id: str, first: Mapping[str, Any], *, with_values: bool
) -> Iterator[Change]:
    page = first
    while True:
        for described in page.get("Changes", []):
            if "ResourceChange" in described:
                yield _change(described["ResourceChange"])
        token = page.get("NextToken")
        if not token:
            return
        with boundary():
            page = cfn.describe_change_set(
                ChangeSetName=change_set_id, NextToken=token, IncludePropertyValues=with_values
            )


def _change(described: Mapping[str, Any]) -> Change:
    changed: dict[str, PropertyChange] = {}
    causes: list[str] = []
    for detail in described.get("Details", []):
        target = detail.get("Target", {})
        path = _path(target)
        cause = detail.get("CausingEntity") or ("stack tags" if target.get("Attribute") == "Tags" else "")
        if cause and cause not in causes:
            causes.append(cause)
        if path not in changed:
            changed[path] = PropertyChange(
                path,
                target.get("BeforeValue", ABSENT),
                target.get("AfterValue", ABSENT),
                target.get("RequiresRecreation", ""),
            )
    return Change(
        action=described.get("Action", ""),
        logical_id=described.get("LogicalResourceId", ""),
        type=described.get("ResourceType", ""),
        physical_id=described.get("PhysicalResourceId", ""),
        replacement=described.get("Replacement", ""),
        policy_action=described.get("PolicyAction", ""),
        properties=tuple(changed.values()),
        causes=tuple(causes),
    )


def _path(target: Mapping[str, Any]) -> str:
    """Return the dotted path of a change's target, with list indexes, or the attribute's own name."""
    attribute = target.get("Attribute", "")
    steps = [step for step in str(target.get("Path", "")).split("/") if step]
    if attribute != "Properties":
        return attribute or ".".join(steps)
    if steps[:1] == ["Properties"]:
        steps = steps[1:]
    return ".".join(steps) or target.get("Name", "")


def apply_settings(cfn: CloudFormationClient, plan: Plan) -> bool:
    """Make those settings of the plan that no change set carries, and return whether there were any.

    Raises the errors of the AWS boundary.
    """
    found = [setting for setting in plan.settings if _is_own_call(setting)]
    for setting in found:
        with boundary():
            cfn.update_termination_protection(
                StackName=plan.stack_id or plan.stack_name, EnableTerminationProtection=bool(setting.after)
            )
    return bool(found)
