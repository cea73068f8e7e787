"""Tests of the selection of artifacts by the rules of the buildspec reference."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.builds.runner.artifacts import root, select
from exasol_ci_setup.builds.runner.buildspec import Artifact
from exasol_ci_setup.builds.runner.script import SOURCE

FILES = [
    "my-build1/my-file1.txt",
    "my-build2/my-file2.txt",
    "my-build2/my-subdirectory/my-file3.txt",
    "other/.hidden/x.log",
    "other/a[1].log",
    "top.jar",
]


def selected(*files: str, base: str = "", exclude: tuple[str, ...] = (), discard: bool = False) -> set[str]:
    artifact = Artifact("", files, base, exclude, discard)
    below = root(artifact)
    paths = [path for path in (f"{SOURCE}/{name}" for name in FILES) if path.startswith(below)]
    return set(select(artifact, paths))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["top.jar"], {"top.jar"}),
        (["./top.jar"], {"top.jar"}),
        ([f"{SOURCE}/top.jar"], {"top.jar"}),
        (["**/*"], set(FILES)),
        (["my-build2/*"], {"my-build2/my-file2.txt"}),
        (["my-build2/**/*"], {"my-build2/my-file2.txt", "my-build2/my-subdirectory/my-file3.txt"}),
        (["my-build2/**"], {"my-build2/my-file2.txt", "my-build2/my-subdirectory/my-file3.txt"}),
        (["**/*.log"], {"other/.hidden/x.log", "other/a[1].log"}),
        (["*/my-file?.txt"], {"my-build1/my-file1.txt", "my-build2/my-file2.txt"}),
        (["my-build[!1]/*"], {"my-build2/my-file2.txt"}),
        (["other/a[[]1].log"], {"other/a[1].log"}),
        (["top.jar", "my-build1/*"], {"top.jar", "my-build1/my-file1.txt"}),
        (["other"], set()),
        (["/etc/passwd"], set()),
        (["../**/*"], set()),
    ],
)
def test_paths_and_wildcards_select_files(files, expected):
    assert selected(*files) == expected


def test_base_directory_is_not_part_of_names():
    assert selected("*/my-file3.txt", base="my-build2") == {"my-subdirectory/my-file3.txt"}


def test_base_directory_with_wildcards_matches_several():
    assert selected("**/*", base="my-build*", discard=True) == {"my-file1.txt", "my-file2.txt", "my-file3.txt"}


def test_excluded_paths_are_not_selected():
    assert selected("**/*", base="other", exclude=("**/.hidden/**/*",)) == {"a[1].log"}


def test_duplicate_name_selects_first_file():
    artifact = Artifact("", ("**/*",), discard_paths=True)

    assert select(artifact, [f"{SOURCE}/b/x", f"{SOURCE}/a/x"]) == {"x": f"{SOURCE}/a/x"}


@pytest.mark.parametrize(
    ("artifact", "expected"),
    [
        (Artifact("", ("**/*",)), SOURCE),
        (Artifact("", ("a/b/*.txt",)), f"{SOURCE}/a/b"),
        (Artifact("", ("a/b/c.txt", "a/d/**/*")), f"{SOURCE}/a"),
        (Artifact("", ("x/*",), "out"), f"{SOURCE}/out/x"),
        (Artifact("", ("x/*",), "out*/deep"), SOURCE),
        (Artifact("", ("**/*",), "/srv/out"), "/srv/out"),
    ],
)
def test_root_is_deepest_folder_that_contains_all_files(artifact, expected):
    assert root(artifact) == expected


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0\n"), min_size=1))
def test_any_pattern_is_accepted(pattern):
    artifact = Artifact("", (pattern,))

    assert root(artifact).startswith("/")
    select(artifact, [f"{SOURCE}/{name}" for name in FILES])


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\0/[]*?"), min_size=1).filter(
        lambda name: name not in {".", ".."}
    )
)
def test_name_without_wildcards_matches_only_itself(name):
    assert select(Artifact("", (name,)), [f"{SOURCE}/{name}", f"{SOURCE}/x{name}"]) == {name: f"{SOURCE}/{name}"}
