"""Every value is written such that each YAML parser reads the same value back."""

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
def test_special_text_is_read_back_as_it_was(loader, text: str):
    assert yaml.load(f"key: {finalize(text)}\nnext: 1\n", Loader=loader) == {"key": text, "next": 1}  # noqa: S506 - each of them is safe


@pytest.mark.parametrize("loader", LOADERS)
@given(text=st.text())
def test_any_text_is_read_back_as_it_was(loader, text: str):
    try:
        written = finalize(text)
    except InputError:
        assert "{{resolve:" in text
        return
    assert written.isascii()
    assert "\n" not in written
    assert yaml.load(f"key: {written}\nnext: 1\n", Loader=loader) == {"key": text, "next": 1}  # noqa: S506 - each of them is safe


@given(text=st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"])))
def test_text_of_the_basic_plane_is_read_back_by_json_too(text: str):
    if "{{resolve:" not in text:
        assert json.loads(finalize(text)) == text


@given(value=st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_any_plain_value_is_read_back_as_it_was(value):
    read = yaml.safe_load(finalize(value))
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize("value", ["\ud800", "a\udfff", "{{resolve:ssm:x}}", "a{{resolve:", float("nan"), float("inf")])
def test_what_no_template_can_hold_is_refused_as_input(value):
    with pytest.raises(InputError, match="cannot be used in a template"):
        finalize(value)


@pytest.mark.parametrize("value", [object(), [], {}, (), b"x", {1}, Ellipsis, pytest.raises])
def test_the_representation_of_an_object_never_leaks_into_a_template(value):
    with pytest.raises(TypeError, match="a template may hold text, numbers, booleans and null, not"):
        finalize(value)


def test_an_unknown_name_is_an_error_and_not_empty_text():
    with pytest.raises(jinja2.UndefinedError, match="nothing"):
        environment("cloudformation").from_string("a: {{ nothing }}").render()


def test_an_unknown_name_in_a_condition_is_an_error_too():
    with pytest.raises(jinja2.UndefinedError, match="nothing"):
        environment("cloudformation").from_string("{% if nothing %}a{% endif %}").render()


def test_only_a_secret_reference_passes_as_a_reference():
    reference = secret_reference("github", "token")
    assert finalize(reference) == '"{{resolve:secretsmanager:github:SecretString:token}}"'
    with pytest.raises(InputError, match="cannot be used in a template"):
        finalize(reference + "")


@pytest.mark.parametrize(
    ("name", "key"),
    [("a:b", "k"), ("a}}", "k"), ("", "k"), ("a", "k:v"), ("a", "k}}"), ("a", ""), ("a", "k\n"), ("a\n", "k")],
)
def test_a_secret_reference_cannot_be_broken_out_of(name: str, key: str):
    with pytest.raises(InputError, match="reserved character"):
        secret_reference(name, key)
