"""Command groups `scopes` and `resources`: stacks and resources of programs, by scope."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from exasol_ci_setup.cli.options import STACK
from exasol_ci_setup.cli.session import common_options
from exasol_ci_setup.cli.verbs import VerbGroup
from exasol_ci_setup.core.errors import InputError, StackError
from exasol_ci_setup.core.tags import TAG_PREFIX

if TYPE_CHECKING:
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.core.stacks import Stack


@click.group("scopes", cls=VerbGroup)
@common_options
def scopes(_session: Session) -> None:
    """Show the scopes of programs and their stacks."""


@scopes.command("list")
@common_options
def scopes_list(session: Session) -> None:
    """List the scopes with stacks in the region."""
    from exasol_ci_setup.cli.render import show

    scopes = _by_scope(session)
    if scopes:
        rows = [(name, str(len(stacks)), _state(stacks)) for name, stacks in scopes.items()]
        session.output.data("\n".join(show.table(("SCOPE", "STACKS", "STATE"), rows, width=session.output.data_width)))
    else:
        session.output.say(f"no scopes in {session.account.region}")
    for name, stacks in scopes.items():
        session.output.record({"type": "scope", "name": name, "stacks": [stack.name for stack in stacks]})


@scopes.command("show")
@click.argument("name", metavar="SCOPE")
@common_options
def scopes_show(session: Session, name: str) -> None:
    """Show the stacks of a scope."""
    from exasol_ci_setup.cli.render import show

    stacks = _of_scope(session, name)
    rows = [(stack.name, _tag(stack, "construct"), _tag(stack, "name"), stack.status) for stack in stacks]
    session.output.data(
        "\n".join(show.table(("STACK", "CONSTRUCT", "NAME", "STATUS"), rows, width=session.output.data_width))
    )
    session.output.record(*stacks)


@click.group("resources", cls=VerbGroup)
@common_options
def resources(_session: Session) -> None:
    """Show the AWS resources behind constructs."""


@resources.command("list")
@click.argument("scope", metavar="[SCOPE]", required=False)
@common_options
def resources_list(session: Session, scope: str | None) -> None:
    """List the resources of a scope, or of all scopes."""
    from exasol_ci_setup.cli.render import show
    from exasol_ci_setup.stacks.resources import of_id

    cfn = session.account.client("cloudformation")
    stacks = _of_scope(session, scope) if scope else [each for group in _by_scope(session).values() for each in group]
    rows: list[tuple[str, str, str, str]] = []
    for stack in stacks:
        for each in of_id(cfn, stack.id):
            rows.append((stack.name, each.logical_id, each.type, each.physical_id))
            session.output.record(_resource(stack.name, each.logical_id, each.type, each.physical_id, each.status))
    if rows:
        session.output.data(
            "\n".join(show.table(("STACK", "RESOURCE", "TYPE", "ID"), rows, width=session.output.data_width))
        )
    else:
        session.output.say(f"no stacks of a scope in {session.account.region}")


@resources.command("show")
@click.argument("stack", type=STACK, metavar="STACK")
@click.argument("resource", metavar="RESOURCE")
@common_options
def resources_show(session: Session, stack: str, resource: str) -> None:
    """Show one resource of a stack."""
    from exasol_ci_setup.cli.render import show
    from exasol_ci_setup.stacks import state
    from exasol_ci_setup.stacks.resources import of_id

    cfn = session.account.client("cloudformation")
    existing = state.get(cfn, stack)
    by_name = {each.logical_id: each for each in of_id(cfn, existing.id)}
    if resource not in by_name:
        raise InputError(
            f"stack {existing.name} has no resource {resource!r}",
            hint=f"its resources are: {', '.join(sorted(by_name))}",
        )
    each = by_name[resource]
    values = {
        "Stack": existing.name,
        "Resource": resource,
        "Type": each.type,
        "Id": each.physical_id,
        "Status": each.status,
    }
    session.output.data("\n".join(show.pairs(values)))
    session.output.record(_resource(existing.name, resource, each.type, each.physical_id, each.status))


def _resource(stack_name: str, logical_id: str, kind: str, physical_id: str, status: str) -> dict[str, Any]:
    return {
        "type": "resource",
        "stack_name": stack_name,
        "logical_id": logical_id,
        "resource_type": kind,
        "physical_id": physical_id,
        "status": status,
    }


def _by_scope(session: Session) -> dict[str, list[Stack]]:
    """Return the stacks of each scope in the region, sorted by the name of the scope."""
    from exasol_ci_setup.stacks import state

    found: dict[str, list[Stack]] = {}
    for stack in state.own(session.account.client("cloudformation")):
        name = _tag(stack, "scope")
        if name and stack.status != "DELETE_COMPLETE":
            found.setdefault(name, []).append(stack)
    return {name: sorted(found[name], key=lambda stack: stack.name) for name in sorted(found)}


def _of_scope(session: Session, name: str) -> list[Stack]:
    """Return the stacks of one scope. Raises StackError if it has none."""
    found = _by_scope(session)
    if name not in found:
        raise StackError(
            f"scope {name!r} has no stack in {session.account.region}",
            hint=f"the scopes are: {', '.join(found)}" if found else "to deploy a program: `exasol-ci-setup up FILE`",
        )
    return found[name]


def _tag(stack: Stack, key: str) -> str:
    return stack.tags.get(f"{TAG_PREFIX}{key}", "")


def _state(stacks: list[Stack]) -> str:
    """Return the status of a scope: that of its first stack that has not succeeded, or ``ready``."""
    from exasol_ci_setup.stacks import state

    return next((stack.status for stack in stacks if not state.has_succeeded(stack)), "ready")
