"""Ignored files, compared with the files that git ignores."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exasol_ci_setup.core import archive

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

FILES = ["a", "b.o", "x/a", "x/b.o", "x/y/a", "x/y/z/b.o", "y/a", "y/x/a", "build/out", "x/build/out", " a", "#a", "!a"]
PATTERNS = [
    *("a", "/a", "*.o", "!*.o", "!b.o", "x/", "/x", "x/*", "x/**", "!x/a", "!x/y/", "**/y", "y/**", "x/**/a", "!a"),
    *(
        "build",
        "build/",
        "!build/",
        "/x/build",
        "*",
        "!*/",
        "*/",
        "!/y",
        "[ab]",
        "?",
        "\\#a",
        "\\!a",
        "# a",
        "",
        "a ",
        "\\ a",
    ),
    *("!x/y/z/b.o", "!y/x", "/*", "!/x", "/**", "x/y", "**/", "a/**", "**"),
]
LINES = st.lists(st.sampled_from(PATTERNS), max_size=5)


@settings(deadline=None, max_examples=60)
@given(LINES, LINES)
@example(["x/**", "!x/a"], [])
@example(["/*", "!/x"], ["*", "!a"])
@example(["x/*", "!x/y/"], [])
@example(["x/"], ["!a"])
def test_ignored_files_are_same_as_in_git(top, below):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in FILES:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).touch()
        (folder / ".gitignore").write_text("\n".join(top), encoding="utf-8")
        (folder / "x/.gitignore").write_text("\n".join(below), encoding="utf-8")
        subprocess.run(["git", "init", "--quiet", name], check=True)
        listing = ["git", "-C", name, "ls-files", "-z", "--others", "--exclude-per-directory=.gitignore"]
        listed = subprocess.run(listing, check=True, capture_output=True, text=True).stdout

        assert sorted(archive.of_folder(folder).entries) == sorted(filter(None, listed.split("\0")))
