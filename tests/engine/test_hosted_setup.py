"""The setup steps of docs/hosted.md, with private /etc, /opt and /srv."""

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

# Tests run without systemd. This program does what systemd does for the unit.
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


def read_steps() -> list[str]:
    """Return the blocks of commands, one for each step."""
    page = (ROOT / "docs" / "hosted.md").read_text(encoding="utf-8")
    section = page.partition("## Set up a Debian host")[2].partition("\n## ")[0]
    return [textwrap.dedent(block) for block in re.findall(r" *```sh\n(.*?)\n *```", section, re.DOTALL)]


def test_setup_steps_of_page_start_service(images: None, tmp_path: Path):  # noqa: ARG001 - loads the images into the engine
    need("nginx", "curl", "sudo", "setpriv", "unshare", "useradd")
    code = f"import sys; sys.path[:0] = {[str(ROOT), *site.getsitepackages()]!r}; import exasol_ci_setup.containers.hosted.bodies"
    check = subprocess.run(
        ["setpriv", "--reuid", "nobody", "--clear-groups", PYTHON, "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    if check.returncode:
        pytest.skip(f"other users cannot run the program from here: {check.stderr.strip().splitlines()[-1]}")
    packages, install, init, enable, deploy = read_steps()
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

        # Instead of the second step: install the program from this clone.
        {PYTHON} -m venv --without-pip /opt/exasol-ci-setup
        echo '{paths}' >$(echo /opt/exasol-ci-setup/lib/python3*/site-packages)/clone.pth
        printf '%s\\n' '#!/opt/exasol-ci-setup/bin/python3' 'from exasol_ci_setup.cli.main import main' \\
          'if __name__ == "__main__":' '    main()' >/opt/exasol-ci-setup/bin/exasol-ci-setup
        chmod 755 /opt/exasol-ci-setup/bin/exasol-ci-setup

        {{
        {init}
        }} 2>{tmp_path}/output
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
        # The service uses the default socket of the engine.
        env={name: value for name, value in os.environ.items() if not name.startswith(("DOCKER_", "PYTHON"))},
    )
    log = Path("/run/hosted.log")

    try:
        output = f"{ran.stdout}\n{ran.stderr}\n{log.read_text() if log.exists() else ''}"
        assert ran.returncode == 0, output
        lines = ran.stdout.splitlines()
        assert lines[-3:] == ["Running on app1.example.com!", "1 prod 80 - -", "hosted"], output
        # The page and the program list the same commands.
        printed = [line.strip() for line in (tmp_path / "output").read_text().splitlines() if line.startswith("  ")]
        assert printed == [line.replace("/root/hosted", str(tmp_path / "hosted")) for line in enable.splitlines()]
    finally:
        ours = docker("ps", "--all", "--quiet", "--filter", f"label={LABEL}").split()
        if ours:
            docker("rm", "--force", "--volumes", *ours)
        docker("volume", "rm", "--force", "hosted-app1-save")
