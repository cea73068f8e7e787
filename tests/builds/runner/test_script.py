"""Tests that text reaches each installed shell unchanged."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exasol_ci_setup.builds.runner import script
from exasol_ci_setup.builds.runner.buildspec import Document

SHELLS = [shell for shell in (["sh"], ["bash"], ["bash", "--posix"], ["busybox", "ash"]) if shutil.which(shell[0])]
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"], exclude_characters="\0"))


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
@given(values=st.lists(TEXT, min_size=1, max_size=20))
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
def test_values_reach_shell_unchanged(shell, values):
    text = script.environment({f"V{number}": value for number, value in enumerate(values)})
    text += "".join(f"printf '%s\\0' \"$V{number}\"\n" for number in range(len(values)))

    ran = subprocess.run(shell, input=text.encode(), capture_output=True, check=True)

    assert ran.stdout.decode().split("\0")[:-1] == values


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_variables_and_directory_carry_over_to_next_command(shell, tmp_path):
    work = write_scripts(
        tmp_path, ["cd sub; X='a\nb'; export Y=\"it's\"; exit_is=3", "exit 7", 'printf "%s|" "$X" "$Y" "$PWD"']
    )
    (tmp_path / "src" / "src" / "sub").mkdir(parents=True)

    statuses = [
        subprocess.run(
            [*shell, work / f"script-{number}", "1"],
            cwd=(work / "directory").read_text().rstrip("\n"),
            capture_output=True,
            text=True,
            check=False,
        )
        for number in range(3)
    ]

    assert [ran.returncode for ran in statuses] == [0, 7, 0]
    assert statuses[2].stdout == f"a\nb|it's|{tmp_path}/src/src/sub|"


def test_open_quote_ends_with_its_command(tmp_path):
    work = write_scripts(tmp_path, ["echo 'open", "echo one \\", "cat <<X\ntext"])
    (tmp_path / "src" / "src").mkdir(parents=True)

    ran = [
        subprocess.run(["sh", work / f"script-{n}", "1"], capture_output=True, text=True, check=False) for n in range(3)
    ]

    assert ran[0].returncode != 0
    assert ran[1].stdout == "one\n"
    assert ran[2].stdout == "text\n"


def test_version_0_1_resets_state_for_each_command(tmp_path):
    work = write_scripts(
        tmp_path, ["A=changed; cd /", 'printf "%s %s" "$A" "$CODEBUILD_BUILD_SUCCEEDING"'], version="0.1"
    )

    ran = [
        subprocess.run(["sh", work / f"script-{n}", "0"], capture_output=True, text=True, check=True) for n in range(2)
    ]

    assert ran[1].stdout == "first 0"


def test_shell_expands_texts_of_artifacts(tmp_path):
    work = write_scripts(tmp_path, [])
    (tmp_path / "src" / "src").mkdir(parents=True)
    text = script.evaluation(["$A/**/*", 'say "it\'s" $(echo now) `echo so`', "plain", ""], ["A", "UNSET"])
    (work / "evaluation").write_text(text.replace(script.OUTPUT, str(tmp_path)))

    subprocess.run(["sh", work / "evaluation"], check=True)

    answers = (work / "answers").read_text().split(script.SEPARATOR)
    assert answers == ["first/**/*", 'say "it\'s" now so', "plain", "", "first", "", ""]


def write_scripts(folder: Path, commands: list[str], version: str = "0.2") -> Path:
    """Write the files of a container to `folder`, with adjusted paths."""
    spec = Document(Path("b"), f"version: {version}\nphases: {{build: {{}}}}").buildspec()
    work = folder / "tmp"
    work.mkdir()
    for name, text in script.files(spec, commands, {"A": "first"}, "M").items():
        (work / name).write_text(text.replace(script.OUTPUT, str(folder)))
    return work
