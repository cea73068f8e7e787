"""The command that installs this program again, by the origin of the installation."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from exasol_ci_setup.core import origin
from exasol_ci_setup.core.version import __version__
from tests.origins import AT_COMMIT, COMMIT, DIGEST, REPOSITORY, WHEEL, git, install

ROOT = Path(__file__).parents[2]
FROM_WHEEL = {"url": WHEEL, "archive_info": {"hash": f"sha256={DIGEST}", "hashes": {"sha256": DIGEST}}}
PIP = [sys.executable, "-m", "pip", "install"]


@pytest.fixture
def installed(monkeypatch, tmp_path):
    return lambda *recorded, **more: install(monkeypatch, tmp_path, *recorded, **more)


@pytest.mark.parametrize(
    ("recorded", "requirement"),
    [
        pytest.param(git(), AT_COMMIT, id="commit"),
        pytest.param(
            git("ssh://git@github.com/acme/exasol-ci-setup"),
            f"exasol-ci-setup @ git+ssh://git@github.com/acme/exasol-ci-setup@{COMMIT}",
            id="commit-over-ssh",
        ),
        pytest.param(git(subdirectory="tools/ci"), f"{AT_COMMIT}#subdirectory=tools/ci", id="commit-of-subdirectory"),
        pytest.param(FROM_WHEEL, f"exasol-ci-setup @ {WHEEL}#sha256={DIGEST}", id="archive"),
        pytest.param(
            {"url": WHEEL, "archive_info": {"hash": f"sha256={DIGEST}"}},
            f"exasol-ci-setup @ {WHEEL}#sha256={DIGEST}",
            id="archive-with-older-hash",
        ),
    ],
)
def test_direct_url_is_installed_again_as_recorded(installed, recorded, requirement):
    installed(recorded)

    assert origin.of_this().requirement == requirement


@pytest.mark.parametrize("installer", ["pip", "uv", "Poetry 1.8.3"])
def test_index_installation_gives_its_exact_version(installed, installer):
    installed(installer=installer)

    assert origin.of_this().requirement == f"exasol-ci-setup=={__version__}"


@pytest.mark.parametrize(
    "recorded",
    [
        pytest.param({"url": "file:///src/tool", "dir_info": {}}, id="directory"),
        pytest.param({"url": "file:///src/tool", "dir_info": {"editable": True}}, id="editable"),
        pytest.param({"url": "file:///tmp/tool.whl", "archive_info": FROM_WHEEL["archive_info"]}, id="local-archive"),
        pytest.param({"url": WHEEL, "archive_info": {}}, id="archive-without-hash"),
        pytest.param({"url": WHEEL, "archive_info": {"hash": "md5=00"}}, id="archive-with-weak-hash"),
        pytest.param({"url": WHEEL.replace("https", "http"), "archive_info": FROM_WHEEL["archive_info"]}, id="http"),
        pytest.param(git("file:///src/tool"), id="local-repository"),
        pytest.param(git(commit="main"), id="branch"),
        pytest.param(git("https://me:secret@github.com/acme/tool"), id="password"),
        pytest.param(git("https://${TOKEN}@github.com/acme/tool"), id="variable"),
        pytest.param({**FROM_WHEEL, "url": f"{WHEEL}?token=secret"}, id="query"),
        pytest.param("{", id="no-json"),
        pytest.param("[]", id="no-object"),
        pytest.param({"url": WHEEL}, id="no-kind"),
    ],
)
def test_other_origin_gives_no_requirement(installed, recorded):
    installed(recorded)

    assert origin.of_this().requirement is None


@pytest.mark.parametrize("installer", ["", "conda", "rpm"])
def test_unknown_installer_gives_no_requirement(installed, installer):
    installed(installer=installer)

    assert origin.of_this().requirement is None


@pytest.mark.parametrize(
    ("recorded", "arguments"),
    [
        pytest.param(None, [f"exasol-ci-setup[ssh]=={__version__}"], id="index"),
        pytest.param(git(), [f"exasol-ci-setup[ssh] @ git+{REPOSITORY}@{COMMIT}"], id="commit"),
        pytest.param(FROM_WHEEL, [f"exasol-ci-setup[ssh] @ {WHEEL}#sha256={DIGEST}"], id="archive"),
        pytest.param(
            {"url": "file:///tmp/tool.whl", "archive_info": {}},
            ["exasol-ci-setup[ssh] @ file:///tmp/tool.whl"],
            id="local-archive",
        ),
        pytest.param({"url": "file:///my%20src/tool", "dir_info": {}}, ["/my src/tool[ssh]"], id="directory"),
        pytest.param(
            {"url": "file:///src/tool", "dir_info": {"editable": True}}, ["--editable", "/src/tool[ssh]"], id="editable"
        ),
        pytest.param(git("https://me:secret@github.com/acme/tool"), [f"{ROOT}[ssh]"], id="password"),
    ],
)
def test_install_command_adds_extra_by_origin(installed, recorded, arguments):
    installed(recorded)

    assert shlex.split(origin.install_command("ssh")) == [*PIP, *arguments]


def test_source_tree_without_installer_is_installed_from_its_directory(installed):
    installed(installer="")

    assert shlex.split(origin.install_command("ssh")) == [*PIP, f"{ROOT}[ssh]"]


def test_environment_without_pip_gets_command_of_uv(monkeypatch, tmp_path):
    # First, because it records the path to restore.
    install(monkeypatch, tmp_path, git())
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site")])
    monkeypatch.delitem(sys.modules, "pip", raising=False)

    assert shlex.split(origin.install_command("ssh"))[:5] == ["uv", "pip", "install", "--python", sys.executable]


def test_no_page_or_message_installs_package_by_name():
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "exasol_ci_setup").rglob("*.py")]
    pages += [path for path in (ROOT / "templates").rglob("*") if path.is_file()]

    # A name with an address, as in "NAME @ git+https://…", is not searched on an index.
    by_name = re.compile(r"install.*[ '\"]exasol-ci-setup(\[[a-z,]+\])?(==|['\"]|$)")

    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in pages
        for line in path.read_text(encoding="utf-8").splitlines()
        if by_name.search(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("requirement", "expected"),
    [
        ("exasol-ci-setup", "exasol-ci-setup[aws]"),
        ("exasol-ci-setup==1.0", "exasol-ci-setup[aws]==1.0"),
        ("exasol-ci-setup @ git+https://h/r@1", "exasol-ci-setup[aws] @ git+https://h/r@1"),
        ("exasol-ci-setup @ https://h/x.whl", "exasol-ci-setup[aws] @ https://h/x.whl"),
        ("git+https://h/r@1", "exasol-ci-setup[aws] @ git+https://h/r@1"),
        ("https://h/x.whl#sha256=0a", "exasol-ci-setup[aws] @ https://h/x.whl#sha256=0a"),
        ("./dist/x.whl", "./dist/x.whl[aws]"),
        ("x.whl", "x.whl[aws]"),
        ("exasol-ci-setup[aws,ssh]==1.0", "exasol-ci-setup[aws,ssh]==1.0"),
    ],
)
def test_extra_is_added_to_requirement(requirement, expected):
    assert origin.with_extra(requirement, "aws") == expected
