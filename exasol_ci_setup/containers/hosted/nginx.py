"""nginx in front of the apps: a file for each domain, checked before a reload, and restored if nginx rejects it."""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.containers.hosted import server_names
from exasol_ci_setup.containers.hosted.storage import storage_errors
from exasol_ci_setup.containers.hosted.workers import group_serving, worker_processes
from exasol_ci_setup.core.errors import AppConflictError, InputError, NginxError, NginxRefusedError
from exasol_ci_setup.core.files import write_whole
from exasol_ci_setup.template.render import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    import jinja2

    from exasol_ci_setup.containers.hosted.nginx_program import NginxProgram
    from exasol_ci_setup.containers.hosted.workers import Process, Worker

FOLDER: Final = "nginx-confs"
"""The directory below the state directory with the files that nginx includes; it contains no other files."""

_IPV6: Final = Path("/proc/net/if_inet6")
_SCRATCH: Final = "tmp"
_PENDING: Final = "nginx-unread"
_RELOAD_SECONDS: Final = 10
_BLIND_RELOAD_SECONDS: Final = 1.0
# These characters have no special meaning for nginx or systemd, so they need no escaping.
_PLAIN: Final = re.compile(r"[A-Za-z0-9/._:@+-]+")
# The time, level and process at the beginning of a line of nginx.
_LOG_PREFIX: Final = re.compile(r"^(?:nginx: )?(?:[0-9/]+ [0-9:]+ )?\[[a-z]+\] (?:[0-9]+#[0-9]+: )?(?:\*[0-9]+ )?")


@dataclass(frozen=True, slots=True)
class Site:
    """A domain with its app and port; `certificate` is the directory with its certificate, if any.

    `max_body` is in bytes. nginx ends a request after `timeout` seconds without data.
    """

    domain: str
    app: str
    port: int
    max_body: int
    timeout: int
    certificate: Path | None = None


def require_plain(value: object) -> str:
    """Return the text of `value` for a configuration file: text or a path without special characters, or an integer.

    Raises InputError for other text, and TypeError for other objects, which are errors in the template.
    """
    if isinstance(value, str | Path):
        if not _PLAIN.fullmatch(str(value)):
            raise InputError(f"{str(value)!a} contains characters that are not allowed in a configuration file")
        return str(value)
    if type(value) is int:
        return str(value)
    raise TypeError(f"a configuration file can contain text, paths and integers, not {type(value).__name__}")


@cache
def _environment(folder: str) -> jinja2.Environment:
    return environment(folder, require_plain)


def render(template: str, **values: Any) -> str:
    """Render a template such as ``nginx/api.conf.j2``. Raises InputError for a value with special characters."""
    folder, _, name = template.partition("/")
    return _environment(folder).get_template(name).render(values)


def has_ipv6() -> bool:
    """Return whether this machine has IPv6. Without it, nginx rejects addresses such as ``[::]:80``."""
    return _IPV6.exists()


def render_site(site: Site, *, acme: Path | None, ipv6: bool) -> str:
    """Render the file of a domain; `acme` is the webroot for its challenge, if it gets a certificate."""
    return render("nginx/app.conf.j2", site=site, acme=acme, ipv6=ipv6)


def render_api_site(domain: str, *, state: Path, certificate: Path, ipv6: bool) -> str:
    """Render the file of the API with TLS; `certificate` is the directory with its certificate."""
    return render("nginx/api_tls.conf.j2", domain=domain, state=state, certificate=certificate, ipv6=ipv6)


@dataclass(frozen=True, slots=True)
class Reload:
    """A completed reload of nginx; `before` are the workers that may still answer earlier requests.

    None if the workers are not visible.
    """

    before: frozenset[Worker] | None = frozenset()


class Nginx:
    """The nginx of this machine, run by `program`, with its files in the `state` directory.

    The caller must hold a lock to change the files.
    """

    def __init__(
        self, program: NginxProgram, state: Path, *, processes: Callable[[], Iterable[Process]] | None = None
    ) -> None:
        """Use `processes` to list the workers of nginx instead of /proc."""
        self._program = program
        self._processes = processes or worker_processes
        self._state = state
        self._folder = state / FOLDER
        self._scratch = state / _SCRATCH
        # Exists from before a change of the files until nginx has read them. After a kill, it marks files that nginx has not read.
        self._pending = state / _PENDING
        for folder in (self._folder, self._scratch):
            folder.mkdir(parents=True, exist_ok=True)

    def apply(self, files: Mapping[str, str | None], *, own: str | None = None) -> Reload:
        """Write the `files` by domain, remove those that are None, and reload nginx; return when it uses them.

        `own` is a domain that another file also serves, at another port. Without changes, nginx is not reloaded. Raises AppConflictError for a domain of another site of this nginx, NginxRefusedError if nginx
        rejects the files, NginxError if nginx cannot be used, and StateError if the files cannot be written. After an error, the
        previous files are restored.
        """
        found = {domain: self._read(domain) for domain in files}
        is_pending = self._pending.exists()
        if not is_pending and all(found[domain] == text for domain, text in files.items()):
            return Reload()
        with storage_errors(self._state):
            self._pending.touch()
            try:
                self._write(files)
                self._check([domain for domain, text in files.items() if text is not None], own=own)
                before = tuple(self._processes())
                self._reload_now()
            except BaseException as error:
                self._write(found)
                # After a timeout it is unknown whether nginx has reloaded.
                if not is_pending and not isinstance(error.__cause__, subprocess.TimeoutExpired | TimeoutError):
                    self._pending.unlink()
                # If nginx also rejects the previous files, the new files are not the cause.
                if isinstance(error, NginxRefusedError) and self._is_broken():
                    raise NginxError(f"the configuration of nginx was already invalid: {error.message}") from error
                raise
            try:
                reload = self._wait_for_reload(before)
            except BaseException:
                # It is unknown which files nginx has read.
                self._write(found)
                raise
            self._pending.unlink()
        return reload

    def reload(self) -> None:
        """Reload nginx, so that it reads certificates again. Raises NginxError if the reload fails."""
        before = tuple(self._processes())
        self._reload_now()
        self._wait_for_reload(before)

    def require_free(self, domain: str) -> None:
        """Raise AppConflictError if another site of this nginx has a domain. Errors of nginx are left to `apply`."""
        with contextlib.suppress(NginxError):
            self._check([domain])

    def served_elsewhere(self, domains: Collection[str]) -> dict[str, str]:
        """Return the domains that another site of this nginx serves, with the file of the site.

        Raises NginxError if nginx cannot be run or rejects its configuration.
        """
        return self._served_elsewhere(domains, self._dump().stdout)

    def _check(self, domains: Collection[str], *, own: str | None = None) -> None:
        """Check the configuration of nginx; raise AppConflictError if another site has one of the domains.

        nginx itself only warns about the same name at the same address. Then the site that it reads first receives the requests.
        """
        ran = self._dump()
        elsewhere = self._served_elsewhere([each for each in domains if each != own], ran.stdout)
        conflicts = server_names.parse_conflicts(ran.stderr)
        for domain in domains:
            if domain in elsewhere or domain in conflicts:
                where = f": see {elsewhere[domain]}" if domain in elsewhere else ""
                raise AppConflictError(f"The domain {domain} belongs to another site of this nginx{where}.")

    def _served_elsewhere(self, domains: Collection[str], dump: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for path, text in server_names.split_files(dump):
            # Compared by content: the path can differ for an nginx in a container.
            is_ours = (self._read(Path(path).name) or "").strip() == text.strip()
            for name in server_names.parse_server_names(text):
                if is_ours and name == Path(path).name:
                    continue
                for domain in domains:
                    if server_names.matches_domain(name, domain):
                        found.setdefault(domain, path)
        return found

    def domains(self) -> set[str]:
        """Return the domains that have a file."""
        return {path.name for path in self._folder.iterdir()}

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
                # The temporary file must not be in the folder: nginx would read it.
                write_whole(self._folder / domain, text.encode("ascii"), fsync=True, scratch=self._scratch)

    def _is_broken(self) -> bool:
        try:
            self._dump()
        except NginxError:
            return True
        return False

    def _wait_for_reload(self, before: Collection[Process]) -> Reload:
        """Wait until new workers serve; the reload command of nginx does not wait for them."""
        old = group_serving(before)
        if not old:
            # nginx is in a container, or its processes are not visible for this user.
            time.sleep(_BLIND_RELOAD_SECONDS)
            return Reload(None)
        deadline = time.monotonic() + _RELOAD_SECONDS
        while time.monotonic() < deadline:
            now = group_serving(self._processes())
            for master, workers in old.items():
                if now.get(master) and not now[master] & workers:
                    # Workers that were already shutting down may still have requests for any app.
                    return Reload(frozenset(each.worker for each in before if each.master == master))
            time.sleep(0.02)
        raise NginxError(
            f"nginx has not reloaded its configuration within {_RELOAD_SECONDS} seconds: see its error log"
        )

    def _dump(self) -> subprocess.CompletedProcess[str]:
        """Return the configuration of nginx. Raises NginxRefusedError if nginx rejects it, and NginxError for other failures."""
        ran = self._program.dump()
        if ran.returncode:
            # A wrapper such as sudo can fail before nginx runs. This message comes from nginx itself.
            if "test failed" in ran.stderr:
                raise NginxRefusedError(f"nginx rejects the configuration: {_reason(ran)}")
            raise NginxError(f"nginx -T failed: {_reason(ran)}")
        return ran

    def _reload_now(self) -> None:
        ran = self._program.reload()
        if ran.returncode:
            raise NginxError(f"nginx -s reload failed: {_reason(ran)}")


def _reason(ran: subprocess.CompletedProcess[str]) -> str:
    """Return the reason why nginx failed."""
    lines = [line.strip() for line in ran.stderr.splitlines() if "[emerg]" in line or "[error]" in line]
    reason = _LOG_PREFIX.sub("", lines[0]) if lines else " ".join(ran.stderr.split())
    return reason or f"exit code {ran.returncode}"
