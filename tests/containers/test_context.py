"""Which files an image is built from, and that equal files are equal bytes."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from exasol_ci_setup.containers.manager import context
from exasol_ci_setup.containers.manager.context import Context
from exasol_ci_setup.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {
        ".gitignore": "*.log\n",
        "app/main.py": "",
        "app/main.log": "",
        "app/.gitignore": "local/\n",
        "app/local/x": "",
        "large/data": "",
        ".git/config": "",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def names(wanted: Context) -> set[str]:
    return set(context.tree(wanted).entries)


ALL = {".gitignore", ".git/config", "app/.gitignore", "app/local/x", "app/main.log", "app/main.py", "large/data"}


def test_without_a_word_everything_is_in_it(folder):
    assert names(Context(folder)) == ALL


def test_a_context_that_is_off_is_empty(folder):
    assert names(Context(folder / "none", enabled=False)) == set()


def test_what_git_ignores_is_left_out_by_all_ignore_files(folder):
    kept = {".gitignore", "app/.gitignore", "app/main.py", "large/data"}

    assert names(Context(folder, use_gitignore=True)) == kept
    assert names(Context(folder / "app", use_gitignore=True)) == {".gitignore", "main.py"}


def test_exclude_leaves_out_and_include_brings_back(folder):
    assert names(Context(folder, exclude=("large/**", ".git"))) == ALL - {"large/data", ".git/config"}
    assert names(Context(folder, use_gitignore=True, exclude=("/*",), include=("app/main.log",))) == {"app/main.log"}


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(InputError, match="none is not a folder"):
        names(Context(tmp_path / "none"))


def test_equal_files_are_equal_bytes_whenever_they_were_written(folder):
    def packed() -> tuple[bytes, str]:
        with context.packed(
            context.tree(Context(folder)), {"ours/text": "hello"}, {"ours/inner.tar.gz": Context(folder / "app")}
        ) as (archive, digest):
            return archive.read(), digest

    first = packed()
    os.utime(folder / "large/data", (1, 1))
    assert packed() == first
    (folder / "app" / "main.py").write_text("changed")
    assert packed()[1] != first[1]

    with tarfile.open(fileobj=io.BytesIO(first[0])) as whole:
        inner = whole.extractfile("ours/inner.tar.gz")
        assert inner is not None
        with tarfile.open(fileobj=inner) as archive:
            assert "main.py" in archive.getnames()
        assert set(whole.getnames()) == {*ALL, "ours/text", "ours/inner.tar.gz"}
