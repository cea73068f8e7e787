"""Rendered values: each YAML parser reads the same value."""

from __future__ import annotations

import json

import jinja2
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.template.render import environment, finalize, secret_reference

LOADERS = [yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)]
WORDS = ["", " ", "null", "true", "1.0", "2012-10-17", "!Sub x", "${AWS::Region}", "{{ x }}", "{% x", "a: b", "- x"]
CHARACTERS = list("#'\"\\&*|>\x00\t\r\n\x7f\x85\xa0\u2028\u2029\ufeff\ufffe\U0001f600é")


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("text", WORDS + CHARACTERS)
def test_special_text_is_read_unchanged(loader, text: str):
    assert yaml.load(f"key: {finalize(text)}\nnext: 1\n", Loader=loader) == {"key": text, "next": 1}  # noqa: S506 - each of them is safe


@pytest.mark.parametrize("loader", LOADERS)
@given(text=st.text())
def test_any_text_is_read_unchanged(loader, text: str):
    try:
        written = finalize(text)
    except InputError:
        assert "{{resolve:" in text
        return
    assert written.isascii()
    assert "\n" not in written
    assert yaml.load(f"key: {written}\nnext: 1\n", Loader=loader) == {"key": text, "next": 1}  # noqa: S506 - each of them is safe


@given(text=st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"])))
def test_text_of_basic_plane_is_read_unchanged_as_json(text: str):
    if "{{resolve:" not in text:
        assert json.loads(finalize(text)) == text


@given(value=st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_any_plain_value_is_read_unchanged(value):
    read = yaml.safe_load(finalize(value))
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize("value", ["\ud800", "a\udfff", "{{resolve:ssm:x}}", "a{{resolve:", float("nan"), float("inf")])
def test_value_that_template_cannot_contain_is_rejected(value):
    with pytest.raises(InputError, match="cannot be used in a template"):
        finalize(value)


@pytest.mark.parametrize("value", [object(), [], {}, (), b"x", {1}, Ellipsis, pytest.raises])
def test_object_representation_is_never_rendered(value):
    with pytest.raises(TypeError, match="a template may hold text, numbers, booleans and null, not"):
        finalize(value)


def test_unknown_name_is_error():
    with pytest.raises(jinja2.UndefinedError, match="nothing"):
        environment("cloudformation").from_string("a: {{ nothing }}").render()


def test_unknown_name_in_condition_is_error():
    with pytest.raises(jinja2.UndefinedError, match="nothing"):
        environment("cloudformation").from_string("{% if nothing %}a{% endif %}").render()


def test_only_secret_reference_is_rendered_as_reference():
    reference = secret_reference("github", "token")
    assert finalize(reference) == '"{{resolve:secretsmanager:github:SecretString:token}}"'
    with pytest.raises(InputError, match="cannot be used in a template"):
        finalize(reference + "")


@pytest.mark.parametrize(
    ("name", "key"),
    [("a:b", "k"), ("a}}", "k"), ("", "k"), ("a", "k:v"), ("a", "k}}"), ("a", ""), ("a", "k\n"), ("a\n", "k")],
)
def test_secret_reference_cannot_be_escaped(name: str, key: str):
    with pytest.raises(InputError, match="reserved character"):
        secret_reference(name, key)
