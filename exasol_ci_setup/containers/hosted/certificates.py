"""Certificates for the domains of apps: certbot gets and renews them, and what it says is checked against what nginx shows."""

from __future__ import annotations

import os
import re
import socket
import ssl
import subprocess
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.containers.hosted.settings import child_environment
from exasol_ci_setup.errors import CertificateError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ACME: Final = "acme"
"""The directory, below that of the state, from which nginx answers the certificate authority."""

_CONFIG: Final = "letsencrypt"
_CERTBOT_SECONDS: Final = 600
_HANDSHAKE_SECONDS: Final = 10
_PEM: Final = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


class Certificates:
    """The certificates in one `state` directory. Only one caller at a time may change them; the lock is the caller's.

    Which authority they are from, and the address for its mail, is certbot's own configuration:
    https://eff-certbot.readthedocs.io/en/stable/using.html#configuration-file.
    """

    def __init__(self, state: Path) -> None:
        self.webroot = state / ACME
        self._config = state / _CONFIG
        for folder in (self.webroot, self._config):
            folder.mkdir(parents=True, exist_ok=True)

    def directory(self, domain: str) -> Path | None:
        """Return the directory with the certificate and key of a domain, or None if there is none that could be used."""
        directory = self._config / "live" / domain
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
                directory / "fullchain.pem", directory / "privkey.pem"
            )
        except (OSError, ssl.SSLError):
            return None
        return directory

    def obtain(self, domain: str) -> None:
        """Get a certificate for a domain, whose challenge nginx answers from the webroot. Raises CertificateError with certbot's reason."""
        self._certbot(
            domain,
            *("certonly", "--webroot", "--webroot-path", str(self.webroot), "--domain", domain, "--cert-name", domain),
            *("--keep-until-expiring", "--agree-tos", "--register-unsafely-without-email"),
        )
        if self.directory(domain) is None:
            raise CertificateError(f"{domain} has no certificate: certbot ended well but left none that can be used")

    def renew(self, *, force: bool = False) -> set[str]:
        """Renew the certificates that end soon, or all by `force`; return the domains that have another one now.

        Raises CertificateError with certbot's reason if one of them could not be renewed, after the others were.
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
        """Delete the certificate of a domain, so that it is not renewed any more."""
        if (self._config / "renewal" / f"{domain}.conf").exists():
            self._certbot(domain, "delete", "--cert-name", domain)

    def check(self, domain: str) -> None:
        """Raise CertificateError unless nginx, on this machine, shows the certificate of a domain that is on disk."""
        directory = self.directory(domain)
        if directory is None:
            raise CertificateError(f"{domain} has no certificate")
        context = ssl.create_default_context()
        # Whether browsers trust the authority is not asked here, only whether it is this certificate.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        try:
            with (
                socket.create_connection(("127.0.0.1", 443), timeout=_HANDSHAKE_SECONDS) as plain,
                context.wrap_socket(plain, server_hostname=domain) as connection,
            ):
                shown = connection.getpeercert(binary_form=True)
        except OSError as error:
            raise CertificateError(
                f"{domain} has a certificate, but nginx does not answer with TLS: {error}"
            ) from error
        leaf = _PEM.search((directory / "fullchain.pem").read_text(encoding="ascii"))
        if leaf is None or shown != ssl.PEM_cert_to_DER_cert(leaf.group()):
            raise CertificateError(f"{domain} has a certificate, but nginx shows another one")

    def _fingerprints(self) -> dict[str, bytes]:
        return {path.parent.name: path.read_bytes() for path in self._config.glob("live/*/fullchain.pem")}

    def _certbot(self, domain: str, *arguments: str) -> None:
        what = f"{domain} has no certificate" if domain else "not all certificates were renewed"
        folders: Sequence[str] = (
            *("--config-dir", str(self._config)),
            *("--work-dir", str(self._config / "work")),
            *("--logs-dir", str(self._config / "logs")),
        )
        try:
            ran = subprocess.run(  # noqa: S603 - domains that were validated, and our own paths
                ["certbot", *arguments, *folders, "--non-interactive"],  # noqa: S607 - the operator's
                capture_output=True,
                text=True,
                errors="replace",
                stdin=subprocess.DEVNULL,
                env=child_environment(os.environ),
                timeout=_CERTBOT_SECONDS,
                check=False,
            )
        except FileNotFoundError as error:
            raise CertificateError(f"{what}: certbot is not installed") from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CertificateError(f"{what}: certbot cannot be called: {error}") from error
        if ran.returncode:
            raise CertificateError(f"{what}: certbot failed: {_reason(ran.stdout + ran.stderr)}")


def _reason(said: str) -> str:
    """Return the lines in which certbot says why; around them are others that say where its logs are."""
    lines = [" ".join(line.split()) for line in said.splitlines()]
    details = [line for line in lines if line.startswith(("Detail:", "Type:"))]
    if details:
        return " ".join(details)
    noise = ("Saving debug log", "Ask for help", "- - -", "Some challenges have failed", "See the logfile")
    told = [line for line in lines if line and not line.startswith(noise)]
    return " ".join(told[-2:]) or "it did not say why"
