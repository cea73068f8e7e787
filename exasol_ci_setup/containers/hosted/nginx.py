"""nginx in front of the apps: a file for each domain, checked before nginx reads it, and taken back if nginx refuses it."""

from __future__ import annotations

import os
import re
import subprocess
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup import templates
from exasol_ci_setup.containers.hosted.settings import child_environment
from exasol_ci_setup.errors import InputError, NginxError, NginxRefused
from exasol_ci_setup.whole_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import jinja2

FOLDER: Final = "nginx-confs"
"""The directory, below that of the state, with the files that nginx includes; there is nothing else in it."""

_SCRATCH: Final = "tmp"
_UNREAD: Final = "nginx-unread"
_COMMAND_SECONDS: Final = 60
_RELOAD_SECONDS: Final = 10
_UNSEEN_SECONDS: Final = 1.0
# Nothing in it means anything to nginx or to systemd, so it can stand there as it is, and there is nothing to escape.
_PLAIN: Final = re.compile(r"[A-Za-z0-9/._:@+-]+")
# The time, the level and the process, before what a line of its says.
_STAMP: Final = re.compile(r"^(?:nginx: )?(?:[0-9/]+ [0-9:]+ )?\[[a-z]+\] (?:[0-9]+#[0-9]+: )?(?:\*[0-9]+ )?")
_WORKER: Final = b"nginx: worker process"
_LEAVING: Final = b"is shutting down"


@dataclass(frozen=True, slots=True)
class Site:
    """A domain, the app that answers for it and its port; `certificate` is the directory with its certificate, if it has one."""

    domain: str
    app: str
    port: int
    certificate: Path | None = None


def plain(value: object) -> str:
    """Return `value` as it stands in a configuration: text without any character that means something there, a path, or a number.

    Raises InputError for other text, and TypeError for any other object: that is a mistake in the template.
    """
    if isinstance(value, str | Path):
        if not _PLAIN.fullmatch(str(value)):
            raise InputError(f"{str(value)!a} cannot stand in a configuration file")
        return str(value)
    if type(value) is int:
        return str(value)
    raise TypeError(f"a configuration file may hold text, paths and whole numbers, not {type(value).__name__}")


@cache
def _environment(folder: str) -> jinja2.Environment:
    return templates.environment(folder, plain)


def render(template: str, **values: Any) -> str:
    """Render a template such as ``nginx/api.conf.j2``. Raises InputError for a value that cannot stand in it."""
    folder, _, name = template.partition("/")
    return _environment(folder).get_template(name).render(values)


def render_site(site: Site, *, acme: Path | None) -> str:
    """Render the file of a domain; `acme` is the directory in which certbot answers for it, if it gets a certificate."""
    return render("nginx/app.conf.j2", site=site, acme=acme)


@dataclass(frozen=True, slots=True)
class Reload:
    """A reload of nginx that has taken effect; `before` are the workers that were there before, as they finish what they began.

    None if they cannot be seen.
    """

    before: frozenset[int] | None = frozenset()

    def wait(self, seconds: float) -> None:
        """Return when no worker of before is left, but after `seconds` at the latest: a connection may be open for hours."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and (self.before is None or any(_title(process) for process in self.before)):
            time.sleep(0.05)


class Nginx:
    """The nginx of this machine, called by `command`, with the files in the `state` directory.

    Only one caller at a time may change them; the lock is the caller's.
    """

    def __init__(
        self, command: tuple[str, ...], state: Path, *, workers: Callable[[], dict[int, set[int]]] | None = None
    ) -> None:
        """Let `workers` tell which processes of nginx take new connections, in place of the system."""
        self._command = command
        self._workers = workers or workers_by_master
        self._folder = state / FOLDER
        self._scratch = state / _SCRATCH
        # There from before the files change until nginx has read them: after a kill, what they say is not yet what it does.
        self._unread = state / _UNREAD
        for folder in (self._folder, self._scratch):
            folder.mkdir(parents=True, exist_ok=True)

    def apply(self, files: Mapping[str, str | None]) -> Reload:
        """Write the `files`, by domain, or remove those that are None, and let nginx read them; return when it serves by them.

        Where nothing changes, nothing is done. Raises NginxRefused if nginx does not take them, and NginxError if it cannot be used;
        then the files are as they were before.
        """
        found = {domain: self._read(domain) for domain in files}
        unread = self._unread.exists()
        if not unread and all(found[domain] == text for domain, text in files.items()):
            return Reload()
        self._unread.touch()
        try:
            for domain, text in files.items():
                self._write(domain, text)
            self._call("-t")
        except BaseException as error:
            for domain, text in found.items():
                self._write(domain, text)
            if not unread:
                self._unread.unlink()
            # What it refuses without them as well is not their fault.
            if isinstance(error, NginxRefused) and self._is_broken():
                raise NginxError(f"nginx has a configuration that it refuses: {error.message}") from error
            raise
        try:
            reload = self._reload()
        except BaseException:
            # Which of them it has read by now is not known.
            for domain, text in found.items():
                self._write(domain, text)
            raise
        self._unread.unlink()
        return reload

    def reload(self) -> None:
        """Let nginx read certificates again. Raises NginxError if it does not."""
        self._reload()

    def _read(self, domain: str) -> str | None:
        try:
            return (self._folder / domain).read_text(encoding="ascii")
        except FileNotFoundError:
            return None

    def _write(self, domain: str, text: str | None) -> None:
        if text is None:
            (self._folder / domain).unlink(missing_ok=True)
            return
        # Not beside the file: nginx would read it there.
        write_whole(self._folder / domain, text.encode("ascii"), fsync=True, scratch=self._scratch)

    def _is_broken(self) -> bool:
        try:
            self._call("-t")
        except NginxError:
            return True
        return False

    def _reload(self) -> Reload:
        """Tell nginx to reload and return when new workers serve: it says that it was told, not that it is done."""
        before = self._workers()
        self._call("-s", "reload")
        if not before:
            # It is in a container, or this user is not shown its processes.
            time.sleep(_UNSEEN_SECONDS)
            return Reload(None)
        deadline = time.monotonic() + _RELOAD_SECONDS
        while time.monotonic() < deadline:
            now = self._workers()
            for master, processes in before.items():
                if now.get(master) and not now[master] & processes:
                    return Reload(frozenset(processes))
            time.sleep(0.02)
        raise NginxError(
            f"nginx has not taken up its configuration within {_RELOAD_SECONDS} seconds: see its error log"
        )

    def _call(self, *arguments: str) -> None:
        try:
            ran = subprocess.run(  # noqa: S603 - the operator's command
                [*self._command, *arguments],
                capture_output=True,
                text=True,
                errors="replace",
                stdin=subprocess.DEVNULL,
                env=child_environment(os.environ),
                timeout=_COMMAND_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NginxError(f"nginx cannot be called: {error}") from error
        if ran.returncode:
            lines = [line.strip() for line in ran.stderr.splitlines() if "[emerg]" in line or "[error]" in line]
            said = _STAMP.sub("", lines[0]) if lines else " ".join(ran.stderr.split()) or f"exit code {ran.returncode}"
            # Whatever calls nginx for us may fail before it has been asked; only nginx itself speaks in these words.
            refused = "-t" in arguments and "test failed" in ran.stderr
            raise (NginxRefused if refused else NginxError)(
                f"nginx refuses: {said}" if refused else f"nginx failed: {said}"
            )


def workers_by_master() -> dict[int, set[int]]:
    """Return the workers that take new connections, by their master. Those of an nginx in a container do not count."""
    found: dict[int, set[int]] = {}
    depth = _depth_and_parent("self")[0]
    for entry in Path("/proc").glob("[0-9]*"):
        title = _title(int(entry.name))
        if title.startswith(_WORKER) and _LEAVING not in title:
            own, master = _depth_and_parent(entry.name)
            if own == depth and master:
                found.setdefault(master, set()).add(int(entry.name))
    return found


def _title(process: int) -> bytes:
    """Return the title of a process of nginx, empty if there is none of that number."""
    try:
        title = Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""
    return title if title.startswith(b"nginx: ") else b""


def _depth_and_parent(process: str) -> tuple[int, int]:
    """Return how many namespaces know a process by a number, which is one more in a container, and its parent; zeros if it is gone."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return 0, 0
    facts = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    # https://man7.org/linux/man-pages/man5/proc_pid_status.5.html
    return len(facts.get("NSpid", ())), int(facts["PPid"][0])
