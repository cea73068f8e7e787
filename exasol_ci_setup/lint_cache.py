"""Remembers what cfn-lint found, so that the same template is not linted twice by the same rules."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.whole_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LOG = logging.getLogger(__name__)

SWITCH: Final = "EXASOL_CI_SETUP_LINT_CACHE"
Row = tuple[str, str, str, str, int]
"""A finding as it is kept: rule, level, message, path and line."""

_FORMAT: Final = "1"
_MOST_FILES: Final = 200
_MOST_BYTES: Final = 100_000
# Where cfn-lint itself looks for its settings, in the user's home and in the working directory.
_SETTINGS: Final = (".cfnlintrc", ".cfnlintrc.yaml", ".cfnlintrc.yml")
# Settings that name other files, whose content no key of ours would hold.
_ELSEWHERE: Final = re.compile(
    rb"append_rules|custom_rules|override_spec|registry_schemas|(?:parameter|deployment)_files"
)


def directory() -> Path:
    """Return where findings are kept: below ``$XDG_CACHE_HOME``, else ``~/.cache``. Raises RuntimeError if there is no home."""
    # The XDG base directory specification wants a relative path ignored.
    base = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(base) if base.startswith("/") else Path.home() / ".cache"
    return root / "exasol-ci-setup" / "lint"


def place(body: str, region: str) -> Path | None:
    """Return the file for the findings in the template text `body` for `region`.

    Its name is made of all that they depend on: the text, the region, the version of cfn-lint and of its schemas,
    and its settings in files. None if they cannot be kept: there is no home, the settings name other files, or the variable
    EXASOL_CI_SETUP_LINT_CACHE is ``off``.
    """
    if os.environ.get(SWITCH, "").lower() == "off":
        return None
    try:
        settings = list(_settings())
        if any(_ELSEWHERE.search(each) for each in settings):
            return None
        own = [each.encode("utf-8", "surrogatepass") for each in (_FORMAT, region, body)]
        known = hashlib.sha256()
        for part in (*own, *_linter(), *settings):
            known.update(b"%d:" % len(part) + part)
        return directory() / f"{known.hexdigest()}.json"
    except (OSError, RuntimeError) as error:
        _LOG.debug("findings are not kept", exc_info=error)
        return None


def load(path: Path) -> list[Row] | None:
    """Return the findings that `path` holds; None if there are none yet, or they are damaged."""
    try:
        checksum, _, text = path.read_text(encoding="ascii").partition("\n")
        if checksum != _checksum(text):
            return None
        return [(rule, level, message, where, line) for rule, level, message, where, line in json.loads(text)]
    except (OSError, ValueError, TypeError):
        return None


def store(path: Path, rows: Sequence[Row]) -> None:
    """Keep findings in `path`, whole or not at all, and forget the oldest of too many. What cannot be written is left."""
    text = json.dumps(rows)
    if len(text) > _MOST_BYTES:
        return
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, f"{_checksum(text)}\n{text}".encode("ascii"), mode=0o600)
        _forget_oldest(path.parent)
    except OSError as error:
        _LOG.debug("findings are not kept", exc_info=error)


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _settings() -> Iterator[bytes]:
    for folder in (Path.home(), Path.cwd()):
        for name in _SETTINGS:
            with suppress(FileNotFoundError, IsADirectoryError):
                yield name.encode() + b"\n" + (folder / name).read_bytes()


def _linter() -> Iterator[bytes]:
    """Yield what tells one cfn-lint from another, without importing it: its version, and when its schemas were last renewed.

    The latter because `cfn-lint --update-specs` does that in place. Raises FileNotFoundError if there is no cfn-lint.
    """
    found = find_spec("cfnlint")
    if found is None or found.origin is None:
        raise FileNotFoundError("cfnlint")
    package = Path(found.origin).parent
    yield (package / "version.py").read_bytes()
    with suppress(FileNotFoundError), os.scandir(package / "data" / "schemas" / "providers") as regions:
        yield b"%d" % max((each.stat().st_mtime_ns for each in regions), default=0)


def _forget_oldest(folder: Path) -> None:
    # With what a killed process left half written; what another one is writing now is among the newest.
    with os.scandir(folder) as entries:
        files = [(entry.stat().st_mtime_ns, entry.path) for entry in entries if entry.is_file()]
    for _, path in sorted(files)[:-_MOST_FILES]:
        Path(path).unlink(missing_ok=True)
