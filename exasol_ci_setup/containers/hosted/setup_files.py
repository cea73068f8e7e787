"""The files of a service for the hosted API: the server block of nginx, the units of systemd, and the deploy key."""

from __future__ import annotations

import re
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.containers.hosted.certificates import ACME
from exasol_ci_setup.containers.hosted.nginx import FOLDER, has_ipv6, render
from exasol_ci_setup.containers.hosted.nginx_program import answers_of
from exasol_ci_setup.containers.hosted.settings import KEY_CREDENTIAL, PREFIX, plain_path
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.core.files import write_whole

if TYPE_CHECKING:
    from exasol_ci_setup.containers.hosted.settings import Settings

NGINX_FILE: Final = "hosted.conf"
UNIT_FILE: Final = "hosted.service"
KEY_FILE: Final = "hosted.key"
SCRIPT_FILE: Final = "hosted-nginx.sh"
NGINX_FILES: Final = ("hosted-nginx.path", "hosted-nginx.service", SCRIPT_FILE)
INSTALLED_KEY: Final = "/etc/exasol-ci-setup/hosted.key"
INSTALLED_SCRIPT: Final = "/usr/local/lib/exasol-ci-setup/hosted-nginx.sh"
_REQUESTS: Final = Path("/run/hosted")
# The directories that ProtectHome hides: https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html#ProtectHome=.
_HOMES: Final = ("/home", "/root", "/run/user")

# The rule of useradd: https://manpages.debian.org/bookworm/passwd/useradd.8.en.html.
_USER: Final = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


def render_server_block(settings: Settings, *, ipv6: bool) -> str:
    """Render the configuration of nginx: the server of the API, and the inclusion of the files of apps."""
    acme = settings.state / ACME if settings.ssl else None
    values = {"domain": settings.domain, "state": settings.state, "folder": FOLDER}
    return render("nginx/api.conf.j2", **values, acme=acme, ipv6=ipv6)


def render_units(settings: Settings, *, user: str, program: Path) -> dict[str, str]:
    """Render the units of systemd, and the script that runs nginx, by file name. They contain no secret.

    `program` is the path of this program. Raises InputError for an invalid user name or path.
    """
    if not _USER.fullmatch(user):
        raise InputError(f"--user {user!a} is not a valid user name")
    program = plain_path(program, "this program")
    values = {
        "settings": settings,
        "user": user,
        "program": program,
        "prefix": PREFIX,
        "credential": KEY_CREDENTIAL,
        "key_file": INSTALLED_KEY,
        "requests": _REQUESTS,
        "answers": answers_of(_REQUESTS),
        "script": INSTALLED_SCRIPT,
        "is_in_home": any(path.is_relative_to(each) for path in (settings.state, program) for each in _HOMES),
    }
    return {name: render(f"systemd/{name}.j2", **values) for name in (UNIT_FILE, *NGINX_FILES)}


def write(settings: Settings, *, user: str, into: Path) -> tuple[Path, ...]:
    """Write the files into a directory, and return their paths. Create the directory; keep an existing key.

    Raises InputError if a file cannot be written.
    """
    program = Path(sys.executable).with_name("exasol-ci-setup")
    texts = {
        NGINX_FILE: render_server_block(settings, ipv6=has_ipv6()),
        **render_units(settings, user=user, program=program),
    }
    try:
        into.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            write_whole(into / name, text.encode("ascii"), mode=0o644)
        if not (into / KEY_FILE).exists():
            write_whole(into / KEY_FILE, f"{secrets.token_hex(32)}\n".encode("ascii"), mode=0o600)
    except OSError as error:
        raise InputError(
            f"{error.filename} cannot be written: {error.strerror}", hint="choose another `--into DIR`"
        ) from error
    return (*(into / name for name in texts), into / KEY_FILE)


def next_steps(settings: Settings, *, user: str, into: Path) -> tuple[str, ...]:
    """Return the lines with the commands, for a shell of root, that install the files."""
    root = user == "root"
    units = " ".join(str(into / name) for name in (UNIT_FILE, *NGINX_FILES[:2]))
    return (
        "as root:",
        *([] if root else [f"  useradd --system --home-dir {settings.state} --shell /usr/sbin/nologin {user}"]),
        f"  install -d -o {user} -g www-data -m 0750 {settings.state} {settings.state / FOLDER}",
        f"  install -D -m 0600 {into / KEY_FILE} {INSTALLED_KEY}",
        f"  install -D -m 0755 {into / SCRIPT_FILE} {INSTALLED_SCRIPT}",
        f"  install -m 0644 -t /etc/systemd/system {units}",
        f"  install -m 0644 {into / NGINX_FILE} /etc/nginx/sites-enabled/hosted.conf",
        "  systemctl daemon-reload && systemctl enable --now hosted-nginx.path hosted && nginx -s reload",
    )
