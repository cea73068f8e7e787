"""The user's key: from the SSH agent if it holds it, else from its file."""

from __future__ import annotations

import base64
import binascii
import io
import os
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.errors import SSHKeyUnusable

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from paramiko import Agent, PKey

PASSPHRASE_VARIABLE: Final = "EXASOL_CI_SETUP_KEY_PASSPHRASE"  # noqa: S105 - the name of it


def find(path: Path, agent: Agent) -> PKey:
    """Return the key whose private half is in the file `path`.

    If its public half, beside it as ``.pub``, is one that the agent holds, the agent signs and the file is not read. A file that
    is encrypted is opened with the passphrase in ``$EXASOL_CI_SETUP_KEY_PASSPHRASE``. Raises SSHKeyUnusable.
    """
    public = _public(path.with_name(f"{path.name}.pub"))
    for key in agent.get_keys() if public else ():
        if key.asbytes() == public:
            return key
    return load(path)


def _public(path: Path) -> bytes:
    """Return the public key in the file, or nothing if there is none."""
    try:
        return base64.b64decode(path.read_text(encoding="utf-8").split()[1], validate=True)
    except (OSError, ValueError, IndexError, binascii.Error):
        return b""


def load(path: Path) -> PKey:
    """Return the key in the file `path`. Raises SSHKeyUnusable if it cannot be read or opened."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SSHKeyUnusable(
            f"the key {str(path)!r} cannot be read: {error.strerror}",
            hint=f"name the private half, or give it to an SSH agent and leave its public half as {path.name}.pub",
        ) from error
    key = _opened(data, path)
    if key is None:
        raise SSHKeyUnusable(
            f"{str(path)!r} holds no private key of type RSA, ECDSA or Ed25519",
            hint="ssh-keygen -t ed25519 -f FILE makes one",
        )
    return key


def _opened(data: bytes, path: Path) -> PKey | None:
    """Return the key in `data`, or None if there is none of a type that Paramiko knows."""
    try:
        return _parsed(data, None)
    except _Encrypted:
        passphrase = os.environ.get(PASSPHRASE_VARIABLE)
    if not passphrase:
        raise SSHKeyUnusable(
            f"the key {str(path)!r} is encrypted, and there is no passphrase for it",
            hint=f"ssh-add '{path}' gives it to the SSH agent; or set {PASSPHRASE_VARIABLE}",
        )
    key = _parsed(data, passphrase.encode())
    if key is None:
        raise SSHKeyUnusable(
            f"the key {str(path)!r} does not open with the passphrase in {PASSPHRASE_VARIABLE}",
            hint=f"ssh-keygen -y -f '{path}' tells whether a passphrase is the right one",
        )
    return key


class _Encrypted(Exception):
    """The key is encrypted, and no passphrase was given."""


def _parsed(data: bytes, passphrase: bytes | None) -> PKey | None:
    # Paramiko's own way to read a file refuses half of all ECDSA keys, those with no padding:
    # https://github.com/paramiko/paramiko/issues/2445.
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    read = (
        serialization.load_ssh_private_key
        if b"BEGIN OPENSSH PRIVATE KEY" in data
        else serialization.load_pem_private_key
    )
    try:
        return _for_paramiko(read(data, passphrase))
    except TypeError as error:
        if passphrase is None:
            raise _Encrypted from error
        return None
    except (ValueError, UnsupportedAlgorithm):
        return None


def _for_paramiko(key: PrivateKeyTypes) -> PKey | None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from paramiko import ECDSAKey, Ed25519Key, RSAKey

    if isinstance(key, rsa.RSAPrivateKey):
        return RSAKey(key=key)
    # Source of the curves: https://www.rfc-editor.org/rfc/rfc5656#section-10.1.
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(
        key.curve, (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
    ):
        return ECDSAKey(vals=(key, key.public_key()))
    if isinstance(key, ed25519.Ed25519PrivateKey):
        plain = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )
        return Ed25519Key.from_private_key(io.StringIO(plain.decode("ascii")))
    return None
