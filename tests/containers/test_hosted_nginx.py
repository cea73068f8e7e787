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

from exasol_ci_setup.containers.hosted.nginx import FOLDER, Nginx, Site, plain, render_site
from exasol_ci_setup.containers.hosted.settings import Settings
from exasol_ci_setup.containers.hosted.setup_files import KEY_FILE, render_server_block, render_unit, write
from exasol_ci_setup.errors import InputError, NginxError, NginxRefused

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
if sys.argv[2] == "-t":
    for file in sorted((folder / "state/nginx-confs").iterdir()):
        if "bad" in file.read_text():
            print(f"nginx: [emerg] unknown directive in {file}\\nnginx: configuration file test failed", file=sys.stderr)
            sys.exit(1)
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
    # It has other workers whenever somebody looks, as after a reload.
    numbers = itertools.count()
    command = (sys.executable, str(folder / "nginx.py"), str(folder))
    return Nginx(command, folder / "state", workers=lambda: {1: {next(numbers)}})


def written(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (folder / "state" / FOLDER).iterdir()}


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().splitlines() if (folder / "calls").exists() else []


def test_files_are_checked_before_they_are_read(nginx: Nginx, folder: Path):
    nginx.apply({"a.example.com": "a", "b.example.com": "b"})

    assert written(folder) == {"a.example.com": "a", "b.example.com": "b"}
    assert calls(folder) == ["-t", "-s reload"]


def test_where_nothing_changes_nginx_is_left_alone(nginx: Nginx, folder: Path):
    nginx.apply({"a.example.com": "a"})
    nginx.apply({"a.example.com": "a", "b.example.com": None})

    assert calls(folder) == ["-t", "-s reload"]


def test_files_that_a_killed_worker_wrote_are_read_by_nginx_at_the_next_chance(nginx: Nginx, folder: Path):
    (folder / "down").touch()
    with pytest.raises(NginxError):
        nginx.apply({"a.example.com": "a"})
    (folder / "down").unlink()
    (folder / "calls").unlink()

    # Nothing changes, but nobody knows what nginx has read.
    nginx.apply({"a.example.com": None})
    nginx.apply({"a.example.com": None})

    assert calls(folder) == ["-t", "-s reload"]


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
    Nginx(("sh", "-c", script, "nginx"), folder / "state", workers=dict).apply({"a.example.com": "a"})

    assert "PATH=" in (folder / "environment").read_text()
    assert "a-key" not in (folder / "environment").read_text()
