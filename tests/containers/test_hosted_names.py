"""What the hosted API takes for a name, and that nothing else gets through."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.containers.hosted import names
from exasol_ci_setup.containers.hosted.nginx import Site, render_site
from exasol_ci_setup.errors import InputError

# What a caller would need to change the meaning of nginx's configuration, a path or a host name.
TELLING = re.compile(r"[^a-z0-9.-]")
TEXT = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=80),
    st.text("ab-.;}{ \n/$\"'\\#A0", max_size=80),
    st.text(max_size=10),
)


@pytest.mark.parametrize("name", ["a", "app1", "1", "a-b", "a" * 63, "xn--bcher-kva"])
def test_a_label_of_a_domain_can_name_an_app(name):
    assert names.app_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "../x", "A", "a_b", "-a", "a-", "a.b", "a" * 64, "a\n", "a; }", "ä", "\ud800", " a", "\u212a"]
)
def test_nothing_else_can_name_an_app(name):
    with pytest.raises(InputError, match=r"^name: "):
        names.app_name(name)


@pytest.mark.parametrize(
    "domain", ["example.com", "a.b.c", "1.example.com", "xn--bcher-kva.example", f"{'a' * 63}.com"]
)
def test_a_fully_qualified_domain_is_one(domain):
    assert names.domain_name(domain) == domain


def test_a_domain_is_written_in_small_letters():
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
def test_nothing_else_is_a_domain(domain):
    with pytest.raises(InputError, match=r"^domain: "):
        names.domain_name(domain)


@given(TEXT)
def test_whatever_passes_means_nothing_to_nginx_and_is_no_path(text):
    for check in (names.app_name, names.domain_name):
        try:
            passed = check(text)
        except InputError:
            continue
        assert not TELLING.search(passed)
        assert not passed.startswith((".", "-"))
        assert passed in render_site(Site(passed, "app1", 20000), acme=None)


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
def test_an_images_name_is_read_as_docker_reads_it(image, repository, tag, name):
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
def test_nothing_else_names_an_image(image):
    with pytest.raises(InputError, match=r"^image: "):
        names.image_reference(image)


@given(TEXT)
def test_an_images_name_always_gives_a_valid_name_or_none(image):
    try:
        names.image_reference(image)
    except InputError:
        return
    name = names.default_name(image)
    assert names.app_name(name) == name


def test_variables_stand_over_the_defaults():
    assert names.environment({}) == {"ENV": "prod", "PORT": "8001"}
    assert names.environment({"ENV": "test", "A": "1"}) == {"ENV": "test", "PORT": "8001", "A": "1"}
    assert names.inner_port(names.environment({"PORT": "80"})) == 80


@pytest.mark.parametrize(
    "given_",
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
def test_what_no_process_can_be_given_is_refused(given_):
    with pytest.raises(InputError, match=r"^env: "):
        names.environment(given_)
