"""The commands in README and documentation run and print the documented output."""

from __future__ import annotations

import logging
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from exasol_ci_setup import sandbox
from exasol_ci_setup.cli.main import PROGRAM, cli
from exasol_ci_setup.cli.session import Session
from exasol_ci_setup.sandbox.daemon import DIRECTORY_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

pytestmark = pytest.mark.live


@dataclass
class Example:
    """A command and lines of its output, in this order; `files` are written before it runs."""

    command: str
    line: int
    expected: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)


def examples(page: Path) -> list[Example]:
    found: list[Example] = []
    files: dict[str, str] = {}
    inside = False
    name = ""
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("```"):
            inside = line == "```console"
            # A block with a file name is the content of that file for the commands below.
            name = line.partition(" ")[2].strip()
            if name:
                files[name] = ""
        elif name:
            files[name] += f"{line}\n"
        elif inside and line.startswith("$ "):
            found.append(Example(line.removeprefix("$ "), number, files=dict(files)))
        elif inside and line not in {"", "…"}:
            found[-1].expected.append(line)
    return found


WITH_EXAMPLES = [page for page in PAGES if examples(page)]


@pytest.fixture(scope="module")
def sandbox_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of one sandbox for all pages, which a command of the first page starts."""
    folder = tmp_path_factory.mktemp("pages") / "sandbox"
    yield folder
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(DIRECTORY_VARIABLE, str(folder))
        sandbox.stop()


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda page: page.name)
def test_commands_on_page_print_documented_output(page, sandbox_folder, tmp_path, monkeypatch):
    folder = tmp_path / "repository"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(sandbox_folder))
    monkeypatch.setenv("HOME", str(tmp_path))

    def run(words: list[str]) -> Result:
        # In this process, because new processes would import boto3 and cfn-lint for each command.
        ran = CliRunner().invoke(cli, words, prog_name=PROGRAM, obj=Session())
        if ran.exception is not None and not isinstance(ran.exception, SystemExit):
            raise ran.exception
        return ran

    try:
        for example in examples(page):
            words = shlex.split(example.command)
            assert words[0] == PROGRAM, f"{page.name}:{example.line}"
            for name, text in example.files.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_text(text, encoding="utf-8")
            ran = run(words[1:])
            assert ran.exit_code == 0, f"{page.name}:{example.line}: {example.command}\n{ran.output}"
            lines = iter(ran.output.splitlines())
            for expected in example.expected:
                assert expected in lines, f"{page.name}:{example.line}: {expected!r} is not printed in\n{ran.output}"
    finally:
        sandbox.reset()
        logging.getLogger().handlers.clear()
        logging.getLogger("exasol_ci_setup").setLevel(logging.NOTSET)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page, as GitHub derives them from headings."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    found: set[str] = set(re.findall(r'<a (?:id|name)="([^"]+)"', text))
    counts: dict[str, int] = {}
    for heading in re.findall(r"^#+ +(.+?) *$", text, re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        count = counts.get(name, 0)
        counts[name] = count + 1
        found.add(f"{name}-{count}" if count else name)
    return found


@pytest.mark.parametrize(
    "page", [*PAGES, ROOT / "CHANGELOG.md", ROOT / "benchmarks" / "README.md"], ids=lambda page: page.name
)
def test_links_lead_to_existing_files_and_headings(page):
    text = page.read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\(([^)#: ]*)(?:#([^)]*))?\)", text):
        path = page.parent / target if target else page
        assert path.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(path), f"{page.name} links to {target}#{anchor}"


def test_anchors_are_derived_from_headings(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Exit codes\n## `up`, `down`\n```sh\n# no heading\n```\n## [A link](x.md): b_c\n## Exit codes\n")

    assert anchors(page) == {"exit-codes", "up-down", "a-link-b_c", "exit-codes-1"}
