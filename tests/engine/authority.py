"""A local certificate authority that checks its challenges through nginx."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import urllib.request
from pathlib import Path

from tests.engine.hosted import until

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
        until(lambda: listens(ACME_PORT))

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


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
