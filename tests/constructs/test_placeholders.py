"""Placeholders of outputs: detected in any text of a program, and readable for a person."""

from __future__ import annotations

import json
import shlex
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.constructs import Asset, Cluster, Container, Registry, Scope, SecurityGroup, Service
from exasol_ci_setup.constructs.output_values import with_values
from exasol_ci_setup.constructs.placeholders import in_run, placeholder, placeholders_in, readable
from exasol_ci_setup.core.errors import InputError

SCOPE = Scope(name="team", region="eu-central-1")
DATA = Asset(scope=SCOPE, name="data")
TEXT = st.text(st.characters(codec="utf-8"))


@given(TEXT, TEXT)
def test_placeholder_in_any_text_is_detected(before, after):
    text = f"{before}{placeholder(DATA, 'BucketName')}{after}"

    for value in (text, json.dumps(text), shlex.join(["echo", text]), quote(text), [{"a": (text,)}], {text: 1}):
        (found,) = placeholders_in(value)
        assert found.construct is DATA
        assert found.output == "BucketName"
    assert readable(text) == f"{before}<output BucketName: known after deployment of team-data>{after}"


@given(TEXT)
def test_text_without_placeholder_is_unchanged(text):
    assert list(placeholders_in(text)) == []
    assert readable(text) == text


def test_placeholder_is_stable_in_run_and_new_in_next():
    def texts() -> set[str]:
        with in_run(refused=True):
            return {placeholder(DATA, "BucketName"), placeholder(DATA, "BucketName")}

    first, second = texts(), texts()

    assert len(first) == len(second) == 1
    # A program may use only a part of the text.
    assert first.pop()[:8] != second.pop()[:8]


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda text: Service(name="w", container=image(), env_vars={text: "a"}), "env_vars of Service 'w'"),
        (lambda text: Registry(scope=SCOPE, name=text), "name of Registry"),
        (lambda text: Scope(region="eu-central-1", name=text), "name of Scope"),
    ],
)
def test_construct_with_placeholder_is_rejected(make, field):
    with pytest.raises(InputError) as refused:
        make(placeholder(DATA, "BucketName"))

    assert f"{field} uses the output BucketName of Asset 'data'" in refused.value.message
    assert "`exasol-ci-setup outputs team-data --region eu-central-1`" in refused.value.hint


def image(**values: Any) -> Container:
    return Container(**{"source": "nginx", "tag": "1", **values})


def test_result_of_action_is_rejected_in_text():
    text = placeholder(DATA, what="archive key")

    with pytest.raises(InputError, match="start_command of Container uses the archive key of Asset 'data'"):
        image(start_command=f"run {text}")


def test_construct_depends_on_constructs_of_its_outputs():
    group = SecurityGroup(scope=Scope(name="far", region="us-east-1"), name="group")
    service = Service(
        name="w",
        container=image(start_command=f"run {placeholder(DATA, 'BucketName')}"),
        env_vars={"A": json.dumps([placeholder(group, "GroupId")])},
    )
    cluster = Cluster(scope=SCOPE, name="cluster", services=(service,))

    assert set(cluster.dependencies) == {DATA, group}
    assert cluster.resolved_scope is SCOPE


def test_copy_with_values_keeps_other_parts():
    group = SecurityGroup(scope=SCOPE, name="group")
    text = placeholder(group, "GroupId")
    first = Service(name="a", container=image(), env_vars={"A": f"<{text}>"})
    second = Service(name="b", container=image())
    cluster = Cluster(scope=SCOPE, name="cluster", services=(first, second), security_groups=(group, text))

    copied = with_values(cluster, lambda found: "sg-0123456789abcdef0" if found.construct is group else "")

    assert copied.services[0].env_vars == {"A": "<sg-0123456789abcdef0>"}
    assert copied.services[1] is second
    assert copied.security_groups == (group, "sg-0123456789abcdef0")
    assert with_values(second, str) is second
    with pytest.raises(
        InputError, match=r"security_groups\.1.* of Cluster 'cluster' is invalid with the outputs of other"
    ):
        with_values(cluster, lambda _found: "no-group")


def test_name_only_run_accepts_placeholders_except_in_names():
    group = SecurityGroup(scope=SCOPE, name="group")
    with in_run(refused=False):
        text = placeholder(group, "GroupId")

    assert Scope(name="other", region="eu-central-1", vpc_id=text).vpc_id == text
    with pytest.raises(InputError, match="name of Registry"):
        Registry(scope=SCOPE, name=text)
