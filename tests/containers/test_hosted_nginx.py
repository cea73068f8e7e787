"""The files for nginx and systemd: how they read, and that a refusal leaves those that were there."""

from __future__ import annotations

import itertools
import shlex
import shutil
import string
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.containers.hosted import server_names
from exasol_ci_setup.containers.hosted.nginx import FOLDER, Nginx, Site, plain, render_site
from exasol_ci_setup.containers.hosted.settings import Settings
from exasol_ci_setup.containers.hosted.setup_files import KEY_FILE, render_server_block, render_unit, write
from exasol_ci_setup.containers.hosted.workers import Process
from exasol_ci_setup.errors import AppConflict, InputError, NginxError, NginxRefused

STATE = Path("/srv/hosted")
PROGRAM = Path("/opt/exasol-ci-setup/bin/exasol-ci-setup")
SITE = Site("app1.example.com", "app1", 20000)
TLS = Site("app1.example.com", "app1", 20000, STATE / "letsencrypt/live/app1.example.com")

# Stands in for nginx: refuses files that hold the word `bad`, and can be made to fail otherwise.
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
        ("hosted/app.conf", render_site(SITE, acme=None)),
        ("hosted/app_waiting.conf", render_site(SITE, acme=STATE / "acme")),
        ("hosted/app_tls.conf", render_site(TLS, acme=STATE / "acme")),
        ("hosted/hosted.conf", render_server_block(Settings(state=STATE, domain="example.com"))),
        (
            "hosted/hosted.service",
            render_unit(Settings(state=STATE, domain="example.com"), user="hosted", program=PROGRAM),
        ),
        (
            "hosted/hosted_many_options.service",
            render_unit(
                Settings(state=STATE, domain="example.com", private=True, ssl=True), user="root", program=PROGRAM
            ),
        ),
    ],
)
def test_the_files_read_as_agreed(name: str, text: str, golden: Callable[[str, str], None]):
    golden(name, text)
    assert text.isascii()
    assert text.endswith("\n")
    assert "\n\n\n" not in text
    assert [line for line in text.splitlines() if line != line.rstrip()] == []


def test_systemd_finds_nothing_to_complain_about(tmp_path: Path):
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("there is no `systemd-analyze`")
    unit = tmp_path / "hosted.service"
    # Its program, user and directory would have to be there.
    settings = Settings(state=tmp_path, domain="example.com", ssl=True)
    unit.write_text(render_unit(settings, user="root", program=Path(sys.executable)))

    ran = subprocess.run([analyze, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False)

    assert [line for line in ran.stderr.splitlines() if "hosted.service" in line] == []


@given(st.one_of(st.text(max_size=20), st.text("ab;{}$ \n\"'\\#%", max_size=20)))
def test_no_value_can_change_a_files_structure(text: str):
    if text and not set(text) - set(string.ascii_letters + string.digits + "/._:@+-"):
        assert plain(text) == text
    else:
        with pytest.raises(InputError, match="cannot stand in a configuration file"):
            plain(text)


@pytest.mark.parametrize("value", [None, True, 1.5, ["a"], b"a"])
def test_other_objects_are_mistakes_in_a_template(value: object):
    with pytest.raises(TypeError):
        plain(value)


@pytest.mark.parametrize("path", ["/srv/a b", "/srv/a;b", "/srv/$x", "/srv/%h", "/srv/ä", "/srv/a\nb", "/srv/a:b"])
def test_a_path_that_means_something_to_nginx_or_systemd_is_refused(path: str):
    with pytest.raises(InputError, match="cannot be written into the configuration of nginx"):
        Settings(state=Path(path))


@pytest.mark.parametrize("user", ["", "a b", "a%i", "Root", "-x", "a\n"])
def test_what_is_no_user_is_refused(user: str):
    with pytest.raises(InputError, match=r"^--user "):
        render_unit(Settings(state=STATE, domain="example.com"), user=user, program=PROGRAM)


def test_the_key_is_random_its_owners_only_and_kept(tmp_path: Path):
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
    assert len(list((tmp_path / "a").iterdir())) == 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "nginx.py").write_text(FAKE)
    return tmp_path


@pytest.fixture
def nginx(folder: Path) -> Nginx:
    # It has other workers at each look, as after a reload.
    numbers = itertools.count(2)
    command = (sys.executable, "-IS", str(folder / "nginx.py"), str(folder))
    return Nginx(command, folder / "state", processes=lambda: [Process((next(numbers), 1), 1)])


def written(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (folder / "state" / FOLDER).iterdir()}


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().splitlines() if (folder / "calls").exists() else []


def test_files_are_checked_before_they_are_read(nginx: Nginx, folder: Path):
    nginx.apply({"a.example.com": "a", "b.example.com": "b"})

    assert written(folder) == {"a.example.com": "a", "b.example.com": "b"}
    assert calls(folder) == ["-T", "-s reload"]


def test_where_nothing_changes_nginx_is_left_alone(nginx: Nginx, folder: Path):
    nginx.apply({"a.example.com": "a"})
    nginx.apply({"a.example.com": "a", "b.example.com": None})

    assert calls(folder) == ["-T", "-s reload"]


def test_files_of_a_killed_worker_are_read_at_the_next_change(nginx: Nginx, folder: Path):
    (folder / "state" / "nginx-unread").touch()

    # Nothing changes, but it is unknown what nginx has read.
    nginx.apply({"a.example.com": None})
    nginx.apply({"a.example.com": None})

    assert calls(folder) == ["-T", "-s reload"]


def test_reload_that_is_not_sent_leaves_nothing_to_read(nginx: Nginx, folder: Path):
    nginx.apply({"a.example.com": "a"})
    (folder / "down").touch()
    with pytest.raises(NginxError, match=r"^nginx -s reload failed: open\(\)"):
        nginx.apply({"a.example.com": "b", "b.example.com": "b"})
    (folder / "calls").unlink()

    nginx.apply({"a.example.com": "a", "b.example.com": None})

    assert calls(folder) == []


def test_all_workers_of_before_are_waited_for(folder: Path):
    leaving, serving, other = Process((10, 1), 1, is_leaving=True), Process((11, 1), 1), Process((12, 1), 2)
    looks = iter([[leaving, serving, other], [leaving, serving, other], [leaving, Process((13, 1), 1), other]])
    command = (sys.executable, "-IS", str(folder / "nginx.py"), str(folder))

    reload = Nginx(command, folder / "state", processes=lambda: next(looks)).apply({"a.example.com": "a"})

    # Another nginx of this machine has none of the requests.
    assert reload.before == frozenset({(10, 1), (11, 1)})


@pytest.mark.parametrize(
    ("lines", "has_it"),
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
def test_names_of_a_site_are_read_as_nginx_reads_them(lines: str, has_it: bool):
    names = server_names.server_names(f"server {{ listen 127.0.0.2:8080; {lines} }}")

    assert any(server_names.is_for(name, "shop.example.net") for name in names) is has_it


def test_name_of_this_host_is_that_of_its_site(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("socket.gethostname", lambda: "Shop.example.net")

    assert server_names.is_for("$hostname", "shop.example.net")
    assert not server_names.is_for("$hostname", "example.net")


def test_domain_of_another_site_is_refused_and_nothing_is_written(nginx: Nginx, folder: Path):
    (folder / "shop.site").write_text("server { listen 127.0.0.2:8080; server_name *.example.net; }")

    for call in (lambda: nginx.require_free("shop.example.net"), lambda: nginx.apply({"shop.example.net": "a"})):
        with pytest.raises(AppConflict, match=r"^The domain shop\.example\.net belongs to .*shop\.site\.$"):
            call()

    assert written(folder) == {}
    assert "-s reload" not in calls(folder)
    assert nginx.served_elsewhere(["shop.example.net"]) == {"shop.example.net": str(folder / "shop.site")}
    # Its site is in the way of no other domain.
    nginx.apply({"app1.example.com": "a"})
    assert list(written(folder)) == ["app1.example.com"]


def test_only_a_warning_of_the_same_domain_counts(nginx: Nginx, folder: Path):
    warning = 'nginx: [warn] conflicting server name "{}" on 0.0.0.0:80, ignored\n'
    (folder / "warnings").write_text(warning.format("b.example.com") + warning.format("xa.example.com"))
    nginx.apply({"a.example.com": "a"})

    with pytest.raises(AppConflict, match=r"^The domain b\.example\.com belongs to another site of this nginx\.$"):
        nginx.apply({"a.example.com": "c", "b.example.com": "b"})

    assert written(folder) == {"a.example.com": "a"}


def test_own_files_are_no_other_site(nginx: Nginx, folder: Path):
    text = render_site(SITE, acme=None)
    nginx.apply({SITE.domain: text})

    nginx.apply({SITE.domain: text.replace("20000", "20001")})

    assert nginx.served_elsewhere([SITE.domain]) == {}
    # A second name in one of them is not of this program.
    (folder / "state" / FOLDER / "b.example.com").write_text("server { server_name b.example.com c.example.com; }")
    assert list(nginx.served_elsewhere(["b.example.com", "c.example.com"])) == ["c.example.com"]


def test_what_nginx_refuses_is_taken_back(nginx: Nginx, folder: Path):
    nginx.apply({"a.example.com": "a", "b.example.com": "b"})

    with pytest.raises(NginxRefused, match=r"^nginx refuses: unknown directive in "):
        nginx.apply({"a.example.com": "bad", "b.example.com": None, "c.example.com": "c"})

    assert written(folder) == {"a.example.com": "a", "b.example.com": "b"}
    assert list((folder / "state" / "tmp").iterdir()) == []
    (folder / "calls").unlink()
    nginx.apply({"a.example.com": "a"})
    assert calls(folder) == []


def test_what_nginx_refuses_without_it_is_not_its_fault(nginx: Nginx, folder: Path):
    (folder / "state" / FOLDER / "somebody").write_text("bad")

    with pytest.raises(NginxError, match=r"^nginx has a configuration that it refuses: ") as caught:
        nginx.apply({"a.example.com": "a"})

    assert not isinstance(caught.value, NginxRefused)
    assert written(folder) == {"somebody": "bad"}


@pytest.mark.parametrize(
    ("trouble", "said"), [("absent", "sudo: a password is required"), ("down", 'open() "/run/nginx.pid" failed')]
)
def test_an_nginx_that_cannot_be_used_is_told_and_nothing_is_left(nginx: Nginx, folder: Path, trouble: str, said: str):
    (folder / trouble).touch()

    with pytest.raises(NginxError) as caught:
        nginx.apply({"a.example.com": "a"})

    assert said in caught.value.message
    assert not isinstance(caught.value, NginxRefused)
    assert written(folder) == {}


def test_a_command_that_is_not_there_is_told(folder: Path):
    with pytest.raises(NginxError, match=r"^nginx cannot be called: .*no-nginx"):
        Nginx((str(folder / "no-nginx"),), folder / "state").apply({"a.example.com": "a"})

    assert written(folder) == {}


def test_programs_that_are_called_are_not_given_the_key(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DEPLOY_KEY", "a-key")
    script = f"env >{shlex.quote(str(folder / 'environment'))}"
    Nginx(("sh", "-c", script, "nginx"), folder / "state", processes=list).apply({"a.example.com": "a"})

    assert "PATH=" in (folder / "environment").read_text()
    assert "a-key" not in (folder / "environment").read_text()
