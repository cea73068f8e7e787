"""Make the actions of ministack's CloudFormation reject and validate requests as AWS does."""

from __future__ import annotations

import functools
import re
import uuid
from contextvars import ContextVar
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from exasol_ci_setup.sandbox import (
    change_sets,
    deployment,
    ec2_types,
    parameter_access,
    private,
    record_types,
    stack_descriptions,
    strict,
)
from exasol_ci_setup.sandbox.private import find_change_set, refusal, resource_handlers, value, wrap

if TYPE_CHECKING:
    from collections.abc import Callable

    from exasol_ci_setup.sandbox.private import Action, Parameters, Reply

# `createOnlyProperties` of the resource schemas in cfn-lint 1.57, for the types in the shipped templates. They are copied because the import
# of cfn-lint takes longer than the start of the sandbox.
_REPLACING_PROPERTIES: Final = {
    "AWS::CodeBuild::Project": ("Name",),
    "AWS::CodeBuild::SourceCredential": ("ServerType",),
    "AWS::EC2::SecurityGroup": ("GroupDescription", "GroupName", "VpcId"),
    "AWS::ECS::Cluster": ("ClusterName",),
    "AWS::ECS::Service": ("Cluster", "Role", "SchedulingStrategy", "ServiceName"),
    **ec2_types.REPLACING,
    **record_types.REPLACING,
    "AWS::IAM::Policy": (),
    "AWS::IAM::Role": ("Path", "RoleName"),
    "AWS::Logs::LogGroup": ("LogGroupName",),
    "AWS::S3::Bucket": ("BucketName", "BucketNamePrefix", "BucketNamespace"),
    "AWS::S3::BucketPolicy": ("Bucket",),
}
_UPDATABLE: Final = frozenset(
    f"{operation}_COMPLETE" for operation in ("CREATE", "UPDATE", "UPDATE_ROLLBACK", "IMPORT", "IMPORT_ROLLBACK")
)
# States after a failed deployment with rollback disabled. AWS allows an update from them.
_RESUMABLE: Final = frozenset({"CREATE_FAILED", "UPDATE_FAILED"})
_VALIDATIONS: Final = {
    "NAME_CONFLICT_VALIDATION": "AWS::EarlyValidation::ResourceExistenceCheck",
    "PROPERTY_VALIDATION": "AWS::EarlyValidation::PropertyValidation",
}
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html: 1 MB.
_LARGEST_TEMPLATE: Final = 1_048_576
_END: Final = b"</GetTemplateSummaryResult>"
_PARAMETERS: Final[ContextVar[list[dict[str, str]] | None]] = ContextVar("parameters", default=None)
"""The parameters of the nested stack in deployment. ministack applies transforms only to the template of a root stack."""
_STACK_ID: Final = re.compile(rb"<StackId>([^<]*)</StackId>")


def extend() -> None:
    """Install the changes of this module in ministack's CloudFormation, which must be loaded already."""
    from ministack.services.cloudformation import changesets, engine, handlers, helpers, provisioners

    helpers.TEMPLATE_URL_MAX_BYTES = _LARGEST_TEMPLATE
    handlers._capabilities_enforced = lambda: True  # noqa: SLF001
    provisioners._REPLACING_PROPERTIES.update(_REPLACING_PROPERTIES)  # noqa: SLF001
    provisioners.s3_bucket_name_conflict = _bucket_name_conflict
    wrap(engine, "_parse_template", lambda inner, body: strict.without_blanks(inner(body)))
    handlers._parse_template = changesets._parse_template = engine._parse_template  # noqa: SLF001
    wrap(engine, "_validate_template_statics", _validate_template)
    wrap(engine, "_resolve_parameters", _resolve_parameters)
    handlers._resolve_parameters = changesets._resolve_parameters = engine._resolve_parameters  # noqa: SLF001
    wrap(changesets, "_resolve_props_for_diff", change_sets.resolve_for_comparison)
    wrap(engine, "_parse_template", _transform_nested)
    wrap(provisioners, "_cfn_nested_stack_deploy", _deploy_nested)
    for function, names in (
        (_create_change_set, ("CreateChangeSet",)),
        (_execute_change_set, ("ExecuteChangeSet",)),
        (_create_stack, ("CreateStack",)),
        (_update_stack, ("UpdateStack",)),
        (_delete_stack, ("DeleteStack",)),
        (_list_active_change_sets, ("ListChangeSets",)),
        (_describe_events, ("DescribeEvents",)),
        (
            functools.partial(_find_deleted_by_id, "Stack with id {} does not exist"),
            ("ListStackResources", "DescribeStackResource", "DescribeStackResources", "GetTemplate"),
        ),
        (_find_stack_of_resource, ("DescribeStackResources",)),
        # https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStackEvents.html
        (functools.partial(_find_deleted_by_id, "Stack [{}] does not exist"), ("DescribeStackEvents",)),
        (_with_ssm_names, ("DescribeStacks", "DescribeChangeSet")),
        (_with_roots, ("DescribeStacks",)),
        (stack_descriptions.describe, ("DescribeStacks",)),
        (stack_descriptions.store_in_change_set, ("CreateChangeSet",)),
        (stack_descriptions.move_to_stack, ("ExecuteChangeSet",)),
        (stack_descriptions.store_in_stack, ("CreateStack", "UpdateStack")),
        (_with_identifiers, ("GetTemplateSummary",)),
        (_with_access_to_parameters, ("CreateChangeSet", "CreateStack", "UpdateStack")),
        (
            _with_path_style,
            ("CreateStack", "UpdateStack", "CreateChangeSet", "ValidateTemplate", "GetTemplateSummary"),
        ),
    ):
        for name in names:
            wrap(handlers._ACTION_HANDLERS, name, function)  # noqa: SLF001


def _with_access_to_parameters(inner: Action, parameters: Parameters) -> Reply:
    """Reject a request if the caller may not read what its parameters name."""
    from ministack.services.cloudformation import engine, helpers

    if value(parameters, "UsePreviousTemplate") == "true":
        stack = _stack(value(parameters, "StackName")) or {}
        template = stack.get("_template") or {}
    else:
        text, refused = helpers._resolve_template(parameters)  # noqa: SLF001
        if refused or not text:
            return inner(parameters)
        try:
            template = engine._parse_template(text)  # noqa: SLF001
        except ValueError:
            return inner(parameters)
    return parameter_access.denial(template) or inner(parameters)


def _validate_template(inner: Callable[[Any], None], template: Any) -> None:
    if problem := strict.template_problem(template):
        raise ValueError(problem)
    inner(template)


def _resolve_parameters(inner: Callable[..., Any], template: Any, given: Any, previous: Any = None) -> Any:
    if problem := strict.parameter_problem(template, given, previous or {}):
        raise ValueError(problem)
    return inner(template, given, previous)


def _bucket_name_conflict(name: str) -> str | None:
    """Return the conflict with a bucket of the caller's account. A conflict with another account appears at creation."""
    from ministack.services import s3

    taken = name in s3._buckets  # noqa: SLF001
    return f"Resource of type 'AWS::S3::Bucket' with identifier '{name}' already exists." if taken else None


def _find_deleted_by_id(message: str, inner: Action, parameters: Parameters) -> Reply:
    """Find a deleted stack only by its ID: by its name, it does not exist.

    Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ListStackResources.html.
    """
    name = value(parameters, "StackName")
    if name and not name.startswith("arn:") and _stack(name) is None:
        return refusal("ValidationError", message.format(name))
    return inner(parameters)


def _find_stack_of_resource(inner: Action, parameters: Parameters) -> Reply:
    """Find the stack that has a resource with the given physical ID.

    Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStackResources.html.
    """
    from ministack.services.cloudformation import _stacks

    wanted = value(parameters, "PhysicalResourceId")
    if not wanted or value(parameters, "StackName"):
        return inner(parameters)
    for stack in _stacks.values():
        has_it = any(each.get("PhysicalResourceId") == wanted for each in stack.get("_resources", {}).values())
        if has_it and stack["StackStatus"] != "DELETE_COMPLETE":
            return inner({**parameters, "StackName": [stack["StackId"]]})
    return refusal("ValidationError", f"Stack for {wanted} does not exist")


def _with_roots(inner: Action, parameters: Parameters) -> Reply:
    """Add the IDs of root and parent to the descriptions of nested stacks.

    Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_Stack.html.
    """
    status, headers, body = inner(parameters)
    return status, headers, _STACK_ID.sub(_with_root, body)


def _with_root(found: re.Match[bytes]) -> bytes:
    parent = root = _parent_of(found[1].decode())
    while higher := _parent_of(root):
        root = higher
    if not parent:
        return found[0]
    return found[0] + f"<RootId>{root}</RootId><ParentId>{parent}</ParentId>".encode()


def _parent_of(stack_id: str) -> str:
    return str((private.find_stack(stack_id) or {}).get("ParentId") or "") if stack_id else ""


def _stack(name: str) -> dict[str, Any] | None:
    """Return the stack with that name or id, None if it does not exist or was deleted."""
    stack: dict[str, Any] | None = private.find_stack(name)
    return None if stack is None or stack["StackStatus"] == "DELETE_COMPLETE" else stack


def _not_updatable(stack: dict[str, Any]) -> Reply:
    return refusal(
        "ValidationError", f"Stack:{stack['StackId']} is in {stack['StackStatus']} state and can not be updated."
    )


def _with_path_style(inner: Action, parameters: Parameters) -> Reply:
    if url := value(parameters, "TemplateURL"):
        parameters = {**parameters, "TemplateURL": [strict.path_style(url)]}
    return inner(parameters)


def _create_stack(inner: Action, parameters: Parameters) -> Reply:
    name = value(parameters, "StackName")
    if _stack(name) is not None:
        return refusal("AlreadyExistsException", f"Stack [{name}] already exists")
    return inner(parameters)


def _update_stack(inner: Action, parameters: Parameters) -> Reply:
    stack = _stack(value(parameters, "StackName"))
    if stack is not None and stack["StackStatus"] not in _UPDATABLE | _RESUMABLE:
        return _not_updatable(stack)
    return inner(parameters)


def _create_change_set(inner: Action, parameters: Parameters) -> Reply:
    name, change_set_name = value(parameters, "StackName"), value(parameters, "ChangeSetName")
    kind = value(parameters, "ChangeSetType", "UPDATE")
    stack = _stack(name)
    shell = stack if stack is not None and stack["StackStatus"] == "REVIEW_IN_PROGRESS" else None
    if stack is not None and kind == "CREATE" and shell is None:
        return refusal(
            "ValidationError",
            f"Stack [{name}] already exists and cannot be created again with the changeSet [{change_set_name}].",
        )
    if stack is not None and kind == "UPDATE" and stack["StackStatus"] not in _UPDATABLE | _RESUMABLE:
        return _not_updatable(stack)
    reply = inner(parameters)
    if kind == "CREATE" and shell is not None:
        reply = _move_to_shell(shell, reply)
    if reply[0] == 200 and stack is not None and kind == "UPDATE":  # noqa: PLR2004
        change_sets.make_executable(stack, change_set_name)
    if reply[0] == 200 and kind in {"CREATE", "UPDATE"}:  # noqa: PLR2004
        _validate_early(change_set_name, shell["StackName"] if shell else name)
    return reply


def _move_to_shell(shell: dict[str, Any], reply: Reply) -> Reply:
    """Move a change set to the existing stack in REVIEW_IN_PROGRESS. ministack replaces that stack with a second one."""
    from ministack.services.cloudformation import _change_sets, _stack_events, _stacks

    begun = _stacks.get(shell["StackName"])
    _stacks[shell["StackName"]] = shell
    if begun is None or begun is shell:
        return reply
    _stack_events.pop(begun["StackId"], None)
    for change_set in _change_sets.values():
        if change_set["StackId"] == begun["StackId"]:
            change_set["StackId"] = shell["StackId"]
    shell["Tags"] = begun["Tags"]
    status, headers, body = reply
    return status, headers, body.replace(begun["StackId"].encode(), shell["StackId"].encode())


def _validate_early(change_set_name: str, stack_name: str) -> None:
    """Fail a change set at its creation if early validation finds errors, which DescribeEvents lists.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/validate-stack-deployments.html
    """
    from ministack.services.cloudformation import engine, stacks

    stack = _stack(stack_name)
    change_set = find_change_set(change_set_name, stack["StackName"] if stack else stack_name)
    if stack is None or change_set is None or change_set["Status"] != "CREATE_COMPLETE":
        return
    if change_set["_disable_validation"]:
        return
    # Validation runs once. A conflict that arises later fails the resource, not the validation.
    change_set["_disable_validation"] = True
    template, values = change_set["_template"], change_set["_resolved_params"]
    conditions = engine._evaluate_conditions(template, values)  # noqa: SLF001
    resources = template.get("Resources", {})
    owned = {record["PhysicalResourceId"] for record in stack.get("_resources", {}).values()}
    found = stacks._validation_errors(  # noqa: SLF001
        *(resources, engine._topological_sort(resources, conditions), values, conditions),  # noqa: SLF001
        *(template.get("Mappings", {}), stack["StackName"], stack["StackId"], frozenset(owned)),
    )
    errors = [error for error in found if error[0] not in change_set["_import_existing"]]
    if not errors:
        return
    operation = str(uuid.uuid4())
    names = ", ".join(dict.fromkeys(_VALIDATIONS[error[2]] for error in errors))
    change_set.update(
        Status="FAILED",
        ExecutionStatus="UNAVAILABLE",
        StatusReason=(
            f"The following hook(s)/validation failed: [{names}]. To troubleshoot Early Validation errors, use the "
            "DescribeEvents API for detailed failure information."
        ),
        Changes=[],
        _operation=operation,
    )
    stack.setdefault("_operation_events", []).extend(
        {
            "EventId": str(uuid.uuid4()),
            "StackId": stack["StackId"],
            "OperationId": operation,
            "OperationType": "CREATE_CHANGESET",
            "OperationStatus": "FAILED",
            "EventType": "VALIDATION_ERROR",
            "Timestamp": datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "LogicalResourceId": logical_id,
            "ResourceType": resource_type,
            "ValidationFailureMode": "FAIL",
            "ValidationName": validation,
            "ValidationStatus": "FAILED",
            "ValidationStatusReason": reason,
            "ValidationPath": path,
        }
        for logical_id, resource_type, validation, path, reason in errors
    )


def _describe_events(inner: Action, parameters: Parameters) -> Reply:
    name = value(parameters, "ChangeSetName")
    if not name:
        return inner(parameters)
    change_set = find_change_set(name, value(parameters, "StackName"))
    if change_set is None:
        return refusal("ChangeSetNotFound", f"ChangeSet [{name}] does not exist")
    # ministack stores events with the stack. Those of a change set belong to the operation that created it.
    operation = change_set.get("_operation", "none")
    return inner({**parameters, "StackName": [change_set["StackId"]], "OperationId": [operation]})


def _execute_change_set(inner: Action, parameters: Parameters) -> Reply:
    change_set = find_change_set(value(parameters, "ChangeSetName"), value(parameters, "StackName"))
    stack = _stack(change_set["StackName"]) if change_set else None
    if stack is not None and deployment.is_running(stack):
        return _not_updatable(stack)
    reply = inner(parameters)
    if stack is not None and change_set is not None and reply[0] == 200:  # noqa: PLR2004
        stack["Description"] = change_set["_template"].get("Description", "")
    return reply


def _list_active_change_sets(inner: Action, parameters: Parameters) -> Reply:
    """List change sets without executed ones, which can only be described.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ListChangeSets.html
    """
    from ministack.services.cloudformation import _change_sets

    executed = {key: each for key, each in _change_sets.items() if each["ExecutionStatus"].startswith("EXECUTE_")}
    # Handlers run one at a time without interruption, so no other request sees the gap.
    for key in executed:
        del _change_sets[key]
    try:
        return inner(parameters)
    finally:
        _change_sets.update(executed)


def _delete_stack(inner: Action, parameters: Parameters) -> Reply:
    """Delete also a stack in creation: cancel its operation, then delete the created resources."""
    stack = _stack(value(parameters, "StackName"))
    creating = stack is not None and stack["StackStatus"] == "CREATE_IN_PROGRESS"
    operations = deployment.operations_on(stack["StackId"]) if stack is not None and creating else []
    reply = inner(parameters)
    if reply[0] == 200:  # noqa: PLR2004
        for task in operations:
            task.cancel()
    return reply


def _deploy_nested(
    inner: Callable[..., Any], logical_id: str, props: dict[str, Any], *more: Any, **options: Any
) -> Any:
    if isinstance(url := props.get("TemplateURL"), str):
        props = {**props, "TemplateURL": strict.path_style(url)}
    given = props.get("Parameters")
    values = given if isinstance(given, dict) else {}
    token = _PARAMETERS.set([{"Key": name, "Value": str(value)} for name, value in values.items()])
    try:
        return inner(logical_id, props, *more, **options)
    finally:
        _PARAMETERS.reset(token)


def _transform_nested(inner: Callable[[str], Any], body: str) -> Any:
    """Parse a template, and apply the transforms of that of a nested stack."""
    from ministack.services.cloudformation import engine

    template = inner(body)
    parameters = _PARAMETERS.get()
    if parameters is None:
        return template
    # A transform can call the parser.
    token = _PARAMETERS.set(None)
    try:
        processed = engine._apply_transforms(template, parameters)  # noqa: SLF001
    finally:
        _PARAMETERS.reset(token)
    if isinstance(processed, engine._TransformFailed):  # noqa: SLF001
        raise ValueError(processed.error)  # noqa: TRY004 - ministack raises ValueError for invalid templates
    return processed


def _with_identifiers(inner: Action, parameters: Parameters) -> Reply:
    """Add the identifiers of importable resources of the template.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ResourceIdentifierSummary.html
    """
    from ministack.services.cloudformation import changesets, engine, helpers

    status, headers, body = inner(parameters)
    text, refused = helpers._resolve_template(parameters)  # noqa: SLF001
    if status != 200 or refused or not text:  # noqa: PLR2004
        return status, headers, body
    template = engine._parse_template(text)  # noqa: SLF001
    handlers = resource_handlers()
    by_type: dict[str, list[str]] = {}
    for name, resource in (template.get("Resources") or {}).items():
        kind = resource.get("Type", "")
        if kind in changesets._IMPORT_LOOKUPS and "import" in handlers.get(kind, {}):  # noqa: SLF001
            by_type.setdefault(kind, []).append(name)
    members = "".join(
        f"<member><ResourceType>{escape(kind)}</ResourceType>"
        f"<LogicalResourceIds>{_members(names)}</LogicalResourceIds>"
        # One entry is one identifier, also if it consists of several properties.
        f"<ResourceIdentifiers>{_members([','.join(changesets._IMPORT_LOOKUPS[kind][0])])}</ResourceIdentifiers></member>"  # noqa: SLF001
        for kind, names in by_type.items()
    )
    summaries = f"<ResourceIdentifierSummaries>{members}</ResourceIdentifierSummaries>".encode()
    return status, headers, body.replace(_END, summaries + _END)


def _members(values: Any) -> str:
    return "".join(f"<member>{escape(value)}</member>" for value in values)


def _with_ssm_names(inner: Action, parameters: Parameters) -> Reply:
    """Make the names of SSM parameters the values in the reply, and add the resolved values.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_Parameter.html
    """
    from ministack.services.cloudformation import _change_sets, _stacks

    status, headers, body = inner(parameters)
    if b"<ParameterKey>" not in body:
        return status, headers, body
    records = {each["StackId"]: each for each in _stacks.values()} | dict(_change_sets.items())
    ET.register_namespace("", stack_descriptions.NAMESPACE)
    root = ET.fromstring(body)  # noqa: S314 - the XML comes from this process
    for part in root.iter():
        given = part.find(f"{{{stack_descriptions.NAMESPACE}}}Parameters")
        arn = part.findtext(f"{{{stack_descriptions.NAMESPACE}}}ChangeSetId") or part.findtext(
            f"{{{stack_descriptions.NAMESPACE}}}StackId"
        )
        record = records.get(arn or "")
        if given is None or record is None:
            continue
        for each in given:
            key, shown = each[0], each[1]
            if name := record["_resolved_params"].get(key.text, {}).get("SsmName"):
                ET.SubElement(each, f"{{{stack_descriptions.NAMESPACE}}}ResolvedValue").text = shown.text
                shown.text = name
    return status, headers, ET.tostring(root, encoding="utf-8", xml_declaration=True)
