"""The reference of the commands is what they say of themselves, and leaves none of them out."""

from __future__ import annotations

import inspect
import re

import click
import pytest

from exasol_ci_setup import errors
from tests.reference.cli_page import _MEANING, PAGE, commands, page, shared

ALL = commands()


@pytest.fixture(scope="module")
def text():
    return page()


def test_the_page_is_what_the_commands_say(text, request):
    if request.config.getoption("--update-golden"):
        PAGE.write_text(text, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == text, (
        "the reference of the commands is out of date: run make reference and read the diff"
    )


@pytest.mark.parametrize("words", ALL)
def test_every_command_has_a_section_with_all_its_options(words, text):
    (section,) = re.findall(rf"^### {re.escape(words)}$(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
    common = text[text.index("## What commands that talk to AWS share") : text.index("## Exit codes")]
    for parameter in ALL[words].params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert f"`{parameter.opts[0]}" in section + common or f", {parameter.opts[0]}" in section + common


def test_what_is_shared_are_the_options_for_aws():
    assert {"--aws-profile", "--region", "--log-level", "--output"} <= set(shared(ALL))


def test_every_exit_code_of_an_error_is_explained(text):
    for each in vars(errors).values():
        if inspect.isclass(each) and issubclass(each, errors.SetupError):
            assert each.exit_code in _MEANING
            assert f"`{each.code}`" in text


def test_links_within_the_page_lead_to_a_heading(text):
    headings = {
        re.sub(r"[^a-z0-9 -]", "", each.lower()).replace(" ", "-")
        for each in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }

    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= headings
