"""Detect stacks that must be deleted and created again, because no update can repair them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exasol_ci_setup.core.commands import unprotect_hint
from exasol_ci_setup.core.errors import AccessDeniedError, StackError
from exasol_ci_setup.stacks import imports, source_access, state
from exasol_ci_setup.stacks import plan as planning
from exasol_ci_setup.template.intrinsics import property_texts
from exasol_ci_setup.template.render import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.core.stacks import Options, Stack
    from exasol_ci_setup.stacks.request import Request


def is_needed(context: Context, request: Request, current: Stack, options: Options) -> bool:
    """Return whether the stack `current` must be deleted before `request` can be deployed, after a note with the reason.

    This is true for a stack whose creation failed, with the option `recreate_failed`. It is always true for a stack whose only resource no longer exists
    and has a type that neither an update nor a drift-aware change set creates again. Raises StackError if such a stack must not be deleted.
    """
    account, notice = context.account, context.note
    if (
        options.recreate_failed
        and state.is_own(current)
        and (state.is_stuck(current) or current.status == "CREATE_FAILED")
    ):
        if left := imports.imported_resources(
            planning.deployed_template(account.client("cloudformation"), current.name)
        ):
            notice(f"imported resources of stack {current.name} are kept when it is deleted: {', '.join(sorted(left))}")
            if not options.import_existing:
                notice("--import-existing imports those again that have a name in the template")
        return True
    if state.is_absent(current) or state.is_stuck(current) or not current.status.endswith("_COMPLETE"):
        return False
    if not property_texts(parse(request.template.body), request.parameters, source_access.CREDENTIAL, "ServerType"):
        return False
    deployed = planning.deployed_template(account.client("cloudformation"), current.name)
    gone = _missing_credentials(account, deployed, current.parameters, notice)
    if not gone:
        return False
    why = f"stack {current.name} has lost {', '.join(gone)}: {_missing_text(gone.values())}"
    _require_replaceable(current, why, everything=gone.keys() == deployed["Resources"].keys())
    notice(f"{why}, and no update creates it again")
    return True


def lost(account: Account, stack: Stack, notice: Callable[[str], None]) -> dict[str, str]:
    """Return the logical IDs of the credentials of `stack` that no longer exist in CodeBuild, each with its kind of server."""
    deployed = planning.deployed_template(account.client("cloudformation"), stack.id or stack.name)
    return _missing_credentials(account, deployed, stack.parameters, notice)


def require_complete(account: Account, request: Request, stack: Stack) -> None:
    """Raise StackError if a resource of the deployed `stack` does not exist, as far as the caller may see that."""
    if gone := _missing_credentials(account, parse(request.template.body), request.parameters, lambda _message: None):
        raise StackError(
            f"stack {stack.name} is in {stack.status}, but {_missing_text(gone.values())}",
            hint="run the same command again: it creates the stack again",
            stack_name=stack.name,
        )


def _missing_credentials(
    account: Account, template: Mapping[str, Any], parameters: Mapping[str, str], notice: Callable[[str], None]
) -> dict[str, str]:
    """Return the logical IDs of the credentials of a parsed template that do not exist in CodeBuild, each with its kind of server."""
    declared = property_texts(template, parameters, source_access.CREDENTIAL, "ServerType")
    if not declared:
        return {}
    try:
        there = source_access.servers(account)
    except AccessDeniedError as error:
        notice(f"whether CodeBuild has the credential is unknown: {error.message}")
        return {}
    return {name: server for name, server in declared.items() if server not in there}


def _missing_text(servers: Any) -> str:
    return f"CodeBuild has no credential for {', '.join(servers)}"


def _require_replaceable(stack: Stack, why: str, *, everything: bool) -> None:
    hint = ""
    if not everything:
        hint = "deploy the stack once without that resource, and then with it"
    elif not state.is_own(stack):
        hint = f"delete the stack with `aws cloudformation delete-stack --stack-name {stack.name}`, and run the same command again"
    elif stack.termination_protection:
        hint = f"the stack must be created again, but it is protected: {unprotect_hint(stack.name)}, then run the same command again"
    if hint:
        raise StackError(why, hint=hint, stack_name=stack.name)
