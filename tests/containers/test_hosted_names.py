"""Validation of names of apps, domains, images and variables in the hosted API."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.containers.hosted import names
from exasol_ci_setup.containers.hosted.nginx import Site, render_site
from exasol_ci_setup.core.errors import InputError

# Characters that could change the meaning of a configuration of nginx, a path or a host name.
SPECIAL = re.compile(r"[^a-z0-9.-]")
TEXT = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=80),
    st.text("ab-.;}{ \n/$\"'\\#A0", max_size=80),
    st.text(max_size=10),
)


@pytest.mark.parametrize("name", ["a", "app1", "1", "a-b", "a" * 63, "xn--bcher-kva"])
def test_domain_label_is_valid_app_name(name):
    assert names.app_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "../x", "A", "a_b", "-a", "a-", "a.b", "a" * 64, "a\n", "a; }", "ä", "\ud800", " a", "\u212a"]
)
def test_invalid_app_name_is_rejected(name):
    with pytest.raises(InputError, match=r"^name: "):
        names.app_name(name)


@pytest.mark.parametrize(
    "domain", ["example.com", "a.b.c", "1.example.com", "xn--bcher-kva.example", f"{'a' * 63}.com"]
)
def test_fully_qualified_domain_is_valid(domain):
    assert names.domain_name(domain) == domain


def test_domain_is_converted_to_lower_case():
    assert names.domain_name("Www.Example.COM") == "www.example.com"


@pytest.mark.parametrize(
    "domain",
    [
        *(
            "",
            "localhost",
            "a; }",
            "*.example.com",
            "example.com.",
            ".example.com",
            "a..b",
            "127.0.0.1",
            "http://example.com",
        ),
        *(
            "example.com:80",
            "example.com\n",
            "exa mple.com",
            "bücher.example",
            "a.\u212a",
            "../x.y",
            "\ud800.com",
            "_a.com",
        ),
        *("a-.com", ".".join(["a" * 63] * 4)),
    ],
)
def test_invalid_domain_is_rejected(domain):
    with pytest.raises(InputError, match=r"^domain: "):
        names.domain_name(domain)


@given(TEXT)
def test_valid_names_have_no_special_characters(text):
    for check in (names.app_name, names.domain_name):
        try:
            passed = check(text)
        except InputError:
            continue
        assert not SPECIAL.search(passed)
        assert not passed.startswith((".", "-"))
        assert passed in render_site(Site(passed, "app1", 20000, max_body=1, timeout=1), acme=None, ipv6=False)


@pytest.mark.parametrize(
    ("image", "repository", "tag", "name"),
    [
        ("ubuntu", "ubuntu", "latest", "ubuntu"),
        ("ubuntu:22.04", "ubuntu", "22.04", "ubuntu"),
        ("cs61a/my_app:1", "cs61a/my_app", "1", "my-app"),
        ("localhost:5000/a/b.c__d", "localhost:5000/a/b.c__d", "latest", "b-c-d"),
        ("GHCR.io/a/b:V1", "GHCR.io/a/b", "V1", "b"),
        (f"r.example/a@sha256:{'0' * 64}", "r.example/a", f"sha256:{'0' * 64}", "a"),
        (f"r.example/a:1@sha256:{'0' * 64}", "r.example/a", f"sha256:{'0' * 64}", "a"),
        (f"{'a' * 62}-b", f"{'a' * 62}-b", "latest", "a" * 62),
    ],
)
def test_image_reference_is_parsed_as_in_docker(image, repository, tag, name):
    assert names.image_reference(image) == image
    assert names.repository_and_tag(image) == (repository, tag)
    assert names.default_name(image) == name


@pytest.mark.parametrize(
    "image",
    [
        *(
            "",
            "Ubuntu",
            "a b",
            "../x",
            "a/../b",
            "/a",
            "a/",
            "a:",
            "a:b:c",
            "a@sha256:0",
            "http://a/b",
            "a?b",
            "a#b",
            "a%2fb",
        ),
        *("a\n", "ä", "\ud800", "0" * 64, "a" * 600, "a//b", "-a"),
    ],
)
def test_invalid_image_reference_is_rejected(image):
    with pytest.raises(InputError, match=r"^image: "):
        names.image_reference(image)


@given(TEXT)
def test_default_name_is_valid_app_name(image):
    try:
        names.image_reference(image)
    except InputError:
        return
    name = names.default_name(image)
    assert names.app_name(name) == name


def test_variables_override_defaults():
    assert names.environment({}) == {"ENV": "prod", "PORT": "8001"}
    assert names.environment({"ENV": "test", "A": "1"}) == {"ENV": "test", "PORT": "8001", "A": "1"}
    assert names.inner_port(names.environment({"PORT": "80"})) == 80


@pytest.mark.parametrize(
    "overrides",
    [
        {"": "a"},
        {"A=B": "a"},
        {"A": "\0"},
        {"A\0": "a"},
        {"A": "\ud800"},
        {"PORT": ""},
        {"PORT": "0"},
        {"PORT": "65536"},
        {"PORT": "٣"},
    ],
)
def test_invalid_variable_is_rejected(overrides):
    with pytest.raises(InputError, match=r"^env: "):
        names.environment(overrides)
