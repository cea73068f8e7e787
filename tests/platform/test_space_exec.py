"""Commands in running tasks of spaces, with ECS's answers and a program in place of AWS's plugin."""

from __future__ import annotations

import json

import pytest

import exasol_ci_setup as naas
from exasol_ci_setup.aws.context import Context
from exasol_ci_setup.core.errors import InputError, SpaceConflictError, SpaceNotFoundError
from tests.platform.test_space_restart import stack

TASK = "arn:aws:ecs:eu-central-1:123456789012:task/spaces/"
SESSION = {"sessionId": "s-1", "streamUrl": "wss://example.com", "tokenValue": "hush"}


def task(number, *, agent="RUNNING"):
    return {
        "taskArn": f"{TASK}{number}",
        "createdAt": f"2026-01-0{number}T00:00:00Z",
        "containers": [
            {
                "name": "web",
                "runtimeId": f"runtime-{number}",
                "managedAgents": [{"name": "ExecuteCommandAgent", "lastStatus": agent}],
            }
        ],
    }


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """A program that writes its arguments and its session, and ends with code 3."""
    path = tmp_path / "session-manager-plugin"
    path.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/arguments\n'
        f'printf %s "$AWS_SSM_START_SESSION_RESPONSE" > {tmp_path}/session\nexit 3\n'
    )
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


@pytest.fixture
def ecs(answers):
    answers.on("cloudformation", "DescribeStacks", {"Stacks": [stack()]})
    allow(answers, enabled=True)
    answers.on("ecs", "ListTasks", {"taskArns": [f"{TASK}1", f"{TASK}2"]})
    answers.on("ecs", "ExecuteCommand", {"session": SESSION})
    return answers


def allow(answers, *, enabled):
    template = {"Metadata": {"Space": json.dumps({"name": "web", "enable_exec": enabled})}}
    answers.on("cloudformation", "GetTemplate", {"TemplateBody": json.dumps(template)})


def test_command_runs_in_newest_task_and_token_is_no_argument(ecs, plugin):
    ecs.on("ecs", "DescribeTasks", {"tasks": [task(2), task(1)]})

    code = naas.space.execute("web", "ls -l", context=Context(ecs.account))

    assert code == 3
    (sent,) = ecs.of("ExecuteCommand")
    assert (sent["task"], sent["command"], sent["interactive"]) == (f"{TASK}2", "ls -l", True)
    arguments = (plugin / "arguments").read_text()
    assert '{"Target": "ecs:spaces_2_runtime-2"}' in arguments
    assert "hush" not in arguments
    assert json.loads((plugin / "session").read_text()) == SESSION


@pytest.mark.usefixtures("plugin")
def test_task_can_be_selected(ecs):
    ecs.on("ecs", "DescribeTasks", {"tasks": [task(2), task(1)]})

    naas.space.execute("web", task="1", context=Context(ecs.account))

    assert ecs.of("ExecuteCommand")[0]["task"] == f"{TASK}1"
    with pytest.raises(SpaceNotFoundError, match="no running task 9"):
        naas.space.execute("web", task="9", context=Context(ecs.account))


@pytest.mark.usefixtures("plugin")
def test_task_without_agent_is_reported(ecs):
    ecs.on("ecs", "DescribeTasks", {"tasks": [task(1, agent="PENDING")]})

    with pytest.raises(SpaceConflictError, match="no task that accepts commands: 1 running"):
        naas.space.execute("web", context=Context(ecs.account))


def test_space_that_does_not_allow_commands_hints_at_option_before_plugin(ecs, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    allow(ecs, enabled=False)

    with pytest.raises(SpaceConflictError, match="does not allow commands") as caught:
        naas.space.execute("web", context=Context(ecs.account))

    assert "space update --name web --exec" in caught.value.hint


def test_missing_plugin_is_reported_before_tasks_are_looked_up(ecs, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(InputError, match="`session-manager-plugin` is not on the PATH"):
        naas.space.execute("web", context=Context(ecs.account))

    assert "ListTasks" not in ecs.names()
