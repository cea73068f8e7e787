"""The programs in the documentation and in `examples/` have types, and those of the page of the library run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from exasol_ci_setup.cli.main import PROGRAM, cli
from exasol_ci_setup.cli.session import Session
from exasol_ci_setup.sandbox import switches

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "library.md"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PRINTED = {
    "ci_build": ["deployed", "CREATE_COMPLETE", "CodeBuild (AWS::CodeBuild::Project)"],
    "plan_first": ["Add Repository AWS::ECR::Repository", "deployed"],
    "confirm": [],
    "checks": ["1 repository", "[] findings of cfn-lint", "+++ team-images (new)", "team-images"],
    "start_build": ["stack 'Slc' does not exist"],
    "spaces": ["hello ['hello']"],
    "program": ["shop-web"],
    "builds_program": [],
    "handle_errors": ["2 bad-input secret 'nothing' does not exist", "ValidationError"],
    "timeouts": [],
}


def programs(page: Path) -> dict[str, str]:
    """Return the Python programs of a page by name."""
    found = re.findall(r"^```python ?(\S*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return {Path(name).stem or f"program{number}": text for number, (name, text) in enumerate(found)}


def test_every_program_of_page_is_expected():
    assert programs(PAGE).keys() == PRINTED.keys()


@pytest.fixture
def configured(server, account_id, monkeypatch):
    """Set the AWS configuration to a new account in the sandbox."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", account_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")


@pytest.mark.live
@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize("name", PRINTED)
def test_program_of_page_runs_and_prints(name, capsys):
    scope: dict[str, object] = {"__name__": name}

    exec(compile(programs(PAGE)[name], f"{name}.py", "exec"), scope)  # noqa: S102 - our own documentation

    printed = capsys.readouterr().out
    for text in PRINTED[name]:
        assert text in printed
    if name == "builds_program":
        assert callable(scope["hangar_run"])


@pytest.mark.live
@pytest.mark.usefixtures("configured")
def test_build_of_page_succeeds_after_deployment(account_id, capsys):
    exec(compile(programs(PAGE)["ci_build"], "ci_build.py", "exec"), {})  # noqa: S102 - our own documentation
    switches.BUILD_SECONDS[account_id] = 0.05
    try:
        exec(compile(programs(PAGE)["start_build"], "start_build.py", "exec"), {})  # noqa: S102 - as above
    finally:
        del switches.BUILD_SECONDS[account_id]

    printed = capsys.readouterr().out
    assert "SUCCEEDED True 1" in printed
    assert "Entering phase BUILD" in printed


@pytest.mark.live
@pytest.mark.usefixtures("configured")
def test_command_has_no_changes_after_program_of_page(capsys):
    exec(compile(programs(PAGE)["ci_build"], "ci_build.py", "exec"), {})  # noqa: S102 - our own documentation
    capsys.readouterr()
    words = "deploy-ci-build --project Slc --project-url https://github.com/exasol/script-languages-release --plan"

    code = cli.main(words.split(), prog_name=PROGRAM, standalone_mode=False, obj=Session())

    assert not code
    assert "stack Slc is up to date" in capsys.readouterr().err


@pytest.mark.live
def test_program_of_page_runs_in_sandbox_of_shell(tmp_path):
    [script] = re.findall(r"^```sh try.sh\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (tmp_path / "ci_build.py").write_text(programs(PAGE)["ci_build"], encoding="utf-8")
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path),
        "EXASOL_CI_SETUP_SANDBOX_DIR": str(tmp_path / "sandbox"),
        # Of an account that the program must not use.
        "AWS_PROFILE": "work",
    }

    def run(text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-ec", text], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    try:
        ran = run(script)
    finally:
        run("exasol-ci-setup sandbox stop")

    assert ran.returncode == 0, ran.stderr
    assert "deployed ['ArtifactsBucketName', " in ran.stdout
    assert re.findall(r"^(\S+) +CREATE_COMPLETE", ran.stdout, re.MULTILINE) == ["SLCSourceCredentials", "Slc"]


def test_programs_in_documentation_and_examples_pass_mypy(tmp_path):
    files = []
    for path in sorted((ROOT / "examples").glob("*/program.py")):
        file = tmp_path / f"example_{path.parent.name}.py"
        file.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
        files.append(str(file))
    assert len(files) >= 3
    for page in PAGES:
        for name, text in programs(page).items():
            if "import exasol_ci_setup" in text or "from exasol_ci_setup import" in text:
                file = tmp_path / f"{page.stem}_{name}.py"
                file.write_text(text, encoding="utf-8")
                files.append(str(file))
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "from exasol_ci_setup import Cluster, PortMappings, Registry\n"
        'Registry(scope="s", name="a")\nPortMappings(container_port="80")\nCluster(name="c", services=[1])\n'
        'Registry(name="a", mutable_tag=[])\nRegistry(name="a").deploy().outcomes\n',
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull, "--no-error-summary"]

    ran = subprocess.run([*command, *files, str(wrong)], capture_output=True, text=True, cwd=ROOT, check=False)

    lines = [line.rpartition("/")[2] for line in ran.stdout.splitlines() if ": error:" in line]
    assert [line for line in lines if not line.startswith("wrong.py")] == [], ran.stdout
    assert [int(line.split(":")[1]) for line in lines] == [2, 3, 4, 5, 6], ran.stdout
