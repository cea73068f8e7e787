"""Which commands work without the extra `aws`, and what the others say."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# The required packages and what they need; a packed environment of a pre-commit hook has no others.
INSTALLED = ("click", "jinja2", "markupsafe", "pathspec", "yaml", "tomli")


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packages")
    for name in INSTALLED:
        if (found := importlib.util.find_spec(name)) is not None and found.origin:
            (folder / name).symlink_to(Path(found.origin).parent)
    return folder


@pytest.fixture
def run(packages, tmp_path):
    """Run the program without the packages of the tests' environment."""
    (tmp_path / "flavors" / "one").mkdir(parents=True)
    environment = {**os.environ, "PYTHONPATH": f"{packages}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}

    def start(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-S", "-m", "exasol_ci_setup", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return start


@pytest.mark.parametrize("command", ["generate-buildspec", "generate-release-buildspec"])
def test_buildspecs_need_no_extra(run, command):
    options = ("--flavor-root-path", "flavors", "--build-command", "make", "--output-path", "out")

    written = run(command, *options)
    assert written.returncode == 0, written.stderr
    assert "wrote out/buildspec.yaml" in written.stderr

    compared = run(command, *options, "--check", "--output", "markdown")
    assert compared.returncode == 0, compared.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("deploy-ci-build", "--project", "Shop", "--project-url", "https://github.com/acme/shop"),
        ("validate-ci-build", "--project", "Shop", "--project-url", "https://github.com/acme/shop"),
        ("health",),
        ("list", "--output", "json"),
        ("generate-pipeline", "--name", "shop"),
        ("up", "program.py", "--yes"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_other_commands_name_missing_extra_and_its_installation(run, arguments, tmp_path):
    (tmp_path / "program.py").write_text("import exasol_ci_setup\n", encoding="utf-8")

    ran = run(*arguments)

    assert ran.returncode == 2
    assert "needs the extra `aws`, which is not installed" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert "[aws]" in ran.stderr


def test_help_needs_no_extra(run):
    assert run("--help").returncode == 0
    assert run("generate-buildspec", "--help").returncode == 0
