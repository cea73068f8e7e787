"""The release of the public package that a Poetry project allows, and that a build runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from exasol_ci_setup.builds.buildspecs.package import PACKAGE, VERSION_CHECK, excluding_file


def poetry(constraint: str) -> str:
    return f"[tool.poetry.dependencies]\n{PACKAGE} = {constraint}\n"


def lock(version: str) -> str:
    return f'[[package]]\nname = "other"\nversion = "9"\n\n[[package]]\nname = "{PACKAGE}"\nversion = "{version}"\n'


@pytest.mark.parametrize(
    "project",
    [
        "",
        "not toml [",
        'tool = "x"',
        poetry('"^1.8.0"'),
        poetry('"^1.0"'),
        poetry('"~2.1"'),
        poetry('">=1.8,<2"'),
        poetry('">= 1.8.0 < 3"'),
        poetry('"*"'),
        poetry('">=1.2"'),
        poetry('"2.*"'),
        poetry('"2.0.0"'),
        poetry('"=1.8.0"'),
        poetry('"^1.8 || ^5.0"'),
        poetry('"unknown!"'),
        poetry('{version = "^2.0", extras = ["x"]}'),
        poetry('{git = "https://github.com/exasol/x.git"}'),
        poetry('[{version = "^5", python = ">3.12"}, {version = "^2", python = "<=3.12"}]'),
        '[tool.poetry.dependencies]\nother = "^5.0"',
        f'[project]\ndependencies = ["{PACKAGE}>=1.8,<3", "x"]',
        '[project]\ndependencies = ["exasol_script.languages_container_ci (>=1.9)"]',
        f'[project]\ndependencies = ["{PACKAGE} @ https://example.com/x.whl", "not a requirement!", 1]',
    ],
)
def test_project_that_allows_range_is_accepted(project: str, tmp_path: Path):
    (tmp_path / "pyproject.toml").write_text(project, encoding="utf-8")

    assert excluding_file(tmp_path) is None


@pytest.mark.parametrize(
    ("project", "constraint"),
    [
        (poetry('"^5.0"'), "^5.0"),
        (poetry('"^0.9"'), "^0.9"),
        (poetry('"~1.7"'), "~1.7"),
        (poetry('">=3"'), ">=3"),
        (poetry('"3.*"'), "3.*"),
        (poetry('"1.7.0"'), "1.7.0"),
        (poetry('{version = "^4", optional = true}'), "^4"),
        (poetry('["^4", "^5"]'), "^4 or ^5"),
        (f'[tool.poetry.group.dev.dependencies]\n{PACKAGE} = "^5"', "^5"),
        (f'[tool.poetry.dev-dependencies]\n{PACKAGE} = "^5"', "^5"),
        (f'[project]\ndependencies = ["{PACKAGE} (>=5.0.0,<6.0.0)"]', ">=5.0.0,<6.0.0"),
        (f'[project.optional-dependencies]\nci = ["{PACKAGE}==5.3.0"]', "==5.3.0"),
        (f'[dependency-groups]\nci = ["{PACKAGE}~=5.3", {{include-group = "x"}}]', "~=5.3"),
    ],
)
def test_project_that_excludes_range_is_named(project: str, constraint: str, tmp_path: Path):
    (tmp_path / "pyproject.toml").write_text(project, encoding="utf-8")

    assert excluding_file(tmp_path) == ("pyproject.toml", constraint)


@pytest.mark.parametrize(
    ("locked", "found"),
    [("1.8.0", None), ("2.1.0", None), ("5.3.0", ("poetry.lock", "5.3.0")), ("1.7.0", ("poetry.lock", "1.7.0"))],
)
def test_locked_version_precedes_constraint(locked: str, found: tuple[str, str] | None, tmp_path: Path):
    (tmp_path / "pyproject.toml").write_text(poetry('">=1"' if found else '"^5"'), encoding="utf-8")
    (tmp_path / "poetry.lock").write_text(lock(locked), encoding="utf-8")

    assert excluding_file(tmp_path) == found


@pytest.mark.parametrize(
    ("version", "is_accepted"),
    [
        ("1.8.0", True),
        ("1.10.2", True),
        ("2.1.0", True),
        ("1.7.9", False),
        ("3.0.0", False),
        ("5.3.0", False),
        ("", False),
    ],
)
def test_build_checks_installed_version(version: str, is_accepted: bool, tmp_path: Path):
    if version:
        metadata = tmp_path / f"{PACKAGE.replace('-', '_')}-{version}.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: {version}\n")
    program = tmp_path / "poetry"
    program.write_text(f'#!/bin/sh\nshift 2\nexec "{sys.executable}" "$@"\n')
    program.chmod(0o755)

    ran = subprocess.run(
        ["bash", "-c", VERSION_CHECK],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ran.returncode == 0) is is_accepted, ran.stderr
    if version and not is_accepted:
        assert ran.stderr == f"{PACKAGE} {version} is installed, but this build needs >=1.8,<3\n"
