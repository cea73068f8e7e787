"""Which files are artifacts, as the buildspec reference has it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.runner.artifacts import root, select
from exasol_ci_setup.runner.buildspec import Artifact
from exasol_ci_setup.runner.script import SOURCE

FILES = [
    "my-build1/my-file1.txt",
    "my-build2/my-file2.txt",
    "my-build2/my-subdirectory/my-file3.txt",
    "other/.hidden/x.log",
    "other/a[1].log",
    "top.jar",
]


def kept(*files: str, base: str = "", exclude: tuple[str, ...] = (), discard: bool = False) -> set[str]:
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
def test_paths_and_wildcards(files, expected):
    assert kept(*files) == expected


def test_a_base_directory_is_not_part_of_the_names():
    assert kept("*/my-file3.txt", base="my-build2") == {"my-subdirectory/my-file3.txt"}


def test_a_base_directory_with_wildcards_stands_for_several():
    assert kept("**/*", base="my-build*", discard=True) == {"my-file1.txt", "my-file2.txt", "my-file3.txt"}


def test_excluded_paths_are_left_out():
    assert kept("**/*", base="other", exclude=("**/.hidden/**/*",)) == {"a[1].log"}


def test_of_two_files_of_one_name_the_first_is_kept():
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
def test_only_the_folder_that_can_hold_them_is_copied(artifact, expected):
    assert root(artifact) == expected


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0\n"), min_size=1))
def test_any_pattern_can_be_used(pattern):
    artifact = Artifact("", (pattern,))

    assert root(artifact).startswith("/")
    select(artifact, [f"{SOURCE}/{name}" for name in FILES])


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\0/[]*?"), min_size=1).filter(
        lambda name: name not in {".", ".."}
    )
)
def test_a_name_without_wildcards_matches_itself(name):
    assert select(Artifact("", (name,)), [f"{SOURCE}/{name}", f"{SOURCE}/x{name}"]) == {name: f"{SOURCE}/{name}"}
