"""The private key of the user, from the SSH agent or from a file."""

from __future__ import annotations

import base64
import binascii
import io
import os
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.core.errors import SSHKeyUnusableError

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from paramiko import Agent, PKey

PASSPHRASE_VARIABLE: Final = "EXASOL_CI_SETUP_KEY_PASSPHRASE"  # noqa: S105 - a name of a variable


def find(path: Path, agent: Agent) -> PKey:
    """Return the private key of the file `path`.

    If the agent holds the key of the public key file beside it (``.pub``), the agent signs and `path` is not read.
    ``$EXASOL_CI_SETUP_KEY_PASSPHRASE`` decrypts an encrypted file. Raises SSHKeyUnusableError.
    """
    public = _read_public_key(path.with_name(f"{path.name}.pub"))
    for key in agent.get_keys() if public else ():
        if key.asbytes() == public:
            return key
    return load(path)


def _read_public_key(path: Path) -> bytes:
    """Return the public key in the file, or empty bytes if it has none."""
    try:
        return base64.b64decode(path.read_text(encoding="utf-8").split()[1], validate=True)
    except (OSError, ValueError, IndexError, binascii.Error):
        return b""


def load(path: Path) -> PKey:
    """Return the key in the file `path`. Raises SSHKeyUnusableError if it cannot be read or opened."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SSHKeyUnusableError(
            f"the key {str(path)!r} cannot be read: {error.strerror}",
            hint=f"use the path of the private key, or add the key to an SSH agent and keep its public key as {path.name}.pub",
        ) from error
    key = _decrypt(data, path)
    if key is None:
        raise SSHKeyUnusableError(
            f"{str(path)!r} contains no private key of type RSA, ECDSA or Ed25519",
            hint="create a key with `ssh-keygen -t ed25519 -f FILE`",
        )
    return key


def _decrypt(data: bytes, path: Path) -> PKey | None:
    """Return the key in `data`, or None if it has no key of a type that Paramiko supports."""
    try:
        return _parse(data, None)
    except _EncryptedKeyError:
        passphrase = os.environ.get(PASSPHRASE_VARIABLE)
    if not passphrase:
        raise SSHKeyUnusableError(
            f"the key {str(path)!r} is encrypted and its passphrase is missing",
            hint=f"add it to the SSH agent with `ssh-add '{path}'`, or set {PASSPHRASE_VARIABLE}",
        )
    key = _parse(data, passphrase.encode())
    if key is None:
        raise SSHKeyUnusableError(
            f"the passphrase in {PASSPHRASE_VARIABLE} does not decrypt the key {str(path)!r}",
            hint=f"check the passphrase with `ssh-keygen -y -f '{path}'`",
        )
    return key


class _EncryptedKeyError(Exception):
    """The key is encrypted and needs a passphrase."""


def _parse(data: bytes, passphrase: bytes | None) -> PKey | None:
    # Paramiko's own reader rejects the half of all ECDSA keys that has no padding:
    # https://github.com/paramiko/paramiko/issues/2445.
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    read = (
        serialization.load_ssh_private_key
        if b"BEGIN OPENSSH PRIVATE KEY" in data
        else serialization.load_pem_private_key
    )
    try:
        return _to_paramiko(read(data, passphrase))
    except TypeError as error:
        if passphrase is None:
            raise _EncryptedKeyError from error
        return None
    except (ValueError, UnsupportedAlgorithm):
        return None


def _to_paramiko(key: PrivateKeyTypes) -> PKey | None:
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
