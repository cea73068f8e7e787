"""The files of a build context, and its reproducible archive."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from exasol_ci_setup.containers.manager import context
from exasol_ci_setup.containers.manager.context import Context
from exasol_ci_setup.core.errors import InputError


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
    return set(context.read_tree(wanted).entries)


ALL = {".gitignore", ".git/config", "app/.gitignore", "app/local/x", "app/main.log", "app/main.py", "large/data"}


def test_context_contains_all_files_by_default(folder):
    assert names(Context(folder)) == ALL


def test_disabled_context_is_empty(folder):
    assert names(Context(folder / "none", enabled=False)) == set()


def test_gitignored_files_are_omitted(folder):
    kept = {".gitignore", "app/.gitignore", "app/main.py", "large/data"}

    assert names(Context(folder, use_gitignore=True)) == kept
    assert names(Context(folder / "app", use_gitignore=True)) == {".gitignore", "main.py"}


def test_exclude_omits_files_and_include_adds_them(folder):
    assert names(Context(folder, exclude=("large/**", ".git"))) == ALL - {"large/data", ".git/config"}
    assert names(Context(folder, use_gitignore=True, exclude=("/*",), include=("app/main.log",))) == {"app/main.log"}


def test_missing_folder_is_reported(tmp_path):
    with pytest.raises(InputError, match="none is not a folder"):
        names(Context(tmp_path / "none"))


def test_archive_does_not_depend_on_times_of_files(folder):
    def pack() -> tuple[bytes, str]:
        with context.pack(
            context.read_tree(Context(folder)), {"ours/text": "hello"}, {"ours/inner.tar.gz": Context(folder / "app")}
        ) as (archive, digest):
            return archive.read(), digest

    first = pack()
    os.utime(folder / "large/data", (1, 1))
    assert pack() == first
    (folder / "app" / "main.py").write_text("changed")
    assert pack()[1] != first[1]

    with tarfile.open(fileobj=io.BytesIO(first[0])) as whole:
        inner = whole.extractfile("ours/inner.tar.gz")
        assert inner is not None
        with tarfile.open(fileobj=inner) as archive:
            assert "main.py" in archive.getnames()
        assert set(whole.getnames()) == {*ALL, "ours/text", "ours/inner.tar.gz"}
