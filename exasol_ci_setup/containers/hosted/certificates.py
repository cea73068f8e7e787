"""Certificates for the domains of apps: requests and renewals with certbot, and checks of the served certificate."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.containers.hosted.settings import run_program
from exasol_ci_setup.core.errors import CertificateError

if TYPE_CHECKING:
    from pathlib import Path

ACME: Final = "acme"
"""The directory below the state directory with the answers to challenges of the certificate authority."""

CHALLENGES: Final = ".well-known/acme-challenge"
"""The directory of the answers below `ACME`, and the path of their requests."""

_CONFIG: Final = "letsencrypt"
_CERTBOT_SECONDS: Final = 600
_HANDSHAKE_SECONDS: Final = 10
_PEM: Final = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


class Certificates:
    """The certificates in one `state` directory. The caller must hold a lock to change them.

    The configuration of certbot sets the authority and the email address:
    https://eff-certbot.readthedocs.io/en/stable/using.html#configuration-file.
    """

    def __init__(self, state: Path) -> None:
        self.webroot = state / ACME
        self._config = state / _CONFIG
        for folder in (self.webroot, self._config):
            folder.mkdir(parents=True, exist_ok=True)

    def find_directory(self, domain: str) -> Path | None:
        """Return the directory with the certificate and key of a domain, or None without a usable certificate."""
        directory = self._config / "live" / domain
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
                directory / "fullchain.pem", directory / "privkey.pem"
            )
        except (OSError, ssl.SSLError):
            return None
        return directory

    def exists(self, domain: str) -> bool:
        """Return whether a domain has a certificate. Unlike `find_directory`, this does not read it, which is slow for many domains."""
        return (self._config / "live" / domain / "fullchain.pem").exists()

    def obtain(self, domain: str) -> None:
        """Request a certificate for a domain; nginx answers the challenge from the webroot.

        Raises CertificateError with the reason of certbot.
        """
        self._certbot(
            domain,
            *("certonly", "--webroot", "--webroot-path", str(self.webroot), "--domain", domain, "--cert-name", domain),
            *("--keep-until-expiring", "--agree-tos", "--register-unsafely-without-email"),
        )
        if self.find_directory(domain) is None:
            raise CertificateError(f"{domain} has no certificate: certbot succeeded without a usable certificate")

    def renew(self, *, force: bool = False) -> set[str]:
        """Renew the certificates that expire soon, or all with `force`; return the domains with a new certificate.

        Raises CertificateError with the reason of certbot if no certificate was renewed.
        """
        before = self._fingerprints()
        if not before:
            return set()
        problem: CertificateError | None = None
        try:
            self._certbot("", "renew", "--no-random-sleep-on-renew", *(["--force-renewal"] if force else []))
        except CertificateError as error:
            problem = error
        renewed = {domain for domain, text in self._fingerprints().items() if before.get(domain) != text}
        if problem is not None and not renewed:
            raise problem
        return renewed

    def forget(self, domain: str) -> None:
        """Delete the certificate of a domain, which ends its renewal."""
        if (self._config / "renewal" / f"{domain}.conf").exists():
            self._certbot(domain, "delete", "--cert-name", domain)

    def check(self, domain: str) -> None:
        """Raise CertificateError unless nginx on this machine serves the certificate of a domain."""
        directory = self.find_directory(domain)
        if directory is None:
            raise CertificateError(f"{domain} has no certificate")
        context = ssl.create_default_context()
        # Only the identity of the certificate is checked, not whether browsers trust the authority.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        try:
            with (
                socket.create_connection(("127.0.0.1", 443), timeout=_HANDSHAKE_SECONDS) as plain,
                context.wrap_socket(plain, server_hostname=domain) as connection,
            ):
                served = connection.getpeercert(binary_form=True)
        except OSError as error:
            raise CertificateError(
                f"{domain} has a certificate, but nginx does not answer with TLS: {error}"
            ) from error
        leaf = _PEM.search((directory / "fullchain.pem").read_text(encoding="ascii"))
        if leaf is None or served != ssl.PEM_cert_to_DER_cert(leaf.group()):
            raise CertificateError(f"{domain} has a certificate, but nginx serves another one")

    def _fingerprints(self) -> dict[str, bytes]:
        return {path.parent.name: path.read_bytes() for path in self._config.glob("live/*/fullchain.pem")}

    def _certbot(self, domain: str, *arguments: str) -> None:
        what = f"{domain} has no certificate" if domain else "not all certificates were renewed"
        command = [
            *("certbot", *arguments, "--non-interactive", "--config-dir", str(self._config)),
            *("--work-dir", str(self._config / "work"), "--logs-dir", str(self._config / "logs")),
        ]
        try:
            ran = run_program(command, seconds=_CERTBOT_SECONDS)
        except FileNotFoundError as error:
            raise CertificateError(f"{what}: certbot is not installed") from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CertificateError(f"{what}: certbot cannot be run: {error}") from error
        if ran.returncode:
            raise CertificateError(f"{what}: certbot failed: {_reason(ran.stdout + ran.stderr)}")


def _reason(output: str) -> str:
    """Return the lines with the reason in the output of certbot, without those about its logs."""
    lines = [" ".join(line.split()) for line in output.splitlines()]
    details = [line for line in lines if line.startswith(("Detail:", "Type:"))]
    if details:
        return " ".join(details)
    noise = ("Saving debug log", "Ask for help", "- - -", "Some challenges have failed", "See the logfile")
    reasons = [line for line in lines if line and not line.startswith(noise)]
    return " ".join(reasons[-2:]) or "it printed no reason"
