"""The files for nginx and systemd: their content, and the restoration of previous files after an error."""

from __future__ import annotations

import itertools
import os
import pwd
import shlex
import shutil
import string
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.containers.hosted import server_names
from exasol_ci_setup.containers.hosted.nginx import FOLDER, Nginx, Site, render_api_site, render_site, require_plain
from exasol_ci_setup.containers.hosted.nginx_program import NginxCommand, NginxRequests
from exasol_ci_setup.containers.hosted.settings import Settings
from exasol_ci_setup.containers.hosted.setup_files import KEY_FILE, render_server_block, render_units, write
from exasol_ci_setup.containers.hosted.workers import Process
from exasol_ci_setup.core.errors import AppConflictError, InputError, NginxError, NginxRefusedError

STATE = Path("/srv/hosted")
PROGRAM = Path("/opt/exasol-ci-setup/bin/exasol-ci-setup")
SITE = Site("app1.example.com", "app1", 20000, max_body=104857600, timeout=60)
TLS = replace(SITE, certificate=STATE / "letsencrypt/live/app1.example.com")

# A fake nginx: it rejects files that contain the word `bad`, and files in its folder make it fail in other ways.
FAKE = """
import pathlib, sys
folder = pathlib.Path(sys.argv[1])
with (folder / "calls").open("a") as calls:
    calls.write(" ".join(sys.argv[2:]) + "\\n")
if (folder / "absent").exists():
    sys.exit("sudo: a password is required")
if sys.argv[2] == "-T":
    for file in sorted([*(folder / "state/nginx-confs").iterdir(), *folder.glob("*.site")]):
        if "bad" in file.read_text():
            print(f"nginx: [emerg] unknown directive in {file}\\nnginx: configuration file test failed", file=sys.stderr)
            sys.exit(1)
        print(f"# configuration file {file}:\\n{file.read_text()}\\n", end="")
    print((folder / "warnings").read_text() if (folder / "warnings").exists() else "", end="", file=sys.stderr)
elif (folder / "down").exists():
    sys.exit('nginx: [error] open() "/run/nginx.pid" failed (2: No such file or directory)')
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hosted/app.conf", render_site(SITE, acme=None, ipv6=True)),
        ("hosted/app_waiting.conf", render_site(SITE, acme=STATE / "acme", ipv6=False)),
        ("hosted/app_tls.conf", render_site(TLS, acme=STATE / "acme", ipv6=True)),
        ("hosted/hosted.conf", render_server_block(Settings(state=STATE, domain="example.com"), ipv6=True)),
        (
            "hosted/hosted_tls.conf",
            render_server_block(Settings(state=STATE, domain="example.com", ssl=True), ipv6=True),
        ),
        (
            "hosted/api_tls.conf",
            render_api_site("example.com", state=STATE, certificate=STATE / "letsencrypt/live/example.com", ipv6=True),
        ),
        *(
            (f"hosted/{name}", text)
            for name, text in render_units(
                Settings(state=STATE, domain="example.com"), user="hosted", program=PROGRAM
            ).items()
        ),
        (
            "hosted/hosted_many_options.service",
            render_units(
                Settings(state="/home/hosted", domain="example.com", private=True, ssl=True),
                user="root",
                program=PROGRAM,
            )["hosted.service"],
        ),
    ],
)
def test_files_equal_golden_files(name: str, text: str, golden: Callable[[str, str], None]):
    golden(name, text)
    assert text.isascii()
    assert text.endswith("\n")
    assert "\n\n\n" not in text
    assert [line for line in text.splitlines() if line != line.rstrip()] == []


@pytest.fixture
def units(tmp_path: Path) -> list[Path]:
    """The units in files. systemd-analyze checks that the programs, the user and the directory exist."""
    settings = Settings(state=tmp_path, domain="example.com", ssl=True)
    texts = render_units(settings, user="root", program=Path(sys.executable))
    for name, text in texts.items():
        (tmp_path / name).write_text(
            text.replace("ExecStart=/usr/local/lib/exasol-ci-setup/", f"ExecStart={tmp_path}/")
        )
    (tmp_path / "hosted-nginx.sh").chmod(0o755)
    return [tmp_path / name for name in texts if not name.endswith(".sh")]


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("`systemd-analyze` is not installed")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


def test_systemd_accepts_units(units: list[Path]):
    ran = analyze("verify", "--man=no", *map(str, units))

    assert [line for line in ran.stderr.splitlines() if "hosted" in line] == []


def test_exposure_of_service_is_at_most_4_5(units: list[Path]):
    ran = analyze("security", "--offline=yes", "--threshold=45", "--no-pager", str(units[0]))

    assert ran.returncode == 0, ran.stdout.splitlines()[-1:] + ran.stderr.splitlines()


@given(st.one_of(st.text(max_size=20), st.text("ab;{}$ \n\"'\\#%", max_size=20)))
def test_value_with_special_characters_is_rejected(text: str):
    if text and not set(text) - set(string.ascii_letters + string.digits + "/._:@+-"):
        assert require_plain(text) == text
    else:
        with pytest.raises(InputError, match="not allowed in a configuration file"):
            require_plain(text)


@pytest.mark.parametrize("value", [None, True, 1.5, ["a"], b"a"])
def test_value_of_other_type_raises_type_error(value: object):
    with pytest.raises(TypeError):
        require_plain(value)


@pytest.mark.parametrize("path", ["/srv/a b", "/srv/a;b", "/srv/$x", "/srv/%h", "/srv/ä", "/srv/a\nb", "/srv/a:b"])
def test_path_with_special_characters_is_rejected(path: str):
    with pytest.raises(InputError, match="not allowed in the configuration of nginx"):
        Settings(state=Path(path))


@pytest.mark.parametrize("user", ["", "a b", "a%i", "Root", "-x", "a\n"])
def test_invalid_user_is_rejected(user: str):
    with pytest.raises(InputError, match=r"^--user "):
        render_units(Settings(state=STATE, domain="example.com"), user=user, program=PROGRAM)


def test_key_is_random_private_and_kept(tmp_path: Path):
    settings = Settings(state=STATE, domain="example.com")
    for name in ("a", "b"):
        write(settings, user="hosted", into=tmp_path / name)
    keys = [(tmp_path / name / KEY_FILE).read_text() for name in ("a", "b")]

    assert keys[0] != keys[1]
    assert len(keys[0].strip()) == 64
    assert (tmp_path / "a" / KEY_FILE).stat().st_mode & 0o777 == 0o600
    write(settings, user="hosted", into=tmp_path / "a")
    assert (tmp_path / "a" / KEY_FILE).read_text() == keys[0]
    assert [
        path for path in (tmp_path / "a").iterdir() if path.name != KEY_FILE and keys[0].strip() in path.read_text()
    ] == []
    assert len(list((tmp_path / "a").iterdir())) == 6


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "nginx.py").write_text(FAKE)
    return tmp_path


@pytest.fixture
def nginx(folder: Path) -> Nginx:
    # Each call lists other workers, as after a reload.
    numbers = itertools.count(2)
    command = (sys.executable, "-IS", str(folder / "nginx.py"), str(folder))
    return Nginx(NginxCommand(command), folder / "state", processes=lambda: [Process((next(numbers), 1), 1)])


def read_files(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (folder / "state" / FOLDER).iterdir()}


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().splitlines() if (folder / "calls").exists() else []


def test_files_are_checked_before_reload(nginx: Nginx, folder: Path):
    nginx.apply({"a.example.com": "a", "b.example.com": "b"})

    assert read_files(folder) == {"a.example.com": "a", "b.example.com": "b"}
    assert calls(folder) == ["-T", "-s reload"]


def test_unchanged_files_do_not_reload_nginx(nginx: Nginx, folder: Path):
    nginx.apply({"a.example.com": "a"})
    nginx.apply({"a.example.com": "a", "b.example.com": None})

    assert calls(folder) == ["-T", "-s reload"]


def test_files_of_killed_worker_are_read_at_next_change(nginx: Nginx, folder: Path):
    (folder / "state" / "nginx-unread").touch()

    # The files are unchanged, but it is unknown which ones nginx has read.
    nginx.apply({"a.example.com": None})
    nginx.apply({"a.example.com": None})

    assert calls(folder) == ["-T", "-s reload"]


def test_failed_reload_command_leaves_no_pending_files(nginx: Nginx, folder: Path):
    nginx.apply({"a.example.com": "a"})
    (folder / "down").touch()
    with pytest.raises(NginxError, match=r"^nginx -s reload failed: open\(\)"):
        nginx.apply({"a.example.com": "b", "b.example.com": "b"})
    (folder / "calls").unlink()

    nginx.apply({"a.example.com": "a", "b.example.com": None})

    assert calls(folder) == []


def test_reload_returns_all_earlier_workers_of_same_nginx(folder: Path):
    leaving, serving, other = Process((10, 1), 1, is_leaving=True), Process((11, 1), 1), Process((12, 1), 2)
    listings = iter([[leaving, serving, other], [leaving, serving, other], [leaving, Process((13, 1), 1), other]])
    command = (sys.executable, "-IS", str(folder / "nginx.py"), str(folder))

    reload = Nginx(NginxCommand(command), folder / "state", processes=lambda: next(listings)).apply(
        {"a.example.com": "a"}
    )

    # Another nginx on this machine has no requests of the apps.
    assert reload.before == frozenset({(10, 1), (11, 1)})


@pytest.mark.parametrize(
    ("lines", "is_match"),
    [
        ("server_name shop.example.net;", True),
        ("server_name www.example.net Shop.Example.NET;", True),
        ("server_name .example.net;", True),
        ("server_name .shop.example.net;", True),
        ("server_name *.example.net;", True),
        ("server_name shop.example.*;", True),
        (r"server_name ~^(?<sub>[a-z]+)\.example\.net$;", True),
        (r'server_name "~^shop\.example\.(net|org){1,2}$";', True),
        ('server_name # the shop\n  other.example.net\n  "shop.example.net" ;', True),
        ('location / { return 200 "it\'s }"; } server_name shop.example.net;', True),
        ("server_name _;", False),
        ('server_name "";', False),
        ("server_name example.net ample.net shop.example.net.evil.org *.shop.example.net;", False),
        ("server_name ~.;", False),
        ("server_name ~^(?<all>.+)$;", False),
        ("server_name ~(;", False),
        ("# server_name shop.example.net;", False),
        ("return 200 'server_name shop.example.net;';", False),
        ("set $server_name_of shop.example.net;", False),
    ],
)
def test_server_names_match_as_in_nginx(lines: str, is_match: bool):
    names = server_names.parse_server_names(f"server {{ listen 127.0.0.2:8080; {lines} }}")

    assert any(server_names.matches_domain(name, "shop.example.net") for name in names) is is_match


def test_hostname_variable_matches_name_of_host(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("socket.gethostname", lambda: "Shop.example.net")

    assert server_names.matches_domain("$hostname", "shop.example.net")
    assert not server_names.matches_domain("$hostname", "example.net")


def test_domain_of_another_site_is_rejected_without_files(nginx: Nginx, folder: Path):
    (folder / "shop.site").write_text("server { listen 127.0.0.2:8080; server_name *.example.net; }")

    for call in (lambda: nginx.require_free("shop.example.net"), lambda: nginx.apply({"shop.example.net": "a"})):
        with pytest.raises(AppConflictError, match=r"^The domain shop\.example\.net belongs to .*shop\.site\.$"):
            call()

    assert read_files(folder) == {}
    assert "-s reload" not in calls(folder)
    assert nginx.served_elsewhere(["shop.example.net"]) == {"shop.example.net": str(folder / "shop.site")}
    # The site does not block other domains.
    nginx.apply({"app1.example.com": "a"})
    assert list(read_files(folder)) == ["app1.example.com"]


def test_only_warning_about_same_domain_is_conflict(nginx: Nginx, folder: Path):
    warning = 'nginx: [warn] conflicting server name "{}" on 0.0.0.0:80, ignored\n'
    (folder / "warnings").write_text(warning.format("b.example.com") + warning.format("xa.example.com"))
    nginx.apply({"a.example.com": "a"})

    with pytest.raises(AppConflictError, match=r"^The domain b\.example\.com belongs to another site of this nginx\.$"):
        nginx.apply({"a.example.com": "c", "b.example.com": "b"})

    assert read_files(folder) == {"a.example.com": "a"}


def test_own_files_are_no_conflict(nginx: Nginx, folder: Path):
    text = render_site(SITE, acme=None, ipv6=True)
    nginx.apply({SITE.domain: text})

    nginx.apply({SITE.domain: text.replace("20000", "20001")})

    assert nginx.served_elsewhere([SITE.domain]) == {}
    # This program never writes a second name into a file.
    (folder / "state" / FOLDER / "b.example.com").write_text("server { server_name b.example.com c.example.com; }")
    assert list(nginx.served_elsewhere(["b.example.com", "c.example.com"])) == ["c.example.com"]


def test_rejected_files_are_reverted(nginx: Nginx, folder: Path):
    nginx.apply({"a.example.com": "a", "b.example.com": "b"})

    with pytest.raises(NginxRefusedError, match=r"^nginx rejects the configuration: unknown directive in "):
        nginx.apply({"a.example.com": "bad", "b.example.com": None, "c.example.com": "c"})

    assert read_files(folder) == {"a.example.com": "a", "b.example.com": "b"}
    assert list((folder / "state" / "tmp").iterdir()) == []
    (folder / "calls").unlink()
    nginx.apply({"a.example.com": "a"})
    assert calls(folder) == []


def test_previously_invalid_configuration_is_not_nginx_refused(nginx: Nginx, folder: Path):
    (folder / "state" / FOLDER / "other").write_text("bad")

    with pytest.raises(NginxError, match=r"^the configuration of nginx was already invalid: ") as caught:
        nginx.apply({"a.example.com": "a"})

    assert not isinstance(caught.value, NginxRefusedError)
    assert read_files(folder) == {"other": "bad"}


@pytest.mark.parametrize(
    ("problem", "reason"), [("absent", "sudo: a password is required"), ("down", 'open() "/run/nginx.pid" failed')]
)
def test_unusable_nginx_is_reported_and_files_are_reverted(nginx: Nginx, folder: Path, problem: str, reason: str):
    (folder / problem).touch()

    with pytest.raises(NginxError) as caught:
        nginx.apply({"a.example.com": "a"})

    assert reason in caught.value.message
    assert not isinstance(caught.value, NginxRefusedError)
    assert read_files(folder) == {}


def test_missing_command_is_reported(folder: Path):
    with pytest.raises(NginxError, match=r"^nginx cannot be run: .*no-nginx"):
        Nginx(NginxCommand((str(folder / "no-nginx"),)), folder / "state").apply({"a.example.com": "a"})

    assert read_files(folder) == {}


def test_child_processes_do_not_get_key(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DEPLOY_KEY", "a-key")
    script = f"env >{shlex.quote(str(folder / 'environment'))}"
    Nginx(NginxCommand(("sh", "-c", script, "nginx")), folder / "state", processes=list).apply({"a.example.com": "a"})

    assert "PATH=" in (folder / "environment").read_text()
    assert "a-key" not in (folder / "environment").read_text()


@pytest.fixture
def unit_of_nginx(folder: Path) -> Iterator[Path]:
    """The directory of requests, the script of the unit with the fake nginx, and a loop that does what the path unit does."""
    requests = folder / "run"
    (folder / "bin").mkdir()
    for each in (requests, folder / "run-nginx", folder / "state" / FOLDER):
        each.mkdir(parents=True)
    program = folder / "bin" / "nginx"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -IS {folder}/nginx.py {folder} "$@"\n')
    program.chmod(0o755)
    user = pwd.getpwuid(os.getuid()).pw_name
    text = render_units(Settings(state=STATE, domain="example.com"), user=user, program=PROGRAM)["hosted-nginx.sh"]
    script = folder / "hosted-nginx.sh"
    script.write_text(text.replace("/run/hosted", str(requests)).replace("PATH=", f"PATH={folder}/bin:"))
    loop = f"until [ -e {folder}/end ]; do [ ! -e {requests}/nginx-request ] || sh {script}; sleep 0.01; done"
    with subprocess.Popen(["sh", "-c", loop]):
        yield requests
        (folder / "end").touch()


def test_unit_runs_nginx_for_requests(unit_of_nginx: Path, folder: Path):
    numbers = itertools.count(2)
    processes = lambda: [Process((next(numbers), 1), 1)]  # noqa: E731
    nginx = Nginx(NginxRequests(unit_of_nginx), folder / "state", processes=processes)

    nginx.apply({"a.example.com": "a"})
    with pytest.raises(NginxRefusedError, match=r"^nginx rejects the configuration: unknown directive in "):
        nginx.apply({"a.example.com": "bad"})
    (folder / "down").touch()
    with pytest.raises(NginxError, match=r"^nginx -s reload failed: open\(\)"):
        nginx.apply({"a.example.com": "b"})

    assert read_files(folder) == {"a.example.com": "a"}
    assert calls(folder)[:2] == ["-T", "-s reload"]


@pytest.mark.parametrize("request_text", ["", "1 stop", "../x test", "1; nginx", "1 test -c /tmp/x", "G test"])
def test_unit_runs_nothing_for_other_requests(unit_of_nginx: Path, folder: Path, request_text: str):
    secret = folder / "secret"
    secret.write_text("1 test\n")
    (unit_of_nginx / "nginx-request").symlink_to(secret)
    until_gone(unit_of_nginx / "nginx-request")
    (unit_of_nginx / "nginx-request").write_text(request_text + "\n")
    until_gone(unit_of_nginx / "nginx-request")
    # A valid request is still answered.
    assert NginxRequests(unit_of_nginx).dump().returncode == 0

    assert calls(folder) == ["-T"]
    assert secret.exists()


def until_gone(path: Path) -> None:
    deadline = time.monotonic() + 30
    while path.is_symlink() or path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
