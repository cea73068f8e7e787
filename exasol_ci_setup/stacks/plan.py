"""Plan a deployment: a change set of AWS, with the values before and after from the templates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.access import review
from exasol_ci_setup.core.errors import TemplateRejectedError
from exasol_ci_setup.core.stacks import Plan
from exasol_ci_setup.stacks import (
    changeset,
    data_loss,
    express,
    imports,
    nested_changes,
    processed,
    properties,
    state,
    taken,
    unique,
    validation,
)
from exasol_ci_setup.stacks import settings as stack_settings
from exasol_ci_setup.stacks.change_set_request import (
    REVERT_DRIFT,
    ChangeSetMode,
    can_revert_drift,
    create,
    require_no_changes,
)
from exasol_ci_setup.template import intrinsics
from exasol_ci_setup.template.deployed import DeployedTemplate
from exasol_ci_setup.template.deployed import read as read_template
from exasol_ci_setup.template.render import Template, has_transform, parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_cloudformation import CloudFormationClient
    from typing_extensions import Self

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.core.clock import Clock
    from exasol_ci_setup.core.stacks import Drift, ResourceDrift, Setting, Stack
    from exasol_ci_setup.stacks.request import Request

CANNOT_REVERT: Final = "CloudFormation does not revert this drift"


def plan_stack(
    context: Context,
    request: Request,
    current: Stack | None,
    *,
    drift: Drift | None = None,
    import_existing: bool = False,
) -> Plan:
    """Return the changes that `request` makes to `current`, the stack as it is now or None.

    The same change set reverts `drift`; `before` in the plan is then the actual value.
    With `import_existing`, existing resources whose names match the template are imported into the stack.
    The linter of the context checks the template before anything is created on AWS, once that is certain.

    The plan is falsy if there are no changes. A plan with a `change_set_id` left a change set on AWS: execute it, or
    delete it with `changeset.delete_change_set`. If this raises, nothing remains.

    Raises TemplateRejectedError with the findings of the linter or the reason of AWS, InputError for a change that express mode does not allow,
    StackError for a CodeBuild project that exists outside of the stack.
    """
    wanted = parse(request.template.body)
    deployed = (
        None if current is None or state.is_absent(current) else _Deployed.of(context.cfn, current, request, wanted)
    )
    if deployed is not None:
        template = _with_kept_parts(request.template, deployed.template, deployed.kept_ids)
        if template is not request.template:
            request, wanted = replace(request, template=template), parse(template.body)
    drifted = drift.drifted if drift is not None else ()
    planning = _Planning(context, request, wanted, current, deployed, drifted)
    if not drifted and planning.is_unchanged:
        return planning.settings_plan("UPDATE", deployed.stack.id if deployed is not None else "")
    if not import_existing:
        taken.require_free(context, request, wanted, deployed.template if deployed is not None else None)
    context.lint(request.lint_template or request.template)
    return planning.with_change_set(import_existing=import_existing)


@dataclass(frozen=True)
class _Deployed:
    """A stack as it is, its parsed template, and the logical IDs in it that a request keeps, by those of the request.

    `notes` say what is unusual in the text of the template.
    """

    stack: Stack
    template: Mapping[str, Any]
    kept_ids: Mapping[str, str]
    notes: tuple[str, ...]

    @classmethod
    def of(cls, cfn: CloudFormationClient, stack: Stack, request: Request, wanted: Mapping[str, Any]) -> Self:
        found = read_deployed(cfn, stack.name)
        kept_ids = _find_kept_ids(request, wanted, found.template, stack.parameters)
        return cls(stack, found.template, kept_ids, tuple(f"the deployed template: {note}" for note in found.notes))


class _Planning:
    """The plan of one request: the comparison with the stack as deployed, and the change set.

    `request` has the kept parts of the deployed template. The change set is created from it; the comparison also has the kept parameters.
    """

    def __init__(
        self,
        context: Context,
        request: Request,
        wanted: Mapping[str, Any],
        current: Stack | None,
        deployed: _Deployed | None,
        drifted: tuple[ResourceDrift, ...],
    ) -> None:
        self._context = context
        self._cfn = context.cfn
        self._sent = request
        self._current = current
        self._deployed = deployed
        self._drifted = drifted
        self._before = deployed.template if deployed is not None else None
        self._wanted = wanted
        self._compared = _with_kept_parameters(request, deployed.stack if deployed is not None else None)
        stack = deployed.stack if deployed is not None else None
        self._policy = stack_settings.policy_change(self._cfn, self._compared, stack)
        self._settings = _settings(self._compared, stack, self._before, self._wanted) + self._policy

    @property
    def is_unchanged(self) -> bool:
        """Whether AWS would report no changes, as far as that is known without a call."""
        return self._deployed is not None and _is_unchanged(
            self._compared, self._deployed.stack, self._deployed.template, self._wanted
        )

    def settings_plan(self, kind: str, stack_id: str, notes: tuple[str, ...] = ()) -> Plan:
        """Return a plan of the settings that no change set contains."""
        own = tuple(each for each in self._settings if stack_settings.is_own_call(each))
        return Plan(self._sent.name, kind, stack_id, settings=own, notes=notes)

    def with_change_set(self, *, import_existing: bool) -> Plan:
        """Create a change set, and return the plan with its changes."""
        context, current = self._context, self._current
        mode = ChangeSetMode(
            self._deployed is None,
            current is not None and state.has_failed_without_rollback(current),
            nested_changes.has_nested(self._wanted),
            import_existing,
        )
        sent, question = self._sent, Plan(self._sent.name, mode.kind)
        if import_existing:
            sent, question = imports.find_importable(context, sent, self._before, mode)
        with changeset.delete_on_error(self._cfn, question, context.clock):
            if sent.template is not self._sent.template:
                self._wanted = parse(sent.template.body)
            plan, reverted, described = _create_and_wait(context, sent, self._wanted, self._drifted, mode)
            self._drifted = reverted
            _replace_change_set(self._cfn, question, plan, context.clock)
        with changeset.delete_on_error(self._cfn, plan, context.clock):
            return self._read(plan, described, import_existing=import_existing)

    def _read(self, plan: Plan, described: Mapping[str, Any], *, import_existing: bool) -> Plan:
        """Return `plan` with the changes of its change set, of which `described` is the first page."""
        examined = described.get("ChangeSetId", plan.change_set_id)
        errors, warnings = validation.remarks(self._cfn, examined, described.get("StatusReason", ""))
        if described["Status"] == "FAILED":
            require_no_changes(self._sent, described.get("StatusReason", ""), errors, importing=import_existing)
            return self._without_changes(plan)
        changes, notes = changeset.changes(self._cfn, plan.change_set_id, described)
        inside = nested_changes.look_inside(self._cfn, changes)
        if self._sent.express:
            express.require_harmless(self._sent.name, inside.changes, inside.unseen)
        sides = processed.sides(self._cfn, self._before, self._wanted, plan)
        # Drift-aware change sets do not revert what AWS services change themselves, such as the number of tasks after autoscaling.
        named = {change.logical_id for change in inside.changes}
        notes += _drift_notes(tuple(each for each in self._drifted if each.logical_id not in named))
        kept_ids, remarks = (self._deployed.kept_ids, self._deployed.notes) if self._deployed is not None else ({}, ())
        found = replace(
            plan,
            changes=inside.changes,
            settings=self._policy,
            broadenings=inside.broadenings,
            notes=(
                *(*self._sent.notes, *remarks, *notes, *inside.notes),
                *(*unique.notes(self._wanted, kept_ids), *errors, *warnings),
            ),
            drift=tuple(each for each in self._drifted if each.logical_id in named),
        )
        return _compare(self._compared, self._current, found, sides)

    def _without_changes(self, plan: Plan) -> Plan:
        """Delete the change set, in which AWS found no changes, and return the plan of the settings."""
        changeset.delete_change_set(self._cfn, plan, self._context.clock)
        unchanged = _unchanged_notes(self._settings, self._compared, self._current)
        remarks = (*_drift_notes(self._drifted), *unchanged)
        for remark in remarks:
            self._context.note(remark)
        return self.settings_plan(plan.kind, plan.stack_id, remarks)


def _with_kept_parameters(request: Request, deployed: Stack | None) -> Request:
    if deployed is None:
        return request
    kept = {name: deployed.parameters[name] for name in request.kept_parameters if name in deployed.parameters}
    return replace(request, parameters={**kept, **request.parameters})


def _compare(request: Request, current: Stack | None, plan: Plan, sides: processed.Sides) -> Plan:
    """Return `plan` with the values, settings and access that differ between the two templates."""
    new = sides.before is None or current is None
    old_parameters = {} if new or current is None else dict(current.parameters)
    given = dict(request.parameters)
    changes = plan.changes
    before = sides.before
    if sides.before is not None and sides.shown_before is not None:
        before = properties.actual_template(sides.before, plan.drift)
        shown = properties.actual_template(sides.shown_before, plan.drift)
        differences = properties.property_changes(shown, old_parameters, sides.shown_after, given)
        changes = properties.merge(changes, differences)
    names = (
        ()
        if before is None
        else unique.replacement_notes(changes, before, sides.after, before_parameters=old_parameters, parameters=given)
    )
    access = review.review(before, sides.after, before_parameters=old_parameters, after_parameters=given)
    settings = _settings(request, None if new else current, sides.shown_before, sides.shown_after) + plan.settings
    nothing = () if changes or settings else ("AWS reports a change, but none of a resource, an output or a setting",)
    return replace(
        plan,
        changes=data_loss.marked(changes, before, sides.after),
        settings=settings,
        broadenings=(*access, *plan.broadenings),
        notes=plan.notes + sides.notes + names + nothing,
    )


def _drift_notes(drifted: tuple[ResourceDrift, ...]) -> tuple[str, ...]:
    """Return a note on the resources whose drift AWS does not revert, or none."""
    return (f"{CANNOT_REVERT}: {', '.join(each.logical_id for each in drifted)}",) if drifted else ()


def _unchanged_notes(settings: tuple[Setting, ...], request: Request, current: Stack | None) -> tuple[str, ...]:
    """Return a note on the differences for which AWS reports no changes, or none."""
    names = [each.name for each in settings if not stack_settings.is_own_call(each)]
    if current is not None and _has_other_notifications(request, current):
        names.append("notification-arns")
    if current is not None and _has_other_alarms(request, current):
        names.append("rollback-alarms")
    return (f"AWS reports no changes, so these keep their values: {', '.join(names)}",) if names else ()


def _create_and_wait(
    context: Context,
    request: Request,
    wanted: Mapping[str, Any],
    drifted: tuple[ResourceDrift, ...],
    mode: ChangeSetMode,
) -> tuple[Plan, tuple[ResourceDrift, ...], Mapping[str, Any]]:
    """Return the plan of a new change set, the part of `drifted` that it reverts, and its first page, created or failed.

    The change set includes nested stacks. If AWS cannot plan these yet, it is created again without them.
    If the change set of a nested stack failed, the page has that name and reason.
    """
    cfn, clock = context.cfn, context.clock
    plan, reverted = _create_change_set(context, request, wanted, drifted, mode)
    with changeset.delete_on_error(cfn, plan, clock):
        described = changeset.wait(context, plan)
        if not mode.nested or described["Status"] != "FAILED":
            return plan, reverted, described
        failed, reason = nested_changes.why_failed(cfn, plan.change_set_id, described.get("StatusReason", ""))
        if not nested_changes.is_only_unknown(reason):
            return plan, reverted, {**described, "ChangeSetId": failed, "StatusReason": reason}
        context.note(f"AWS cannot plan the changes in nested stacks beforehand: {reason}")
        second, reverted = _create_change_set(context, request, wanted, drifted, replace(mode, nested=False))
        _replace_change_set(cfn, plan, second, clock)
    with changeset.delete_on_error(cfn, second, clock):
        return second, reverted, changeset.wait(context, second)


def _replace_change_set(cfn: CloudFormationClient, first: Plan, second: Plan, clock: Clock) -> None:
    """Delete the change set of `first`, which `second` replaces. If that fails, delete `second` too."""
    with changeset.delete_on_error(cfn, second, clock):
        # As for an update, so that the empty new stack remains: it contains the second change set.
        changeset.delete_change_set(cfn, replace(first, kind="UPDATE"), clock)


def _create_change_set(
    context: Context,
    request: Request,
    wanted: Mapping[str, Any],
    drifted: tuple[ResourceDrift, ...],
    mode: ChangeSetMode,
) -> tuple[Plan, tuple[ResourceDrift, ...]]:
    """Return the plan of a new change set, and the part of `drifted` that it reverts: all, or nothing on an older endpoint."""
    if drifted and can_revert_drift(context.cfn):
        try:
            return create(context, request, wanted, replace(mode, revert_drift=True)), drifted
        except TemplateRejectedError as error:
            if "deploymentmode" not in error.message.lower() and REVERT_DRIFT not in error.message:
                raise
    if drifted:
        names = ", ".join(each.logical_id for each in drifted)
        context.note(f"{CANNOT_REVERT}, because its change sets ignore drift: {names}")
    return create(context, request, wanted, mode), ()


def deployed_body(cfn: CloudFormationClient, stack_name: str) -> str:
    """Return the text of a stack's template as it was sent, before AWS applied transforms."""
    return changeset.template_body(cfn, StackName=stack_name)


def deployed_template(cfn: CloudFormationClient, stack_name: str) -> dict[str, Any]:
    """Return the parsed template of a stack as it was sent, before AWS applied transforms."""
    return dict(read_deployed(cfn, stack_name).template)


def read_deployed(cfn: CloudFormationClient, stack_name: str) -> DeployedTemplate:
    """Return the parsed template of a stack as it was sent, with notes on what this tool rejects in a user's file."""
    return read_template(deployed_body(cfn, stack_name))


def as_deployed(request: Request, before: Mapping[str, Any], before_parameters: Mapping[str, str]) -> Template:
    """Return the template of `request` with the parts that the stack keeps of its parsed template `before`.

    These are the logical IDs of resources that exist only once, and the marks of imported resources.
    """
    return parsed_as_deployed(request, before, before_parameters)[0]


def parsed_as_deployed(
    request: Request, before: Mapping[str, Any], before_parameters: Mapping[str, str]
) -> tuple[Template, Mapping[str, Any]]:
    """Return what `as_deployed` returns, and its parsed form. A large template takes half a second to parse, so it is parsed once."""
    wanted = parse(request.template.body)
    template = _with_kept_parts(request.template, before, _find_kept_ids(request, wanted, before, before_parameters))
    return template, wanted if template is request.template else parse(template.body)


def _with_kept_parts(template: Template, before: Mapping[str, Any], kept_ids: Mapping[str, str]) -> Template:
    """Return `template`, the same object if the stack keeps nothing of its parsed template `before`."""
    return imports.keep_import_marks(unique.with_kept_ids(template, kept_ids), before)


def _find_kept_ids(
    request: Request, wanted: Mapping[str, Any], before: Mapping[str, Any], before_parameters: Mapping[str, str]
) -> dict[str, str]:
    """Return the logical IDs that the stack keeps; `wanted` is the parsed template of the request."""
    return unique.renamed(
        before,
        wanted,
        before_parameters=before_parameters,
        parameters={**before_parameters, **request.parameters},
        former_ids=request.former_ids,
    )


def processed_template(cfn: CloudFormationClient, stack_name: str) -> Mapping[str, Any]:
    """Return the parsed template of a stack with its transforms applied, if AWS returns it, and without values of NoEcho parameters."""
    return processed.to_show(cfn, deployed_template(cfn, stack_name), stack_name)


def is_same(request: Request, current: Stack, before: Mapping[str, Any]) -> bool:
    """Return whether `current` has, or is receiving, what `request` describes; `before` is its parsed template.

    A template with transforms may have another result each time, so it is never the same.
    """
    return (
        not has_transform(before)
        and before == parsed_as_deployed(request, before, current.parameters)[1]
        and current.user_tags == dict(request.tags)
        and all(current.parameters.get(key) in {value, intrinsics.MASK} for key, value in request.parameters.items())
    )


def _is_unchanged(request: Request, current: Stack, before: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Return whether AWS would report no changes, as far as that is known without a call."""
    if request.force or not state.has_succeeded(current) or before != wanted or current.user_tags != dict(request.tags):
        return False
    if nested_changes.has_nested(wanted) or has_transform(wanted):
        # The nested template at the URL, or the result of a transform, may have changed.
        return False
    if _has_other_notifications(request, current) or _has_other_alarms(request, current):
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


def _has_other_notifications(request: Request, current: Stack) -> bool:
    return request.notification_arns is not None and set(request.notification_arns) != set(current.notification_arns)


def _has_other_alarms(request: Request, current: Stack) -> bool:
    return request.rollback_alarms is not None and (
        set(request.rollback_alarms) != set(current.rollback_alarms)
        or request.monitoring_minutes != current.monitoring_minutes
    )


def _settings(
    request: Request, current: Stack | None, before: Mapping[str, Any] | None, wanted: Mapping[str, Any]
) -> tuple[Setting, ...]:
    return properties.setting_changes(
        before=before,
        before_parameters=current.parameters if current is not None else None,
        after=wanted,
        after_parameters=request.parameters,
        tags_before=current.user_tags if current is not None else None,
        tags_after=request.tags,
        protected_before=current.termination_protection if current is not None else None,
        protected_after=request.termination_protection,
    )
