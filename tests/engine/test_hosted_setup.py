"""The setup steps of docs/hosted.md, with systemd in a process namespace, and private /etc, /opt and /srv."""

from __future__ import annotations

import os
import re
import site
import subprocess
import textwrap
from pathlib import Path

import pytest

from tests.engine.authority import Authority
from tests.engine.conftest import REQUIRED, need
from tests.engine.hosted import LABEL, docker, until

pytestmark = pytest.mark.engine

ROOT = Path(__file__).parents[2]
PYTHON = "/usr/bin/python3"

STEPS = "/run/steps"

# Boots systemd with units of this test only. Units of the machine must not run: they change files that the namespace shares, such as
# those in /tmp.
BOOT = f"""
set -eu
# As systemd does at a boot: the mount of a credential must reach the namespace of its service.
mount --make-rshared /
mkdir {STEPS}
mount --bind {{folder}} {STEPS}
cp -a /etc /run/etc && mount --bind /run/etc /etc
for folder in /srv /opt /tmp /var/tmp /usr/lib/systemd/system /usr/lib/systemd/system-generators; do
  mount -t tmpfs -o mode=755 tmpfs $folder
done
chmod 1777 /tmp /var/tmp
rm -rf /etc/systemd/system /etc/systemd/system-generators && mkdir /etc/systemd/system
for each in sysinit basic multi-user paths shutdown; do echo '[Unit]' >/etc/systemd/system/$each.target; done
for each in hosted hosted-nginx; do
  mkdir /etc/systemd/system/$each.service.d
  printf '[Service]\\nStandardOutput=append:{STEPS}/journal\\nStandardError=inherit\\n' >/etc/systemd/system/$each.service.d/log.conf
done
# certbot accepts the certificate of the authority.
install -m 0644 {STEPS}/authority.pem /etc/authority.pem
printf 'Environment=REQUESTS_CA_BUNDLE=/etc/authority.pem\\n' >>/etc/systemd/system/hosted.service.d/log.conf
echo '127.0.0.1 example.com app1.example.com' >>/etc/hosts
ln -sf {{engine}} /run/docker.sock
cat >/etc/systemd/system/steps.service <<'END'
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
ExecStart=/bin/bash -c 'bash {STEPS}/steps >{STEPS}/output 2>{STEPS}/errors; echo $? >{STEPS}/status'
END
exec env --ignore-environment PATH=$PATH container=docker /lib/systemd/systemd --system --unit=steps.service \\
  --log-target=console --show-status=no
"""


def read_steps() -> list[str]:
    """Return the blocks of commands, one for each step."""
    page = (ROOT / "docs" / "hosted.md").read_text(encoding="utf-8")
    section = page.partition("## Set up a Debian host")[2].partition("\n## ")[0]
    return [textwrap.dedent(block) for block in re.findall(r" *```sh\n(.*?)\n *```", section, re.DOTALL)]


def test_setup_steps_of_page_start_service(
    images: None,  # noqa: ARG001 - loads the images into the engine
    authority: Authority,
    tmp_path: Path,
):
    need("nginx", "curl", "setpriv", "unshare", "useradd", "systemctl")
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
    assert {"docker.io", "nginx-light", "certbot", "curl", "python3-venv"} < installed
    assert "sudo" not in installed
    assert "pip install '.[containers]'" in install
    docker("tag", "demo:1", "nginxdemos/hello")
    authority.start()
    paths = "\n".join([str(ROOT), *site.getsitepackages()])
    script = f"""
        set -eu
        nginx
        # Instead of the second step: install the program from this clone.
        {PYTHON} -m venv --without-pip /opt/exasol-ci-setup
        echo '{paths}' >$(echo /opt/exasol-ci-setup/lib/python3*/site-packages)/clone.pth
        printf '%s\\n' '#!/opt/exasol-ci-setup/bin/python3' 'from exasol_ci_setup.cli.main import main' \\
          'if __name__ == "__main__":' '    main()' >/opt/exasol-ci-setup/bin/exasol-ci-setup
        chmod 755 /opt/exasol-ci-setup/bin/exasol-ci-setup

        # The test has its own certificate authority, which no program trusts.
        export CURL_HOME={STEPS}
        echo insecure >{STEPS}/.curlrc
        install -D -m 0644 {STEPS}/letsencrypt/cli.ini /etc/letsencrypt/cli.ini

        {{
        {init}
        }} 2>{STEPS}/printed
        # The clone may be in a home directory; an installed program is not.
        case {ROOT} in /home/* | /root/*) sed -i s/ProtectHome=yes/ProtectHome=read-only/ {STEPS}/hosted/hosted.service ;; esac
        {enable}
        for _ in $(seq 300); do curl --silent --fail https://example.com/openapi.json >/dev/null && break; sleep 0.1; done || true
        curl --silent --fail https://127.0.0.1:15000/roots/0 >{STEPS}/root.pem
        export SSL_CERT_FILE={STEPS}/root.pem
        {deploy}
        curl --silent --show-error https://app1.example.com/
        echo
        # After SIGKILL, systemd starts the service again.
        systemctl kill --signal=KILL hosted
        for _ in $(seq 300); do curl --silent --fail https://example.com/openapi.json >/dev/null && break; sleep 0.1; done
        {deploy.replace("deploy nginxdemos/hello --name app1 --env PORT=80", "redeploy app1")}
        systemctl show --property=User,NRestarts hosted
    """
    (tmp_path / "steps").write_text(script.replace("/root/hosted", f"{STEPS}/hosted"))
    (tmp_path / "boot").write_text(
        BOOT.format(folder=tmp_path, engine=os.environ["DOCKER_HOST"].removeprefix("unix://"))
    )
    command = [
        "unshare",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "--mount",
        "--propagation",
        "private",
        "--uts",
    ]

    try:
        with (tmp_path / "console").open("w") as console:
            booted = subprocess.Popen([*command, "bash", str(tmp_path / "boot")], stdout=console, stderr=console)
        try:
            until(lambda: (tmp_path / "status").exists() or booted.poll() is not None, 120)
        finally:
            # The processes of the namespace end with it.
            booted.kill()
            booted.wait()
        if not (tmp_path / "output").exists() and not REQUIRED:
            pytest.skip(f"systemd does not boot here: {(tmp_path / 'console').read_text()[-500:]}")
        texts = {each.name: each.read_text() for each in tmp_path.iterdir() if each.is_file()}
        seen = "\n".join(f"{name}:\n{texts.get(name, '')}" for name in ("output", "errors", "console", "journal"))
        assert texts.get("status") == "0\n", seen
        answer = "Running on app1.example.com!"
        end = [answer, "1 prod 80 - -", answer, "User=hosted", "NRestarts=1"]
        assert sorted(texts["output"].splitlines()[-5:]) == sorted(end), seen
        # The page and the program list the same commands.
        printed = [line.strip() for line in texts["printed"].splitlines() if line.startswith("  ")]
        assert printed == [line.replace("/root/hosted", f"{STEPS}/hosted") for line in enable.splitlines()]
    finally:
        ours = docker("ps", "--all", "--quiet", "--filter", f"label={LABEL}").split()
        if ours:
            docker("rm", "--force", "--volumes", *ours)
        docker("volume", "rm", "--force", "hosted-app1-save")
        for network in docker("network", "ls", "--quiet", "--filter", f"label={LABEL}").split():
            docker("network", "rm", network)
