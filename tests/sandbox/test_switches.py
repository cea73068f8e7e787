"""Tests of requested failures, sources and settings, without a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.sandbox import settings, switches

if TYPE_CHECKING:
    from pathlib import Path

ACCOUNT = "000000000001"  # not used by tests with a server


def fails(identifier: str, branch: str, *, first_try: bool = True) -> str:
    failure = switches.failure(ACCOUNT, identifier, branch, first_try=first_try)
    return failure.phase if failure else ""


@pytest.mark.parametrize(
    ("branch", "identifier", "phase"),
    [
        ("refs/heads/sandbox-fail/build_two", "build_two", "BUILD"),
        ("refs/heads/sandbox-fail/build_two", "build_one", ""),
        ("refs/heads/feature/sandbox-fail/build_two/INSTALL", "build_two", "INSTALL"),
        ("sandbox-fail", "any", "BUILD"),
        ("sandbox-fail", "DOWNLOAD_SOURCE", ""),
        ("sandbox-fail/DOWNLOAD_SOURCE", "DOWNLOAD_SOURCE", "DOWNLOAD_SOURCE"),
        ("sandbox-fail/INSTALL", "any", "INSTALL"),
        ("sandbox-fail/INSTALL", "DOWNLOAD_SOURCE", ""),
        ("refs/heads/no-sandbox-fail/build_two", "build_two", ""),
        ("refs/heads/master", "build_two", ""),
        ("", "build_two", ""),
    ],
)
def test_branch_selects_failing_build_and_phase(branch: str, identifier: str, phase: str) -> None:
    assert fails(identifier, branch) == phase


def test_setting_with_only_phase_fails_every_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(switches.FAILURES, ACCOUNT, "POST_BUILD")
    assert fails("any", "master") == "POST_BUILD"
    assert fails("DOWNLOAD_SOURCE", "master") == ""


def test_failure_with_once_succeeds_at_retry() -> None:
    assert fails("a", "sandbox-fail-once/a") == "BUILD"
    assert fails("a", "sandbox-fail-once/a", first_try=False) == ""
    assert fails("a", "sandbox-fail/a", first_try=False) == "BUILD"


@pytest.mark.parametrize("url", ["https://github.com/exasol/Some", "https://github.com/exasol/some.git/"])
def test_source_is_found_by_equivalent_url(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(switches.SOURCES, ACCOUNT, {"https://github.com/exasol/some": tmp_path})
    assert switches.source_directory(ACCOUNT, url) == tmp_path
    assert switches.source_directory(ACCOUNT, "https://github.com/exasol/other") is None


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("DELAY", "BUILD_SECONDS", "SOURCES", "FAIL"):
        monkeypatch.delenv(f"EXASOL_CI_SETUP_SANDBOX_{name}", raising=False)
    return monkeypatch


def test_environment_sets_omitted_options(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.chdir(tmp_path)
    environment.setenv(settings.BUILD_SECONDS_VARIABLE, "20")
    environment.setenv(settings.SOURCES_VARIABLE, "https://github.com/a/b?x=y=.; https://github.com/a/c=..;")
    environment.setenv(settings.FAIL_VARIABLE, "build_two:INSTALL")
    found = settings.collect(delay=3, sources={"https://github.com/a/c": tmp_path})
    assert found == settings.Settings(
        delay=3,
        build_seconds=20,
        sources={"https://github.com/a/b?x=y": str(tmp_path), "https://github.com/a/c": str(tmp_path)},
        fail="build_two:INSTALL",
    )
    assert settings.Settings.from_json(found.as_json()) == found


@pytest.mark.usefixtures("environment")
def test_default_builds_are_short_and_succeed() -> None:
    assert settings.collect() == settings.Settings(delay=0, build_seconds=0.5, sources={}, fail="")


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        (settings.BUILD_SECONDS_VARIABLE, "soon"),
        (settings.BUILD_SECONDS_VARIABLE, "-1"),
        (settings.SOURCES_VARIABLE, "no-equals-sign"),
        (settings.SOURCES_VARIABLE, "https://github.com/a/b=/no/such/directory"),
        (settings.FAIL_VARIABLE, "build_two:LUNCH"),
        (settings.FAIL_VARIABLE, ":BUILD"),
    ],
)
def test_invalid_variable_is_named(variable: str, text: str, environment: pytest.MonkeyPatch) -> None:
    environment.setenv(variable, text)
    with pytest.raises(InputError, match=variable):
        settings.collect()


@pytest.mark.usefixtures("environment")
def test_source_without_directory_is_rejected_with_url(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"https://github\.com/a/b"):
        settings.collect(sources={"https://github.com/a/b": tmp_path / "gone"})
