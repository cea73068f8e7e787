"""The set-up in docs/hosted.md, step by step as it is written there, with /etc, /opt and /srv of its own."""

from __future__ import annotations

import os
import re
import site
import subprocess
import textwrap
from pathlib import Path

import pytest

from tests.engine.conftest import need
from tests.engine.hosted import LABEL, docker

pytestmark = pytest.mark.engine

ROOT = Path(__file__).parents[2]
PYTHON = "/usr/bin/python3"

# There is no systemd where tests run. This does what the unit asks of it.
SYSTEMCTL = f"""#!{PYTHON}
import os, pathlib, shlex, shutil, subprocess, sys
if sys.argv[1:] == ["daemon-reload"]:
    sys.exit()
assert sys.argv[1:] == ["enable", "--now", "hosted"], sys.argv
lines = pathlib.Path("/etc/systemd/system/hosted.service").read_text().splitlines()
unit = [line.partition("=")[::2] for line in lines if "=" in line and not line.startswith("#")]
one = dict(unit)
environment = {{"PATH": "/usr/bin:/usr/sbin:/bin", "LANG": "C.UTF-8"}}
environment |= dict(value.partition("=")[::2] for name, value in unit if name == "Environment")
name, _, path = one["LoadCredential"].partition(":")
folder = pathlib.Path("/run/credentials")
folder.mkdir()
shutil.copyfile(path, folder / name)
(folder / name).chmod(0o400)
for each in (folder / name, folder):
    shutil.chown(each, one["User"])
folder.chmod(0o500)
environment["CREDENTIALS_DIRECTORY"] = str(folder)
log = open("/run/hosted.log", "w")
groups = f"{{one['Group']}},{{one['SupplementaryGroups']}}"
command = ["setpriv", "--reuid", one["User"], "--regid", one["Group"], "--groups", groups, *shlex.split(one["ExecStart"])]
service = subprocess.Popen(command, cwd=one["WorkingDirectory"], env=environment, stdout=log, stderr=log, start_new_session=True)
pathlib.Path("/run/hosted.pid").write_text(str(service.pid))
"""


def steps() -> list[str]:
    """The blocks of commands, one for each step."""
    page = (ROOT / "docs" / "hosted.md").read_text(encoding="utf-8")
    section = page.partition("## From a bare Debian host")[2].partition("\n## ")[0]
    return [textwrap.dedent(block) for block in re.findall(r" *```sh\n(.*?)\n *```", section, re.DOTALL)]


def test_the_steps_lead_from_a_bare_host_to_a_running_service(images: None, tmp_path: Path):  # noqa: ARG001 - they are in the engine
    need("nginx", "curl", "sudo", "setpriv", "unshare", "useradd")
    code = f"import sys; sys.path[:0] = {[str(ROOT), *site.getsitepackages()]!r}; import exasol_ci_setup.containers.hosted.bodies"
    tried = subprocess.run(
        ["setpriv", "--reuid", "nobody", "--clear-groups", PYTHON, "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    if tried.returncode:
        pytest.skip(f"other users cannot run the program from here: {tried.stderr.strip().splitlines()[-1]}")
    packages, install, init, enable, deploy = steps()
    installed = set(packages.split())
    assert {"docker.io", "nginx-light", "certbot", "sudo", "curl", "python3-venv"} < installed
    assert "pip install '.[containers]'" in install
    docker("tag", "demo:1", "nginxdemos/hello")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "systemctl").write_text(SYSTEMCTL)
    (tmp_path / "bin" / "systemctl").chmod(0o755)
    paths = "\n".join([str(ROOT), *site.getsitepackages()])
    script = f"""
        set -eu
        cp -a /etc /run/etc && mount --bind /run/etc /etc
        for folder in /srv /opt; do mount -t tmpfs -o mode=755 tmpfs $folder; done
        echo '127.0.0.1 example.com app1.example.com' >>/etc/hosts
        ln -s {os.environ["DOCKER_HOST"].removeprefix("unix://")} /run/docker.sock
        export PATH={tmp_path}/bin:$PATH
        nginx
        trap 'kill $(cat /run/nginx.pid) $(cat /run/hosted.pid)' EXIT

        # In place of the second step: the program as it is here.
        {PYTHON} -m venv --without-pip /opt/exasol-ci-setup
        echo '{paths}' >$(echo /opt/exasol-ci-setup/lib/python3*/site-packages)/here.pth
        printf '%s\\n' '#!/opt/exasol-ci-setup/bin/python3' 'from exasol_ci_setup.cli.main import main' \\
          'if __name__ == "__main__":' '    main()' >/opt/exasol-ci-setup/bin/exasol-ci-setup
        chmod 755 /opt/exasol-ci-setup/bin/exasol-ci-setup

        {{
        {init}
        }} 2>{tmp_path}/said
        {enable}
        for _ in $(seq 200); do curl --silent --fail http://example.com/openapi.json >/dev/null && break; sleep 0.1; done || true
        {deploy}
        echo
        curl --silent --show-error http://app1.example.com/
        echo
        ps -o user= -p $(cat /run/hosted.pid)
    """
    ran = subprocess.run(
        [
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "bash",
            "-c",
            script.replace("/root/hosted", str(tmp_path / "hosted")),
        ],
        capture_output=True,
        text=True,
        check=False,
        # The engine is where everybody looks for it.
        env={name: value for name, value in os.environ.items() if not name.startswith(("DOCKER_", "PYTHON"))},
    )
    log = Path("/run/hosted.log")

    try:
        told = f"{ran.stdout}\n{ran.stderr}\n{log.read_text() if log.exists() else ''}"
        assert ran.returncode == 0, told
        lines = ran.stdout.splitlines()
        assert lines[-3:] == ["Running on app1.example.com!", "1 prod 80 - -", "hosted"], told
        # What the page says to do is what the program says to do.
        printed = [line.strip() for line in (tmp_path / "said").read_text().splitlines() if line.startswith("  ")]
        assert printed == [line.replace("/root/hosted", str(tmp_path / "hosted")) for line in enable.splitlines()]
    finally:
        ours = docker("ps", "--all", "--quiet", "--filter", f"label={LABEL}").split()
        if ours:
            docker("rm", "--force", "--volumes", *ours)
        docker("volume", "rm", "--force", "hosted-app1-save")
