"""Deployed templates are read even if they contain what templates of the user must not contain."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.core.errors import TemplateRejectedError
from exasol_ci_setup.template.deployed import read
from exasol_ci_setup.template.render import parse, written


@pytest.mark.parametrize(
    ("body", "template", "note"),
    [
        ("a: 1\na: 2\n", {"a": 2}, "line 2: duplicate key 'a'"),
        ('{"a": 1, "a": {"b": 2}}', {"a": {"b": 2}}, "duplicate key 'a'"),
        ("a: !Sub {b: 1, b: 2}", {"a": {"Fn::Sub": {"b": 2}}}, "line 1: duplicate key 'b'"),
        ("a: !!binary aGk=", {"a": "aGk="}, "line 1: CloudFormation does not support the tag tag:yaml.org,2002:binary"),
        ("a: !!org.example.Thing {b: [c]}", {"a": {"b": ["c"]}}, "line 1: CloudFormation does not support the tag"),
        ("? [a]\n: b", {"['a']": "b"}, "line 1: a key is not a plain value"),
    ],
)
def test_unusual_template_is_read_with_note(body, template, note):
    found = read(body)

    assert found.template == template
    assert [each.startswith(note) for each in found.notes] == [True]


@pytest.mark.parametrize(
    ("body", "value"),
    [
        ("a: no", False),
        ("a: 'no'", "no"),
        ("a: 2012-10-17", "2012-10-17"),
        ("a: 0123", 83),
        ("a: 012345678901", "012345678901"),
        ("a: !Custom x", {"Fn::Custom": "x"}),
        ("a: |\n  " + "x" * 5000, "x" * 5000),
        ('{"a": "x\ty"}', "x\ty"),
        ('{"a": "\\ud83d\\ude00"}', "\U0001f600"),
        ("a: {Fn::Transform: {Name: AWS::Include}}", {"Fn::Transform": {"Name": "AWS::Include"}}),
        ("a: &x {b: 1}\n", {"b": 1}),
    ],
)
def test_values_are_read_as_cloudformation_reads_them(body, value):
    assert read(body).template["a"] == value
    assert read(body).notes == ()


@pytest.mark.parametrize("body", ["", "- a", "a: ]", "text", "a: &x [*x]"])
def test_text_that_is_no_template_is_rejected(body):
    with pytest.raises(TemplateRejectedError, match="the deployed template cannot be read"):
        read(body)


@given(st.text())
def test_any_text_is_read_like_strict_parser_or_more(body):
    with contextlib.suppress(TemplateRejectedError):
        assert json.dumps(parse(body)) == json.dumps(read(body).template)


def test_shared_values_are_written_without_aliases():
    shared = {"b": [1, 2]}

    text = written({"Resources": {"A": shared, "B": shared}})

    assert "&" not in text
    assert parse(text) == {"Resources": {"A": shared, "B": shared}}
