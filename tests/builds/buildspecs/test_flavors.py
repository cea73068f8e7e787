"""Flavors are found on disk and spread over the builds of one batch."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from exasol_ci_setup.builds.buildspecs import BATCH_FILE, Options, build_groups, find_flavors, identifier, render
from exasol_ci_setup.core.build_settings import DEFAULT_BATCH_LIMIT
from exasol_ci_setup.core.errors import InputError

NAMES = st.lists(
    st.text(st.characters(exclude_categories=[])) | st.from_regex(r"[A-Za-z0-9._\- ]{1,130}", fullmatch=True)
)


def make(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).mkdir(parents=True)
    return root


def test_each_directory_below_root_is_flavor(tmp_path: Path):
    make(tmp_path, "b", "a", ".git")
    (tmp_path / "README.md").touch()
    (tmp_path / "linked").symlink_to(tmp_path / "a")
    (tmp_path / "document").symlink_to(tmp_path / "README.md")
    (tmp_path / ".hidden").symlink_to(tmp_path / "nowhere")

    assert find_flavors([tmp_path]) == ("a", "b", "linked")


def test_links_to_missing_targets_are_named(tmp_path: Path):
    make(tmp_path, "a")
    (tmp_path / "two").symlink_to("../submodule/two")
    (tmp_path / "one").symlink_to("../submodule/one")

    with pytest.raises(InputError, match=r"'one' → '\.\./submodule/one', 'two' → '\.\./submodule/two'") as refused:
        find_flavors([tmp_path])

    assert str(tmp_path) in refused.value.message
    assert "`git submodule update --init`" in refused.value.hint


def test_link_to_itself_is_named(tmp_path: Path):
    make(tmp_path, "a")
    (tmp_path / "loop").symlink_to("loop")

    with pytest.raises(InputError, match=r"an entry 'loop' that cannot be read: Too many levels") as refused:
        find_flavors([tmp_path])

    assert str(tmp_path) in refused.value.message


def test_flavor_in_several_roots_is_listed_once(tmp_path: Path):
    one, other = make(tmp_path / "one", "a", "c"), make(tmp_path / "other", "b", "c")

    assert find_flavors([one, other]) == find_flavors([other, one, one]) == ("a", "b", "c")


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("nowhere", "does not exist"),
        ("file", "is not a directory"),
        ("empty", "no flavor found in"),
        ("a" * 300, "cannot be read"),
    ],
)
def test_root_without_flavors_is_rejected_by_path(path: str, problem: str, tmp_path: Path):
    make(tmp_path, "flavors/a", "empty/.hidden")
    (tmp_path / "file").touch()

    with pytest.raises(InputError, match=problem) as refused:
        find_flavors([tmp_path / "flavors", tmp_path / path])

    assert str(tmp_path / path) in refused.value.message


@pytest.mark.parametrize(
    ("flavor", "expected"),
    [
        ("standard-EXASOL-all-python-3.10", "build_standard_EXASOL_all_python_310"),
        ("standard-EXASOL-all", "build_standard_EXASOL_all"),
        ("a_b-c.d", "build_a_b_cd"),
        ("x" * 121, "build_" + "x" * 121),
    ],
)
def test_identifier_is_name_without_dots_and_hyphens(flavor: str, expected: str):
    assert identifier(flavor) == expected


@pytest.mark.parametrize("flavor", ["", "a b", "-a", "_a", "a/b", "ä", "a$b", "a'b", "a\n", "a;b", "\ud800"])
def test_invalid_name_is_rejected_with_rule(flavor: str):
    with pytest.raises(InputError, match="the name is invalid") as refused:
        identifier(flavor)

    assert ascii(flavor) in refused.value.message
    assert "use letters, digits" in refused.value.hint


def test_too_long_identifier_is_rejected_with_limit():
    with pytest.raises(InputError, match="128 characters, but CodeBuild accepts at most 127"):
        identifier("x" * 122)


def test_duplicate_identifier_names_both_flavors():
    with pytest.raises(InputError, match=r"python-3\.1\.0 and python-31\.0 would both be build_python_310"):
        build_groups(["python-3.1.0", "java", "python-31.0"])


def test_batch_limit_is_inclusive():
    assert len(build_groups(map(str, range(DEFAULT_BATCH_LIMIT)))) == DEFAULT_BATCH_LIMIT


@pytest.mark.parametrize(("flavors", "limit"), [(101, 100), (1000, 100), (1001, 100), (7, 2)])
def test_too_many_flavors_are_rejected_with_valid_hint(flavors: int, limit: int):
    names = [f"flavor-{number}" for number in range(flavors)]

    with pytest.raises(InputError, match=rf"{flavors} flavors .* at most {limit} builds") as refused:
        build_groups(names, batch_limit=limit)

    found = re.search(r"--flavors-per-build (\d+)", refused.value.hint)
    assert found
    assert len(build_groups(names, batch_limit=limit, flavors_per_build=int(found[1]))) <= limit
    with pytest.raises(InputError, match="builds of at most" if int(found[1]) > 2 else "too many"):
        build_groups(names, batch_limit=limit, flavors_per_build=int(found[1]) - 1)


@pytest.mark.parametrize(("flavors_per_build", "limit"), [(1, 2), (100, 2), (60, 10), (1, 3), (40, 3)])
def test_hint_names_only_accepted_options(flavors_per_build: int, limit: int):
    names = [f"{'x' * 100}-{number:03}" for number in range(150)]

    with pytest.raises(InputError, match="too many") as refused:
        build_groups(names, flavors_per_build=flavors_per_build, batch_limit=limit)

    each = re.search(r"--flavors-per-build (\d+)", refused.value.hint)
    builds = re.search(r"--batch-limit (\d+)", refused.value.hint)
    assert each
    assert build_groups(names, flavors_per_build=int(each[1]), batch_limit=int(builds[1]) if builds else limit)
    assert (builds is None) == (limit == 10), "a higher limit is advised if there is no other way, and only then"


@given(count=st.integers(1, 300), flavors_per_build=st.integers(2, 40))
def test_groups_are_equal_and_contain_each_flavor_once(count: int, flavors_per_build: int):
    names = sorted(f"flavor-{number}" for number in range(count))

    groups = build_groups(names, flavors_per_build=flavors_per_build, batch_limit=count)

    assert [name for group in groups for name in group.flavors] == names
    sizes = [len(group.flavors) for group in groups]
    assert max(sizes) <= flavors_per_build
    assert max(sizes) - min(sizes) <= 1
    identifiers = [group.identifier for group in groups]
    assert identifiers == sorted(set(identifiers))


def test_flavors_longer_than_variable_are_rejected():
    with pytest.raises(InputError, match="at most 4096 characters"):
        build_groups([f"{'x' * 100}-{number}" for number in range(50)], flavors_per_build=50)


@given(names=NAMES, flavors_per_build=st.integers(1, 3))
@example(names=["a.b", "ab"], flavors_per_build=1)
@example(names=["3.10", "null", "1e3", "0x10"], flavors_per_build=1)
def test_any_name_is_rejected_or_read_back_unchanged(names: list[str], flavors_per_build: int):
    options = Options(kind="ci", output_path="out", flavors_per_build=flavors_per_build)
    try:
        text = render(names, options)[BATCH_FILE]
    except InputError:
        return
    graph = yaml.safe_load(text)["batch"]["build-graph"] or []
    variables = [build["env"]["variables"] for build in graph]
    found = [
        name for each in variables for name in (each["FLAVORS"].split(" ") if "FLAVORS" in each else [each["FLAVOR"]])
    ]
    assert found == sorted(set(names))
    identifiers = [build["identifier"] for build in graph]
    assert len(set(identifiers)) == len(identifiers)
    assert all(re.fullmatch(r"[A-Za-z0-9_]{1,127}", each) for each in identifiers)
