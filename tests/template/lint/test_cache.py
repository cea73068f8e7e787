"""The cache of cfn-lint's findings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exasol_ci_setup.core.errors.details import Finding
from exasol_ci_setup.template import lint_cache
from exasol_ci_setup.template.lint import Background, lint
from exasol_ci_setup.template.render import Template

REGION = "eu-central-1"
WRONG = Template("wrong.yaml", "Resources:\n  Topic:\n    Type: AWS::SNS::Topik\n")


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """The empty directory of cached findings, with a home and a working directory without settings."""
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "cache" / "exasol-ci-setup" / "lint"


def kept(cache):
    return sorted(cache.iterdir()) if cache.exists() else []


def place_of(template=WRONG):
    found = lint_cache.place(template.body, REGION)
    assert found is not None
    return found


def pretend(findings):
    """Cache findings that differ from those of cfn-lint, so that a test sees which ones are returned."""
    lint_cache.store(place_of(), [(f.rule, f.level, f.message, f.path, f.line) for f in findings])


MARK = Finding("X1", "warning", "from memory", "Resources.\N{SNOWMAN}", 3)


def test_second_lint_has_same_findings(cache, monkeypatch):
    first = lint(WRONG, REGION)
    again = lint(WRONG, REGION)
    monkeypatch.setenv(lint_cache.SWITCH, "off")

    assert first == again == lint(WRONG, REGION) != []
    assert len(kept(cache)) == 1


def test_cached_findings_are_returned():
    pretend([MARK])

    assert lint(WRONG, REGION) == [MARK]


def test_cached_findings_are_returned_in_background():
    pretend([MARK])
    linting = Background()

    linting.start(WRONG, REGION)

    assert linting.findings() == [MARK]
    assert "lint" not in {thread.name for thread in threading.enumerate()}


def test_template_name_is_not_part_of_cache_key():
    pretend([MARK])

    assert lint(Template("other.yaml", WRONG.body), REGION) == [MARK]


def test_another_text_or_region_is_linted():
    pretend([MARK])

    assert MARK not in lint(Template("wrong.yaml", WRONG.body + "\n"), REGION)
    assert MARK not in lint(WRONG, "eu-west-1")


def test_key_depends_on_region_and_age_of_schemas(tmp_path, monkeypatch):
    copied = tmp_path / "copied" / "cfnlint"
    regions = copied / "data" / "schemas" / "providers"
    regions.mkdir(parents=True)
    for name in ("__init__.py", "version.py"):
        (copied / name).write_text("", encoding="utf-8")
    for region in (REGION, "eu-west-1"):
        (regions / f"{region}.json").write_text("{}", encoding="utf-8")
        os.utime(regions / f"{region}.json", (1, 1))
    monkeypatch.delitem(sys.modules, "cfnlint", raising=False)
    monkeypatch.syspath_prepend(str(copied.parent))
    before = {region: lint_cache.place(WRONG.body, region) for region in (REGION, "eu-west-1")}
    os.utime(regions / f"{REGION}.json", (2, 2))

    assert len({*before.values(), lint_cache.place(WRONG.body, REGION)} - {None}) == 3


def test_another_version_of_cfn_lint_is_another_place(tmp_path, monkeypatch):
    before = lint_cache.place(WRONG.body, REGION)
    newer = tmp_path / "newer" / "cfnlint"
    newer.mkdir(parents=True)
    (newer / "__init__.py").write_text("", encoding="utf-8")
    (newer / "version.py").write_text('__version__ = "99.0"\n', encoding="utf-8")
    # Modules that are already imported would hide those that another process finds.
    monkeypatch.delitem(sys.modules, "cfnlint", raising=False)
    monkeypatch.syspath_prepend(str(newer.parent))

    assert lint_cache.place(WRONG.body, REGION) not in {None, before}


@pytest.mark.parametrize("folder", [".", ".."], ids=["working directory", "home"])
@pytest.mark.parametrize("name", [".cfnlintrc", ".cfnlintrc.yaml", ".cfnlintrc.yml"])
def test_other_settings_of_cfn_lint_are_obeyed(folder, name):
    assert "E3006" in {finding.rule for finding in lint(WRONG, REGION)}
    Path(folder, name).write_text("ignore_checks: [E3006]\n", encoding="utf-8")

    assert "E3006" not in {finding.rule for finding in lint(WRONG, REGION)}


def test_settings_with_other_files_disable_cache():
    Path(".cfnlintrc").write_text("append_rules: [rules]\n", encoding="utf-8")

    assert lint_cache.place(WRONG.body, REGION) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: "",
        lambda text: text[:-5],
        lambda text: text.replace("memory", "Memory"),
        lambda _: "null",
        lambda _: "\N{SNOWMAN}",
    ],
    ids=["empty", "cut", "changed", "other", "binary"],
)
def test_damaged_file_is_replaced(cache, damage):
    pretend([MARK])
    (file,) = kept(cache)
    file.write_text(damage(file.read_text(encoding="utf-8")), encoding="utf-8")

    found = lint(WRONG, REGION)

    assert MARK not in found
    assert lint_cache.load(file) == [(f.rule, f.level, f.message, f.path, f.line) for f in found]


def test_unwritable_directory_is_ignored(cache):
    cache.parent.mkdir(parents=True)
    cache.write_text("not a folder", encoding="utf-8")

    assert lint(WRONG, REGION) == lint(WRONG, REGION) != []


def test_cache_can_be_disabled(monkeypatch):
    pretend([MARK])
    monkeypatch.setenv(lint_cache.SWITCH, "off")

    assert MARK not in lint(WRONG, REGION)


def test_relative_cache_directory_is_ignored(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")

    assert lint_cache.directory().parts[-3:] == (".cache", "exasol-ci-setup", "lint")


def test_oldest_entries_are_deleted_over_limit(cache):
    cache.mkdir(parents=True)
    for number in range(250):
        (cache / f"{number}.json").write_text("")
        os.utime(cache / f"{number}.json", (number, number))
    # The incomplete file of a killed process.
    (cache / ".half-written").write_text("")
    os.utime(cache / ".half-written", (1, 1))

    pretend([MARK])

    assert not (cache / ".half-written").exists()

    names = {path.name for path in kept(cache)}
    assert len(names) == 200
    assert "50.json" not in names
    assert {"51.json", place_of().name} <= names


def test_cache_is_readable_only_by_user(cache):
    pretend([MARK])

    assert cache.stat().st_mode & 0o077 == 0
    assert kept(cache)[0].stat().st_mode & 0o077 == 0


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(st.text(), st.text(), st.text(), st.text(), st.integers(0, 10**6)), max_size=5))
def test_cached_finding_equals_original(rows):
    lint_cache.store(place_of(), rows)

    assert lint_cache.load(place_of()) == rows


def test_second_validation_prints_same_without_cfn_lint_and_boto3():
    check = (
        "import sys\n"
        "from exasol_ci_setup.cli.main import cli\n"
        "code = cli.main(['validate-ci-build', '--offline', '--print-template', '--output', 'json', '--project', 'P',"
        " '--project-url', 'https://github.com/a/b'], standalone_mode=False)\n"
        "print(code, sorted({'boto3', 'cfnlint'} & set(sys.modules)), file=sys.stderr)\n"
    )

    ran = [
        subprocess.run(
            [sys.executable, "-c", check],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        for _ in range(2)
    ]

    assert [each.stderr.splitlines()[-1] for each in ran] == ["None ['cfnlint']", "None []"]
    assert ran[0].stdout == ran[1].stdout
    assert json.loads(ran[1].stdout.splitlines()[-1])["type"] == "result"
