"""Each `deploy-*` command: a new stack, no change, a change, a plan, drift and its reversion, the deletion, and a failed creation with its cause."""

from __future__ import annotations

import pytest

from tests.contract import scenario
from tests.contract.conftest import reason_in
from tests.contract.endpoint import Endpoint
from tests.contract.scenario import KINDS, TAG

pytestmark = [pytest.mark.contract, pytest.mark.usefixtures("_github_secret")]

_TAG = ("--tag", "=".join(TAG))
_BROADER = ("--allow-broadening",)


def _kinds(*, always: bool = False, **only: bool):
    return pytest.mark.parametrize(
        "kind",
        [
            pytest.param(
                name,
                marks=[
                    pytest.mark.needs(name, always=always),
                ],
            )
            # The credentials of CodeBuild are created first and deleted last, because the projects use them.
            for name, each in (reversed(list(KINDS.items())) if always else KINDS.items())
            if all((getattr(each, field) is not None) == wanted for field, wanted in only.items())
        ],
    )


def command(endpoint: Endpoint, kind: str, *more: str) -> tuple[str, ...]:
    """Return the command that deploys a kind of stack, and write its files."""
    scenario.write(endpoint.folder, KINDS[kind].files)
    return (f"deploy-{kind}", *KINDS[kind].options, *_TAG, "--yes", *_BROADER, *more)


@_kinds()
def test_plan_of_new_stack_leaves_nothing(endpoint, kind):
    endpoint.run(*command(endpoint, kind, "--plan"))

    assert endpoint.stack(KINDS[kind].stack) is None


@_kinds()
def test_new_stack_is_deployed(endpoint, kind):
    endpoint.run(*command(endpoint, kind))

    assert endpoint.stack(KINDS[kind].stack)["StackStatus"] == "CREATE_COMPLETE"


@_kinds()
def test_second_deployment_reports_no_changes(endpoint, kind):
    before = endpoint.stack(KINDS[kind].stack)
    ran = endpoint.run(*command(endpoint, kind))

    assert "up to date" in ran.stderr or "no changes" in ran.stderr, ran.stderr
    assert endpoint.stack(KINDS[kind].stack).get("LastUpdatedTime") == before.get("LastUpdatedTime")


@_kinds()
def test_plan_of_change_leaves_nothing(endpoint, kind):
    stack = KINDS[kind].stack
    endpoint.run(*command(endpoint, kind, *KINDS[kind].change, "--plan"))

    assert endpoint.stack(stack)["StackStatus"] == "CREATE_COMPLETE"
    assert endpoint.client("cloudformation").list_change_sets(StackName=stack)["Summaries"] == []


@_kinds()
def test_change_is_deployed(endpoint, kind):
    endpoint.run(*command(endpoint, kind, *KINDS[kind].change))

    assert endpoint.stack(KINDS[kind].stack)["StackStatus"] == "UPDATE_COMPLETE"


@_kinds(drift=True)
def test_drift_is_found_and_reverted(endpoint, kind):
    stack = KINDS[kind].stack
    change = KINDS[kind].drift
    assert change is not None
    change(endpoint, stack)
    endpoint.run("drift", stack, "--exit-code", code=5)
    endpoint.run("drift", stack, "--revert", "--yes", *_BROADER)
    endpoint.run("drift", stack, "--exit-code")


@_kinds(always=True)
def test_deleted_stack_leaves_nothing(endpoint, kind):
    stack = KINDS[kind].stack
    if endpoint.stack(stack) is None:
        pytest.skip("not run: the stack was not created")
    endpoint.run("delete", stack, "--yes", "--empty")

    assert endpoint.stack(stack) is None


@_kinds(always=True, conflict=True)
def test_failed_creation_names_cause(endpoint, kind):
    stack, conflict = KINDS[kind].stack, KINDS[kind].conflict
    assert conflict is not None
    conflict.create(endpoint)
    try:
        ran = endpoint.run(*command(endpoint, kind), code=None)

        assert ran.code in {1, 2, 3}, ran.stderr
        assert conflict.name in reason_in(ran.stderr), ran.stderr
        left = endpoint.stack(stack)
        assert left is None or left["StackStatus"] == "ROLLBACK_COMPLETE"
    finally:
        if endpoint.stack(stack) is not None:
            endpoint.run("delete", stack, "--yes", "--empty")
        conflict.delete(endpoint)
