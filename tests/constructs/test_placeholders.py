"""Placeholders of outputs: detected in any text of a program, and readable for a person."""

from __future__ import annotations

import json
import shlex
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.constructs import Asset, Container, Registry, Scope, SecurityGroup, Service
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
    assert readable(text) == f"{before}<output BucketName of team-data>{after}"


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
        (
            lambda text: Service(name="w", container=image(), env_vars={"A": json.dumps([text])}),
            "env_vars of Service 'w'",
        ),
        (lambda text: Service(name="w", container=image(), env_vars={text: "a"}), "env_vars of Service 'w'"),
        (lambda text: image(start_command=f"run {text}"), "start_command of Container"),
        (lambda text: image(source=f"{text}.example.com"), "source of Container"),
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


def test_field_that_accepts_construct_hints_at_it():
    with pytest.raises(InputError) as refused:
        image(source=placeholder(Registry(scope=SCOPE, name="images"), "RepositoryUri"))

    assert "source accepts the Registry itself" in refused.value.hint


def test_name_only_run_accepts_placeholders_except_in_names():
    group = SecurityGroup(scope=SCOPE, name="group")
    with in_run(refused=False):
        text = placeholder(group, "GroupId")

    assert Scope(name="other", region="eu-central-1", vpc_id=text).vpc_id == text
    with pytest.raises(InputError, match="name of Registry"):
        Registry(scope=SCOPE, name=text)
