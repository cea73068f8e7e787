"""Cache the findings of cfn-lint, so that a template is linted once with the same rules."""

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

from exasol_ci_setup.core.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LOG = logging.getLogger(__name__)

SWITCH: Final = "EXASOL_CI_SETUP_LINT_CACHE"
Row = tuple[str, str, str, str, int]
"""A cached finding: rule, level, message, path and line."""

_FORMAT: Final = "2"
_MOST_FILES: Final = 200
_MOST_BYTES: Final = 100_000
# The settings files of cfn-lint, in the user's home and in the working directory.
_SETTINGS: Final = (".cfnlintrc", ".cfnlintrc.yaml", ".cfnlintrc.yml")
# Settings that name other files, whose content is not in the cache key.
_ELSEWHERE: Final = re.compile(
    rb"append_rules|custom_rules|override_spec|registry_schemas|(?:parameter|deployment)_files"
)


def directory() -> Path:
    """Return the cache directory: below ``$XDG_CACHE_HOME``, or ``~/.cache``. Raises RuntimeError if there is no home."""
    # The XDG base directory specification requires to ignore a relative path.
    base = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(base) if base.startswith("/") else Path.home() / ".cache"
    return root / "exasol-ci-setup" / "lint"


def place(body: str, region: str) -> Path | None:
    """Return the file for the findings in the template text `body` for `region`.

    Its name is a hash of all inputs: the text, the region, the version of cfn-lint and of its schemas,
    and its settings files. None if findings cannot be cached: the home is missing, the settings name other files, or the variable
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
        _LOG.debug("findings are not cached", exc_info=error)
        return None


def load(path: Path) -> list[Row] | None:
    """Return the findings in `path`; None if they do not exist or are damaged."""
    try:
        checksum, _, text = path.read_text(encoding="ascii").partition("\n")
        if checksum != _checksum(text):
            return None
        return [(rule, level, message, where, line) for rule, level, message, where, line in json.loads(text)]
    except (OSError, ValueError, TypeError):
        return None


def store(path: Path, rows: Sequence[Row]) -> None:
    """Write findings to `path` atomically, and delete the oldest of too many. Errors are only logged."""
    text = json.dumps(rows)
    if len(text) > _MOST_BYTES:
        return
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, f"{_checksum(text)}\n{text}".encode("ascii"), mode=0o600)
        _forget_oldest(path.parent)
    except OSError as error:
        _LOG.debug("findings are not cached", exc_info=error)


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _settings() -> Iterator[bytes]:
    for folder in (Path.home(), Path.cwd()):
        for name in _SETTINGS:
            with suppress(FileNotFoundError, IsADirectoryError):
                yield name.encode() + b"\n" + (folder / name).read_bytes()


def _linter() -> Iterator[bytes]:
    """Yield what identifies the installed cfn-lint, without importing it: its version, and the time of its last schema update.

    The time because `cfn-lint --update-specs` updates in place. Raises FileNotFoundError if cfn-lint is missing.
    """
    found = find_spec("cfnlint")
    if found is None or found.origin is None:
        raise FileNotFoundError("cfnlint")
    package = Path(found.origin).parent
    yield (package / "version.py").read_bytes()
    with suppress(FileNotFoundError), os.scandir(package / "data" / "schemas" / "providers") as regions:
        yield b"%d" % max((each.stat().st_mtime_ns for each in regions), default=0)


def _forget_oldest(folder: Path) -> None:
    # Including the temporary files of killed processes; those of running processes are among the newest.
    with os.scandir(folder) as entries:
        files = [(entry.stat().st_mtime_ns, entry.path) for entry in entries if entry.is_file()]
    for _, path in sorted(files)[:-_MOST_FILES]:
        Path(path).unlink(missing_ok=True)
