"""Certificates for apps from a local certificate authority that checks its challenges through nginx."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from exasol_ci_setup.containers.hosted.certificates import Certificates
from exasol_ci_setup.containers.hosted.deployments import Deployments
from exasol_ci_setup.containers.hosted.instances import Instances
from exasol_ci_setup.containers.hosted.nginx import Nginx
from exasol_ci_setup.containers.hosted.nginx_program import NginxCommand
from exasol_ci_setup.containers.hosted.settings import Settings
from exasol_ci_setup.containers.hosted.state import State
from exasol_ci_setup.docker import engine
from tests.engine.conftest import need
from tests.engine.hosted import DOMAIN, Host, request, until

pytestmark = pytest.mark.engine

ACME_PORT = 14000
DNS_PORT = 8053
NAMES_PORT = 8055


class Authority:
    """Pebble, a certificate authority for tests, and a name server that resolves all names to this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        certificate, key = folder / "authority.pem", folder / "authority.key"
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
                *("-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)),
            ],
            check=True,
            capture_output=True,
        )
        settings = {
            "listenAddress": f"127.0.0.1:{ACME_PORT}",
            "managementListenAddress": "127.0.0.1:15000",
            "certificate": str(certificate),
            "privateKey": str(key),
            "httpPort": 80,
            "tlsPort": 443,
        }
        (folder / "pebble.json").write_text(json.dumps({"pebble": settings}))
        # The configuration of certbot sets the authority.
        (folder / "letsencrypt").mkdir()
        (folder / "letsencrypt" / "cli.ini").write_text(f"server = https://localhost:{ACME_PORT}/dir\n")
        self.environment = {"XDG_CONFIG_HOME": str(folder), "REQUESTS_CA_BUNDLE": str(certificate)}

    def start(self) -> None:
        names = [
            *(
                "pebble-challtestsrv",
                "-defaultIPv4",
                "127.0.0.1",
                "-defaultIPv6",
                "",
                "-dns01",
                f"127.0.0.1:{DNS_PORT}",
            ),
            *("-http01", "", "-https01", "", "-tlsalpn01", "", "-management", f"127.0.0.1:{NAMES_PORT}"),
        ]
        pebble = ["pebble", "-config", str(self._folder / "pebble.json"), "-dnsserver", f"127.0.0.1:{DNS_PORT}"]
        # Pebble must not pause, and must accept each nonce.
        environment = {**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"}
        with (self._folder / "pebble.log").open("ab") as log:
            for command in (names, pebble):
                self._processes.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
        until(lambda: _listens(ACME_PORT))

    def resolve_elsewhere(self, domain: str) -> None:
        """Resolve a name to an address without a machine."""
        body = json.dumps({"host": f"{domain}.", "addresses": ["203.0.113.1"]}).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{NAMES_PORT}/add-a", data=body) as answer:
            assert answer.status == 200

    def stop(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        self._processes.clear()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[Authority]:
    need("certbot", "pebble", "pebble-challtestsrv", "openssl")
    started = Authority(tmp_path)
    yield started
    started.stop()


def fetch(domain: str) -> tuple[dict[str, object], bytes]:
    """Return the certificate and the answer to a request over TLS."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", 443), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=domain) as connection,
    ):
        certificate = connection.getpeercert(binary_form=True)
        connection.sendall(f"GET / HTTP/1.0\r\nHost: {domain}\r\n\r\n".encode())
        body = connection.makefile("rb").read().rpartition(b"\r\n\r\n")[2]
    assert certificate is not None
    text = subprocess.run(
        ["openssl", "x509", "-inform", "der", "-noout", "-serial", "-ext", "subjectAltName"],
        input=certificate,
        capture_output=True,
        check=True,
    ).stdout.decode()
    return {"serial": text.splitlines()[0], "for": f"DNS:{domain}" in text}, body


def test_each_domain_gets_certificate_and_http_is_redirected(stopped_host: Host, authority: Authority):
    host = stopped_host
    authority.start()
    host.start("--ssl", environment=authority.environment)

    assert host.new("demo:1").text == "Running on app1.example.com!"
    assert host.curl("/add_domain", {"name": "app1", "domain": "www.example.org"}).json == {"success": True}

    for domain in ("app1.example.com", "www.example.org"):
        certificate, body = fetch(domain)
        assert certificate["for"]
        assert body == b"1 prod 8001 - -"
        plain = request(domain, "/a?b=c")
        assert (plain.status, plain.headers["Location"]) == (301, f"https://{domain}/a?b=c")
    # An update keeps the certificate.
    first, _ = fetch("app1.example.com")
    assert host.new("demo:2").text == "Running on app1.example.com!"
    assert until(lambda: fetch("app1.example.com") == (first, b"2 prod 8001 - -"))
    assert host.curl("/delete", {"name": "app1"}).json == {"success": True}
    assert list((host.state / "letsencrypt" / "renewal").iterdir()) == []


def test_failed_certificate_is_reported_and_retried(stopped_host: Host, authority: Authority):
    host = stopped_host
    host.start("--ssl", environment=authority.environment)

    new = host.new("demo:1")

    assert new.status == 502
    assert new.json["reason"].startswith(
        "The app is served without TLS: app1.example.com has no certificate: certbot failed: "
    )
    assert request("app1.example.com").text == "1 prod 8001 - -"
    assert host.curl("/").json["app1"]["running"]
    # The next start requests it again.
    host.stop()
    authority.start()
    host.start("--ssl", environment=authority.environment)
    until(lambda: request("app1.example.com").status == 301)
    assert fetch("app1.example.com")[1] == b"1 prod 8001 - -"


def test_reason_of_certificate_authority_is_reported(stopped_host: Host, authority: Authority):
    host = stopped_host
    authority.start()
    host.start("--ssl", environment=authority.environment)
    host.new("demo:1")

    authority.resolve_elsewhere("elsewhere.example")
    answer = host.curl("/add_domain", {"name": "app1", "domain": "elsewhere.example"})

    assert answer.status == 502
    assert "elsewhere.example has no certificate: certbot failed: " in answer.json["reason"]
    assert "203.0.113.1" in answer.json["reason"]
    assert request("elsewhere.example").text == "1 prod 8001 - -"
    # The other domain has its certificate.
    assert request("app1.example.com").status == 301


def test_renewed_certificates_are_served_by_nginx(
    stopped_host: Host, authority: Authority, monkeypatch: pytest.MonkeyPatch
):
    host = stopped_host
    authority.start()
    host.start("--ssl", environment=authority.environment)
    host.new("demo:1")
    before, _ = fetch("app1.example.com")
    for name, value in authority.environment.items():
        monkeypatch.setenv(name, value)
    settings = Settings(state=host.state, domain=DOMAIN, ssl=True, nginx=tuple(host.nginx))
    state = State(host.state)
    client = engine.connect()
    with contextlib.closing(client):
        deployments = Deployments(
            settings,
            state,
            Instances(client, state.identity, settings.subnets),
            Nginx(NginxCommand(settings.nginx), host.state),
            Certificates(host.state),
        )
        # No certificate expires soon, so none is renewed.
        deployments.renew()
        assert fetch("app1.example.com")[0] == before

        deployments.renew(force=True)

    after, body = fetch("app1.example.com")
    assert after["serial"] != before["serial"]
    assert body == b"1 prod 8001 - -"
