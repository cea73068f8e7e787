"""Certificates for apps from a local certificate authority that checks its challenges through nginx."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess

import pytest

from exasol_ci_setup.containers.hosted.certificates import Certificates
from exasol_ci_setup.containers.hosted.deployments import Deployments
from exasol_ci_setup.containers.hosted.instances import Instances
from exasol_ci_setup.containers.hosted.nginx import Nginx
from exasol_ci_setup.containers.hosted.nginx_program import NginxCommand
from exasol_ci_setup.containers.hosted.settings import Settings
from exasol_ci_setup.containers.hosted.state import State
from exasol_ci_setup.docker import engine
from tests.engine.authority import Authority, listens
from tests.engine.hosted import DOMAIN, Answer, Host, echo, request, until, upload

pytestmark = pytest.mark.engine


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
    host.init("--ssl")
    subprocess.run([*host.nginx, "-s", "reload"], check=True, capture_output=True)
    authority.start()
    host.start("--ssl", environment=authority.environment)

    def api(path: str, body: dict[str, object]) -> Answer:
        return host.curl(path, body, "--insecure", "--resolve", f"{DOMAIN}:443:127.0.0.1", url=f"https://{DOMAIN}")

    # The API never accepts a key over HTTP.
    assert host.new("demo:1").status == 301
    until(lambda: (host.state / "nginx-confs" / DOMAIN).exists() and listens(443))
    assert fetch(DOMAIN)[0]["for"]
    assert api("/new", {"image": "demo:1", "name": "app1"}).text == "Running on app1.example.com!"
    assert api("/add_domain", {"name": "app1", "domain": "www.example.org"}).json == {"success": True}

    listed = host.curl("/", None, "--insecure", "--resolve", f"{DOMAIN}:443:127.0.0.1", url=f"https://{DOMAIN}").json
    assert listed["app1"]["tls"] == ["app1.example.com", "www.example.org"]
    assert api("/get", {"name": "app1"}).json["tls"] == ["app1.example.com", "www.example.org"]
    for address in ("127.0.0.1", "::1"):
        assert echo("app1.example.com", "hello", address=address, tls=True) == "hello"
        assert upload("app1.example.com", 50 << 20, address=address, tls=True).text == f"{50 << 20} bytes"
    for domain in ("app1.example.com", "www.example.org"):
        certificate, body = fetch(domain)
        assert certificate["for"]
        assert body == b"1 prod 8001 - -"
        plain = request(domain, "/a?b=c")
        assert (plain.status, plain.headers["Location"]) == (301, f"https://{domain}/a?b=c")
    # An update keeps the certificate.
    first, _ = fetch("app1.example.com")
    assert api("/redeploy", {"name": "app1", "image": "demo:2"}).text == "Running on app1.example.com!"
    assert until(lambda: fetch("app1.example.com") == (first, b"2 prod 8001 - -"))
    # The certificate of a removed domain or app is not renewed.
    renewed = host.state / "letsencrypt" / "renewal"
    assert api("/remove_domain", {"name": "app1", "domain": "www.example.org"}).json == {"success": True}
    assert {path.stem for path in renewed.iterdir()} == {DOMAIN, "app1.example.com"}
    assert api("/delete", {"name": "app1"}).json == {"success": True}
    assert {path.stem for path in renewed.iterdir()} == {DOMAIN}


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
    assert host.curl("/").json["app1"]["tls"] == []
    # The next start requests it again.
    host.stop()
    authority.start()
    host.start("--ssl", environment=authority.environment)
    until(lambda: request("app1.example.com").status == 301)
    # An old worker of nginx may accept a last connection, and has TLS for the API only.
    until(lambda: fetch("app1.example.com")[1] == b"1 prod 8001 - -")


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
    # A server block without TLS forwards the challenge of the API to the API.
    assert until((host.state / "nginx-confs" / DOMAIN).exists)
    assert until(lambda: fetch(DOMAIN)[0]["for"])
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
