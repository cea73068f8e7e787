"""The files that make a service of the hosted API: nginx's server block, systemd's unit, and the deploy key."""

from __future__ import annotations

import re
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.containers.hosted.nginx import FOLDER, render
from exasol_ci_setup.containers.hosted.settings import KEY_CREDENTIAL, PREFIX, plain_path
from exasol_ci_setup.errors import InputError
from exasol_ci_setup.whole_file import write_whole

if TYPE_CHECKING:
    from exasol_ci_setup.containers.hosted.settings import Settings

NGINX_FILE: Final = "hosted.conf"
UNIT_FILE: Final = "hosted.service"
KEY_FILE: Final = "hosted.key"
INSTALLED_KEY: Final = "/etc/exasol-ci-setup/hosted.key"

# What useradd takes: https://manpages.debian.org/bookworm/passwd/useradd.8.en.html.
_USER: Final = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


def render_server_block(settings: Settings) -> str:
    """Render what nginx needs: the API's own server, and the inclusion of the apps' files."""
    return render("nginx/api.conf.j2", domain=settings.domain, state=settings.state, folder=FOLDER)


def render_unit(settings: Settings, *, user: str, program: Path) -> str:
    """Render systemd's unit, in which there is no secret; `program` is this program's own path."""
    if not _USER.fullmatch(user):
        raise InputError(f"--user {user!a} is not the name of a user")
    return render(
        "systemd/hosted.service.j2",
        settings=settings,
        user=user,
        program=plain_path(program, "this program"),
        prefix=PREFIX,
        credential=KEY_CREDENTIAL,
        key_file=INSTALLED_KEY,
    )


def write(settings: Settings, *, user: str, into: Path) -> tuple[Path, ...]:
    """Write the files into a directory, which is made if need be, and return their paths. A key that is there is kept.

    Raises InputError if they cannot be written.
    """
    program = Path(sys.executable).with_name("exasol-ci-setup")
    texts = {
        NGINX_FILE: render_server_block(settings),
        UNIT_FILE: render_unit(settings, user=user, program=program),
    }
    try:
        into.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            write_whole(into / name, text.encode("ascii"), mode=0o644)
        if not (into / KEY_FILE).exists():
            write_whole(into / KEY_FILE, f"{secrets.token_hex(32)}\n".encode("ascii"), mode=0o600)
    except OSError as error:
        raise InputError(f"{error.filename} cannot be written: {error.strerror}", hint="give another --into") from error
    return (*(into / name for name in texts), into / KEY_FILE)


def next_steps(settings: Settings, *, user: str, into: Path) -> tuple[str, ...]:
    """Return the lines that say, for a shell of root, how the files become a service."""
    root = user == "root"
    sudoers = f"'{user} ALL=(root) NOPASSWD: /usr/sbin/nginx -T, /usr/sbin/nginx -s reload' >/etc/sudoers.d/{user}"
    return (
        "as root:",
        *([] if root else [f"  useradd --system --home-dir {settings.state} --shell /usr/sbin/nologin {user}"]),
        f"  install -d -o {user} -g www-data -m 0750 {settings.state} {settings.state / FOLDER}",
        f"  install -D -m 0600 {into / KEY_FILE} {INSTALLED_KEY}",
        f"  install -m 0644 {into / UNIT_FILE} /etc/systemd/system/hosted.service",
        f"  install -m 0644 {into / NGINX_FILE} /etc/nginx/sites-enabled/hosted.conf",
        *([] if root else [f"  echo {sudoers}"]),
        "  systemctl daemon-reload && systemctl enable --now hosted && nginx -s reload",
    )
