"""Express mode and its refusals, answered inside botocore."""

from __future__ import annotations

import pytest

from exasol_ci_setup.core.errors import InputError
from tests.stacks.test_deploy_answers import UPDATE, Aws, operations, run, stack_in


def with_change(answers, aws, **changed):
    change = {"Action": "Modify", "LogicalResourceId": "T", "ResourceType": "AWS::SNS::Topic", **changed}
    found = aws.change_set(Changes=[{"Type": "Resource", "ResourceChange": change}])
    answers.on("cloudformation", "DescribeChangeSet", found)


def sent(answers):
    return next(call.params for call in answers.calls if call.operation == "CreateChangeSet")


def test_request_has_express_mode_and_rollback(answers, clock):
    Aws(answers, events=UPDATE)

    result = run(answers, clock, express=True)

    assert result.stack.status == "UPDATE_COMPLETE"
    assert sent(answers)["DeploymentConfig"] == {"Mode": "EXPRESS", "DisableRollback": False}


def test_new_stack_omits_on_stack_failure(answers, clock):
    created = [[("CREATE_IN_PROGRESS", "Slc")], [("CREATE_COMPLETE", "T"), ("CREATE_COMPLETE", "Slc")]]
    aws = Aws(answers, events=created, new=True)
    with_change(answers, aws, Action="Add")

    run(answers, clock, express=True)

    assert "OnStackFailure" not in sent(answers)


def test_request_without_option_has_no_mode(answers, clock):
    Aws(answers, events=UPDATE)

    run(answers, clock)

    assert "DeploymentConfig" not in sent(answers)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"Replacement": "True"}, "is replaced"),
        ({"Replacement": "Conditional"}, "may be replaced"),
        ({"ResourceType": "AWS::ECS::Service", "Replacement": "False"}, "is a service"),
        ({"ResourceType": "AWS::ECS::Service", "Action": "Add"}, "is a service"),
    ],
)
def test_change_that_must_be_awaited_is_rejected(answers, clock, changed, why):
    aws = Aws(answers, events=UPDATE)
    with_change(answers, aws, **changed)

    with pytest.raises(InputError, match=f"--express is not for this change to stack Slc: T .* {why}"):
        run(answers, clock, express=True)

    assert "DeleteChangeSet" in operations(answers)
    assert "ExecuteChangeSet" not in operations(answers)


@pytest.mark.parametrize("status", ["CREATE_FAILED", "UPDATE_FAILED"])
def test_stack_without_rollback_is_rejected(answers, clock, status):
    Aws(answers, events=UPDATE)
    answers.on("cloudformation", "DescribeStacks", stack_in(status))

    with pytest.raises(InputError, match=f"--express is not for stack Slc in {status}"):
        run(answers, clock, express=True)

    assert "CreateChangeSet" not in operations(answers)
