"""What installers record of an installation, put before that of the tests' own environment."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

COMMIT: Final = "0123456789abcdef0123456789abcdef01234567"
DIGEST: Final = "89" * 32
REPOSITORY: Final = "https://github.com/acme/exasol-ci-setup"
AT_COMMIT: Final = f"exasol-ci-setup @ git+{REPOSITORY}@{COMMIT}"
WHEEL: Final = "https://packages.acme.example/exasol_ci_setup-0.1.0-py3-none-any.whl"


def git(url: str = REPOSITORY, commit: str = COMMIT, **more: Any) -> dict[str, Any]:
    """Return the record of an installation from a Git repository."""
    return {"url": url, "vcs_info": {"vcs": "git", "commit_id": commit, "requested_revision": "main"}, **more}


def install(
    monkeypatch: pytest.MonkeyPatch, folder: Path, recorded: dict[str, Any] | str | None = None, installer: str = "pip"
) -> None:
    """Let this program appear as installed by `installer`, with what it `recorded` in direct_url.json."""
    info = folder / "site" / "exasol_ci_setup-0.1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: exasol-ci-setup\nVersion: 0.1.0\n", encoding="utf-8")
    if installer:
        (info / "INSTALLER").write_text(f"{installer}\n", encoding="utf-8")
    if recorded is not None:
        text = recorded if isinstance(recorded, str) else json.dumps(recorded)
        (info / "direct_url.json").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(info.parent)
