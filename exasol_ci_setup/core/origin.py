"""The origin of this installation, to install the same again, here with an extra or on another machine.

A package name alone is not enough: an index may have no package, or another one, with this name. Installers record the origin in
``direct_url.json`` (https://packaging.python.org/en/latest/specifications/direct-url/), unless they took the package from an index.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from exasol_ci_setup.core.version import __version__

NAME: Final = "exasol-ci-setup"
EXAMPLE: Final = f"git+https://github.com/OWNER/{NAME}@COMMIT"

# Installers that write direct_url.json. If another one omits it, the origin is unknown.
_INSTALLERS: Final = frozenset({"pip", "uv", "poetry", "pdm"})
_ARCHIVES: Final = (".whl", ".tar.gz", ".zip")
_NAMED: Final = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?P<rest>\s*([@<>=!~;].*)?)", re.DOTALL)
_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_HASHES: Final = ("sha256", "sha384", "sha512")


@dataclass(frozen=True, slots=True)
class Origin:
    """The arguments with which pip installs this package.

    `version` is a version specifier, `url` a direct reference, `is_pinned` whether it always leads to the same files.
    `directory` is a local source tree. All are empty if the origin is unknown.
    """

    version: str = ""
    url: str = ""
    is_pinned: bool = False
    directory: Path | None = None
    is_editable: bool = False

    @property
    def requirement(self) -> str | None:
        """The requirement for pip on another machine; None if no origin of the same files is known."""
        if self.url:
            return f"{NAME} @ {self.url}" if self.is_pinned else None
        return f"{NAME}{self.version}" if self.version else None

    def with_extra(self, extra: str) -> list[str]:
        """Return the arguments of ``pip install`` that add an extra to this installation."""
        if self.url:
            return [f"{NAME}[{extra}] @ {self.url}"]
        if self.version:
            return [f"{NAME}[{extra}]{self.version}"]
        return [*(["--editable"] if self.is_editable else []), f"{self.directory or '.'}[{extra}]"]


def with_extra(requirement: str, extra: str) -> str:
    """Return a requirement for pip on this package with an extra; one that names extras already is unchanged.

    `requirement` is a name with or without a version, a direct reference, a URL or a path.
    """
    before_url = requirement.partition("://")[0]
    if "[" in before_url:
        return requirement
    named = _NAMED.fullmatch(requirement)
    if named and (named["rest"] or not requirement.lower().endswith(_ARCHIVES)):
        return f"{named['name']}[{extra}]{named['rest']}"
    return f"{NAME}[{extra}] @ {requirement}" if before_url != requirement else f"{requirement}[{extra}]"


def named_in_index(requirement: str) -> str | None:
    """Return the name that pip would look up in an index for a requirement, normalized; None for a URL or a path."""
    named = _NAMED.fullmatch(re.sub(r"\[[^\]]*\]", "", requirement))
    if named is None or "@" in named["rest"] or requirement.lower().endswith(_ARCHIVES):
        return None
    return re.sub(r"[-_.]+", "-", named["name"]).lower()


def of_this() -> Origin:
    """Return the origin of the running installation."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        found = distribution(NAME)
    except PackageNotFoundError:
        return _source_tree()
    recorded = found.read_text("direct_url.json")
    if recorded is not None:
        try:
            return _direct(json.loads(recorded))
        except (ValueError, TypeError, KeyError, AttributeError):
            return _source_tree()
    installer = (found.read_text("INSTALLER") or "").split()
    if installer and installer[0].lower() in _INSTALLERS:
        return Origin(version=f"=={__version__}")
    return _source_tree()


def install_command(extra: str) -> str:
    """Return the command that adds `extra` to this installation."""
    pip = [sys.executable, "-m", "pip", "install"]
    if find_spec("pip") is None:
        pip = ["uv", "pip", "install", "--python", sys.executable]
    return shlex.join([*pip, *of_this().with_extra(extra)])


def _source_tree() -> Origin:
    """Return the clone of the running code, if it is in one."""
    root = Path(__file__).resolve().parents[2]
    return Origin(directory=root) if (root / "pyproject.toml").is_file() else Origin()


def _direct(recorded: dict[str, Any]) -> Origin:
    """Return the origin in ``direct_url.json``. Raises KeyError, TypeError, ValueError or AttributeError if that is invalid."""
    url = urlsplit(recorded["url"])
    if "dir_info" in recorded:
        directory = Path(url2pathname(url.path))
        return Origin(directory=directory, is_editable=bool(recorded["dir_info"].get("editable")))
    if url.query or url.password is not None or "$" in url.netloc:
        # They may contain a secret, which must not be written to files and hints.
        return _source_tree()
    pinned = url.scheme == "https" or (url.scheme == "ssh" and "vcs_info" in recorded)
    below = f"subdirectory={recorded['subdirectory']}" if recorded.get("subdirectory") else ""
    plain = url._replace(fragment="").geturl()
    if "vcs_info" in recorded:
        vcs, commit = recorded["vcs_info"]["vcs"], recorded["vcs_info"]["commit_id"]
        fragment = f"#{below}" if below else ""
        return Origin(url=f"{vcs}+{plain}@{commit}{fragment}", is_pinned=pinned and bool(_COMMIT.fullmatch(commit)))
    name, digest = _digest(recorded["archive_info"])
    fragment = "&".join(each for each in (f"{name}={digest}" if digest else "", below) if each)
    return Origin(url=f"{plain}#{fragment}" if fragment else plain, is_pinned=pinned and bool(digest))


def _digest(archive: dict[str, Any]) -> tuple[str, str]:
    """Return the algorithm and the digest of an archive, empty if none is recorded that pip checks."""
    hashes = dict(archive.get("hashes") or {})
    name, _, digest = str(archive.get("hash") or "").partition("=")
    hashes.setdefault(name, digest)
    return next(
        ((name, hashes[name]) for name in _HASHES if re.fullmatch(r"[0-9a-f]+", hashes.get(name, ""))), ("", "")
    )
