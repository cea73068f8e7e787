"""Express mode, and what it is refused for: answered inside botocore."""

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


def test_aws_is_told_to_end_early_and_to_roll_back(answers, clock):
    Aws(answers, events=UPDATE)

    result = run(answers, clock, express=True)

    assert result.stack.status == "UPDATE_COMPLETE"
    assert sent(answers)["DeploymentConfig"] == {"Mode": "EXPRESS", "DisableRollback": False}


def test_a_new_stack_leaves_out_the_older_word_for_its_failure(answers, clock):
    created = [[("CREATE_IN_PROGRESS", "Slc")], [("CREATE_COMPLETE", "T"), ("CREATE_COMPLETE", "Slc")]]
    aws = Aws(answers, events=created, new=True)
    with_change(answers, aws, Action="Add")

    run(answers, clock, express=True)

    assert "OnStackFailure" not in sent(answers)


def test_without_the_word_nothing_is_said_of_it(answers, clock):
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
def test_what_must_not_be_called_done_too_early_is_refused_and_nothing_is_left(answers, clock, changed, why):
    aws = Aws(answers, events=UPDATE)
    with_change(answers, aws, **changed)

    with pytest.raises(InputError, match=f"--express is not for this change to stack Slc: T .* {why}"):
        run(answers, clock, express=True)

    assert "DeleteChangeSet" in operations(answers)
    assert "ExecuteChangeSet" not in operations(answers)


@pytest.mark.parametrize("status", ["CREATE_FAILED", "UPDATE_FAILED"])
def test_a_stack_that_was_left_unfinished_is_no_stack_for_a_mode_that_rolls_back(answers, clock, status):
    Aws(answers, events=UPDATE)
    answers.on("cloudformation", "DescribeStacks", stack_in(status))

    with pytest.raises(InputError, match=f"--express is not for stack Slc in {status}"):
        run(answers, clock, express=True)

    assert "CreateChangeSet" not in operations(answers)
