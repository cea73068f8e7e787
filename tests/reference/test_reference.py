"""The construct reference is current and complete."""

from __future__ import annotations

import re

import pytest

import exasol_ci_setup
from exasol_ci_setup.constructs import PortMappings, Registry, ScopedConstruct, build
from exasol_ci_setup.constructs.values import Value
from exasol_ci_setup.core.errors import InputError
from tests.reference import words
from tests.reference.page import PAGE, SHARED, page, public

EVERY = [cls for classes in public().values() for cls in classes]


@pytest.fixture(scope="module")
def text():
    return page()


def sections(text: str) -> dict[str, str]:
    """The section of each construct by name."""
    parts = re.split(r"^### (\w+)$", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_reference_page_is_current(text, request):
    if request.config.getoption("--update-golden"):
        PAGE.write_text(text, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == text, (
        "the reference is out of date: run make reference and read the diff"
    )


def test_every_public_construct_is_on_page(text):
    public_models = {
        getattr(exasol_ci_setup, name)
        for name in exasol_ci_setup.__all__
        if isinstance(getattr(exasol_ci_setup, name), type) and issubclass(getattr(exasol_ci_setup, name), Value)
    }
    abstract = {"Construct", "ScopedConstruct"}

    missing = {cls.__name__ for cls in public_models} - abstract - sections(text).keys()

    assert missing == set()
    assert "`HangarScope`" in sections(text)["Scope"]


@pytest.mark.parametrize("cls", EVERY, ids=lambda cls: cls.__name__)
def test_every_argument_is_on_page_with_rules(cls, text):
    section = sections(text)[cls.__name__]
    for name, field in cls.model_fields.items():
        if issubclass(cls, ScopedConstruct) and name in SHARED:
            continue
        assert f"| `{words.argument(name, field)}`" in section
        for rule in words.rules(field):
            assert rule.replace("|", r"\|") in section


@pytest.mark.parametrize("cls", EVERY, ids=lambda cls: cls.__name__)
def test_every_field_has_description(cls):
    for name, field in cls.model_fields.items():
        assert re.fullmatch(r"[A-Z`].+(\.|OWNER/REPO)", field.description or ""), name
        assert len(field.description.partition(" Default: ")[0].split()) <= 25, name


@pytest.mark.parametrize("cls", EVERY, ids=lambda cls: cls.__name__)
def test_aliases_are_accepted(cls):
    for name in cls.model_fields:
        for spelling in words.spellings(cls, name):
            assert cls._in_snake_case({spelling: 1}) in ({name: 1}, {words.argument(name, cls.model_fields[name]): 1})


def test_rule_equals_error_message():
    for cls, name, values in (
        (Registry, "untagged_retention_in_days", {"name": "a", "untagged_retention_in_days": 0}),
        (Registry, "mutable_tags", {"name": "a", "mutable_tags": ["a", "a"]}),
        (PortMappings, "container_port", {"container_port": 0}),
    ):
        with pytest.raises(InputError) as caught:
            build(cls, **values)
        assert any(caught.value.message.endswith(rule) for rule in words.rules(cls.model_fields[name]))


def test_rules_with_values_are_on_page(text):
    assert "with … units of cpu Fargate supports … to … MiB of memory" in sections(text)["Service"]
    assert "| 256 | 512, 1024, 2048 |" in sections(text)["Service"]


def test_links_within_page_resolve(text):
    headings = {
        re.sub(r"[^a-z0-9 -]", "", each.lower()).replace(" ", "-")
        for each in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }

    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= headings
