"""nginx in front of the apps: a file for each domain, checked before nginx reads it, and taken back if nginx refuses it."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup import templates
from exasol_ci_setup.containers.hosted import server_names
from exasol_ci_setup.containers.hosted.settings import child_environment
from exasol_ci_setup.containers.hosted.storage import storing
from exasol_ci_setup.containers.hosted.workers import serving, worker_processes
from exasol_ci_setup.errors import AppConflict, InputError, NginxError, NginxRefused
from exasol_ci_setup.whole_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    import jinja2

    from exasol_ci_setup.containers.hosted.workers import Process, Worker

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
    """A reload of nginx that has taken effect; `before` are the workers that may still answer requests that began before it.

    None if they cannot be seen.
    """

    before: frozenset[Worker] | None = frozenset()


class Nginx:
    """The nginx of this machine, called by `command`, with the files in the `state` directory.

    Only one caller at a time may change them; the lock is the caller's.
    """

    def __init__(
        self, command: tuple[str, ...], state: Path, *, processes: Callable[[], Iterable[Process]] | None = None
    ) -> None:
        """Let `processes` list the workers of nginx, in place of the system."""
        self._command = command
        self._processes = processes or worker_processes
        self._state = state
        self._folder = state / FOLDER
        self._scratch = state / _SCRATCH
        # There from before the files change until nginx has read them: after a kill, what they say is not yet what it does.
        self._unread = state / _UNREAD
        for folder in (self._folder, self._scratch):
            folder.mkdir(parents=True, exist_ok=True)

    def apply(self, files: Mapping[str, str | None]) -> Reload:
        """Write the `files`, by domain, or remove those that are None, and let nginx read them; return when it serves by them.

        Where nothing changes, nothing is done. Raises AppConflict for a domain that another site of this nginx has, NginxRefused if
        nginx does not take the files, NginxError if it cannot be used, and StateError if the files cannot be written; then they are as
        they were before.
        """
        found = {domain: self._read(domain) for domain in files}
        unread = self._unread.exists()
        if not unread and all(found[domain] == text for domain, text in files.items()):
            return Reload()
        with storing(self._state):
            self._unread.touch()
            try:
                self._write(files)
                self._check([domain for domain, text in files.items() if text is not None])
                before = tuple(self._processes())
                self._call("-s", "reload")
            except BaseException as error:
                self._write(found)
                # Of a call that took too long it is not known what came of it.
                if not unread and not isinstance(error.__cause__, subprocess.TimeoutExpired):
                    self._unread.unlink()
                # What it refuses without them as well is not their fault.
                if isinstance(error, NginxRefused) and self._is_broken():
                    raise NginxError(f"nginx has a configuration that it refuses: {error.message}") from error
                raise
            try:
                reload = self._reloaded(before)
            except BaseException:
                # Which of them it has read by now is not known.
                self._write(found)
                raise
            self._unread.unlink()
        return reload

    def reload(self) -> None:
        """Let nginx read certificates again. Raises NginxError if it does not."""
        before = tuple(self._processes())
        self._call("-s", "reload")
        self._reloaded(before)

    def require_free(self, domain: str) -> None:
        """Raise AppConflict if another site of this nginx has a domain. An nginx that cannot tell is left to `apply`."""
        with contextlib.suppress(NginxError):
            self._check([domain])

    def served_elsewhere(self, domains: Collection[str]) -> dict[str, str]:
        """Return those of the domains that another site of this nginx has, with the file of the site.

        Raises NginxError if nginx cannot be called or refuses its configuration.
        """
        return self._served_elsewhere(domains, self._call("-T").stdout)

    def _check(self, domains: Collection[str]) -> None:
        """Let nginx check its configuration, and raise AppConflict if another site has one of the domains.

        nginx itself only warns, and only of the same name at the same address: the site that it reads first gets the requests.
        """
        ran = self._call("-T")
        elsewhere = self._served_elsewhere(domains, ran.stdout)
        conflicts = server_names.conflicting(ran.stderr)
        for domain in domains:
            if domain in elsewhere or domain in conflicts:
                where = f": see {elsewhere[domain]}" if domain in elsewhere else ""
                raise AppConflict(f"The domain {domain} belongs to another site of this nginx{where}.")

    def _served_elsewhere(self, domains: Collection[str], dump: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for path, text in server_names.files(dump):
            # By its content: for an nginx in a container, the path may be another one.
            is_ours = (self._read(Path(path).name) or "").strip() == text.strip()
            for name in server_names.server_names(text):
                if is_ours and name == Path(path).name:
                    continue
                for domain in domains:
                    if server_names.is_for(name, domain):
                        found.setdefault(domain, path)
        return found

    def _read(self, domain: str) -> str | None:
        try:
            return (self._folder / domain).read_text(encoding="ascii")
        except FileNotFoundError:
            return None

    def _write(self, files: Mapping[str, str | None]) -> None:
        for domain, text in files.items():
            if text is None:
                (self._folder / domain).unlink(missing_ok=True)
            else:
                # Not beside the file: nginx would read it there.
                write_whole(self._folder / domain, text.encode("ascii"), fsync=True, scratch=self._scratch)

    def _is_broken(self) -> bool:
        try:
            self._call("-T")
        except NginxError:
            return True
        return False

    def _reloaded(self, before: Collection[Process]) -> Reload:
        """Return when new workers serve: nginx says that it was told to reload, not that it is done."""
        old = serving(before)
        if not old:
            # It is in a container, or this user is not shown its processes.
            time.sleep(_UNSEEN_SECONDS)
            return Reload(None)
        deadline = time.monotonic() + _RELOAD_SECONDS
        while time.monotonic() < deadline:
            now = serving(self._processes())
            for master, workers in old.items():
                if now.get(master) and not now[master] & workers:
                    # Those that were leaving before may have a request for each of the apps, too.
                    return Reload(frozenset(each.worker for each in before if each.master == master))
            time.sleep(0.02)
        raise NginxError(
            f"nginx has not taken up its configuration within {_RELOAD_SECONDS} seconds: see its error log"
        )

    def _call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
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
            if "-T" in arguments and "test failed" in ran.stderr:
                raise NginxRefused(f"nginx refuses: {said}")
            raise NginxError(f"nginx {' '.join(arguments)} failed: {said}")
        return ran
