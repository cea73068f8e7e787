"""Plan, check, compare, import, follow and delete the stack of one construct."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exasol_ci_setup.core.errors import InputError, NotApprovedError
from exasol_ci_setup.programs import actions
from exasol_ci_setup.programs.declared import Declared
from exasol_ci_setup.programs.requests import declared_request
from exasol_ci_setup.programs.resolve import open_context, unscoped
from exasol_ci_setup.programs.templates import template_of
from exasol_ci_setup.stacks import build_stacks, compare, import_operation, monthly_cost, reversion, state
from exasol_ci_setup.stacks import deploy as deployment
from exasol_ci_setup.stacks import watch as watching
from exasol_ci_setup.stacks.check import check
from exasol_ci_setup.stacks.deletion import find_existing, plan_deletion
from exasol_ci_setup.stacks.request import Request, resolve_secrets
from exasol_ci_setup.template.lint import lint as run_linter
from exasol_ci_setup.template.lint import reject_errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.constructs.base import Construct
    from exasol_ci_setup.core.costs import Cost
    from exasol_ci_setup.core.errors.details import Finding
    from exasol_ci_setup.core.stacks import Drift, Options, Result, Stack, StackSettings
    from exasol_ci_setup.stacks.deploy import OpenPlan


def plan(construct: Construct, context: Context | None, settings: StackSettings, options: Options) -> OpenPlan:
    """Return the open plan of the construct's stack, whose dependencies are deployed.

    Raises InputError if one is not, and the errors of `stacks.deploy.plan`.
    """
    if construct.builders:
        raise InputError(
            f"{construct.kind} {construct.label!r} cannot be planned: it runs an image that is built when it is deployed",
            hint="call deploy(), or plan a program with `exasol-ci-setup plan FILE`",
        )
    context = _open(construct, context, "plan")
    build_stacks.require_only(context.cfn, construct)
    _read_outputs(construct, context)
    complete = resolve_secrets(construct, context.account)
    return deployment.plan(context, declared_request(context.account, complete, settings), options)


def lint(construct: Construct, region: str) -> list[Finding]:
    """Return the findings of cfn-lint. Raises InputError for an unknown region."""
    return run_linter(template_of(construct).template, region)


def validate(construct: Construct, context: Context | None) -> list[Finding]:
    """Return the findings that are no errors. Raises TemplateRejectedError if one is."""
    context = _open(construct, context, "validate")
    template = template_of(resolve_secrets(construct, context.account)).template
    findings = check(context, template)
    reject_errors(template, findings)
    return findings


def diff(construct: Construct, context: Context | None) -> str:
    """Return the unified diff between the deployed template and the new one."""
    context = _open(construct, context, "diff")
    template = template_of(resolve_secrets(construct, context.account)).template
    return "".join(compare.diff(context, Request(construct.stack_name, template)))


def cost(construct: Construct, context: Context | None) -> Cost:
    """Return the estimate of the monthly cost."""
    return monthly_cost.cost(_open(construct, context, "cost"), construct)


def drift(construct: Construct, context: Context | None) -> Drift:
    """Return the drift of the stack."""
    context = _open(construct, context, "drift")
    return reversion.detect_drift(context, state.get(context.cfn, construct.stack_name))


def import_resources(
    construct: Construct, identifiers: Mapping[str, str], context: Context | None, options: Options
) -> Result:
    """Import existing resources into the stack."""
    context = _open(construct, context, "import_resources")
    _read_outputs(construct, context)
    complete = resolve_secrets(construct, context.account)
    request = declared_request(context.account, complete)
    return import_operation.import_resources(context, request, identifiers, options)


def watch(construct: Construct, context: Context | None) -> Stack:
    """Follow the operation in progress on the stack."""
    return watching.watch(_open(construct, context, "watch"), construct.stack_name)


def delete(construct: Construct, context: Context | None, *, empty: bool) -> bool:
    """Delete the stack. Return whether it existed. Raises NotApprovedError if the reporter does not confirm the plan."""
    context = _open(construct, context, "delete")
    stack = find_existing(context, construct.stack_name)
    if stack is None:
        return False
    state.require_own(stack, construct.tags)
    planned = plan_deletion(context, stack, empty=empty, hint="to delete their contents too: empty=True")
    if context.plan_only or not context.reporter.confirm(planned.plan):
        raise NotApprovedError(f"not deleted: stack {stack.name} was not changed", stack_name=stack.name)
    planned.apply()
    return True


def _open(construct: Construct, context: Context | None, method: str) -> Context:
    """Return the context with the account of `construct`. Raises InputError in a program that a command runs."""
    if actions.current().resolve is not None:
        raise InputError(
            f"{method}() of {construct.kind} {construct.label!r} was called in a program that a command runs",
            hint="call it in a program of its own, without the command",
        )
    _, opened = open_context(construct, context)
    return opened


def _read_outputs(construct: Construct, context: Context) -> None:
    """Set the outputs of the dependencies of `construct`. Raises InputError if one is not deployed."""
    declared = Declared([construct], unscoped(context))
    for name, each in declared.constructs.items():
        if each is construct:
            continue
        connect, _ = open_context(each, context)
        stack = state.find(connect(declared.scope_of(name)).client("cloudformation"), name)
        if stack is None or state.is_absent(stack):
            raise InputError(
                f"{construct.kind} {construct.label!r} needs {each.kind} {each.label!r}, which is not deployed",
                hint="deploy it first, or call deploy(), which deploys both",
            )
        each.set_outputs(stack.outputs)
