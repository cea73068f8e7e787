"""The command reference is current and complete."""

from __future__ import annotations

import inspect
import re

import click
import pytest

from exasol_ci_setup.core import errors
from tests.reference.cli_page import _MEANING, PAGE, commands, page, shared

ALL = commands()


@pytest.fixture(scope="module")
def text():
    return page()


def test_cli_page_is_current(text, request):
    if request.config.getoption("--update-golden"):
        PAGE.write_text(text, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == text, (
        "the reference of the commands is out of date: run make reference and read the diff"
    )


@pytest.mark.parametrize("words", ALL)
def test_every_command_has_section_with_options(words, text):
    (section,) = re.findall(rf"^### {re.escape(words)}$(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
    common = text[text.index("## What commands that talk to AWS share") : text.index("## Exit codes")]
    for parameter in ALL[words].params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert f"`{parameter.opts[0]}" in section + common or f", {parameter.opts[0]}" in section + common


def test_shared_options_are_aws_options():
    assert {"--aws-profile", "--region", "--log-level", "--output"} <= set(shared(ALL))


def test_every_exit_code_is_explained(text):
    for each in vars(errors).values():
        if inspect.isclass(each) and issubclass(each, errors.SetupError):
            assert each.exit_code in _MEANING
            assert f"`{each.code}`" in text


def test_links_within_page_resolve(text):
    headings = {
        re.sub(r"[^a-z0-9 -]", "", each.lower()).replace(" ", "-")
        for each in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }

    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= headings
