"""Tests of the sandbox's parser of buildspecs, without a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.sandbox.buildspecs import STAND_IN, BuildspecError, batch, commands, is_text, restriction_broken
from tests.sandbox.codebuild import graph

if TYPE_CHECKING:
    from collections.abc import Callable


def spec(**section: Any) -> str:
    return yaml.safe_dump({"version": 0.2, "batch": section})


def test_build_graph_has_tasks_in_order() -> None:
    plan = batch(
        graph(
            {
                "identifier": "build_a",
                "buildspec": "ci/build.yaml",
                "ignore-failure": True,
                "env": {
                    "compute-type": "BUILD_GENERAL1_MEDIUM",
                    "image": "ubuntu",
                    "privileged-mode": True,
                    "variables": {"FLAVOR": "a", "NUMBER": 1, "YES": True},
                },
            },
            {"identifier": "build_b", "depend-on": ["build_a"]},
            **{"fast-fail": True},
        )
    )
    first, second = plan.tasks
    assert plan.fast_fail
    assert (first.identifier, first.buildspec, first.ignore_failure) == ("build_a", "ci/build.yaml", True)
    assert first.environment == {
        "computeType": "BUILD_GENERAL1_MEDIUM",
        "image": "ubuntu",
        "privilegedMode": True,
        "environmentVariables": [
            {"name": "FLAVOR", "value": "a", "type": "PLAINTEXT"},
            {"name": "NUMBER", "value": "1", "type": "PLAINTEXT"},
            {"name": "YES", "value": "true", "type": "PLAINTEXT"},
        ],
    }
    assert (second.depends_on, second.ignore_failure, second.buildspec) == (("build_a",), False, "")


def test_build_list_needs_no_identifiers() -> None:
    plan = batch(spec(**{"build-list": [{"identifier": "named"}, {"buildspec": "other.yaml"}]}))
    assert [(task.identifier, task.buildspec) for task in plan.tasks] == [("named", ""), ("build1", "other.yaml")]


def test_build_matrix_has_task_for_each_combination() -> None:
    plan = batch(
        spec(
            **{
                "build-matrix": {
                    "static": {"ignore-failure": True, "env": {"type": "LINUX_CONTAINER", "variables": {"FIXED": "1"}}},
                    "dynamic": {
                        "buildspec": ["a.yml", "b.yml"],
                        "env": {"image": ["x"], "variables": {"VERSION": ["1", "2"]}},
                    },
                }
            }
        )
    )
    shown = [
        (task.buildspec, {entry["name"]: entry["value"] for entry in task.environment["environmentVariables"]})
        for task in plan.tasks
    ]
    assert shown == [
        (path, {"FIXED": "1", "VERSION": version}) for path in ("a.yml", "b.yml") for version in ("1", "2")
    ]
    assert {(task.ignore_failure, task.environment["image"], task.environment["type"]) for task in plan.tasks} == {
        (True, "x", "LINUX_CONTAINER")
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version: 0.2\nphases: {}", "it has no batch section"),
        ("- a list", "wrong number of container tags, expected 1"),
        ("version: [", "while parsing"),
        ("version: 1\nbatch: {}", "Unsupported buildspec version: 1"),
        (spec(**{"build-graph": []}), "build-graph is empty"),
        (spec(**{"build-graph": "text"}), "build-graph must be a list"),
        (spec(**{"build-graph": ["text"]}), "must be a mapping"),
        (spec(**{"build-graph": [{"buildspec": "x"}]}), r"build-graph\[0\] has no identifier"),
        (spec(**{"fast-fail": True}), "one of build-graph, build-list, build-matrix is needed"),
        (graph({"identifier": "with-hyphen"}), "Invalid identifier 'with-hyphen'"),
        (graph({"identifier": "a"}, {"identifier": "a"}), "Duplicate identifiers in the batch: a"),
        (graph({"identifier": "a", "depend-on": ["b"]}), "Build a depends on b, which does not exist"),
        (
            graph({"identifier": "a", "depend-on": ["b"]}, {"identifier": "b", "depend-on": ["a"]}),
            "Circular dependency between builds: a, b",
        ),
    ],
)
def test_invalid_batch_is_rejected_with_reason(text: str, message: str) -> None:
    with pytest.raises(BuildspecError, match=message):
        batch(text)


@pytest.mark.parametrize("read", [batch, commands])
@given(text=st.text(max_size=200))
def test_any_text_is_parsed_or_rejected_with_reason(read: Callable[[str], object], text: str) -> None:
    try:
        read(text)
    except BuildspecError as error:
        reason = error.message
    else:
        reason = "it was read"
    assert reason


def test_commands_of_finally_come_last() -> None:
    text = yaml.safe_dump(
        {
            "version": 0.2,
            "phases": {
                "install": {"runtime-versions": {"python": "3.12"}},
                "pre_build": {"commands": "docker login"},
                "build": {"finally": ["echo done"], "commands": ["make", "make test"]},
            },
        }
    )
    assert commands(text) == {"PRE_BUILD": ["docker login"], "BUILD": ["make", "make test", "echo done"]}


def test_example_buildspec_has_three_builds_with_commands() -> None:
    assert [task.identifier for task in batch(STAND_IN).tasks] == ["build_one", "build_two", "build_three"]
    assert set(commands(STAND_IN)) == {"INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD"}


@pytest.mark.parametrize("text", ["version: 0.2\nphases: {}\n", '{"version": 0.2}', "version: 0.2"])
def test_text_is_recognized_as_buildspec(text: str) -> None:
    assert is_text(text)


@pytest.mark.parametrize("path", ["", "buildspec.yml", "aws-code-build/ci/buildspec.yaml"])
def test_path_is_not_text(path: str) -> None:
    assert not is_text(path)


def test_batch_within_restrictions_is_accepted() -> None:
    plan = batch(graph({"identifier": "a"}, {"identifier": "b"}))
    restrictions = {"maximumBuildsAllowed": 2, "computeTypesAllowed": ["BUILD_GENERAL1_SMALL"]}
    assert restriction_broken(plan, restrictions, "BUILD_GENERAL1_SMALL") == ""
    assert restriction_broken(plan, {}, "BUILD_GENERAL1_SMALL") == ""
    assert "BUILD_GENERAL1_LARGE of build a" in restriction_broken(plan, restrictions, "BUILD_GENERAL1_LARGE")
